package walformat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestNewPage1(t *testing.T) {
	for size := MinPageSize; size <= MaxPageSize; size *= 2 {
		b := NewPage1(size)
		h, err := ParseDBHeader(b)
		want := DBHeader{
			PageSize: size, WriteVersion: 2, ReadVersion: 2,
			ChangeCounter: 1, SizeInPages: 1, VersionValidFor: 1, LibraryVersion: newLibraryVersion,
		}
		if err != nil || h != want || len(b) != size || !h.WALMode() || !h.SizeValid() {
			t.Errorf("page size %d: %d bytes, %+v, %v; want %+v", size, len(b), h, err, want)
		}
	}
}

// TestNewPage1InSQLite asks sqlite3 what it thinks of NewPage1 as a file, and
// writes into it.
func TestNewPage1InSQLite(t *testing.T) {
	sqlite, err := exec.LookPath("sqlite3")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("sqlite3 is not installed, and CI is set")
		}
		t.Skip("sqlite3 is not installed")
	}
	for size := MinPageSize; size <= MaxPageSize; size *= 2 {
		file := filepath.Join(t.TempDir(), "new.db")
		if err := os.WriteFile(file, NewPage1(size), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(sqlite, file,
			"PRAGMA integrity_check; PRAGMA page_size; PRAGMA page_count; PRAGMA journal_mode; SELECT count(*) FROM sqlite_master;"+
				"CREATE TABLE t(a); INSERT INTO t VALUES('x'); SELECT a FROM t; PRAGMA encoding; PRAGMA integrity_check").CombinedOutput()
		got := strings.Join(strings.Fields(string(out)), " ")
		want := fmt.Sprintf("ok %d 1 wal 0 x UTF-8 ok", size)
		if err != nil || got != want {
			t.Errorf("page size %d: %q, %v; want %q", size, got, err, want)
		}
	}
}

func TestDBHeaderFaults(t *testing.T) {
	set := func(off int, bytes ...byte) []byte {
		b := NewPage1(4096)
		copy(b[off:], bytes)
		return b
	}
	cases := []struct {
		name  string
		b     []byte
		fault DBFault // 0 = none
	}{
		{"good", set(0), 0},
		{"header alone", set(0)[:100], 0},
		{"version 1", set(18, 1, 1), 0},
		{"version 0", set(18, 0, 0), 0},
		{"65536", set(16, 0, 1), 0},
		{"480 of 512 usable", set(16, 2, 0, 2, 2, 32), 0},
		{"no bytes", nil, DBShort},
		{"99 bytes", set(0)[:99], DBShort},
		{"zeros", make([]byte, 4096), DBZeros},
		{"text", bytes.Repeat([]byte("hello "), 50), DBMagic},
		{"magic without its zero", set(15, 1), DBMagic},
		{"page size 0", set(16, 0, 0), DBPageSize},
		{"page size 256", set(16, 1, 0), DBPageSize},
		{"page size 1000", set(16, 3, 0xe8), DBPageSize},
		{"479 of 512 usable", set(16, 2, 0, 2, 2, 33), DBPageSize},
		{"write version 3", set(18, 3, 2), DBVersion},
		{"read version 3", set(18, 2, 3), DBVersion},
		{"fractions", set(22, 31), DBFractions},
	}
	for _, c := range cases {
		_, err := ParseDBHeader(c.b)
		if c.fault == 0 {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		var de *DBHeaderError
		if !errors.As(err, &de) || de.Fault != c.fault || de.Detail == "" || !errors.Is(err, ErrNotDatabase) {
			t.Errorf("%s: %v, want fault %d", c.name, err, c.fault)
		}
	}
}

func TestDBHeaderFixtures(t *testing.T) {
	for name, want := range map[string]struct {
		size int
		wal  bool
	}{
		"ps00512_txns": {512, true}, "ps65536_txns": {65536, true}, "grow": {0, true},
		"main_version_bytes_1": {0, false},
	} {
		h, err := ParseDBHeader(fixture(t, name, "in.db"))
		if err != nil || (want.size != 0 && h.PageSize != want.size) || h.WALMode() != want.wal || !h.SizeValid() {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
	for name, want := range map[string]DBFault{
		"main_one_byte": DBShort, "main_garbage_wal_full": DBMagic, "main_zeros_wal_full": DBZeros,
	} {
		_, err := ParseDBHeader(fixture(t, name, "in.db"))
		var de *DBHeaderError
		if !errors.As(err, &de) || de.Fault != want {
			t.Errorf("%s: %v, want fault %d", name, err, want)
		}
	}
}

func TestSetters(t *testing.T) {
	b := NewPage1(512)
	PutVersions(b, 1)
	PutChangeCounter(b, 0x01020304)
	PutSizeInPages(b, 77)
	PutLibraryVersion(b, 3040001)
	h, err := ParseDBHeader(b)
	want := DBHeader{
		PageSize: 512, WriteVersion: 1, ReadVersion: 1, ChangeCounter: 0x01020304,
		SizeInPages: 77, VersionValidFor: 0x01020304, LibraryVersion: 3040001,
	}
	if err != nil || h != want || h.WALMode() {
		t.Errorf("%+v, %v; want %+v", h, err, want)
	}
	binary.BigEndian.PutUint32(b[24:], 5)
	if h, _ := ParseDBHeader(b); h.SizeValid() {
		t.Error("the size counts although the counters differ")
	}
	PutChangeCounter(b, 5)
	PutSizeInPages(b, 0)
	if h, _ := ParseDBHeader(b); h.SizeValid() {
		t.Error("the size 0 counts")
	}
}

func TestEqualButCounter(t *testing.T) {
	a := NewPage1(512)
	for i := range a {
		b := bytes.Clone(a)
		b[i] ^= 0x80
		want := i >= 24 && i < 28 || i >= 92 && i < 100
		if got := EqualButCounter(a, b); got != want {
			t.Errorf("byte %d differs: %v, want %v", i, got, want)
		}
	}
	if EqualButCounter(a, NewPage1(1024)) || EqualButCounter(a, a[:511]) || EqualButCounter(a[:99], a[:98]) {
		t.Error("images of different lengths are equal")
	}
	if !EqualButCounter(a, a) || !EqualButCounter(nil, nil) || !EqualButCounter(a[:50], a[:50]) {
		t.Error("an image does not equal itself")
	}
}

func FuzzDBHeader(f *testing.F) {
	f.Add(NewPage1(512), false)
	f.Add(NewPage1(65536)[:100], true)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, b []byte, fix bool) {
		if fix && len(b) >= DBHeaderSize { // gets behind the magic
			b = bytes.Clone(b)
			copy(b, dbMagic)
			copy(b[21:], []byte{64, 32, 32})
		}
		h, err := ParseDBHeader(b)
		if err != nil {
			if !errors.Is(err, ErrNotDatabase) {
				t.Fatalf("error of another type: %v", err)
			}
			return
		}
		if !ValidPageSize(h.PageSize) || h.WriteVersion > 2 || h.ReadVersion > 2 {
			t.Fatalf("accepted: %+v", h)
		}
		c := bytes.Clone(b)
		PutVersions(c, h.WriteVersion)
		if h.WriteVersion == h.ReadVersion && !bytes.Equal(b, c) {
			t.Fatal("PutVersions changes more than the versions")
		}
		PutVersions(c, 2)
		PutChangeCounter(c, h.ChangeCounter+1)
		PutSizeInPages(c, h.SizeInPages+1)
		g, err := ParseDBHeader(c)
		if err != nil || g.ChangeCounter != h.ChangeCounter+1 || g.SizeInPages != h.SizeInPages+1 || !g.WALMode() {
			t.Fatalf("after the setters: %+v, %v", g, err)
		}
	})
}
