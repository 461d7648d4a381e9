// Rules of the read marks: which slot a reader takes, and what a checkpoint may
// copy beside it.

package coordtest

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// at returns a coordination that has published the frames up to max, of which
// those up to backfilled are in the database file.
func (b Backend) at(t testing.TB, max, backfilled walformat.FrameNo) coord.Coordinator {
	return b.New(t, coord.State{Index: coord.NewIndex(1, walformat.Checksum{}),
		Snapshot: coord.Snapshot{Gen: 1, MaxFrame: max, NBackfill: backfilled, Seq: coord.CommitSeq(max)}}, nil)
}

func publishTo(c coord.Coordinator, max walformat.FrameNo) {
	c.Publish(func(s *coord.State) bool {
		s.Seq += coord.CommitSeq(max - s.MaxFrame) // outlives generations
		s.MaxFrame = max
		return true
	})
}

func backfillTo(c coord.Coordinator, n walformat.FrameNo) {
	c.Publish(func(s *coord.State) bool { s.NBackfill = n; return true })
}

func wantSafe(t *testing.T, c coord.Coordinator, target, safe walformat.FrameNo, ok bool) {
	t.Helper()
	if f, o := c.SafeFrame(target); f != safe && ok || o != ok {
		t.Fatalf("SafeFrame(%d) = %d, %v; want %d, %v", target, f, o, safe, ok)
	}
}

func wantReaders(t *testing.T, c coord.Coordinator, inFile, inLog int) {
	t.Helper()
	if f, l := c.Readers(); f != inFile || l != inLog {
		t.Fatalf("%d readers in the file and %d in the log, want %d and %d", f, l, inFile, inLog)
	}
}

func markInFile(t *testing.T, b Backend) {
	c := b.at(t, 7, 7)
	m, st := c.BeginRead()
	if !m.InFile() || st.MaxFrame != 7 {
		t.Fatalf("mark %d, snapshot %d", m, st.MaxFrame)
	}
	wantReaders(t, c, 1, 0)
	// Whatever is published later, it must not get into the database file.
	publishTo(c, 9)
	wantSafe(t, c, 9, 0, false)
	// It does not need the log.
	if !c.ClaimMarks() {
		t.Fatal("a reader of the database file holds up a restart")
	}
	c.ReleaseMarks()
	c.EndRead(m)
	wantReaders(t, c, 0, 0)
	wantSafe(t, c, 9, 9, true)
}

func markSlots(t *testing.T, b Backend) {
	c := b.at(t, 5, 0)
	a, _ := c.BeginRead()      // raises a free slot
	joined, _ := c.BeginRead() // joins it
	if a != joined || a.InFile() {
		t.Fatalf("two readers of one snapshot have slots %d and %d", a, joined)
	}
	wantReaders(t, c, 0, 2)
	var marks []coord.Mark
	for max := walformat.FrameNo(6); max <= 8; max++ {
		publishTo(c, max)
		m, _ := c.BeginRead()
		marks = append(marks, m)
	}
	wantSafe(t, c, 8, 5, true)
	// No slot is free: the next reader takes the greatest mark below its own
	// snapshot, and no checkpoint passes that.
	publishTo(c, 12)
	low, st := c.BeginRead()
	if st.MaxFrame != 12 || low != marks[2] {
		t.Fatalf("slot %d for snapshot %d, want slot %d", low, st.MaxFrame, marks[2])
	}
	c.EndRead(a)
	wantSafe(t, c, 12, 5, true) // the other still holds it
	c.EndRead(joined)
	wantSafe(t, c, 12, 6, true)
	// A slot that is free now is raised, rather than joining a lower mark.
	m, _ := c.BeginRead()
	if m != a {
		t.Fatalf("slot %d, the free one is %d", m, a)
	}
	for _, m := range append(marks, low, m) {
		c.EndRead(m)
	}
	wantSafe(t, c, 12, 12, true)
	wantReaders(t, c, 0, 0)
}

func endNoMark(t *testing.T, b Backend) {
	c := b.at(t, 1, 0)
	c.EndRead(coord.NoMark)
	wantReaders(t, c, 0, 0)
}

func pin(t *testing.T, b Backend) {
	c := b.at(t, 5, 5)
	file := c.Pin(5)
	if !file.InFile() {
		t.Errorf("everything is in the file, and slot %d was taken", file)
	}
	// A commit that is accepted and not published: nobody else can hold 9.
	m := c.Pin(9)
	if m.InFile() {
		t.Fatal("pinned to the file")
	}
	publishTo(c, 9)
	publishTo(c, 11)
	c.EndRead(file)
	wantSafe(t, c, 11, 9, true)
	c.EndRead(m)
	wantSafe(t, c, 11, 11, true)
}

// pinWaits: with no slot to be had, Pin waits for one.
func pinWaits(t *testing.T, b Backend) {
	c := b.at(t, 5, 0)
	c.ClaimMarks()
	got := make(chan coord.Mark)
	go func() { got <- c.Pin(5) }()
	c.ReleaseMarks()
	c.EndRead(<-got)
}

// readersAgainstBackfill: many readers begin and end while the log is
// published, backfilled and restarted. What a reader's mark protects must not
// have been backfilled past it, and no restart may happen under it.
func readersAgainstBackfill(t *testing.T, b Backend) {
	c := b.at(t, 1, 0)
	var wg sync.WaitGroup
	var stop atomic.Bool
	for range 8 {
		wg.Go(func() {
			// More threads than processors: the system then takes the
			// processor away in the middle of BeginRead, too.
			runtime.LockOSThread()
			for !stop.Load() && !t.Failed() {
				m, st := c.BeginRead()
				now := c.Published()
				switch {
				case m.InFile() && st.MaxFrame != st.NBackfill:
					t.Errorf("slot 0 for snapshot %+v", st.Snapshot)
				case m.InFile() && now.Gen == st.Gen && now.NBackfill != st.NBackfill:
					t.Errorf("backfilled to %d under a reader of the file at %d", now.NBackfill, st.NBackfill)
				case !m.InFile() && now.Gen != st.Gen:
					t.Errorf("restarted under a reader of the log")
				case !m.InFile() && now.NBackfill > st.MaxFrame:
					t.Errorf("backfilled to %d under a snapshot of %d", now.NBackfill, st.MaxFrame)
				}
				c.EndRead(m)
			}
		})
	}
	rounds := 400_000
	if testing.Short() {
		rounds /= 4
	}
	for i := range rounds {
		st := c.Published()
		switch i % 3 {
		case 0:
			publishTo(c, st.MaxFrame+2)
		case 1:
			if safe, ok := c.SafeFrame(st.MaxFrame); ok && safe > st.NBackfill {
				backfillTo(c, safe)
			}
		case 2:
			if st.MaxFrame == st.NBackfill && c.ClaimMarks() {
				c.Publish(func(s *coord.State) bool { s.Gen, s.MaxFrame, s.NBackfill = s.Gen+1, 0, 0; return true })
				c.ReleaseMarks()
			}
		}
	}
	stop.Store(true)
	wg.Wait()
	wantReaders(t, c, 0, 0)
}

// publishIsAtomic: a checkpoint that publishes its backfill takes no commit back
// that is published while it is at it.
func publishIsAtomic(t *testing.T, b Backend) {
	c := b.at(t, 1, 0)
	var other sync.WaitGroup
	first := true
	c.Publish(func(s *coord.State) bool {
		if first {
			first = false
			other.Go(func() { publishTo(c, 2) })
			for range 10_000 {
				runtime.Gosched() // it waits for its turn, or makes this one begin again
			}
		}
		s.NBackfill = 1
		return true
	})
	other.Wait()
	if st := c.Published(); st.MaxFrame != 2 || st.NBackfill != 1 {
		t.Errorf("published %+v: one of two publications is lost", st.Snapshot)
	}
	if c.Publish(func(s *coord.State) bool { s.MaxFrame = 9; return false }) || c.Published().MaxFrame != 2 {
		t.Error("a publication that was called off has happened")
	}
}
