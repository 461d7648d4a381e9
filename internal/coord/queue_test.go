// The writer's place: what of it only this implementation can be asked. The
// rules are in package coordtest.

package coord

import (
	"errors"
	"testing"
)

// place asks for the writer's place and must get it at once.
func place(t *testing.T, c *InProcess, kind RequestKind) {
	t.Helper()
	if r, err := c.RequestWriter(kind, c.queue.accepted, nil); r != nil || err != nil {
		t.Fatalf("the place is not free: %v", err)
	}
}

// queued asks for the place and must have to wait.
func queued(t *testing.T, c *InProcess, kind RequestKind) *Request {
	t.Helper()
	r, err := c.RequestWriter(kind, c.queue.accepted, nil)
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
