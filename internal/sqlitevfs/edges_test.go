// The VFS as SQLite seldom or never calls it: each call is answered with an error
// that says what is wrong, and changes nothing.

package sqlitevfs

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/pager"
	"github.com/walnutdb/walnut/internal/walformat"
)

const mainDB = vfs.OPEN_MAIN_DB | vfs.OPEN_READWRITE | vfs.OPEN_CREATE

// rawFile opens a database of two pages of 512 bytes as SQLite would.
func rawFile(t *testing.T) *file {
	t.Helper()
	v := &walnutVFS{fsys: faultdisk.New(1)}
	opened, _, err := v.Open("/db", mainDB)
	if err != nil {
		t.Fatal(err)
	}
	f := opened.(*file)
	t.Cleanup(func() { _ = f.Close() })
	f.hint = true
	for _, level := range []vfs.LockLevel{vfs.LOCK_SHARED, vfs.LOCK_RESERVED, vfs.LOCK_EXCLUSIVE} {
		if err := f.Lock(level); err != nil {
			t.Fatal(err)
		}
	}
	for n, p := range [][]byte{walformat.NewPage1(512), make([]byte, 512)} {
		if n == 1 {
			copy(p, "second")
		}
		if _, err := f.WriteAt(p, int64(512*n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.CommitPhaseTwo(); err != nil {
		t.Fatal(err)
	}
	if err := f.Unlock(vfs.LOCK_NONE); err != nil {
		t.Fatal(err)
	}
	return f
}

func wantText(t *testing.T, what string, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: %v; want %q", what, err, text)
	}
}

// Nothing is written outside a write transaction, nor in pages of another size.
func TestWritesOutOfPlace(t *testing.T) {
	f := rawFile(t)
	_, err := f.WriteAt(make([]byte, 512), 512)
	wantText(t, "a write without a lock", err, "outside a write transaction")
	wantText(t, "a truncation without a lock", f.Truncate(512), "outside a write transaction")
	if err := f.Lock(vfs.LOCK_RESERVED); !errors.Is(err, sqlite3.IOERR_LOCK) {
		t.Errorf("RESERVED without SHARED: %v", err)
	}
	f.hint = true
	for _, level := range []vfs.LockLevel{vfs.LOCK_SHARED, vfs.LOCK_SHARED, vfs.LOCK_EXCLUSIVE, vfs.LOCK_RESERVED} {
		if err := f.Lock(level); err != nil {
			t.Fatal(err)
		}
	}
	if reserved, err := f.CheckReservedLock(); err != nil || !reserved {
		t.Errorf("the reserved lock: %v, %v", reserved, err)
	}
	_, err = f.WriteAt(make([]byte, 1024), 512)
	wantText(t, "a page of another size", err, "page size of this database is 512")
	_, err = f.WriteAt(make([]byte, 512), 100)
	wantText(t, "a page in between", err, "offset 100")
	other := walformat.NewPage1(4096)[:512]
	_, err = f.WriteAt(other, 0)
	wantText(t, "a page 1 of another size", err, "page size 4096")
	// Closed while it writes: nothing of it is there.
	if _, err := f.WriteAt(append([]byte("changed"), make([]byte, 505)...), 512); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(0); err != nil {
		t.Fatal(err)
	}
	wantText(t, "unlocking", f.Unlock(vfs.LOCK_NONE), "4096") // the last error, once more
	b := make([]byte, 6)
	if _, err := f.ReadAt(b, 512); err != nil || string(b) != "second" {
		t.Errorf("page 2 begins with %q, %v", b, err)
	}
	if reserved, err := f.CheckReservedLock(); err != nil || reserved {
		t.Errorf("the reserved lock in the end: %v, %v", reserved, err)
	}
}

// Before SQLite knows the page size it reads where it likes.
func TestReadsAcrossPages(t *testing.T) {
	f := rawFile(t)
	b := make([]byte, 20)
	if n, err := f.ReadAt(b, 502); n != 20 || err != nil || string(b[10:16]) != "second" {
		t.Errorf("20 bytes across two pages: %d, %v, %q", n, err, b)
	}
	if n, err := f.ReadAt(b, 1014); n != 10 || err != io.EOF {
		t.Errorf("20 bytes across the end: %d, %v", n, err)
	}
	if size, err := f.Size(); size != 1024 || err != nil {
		t.Errorf("the size is %d, %v", size, err)
	}
	if f.SectorSize() != 0 {
		t.Error("it has a sector size of its own")
	}
}

// What SQLite writes and cuts after its commit, to play its journal back, goes
// nowhere; a cursor whose snapshot went with the commit is told so.
func TestPlaybackAfterCommit(t *testing.T) {
	f := rawFile(t)
	f.hint = true
	for _, level := range []vfs.LockLevel{vfs.LOCK_SHARED, vfs.LOCK_EXCLUSIVE} {
		if err := f.Lock(level); err != nil {
			t.Fatal(err)
		}
	}
	f.conn, _ = sqlite3.Open(":memory:") // which has no cursor open
	defer func() { _ = f.conn.Close() }()
	if _, err := f.WriteAt(append([]byte("third."), make([]byte, 506)...), 512); err != nil {
		t.Fatal(err)
	}
	if err := f.CommitPhaseTwo(); err != nil {
		t.Fatal(err)
	}
	if n, err := f.WriteAt(make([]byte, 512), 512); n != 512 || err != nil {
		t.Errorf("a write after the commit: %d, %v", n, err)
	}
	if err := errors.Join(f.Truncate(512), f.Sync(0), f.CommitPhaseTwo(), f.SyncSuper("x")); err != nil {
		t.Error(err)
	}
	b := make([]byte, 6)
	_, err := f.ReadAt(b, 512)
	wantText(t, "a read on after the commit", err, "snapshot of this cursor")
	wantText(t, "unlocking", f.Unlock(vfs.LOCK_NONE), "snapshot of this cursor")
	if _, err := f.ReadAt(b, 512); err != nil || string(b) != "third." {
		t.Errorf("page 2 begins with %q, %v", b, err)
	}
}

// A read-only file takes no lock for writing.
func TestReadOnlyFile(t *testing.T) {
	f := rawFile(t)
	f.readOnly = true
	if err := f.Lock(vfs.LOCK_SHARED); err != nil {
		t.Fatal(err)
	}
	wantText(t, "a write lock on a read-only file", f.Lock(vfs.LOCK_RESERVED), pager.ErrReadOnly.Error())
}

// The VFS answers for the database alone.
func TestOtherFiles(t *testing.T) {
	d := faultdisk.New(1)
	v := &walnutVFS{fsys: d}
	_, _, err := v.Open("/db-journal", vfs.OPEN_MAIN_JOURNAL|vfs.OPEN_READWRITE|vfs.OPEN_CREATE)
	wantText(t, "a journal", err, "no rollback journal")
	if err := v.Delete("/db", false); !errors.Is(err, sqlite3.IOERR_DELETE_NOENT) {
		t.Errorf("deleting: %v", err)
	}
	if err := d.WriteFile("/db-wal", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteFile("/db", []byte("x")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"/db": true, "/db-wal": false, "/none": false} {
		if there, err := v.Access(name, 0); there != want || err != nil {
			t.Errorf("%s is there: %v, %v", name, there, err)
		}
	}
	d.FailAt(faultdisk.OpStat, 1)
	if _, err := v.Access("/db", 0); !errors.Is(err, faultdisk.ErrInjected) {
		t.Errorf("a look that fails: %v", err)
	}
	if _, err := Hold("/none/of/these", HoldOptions{MustExist: true}); err == nil {
		t.Error("a database that is not there is held")
	}
}

// A checkpoint by the pragma itself, as a raw connection asks for it.
func TestRawCheckpoint(t *testing.T) {
	f := rawFile(t)
	if got, err := f.Pragma("wal_checkpoint", "full"); err != nil || got != "0|2|2" {
		t.Errorf("a full checkpoint: %q, %v", got, err)
	}
	if _, err := f.Pragma("wal_checkpoint", "sideways"); err == nil {
		t.Error("a mode that is none")
	}
}
