// What the tests of the pager share.

package pager

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

var ctx = context.Background()

const path = "/dir/db"

// tb is what *testing.T and *rapid.T have in common.
type tb interface {
	Helper()
	Cleanup(func())
	Fatal(...any)
	Fatalf(string, ...any)
}

func openMem(t tb, fsys disk.FS, pageSize int) *Store {
	t.Helper()
	s, err := Open(path, Options{FS: fsys, PageSize: pageSize})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.OpenTransactions() == 0 {
			_ = s.Close()
		}
	})
	return s
}

func closeStore(t tb, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// begin begins a write transaction; the place must be free.
func begin(t tb, s *Store) *Tx {
	t.Helper()
	r, err := s.RequestWrite(coord.Who{}, wal.AutoActions{NoRestart: false})
	if err != nil {
		t.Fatal(err)
	}
	tx, err := r.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func commit(t tb, tx *Tx, sqlite bool) {
	t.Helper()
	if err := tx.Commit(context.Background(), CommitOptions{SQLite: sqlite}); err != nil {
		t.Fatal(err)
	}
}

// set fills a page, but for the header of page 1.
func set(t tb, tx *Tx, n walformat.PageNo, v byte) {
	t.Helper()
	p, err := tx.Write(n)
	if err != nil {
		t.Fatal(err)
	}
	fill(p, n, v)
}

func fill(p []byte, n walformat.PageNo, v byte) {
	from := 0
	if n == 1 {
		from = 200
	}
	for i := from; i < len(p); i++ {
		p[i] = v
	}
}

// value is what set wrote.
func value(t tb, tx *Tx, n walformat.PageNo) byte {
	t.Helper()
	p, err := tx.Page(n)
	if err != nil {
		t.Fatal(err)
	}
	for i := 200; i < len(p); i++ {
		if p[i] != p[200] {
			t.Fatalf("page %d is mixed", n)
		}
	}
	return p[200]
}

// logPages are the pages of the last transaction in the log, by frame.
func logPages(t tb, m *disk.Mem) []walformat.PageNo {
	t.Helper()
	r, err := wal.Inspect(m, path+"-wal", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	f, err := m.Open(path+"-wal", disk.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	size, _ := f.Size()
	var last []walformat.PageNo
	if _, err := wal.Scan(f, size, func(tx wal.ScanTx) { last = append([]walformat.PageNo(nil), tx.Pages...) }); err != nil {
		t.Fatal(err)
	}
	return last
}

// page1OnDisk is page 1 as the log, or else the file, has it.
func page1OnDisk(t tb, m *disk.Mem) walformat.DBHeader {
	t.Helper()
	b := make([]byte, walformat.DBHeaderSize)
	r, err := wal.Inspect(m, path+"-wal", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if found, err := r.ReadPage(1, b); err != nil {
		t.Fatal(err)
	} else if !found {
		file, err := m.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		copy(b, file)
	}
	h, err := walformat.ParseDBHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// sqlitePage1 is page 1 as SQLite in rollback mode writes it in its commit:
// what it read, with its counter one up.
func sqlitePage1(t tb, tx *Tx) []byte {
	t.Helper()
	p := make([]byte, tx.PageSize())
	if err := tx.ReadHeader(p, 0); err != nil {
		t.Fatal(err)
	}
	walformat.PutChangeCounter(p, binary.BigEndian.Uint32(p[24:])+1)
	walformat.PutLibraryVersion(p, 3054001)
	return p
}

func wantErr(t tb, err, target error, text string) {
	t.Helper()
	switch {
	case err == nil:
		t.Fatalf("no error, want %v %q", target, text)
	case target != nil && !errors.Is(err, target), !strings.Contains(err.Error(), text):
		t.Fatalf("error %q, want %v %q", err, target, text)
	}
}
