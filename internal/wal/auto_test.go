// Automatic checkpoints in the background, and who waits for them.

package wal

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walnutdb/walnut/disk/faultdisk"
)

// In a bubble of synctest, an hour passes when nothing else goes on.

// heldAuto returns a log whose automatic checkpoint is held up in its last sync.
func heldAuto(t *testing.T) *testLog {
	t.Helper()
	x := newLog(t)
	x.d.AllowBackground()
	x.sequential = false
	x.commit(SyncFull, 1, 2)
	x.arm(faultdisk.OpSync, "/db")
	x.commitAuto(context.Background(), 2)
	<-x.entered
	x.disarm()
	return x
}

// commitAuto commits with a threshold of one frame.
func (x *testLog) commitAuto(ctx context.Context, version uint32) {
	x.t.Helper()
	w := x.begin()
	if err := w.Reserve(1); err != nil {
		x.t.Fatal(err)
	}
	_, err := w.Commit(ctx, []Frame{{Page: 2, Data: pageData(2, version)}}, 2, CommitOptions{AutoCheckpoint: 1})
	if err != nil {
		x.t.Error(err)
	}
}

// TestPassiveBehindAutomatic: a PASSIVE that waits for an automatic checkpoint
// does not then wait for another one that waits for readers.
func TestPassiveBehindAutomatic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := heldAuto(t)
		m, _ := x.Coordinator().BeginRead()
		x.commit(SyncFull, 3, 2)
		full, passive := make(chan error, 1), make(chan CheckpointResult, 1)
		go func() { _, err := x.Checkpoint(context.Background(), Full, CheckpointOptions{}); full <- err }()
		synctest.Wait()
		go func() {
			r, err := x.Checkpoint(context.Background(), Passive, CheckpointOptions{})
			if err != nil {
				t.Error(err)
			}
			passive <- r
		}()
		synctest.Wait()
		x.release <- nil
		<-time.After(time.Hour)
		select {
		case r := <-passive:
			if !r.Busy || r.WaitedFor != "another checkpoint" {
				t.Errorf("%+v", r)
			}
		default:
			t.Error("PASSIVE waits for a FULL that waits for a reader")
		}
		x.Coordinator().EndRead(m)
		x.wantDone(full, nil)
	})
}

// TestTruncateBehindAutomatic: the bound on the waits for others ends neither
// the wait for an automatic checkpoint, which nobody has asked for, nor the
// checkpoint's own work.
func TestTruncateBehindAutomatic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := heldAuto(t)
		x.commit(SyncFull, 3, 2)
		release := x.release
		x.d.SetHook(func(i faultdisk.OpInfo) error {
			if i.Op == faultdisk.OpSync {
				<-time.After(time.Hour)
			}
			return nil
		})
		go func() { <-time.After(time.Hour); release <- nil }()
		r, err := x.Checkpoint(context.Background(), Truncate, CheckpointOptions{Wait: time.Millisecond})
		if err != nil || r.Busy || x.published().MaxFrame != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		x.wantDB(2, 3)
		x.d.SetHook(nil)
	})
}

// TestCommitGivesUpBackpressure: a commit that waits for an automatic
// checkpoint to keep up, with its own part done, waits no longer than its
// context lasts.
func TestCommitGivesUpBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := heldAuto(t)
		x.commitAuto(context.Background(), 3)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		done, began := make(chan time.Duration, 1), time.Now()
		go func() { x.commitAuto(ctx, 4); done <- time.Since(began) }()
		<-time.After(time.Hour)
		select {
		case waited := <-done:
			if waited != time.Second {
				t.Errorf("it waited %v", waited)
			}
		default:
			t.Error("it waits for the checkpoint still")
		}
		x.release <- nil
		synctest.Wait()
	})
}

// TestRestartHoldsForShortReaders: a writer whose restart is due waits a moment
// for readers of the log, and begins it anew if they go. If one stays, it goes on
// without, and no writer waits again before the log has grown by as much.
func TestRestartHoldsForShortReaders(t *testing.T) {
	for _, short := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			x := newLog(t)
			x.commit(SyncFull, 1, 2)
			m, _ := x.Coordinator().BeginRead() // in the log: nothing is copied
			for i := range uint32(6) {
				x.commitAuto(context.Background(), 2+i)
			}
			if x.restartDue.Load() == 0 || x.Stats().Restarts != 0 {
				t.Fatalf("no restart is due with %d frames", x.published().MaxFrame)
			}
			begun := make(chan *Writer, 1)
			start := time.Now()
			go func() { begun <- x.begin() }()
			synctest.Wait() // it holds the place
			if !short {
				defer x.Coordinator().EndRead(m)
			} else {
				x.Coordinator().EndRead(m)
			}
			w := <-begun
			held, restarts := time.Since(start), x.Stats().Restarts
			if short && (restarts != 1 || held > restartHold) || !short && (restarts != 0 || held < restartHold) {
				t.Errorf("short reader %v: held for %v, %d restarts", short, held, restarts)
			}
			if err := w.Abandon(); err != nil {
				t.Fatal(err)
			}
			// The threshold is one frame: after one more it is tried again.
			start = time.Now()
			if w = x.begin(); time.Since(start) > 0 {
				t.Error("held again with nothing new in the log")
			}
			_ = w.Abandon()
			x.wantPage(2, 7)
		})
	}
}
