// The pace of automatic checkpoints: how much they copy beside commits, and who
// makes them hurry.

package wal

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// pacedLog has 40 pages to copy, in slices of four, on a disk whose syncs of the
// database file take so long. It returns how many there were.
func pacedLog(t *testing.T, syncTime time.Duration) (*testLog, func() uint64) {
	t.Helper()
	x := newLog(t)
	x.d.AllowBackground()
	x.sequential = false
	x.smallBatches()
	x.commit(SyncFull, 1, manyPages()...)
	x.d.SetHook(func(i faultdisk.OpInfo) error {
		if i.Op == faultdisk.OpSync && i.Name == dbName {
			<-time.After(syncTime)
		}
		return nil
	})
	begun := x.Stats().DBSyncs
	return x, func() uint64 { return x.Stats().DBSyncs - begun }
}

// grow commits n frames.
func (x *testLog) grow(n int, version uint32) {
	x.t.Helper()
	x.commit(SyncFull, version, slices.Repeat([]walformat.PageNo{2}, n)...)
}

// TestPaceFollowsTheLog: the next slice is copied when the log has grown by half a
// slice, and the syncs are one for each slice. What came up meanwhile is left to
// the next checkpoint, and nothing is published before the end.
func TestPaceFollowsTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, syncs := pacedLog(t, leastPause)
		x.beginAutoCheckpoint(1 << 20)
		for slice := uint64(1); slice <= 10; slice++ {
			time.Sleep(leastPause + 2*paceStep) // the sync, and two looks: less than a pause
			if got := syncs(); got != slice || x.published().NBackfill != 0 && slice < 10 {
				t.Fatalf("%d slices are copied, want %d; %d frames are backfilled", got, slice, x.published().NBackfill)
			}
			if slice < 10 {
				x.grow(2, 2)
			}
		}
		synctest.Wait()
		if st := x.published(); st.NBackfill != 40 || st.MaxFrame != 58 {
			t.Errorf("%d of %d frames are backfilled", st.NBackfill, st.MaxFrame)
		}
	})
}

// TestPaceOfAnIdleLog: a pause without a commit is bounded by twice the time of a
// slice, and after a few of them the rest is copied at once, with one sync, until
// there are commits again.
func TestPaceOfAnIdleLog(t *testing.T) {
	for _, c := range []struct{ sync, pause time.Duration }{
		{0, leastPause}, {3 * time.Millisecond, 6 * time.Millisecond}, {time.Second, mostPause},
	} {
		synctest.Test(t, func(t *testing.T) {
			x, syncs := pacedLog(t, c.sync)
			begin := time.Now()
			x.beginAutoCheckpoint(1 << 20)
			x.background.Wait()
			most := idleWaits*(c.sync+c.pause+paceStep) + c.sync
			if took := time.Since(begin); syncs() != idleWaits+1 || took > most || took < most-idleWaits*paceStep {
				t.Errorf("syncs of %v: %d in %v, want %d in %v", c.sync, syncs(), took, idleWaits+1, most)
			}
			x.wantDB(41, 1)
		})
	}
	// Growth that is enough for the next slice begins the count of pauses anew.
	synctest.Test(t, func(t *testing.T) {
		x, syncs := pacedLog(t, 0)
		x.beginAutoCheckpoint(1 << 20)
		for syncs() < 3 {
			time.Sleep(paceStep / 2)
		}
		x.grow(6, 2)
		x.background.Wait()
		if want := uint64(3 + idleWaits + 1); syncs() != want {
			t.Errorf("after two pauses and a commit: %d syncs, want %d", syncs(), want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		x, syncs := pacedLog(t, 0)
		commits := 0
		x.d.SetHook(func(i faultdisk.OpInfo) error {
			// In the seventh slice, at full speed since the fourth, there is a commit.
			if i.Op&faultdisk.OpWrite != 0 && i.Name == dbName && i.Off == 24*testPage+testPage {
				commits++
				go x.grow(1, 2)
				<-time.After(time.Millisecond)
			}
			return nil
		})
		x.beginAutoCheckpoint(1 << 20)
		x.background.Wait()
		if commits != 1 || syncs() < idleWaits+3 {
			t.Errorf("%d commits, %d syncs: it does not slow down again", commits, syncs())
		}
	})
}

// TestNobodyWaitsForThePace: whoever needs the checkpoint to end makes it go on at
// full speed.
func TestNobodyWaitsForThePace(t *testing.T) {
	ctx := context.Background()
	for name, act := range map[string]func(x *testLog){
		"passive": func(x *testLog) {
			if r, err := x.Checkpoint(ctx, Passive, CheckpointOptions{}); err != nil || r.Busy {
				x.t.Errorf("%+v, %v", r, err)
			}
		},
		"truncate": func(x *testLog) { x.checkpoint(Truncate) },
		"commit that must wait": func(x *testLog) {
			w := x.begin()
			if err := w.Reserve(1); err != nil {
				x.t.Fatal(err)
			}
			if _, err := w.Commit(ctx, []Frame{{Page: 2, Data: pageData(2, 3)}}, 41, CommitOptions{AutoCheckpoint: 1}); err != nil {
				x.t.Error(err)
			}
		},
		"held writer": func(x *testLog) {
			x.SetLimits(Limits{LogBytes: 40 * (testPage + walformat.FrameHeaderSize), WriterHold: time.Minute})
			if err := x.begin().Abandon(); err != nil || x.Stats().Restarts != 1 {
				x.t.Errorf("%v, %d restarts", err, x.Stats().Restarts)
			}
		},
		"close": func(x *testLog) {
			if err := x.Close(true); err != nil {
				x.t.Error(err)
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			x, syncs := pacedLog(t, time.Second)
			x.beginAutoCheckpoint(1 << 20)
			time.Sleep(time.Second + mostPause/2)
			if syncs() != 1 {
				t.Fatalf("%s: %d slices", name, syncs())
			}
			begin := time.Now()
			act(x)
			// The sync at the end, and that of a copy of their own.
			if took := time.Since(begin); took > 2*time.Second+mostPause/2 || x.hurry.Load() != 0 && name != "close" {
				t.Errorf("%s: took %v after %d syncs, %d hurry", name, took, syncs(), x.hurry.Load())
			}
			x.d.SetHook(nil)
		})
	}
}

// TestRestartConverges: a checkpoint that makes a restart due is followed by others,
// each of what came up during the one before, until little is left for the writer
// that waits for the restart. Where a reader keeps more than that from being copied,
// there are no more of them, and a restart is due only if the reader began a moment
// ago.
func TestRestartConverges(t *testing.T) {
	const threshold = 10
	for _, c := range []struct {
		name string
		// age is that of a reader; 0: there is none.
		age time.Duration
	}{{"no reader", 0}, {"short reader", 1}, {"reader that stays", time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			x, _ := pacedLog(t, 0)
			co := x.Coordinator()
			var r coord.Reader
			if c.age > 0 {
				time.Sleep(time.Minute)
				m, st := co.BeginRead()
				if c.age > restartHold {
					co.Enter(&r, m, st, coord.Who{}, coord.Now())
					defer co.Leave(&r)
				} else { // it is about to enter when the checkpoint ends
					defer co.EndRead(m)
				}
				time.Sleep(c.age)
				x.grow(30, 2)
			}
			x.beginAutoCheckpoint(threshold)
			// Never at the moment of its looks: a commit beside the end of the last
			// checkpoint would make the restart.
			time.Sleep(paceStep / 2)
			synctest.Wait()
			for i := 0; len(x.auto) > 0; i++ {
				x.commit(SyncFull, 3, walformat.PageNo(2+i%40))
				time.Sleep(paceStep)
				synctest.Wait()
			}
			due, notDue, st := x.restartDue.Load(), x.notDue.Load(), x.Stats()
			left := st.Published.MaxFrame - st.Published.NBackfill
			switch c.age {
			case 0:
				if due != threshold || left > x.atOnce(threshold)+1 || st.Checkpoints < 3 {
					t.Errorf("%s: due at %d, %d frames are left by %d checkpoints", c.name, due, left, st.Checkpoints)
				}
				x.grow(1, 4)
				if st := x.Stats(); st.Restarts != 1 || st.Published.MaxFrame != 1 {
					t.Errorf("%s: %d restarts, the log has %d frames", c.name, st.Restarts, st.Published.MaxFrame)
				}
			case 1:
				if due != threshold || left < 30 || st.Checkpoints != 1 {
					t.Errorf("%s: due at %d, %d frames are left by %d checkpoints", c.name, due, left, st.Checkpoints)
				}
			default:
				if due != 0 || notDue < 41+30+threshold || st.Checkpoints != 1 {
					t.Errorf("%s: due at %d, not before %d, %d checkpoints", c.name, due, notDue, st.Checkpoints)
				}
			}
		})
	}
}
