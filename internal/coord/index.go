// The frame index of one generation: which frame holds the newest version of a
// page, and the frame before it; and the names of page versions, for caches.
//
//	table   page  -> newest frame            4 bytes a slot, open addressing, at
//	                                         least 58% full once it has grown
//	frames  frame -> page, previous frame,   16 bytes each, in chunks of 4096
//	                 stored checksum         that never move
//	older   page  -> version in the file     of pages changed in earlier
//	                                         generations; shared by all
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
	"math/bits"
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
	slots []atomic.Uint32 // newest frame of a page; 0 is empty
}

// Index is the frame index of one generation.
type Index struct {
	gen    Generation
	table  atomic.Pointer[indexTable]
	frames atomic.Pointer[[]*[indexChunk]indexEntry]
	older  *versions
	// Guarded by the writer's place.
	pages int
	last  walformat.FrameNo
	// base is the checksum that frame 1 continues: the WAL header's.
	base walformat.Checksum
}

// NewIndex returns the index of the first generation, without frames, whose
// WAL header has the checksum base.
func NewIndex(gen Generation, base walformat.Checksum) *Index {
	return newIndex(gen, base, newVersions(gen))
}

// Next returns the index of the generation that follows x's, all of whose
// frames are in the database file. REQUIRES the writer's place.
func (x *Index) Next(gen Generation, base walformat.Checksum) *Index {
	x.older.fold(x)
	return newIndex(gen, base, x.older)
}

func newIndex(gen Generation, base walformat.Checksum, older *versions) *Index {
	x := &Index{gen: gen, base: base, older: older}
	x.table.Store(newIndexTable(firstSlots()))
	x.frames.Store(new([]*[indexChunk]indexEntry))
	return x
}

func newIndexTable(slots int) *indexTable {
	return &indexTable{slots: make([]atomic.Uint32, slots)}
}

// first is where the search for page begins.
func (t *indexTable) first(page walformat.PageNo) int {
	i, _ := bits.Mul64(uint64(page)*0x9E3779B97F4A7C15, uint64(len(t.slots)))
	return int(i)
}

func hashPage(page walformat.PageNo, shift uint) uint64 {
	return uint64(page) * 0x9E3779B97F4A7C15 >> shift
}

// find returns the slot of page, or the empty one where it belongs.
func (x *Index) find(t *indexTable, page walformat.PageNo) *atomic.Uint32 {
	i := t.first(page)
	for {
		s := &t.slots[i]
		if f := s.Load(); f == 0 || x.entry(walformat.FrameNo(f)).page == page {
			return s
		}
		if i++; i == len(t.slots) {
			i = 0
		}
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
	s := x.find(t, page)
	old := s.Load()
	e := &dir[c][int(f-1)%indexChunk]
	e.page, e.prev = page, walformat.FrameNo(old)
	s.Store(uint32(f))
	if old == 0 {
		if x.pages++; x.pages*8 > len(t.slots)*7 {
			x.grow(t)
		}
	}
}

// grow makes the table half as large again: doubling it would leave it less
// than half full, and cost more than 8 bytes a page.
func (x *Index) grow(t *indexTable) {
	n := newIndexTable(len(t.slots) + len(t.slots)/2)
	for i := range t.slots {
		if f := t.slots[i].Load(); f != 0 {
			x.find(n, x.entry(walformat.FrameNo(f)).page).Store(f)
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
	f := walformat.FrameNo(x.find(x.table.Load(), page).Load())
	for f > max {
		f = x.entry(f).prev
	}
	return f
}

// Version returns the newest frame of page that is at most max, as Lookup does,
// and the name of that version of the page; 0 if it has none any more, for a
// reader that was detached and whose page has changed since, in a generation
// that has ended.
func (x *Index) Version(page walformat.PageNo, max walformat.FrameNo) (walformat.FrameNo, Version) {
	if f := x.Lookup(page, max); f != 0 {
		return f, VersionOf(x.gen, f)
	}
	if v := x.older.of(page); v <= VersionOf(x.gen, max) {
		return 0, v
	}
	return 0, 0
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
