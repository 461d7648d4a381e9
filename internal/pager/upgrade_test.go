// Transactions that read before they write.

package pager

import (
	"testing"

	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/wal"
)

// upgrade makes a reader the writer; the place must be free.
func upgrade(t tb, tx *Tx) {
	t.Helper()
	r, err := tx.RequestUpgrade(false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Wait(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestUpgradesRestartTheLog: a log whose transactions all begin by reading is
// copied and used again as any other. Their own marks are not in the way, of
// the checkpoint that their commit begins, and of the restart.
func TestUpgradesRestartTheLog(t *testing.T) {
	for _, keep := range []bool{false, true} {
		d := faultdisk.New(1) // which runs automatic checkpoints inside the commit
		s := openMem(t, d, 512)
		tx := begin(t, s)
		set(t, tx, 2, 0)
		commit(t, tx, false)
		o := CommitOptions{Keep: keep}
		o.AutoCheckpoint = 10
		for i := range 500 {
			tx := s.BeginRead()
			if got := value(t, tx, 2); got != byte(i) {
				t.Fatalf("read %d, want %d", got, byte(i))
			}
			upgrade(t, tx)
			set(t, tx, 2, byte(i+1))
			if err := tx.Commit(ctx, o); err != nil {
				t.Fatal(err)
			}
			if keep && value(t, tx, 2) != byte(i+1) {
				t.Fatal("the kept snapshot is not the commit's")
			}
			tx.End()
		}
		if st := s.Log().Stats(); st.Restarts < 10 || st.Published.MaxFrame > 100 || st.ReadersInFile+st.ReadersInLog > 0 || s.OpenTransactions() != 0 {
			t.Errorf("keep %v: after 500 commits %+v", keep, st)
		}
		closeStore(t, s)
	}
}

// TestUpgradeOnFailedLog: an upgrade that is refused because the log failed
// leaves the transaction reading, with a mark.
func TestUpgradeOnFailedLog(t *testing.T) {
	for _, inFile := range []bool{false, true} {
		d := faultdisk.New(1)
		s := openMem(t, d, 512)
		tx := begin(t, s)
		set(t, tx, 2, 1)
		if err := tx.Commit(ctx, CommitOptions{CommitOptions: wal.CommitOptions{Level: wal.SyncNormal}}); err != nil {
			t.Fatal(err)
		}
		checkpoint := func() error {
			_, err := s.Log().Checkpoint(ctx, wal.Passive, wal.CheckpointOptions{})
			return err
		}
		if inFile {
			if err := checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
		reader := s.BeginRead()
		req, err := reader.RequestUpgrade(false)
		if err != nil {
			t.Fatal(err)
		}
		d.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: "-wal"})
		if !inFile { // else it is the restart of the log that meets the fault
			wantErr(t, checkpoint(), wal.ErrLogFailed, "")
		}
		_, err = req.Begin()
		wantErr(t, err, wal.ErrLogFailed, "")
		if reader.mark == coord.NoMark || reader.Writing() || value(t, reader, 2) != 1 || s.OpenTransactions() != 1 {
			t.Errorf("in file %v: mark %d, writing %v, %d open", inFile, reader.mark, reader.Writing(), s.OpenTransactions())
		}
		reader.End()
		if n := s.OpenTransactions(); n != 0 {
			t.Errorf("%d transactions are open", n)
		}
	}
}
