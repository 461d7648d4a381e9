// Reads that are under way when their reader is detached and the log beneath
// them ends: what they get is thrown away by the caller, so it may be an error,
// and must be nothing worse.

package wal

import (
	"testing"

	"github.com/walnutdb/walnut/internal/invariants"
)

// byHand skips a test that sets a state between two steps, which the invariants
// would not accept, where they are checked.
func byHand(t *testing.T) {
	t.Helper()
	if invariants.Enabled {
		t.Skip("the state is made by hand")
	}
}

// A commit of the new generation is accepted, and has fewer frames.
func TestReadOfALogThatBeganAnew(t *testing.T) {
	byHand(t)
	x := newLog(t)
	x.commit(SyncFull, 1, 2, 3, 4)
	st := *x.Coordinator().Published()
	x.checkpoint(Restart)
	x.Log.mu.inflight = []*commit{{first: 1, end: 2, frames: []Frame{{2, pageData(2, 9)}, {3, pageData(3, 9)}}}}
	for n := st.MaxFrame; n > 2; n-- {
		if err := x.ReadPage(&st, n, st.Index.Page(n), make([]byte, testPage)); err == nil {
			t.Errorf("frame %d was read from a log that has two", n)
		}
	}
	x.Log.mu.inflight = nil
}

// The header goes before the end of the log does: a reader comes in between.
func TestReadOfALogThatWasCut(t *testing.T) {
	byHand(t)
	x := newLog(t)
	x.commit(SyncFull, 1, 2, 3, 4)
	st := *x.Coordinator().Published()
	x.checkpoint(Truncate)
	x.appendedEnd.Store(uint32(st.MaxFrame))
	for n := st.MaxFrame; n > 0; n-- {
		if err := x.ReadPage(&st, n, st.Index.Page(n), make([]byte, testPage)); err == nil {
			t.Errorf("frame %d was read from a log of no bytes", n)
		}
	}
	x.appendedEnd.Store(0)
}
