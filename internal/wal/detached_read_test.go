// Reads that are under way when their reader is detached and the log beneath
// them ends: what they get is thrown away by the caller, so it may be an error,
// and must be nothing worse.

package wal

import "testing"

// A commit of the new generation is accepted, and has fewer frames.
func TestReadOfALogThatBeganAnew(t *testing.T) {
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
