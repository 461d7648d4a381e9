// Races and crash points that a review found: two backups to one path, a base
// that fails under a transaction that stays, a database file that was never
// synced beside a log without commits.

package pager

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"runtime"
	"testing"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

// TestBackupsBesideEachOther: while one copies, others to the same path are
// refused, and take nothing away from it.
func TestBackupsBesideEachOther(t *testing.T) {
	m := disk.NewMem()
	s := openMem(t, m, 4096)
	tx := begin(t, s)
	for n := walformat.PageNo(1); n <= 600; n++ {
		set(t, tx, n, 7)
	}
	commit(t, tx, false)
	err := s.Backup(ctx, "/dir/copy", false, func(done, total int) {
		for range 2 {
			if err := s.Backup(ctx, "/dir/copy", false, nil); !errors.Is(err, disk.ErrLocked) {
				t.Errorf("another backup: %v", err)
			}
		}
	})
	b, rerr := m.ReadFile("/dir/copy")
	if err != nil || rerr != nil || len(b) != 600*4096 {
		t.Errorf("%v, %d bytes of %d, %v", err, len(b), 600*4096, rerr)
	}
	if err := s.Backup(ctx, "/dir/copy", false, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a backup that is there: %v", err)
	}
	if b, _ := m.ReadFile("/dir/copy"); len(b) != 600*4096 {
		t.Errorf("the backup has %d bytes now", len(b))
	}
}

// TestFailedBaseEndsTransaction: a transaction that only read, and is to go on
// reading, ends with the base that it read when that fails.
func TestFailedBaseEndsTransaction(t *testing.T) {
	d := faultdisk.New(1)
	s := openMem(t, d, 512)
	tx := begin(t, s)
	set(t, tx, 2, 1)
	commit(t, tx, false)
	w1 := begin(t, s)
	set(t, w1, 2, 2)
	hold, rel := make(chan bool), make(chan error)
	d.SetHook(func(i faultdisk.OpInfo) error {
		if i.Op&faultdisk.OpSync != 0 && i.Name == path+"-wal" {
			hold <- true
			return <-rel
		}
		return nil
	})
	done := make(chan error, 1)
	go func() { done <- w1.Commit(context.Background(), CommitOptions{}) }()
	<-hold
	w2 := begin(t, s) // on the accepted, unpublished base
	done2 := make(chan error, 1)
	go func() { done2 <- w2.Commit(ctx, CommitOptions{Keep: true, SQLite: true}) }()
	for s.unmarked.Load() > 1 { // until w2 has its mark
		runtime.Gosched()
	}
	rel <- errors.New("EIO")
	if err := <-done; !errors.Is(err, wal.ErrCommitUnknown) {
		t.Errorf("the commit: %v", err)
	}
	if err := <-done2; !errors.Is(err, wal.ErrLogFailed) {
		t.Errorf("the transaction on it: %v", err)
	}
	d.SetHook(nil)
	if n := s.OpenTransactions(); n != 0 {
		t.Errorf("%d transactions left", n)
	}
	if _, err := w2.Page(2); !errors.Is(err, ErrTxDone) {
		t.Errorf("it goes on reading the failed commit: %v", err)
	}
}

// TestCreationBesideLogWithoutCommits: a process is killed before it has synced
// the database file that it creates, beside a log that has no commit; the next
// one commits, and loses power.
func TestCreationBesideLogWithoutCommits(t *testing.T) {
	d := faultdisk.New(1)
	h := make([]byte, 32+536)
	hd := walformat.Header{Order: walformat.NativeOrder, Version: walformat.Version, PageSize: 512, Salt1: 1, Salt2: 2}
	hd.Encode(h)
	if err := d.WriteFile(path+"-wal", h); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path, Options{FS: d, PageSize: 512})
	if err != nil {
		t.Fatal(err)
	}
	// killed at the first sync of the database file
	d.SetHook(func(i faultdisk.OpInfo) error {
		if i.Op&faultdisk.OpSync != 0 && i.Name == path {
			panic("kill")
		}
		return nil
	})
	tx := begin(t, s)
	set(t, tx, 2, 1)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the database file was not synced")
			}
		}()
		_ = tx.Commit(ctx, CommitOptions{})
	}()
	d.SetHook(nil)
	d = d.Kill(1)
	s, err = Open(path, Options{FS: d, PageSize: 512})
	if err != nil {
		t.Fatal(err)
	}
	tx = begin(t, s)
	set(t, tx, 2, 1)
	commit(t, tx, false) // acknowledged at FULL
	d = d.CrashKeepNone()
	s, err = Open(path, Options{FS: d, PageSize: 512})
	if err != nil {
		t.Fatal("acknowledged commit lost: ", err)
	}
	if n := s.Published().DBSize; n != 2 {
		t.Errorf("%d pages", n)
	}
	_ = s.Close()
}

// TestBackupOverOpenDatabase: a database that is open and has no log yet is not
// replaced.
func TestBackupOverOpenDatabase(t *testing.T) {
	m := disk.NewMem()
	s := openMem(t, m, 512)
	tx := begin(t, s)
	set(t, tx, 2, 7)
	commit(t, tx, false)
	other, err := Open("/dir/other", Options{FS: m, PageSize: 512})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(ctx, "/dir/other", true, nil); !errors.Is(err, coord.ErrBusy) {
		t.Errorf("over an open database: %v", err)
	}
	if _, err := m.ReadFile("/dir/other" + backupSuffix); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the copy was left behind: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(ctx, "/dir/other", true, nil); err != nil {
		t.Errorf("over a closed one: %v", err)
	}
}

// TestBackupThatCannotLook: a disk that does not tell what lies beside the
// target is not taken for a log there.
func TestBackupThatCannotLook(t *testing.T) {
	d := faultdisk.New(1)
	s := openMem(t, d, 512)
	tx := begin(t, s)
	set(t, tx, 2, 7)
	commit(t, tx, false)
	for _, suffix := range []string{"-wal", "-journal"} {
		in := d.Inject(faultdisk.Fault{Op: faultdisk.OpStat, Suffix: "copy" + suffix})
		if err := s.Backup(ctx, "/dir/copy", false, nil); !errors.Is(err, faultdisk.ErrInjected) {
			t.Errorf("%s cannot be looked for: %v", suffix, err)
		}
		in.Remove()
	}
	if err := s.Backup(ctx, "/dir/copy", false, nil); err != nil {
		t.Error(err)
	}
}

// TestGrowthSpills: pages that a growth adds and nobody wrote do not escape the
// bound on a transaction's memory.
func TestGrowthSpills(t *testing.T) {
	s, err := Open(path, Options{FS: disk.NewMem(), PageSize: 512, TxBytes: 16 * 512})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	tx := begin(t, s)
	if err := tx.SetPageCount(1000); err != nil {
		t.Fatal(err)
	}
	frames, err := tx.prepare(false)
	if err != nil {
		t.Fatal(err)
	}
	if len(frames) > 17 || tx.w.Spilled() < 980 {
		t.Errorf("%d frames in memory, %d spilled", len(frames), tx.w.Spilled())
	}
	commit(t, tx, false)
	r := s.BeginRead(coord.Who{})
	defer r.End()
	for n := walformat.PageNo(2); n <= 1000; n++ {
		p, err := r.Page(n)
		if err != nil || !bytes.Equal(p, make([]byte, 512)) {
			t.Fatalf("page %d: %v", n, err)
		}
	}
}
