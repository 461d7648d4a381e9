// In-process coordination: all connections of the database are in this
// process, and [Exclude] keeps every other process out.

package coord

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/walnutdb/walnut/internal/invariants"
)

// InProcess is the [Coordinator] of a database that only this process uses.
type InProcess struct {
	// published changes only under pubMu; it is loaded without a lock.
	published atomic.Pointer[State]
	pubMu     sync.Mutex

	marks    marks
	registry registry
	queue    queue
	// again sends a reader round once more, with assertions on.
	again invariants.Chance
	// ckpt is the checkpoint lock: full while it is held.
	ckpt chan struct{}
}

var _ Coordinator = (*InProcess)(nil)

// NewInProcess returns a coordinator that has published st.
func NewInProcess(st State) *InProcess {
	c := &InProcess{ckpt: make(chan struct{}, 1)}
	c.published.Store(&st)
	c.queue.accepted = st.Seq
	c.registry.init()
	return c
}

// EarlyRelease implements [Coordinator].
func (c *InProcess) EarlyRelease() bool { return true }

// Published implements [Coordinator].
func (c *InProcess) Published() *State { return c.published.Load() }

// Publish implements [Coordinator].
func (c *InProcess) Publish(update func(*State) bool) bool {
	c.pubMu.Lock()
	defer c.pubMu.Unlock()
	old := c.published.Load()
	next := *old
	if !update(&next) {
		return false
	}
	assertNext(old, &next)
	c.published.Store(&next)
	return true
}

// RequestWriter implements [Coordinator].
func (c *InProcess) RequestWriter(kind RequestKind, base CommitSeq, claim *Claim) (*Request, error) {
	return c.queue.request(kind, base, claim)
}

// Hold implements [Coordinator].
func (c *InProcess) Hold() { c.queue.hold() }

// Unhold implements [Coordinator].
func (c *InProcess) Unhold() { c.queue.unhold() }

// ListWriters implements [Coordinator].
func (c *InProcess) ListWriters() []WriterInfo { return c.queue.list() }

// Accepted implements [Coordinator].
func (c *InProcess) Accepted(seq CommitSeq) { c.queue.accept(seq) }

// ReleaseWriter implements [Coordinator].
func (c *InProcess) ReleaseWriter() { c.queue.release() }

// Queued implements [Coordinator].
func (c *InProcess) Queued() int { all, _ := c.queue.len(); return all }

// MaintenanceQueued implements [Coordinator].
func (c *InProcess) MaintenanceQueued() bool { _, n := c.queue.len(); return n > 0 }

// LockCheckpoint implements [Coordinator]. A lock that is free is taken also
// when ctx has ended, so that the wait is not blamed on another checkpoint.
func (c *InProcess) LockCheckpoint(ctx context.Context) error {
	if c.TryLockCheckpoint() {
		return nil
	}
	select {
	case c.ckpt <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TryLockCheckpoint implements [Coordinator].
func (c *InProcess) TryLockCheckpoint() bool {
	select {
	case c.ckpt <- struct{}{}:
		return true
	default:
		return false
	}
}

// UnlockCheckpoint implements [Coordinator].
func (c *InProcess) UnlockCheckpoint() { <-c.ckpt }
