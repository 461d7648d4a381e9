// The last checkpoints, for whoever asks why a log is long.

package wal

import (
	"context"
	"sync"
	"time"

	"github.com/walnutdb/walnut/internal/coord"
)

// CheckpointRecord is a checkpoint that has ended.
type CheckpointRecord struct {
	CheckpointResult
	// Auto: nobody asked for it. Times is how many there were in a row that copied
	// nothing; the rest is of the last.
	Auto  bool
	Times int
	// Ended is when, by the process's clock, and Duration how long it took, waits
	// included.
	Ended    coord.Moment
	Duration time.Duration
	// Pages were copied.
	Pages int
	Err   error
}

// keptRecords is how many checkpoints are remembered.
const keptRecords = 64

// history remembers them, in a ring. mu guards all of it.
type history struct {
	mu   sync.Mutex
	ring [keptRecords]CheckpointRecord
	n    int // entered
	// told is when the subscribers were last told of one that copied nothing.
	told coord.Moment
}

// enter remembers r, in the place of the last one if neither did anything, and
// reports whether that is worth telling: of those that do nothing, while a reader
// is in the way, there is one for every commit.
func (h *history) enter(r CheckpointRecord) (tell bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.Times = 1
	last := &h.ring[(h.n+keptRecords-1)%keptRecords]
	if h.n > 0 && r.idle() && last.idle() {
		r.Times += last.Times
		*last = r
		if r.Ended.Since(h.told) < tellIdle {
			return false
		}
	} else {
		h.ring[h.n%keptRecords] = r
		h.n++
	}
	h.told = r.Ended
	return true
}

// tellIdle is how often subscribers are told of checkpoints that copy nothing.
const tellIdle = time.Second

// idle: nobody asked for it, and it has copied nothing.
func (r *CheckpointRecord) idle() bool { return r.Auto && r.Pages == 0 && r.Err == nil }

// Checkpoints returns the last checkpoints that did, or waited for, something,
// the oldest first: at most 64.
func (l *Log) Checkpoints() []CheckpointRecord {
	h := &l.stats.history
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []CheckpointRecord
	for i := max(0, h.n-keptRecords); i < h.n; i++ {
		list = append(list, h.ring[i%keptRecords])
	}
	return list
}

// record remembers a checkpoint that began at a moment and ended with err, and
// tells the subscribers.
func (c *checkpoint) record(begin coord.Moment, err error) {
	l := c.l
	if c.auto && c.r.Busy {
		return // another one is at work, and will be recorded
	}
	now := coord.Now()
	r := CheckpointRecord{CheckpointResult: c.r, Auto: c.auto, Ended: now, Duration: now.Since(begin), Pages: c.pages, Err: err}
	l.stats.checkpointTime.add(r.Duration)
	if !l.stats.history.enter(r) {
		return
	}
	l.emit(Event{Kind: EventCheckpoint, Mode: r.Mode, Auto: r.Auto, Pages: r.Pages, Frames: r.LogFrames, Backfilled: r.Backfilled,
		Duration: r.Duration, WaitedFor: r.WaitedFor, Err: err})
}

// timed is a backfill that stands for a whole PASSIVE checkpoint, and is recorded
// if it copied something or failed. REQUIRES the checkpoint lock.
func (c *checkpoint) timed(ctx context.Context) (done bool, err error) {
	begin := coord.Now()
	done, err = c.backfill(ctx)
	if c.pages > 0 || err != nil {
		c.count()
		c.record(begin, err)
	}
	return done, err
}
