// Rules of the writer's place: first come, first served; who is turned away, and
// when; nothing is lost when somebody leaves.

package coordtest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/walnutdb/walnut/internal/coord"
)

// place asks for the writer's place and must get it at once.
func place(t *testing.T, c coord.Coordinator, kind coord.RequestKind) {
	t.Helper()
	if r, err := c.RequestWriter(kind, c.Published().Seq, nil); r != nil || err != nil {
		t.Fatalf("the place is not free: %v", err)
	}
}

// accepted makes a commit the newest, and publishes it.
func accepted(c coord.Coordinator, seq coord.CommitSeq) {
	c.Accepted(seq)
	c.Publish(func(s *coord.State) bool { s.Seq = seq; return true })
}

// queued asks for the place and must have to wait.
func queued(t *testing.T, c coord.Coordinator, kind coord.RequestKind) *coord.Request {
	t.Helper()
	r, err := c.RequestWriter(kind, c.Published().Seq, nil)
	if r == nil || err != nil {
		t.Fatalf("not queued: %v", err)
	}
	return r
}

// answered returns the answer that must be there.
func answered(t *testing.T, r *coord.Request) error {
	t.Helper()
	select {
	case err := <-r.Answer():
		return err
	default:
		t.Fatal("no answer yet")
		return nil
	}
}

func unanswered(t *testing.T, rs ...*coord.Request) {
	t.Helper()
	for i, r := range rs {
		select {
		case err := <-r.Answer():
			t.Fatalf("request %d got the answer %v", i, err)
		default:
		}
	}
}

func queueOrder(t *testing.T, b Backend) {
	c := b.at(t, 0, 0)
	place(t, c, coord.WriteRequest)
	first, second, third := queued(t, c, coord.WriteRequest), queued(t, c, coord.MaintenanceRequest), queued(t, c, coord.WriteRequest)
	if c.Queued() != 3 {
		t.Fatalf("%d in the queue", c.Queued())
	}
	for _, next := range []*coord.Request{first, second, third} {
		unanswered(t, first, second, third)
		c.ReleaseWriter()
		if err := answered(t, next); err != nil {
			t.Fatal(err)
		}
	}
	c.ReleaseWriter()
	place(t, c, coord.WriteRequest)
}

func upgradeStale(t *testing.T, b Backend) {
	c := b.at(t, 0, 0)
	// On entry.
	if _, err := c.RequestWriter(coord.UpgradeRequest, 1, nil); !errors.Is(err, coord.ErrSnapshotStale) {
		t.Fatalf("on entry: %v", err)
	}
	// While it waits, as soon as somebody is accepted, and not before.
	place(t, c, coord.WriteRequest)
	first, write := queued(t, c, coord.UpgradeRequest), queued(t, c, coord.WriteRequest)
	second := queued(t, c, coord.UpgradeRequest)
	unanswered(t, first, write, second)
	accepted(c, 1)
	for _, r := range []*coord.Request{first, second} {
		if err := answered(t, r); !errors.Is(err, coord.ErrSnapshotStale) {
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
	place(t, c, coord.WriteRequest)
	up := queued(t, c, coord.UpgradeRequest)
	c.ReleaseWriter()
	if err := answered(t, up); err != nil {
		t.Fatalf("when granted: %v", err)
	}
	c.ReleaseWriter()
}

// upgradeBesideHold: a writer that waits for readers is no other; upgrades that
// wait behind it are turned away, and those that come, until it has waited.
func upgradeBesideHold(t *testing.T, b Backend) {
	c := b.at(t, 0, 0)
	place(t, c, coord.WriteRequest)
	w, up := queued(t, c, coord.WriteRequest), queued(t, c, coord.UpgradeRequest)
	c.Hold()
	if err := answered(t, up); !errors.Is(err, coord.ErrBusy) {
		t.Fatalf("an upgrade behind one who waits for readers: %v", err)
	}
	unanswered(t, w)
	if _, err := c.RequestWriter(coord.UpgradeRequest, 0, nil); !errors.Is(err, coord.ErrBusy) {
		t.Fatalf("one who waits for readers has the place: %v", err)
	}
	c.Unhold()
	late := queued(t, c, coord.UpgradeRequest)
	late.Cancel()
	c.Hold()
	c.ReleaseWriter() // ends the hold too
	if err := answered(t, w); err != nil {
		t.Fatal(err)
	}
	queued(t, c, coord.UpgradeRequest).Cancel()
	c.ReleaseWriter()
}

// claims: who has the place and who waits is told in order, and forgotten.
func claims(t *testing.T, b Backend) {
	c := b.at(t, 0, 0)
	var first, second coord.Claim
	first.Who.Label, second.Who.SQL = "first", "second"
	if r, err := c.RequestWriter(coord.WriteRequest, 0, &first); r != nil || err != nil {
		t.Fatal(r, err)
	}
	r, err := c.RequestWriter(coord.MaintenanceRequest, 0, &second)
	if r == nil || err != nil {
		t.Fatal(r, err)
	}
	l := c.ListWriters()
	if len(l) != 2 || l[0].Who.Label != "first" || l[0].Waiting || l[0].Granted == 0 || l[1].Who.SQL != "second" || !l[1].Waiting || l[1].Granted != 0 || l[1].Kind != coord.MaintenanceRequest {
		t.Errorf("%+v", l)
	}
	if !c.MaintenanceQueued() {
		t.Error("a checkpoint waits, and is not seen")
	}
	c.ReleaseWriter()
	if err := answered(t, r); err != nil {
		t.Fatal(err)
	}
	if l := c.ListWriters(); len(l) != 1 || l[0].Who.SQL != "second" || l[0].Waiting || l[0].Granted < l[0].Asked || c.MaintenanceQueued() {
		t.Errorf("%+v", l)
	}
	c.ReleaseWriter()
	if l := c.ListWriters(); len(l) != 0 {
		t.Errorf("%+v", l)
	}
}

// upgradeBesideMaintenance: those who wait for readers and a reader that
// waits for them would wait for ever.
func upgradeBesideMaintenance(t *testing.T, b Backend) {
	c := b.at(t, 0, 0)
	place(t, c, coord.MaintenanceRequest)
	if _, err := c.RequestWriter(coord.UpgradeRequest, 0, nil); !errors.Is(err, coord.ErrBusy) {
		t.Fatalf("maintenance has the place: %v", err)
	}
	c.ReleaseWriter()

	place(t, c, coord.WriteRequest)
	w, m := queued(t, c, coord.WriteRequest), queued(t, c, coord.MaintenanceRequest)
	if _, err := c.RequestWriter(coord.UpgradeRequest, 0, nil); !errors.Is(err, coord.ErrBusy) {
		t.Fatalf("maintenance is somewhere in the queue: %v", err)
	}
	m.Cancel()
	up := queued(t, c, coord.UpgradeRequest)
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
	m = queued(t, c, coord.MaintenanceRequest)
	c.ReleaseWriter()
	if err := answered(t, m); err != nil {
		t.Fatal(err)
	}
	c.ReleaseWriter()
	place(t, c, coord.UpgradeRequest)
}

func queueCancel(t *testing.T, b Backend) {
	c := b.at(t, 0, 0)
	place(t, c, coord.WriteRequest)
	first, second, third := queued(t, c, coord.WriteRequest), queued(t, c, coord.WriteRequest), queued(t, c, coord.WriteRequest)
	second.Cancel() // while it waits
	if c.Queued() != 2 {
		t.Fatalf("%d in the queue", c.Queued())
	}
	c.ReleaseWriter() // grants the first, which has not looked yet
	first.Cancel()    // passes the place on
	if err := answered(t, third); err != nil {
		t.Fatal(err)
	}
	up := queued(t, c, coord.UpgradeRequest)
	accepted(c, 1) // refuses up, which has not looked yet
	up.Cancel()
	c.ReleaseWriter()
	place(t, c, coord.WriteRequest) // nothing was left behind
}

func queueWait(t *testing.T, b Backend) {
	c := b.at(t, 0, 0)
	place(t, c, coord.WriteRequest)
	r := queued(t, c, coord.WriteRequest)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	r = queued(t, c, coord.WriteRequest)
	done := make(chan error)
	go func() { done <- r.Wait(context.Background()) }()
	c.ReleaseWriter()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	c.ReleaseWriter()
	place(t, c, coord.WriteRequest)
}

// queueMany: many goroutines, with cancellations: the place has one holder
// at a time, everybody gets an answer, and it is free at the end.
func queueMany(t *testing.T, b Backend) {
	c := b.at(t, 0, 0)
	var holders, seq, granted, stale, busy atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 400 {
				kind := coord.RequestKind((g + i) % 3)
				r, err := c.RequestWriter(kind, coord.CommitSeq(seq.Load()), nil)
				if r != nil {
					ctx, cancel := context.WithCancel(context.Background())
					if i%5 == 0 {
						go cancel()
					}
					err = r.Wait(ctx)
					cancel()
				}
				switch {
				case errors.Is(err, coord.ErrSnapshotStale):
					stale.Add(1)
				case errors.Is(err, coord.ErrBusy):
					busy.Add(1)
				case errors.Is(err, context.Canceled):
				case err != nil:
					t.Error(err)
				default:
					if holders.Add(1) != 1 {
						t.Error("two holders of the writer's place")
					}
					granted.Add(1)
					if kind != coord.MaintenanceRequest {
						c.Accepted(coord.CommitSeq(seq.Add(1)))
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
	place(t, c, coord.WriteRequest)
	t.Logf("%d granted, %d stale, %d busy", granted.Load(), stale.Load(), busy.Load())
}

func checkpointLock(t *testing.T, b Backend) {
	c := b.at(t, 0, 0)
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
