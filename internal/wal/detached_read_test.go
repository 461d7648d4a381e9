// Reads that are under way when their reader is detached and the log beneath
// them ends: what they get is thrown away by the caller, so it may be an error,
// and must be nothing worse.

package wal

import (
	"testing"

	"github.com/walnutdb/walnut/internal/invariants"
	"github.com/walnutdb/walnut/internal/walformat"
)

func TestReadOfALogThatHasEnded(t *testing.T) {
	if invariants.Enabled {
		t.Skip("it sets a state between two steps, which the invariants would not accept")
	}
	for _, c := range []struct {
		name string
		mode CheckpointMode
		// between sets the state, after sets it back. From frame least on nothing
		// can be read in it.
		between, after func(x *testLog, end walformat.FrameNo)
		least          walformat.FrameNo
	}{
		{"a commit of the new generation is accepted, and has fewer frames", Restart, func(x *testLog, _ walformat.FrameNo) {
			x.Log.mu.inflight = []*commit{{first: 1, end: 2, frames: []Frame{{2, pageData(2, 9)}, {3, pageData(3, 9)}}}}
		}, func(x *testLog, _ walformat.FrameNo) { x.Log.mu.inflight = nil }, 3},
		{"the header has gone, and the end of the log is still there", Truncate,
			func(x *testLog, end walformat.FrameNo) { x.appendedEnd.Store(uint32(end)) },
			func(x *testLog, _ walformat.FrameNo) { x.appendedEnd.Store(0) }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newLog(t)
			x.commit(SyncFull, 1, 2, 3, 4)
			st := *x.Coordinator().Published()
			x.checkpoint(c.mode)
			c.between(x, st.MaxFrame)
			for n := st.MaxFrame; n >= c.least; n-- {
				if err := x.ReadPage(&st, n, st.Index.Page(n), make([]byte, testPage)); err == nil {
					t.Errorf("frame %d was read", n)
				}
			}
			c.after(x, st.MaxFrame)
		})
	}
}
