package walnut

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/walnutdb/walnut/internal/coord"
)

// WithLabel returns a context whose transactions are reported under label, by
// [DB.Readers], [DB.Writers], events, and the Logger: "nightly report",
// "GET /orders". It works for transactions of this package, begun with the
// context, and for statements of package driver that are given it.
func WithLabel(ctx context.Context, label string) context.Context { return coord.WithLabel(ctx, label) }

// maxSQL is how much of a statement reports show, in bytes.
const maxSQL = 1000

// shown is a statement as reports show it.
func shown(sql string) string {
	if len(sql) <= maxSQL {
		return sql
	}
	return strings.ToValidUTF8(sql[:maxSQL], "") + " …"
}

// ReaderInfo describes a read transaction that has not ended.
type ReaderInfo struct {
	// Label is that of its context (WithLabel), SQL the statement that began it,
	// if it is one of package driver: its first 1000 bytes.
	Label, SQL string
	// Age is how long it has been open; at least so long, if AtLeast. A View
	// without a label, and a read of package driver that goes on with the snapshot
	// of the one before, do not note when they began, and count from when somebody
	// first looked.
	Age     time.Duration
	AtLeast bool
	// Generation, Frame and CommitSeq tell its snapshot: the last frame in the
	// log of that generation, and the last commit. CommitsBehind have been
	// published since.
	Generation    uint64
	Frame         FrameNo
	CommitSeq     uint64
	CommitsBehind uint64
	// Mark is the read mark that it holds, from 0 to 4; -1 if it is detached.
	Mark int
	// InFile: it needs the database file only, and keeps all that is newer from
	// being copied there.
	InFile bool
	// LogFrames, LogBytes is how much of the log it keeps from being copied and
	// used again; others may keep the same.
	LogFrames FrameNo
	LogBytes  int64
	// Detached: it keeps nothing in the log any more.
	Detached bool
}

// Readers lists the read transactions that have not ended, of all who have the
// database open in this process, the oldest first.
func (db *DB) Readers() []ReaderInfo {
	c := db.store.Log().Coordinator()
	p, now := c.Published(), coord.Now()
	frame := int64(db.store.PageSize() + 24)
	var list []ReaderInfo
	for _, r := range c.ListReaders() {
		st := r.State
		i := ReaderInfo{Label: r.Who.Label, SQL: shown(r.Who.SQL), Age: now.Since(r.Began), AtLeast: !r.Noted,
			Generation: uint64(st.Gen), Frame: st.MaxFrame, CommitSeq: uint64(st.Seq),
			Mark: max(0, int(r.Mark)), InFile: r.Mark.InFile(), Detached: r.Detached}
		if p.Seq > st.Seq {
			i.CommitsBehind = uint64(p.Seq - st.Seq)
		}
		switch {
		case r.Detached:
			i.Mark = -1
		case st.Gen == p.Gen && p.MaxFrame > r.Holds:
			i.LogFrames = p.MaxFrame - r.Holds
		case st.Gen < p.Gen:
			i.LogFrames = p.MaxFrame
		}
		i.LogBytes = int64(i.LogFrames) * frame
		list = append(list, i)
	}
	slices.SortStableFunc(list, func(a, b ReaderInfo) int { return cmp.Compare(b.Age, a.Age) })
	return list
}

// WriterInfo describes who has the writer's place, or waits for it.
type WriterInfo struct {
	// Label and SQL are as in ReaderInfo; a checkpoint says which one it is, and
	// then its label.
	Label, SQL string
	// Maintenance: it is a checkpoint or a close.
	Maintenance bool
	// Waiting: it does not have the place yet.
	Waiting bool
	// Age is how long it has had the place, or has waited for it.
	Age time.Duration
	// Held: it has the place and waits for readers, because the log is at its
	// limit.
	Held bool
}

// Writers lists who has the writer's place, first, if somebody has, and who
// waits for it, in order.
func (db *DB) Writers() []WriterInfo {
	now := coord.Now()
	var list []WriterInfo
	for _, w := range db.store.Log().Coordinator().ListWriters() {
		i := WriterInfo{Label: w.Who.Label, SQL: shown(w.Who.SQL), Maintenance: w.Kind == coord.MaintenanceRequest,
			Waiting: w.Waiting, Age: now.Since(w.Asked), Held: w.Holding}
		if w.Granted != 0 {
			i.Age = now.Since(w.Granted)
		}
		list = append(list, i)
	}
	return list
}
