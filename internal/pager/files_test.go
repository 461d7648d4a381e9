// What opening makes of the files: which page size counts, what is kept of a
// database's header, which descriptor and which lock are taken, and that an open
// that is refused leaves nothing open.

package pager

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/walformat"
)

// putFile makes a file.
func putFile(t *testing.T, m interface{ WriteFile(string, []byte) error }, name string, b []byte) {
	t.Helper()
	if err := m.WriteFile(name, b); err != nil {
		t.Fatal(err)
	}
}

// TestPageSizeOfTheLog: page 1 in the database file may be of before the log,
// with another page size; the log's counts.
func TestPageSizeOfTheLog(t *testing.T) {
	before := disk.NewMem()
	s := openMem(t, before, 1024)
	tx := begin(t, s)
	page1, err := tx.Write(1)
	if err != nil {
		t.Fatal(err)
	}
	page1[300] = 1 // so that page 1 has a frame
	set(t, tx, 2, 7)
	commit(t, tx, false)
	log, err := before.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	m := disk.NewMem()
	putFile(t, m, path, walformat.NewPage1(512))
	putFile(t, m, path+"-wal", log)
	s = openMem(t, m, 0)
	if s.PageSize() != 1024 {
		t.Fatalf("pages of %d bytes, the log's have 1024", s.PageSize())
	}
	tx = begin(t, s)
	defer func() { _ = tx.Rollback(false) }()
	if v := value(t, tx, 2); v != 7 {
		t.Errorf("page 2 has %d", v)
	}
}

// TestReservedBytesAreKept: how many bytes of each page are not SQLite's stays
// what it is, through the conversion, commits and a checkpoint.
func TestReservedBytesAreKept(t *testing.T) {
	for _, version := range []uint8{1, 2} {
		m := disk.NewMem()
		page1 := walformat.NewPage1(512)
		page1[20] = 32
		walformat.PutVersions(page1, version)
		putFile(t, m, path, page1)
		s := openMem(t, m, 0)
		for v := range byte(3) {
			tx := begin(t, s)
			set(t, tx, 2+walformat.PageNo(v), v)
			commit(t, tx, false)
			if h := page1OnDisk(t, m); h.Reserved != 32 {
				t.Fatalf("version %d, commit %d: %d reserved bytes, not 32", version, v, h.Reserved)
			}
		}
		closeStore(t, s)
		if h := page1OnDisk(t, m); h.Reserved != 32 {
			t.Fatalf("version %d, closed: %d reserved bytes, not 32", version, h.Reserved)
		}
	}
}

// TestReadOnlyExcludes: an open for reading keeps others out as any other does,
// and an open for writing beside it, which shares its descriptor, can write.
func TestReadOnlyExcludes(t *testing.T) {
	m := disk.NewMem()
	putFile(t, m, path, walformat.NewPage1(512))
	r, err := Open(path, Options{FS: m, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	other, err := m.Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	for _, off := range []int64{0, 2} {
		if err := other.Lock(walformat.PendingByte+off, 1, disk.Shared); !errors.Is(err, disk.ErrLocked) {
			t.Errorf("lock byte %d is free: %v", off, err)
		}
	}
	w := openMem(t, m, 0)
	tx := begin(t, w)
	set(t, tx, 2, 7)
	commit(t, tx, false)
	closeStore(t, w)
	closeStore(t, r) // the last one copies the log
	if b, err := m.ReadFile(path); err != nil || len(b) != 2*512 || b[512+200] != 7 {
		t.Errorf("%d bytes in the database file, %v", len(b), err)
	}
}

// unwritable is a file system on which the caller may read only.
type unwritable struct{ *disk.Mem }

func (u unwritable) Open(name string, flag disk.OpenFlag) (disk.File, error) {
	if flag&disk.ReadOnly == 0 {
		return nil, &disk.OpError{Op: "open", Name: name, Off: -1, Err: fs.ErrPermission}
	}
	return u.Mem.Open(name, flag)
}

// TestReadOnlyNeedsTheRightToWrite: where the lock cannot be had, an open for
// reading is refused, unless the caller says that nobody changes the file.
func TestReadOnlyNeedsTheRightToWrite(t *testing.T) {
	m := unwritable{disk.NewMem()}
	putFile(t, m, path, walformat.NewPage1(512))
	_, err := Open(path, Options{FS: m, ReadOnly: true})
	wantErr(t, err, fs.ErrPermission, "open it as immutable")
	s, err := Open(path, Options{FS: m, ReadOnly: true, Immutable: true})
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
}

// TestRecoveryLeavesTheDatabase: an open after a crash recovers the log; it does
// not write the database file, which a checkpoint does.
func TestRecoveryLeavesTheDatabase(t *testing.T) {
	d := faultdisk.New(1)
	putFile(t, d, path, walformat.NewPage1(512))
	s := openMem(t, d, 0)
	for v := byte(1); v < 4; v++ {
		tx := begin(t, s)
		set(t, tx, 2+walformat.PageNo(v), v)
		commit(t, tx, false)
	}
	crashed := d.CrashKeepNone()
	before, err := crashed.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	crashed.SetHook(func(i faultdisk.OpInfo) error {
		if i.Op&faultdisk.OpMutating != 0 && i.Name == path {
			t.Errorf("%s of the database file", i.Op)
		}
		return nil
	})
	again := openMem(t, crashed, 0)
	crashed.SetHook(nil)
	if after, err := crashed.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the database file was changed, from %d to %d bytes; %v", len(before), len(after), err)
	}
	closeStore(t, again)
}

// TestRefusedLeavesNothingOpen: neither descriptors nor locks are left, whatever
// the open is refused for.
func TestRefusedLeavesNothingOpen(t *testing.T) {
	page1, log := walformat.NewPage1(512), aLog(t)
	for name, files := range map[string]map[string][]byte{
		"log without database":         {path + "-wal": log},
		"log beside an empty database": {path: {}, path + "-wal": log},
		"not a database":               {path: make([]byte, 5000), path + "-wal": log[:40]},
		"log of a future version":      {path: page1, path + "-wal": futureLog(t)},
		"hot journal":                  {path: page1, path + "-journal": []byte("\xd9\xd5\x05\xf9\x20\xa1\x63\xd7..."), path + "-wal": log},
	} {
		d := faultdisk.New(1)
		for n, b := range files {
			putFile(t, d, n, b)
		}
		s, err := Open(path, Options{FS: d})
		if err == nil {
			closeStore(t, s)
			t.Errorf("%s: it is opened", name)
		}
		if open, locked := d.Handles(), d.Locked(); len(open)+len(locked) > 0 {
			t.Errorf("%s: left open %q, locked %q", name, open, locked)
		}
	}
}
