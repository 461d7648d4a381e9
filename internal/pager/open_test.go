// What is refused on opening, with nothing changed on the disk. The fixtures
// (package sqltest) have the rest.

package pager

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

// state lists the files of a disk with their contents.
func state(m *disk.Mem) string {
	s := ""
	for _, n := range m.Files() {
		b, _ := m.ReadFile(n)
		s += fmt.Sprintf("%s %x\n", n, b)
	}
	return s
}

// aLog is the log of a database with commits.
func aLog(t *testing.T) []byte {
	t.Helper()
	m := disk.NewMem()
	s := openMem(t, m, 512)
	tx := begin(t, s)
	set(t, tx, 3, 1)
	commit(t, tx, false)
	b, err := m.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// futureLog is a log whose header, right otherwise, has a version of later days.
func futureLog(t *testing.T) []byte {
	t.Helper()
	b := aLog(t)
	h, err := walformat.ParseHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	h.Version++
	h.Encode(b)
	return b
}

func TestRefusedUnchanged(t *testing.T) {
	page1 := walformat.NewPage1(512)
	version := walformat.NewPage1(512)
	version[18], version[19] = 9, 9
	for _, c := range []struct {
		name   string
		files  map[string][]byte
		target error
		text   string
	}{
		{"log without database", map[string][]byte{path + "-wal": aLog(t)}, wal.ErrCorrupt, "is missing"},
		{"log beside an empty database", map[string][]byte{path: {}, path + "-wal": aLog(t)}, wal.ErrCorrupt, "is empty"},
		{"hot journal", map[string][]byte{path: page1, path + "-journal": []byte("\xd9\xd5\x05\xf9\x20\xa1\x63\xd7...")}, ErrHotJournal, "sqlite3"},
		{"not a database", map[string][]byte{path: make([]byte, 5000)}, ErrNotDatabase, "zero"},
		{"log of a future version", map[string][]byte{path: page1, path + "-wal": futureLog(t)}, walformat.ErrVersion, "3007001"},
		{"future version", map[string][]byte{path: version}, ErrNotDatabase, "version 9"},
		{"too short", map[string][]byte{path: append(page1[:60:60], "no more of it"...)}, ErrNotDatabase, "73 of 100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := disk.NewMem()
			for n, b := range c.files {
				if err := m.WriteFile(n, b); err != nil {
					t.Fatal(err)
				}
			}
			if err := m.WriteFile(path+"-shm", make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			before := state(m)
			for range 2 { // the first must leave nothing locked
				_, err := Open(path, Options{FS: m})
				wantErr(t, err, c.target, c.text)
			}
			if after := state(m); after != before {
				t.Errorf("changed:\n%s%s", before, after)
			}
		})
	}
}

// TestNoHotJournal: journals that SQLite does not roll back are let be.
func TestNoHotJournal(t *testing.T) {
	for name, journal := range map[string][]byte{"empty": {}, "zeroed": make([]byte, 600)} {
		m := disk.NewMem()
		for n, b := range map[string][]byte{path: walformat.NewPage1(512), path + "-journal": journal} {
			if err := m.WriteFile(n, b); err != nil {
				t.Fatal(err)
			}
		}
		if s, err := Open(path, Options{FS: m}); err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			closeStore(t, s)
		}
	}
}

func TestHardLinkAndBusy(t *testing.T) {
	m := disk.NewMem()
	if err := m.WriteFile(path, walformat.NewPage1(512)); err != nil {
		t.Fatal(err)
	}
	if err := m.Link(path, path+"2"); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path, Options{FS: m})
	wantErr(t, err, nil, "hard link")
	if err := m.Remove(path + "2"); err != nil {
		t.Fatal(err)
	}
	other, err := m.Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Lock(walformat.PendingByte+5, 1, disk.Shared); err != nil {
		t.Fatal(err)
	}
	_, err = Open(path, Options{FS: m})
	wantErr(t, err, nil, "in use by")
	_ = other.Close()
	closeStore(t, openMem(t, m, 0))
}

// TestStaleShm: a shared-memory file that nobody uses is removed.
func TestStaleShm(t *testing.T) {
	m := disk.NewMem()
	for n, b := range map[string][]byte{path: walformat.NewPage1(512), path + "-shm": make([]byte, 32768)} {
		if err := m.WriteFile(n, b); err != nil {
			t.Fatal(err)
		}
	}
	openMem(t, m, 0)
	if _, err := m.Stat(path + "-shm"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestMustExist(t *testing.T) {
	m := disk.NewMem()
	_, err := Open(path, Options{FS: m, MustExist: true})
	wantErr(t, err, fs.ErrNotExist, path)
	if n := m.Files(); len(n) != 0 {
		t.Errorf("files %v", n)
	}
}

// TestFailedOpen: all who wait for an open that fails get its error, and
// the next try begins anew.
func TestFailedOpen(t *testing.T) {
	m := disk.NewMem()
	if err := m.WriteFile(path, make([]byte, 5000)); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error)
	for range 8 {
		go func() { _, err := Open(path, Options{FS: m}); errs <- err }()
	}
	for range 8 {
		if err := <-errs; !errors.Is(err, ErrNotDatabase) {
			t.Error(err)
		}
	}
	if err := m.WriteFile(path, walformat.NewPage1(512)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, openMem(t, m, 0))
}

// TestRemoveWhatIsOurs: a database that is to be removed when it is closed, and
// whose name leads to another file by then, leaves that alone.
func TestRemoveWhatIsOurs(t *testing.T) {
	m := disk.NewMem()
	s := openMem(t, m, 4096)
	if err := m.Remove(s.Path()); err != nil {
		t.Fatal(err)
	}
	f, err := m.Open(s.Path(), disk.Create)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	wantErr(t, s.CloseAndRemove(), wal.ErrMoved, "is another file now")
	if info, err := f.Stat(); err != nil || info.Links != 1 {
		t.Errorf("%+v, %v", info, err)
	}
}
