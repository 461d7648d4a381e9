package pager

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

const poolTestPage = 512

// pattern is what the tests of the pool keep as version v of page n.
func pattern(dst []byte, n walformat.PageNo, v coord.Version) []byte {
	for i := 0; i < len(dst); i += 16 {
		binary.LittleEndian.PutUint64(dst[i:], uint64(n))
		binary.LittleEndian.PutUint64(dst[i+8:], uint64(v))
	}
	return dst
}

// putPattern puts version v of page n, as a commit does.
func putPattern(p *pool, n walformat.PageNo, v coord.Version) {
	e := newPoolPage(n, v, pattern(getPage(poolTestPage), n, v))
	p.put(e)
	e.unpin()
}

// TestPoolViewsStay: what was handed out for good never changes, however many
// pages come after it.
func TestPoolViewsStay(t *testing.T) {
	p := newPool(8*poolTestPage, poolTestPage)
	var views [][]byte
	for v := coord.Version(1); v < 500; v++ {
		putPattern(p, 7, v)
		if v%10 == 0 {
			views = append(views, p.view(7, v))
		}
	}
	for i, got := range views {
		if v := coord.Version(10 * (i + 1)); got == nil || !bytes.Equal(got, pattern(make([]byte, poolTestPage), 7, v)) {
			t.Fatalf("the view of version %d has changed", v)
		}
	}
}

// TestPoolPinned: a pinned page keeps its content when the pool forgets it; the
// last to let go of it decides, and only once.
func TestPoolPinned(t *testing.T) {
	p := newPool(8*poolTestPage, poolTestPage)
	putPattern(p, 7, 1)
	a, b := p.pin(7, 1), p.pin(7, 1)
	if a == nil || a != b {
		t.Fatal("the page is not in the pool")
	}
	for v := coord.Version(2); v < 100; v++ {
		putPattern(p, 7, v)
	}
	if p.pin(7, 1) != nil {
		t.Fatal("version 1 should have been forgotten")
	}
	want := pattern(make([]byte, poolTestPage), 7, 1)
	a.unpin()
	for v := coord.Version(100); v < 200; v++ {
		putPattern(p, 7, v)
	}
	if !bytes.Equal(b.data, want) {
		t.Fatal("a pinned page was used again")
	}
	b.unpin()
	if b.pin() {
		t.Fatal("a page that nobody uses can be pinned")
	}
}

// TestPoolWelcomes: a page that was only read comes in where there is room, and
// else now and then, so that a scan leaves most of what is there.
func TestPoolWelcomes(t *testing.T) {
	p := newPool(8*poolTestPage, poolTestPage)
	for n := walformat.PageNo(1); n <= poolWays; n++ {
		if !p.welcomes(n) {
			t.Fatalf("no room with %d pages", n-1)
		}
		putPattern(p, n, 1)
	}
	in := 0
	for n := range walformat.PageNo(8000) {
		if p.welcomes(100 + n) {
			in++
		}
	}
	if in == 0 || in > 8000/4 {
		t.Errorf("%d of 8000 pages drive another one out", in)
	}
}

// TestPoolRace: readers that copy, readers with views and writers, on a pool of
// one set. Whoever finds a version finds its content.
func TestPoolRace(t *testing.T) {
	p := newPool(8*poolTestPage, poolTestPage)
	const pages, versions = 12, 20
	var wg sync.WaitGroup
	for g := range 6 {
		rng := rand.New(rand.NewPCG(uint64(g), 1))
		wg.Go(func() {
			want := make([]byte, poolTestPage)
			dst := make([]byte, poolTestPage)
			for i := range 20_000 {
				n, v := walformat.PageNo(1+rng.IntN(pages)), coord.Version(1+rng.IntN(versions))
				switch {
				case g < 3:
					putPattern(p, n, v)
					continue
				case i%500 == 0:
					view := p.view(n, v)
					if view == nil {
						continue
					}
					copy(dst, view)
				default:
					e := p.pin(n, v)
					if e == nil {
						continue
					}
					copy(dst, e.data)
					e.unpin()
				}
				if !bytes.Equal(dst, pattern(want, n, v)) {
					t.Errorf("page %d in version %d has another content", n, v)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestCommitAllocations: once it is warm, a connection's commits need no page,
// no list and no transaction from the heap. What is left is the published
// state with the function that changes it, the pool's entry for the page, and
// the page of the disk in memory.
func TestCommitAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools at random")
	}
	s := openMem(t, disk.NewMem(), 4096)
	var r WriteRequest
	page, v := make([]byte, 4096), byte(0)
	one := func() {
		v++
		if err := s.RequestWriteInto(&r, coord.Who{}, wal.AutoActions{}); err != nil {
			t.Fatal(err)
		}
		tx, err := r.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if tx.PageCount() == 0 {
			if err := tx.WritePage(1, walformat.NewPage1(4096)); err != nil {
				t.Fatal(err)
			}
		}
		fill(page, 2, v)
		if err := tx.WritePage(2, page); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(ctx, CommitOptions{SQLite: true}); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		one()
	}
	// A garbage collection empties the pools, and the disk in memory grows.
	if n := testing.AllocsPerRun(500, one); n > 6 {
		t.Errorf("%v allocations a commit", n)
	}
}

// TestLargeTransactionLeavesNoRoom: the map of a large transaction, spilled or
// not, does not stay for the small ones after it, each of which would walk over
// it; that of a small one does.
func TestLargeTransactionLeavesNoRoom(t *testing.T) {
	for _, txBytes := range []int64{0, 600 * 512} {
		s, err := Open(path, Options{FS: disk.NewMem(), PageSize: 512, TxBytes: txBytes})
		if err != nil {
			t.Fatal(err)
		}
		var r WriteRequest
		for _, last := range []walformat.PageNo{5, 1000, 5} {
			if err := s.RequestWriteInto(&r, coord.Who{}, wal.AutoActions{}); err != nil {
				t.Fatal(err)
			}
			tx, err := r.Begin(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for n := walformat.PageNo(2); n <= last; n++ {
				if err := tx.WritePage(n, make([]byte, 512)); err != nil {
					t.Fatal(err)
				}
			}
			commit(t, tx, false)
			if kept := tx.dirty != nil && cap(tx.frames) > 0; kept != (last == 5) {
				t.Errorf("bound %d: %d pages, room kept: %v", txBytes, last, kept)
			}
		}
		closeStore(t, s)
	}
}
