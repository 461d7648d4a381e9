// Reading the database file through a mapping, on a real disk.

package pager

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

// put commits pages 2 to last, full of b.
func put(t *testing.T, s *Store, last uint32, b byte) {
	t.Helper()
	tx := begin(t, s)
	for n := uint32(2); n <= last; n++ {
		if err := tx.WritePage(walformat.PageNo(n), bytes.Repeat([]byte{b}, tx.PageSize())); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(ctx, CommitOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestSnapshotsThroughMapping(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "db"), Options{FS: disk.OS()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { closeStore(t, s) }()
	if !s.log.Cached(2) {
		t.Skip("files are not mapped here")
	}
	// all reads every page often enough to come from the mapping.
	all := func(tx *Tx, last uint32, b byte) {
		t.Helper()
		p := make([]byte, tx.PageSize())
		for range 3 {
			for n := uint32(2); n <= last; n++ {
				if err := tx.ReadPage(walformat.PageNo(n), p); err != nil || !bytes.Equal(p, bytes.Repeat([]byte{b}, len(p))) {
					t.Fatalf("page %d reads %q…, %v; want %q", n, p[0], err, b)
				}
			}
		}
	}
	const last = 400
	put(t, s, last, 'a')
	for _, b := range []byte("bcd") {
		if _, err := s.log.Checkpoint(ctx, wal.Truncate, wal.CheckpointOptions{}); err != nil {
			t.Fatal(err)
		}
		old := s.BeginRead(coord.Who{})
		if !old.file {
			t.Fatal("the reader does not read the file")
		}
		all(old, last, b-1)
		p := make([]byte, old.PageSize())
		if n := testing.AllocsPerRun(100, func() { _ = old.ReadPage(7, p) }); n != 0 {
			t.Errorf("%v allocations a page", n)
		}
		put(t, s, last/2, b) // half in the log, half in the file
		now := s.BeginRead(coord.Who{})
		all(now, last/2, b)
		if err := now.ReadPage(last, p); err != nil || p[0] != b-1 {
			t.Errorf("a page that is in the file only: %q, %v", p[0], err)
		}
		all(old, last, b-1)
		old.End()
		now.End()
		put(t, s, last, b)
	}
}

// TestAboveTheMapping: pages so far behind that no mapping reaches them are kept
// in the pool, as those of files that are not mapped.
func TestAboveTheMapping(t *testing.T) {
	name := filepath.Join(t.TempDir(), "db")
	s, err := Open(name, Options{FS: disk.OS()})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, 3, 'a')
	closeStore(t, s)
	const pages = 80 << 30 / 4096 // a file of holes
	if err := os.Truncate(name, pages*4096); err != nil {
		t.Skip(err)
	}
	if s, err = Open(name, Options{FS: disk.OS()}); err != nil {
		t.Fatal(err)
	}
	defer func() { closeStore(t, s) }()
	tx := s.BeginRead(coord.Who{})
	defer tx.End()
	p := make([]byte, 4096)
	for _, n := range []walformat.PageNo{2, pages / 2, pages} {
		if err := tx.ReadPage(n, p); err != nil || n > 3 && !bytes.Equal(p, make([]byte, len(p))) {
			t.Fatal(n, err)
		}
		_, v := tx.st.Index.Version(n, tx.st.MaxFrame)
		if !s.log.Cached(n) && s.pool().find(n, v) == nil {
			t.Errorf("page %d is neither in the mapping's reach nor in the pool", n)
		}
		if s.log.Cached(n) && s.log.ReadPage(tx.st, 0, n, p) == nil && !s.db.(disk.Mapper).ReadMapped(p, int64(n-1)*4096) {
			t.Errorf("page %d counts as cached, and is not mapped", n)
		}
	}
}
