// Transactions that read before they write.

package pager

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

// upgrade makes a reader the writer; the place must be free.
func upgrade(t tb, tx *Tx) {
	t.Helper()
	r, err := tx.RequestUpgrade(wal.AutoActions{NoRestart: false})
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
			tx := s.BeginRead(coord.Who{})
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
		reader := s.BeginRead(coord.Who{})
		req, err := reader.RequestUpgrade(wal.AutoActions{NoRestart: false})
		if err != nil {
			t.Fatal(err)
		}
		d.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: "-wal"})
		if !inFile { // else it is the restart of the log that meets the fault
			wantErr(t, checkpoint(), wal.ErrLogFailed, "")
		}
		_, err = req.Begin(ctx)
		wantErr(t, err, wal.ErrLogFailed, "")
		if !reader.reader.Entered() || reader.Writing() || value(t, reader, 2) != 1 || s.OpenTransactions() != 1 {
			t.Errorf("in file %v: entered %v, writing %v, %d open", inFile, reader.reader.Entered(), reader.Writing(), s.OpenTransactions())
		}
		reader.End()
		if n := s.OpenTransactions(); n != 0 {
			t.Errorf("%d transactions are open", n)
		}
	}
}

// TestUpgradesBesideEachOther: connections that read, upgrade, and go on reading
// after a commit or a rollback, while the log is copied and restarted all the
// time. All pages of a snapshot have one value; each commit counts it up, so
// that no commit is built on a stale one.
func TestUpgradesBesideEachOther(t *testing.T) {
	const pages, conns, rounds = 6, 4, 400
	s := openMem(t, disk.NewMem(), 512)
	tx := begin(t, s)
	for n := range walformat.PageNo(pages) {
		set(t, tx, n+2, 0)
	}
	commit(t, tx, false)
	var commits atomic.Int64
	var wg sync.WaitGroup
	for c := range conns {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(c), 7))
			p := make([]byte, 512)
			same := func(tx *Tx, want int) int {
				for n := range walformat.PageNo(pages) {
					if err := tx.ReadPage(n+2, p); err != nil || want >= 0 && int(p[300]) != want {
						t.Errorf("page %d has %d, want %d: %v", n+2, p[300], want, err)
					}
					want = int(p[300])
				}
				return want
			}
			var tx Tx
			for range rounds {
				s.BeginReadInto(&tx, coord.Who{}, 0)
				v := same(&tx, -1)
				r, err := tx.RequestUpgrade(wal.AutoActions{NoRestart: rng.IntN(4) == 0})
				if err == nil {
					_, err = r.Wait(ctx)
				}
				if err != nil { // somebody was faster
					if !errors.Is(err, coord.ErrSnapshotStale) && !errors.Is(err, coord.ErrBusy) {
						t.Error(err)
					}
					same(&tx, v)
					tx.End()
					continue
				}
				same(&tx, v)
				for n := range walformat.PageNo(pages) {
					if err := tx.WritePage(n+2, bytes.Repeat([]byte{byte(v + 1)}, 512)); err != nil {
						t.Error(err)
					}
				}
				o := CommitOptions{Keep: rng.IntN(2) == 0, SQLite: true}
				o.AutoCheckpoint, o.Level = 20, wal.SyncLevel(rng.IntN(2))
				switch {
				case rng.IntN(5) == 0:
					if err := tx.Rollback(true); err != nil {
						t.Error(err)
					}
					same(&tx, v)
				case tx.Commit(ctx, o) != nil:
					t.Error("a commit failed")
				default:
					commits.Add(1)
					if o.Keep {
						same(&tx, int(byte(v+1)))
					}
				}
				tx.End()
			}
		})
	}
	wg.Wait()
	last := s.BeginRead(coord.Who{})
	if got, want := value(t, last, 2), byte(commits.Load()); got != want {
		t.Errorf("%d after %d commits", got, want)
	}
	last.End()
	// Whether the log began anew meanwhile is up to the disk, since checkpoints run
	// beside the commits. Nothing that is left behind may keep it from doing so now.
	r, err := s.Log().Checkpoint(ctx, wal.Truncate, wal.CheckpointOptions{})
	if err != nil || r.Busy || r.LogFrames != 0 {
		t.Errorf("after %d commits, TRUNCATE: %+v, %v", commits.Load(), r, err)
	}
	if st := s.Log().Stats(); st.ReadersInFile+st.ReadersInLog > 0 || s.OpenTransactions() != 0 {
		t.Errorf("after %d commits %+v", commits.Load(), st)
	}
}

// TestCopyDetachedFromAFileThatWasCut: the pages that a detached reader has beyond
// the end of the file are no damage.
func TestCopyDetachedFromAFileThatWasCut(t *testing.T) {
	d := faultdisk.New(1)
	s := openMem(t, d, 512)
	tx := begin(t, s)
	for n := walformat.PageNo(2); n <= 300; n++ {
		set(t, tx, n, 7)
	}
	commit(t, tx, false)
	if _, err := s.Log().Checkpoint(ctx, wal.Truncate, wal.CheckpointOptions{}); err != nil {
		t.Fatal(err)
	}
	old := s.BeginRead(coord.Who{})
	defer old.End()
	if n := len(s.Log().Coordinator().Detach(0, func(coord.ReaderInfo) bool { return true })); n != 1 {
		t.Fatalf("%d detached", n)
	}
	tx = begin(t, s)
	if err := tx.SetPageCount(3); err != nil {
		t.Fatal(err)
	}
	commit(t, tx, false)
	if _, err := s.Log().Checkpoint(ctx, wal.Truncate, wal.CheckpointOptions{}); err != nil {
		t.Fatal(err)
	}
	f, err := d.Open("/copy.db", disk.Create)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := old.CopyTo(ctx, f, nil); err != nil {
		t.Fatal(err)
	}
	if n, _ := f.Size(); n != 300*512 {
		t.Errorf("the copy has %d bytes", n)
	}
	if got := value(t, old, 300); got != 7 {
		t.Errorf("page 300 begins with %d", got)
	}
}
