// Closing beside what is still under way.

package wal

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/walnutdb/walnut/disk/faultdisk"
)

// TestCloseWaitsForAbandonedCommit: a commit that its caller has given up leads
// a sync; the file is not closed under it, not even when the log has failed.
func TestCloseWaitsForAbandonedCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newLog(t)
		x.commit(SyncFull, 1, 2)
		x.arm(faultdisk.OpSync, "-wal")
		commit := func(ctx context.Context, version uint32) error {
			w := x.begin()
			if err := w.Reserve(1); err != nil {
				t.Fatal(err)
			}
			_, err := w.Commit(ctx, []Frame{{Page: 2, Data: pageData(2, version)}}, 2, CommitOptions{})
			return err
		}
		first := make(chan error, 1)
		go func() { first <- commit(context.Background(), 2) }()
		<-x.entered
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := commit(ctx, 3); !errors.Is(err, ErrCommitUnknown) || !errors.Is(err, context.Canceled) {
			t.Errorf("a commit whose context has ended: %v", err)
		}
		x.release <- nil
		if err := <-first; err != nil {
			t.Error(err)
		}
		<-x.entered // the abandoned commit leads now
		_ = x.poison("test", errors.New("test"))
		closed := make(chan error, 1)
		go func() { closed <- x.Close(true) }()
		synctest.Wait()
		select {
		case err := <-closed:
			t.Errorf("closed under a sync: %v", err)
		default:
		}
		x.release <- nil
		x.disarm()
		synctest.Wait()
		if len(closed) == 0 {
			t.Error("it does not close")
		}
	})
}
