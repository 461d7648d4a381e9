// The frame index of one generation: which frame holds the newest version of a
// page, and the frame before it.
//
//	table   page  -> newest frame            open addressing, grows by doubling
//	frames  frame -> page, previous frame    chunks of 4096, never moved
//	sums    frame -> stored checksum         the same chunks
//
// Invariants: only the holder of the writer's place adds entries, in frame
// order, a whole transaction at its acceptance. Sums are set by the leader
// before the frame is published. Readers take no lock: an entry is written
// before the table slot that leads to it (an atomic store), and a reader asks
// only for frames up to a snapshot that was published later than both. A
// reader that still has the table from before a growth finds everything it may
// see there. An index is never emptied: a restart begins a new one, and a
// reader of the old generation keeps the old.

package coord

import (
	"sync/atomic"

	"github.com/walnutdb/walnut/internal/walformat"
)

const indexChunk = 4096

type indexEntry struct {
	page walformat.PageNo
	prev walformat.FrameNo
	sum  walformat.Checksum
}

type indexTable struct {
	slots []atomic.Uint64 // page<<32 | newest frame; 0 is empty
	shift uint            // 64 - log2(len(slots))
}

// Index is the frame index of one generation.
type Index struct {
	table  atomic.Pointer[indexTable]
	frames atomic.Pointer[[]*[indexChunk]indexEntry]
	// Guarded by the writer's place.
	pages int
	last  walformat.FrameNo
	// base is the checksum that frame 1 continues: the WAL header's.
	base walformat.Checksum
}

// NewIndex returns the index of a generation without frames, whose WAL header
// has the checksum base.
func NewIndex(base walformat.Checksum) *Index {
	x := &Index{base: base}
	x.table.Store(newIndexTable(6))
	x.frames.Store(new([]*[indexChunk]indexEntry))
	return x
}

func newIndexTable(bits uint) *indexTable {
	return &indexTable{slots: make([]atomic.Uint64, 1<<bits), shift: 64 - bits}
}

// find returns the slot of page, or the empty one where it belongs.
func (t *indexTable) find(page walformat.PageNo) *atomic.Uint64 {
	i := uint64(page) * 0x9E3779B97F4A7C15 >> t.shift
	for {
		s := &t.slots[i]
		if v := s.Load(); v == 0 || walformat.PageNo(v>>32) == page {
			return s
		}
		i = (i + 1) & uint64(len(t.slots)-1)
	}
}

// Add enters frame f, the one after the last, as the newest of page.
// REQUIRES the writer's place.
func (x *Index) Add(page walformat.PageNo, f walformat.FrameNo) {
	if f != x.last+1 {
		panic("coord: frame index out of order")
	}
	x.last = f
	dir := *x.frames.Load()
	c := int(f-1) / indexChunk
	if c == len(dir) {
		grown := append(make([]*[indexChunk]indexEntry, 0, c+1), dir...)
		grown = append(grown, new([indexChunk]indexEntry))
		x.frames.Store(&grown)
		dir = grown
	}
	t := x.table.Load()
	s := t.find(page)
	old := s.Load()
	e := &dir[c][int(f-1)%indexChunk]
	e.page, e.prev = page, walformat.FrameNo(uint32(old))
	s.Store(uint64(page)<<32 | uint64(f))
	if old == 0 {
		if x.pages++; x.pages*2 > len(t.slots) {
			x.grow(t)
		}
	}
}

func (x *Index) grow(t *indexTable) {
	n := newIndexTable(64 - t.shift + 1)
	for i := range t.slots {
		if v := t.slots[i].Load(); v != 0 {
			n.find(walformat.PageNo(v >> 32)).Store(v)
		}
	}
	x.table.Store(n)
}

func (x *Index) entry(f walformat.FrameNo) *indexEntry {
	return &(*x.frames.Load())[int(f-1)/indexChunk][int(f-1)%indexChunk]
}

// Lookup returns the newest frame of page that is at most max; 0 if there is
// none.
func (x *Index) Lookup(page walformat.PageNo, max walformat.FrameNo) walformat.FrameNo {
	f := walformat.FrameNo(uint32(x.table.Load().find(page).Load()))
	for f > max {
		f = x.entry(f).prev
	}
	return f
}

// Page returns the page that frame f holds. f must have been added.
func (x *Index) Page(f walformat.FrameNo) walformat.PageNo { return x.entry(f).page }

// SetSum notes the checksum stored in frame f. REQUIRES the log's leadership,
// and f not published.
func (x *Index) SetSum(f walformat.FrameNo, s walformat.Checksum) { x.entry(f).sum = s }

// Sum returns the checksum stored in frame f, the WAL header's for 0. f must
// have been published, or the caller is the leader.
func (x *Index) Sum(f walformat.FrameNo) walformat.Checksum {
	if f == 0 {
		return x.base
	}
	return x.entry(f).sum
}

// SetBase sets the checksum that frame 1 continues. REQUIRES the writer's
// place, and no frame yet.
func (x *Index) SetBase(s walformat.Checksum) { x.base = s }
