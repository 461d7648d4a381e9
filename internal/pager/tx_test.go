// One transaction: which pages become frames, what the engine keeps on page 1,
// and what is refused.

package pager

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

// TestZeroPages: every page that a transaction adds gets a frame, written or
// not, also when it first shrank and then grew again.
func TestZeroPages(t *testing.T) {
	m := disk.NewMem()
	s := openMem(t, m, 512)
	tx := begin(t, s)
	set(t, tx, 6, 6)
	commit(t, tx, false)
	if got := fmt.Sprint(logPages(t, m)); got != "[1 2 3 4 5 6]" {
		t.Errorf("frames for %s", got)
	}
	tx = begin(t, s)
	if err := tx.SetPageCount(2); err != nil {
		t.Fatal(err)
	}
	set(t, tx, 5, 5)
	commit(t, tx, false)
	if got := fmt.Sprint(logPages(t, m)); got != "[1 3 4 5]" {
		t.Errorf("after shrinking and growing: frames for %s", got)
	}
	r := s.BeginRead(coord.Who{})
	if r.PageCount() != 5 || value(t, r, 4) != 0 || value(t, r, 5) != 5 {
		t.Errorf("%d pages, page 4 is %d", r.PageCount(), value(t, r, 4))
	}
	r.End()
	// Shrinking alone.
	tx = begin(t, s)
	if err := tx.SetPageCount(3); err != nil {
		t.Fatal(err)
	}
	commit(t, tx, false)
	if got := fmt.Sprint(logPages(t, m)); got != "[1]" {
		t.Errorf("shrinking: frames for %s", got)
	}
	if h := page1OnDisk(t, m); h.SizeInPages != 3 {
		t.Errorf("page 1 counts %d pages", h.SizeInPages)
	}
	closeStore(t, s)
	if b, _ := m.ReadFile(path); len(b) != 3*512 {
		t.Errorf("the file has %d bytes", len(b))
	}
}

// TestLockBytePage: it never gets a frame, and cannot be read or written. A
// database that reaches over it is pretended: the file need not hold 1 GiB.
func TestLockBytePage(t *testing.T) {
	const ps = 65536
	lock := walformat.LockBytePage(ps)
	m := disk.NewMem()
	page1 := walformat.NewPage1(ps)
	walformat.PutSizeInPages(page1, uint32(lock)-2)
	if err := m.WriteFile(path, page1); err != nil {
		t.Fatal(err)
	}
	f, err := m.Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(int64(lock-2) * ps); err != nil { // sparse
		t.Fatal(err)
	}
	_ = f.Close()
	s := openMem(t, m, 0)
	tx := begin(t, s)
	if tx.PageCount() != uint32(lock)-2 {
		t.Fatalf("%d pages", tx.PageCount())
	}
	set(t, tx, lock+2, 7)
	_, err = tx.Write(lock)
	wantErr(t, err, ErrPageRange, "")
	_, err = tx.Page(lock)
	wantErr(t, err, ErrPageRange, "lock bytes")
	wantErr(t, tx.WritePage(lock, make([]byte, ps)), ErrPageRange, "")
	commit(t, tx, false)
	if got, want := fmt.Sprint(logPages(t, m)), fmt.Sprint([]walformat.PageNo{1, lock - 1, lock + 1, lock + 2}); got != want {
		t.Errorf("frames for %s, want %s", got, want)
	}
	closeStore(t, s)
	s = openMem(t, m, 0)
	r := s.BeginRead(coord.Who{})
	if v := value(t, r, lock+2); v != 7 {
		t.Errorf("page %d is %d", lock+2, v)
	}
	r.End()
}

// TestCounterElision: a page 1 that SQLite wrote for its counter alone needs no
// frame; in every other case it is there.
func TestCounterElision(t *testing.T) {
	m := disk.NewMem()
	s := openMem(t, m, 512)
	tx := begin(t, s)
	for n := range walformat.PageNo(4) {
		set(t, tx, n+1, 1)
	}
	commit(t, tx, false)
	for _, c := range []struct {
		name   string
		change func(tx *Tx, p []byte)
		frames string
	}{
		{"the counter alone", func(tx *Tx, p []byte) {}, "[3]"},
		{"something in the header", func(tx *Tx, p []byte) { p[60]++ }, "[1 3]"},
		{"something behind the header", func(tx *Tx, p []byte) { p[300]++ }, "[1 3]"},
		{"growth", func(tx *Tx, p []byte) { _ = tx.WritePage(5, make([]byte, 512)); walformat.PutSizeInPages(p, 5) }, "[1 3 5]"},
		{"the counter alone, again", func(tx *Tx, p []byte) {}, "[3]"},
	} {
		tx := begin(t, s)
		seq := uint32(tx.Seq())
		p := sqlitePage1(t, tx)
		c.change(tx, p)
		if err := errors.Join(tx.WritePage(1, p), tx.WritePage(3, make([]byte, 512))); err != nil {
			t.Fatal(err)
		}
		commit(t, tx, true)
		if got := fmt.Sprint(logPages(t, m)); got != c.frames {
			t.Errorf("%s: frames for %s, want %s", c.name, got, c.frames)
		}
		h := page1OnDisk(t, m)
		if h.ReadVersion != 2 || h.WriteVersion != 2 {
			t.Errorf("%s: page 1 says version %d", c.name, h.ReadVersion)
		}
		if c.frames != "[3]" && h.ChangeCounter != s.baseCounter+seq+1 {
			t.Errorf("%s: counter %d on disk, want %d", c.name, h.ChangeCounter, s.baseCounter+seq+1)
		}
	}
	// A commit of which nothing else is left: else its counter is used twice.
	tx = begin(t, s)
	if err := tx.WritePage(1, sqlitePage1(t, tx)); err != nil {
		t.Fatal(err)
	}
	commit(t, tx, true)
	if got := fmt.Sprint(logPages(t, m)); got != "[1]" {
		t.Errorf("page 1 alone: frames for %s", got)
	}
}

// TestCounterUnique: what SQLite compares its cache by, bytes 24 to 39, is
// another after every commit, through whichever interface and across closes.
func TestCounterUnique(t *testing.T) {
	m := disk.NewMem()
	seen := map[[16]byte]string{}
	i := 0
	for range 3 {
		s := openMem(t, m, 512)
		look := func(what string) {
			r := s.BeginRead(coord.Who{})
			defer r.End()
			var b [16]byte
			if err := r.ReadHeader(b[:], 24); err != nil {
				t.Fatal(err)
			}
			if old, ok := seen[b]; ok {
				t.Errorf("%s shows what %s has shown", what, old)
			}
			seen[b] = what
			again := r.Seq()
			var c [16]byte
			if err := r.ReadHeader(c[:], 24); err != nil || c != b || r.Seq() != again {
				t.Errorf("%s shows two values", what)
			}
		}
		for range 8 {
			tx := begin(t, s)
			switch i % 4 {
			case 0:
				set(t, tx, 2, byte(i))
				commit(t, tx, false)
			case 1:
				p := sqlitePage1(t, tx)
				if err := errors.Join(tx.WritePage(1, p), tx.WritePage(2, make([]byte, 512))); err != nil {
					t.Fatal(err)
				}
				// The committer goes on with what it wrote itself.
				want := binary.BigEndian.Uint32(p[24:])
				if got := s.counter(tx.Seq() + 1); got != want {
					t.Errorf("SQLite wrote counter %d, its commit shows %d", want, got)
				}
				commit(t, tx, true)
			case 2:
				set(t, tx, walformat.PageNo(3+i), 1)
				commit(t, tx, false)
			case 3:
				if err := tx.WritePage(1, sqlitePage1(t, tx)); err != nil {
					t.Fatal(err)
				}
				commit(t, tx, true)
			}
			look(fmt.Sprintf("commit %d", i))
			i++
		}
		// The last one before a close writes page 1, as SQLite's do when the
		// counter is all that survives: what the next open starts from.
		tx := begin(t, s)
		set(t, tx, 1, byte(i))
		commit(t, tx, false)
		look("the last commit")
		closeStore(t, s)
	}
}

// TestShownPage1: SQLite sees rollback mode, in whatever piece it reads.
func TestShownPage1(t *testing.T) {
	s := openMem(t, disk.NewMem(), 512)
	tx := begin(t, s)
	set(t, tx, 1, 3)
	commit(t, tx, false)
	r := s.BeginRead(coord.Who{})
	defer r.End()
	whole := make([]byte, 512)
	if err := r.ReadHeader(whole, 0); err != nil {
		t.Fatal(err)
	}
	if whole[18] != 1 || whole[19] != 1 || binary.BigEndian.Uint32(whole[24:]) != s.counter(r.Seq()) || !bytes.Equal(whole[24:28], whole[92:96]) {
		t.Errorf("% x", whole[:100])
	}
	for off := 0; off < 120; off += 7 {
		part := make([]byte, 31)
		if err := r.ReadHeader(part, off); err != nil || !bytes.Equal(part, whole[off:off+31]) {
			t.Errorf("from %d: % x, %v", off, part, err)
		}
	}
}

// TestConversion: the first commit to a database in rollback mode says WAL mode
// and bumps the counter, also if it writes another page only.
func TestConversion(t *testing.T) {
	for _, size := range []uint32{1, 0} { // the count in the header, right or not
		m := disk.NewMem()
		b := walformat.NewPage1(512)
		walformat.PutVersions(b, 1)
		walformat.PutChangeCounter(b, 41)
		walformat.PutSizeInPages(b, size*2)
		if err := m.WriteFile(path, append(b, make([]byte, 512)...)); err != nil {
			t.Fatal(err)
		}
		s := openMem(t, m, 0)
		tx := begin(t, s)
		tx.End()
		if h := page1OnDisk(t, m); h.ReadVersion != 1 {
			t.Error("converted without a commit")
		}
		tx = begin(t, s)
		set(t, tx, 2, 1)
		commit(t, tx, false)
		if h := page1OnDisk(t, m); h.ReadVersion != 2 || h.ChangeCounter != 42 || h.SizeInPages != 2 || !h.SizeValid() {
			t.Errorf("%+v", h)
		}
		tx = begin(t, s)
		set(t, tx, 2, 2)
		commit(t, tx, false)
		if got := fmt.Sprint(logPages(t, m)); got != "[2]" {
			t.Errorf("converted again: frames for %s", got)
		}
		closeStore(t, s)
	}
}

// TestCreation: page 1 is in the file before there is a log.
func TestCreation(t *testing.T) {
	m := disk.NewMem()
	s := openMem(t, m, 1024)
	tx := begin(t, s)
	if tx.PageCount() != 0 {
		t.Fatalf("%d pages", tx.PageCount())
	}
	set(t, tx, 3, 3)
	if err := tx.Reserve(); err != nil {
		t.Fatal(err)
	}
	b, err := m.ReadFile(path)
	if err != nil || !bytes.Equal(b, walformat.NewPage1(1024)) {
		t.Errorf("the file has %d bytes, %v", len(b), err)
	}
	commit(t, tx, false)
	h := page1OnDisk(t, m)
	if h.SizeInPages != 3 || h.PageSize != 1024 {
		t.Errorf("%+v", h)
	}
}

func TestRefusals(t *testing.T) {
	s := openMem(t, disk.NewMem(), 512)
	tx := begin(t, s)
	set(t, tx, 2, 1)
	for _, n := range []walformat.PageNo{0, 1<<32 - 1} {
		_, err := tx.Write(n)
		wantErr(t, err, ErrPageRange, "")
	}
	wantErr(t, tx.SetPageCount(0), ErrPageRange, "")
	_, err := tx.Page(3)
	wantErr(t, err, ErrPageRange, "page 3 of 2")
	wantErr(t, tx.SetPageSize(1024), ErrReadOnly, "")
	wantErr(t, s.Close(), ErrTxOpen, "")
	commit(t, tx, false)
	_, err = tx.Write(1)
	wantErr(t, err, ErrTxDone, "")
	_, err = tx.Page(1)
	wantErr(t, err, ErrTxDone, "")
	wantErr(t, tx.Commit(context.Background(), CommitOptions{}), ErrTxDone, "")
	wantErr(t, tx.Rollback(false), ErrTxDone, "")
	tx.End()
	r := s.BeginRead(coord.Who{})
	_, err = r.Write(1)
	wantErr(t, err, ErrReadOnly, "")
	wantErr(t, r.SetPageCount(9), ErrReadOnly, "")
	r.End()
	// A page 1 that is no header any more never gets into the log.
	tx = begin(t, s)
	p, err := tx.Write(1)
	if err != nil {
		t.Fatal(err)
	}
	copy(p, "garbage, no SQLite")
	wantErr(t, tx.Commit(context.Background(), CommitOptions{}), ErrNotDatabase, "page 1")
	tx = begin(t, s)
	set(t, tx, 2, 9)
	commit(t, tx, false)
	if s.OpenTransactions() != 0 {
		t.Errorf("%d transactions are open", s.OpenTransactions())
	}
}

// TestUpgrade: as a writer, on the snapshot that it has read.
func TestUpgrade(t *testing.T) {
	s := openMem(t, disk.NewMem(), 512)
	tx := begin(t, s)
	set(t, tx, 2, 1)
	commit(t, tx, false)
	r := s.BeginRead(coord.Who{})
	req, err := r.RequestUpgrade(wal.AutoActions{NoRestart: false})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := req.Begin(ctx); err != nil {
		t.Fatal(err)
	}
	set(t, r, 2, 2)
	stale := s.BeginRead(coord.Who{})
	commit(t, r, false)
	_, err = stale.RequestUpgrade(wal.AutoActions{NoRestart: false})
	wantErr(t, err, coord.ErrSnapshotStale, "")
	if v := value(t, stale, 2); v != 1 {
		t.Errorf("the stale one reads %d", v)
	}
	stale.End()
}

// TestKeep: after a commit or rollback that keeps its snapshot, the transaction
// reads that snapshot, whatever comes after.
func TestKeep(t *testing.T) {
	for _, c := range []struct {
		name    string
		upgrade bool // from a read transaction, with its mark
		end     func(*Tx) error
		want    byte
	}{
		{"commit", false, func(tx *Tx) error { return tx.Commit(context.Background(), CommitOptions{Keep: true}) }, 2},
		{"commit after reading", true, func(tx *Tx) error { return tx.Commit(context.Background(), CommitOptions{Keep: true}) }, 2},
		{"rollback", false, func(tx *Tx) error { return tx.Rollback(true) }, 1},
		{"rollback after reading", true, func(tx *Tx) error { return tx.Rollback(true) }, 1},
	} {
		for _, backfilled := range []bool{false, true} {
			s := openMem(t, disk.NewMem(), 512)
			tx := begin(t, s)
			set(t, tx, 2, 1)
			commit(t, tx, false)
			if backfilled {
				if _, err := s.Log().Checkpoint(ctx, wal.Passive, wal.CheckpointOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			if c.upgrade {
				tx = s.BeginRead(coord.Who{})
				req, err := tx.RequestUpgrade(wal.AutoActions{NoRestart: false})
				if err != nil {
					t.Fatal(err)
				}
				if _, err = req.Begin(ctx); err != nil {
					t.Fatal(err)
				}
			} else {
				tx = begin(t, s)
			}
			set(t, tx, 2, 2)
			if err := c.end(tx); err != nil {
				t.Fatal(err)
			}
			for v := byte(3); v < 6; v++ {
				next := begin(t, s)
				set(t, next, 2, v)
				commit(t, next, false)
				if _, err := s.Log().Checkpoint(ctx, wal.Passive, wal.CheckpointOptions{}); err != nil {
					t.Fatal(err)
				}
				if got := value(t, tx, 2); got != c.want {
					t.Errorf("%s (backfilled %v): reads %d after a commit of %d", c.name, backfilled, got, v)
				}
			}
			tx.End()
			r := s.BeginRead(coord.Who{})
			if got := value(t, r, 2); got != 5 {
				t.Errorf("%s: a new reader reads %d", c.name, got)
			}
			r.End()
			if _, err := s.Log().Checkpoint(ctx, wal.Truncate, wal.CheckpointOptions{}); err != nil {
				t.Error(err)
			}
			closeStore(t, s)
		}
	}
}

// TestOneStore: one file, one store, until the last Close.
func TestOneStore(t *testing.T) {
	m := disk.NewMem()
	a, b := openMem(t, m, 512), openMem(t, m, 4096)
	if a != b {
		t.Fatal("two stores for one file")
	}
	tx := begin(t, a)
	closeStore(t, b) // not the last one
	set(t, tx, 1, 1)
	wantErr(t, a.Close(), ErrTxOpen, "(1)")
	commit(t, tx, false)
	closeStore(t, a)
	c := openMem(t, m, 0)
	if c == a || c.PageSize() != 512 {
		t.Errorf("page size %d", c.PageSize())
	}
	other := openMem(t, disk.NewMem(), 512)
	if other == c {
		t.Error("two disks share a store")
	}
}
