// A new generation: the log is used again from its beginning.
//
// Required, and checked here with the checkpoint lock, the writer's place and
// the leadership held: accepted = published = nBackfill, and no mark of slots
// 1 to 4 is held. The new header is synced before anything of its generation
// is written: otherwise frames of the old one, which still chain from the old
// header, would be taken for the newest state over a newer database file.

package wal

import (
	"context"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// autoRestart begins a new generation if the log is fully backfilled, or can
// be made so because it has become long, and nobody is in the way. It waits for
// no transaction. An error means that the log is poisoned. REQUIRES the writer's
// place.
func (l *Log) autoRestart() error {
	due := l.restartDue.Load()
	if !due && !l.restartable() || !l.co.TryLockCheckpoint() {
		return nil
	}
	defer l.co.UnlockCheckpoint()
	if due {
		if err := l.finishBackfill(); err != nil {
			return err
		}
	}
	if !l.restartable() || !l.tryLead() {
		return nil
	}
	defer l.dropLead()
	_, err := l.restart(false)
	return err
}

// finishBackfill publishes and backfills everything accepted, unless a reader
// needs the log. REQUIRES the checkpoint lock and the writer's place.
func (l *Log) finishBackfill() error {
	l.restartDue.Store(false)
	if _, inLog := l.co.Readers(); inLog > 0 {
		return nil
	}
	if err := l.drain(); err != nil {
		return err
	}
	if _, err := (&checkpoint{l: l}).backfill(context.Background()); err != nil {
		l.stats.checkpointErrs.Add(1)
	}
	return l.Failed()
}

// restartable reports whether everything accepted is published and in the
// database file. REQUIRES the writer's place.
func (l *Log) restartable() bool {
	st := l.co.Published()
	if st.MaxFrame == 0 || st.MaxFrame != st.NBackfill {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.failed == nil && l.mu.gen == st.Gen && l.mu.accepted == st.MaxFrame
}

// restart begins a new generation, with a header (truncate false) or with an
// empty file, unless a reader needs the log: then it returns false. REQUIRES
// the checkpoint lock, the writer's place, the leadership, and restartable.
func (l *Log) restart(truncate bool) (bool, error) {
	if !l.co.ClaimMarks() {
		return false, nil
	}
	defer l.co.ReleaseMarks()
	var base walformat.Checksum
	if truncate {
		if err := l.file.Truncate(0); err != nil {
			return false, l.poison("truncate", err)
		}
		l.hdr.Store(nil)
		l.reserved = 0
	} else {
		h := l.nextHeader()
		buf := make([]byte, walformat.HeaderSize)
		h.Encode(buf)
		if _, err := l.file.WriteVAt([][]byte{buf}, 0); err != nil {
			return false, l.poison("restart", err)
		}
		if err := l.syncFile("sync the new header of"); err != nil {
			return false, err
		}
		l.lastHdr, base = h, h.Sum
		l.hdr.Store(&h)
		l.limitSize()
	}
	l.stats.restarts.Add(1)
	l.beginGeneration(base)
	return true, nil
}

// limitSize cuts the file of a log that has just begun anew. What it cuts is of
// older generations, so nothing depends on the cut becoming durable, and an
// error only leaves the file long. REQUIRES as restart.
func (l *Log) limitSize() {
	limit := walformat.Offset(l.sizeLimit.Load())
	if limit < 0 || l.reserved <= max(limit, walformat.HeaderSize) {
		return
	}
	if l.file.Truncate(int64(max(limit, walformat.HeaderSize))) == nil {
		l.reserved = max(limit, walformat.HeaderSize)
	}
}

// beginGeneration publishes the state after the last commit as the beginning
// of a generation without frames. REQUIRES as restart.
func (l *Log) beginGeneration(base walformat.Checksum) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.gen++
	l.mu.idx = l.mu.idx.Next(l.mu.gen, base)
	l.mu.accepted, l.mu.appended, l.mu.durable, l.mu.sum = 0, 0, 0, base
	l.appendedEnd.Store(0)
	l.co.Publish(func(s *coord.State) bool {
		s.Gen, s.Index, s.MaxFrame, s.NBackfill, s.Sum = l.mu.gen, l.mu.idx, 0, 0, base
		return true
	})
}
