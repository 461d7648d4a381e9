// A log that cannot be starved (DESIGN section 5).
//
// A log that has reached its limit, Limits.LogBytes, is made to end before it
// grows further: the next writer keeps its place and waits, for a bounded
// moment, until what is in the log is in the database file and nobody reads the
// log; then it begins the log anew. Readers are never held, nor is a transaction
// that writes already. A reader that stays beyond Limits.ReaderGrace is detached.
//
// Invariants:
//
//  1. Who waits here holds the writer's place and no mark. It takes the
//     checkpoint lock by trying only: whoever has that may wait for the place.
//  2. A reader is detached only when its snapshot equals the database file, with
//     the checkpoint lock held, under which the file does not change.

package wal

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// Limits bound a log that readers keep from being begun anew. The zero value
// sets no limit.
type Limits struct {
	// LogBytes is how large the log of one generation may grow before writers
	// are held and readers detached; 0 or less: no limit.
	LogBytes int64
	// WriterHold is how long one writer is held at most.
	WriterHold time.Duration
	// ReaderGrace is how long a reader may stay once the limit is reached.
	ReaderGrace time.Duration
	// SideBytes bounds the file with the images of overwritten pages, for
	// detached readers; 0 or less: the size of the database, as each of them
	// sees it, together.
	SideBytes int64
}

// SetLimits sets those limits that are not 0; a negative one is none.
func (l *Log) SetLimits(set Limits) {
	for {
		old := l.limits.Load()
		next := *old
		next.LogBytes = cmp.Or(set.LogBytes, old.LogBytes)
		next.WriterHold = cmp.Or(set.WriterHold, old.WriterHold)
		next.ReaderGrace = cmp.Or(set.ReaderGrace, old.ReaderGrace)
		next.SideBytes = cmp.Or(set.SideBytes, old.SideBytes)
		if l.limits.CompareAndSwap(old, &next) {
			return
		}
	}
}

// holdPause is the longest time between two looks of a held writer.
const holdPause = time.Millisecond

// overLimit is the state of a log at its limit. Guarded by the writer's place.
type overLimit struct {
	// since is when the limit was reached; 0 while it is not.
	since coord.Moment
	// quiet: below this many frames nobody is held again, for nothing helped the
	// last time.
	quiet walformat.FrameNo
}

// limitFrames is how many frames make the limit; 0 if there is none.
func (l *Log) limitFrames() walformat.FrameNo {
	limit := l.limits.Load().LogBytes
	if limit <= 0 {
		return 0
	}
	n := limit / int64(walformat.FrameHeaderSize+l.PageSize())
	return walformat.FrameNo(min(max(1, n), maxThreshold))
}

// relieve holds the writer if the log is at its limit, until it has begun anew or
// the moment is over, or ctx. An error means that the log is poisoned. REQUIRES
// the writer's place.
func (l *Log) relieve(ctx context.Context) error {
	limit := l.limitFrames()
	if limit == 0 {
		return nil
	}
	l.mu.Lock()
	end, seq := l.mu.accepted, l.mu.seq
	l.mu.Unlock()
	if end < limit {
		l.over = overLimit{}
		return nil
	}
	if end < l.over.quiet {
		return nil
	}
	begin := coord.Now()
	if l.over.since == 0 {
		l.over.since = begin
	}
	l.co.Hold()
	defer l.co.Unhold()
	l.hurry.Add(1)
	defer l.hurry.Add(-1)
	h := hold{l: l}
	err := h.run(ctx, begin)
	took := coord.Now().Since(begin)
	l.stats.holds.add(took)
	l.emit(Event{Kind: EventHold, Seq: seq, Frames: end, Duration: took, WaitedFor: h.waitedFor, Err: h.err})
	if h.stuck {
		l.over.quiet = end + max(1, limit/16)
	}
	return err
}

// hold is one writer's wait.
type hold struct {
	l *Log
	// waitedFor says whom it waited for last. stuck: waiting longer would not
	// help, because of err, if it is not nil.
	waitedFor string
	stuck     bool
	err       error
	// before is the outcome of the automatic checkpoint before the one that was
	// begun for this hold; nil if none was.
	before *outcome
}

// run looks again and again until the log has begun anew, or it is stuck, or the
// time is over, or ctx, or a checkpoint wants the place to do the same.
func (h *hold) run(ctx context.Context, begin coord.Moment) error {
	l := h.l
	for pause := restartPause; ; pause = min(2*pause, holdPause) {
		done, err := h.try()
		if done || err != nil || h.stuck {
			return err
		}
		if l.co.MaintenanceQueued() {
			h.waitedFor = "another checkpoint"
			return nil
		}
		if coord.Now().Since(begin)+pause > l.limits.Load().WriterHold {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// try detaches who has stayed too long, copies what it may, and begins the log
// anew if nobody needs it. An error means that the log is poisoned.
func (h *hold) try() (done bool, err error) {
	l := h.l
	h.waitedFor = "another checkpoint"
	if !l.co.TryLockCheckpoint() {
		return false, nil
	}
	beside := false
	defer func() {
		l.co.UnlockCheckpoint()
		if beside {
			h.before = l.outcome.Load()
			l.beginAutoCheckpoint(l.limitFrames())
		}
	}()
	if err := l.drain(); err != nil {
		return false, err
	}
	l.co.RaiseMarks()
	l.detachStayers()
	for {
		// Copying may take longer than a writer may be held: it is done beside it.
		if h.backlog() && !l.sequential {
			beside = !h.failedBeside()
			return false, nil
		}
		c := checkpoint{l: l, auto: true}
		all, err := c.timed(context.Background())
		if err != nil {
			l.stats.checkpointErrs.Add(1)
			h.stuck, h.err, h.waitedFor = true, err, ""
			return false, l.Failed()
		}
		h.waitedFor = c.r.WaitedFor
		h.stuck = c.sideFull
		if all {
			if done, err := h.beginAnew(); done || err != nil {
				return done, err
			}
			_, n := l.co.Readers()
			h.waitedFor = readers(n, "of the log")
		}
		if h.stuck || !l.detachStayers() {
			return false, nil
		}
		l.co.RaiseMarks()
	}
}

// failedBeside reports whether the checkpoint that was begun beside the writer has
// failed, or cannot save what it overwrites.
func (h *hold) failedBeside() bool {
	o := h.l.outcome.Load()
	if h.before == nil || o == h.before || o.err == nil && !o.sideFull {
		return false
	}
	h.stuck, h.err, h.waitedFor = true, o.err, o.waitedFor
	return true
}

// outcome is what came of an automatic checkpoint.
type outcome struct {
	err       error
	sideFull  bool
	waitedFor string
}

// backlog reports whether a checkpoint could copy something now. REQUIRES the
// checkpoint lock.
func (h *hold) backlog() bool {
	st := h.l.co.Published()
	safe, ok := h.l.co.SafeFrame(st.MaxFrame)
	return ok && safe > st.NBackfill
}

// beginAnew restarts the log, unless somebody reads it. REQUIRES the checkpoint
// lock and the writer's place.
func (h *hold) beginAnew() (bool, error) {
	l := h.l
	if !l.restartable() {
		return false, l.Failed()
	}
	if err := l.takeLead(); err != nil {
		return false, err
	}
	defer l.dropLead()
	return l.restart(false)
}

// detachStayers detaches the readers that read the database file as it is and
// have stayed too long, and reports whether there were any. REQUIRES the
// checkpoint lock and the writer's place.
func (l *Log) detachStayers() bool {
	now := coord.Now()
	size, err := l.cfg.DB.Size()
	if err != nil {
		return false // those who read the file will say so
	}
	pages := size / int64(l.PageSize())
	list := l.co.Detach(l.fileVersion, func(r coord.ReaderInfo) bool {
		return int64(r.State.DBSize) <= pages && now.Since(max(l.over.since, r.Began)) >= l.limits.Load().ReaderGrace
	})
	for _, r := range list {
		l.stats.detached.Add(1)
		l.emit(Event{Kind: EventDetach, Who: r.Who, Seq: r.State.Seq, Frames: r.State.MaxFrame, Duration: now.Since(r.Began)})
	}
	return len(list) > 0
}

// ReaderLeft is called when a detached reader has ended.
func (l *Log) ReaderLeft() { l.side.prune(l) }

// tooLarge tells of a transaction that alone is larger than the limit.
func (l *Log) tooLarge(c *commit, who coord.Who) {
	if limit := l.limitFrames(); limit > 0 && c.end-c.first >= limit {
		l.emit(Event{Kind: EventLimit, Who: who, Seq: c.seq, Frames: c.end - c.first + 1})
	}
}

// isSideFull reports whether a checkpoint stopped because what a detached reader
// needs does not fit.
func isSideFull(err error) bool { return errors.Is(err, errSideFull) }
