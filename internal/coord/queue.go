// The writer's place and its queue: strictly first come, first served.
//
// Invariants: while the place is held, held is true and at most one request
// has been granted and not yet released. Whoever is in the queue has got no
// answer. An Upgrade in the queue has the newest accepted commit as its base.

package coord

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// RequestKind says what the writer's place is wanted for.
type RequestKind uint8

const (
	// WriteRequest: a transaction that has no snapshot yet; it reads the
	// newest accepted state once the place is granted.
	WriteRequest RequestKind = iota
	// UpgradeRequest: a read transaction that wants to write. It is refused
	// with ErrSnapshotStale as soon as its base is not the newest accepted
	// state, and with ErrBusy if somebody who waits for readers (it is one)
	// has the place or waits for it.
	UpgradeRequest
	// MaintenanceRequest: a checkpoint or a close that keeps writers out while
	// it waits for readers.
	MaintenanceRequest
)

// Request is one wait for the writer's place.
type Request struct {
	q    *queue
	kind RequestKind
	base CommitSeq
	// answer gets one value, once: nil when the place is granted.
	answer chan error
	claim  *Claim
}

// Claim says who asks for the writer's place.
type Claim struct {
	Who Who
	// asked and granted are when. Guarded by the queue's mutex.
	asked, granted Moment
}

// Waited is how long the claim waited for the place, which it has.
func (c *Claim) Waited() time.Duration { return c.granted.Since(c.asked) }

// WriterInfo describes who has the writer's place or waits for it.
type WriterInfo struct {
	Who  Who
	Kind RequestKind
	// Asked is when the place was asked for, and Granted when it was granted; 0
	// while it is not.
	Asked, Granted Moment
	// Waiting: it is in the queue. Holding: it has the place, and waits for readers
	// before it goes on.
	Waiting, Holding bool
}

// Answer is received from once: nil grants the place, an error ends the wait.
// Whoever received from it must not call Cancel.
func (r *Request) Answer() <-chan error { return r.answer }

// Cancel ends the wait; a place that was granted meanwhile is passed on.
func (r *Request) Cancel() {
	q := r.q
	q.mu.Lock()
	defer q.mu.Unlock()
	q.assertLocked()
	for i, w := range q.waiting {
		if w == r {
			q.remove(i)
			return
		}
	}
	if err := <-r.answer; err == nil {
		q.releaseLocked()
	}
}

// Wait waits for the answer or for the end of ctx.
func (r *Request) Wait(ctx context.Context) error {
	select {
	case err := <-r.answer:
		return err
	case <-ctx.Done():
		r.Cancel()
		return ctx.Err()
	}
}

type queue struct {
	// mu guards all fields. It is a leaf: no other lock is taken under it.
	mu sync.Mutex
	// held: somebody has the place, as kind says. holder is who, if known.
	held   bool
	kind   RequestKind
	holder *Claim
	// holding: the holder waits for readers.
	holding bool
	// accepted is the newest accepted commit.
	accepted CommitSeq
	waiting  []*Request
	// maintenance counts the waiting requests of that kind.
	maintenance int
}

func (q *queue) request(kind RequestKind, base CommitSeq, claim *Claim) (*Request, error) {
	if claim != nil {
		claim.asked, claim.granted = Now(), 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.assertLocked()
	if kind == UpgradeRequest {
		if base != q.accepted {
			return nil, ErrSnapshotStale
		}
		if q.maintenance > 0 || q.held && (q.kind == MaintenanceRequest || q.holding) {
			return nil, errReaderInTheWay()
		}
	}
	if !q.held {
		q.grant(kind, claim, claim.askedAt())
		return nil, nil
	}
	r := &Request{q: q, kind: kind, base: base, answer: make(chan error, 1), claim: claim}
	q.waiting = append(q.waiting, r)
	if kind == MaintenanceRequest {
		q.maintenance++
	}
	return r, nil
}

func errReaderInTheWay() error {
	return fmt.Errorf("%w: a checkpoint waits for readers to end, and this transaction is one", ErrBusy)
}

func (c *Claim) askedAt() Moment {
	if c == nil {
		return 0
	}
	return c.asked
}

// grant gives the place, at a moment. REQUIRES mu.
func (q *queue) grant(kind RequestKind, claim *Claim, at Moment) {
	q.held, q.kind, q.holder = true, kind, claim
	if claim != nil {
		claim.granted = at
	}
}

// hold turns away the upgrades that wait, and those that come until unhold.
func (q *queue) hold() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.holding = true
	for i := 0; i < len(q.waiting); {
		if r := q.waiting[i]; r.kind == UpgradeRequest {
			q.remove(i)
			r.answer <- errReaderInTheWay()
			continue
		}
		i++
	}
	q.assertLocked()
}

func (q *queue) unhold() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.holding = false
	q.assertLocked()
}

func (q *queue) list() (list []WriterInfo) {
	q.mu.Lock()
	defer q.mu.Unlock()
	add := func(kind RequestKind, c *Claim, waiting bool) {
		i := WriterInfo{Kind: kind, Waiting: waiting, Holding: !waiting && q.holding}
		if c != nil {
			i.Who, i.Asked, i.Granted = c.Who, c.asked, c.granted
		}
		list = append(list, i)
	}
	if q.held {
		add(q.kind, q.holder, false)
	}
	for _, r := range q.waiting {
		add(r.kind, r.claim, true)
	}
	return list
}

// remove takes waiting[i] out. REQUIRES mu.
func (q *queue) remove(i int) {
	r := q.waiting[i]
	if r.kind == MaintenanceRequest {
		q.maintenance--
	}
	copy(q.waiting[i:], q.waiting[i+1:])
	q.waiting[len(q.waiting)-1] = nil
	q.waiting = q.waiting[:len(q.waiting)-1]
}

func (q *queue) accept(seq CommitSeq) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.assertLocked()
	q.accepted = seq
	for i := 0; i < len(q.waiting); {
		if r := q.waiting[i]; r.kind == UpgradeRequest && r.base != seq {
			q.remove(i)
			r.answer <- ErrSnapshotStale
			continue
		}
		i++
	}
}

func (q *queue) release() {
	q.mu.Lock()
	q.releaseLocked()
	q.assertLocked()
	q.mu.Unlock()
}

func (q *queue) releaseLocked() {
	if !q.held {
		panic("coord: the writer's place was given back twice")
	}
	q.held, q.holding, q.holder = false, false, nil
	for len(q.waiting) > 0 && !q.held {
		r := q.waiting[0]
		q.remove(0)
		if r.kind == UpgradeRequest && r.base != q.accepted {
			r.answer <- ErrSnapshotStale
			continue
		}
		at := Moment(0)
		if r.claim != nil {
			at = Now()
		}
		q.grant(r.kind, r.claim, at)
		r.answer <- nil
	}
}

func (q *queue) len() (all, maintenance int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.assertLocked()
	return len(q.waiting), q.maintenance
}
