package frozen

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/walnutdb/walnut/disk"
)

// frozenFile is a file of 10 bytes that is frozen at 6.
func frozenFile(t *testing.T, under *disk.Mem) (*FS, disk.File) {
	t.Helper()
	if err := under.WriteFile("/a.db", []byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	f, err := under.Open("/a.db", 0)
	if err != nil {
		t.Fatal(err)
	}
	s := New(under)
	s.Freeze("/a.db", f, 6, nil)
	s.Freeze("/a.db-wal", nil, 0, nil)
	return s, f
}

func TestReads(t *testing.T) {
	s, _ := frozenFile(t, disk.NewMem())
	f, err := s.Open("/a.db", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		off  int64
		n    int
		want string
		err  error
	}{
		{0, 6, "012345", nil}, {2, 3, "234", nil}, {4, 4, "45", io.EOF}, {6, 2, "", io.EOF}, {9, 1, "", io.EOF}, {3, 0, "", nil},
	} {
		b := make([]byte, c.n)
		n, err := f.ReadAt(b, c.off)
		if string(b[:n]) != c.want || err != c.err {
			t.Errorf("%d bytes at %d: %q, %v", c.n, c.off, b[:n], err)
		}
	}
	if size, err := f.Size(); size != 6 || err != nil {
		t.Errorf("size %d, %v", size, err)
	}
	if info, err := s.Stat("/a.db"); info.Size != 6 || info.Links != 1 || err != nil {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestChangesNothing(t *testing.T) {
	under := disk.NewMem()
	s, _ := frozenFile(t, under)
	f, err := s.Open("/a.db", disk.Create)
	if err != nil {
		t.Fatal(err)
	}
	_, werr := f.WriteVAt([][]byte{[]byte("x")}, 0)
	for _, err := range []error{werr, f.Truncate(0), s.Remove("/a.db"), s.Rename("/a.db", "/b.db")} {
		if !errors.Is(err, disk.ErrReadOnly) || !strings.Contains(err.Error(), "/a.db") {
			t.Errorf("%v", err)
		}
	}
	for _, err := range []error{f.SyncData(), s.SyncDir("/"), f.Lock(0, 1, disk.ExclusiveLock), f.Unlock(0, 1), f.Close()} {
		if err != nil {
			t.Error(err)
		}
	}
	if b, err := under.ReadFile("/a.db"); string(b) != "0123456789" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// TestOthers: what appears later is not there, what is cut says so, and what
// was never frozen is read as it is, and not created.
func TestOthers(t *testing.T) {
	under := disk.NewMem()
	s, f := frozenFile(t, under)
	if err := under.WriteFile("/a.db-wal", []byte("later")); err != nil {
		t.Fatal(err)
	}
	_, openErr := s.Open("/a.db-wal", disk.Create)
	_, statErr := s.Stat("/a.db-wal")
	_, otherErr := s.Open("/other", disk.Create)
	for _, err := range []error{openErr, statErr, otherErr} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
	}
	if name, err := s.Resolve("/x/../a.db"); name != "/a.db" || err != nil {
		t.Errorf("%s, %v", name, err)
	}
	if err := f.Truncate(3); err != nil {
		t.Fatal(err)
	}
	g, err := s.Open("/a.db", 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 6)
	if n, err := g.ReadAt(b, 0); n != 3 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d bytes of a file that was cut, %v", n, err)
	}
}
