// Pacing: an automatic checkpoint beside commits leaves the device to them.
//
// Copied at once, a thousand pages keep the device busy for tens of milliseconds,
// and every commit that syncs meanwhile waits behind them. So an automatic
// checkpoint copies a slice, syncs it, and waits until the log has grown by as
// much as fits: the work of copying is spread over the commits that caused it,
// and none of them finds more than one slice before its own sync.
//
// Invariants:
//
//  1. A wait ends: when the log has grown enough, or after a bounded time in
//     which it has not grown.
//  2. Nobody waits for one that is paced: who needs the checkpoint to end counts
//     itself in Log.hurry, and it goes on at full speed.
//  3. Nothing is published before all slices are synced: a slice's sync is early,
//     never the only one for what comes after it.

package wal

import (
	"fmt"
	"slices"
	"time"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

const (
	// sliceBytes is how much is copied between two waits: a few milliseconds of
	// random writes on a disk that does 20,000 a second.
	sliceBytes = 128 << 10
	// paceStep is how often a wait looks.
	paceStep = 200 * time.Microsecond
	// A wait in which the log does not grow lasts twice as long as the slice
	// took, so that a commit that comes now and then meets a busy device one time
	// in three; within these bounds.
	leastPause, mostPause = time.Millisecond, 20 * time.Millisecond
	// idleWaits waits in a row in which the log did not grow end the pacing, until
	// it grows again.
	idleWaits = 3
)

// pace is the pace of one copying.
type pace struct {
	l *Log
	// from is the end of the log when the copying began, and room how many frames
	// it may grow until the end of it.
	from walformat.FrameNo
	room float64
	// idle counts the waits since the log, which ended at last, has grown.
	idle int
	last walformat.FrameNo
	// began is when the slice did.
	began coord.Moment
}

// newPace paces the copying of frames frames. REQUIRES the checkpoint lock, so
// that the generation stays.
func newPace(l *Log, frames walformat.FrameNo) *pace {
	end := l.co.Published().MaxFrame
	// The end comes when the log has grown by half of what is copied: a series of
	// checkpoints, each of what came up during the one before, gets shorter and
	// shorter (see converges).
	return &pace{l: l, from: end, last: end, room: float64(frames) / 2, began: coord.Now()}
}

// slice is called after each slice but the last, when done of the total pages are
// written: it syncs them and waits, unless somebody waits for the end of it.
func (p *pace) slice(done, total int) error {
	if p.full() {
		return nil
	}
	if err := p.l.syncDB(); err != nil {
		return err
	}
	if p.l.sequential {
		return nil
	}
	pause := min(max(2*coord.Now().Since(p.began), leastPause), mostPause)
	enough := p.from + walformat.FrameNo(p.room*float64(done)/float64(total))
	for begin := coord.Now(); !p.full(); time.Sleep(paceStep) {
		if end := p.l.co.Published().MaxFrame; end != p.last {
			p.last, p.idle, begin = end, 0, coord.Now()
		}
		if p.last >= enough {
			break
		}
		if coord.Now().Since(begin) >= pause {
			p.idle++
			break
		}
	}
	p.began = coord.Now()
	return nil
}

// full reports whether the copying goes on at full speed.
func (p *pace) full() bool {
	if p.l.hurry.Load() > 0 {
		return true
	}
	if p.idle >= idleWaits && p.l.co.Published().MaxFrame != p.last {
		p.idle = 0
	}
	return p.idle >= idleWaits
}

// converges reports how many frames are left to copy, and whether another
// automatic checkpoint is to follow at once because that is too much for a restart
// that is due.
func (l *Log) converges(threshold walformat.FrameNo) (left walformat.FrameNo, again bool) {
	st := l.co.Published()
	left = st.MaxFrame - st.NBackfill
	return left, !l.sequential && l.isDue(st, threshold) && left > l.atOnce(threshold)
}

// atOnce is how many frames a restart that is due may copy while it keeps the
// writer waiting.
func (l *Log) atOnce(threshold walformat.FrameNo) walformat.FrameNo {
	return max(walformat.FrameNo(l.slicePages()), threshold/16)
}

// readersStay reports whether a reader of the log has been there for longer than a
// restart would wait for it, as far as is known: since it said that it began, or
// since the first look at it.
func (l *Log) readersStay() bool {
	now := coord.Now()
	return slices.ContainsFunc(l.co.ListReaders(), func(r coord.ReaderInfo) bool {
		return r.Mark > 0 && now.Since(r.Began) > restartHold
	})
}

// isDue reports whether the log is long enough for a restart that is made, rather
// than waited for.
func (l *Log) isDue(st *coord.State, threshold walformat.FrameNo) bool {
	return st.MaxFrame >= max(4*threshold, walformat.FrameNo(l.notDue.Load()))
}

// slicePages is how many pages make a slice.
func (l *Log) slicePages() int {
	return max(1, min(sliceBytes, l.cfg.sizes.batch())/(walformat.FrameHeaderSize+l.PageSize()))
}

// syncDB syncs the database file.
func (l *Log) syncDB() error {
	db := l.cfg.DB
	l.stats.dbSync.Add(1)
	begin := coord.Now()
	err := db.SyncData()
	took := coord.Now().Since(begin)
	l.stats.dbSyncTime.add(took)
	l.slow(EventSlowSync, took, Event{Database: true})
	if err != nil {
		return fmt.Errorf("sync %s: %w", db.Name(), err)
	}
	return nil
}
