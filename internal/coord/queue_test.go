// The writer's place: first come, first served; who is turned away, and when;
// nothing is lost when somebody leaves.

package coord

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// place asks for the writer's place and must get it at once.
func place(t *testing.T, c *InProcess, kind RequestKind) {
	t.Helper()
	if r, err := c.RequestWriter(kind, c.queue.accepted); r != nil || err != nil {
		t.Fatalf("the place is not free: %v", err)
	}
}

// queued asks for the place and must have to wait.
func queued(t *testing.T, c *InProcess, kind RequestKind) *Request {
	t.Helper()
	r, err := c.RequestWriter(kind, c.queue.accepted)
	if r == nil || err != nil {
		t.Fatalf("not queued: %v", err)
	}
	return r
}

// answered returns the answer that must be there.
func answered(t *testing.T, r *Request) error {
	t.Helper()
	select {
	case err := <-r.Answer():
		return err
	default:
		t.Fatal("no answer yet")
		return nil
	}
}

func unanswered(t *testing.T, rs ...*Request) {
	t.Helper()
	for i, r := range rs {
		select {
		case err := <-r.Answer():
			t.Fatalf("request %d got the answer %v", i, err)
		default:
		}
	}
}

func TestQueueOrder(t *testing.T) {
	c := at(0, 0)
	place(t, c, WriteRequest)
	a, b, d := queued(t, c, WriteRequest), queued(t, c, MaintenanceRequest), queued(t, c, WriteRequest)
	if c.Queued() != 3 {
		t.Fatalf("%d in the queue", c.Queued())
	}
	for _, next := range []*Request{a, b, d} {
		unanswered(t, a, b, d)
		c.ReleaseWriter()
		if err := answered(t, next); err != nil {
			t.Fatal(err)
		}
	}
	c.ReleaseWriter()
	place(t, c, WriteRequest)
}

func TestQueueReleaseTwice(t *testing.T) {
	c := at(0, 0)
	place(t, c, WriteRequest)
	c.ReleaseWriter()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	c.ReleaseWriter()
}

func TestUpgradeStale(t *testing.T) {
	c := at(0, 0)
	// On entry.
	if _, err := c.RequestWriter(UpgradeRequest, 1); !errors.Is(err, ErrSnapshotStale) {
		t.Fatalf("on entry: %v", err)
	}
	// While it waits, as soon as somebody is accepted, and not before.
	place(t, c, WriteRequest)
	first, write := queued(t, c, UpgradeRequest), queued(t, c, WriteRequest)
	second := queued(t, c, UpgradeRequest)
	unanswered(t, first, write, second)
	c.Accepted(1)
	for _, r := range []*Request{first, second} {
		if err := answered(t, r); !errors.Is(err, ErrSnapshotStale) {
			t.Fatalf("after acceptance: %v", err)
		}
	}
	if c.Queued() != 1 {
		t.Fatalf("%d in the queue, want the writer only", c.Queued())
	}
	c.ReleaseWriter()
	if err := answered(t, write); err != nil {
		t.Fatal(err)
	}
	c.ReleaseWriter()
	// A holder that accepts nothing leaves an upgrade as good as it was.
	place(t, c, WriteRequest)
	up := queued(t, c, UpgradeRequest)
	c.ReleaseWriter()
	if err := answered(t, up); err != nil {
		t.Fatalf("when granted: %v", err)
	}
	c.ReleaseWriter()
}

// TestUpgradeStaleWhenGranted: the last check, whoever changed the state.
func TestUpgradeStaleWhenGranted(t *testing.T) {
	c := at(0, 0)
	place(t, c, WriteRequest)
	up, next := queued(t, c, UpgradeRequest), queued(t, c, WriteRequest)
	c.queue.mu.Lock()
	c.queue.accepted = 9
	c.queue.mu.Unlock()
	c.ReleaseWriter()
	if err := answered(t, up); !errors.Is(err, ErrSnapshotStale) {
		t.Fatal(err)
	}
	if err := answered(t, next); err != nil {
		t.Fatalf("the place did not go on: %v", err)
	}
}

// TestUpgradeBesideMaintenance: those who wait for readers and a reader that
// waits for them would wait for ever.
func TestUpgradeBesideMaintenance(t *testing.T) {
	c := at(0, 0)
	place(t, c, MaintenanceRequest)
	if _, err := c.RequestWriter(UpgradeRequest, 0); !errors.Is(err, ErrBusy) {
		t.Fatalf("maintenance has the place: %v", err)
	}
	c.ReleaseWriter()

	place(t, c, WriteRequest)
	w, m := queued(t, c, WriteRequest), queued(t, c, MaintenanceRequest)
	if _, err := c.RequestWriter(UpgradeRequest, 0); !errors.Is(err, ErrBusy) {
		t.Fatalf("maintenance is somewhere in the queue: %v", err)
	}
	m.Cancel()
	up := queued(t, c, UpgradeRequest)
	c.ReleaseWriter()
	if err := answered(t, w); err != nil {
		t.Fatal(err)
	}
	unanswered(t, up)
	c.ReleaseWriter()
	if err := answered(t, up); err != nil {
		t.Fatal(err)
	}
	// Maintenance that had the place and gave it up is forgotten.
	m = queued(t, c, MaintenanceRequest)
	c.ReleaseWriter()
	if err := answered(t, m); err != nil {
		t.Fatal(err)
	}
	c.ReleaseWriter()
	place(t, c, UpgradeRequest)
}

func TestQueueCancel(t *testing.T) {
	c := at(0, 0)
	place(t, c, WriteRequest)
	a, b, d := queued(t, c, WriteRequest), queued(t, c, WriteRequest), queued(t, c, WriteRequest)
	b.Cancel() // while it waits
	if c.Queued() != 2 {
		t.Fatalf("%d in the queue", c.Queued())
	}
	c.ReleaseWriter() // grants a, which has not looked yet
	a.Cancel()        // passes the place on
	if err := answered(t, d); err != nil {
		t.Fatal(err)
	}
	up := queued(t, c, UpgradeRequest)
	c.Accepted(1) // refuses up, which has not looked yet
	up.Cancel()
	c.ReleaseWriter()
	place(t, c, WriteRequest) // nothing was left behind
}

func TestQueueWait(t *testing.T) {
	c := at(0, 0)
	place(t, c, WriteRequest)
	r := queued(t, c, WriteRequest)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	r = queued(t, c, WriteRequest)
	done := make(chan error)
	go func() { done <- r.Wait(context.Background()) }()
	c.ReleaseWriter()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	c.ReleaseWriter()
	place(t, c, WriteRequest)
}

// TestQueueMany: many goroutines, with cancellations: the place has one holder
// at a time, everybody gets an answer, and it is free at the end.
func TestQueueMany(t *testing.T) {
	c := at(0, 0)
	var holders, seq, granted, stale, busy atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 400 {
				kind := RequestKind((g + i) % 3)
				r, err := c.RequestWriter(kind, CommitSeq(seq.Load()))
				if r != nil {
					ctx, cancel := context.WithCancel(context.Background())
					if i%5 == 0 {
						go cancel()
					}
					err = r.Wait(ctx)
					cancel()
				}
				switch {
				case errors.Is(err, ErrSnapshotStale):
					stale.Add(1)
				case errors.Is(err, ErrBusy):
					busy.Add(1)
				case errors.Is(err, context.Canceled):
				case err != nil:
					t.Error(err)
				default:
					if holders.Add(1) != 1 {
						t.Error("two holders of the writer's place")
					}
					granted.Add(1)
					if kind != MaintenanceRequest {
						c.Accepted(CommitSeq(seq.Add(1)))
					}
					holders.Add(-1)
					c.ReleaseWriter()
				}
			}
		})
	}
	wg.Wait()
	if c.Queued() != 0 || granted.Load() == 0 {
		t.Errorf("%d in the queue, %d granted", c.Queued(), granted.Load())
	}
	place(t, c, WriteRequest)
	t.Logf("%d granted, %d stale, %d busy", granted.Load(), stale.Load(), busy.Load())
}

func TestCheckpointLock(t *testing.T) {
	c := at(0, 0)
	if !c.TryLockCheckpoint() || c.TryLockCheckpoint() {
		t.Fatal("the lock is not one")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.LockCheckpoint(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- c.LockCheckpoint(context.Background()) }()
	c.UnlockCheckpoint()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	c.UnlockCheckpoint()
	if !c.TryLockCheckpoint() {
		t.Fatal("not free")
	}
}
