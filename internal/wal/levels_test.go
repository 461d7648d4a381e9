// A group of commits at different sync levels, one order of it.

package wal

import (
	"context"
	"testing"

	"github.com/walnutdb/walnut/disk/faultdisk"
)

// TestFullBehindItsOwnNormal: a leader whose own commit is at NORMAL syncs if
// one before it waits for that.
func TestFullBehindItsOwnNormal(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	x.arm(faultdisk.OpSync, "-wal")
	first := x.goCommit(SyncFull, 2, 2)
	<-x.entered
	full := x.goCommit(SyncFull, 3, 2)
	until(func() bool { return x.Stats().Accepted == 3 })
	normal := x.goCommit(SyncNormal, 4, 2)
	until(func() bool { return x.Stats().Accepted == 4 })
	x.release <- nil
	x.wantDone(first, nil)
	x.pass(nil, func() {
		if got := x.published().MaxFrame; got != 2 {
			t.Errorf("published up to frame %d while a FULL commit waits for its sync", got)
		}
	})
	x.wantDone(full, nil)
	x.wantDone(normal, nil)
	x.disarm()
	if _, err := x.Checkpoint(context.Background(), Passive, CheckpointOptions{}); err != nil {
		t.Fatal(err)
	}
}
