// Those who wait for readers, and what must not overtake them.

package wal

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/coord"
)

// TestUpgradeBesideMaintenance: FULL, RESTART, TRUNCATE and a close refuse an
// upgrade while they have the writer's place, and while they wait for it.
func TestUpgradeBesideMaintenance(t *testing.T) {
	run := map[string]func(x *testLog) error{
		"close": func(x *testLog) error { return x.Close(true) },
	}
	for _, mode := range []CheckpointMode{Full, Restart, Truncate} {
		run[mode.String()] = func(x *testLog) error {
			r, err := x.Checkpoint(context.Background(), mode, CheckpointOptions{})
			if err == nil && r.Busy {
				err = errors.New("busy: " + r.WaitedFor)
			}
			return err
		}
	}
	for name, maintain := range run {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newLog(t)
				x.commit(SyncFull, 1, 2)
				refused := func(when string) {
					t.Helper()
					if _, err := x.requestUpgrade(x.acceptedState()); !errors.Is(err, coord.ErrBusy) {
						t.Errorf("%s: %v", when, err)
					}
				}
				done := make(chan error, 1)
				if name != "close" { // which does not wait for writers
					w := x.begin()
					other, err := x.RequestWrite(true)
					if err != nil {
						t.Fatal(err)
					}
					go func() { done <- maintain(x) }()
					synctest.Wait()
					refused("it is the second in the queue")
					other.Cancel()
					refused("it is in the queue")
					if err := w.Abandon(); err != nil {
						t.Fatal(err)
					}
					x.wantDone(done, nil)
					x.commit(SyncFull, 2, 2)
				}
				x.arm(faultdisk.OpSync, "/db")
				go func() { done <- maintain(x) }()
				<-x.entered
				refused("it has the place")
				x.disarm()
				x.release <- nil
				x.wantDone(done, nil)
				_, err := x.requestUpgrade(x.acceptedState())
				if name == "close" {
					if !errors.Is(err, errClosed) {
						t.Errorf("after the close: %v", err)
					}
					return
				}
				if err != nil {
					t.Errorf("after it: %v", err)
				}
				x.co.ReleaseWriter()
			})
		})
	}
}

// TestParkedCheckpoint: a checkpoint that is held up keeps everybody from a new
// generation; and if somebody were not kept from it, what the checkpoint has to
// publish would not get into that.
func TestParkedCheckpoint(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2, 3)
	x.arm(faultdisk.OpSync, "/db")
	done := make(chan error, 1)
	go func() { _, err := x.Checkpoint(context.Background(), Passive, CheckpointOptions{}); done <- err }()
	<-x.entered
	x.disarm()

	ctx, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()
	for _, mode := range []CheckpointMode{Restart, Truncate} {
		if r, err := x.Checkpoint(ctx, mode, CheckpointOptions{}); err != nil || !r.Busy || r.WaitedFor != "another checkpoint" {
			t.Errorf("%s beside it: %+v, %v", mode, r, err)
		}
	}
	x.commit(SyncFull, 2, 2)
	if st := x.published(); st.Gen != 1 || st.MaxFrame != 3 {
		t.Errorf("a writer beside it has published %+v", st)
	}

	// Its lock is broken by force.
	x.co.UnlockCheckpoint()
	x.checkpoint(Restart)
	x.commit(SyncFull, 3, 2)
	x.co.TryLockCheckpoint()
	x.release <- nil
	x.wantDone(done, nil)
	if st := x.published(); st.Gen != 2 || st.MaxFrame != 1 || st.NBackfill != 0 {
		t.Errorf("%+v: the old count of backfilled frames got into the new generation", st)
	}
}

// freeLock is a coordination that notes whether the checkpoint lock was free each
// time that the writer's place was given up.
type freeLock struct {
	coord.Coordinator
	was []bool
}

func (c *freeLock) ReleaseWriter() {
	free := c.TryLockCheckpoint()
	if free {
		c.UnlockCheckpoint()
	}
	c.was = append(c.was, free)
	c.Coordinator.ReleaseWriter()
}

// TestCheckpointGivesLockBeforePlace: whoever gets the writer's place after a
// checkpoint finds the checkpoint lock free, and so begins the log anew.
func TestCheckpointGivesLockBeforePlace(t *testing.T) {
	for _, mode := range []CheckpointMode{Full, Restart, Truncate} {
		x := newLog(t)
		x.commit(SyncFull, 1, 2)
		c := &freeLock{Coordinator: x.co}
		x.co = c
		x.checkpoint(mode)
		if len(c.was) != 1 || !c.was[0] {
			t.Errorf("%s: the lock was free when the place was given up: %v", mode, c.was)
		}
		x.commit(SyncFull, 2, 2)
		if got := x.Stats().Restarts; got != 1 {
			t.Errorf("%s: %d restarts", mode, got)
		}
	}
}
