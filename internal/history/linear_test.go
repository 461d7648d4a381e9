// The history as a key-value store: every transaction is one operation, which
// must be able to take effect in one instant, between its call and its return.
// This is porcupine's judgement, which knows nothing of the chain of versions
// that check_test.go builds.
//
// A transaction that only reads takes effect in its beginning, one that commits
// in its commit, one that held the writer's place and committed nothing anywhere
// between its beginning and its end. A commit whose outcome is not known has no
// return, if somebody has seen it; else it may never have taken effect. A crash ends one such history and begins another, with what was there
// after it.

package history

import (
	"fmt"
	"math"
	"time"

	"github.com/anishathalye/porcupine"
)

// keyValue is the model. Its state is a state.
func keyValue(begin state) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return begin },
		Step: func(s, input, _ any) (bool, any) {
			st, op := s.(state), input.(*operation)
			for _, a := range op.reads {
				if st.tags[a.page] != a.got {
					return false, st
				}
			}
			if op.made != nil {
				st = op.made.over(st)
			}
			return true, st
		},
	}
}

// operation is one transaction.
type operation struct {
	tx        *txRec
	call, ret int
	reads     []access
	made      *writes
	// counts: it has read something, and its reads are of a state that was
	// published.
	counts bool
}

// never is the return of what has not returned.
const never = math.MaxInt

// linearizable asks porcupine about each epoch; bases has the state at the
// beginning of each.
func linearizable(events []event, bases []state) error {
	epoch := 0
	seen := map[tag]bool{} // in this epoch
	ops := map[*txRec]*operation{}
	var list []*operation
	judge := func() error {
		defer func() { clear(ops); clear(seen); list = nil }()
		var history []porcupine.Operation
		for _, o := range list {
			if o.counts && (o.made == nil || o.ret != never || seen[o.tx.head]) {
				history = append(history, porcupine.Operation{ClientId: o.tx.actor, Input: o, Call: int64(o.call), Return: int64(o.ret)})
			}
		}
		if porcupine.CheckOperationsTimeout(keyValue(bases[epoch]), history, time.Minute) == porcupine.Illegal {
			return fmt.Errorf("NOT LINEARIZABLE: no order of the transactions since the database was opened for the %d. time explains what they read", epoch+1)
		}
		return nil
	}
	for _, e := range events {
		o := ops[e.tx]
		if o == nil && e.tx != nil {
			o = &operation{tx: e.tx, ret: never}
			ops[e.tx], list = o, append(list, o)
		}
		switch e.kind {
		case evBegin:
			o.call = e.step
		case evBegun:
			o.ret = e.step
		case evSeen:
			o.reads = append(o.reads, access{page: headPage, got: e.tx.base})
			o.counts, seen[e.tx.base] = !e.writes, true
		case evRead:
			if !e.isOwn {
				o.reads = append(o.reads, e.access)
			}
		case evCommit:
			o.call, o.ret, o.made, o.counts = e.step, never, &e.tx.made, true
		case evCommitted:
			o.ret = e.step
		case evRefused:
			o.counts = false
		case evEnded:
			if e.writes {
				o.ret, o.counts = e.step, true
			}
		case evFailed:
			o.counts = o.counts && !e.writes
		case evPower, evKill, evReopen:
			if err := judge(); err != nil {
				return err
			}
			epoch++
		}
	}
	return judge()
}
