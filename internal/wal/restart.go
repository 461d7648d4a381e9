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
	"time"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// autoRestart begins a new generation if the log is fully backfilled, or can
// be made so because it has become long, and nobody is in the way. It waits for
// no transaction. An error means that the log is poisoned. REQUIRES the writer's
// place.
func (l *Log) autoRestart() error {
	due := walformat.FrameNo(l.restartDue.Load())
	if due == 0 && !l.restartable() || !l.co.TryLockCheckpoint() {
		return nil
	}
	defer l.co.UnlockCheckpoint()
	if due > 0 {
		l.restartDue.Store(0)
		if err := l.makeRestartable(); err != nil {
			return err
		}
	}
	done := false
	if l.restartable() && l.tryLead() {
		defer l.dropLead()
		var err error
		if done, err = l.restart(false); err != nil {
			return err
		}
	}
	if due > 0 && !done {
		// A reader that stays: not again before the log has grown as much.
		l.postpone(due)
	}
	return nil
}

// postpone has no restart made before the log has grown by threshold frames.
func (l *Log) postpone(threshold walformat.FrameNo) {
	l.notDue.Store(uint32(l.co.Published().MaxFrame + threshold))
}

const (
	// restartHold is how long a restart that is due keeps the writer's place
	// while short readers go, and restartPause how often it looks.
	restartHold  = 2 * time.Millisecond
	restartPause = 50 * time.Microsecond
)

// makeRestartable publishes and backfills everything accepted, and waits for the
// readers of the log, all for a bounded moment: readers that begin after the
// backfill use the database file, so that short ones are soon gone, however many
// they are. REQUIRES the checkpoint lock and the writer's place.
func (l *Log) makeRestartable() error {
	if err := l.drain(); err != nil {
		return err
	}
	for begin := time.Now(); ; time.Sleep(restartPause) {
		done, err := (&checkpoint{l: l}).backfill(context.Background())
		if err != nil {
			l.stats.checkpointErrs.Add(1)
			return l.Failed()
		}
		if _, inLog := l.co.Readers(); done && inLog == 0 || time.Since(begin) > restartHold {
			return nil
		}
	}
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
	if err := l.unmoved(); err != nil {
		return false, err
	}
	var hdr *walformat.Header
	if truncate {
		if err := l.file.Truncate(0); err != nil {
			return false, l.poison("truncate", err)
		}
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
		l.lastHdr, hdr = h, &h
		l.limitSize()
	}
	l.stats.restarts.Add(1)
	frames := l.co.Published().MaxFrame
	l.beginGeneration(hdr)
	l.emit(Event{Kind: EventRestart, Generation: l.co.Published().Gen, Frames: frames, Truncated: truncate})
	return true, nil
}

// limitSize cuts the file of a log that has just begun anew. What it cuts is of
// older generations, so nothing depends on the cut becoming durable, and an
// error only leaves the file long. REQUIRES as restart.
func (l *Log) limitSize() {
	limit := walformat.Offset(l.sizeLimit.Load())
	// What a log at its limit has beyond it is used again, unless it is much.
	if most := walformat.Offset(l.limits.Load().LogBytes); most > 0 && (limit < 0 || limit > most) && l.reserved > most+most/4 {
		limit = most
	}
	if limit < 0 || l.reserved <= max(limit, walformat.HeaderSize) {
		return
	}
	if l.file.Truncate(int64(max(limit, walformat.HeaderSize))) == nil {
		l.reserved = max(limit, walformat.HeaderSize)
	}
}

// beginGeneration publishes the state after the last commit as the beginning
// of a generation without frames, whose header is hdr; nil if it has none yet.
// REQUIRES as restart.
func (l *Log) beginGeneration(hdr *walformat.Header) {
	var base walformat.Checksum
	if hdr != nil {
		base = hdr.Sum
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hdr.Store(hdr)
	l.mu.gen++
	l.mu.idx = l.mu.idx.Next(l.mu.gen, base)
	l.mu.accepted, l.mu.appended, l.mu.durable, l.mu.sum = 0, 0, 0, base
	l.appendedEnd.Store(0)
	l.notDue.Store(0)
	l.co.Publish(func(s *coord.State) bool {
		s.Gen, s.Index, s.MaxFrame, s.NBackfill, s.Sum = l.mu.gen, l.mu.idx, 0, 0, base
		return true
	})
}
