// The frame index: the newest frame of a page up to a snapshot, while it grows.

package coord

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/walnutdb/walnut/internal/walformat"
)

func TestIndexVersions(t *testing.T) {
	x := NewIndex(1, walformat.Checksum{S0: 1})
	for f, p := range []walformat.PageNo{7, 8, 7, 7, 9} {
		x.Add(p, walformat.FrameNo(f+1))
	}
	for _, c := range []struct {
		page      walformat.PageNo
		max, want walformat.FrameNo
	}{
		{7, 0, 0}, {7, 1, 1}, {7, 2, 1}, {7, 3, 3}, {7, 4, 4}, {7, 100, 4},
		{8, 1, 0}, {8, 2, 2}, {8, 5, 2}, {9, 4, 0}, {9, 5, 5}, {10, 5, 0}, {1<<32 - 2, 5, 0},
	} {
		if got := x.Lookup(c.page, c.max); got != c.want {
			t.Errorf("Lookup(%d, %d) = %d, want %d", c.page, c.max, got, c.want)
		}
	}
	if x.Page(3) != 7 || x.Page(5) != 9 {
		t.Error("Page is wrong")
	}
	x.SetSum(2, walformat.Checksum{S0: 5, S1: 6})
	x.SetBase(walformat.Checksum{S0: 3})
	if x.Sum(0) != (walformat.Checksum{S0: 3}) || x.Sum(2) != (walformat.Checksum{S0: 5, S1: 6}) {
		t.Error("Sum is wrong")
	}
}

func TestIndexOrder(t *testing.T) {
	x := NewIndex(1, walformat.Checksum{})
	x.Add(1, 1)
	defer func() {
		if recover() == nil {
			t.Error("a frame was left out, and no panic")
		}
	}()
	x.Add(1, 3)
}

// TestIndexRandom compares with a map, over several growths and chunks, at
// every snapshot of a sample.
func TestIndexRandom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	x := NewIndex(1, walformat.Checksum{})
	history := map[walformat.PageNo][]walformat.FrameNo{}
	const frames = 3*indexChunk + 17
	for f := walformat.FrameNo(1); f <= frames; f++ {
		p := walformat.PageNo(1 + rnd.IntN(1<<(2+rnd.IntN(14))))
		if rnd.IntN(50) == 0 {
			p = walformat.PageNo(rnd.Uint32() | 1) // far away
		}
		x.Add(p, f)
		history[p] = append(history[p], f)
	}
	for range 20000 {
		p, max := walformat.PageNo(1+rnd.IntN(40000)), walformat.FrameNo(rnd.IntN(frames+2))
		var want walformat.FrameNo
		for _, f := range history[p] {
			if f <= max {
				want = f
			}
		}
		if got := x.Lookup(p, max); got != want {
			t.Fatalf("Lookup(%d, %d) = %d, want %d", p, max, got, want)
		}
	}
	for p, fs := range history {
		if got := x.Lookup(p, frames); got != fs[len(fs)-1] {
			t.Fatalf("Lookup(%d) = %d, want %d", p, got, fs[len(fs)-1])
		}
	}
}

// TestIndexOldTable: a reader that loaded the table before a growth finds in it
// everything that its snapshot has.
func TestIndexOldTable(t *testing.T) {
	x := NewIndex(1, walformat.Checksum{})
	for f := walformat.FrameNo(1); f <= 30; f++ {
		x.Add(walformat.PageNo(f), f)
	}
	old := x.table.Load()
	for f := walformat.FrameNo(31); f <= 500; f++ {
		x.Add(walformat.PageNo(f), f)
	}
	if x.table.Load() == old {
		t.Fatal("the table did not grow")
	}
	for f := walformat.FrameNo(1); f <= 30; f++ {
		if v := x.find(old, walformat.PageNo(f)).Load(); walformat.FrameNo(v) != f {
			t.Errorf("page %d is at frame %d in the old table", f, v)
		}
	}
}

// TestIndexReaders: readers without a lock beside the writer, under -race.
func TestIndexReaders(t *testing.T) {
	c := at(0, 0)
	x := c.Published().Index
	const frames, pages = 6000, 97
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 1))
			for {
				st := c.Published()
				if st.MaxFrame > 0 {
					// Page p is in the frames p, p+97, p+194, …
					p := walformat.FrameNo(1 + rnd.IntN(pages))
					want := walformat.FrameNo(0)
					if st.MaxFrame >= p {
						want = p + (st.MaxFrame-p)/pages*pages
					}
					if got := st.Index.Lookup(walformat.PageNo(p), st.MaxFrame); got != want {
						t.Errorf("Lookup(%d, %d) = %d, want %d", p, st.MaxFrame, got, want)
						return
					}
					if want > 0 && st.Index.Sum(want).S0 != uint32(want) {
						t.Errorf("the sum of frame %d is %v", want, st.Index.Sum(want))
					}
				}
				if st.MaxFrame == frames {
					return
				}
			}
		})
	}
	for f := walformat.FrameNo(1); f <= frames; f++ {
		x.Add(walformat.PageNo((f-1)%pages+1), f)
		x.SetSum(f, walformat.Checksum{S0: uint32(f)})
		if f%5 == 0 {
			publish(c, f)
		}
	}
	publish(c, frames)
	wg.Wait()
}

// TestIndexMemory: a frame costs no more than 24 bytes, whether each has a page
// of its own or pages come again; the odd chunk and the directory included.
func TestIndexMemory(t *testing.T) {
	const frames, bound = 1 << 20, 24
	for name, pages := range map[string]uint32{
		"a page for each frame": frames, "not all new": 600_000, "few pages": 1000,
	} {
		x := NewIndex(1, walformat.Checksum{})
		for f := range uint32(frames) {
			x.Add(walformat.PageNo(f%pages+1), walformat.FrameNo(f+1))
		}
		dir := *x.frames.Load()
		bytes := cap(dir)*int(unsafe.Sizeof(dir[0])) +
			len(dir)*int(unsafe.Sizeof(*dir[0])) +
			cap(x.table.Load().slots)*int(unsafe.Sizeof(atomic.Uint32{})) +
			len(x.older.table.Load().slots)*int(unsafe.Sizeof(versionSlot{}))
		t.Logf("%s: %.1f bytes a frame", name, float64(bytes)/frames)
		if bytes > bound*frames {
			t.Errorf("%s: %d bytes for %d frames, more than %d each", name, bytes, frames, bound)
		}
	}
}
