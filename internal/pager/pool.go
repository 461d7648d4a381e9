// The buffer pool: pages of accepted transactions, shared by all connections
// of a database and bounded in bytes.
//
// A page is kept under its number and the name of its version (package coord),
// which neither a backfill nor a restart changes; other transactions' versions
// of the same page live beside it. What is in the pool never changes while
// somebody uses it.
//
// Who uses a page is counted: the pool itself, those who copy it at the moment,
// and the commit that still has to write it. When the last has let go, the
// buffer is used again, so that commits and misses allocate nothing in the long
// run. A page of which a view was handed out is never used again: the view stays
// good for ever, and the garbage collector frees the page.
//
// It is set-associative: a page number leads to a set of eight places. Looking
// up takes no lock and writes nothing, unless a page grows hotter; it touches
// the set and the page that it finds, not the others. A page comes in cold, and
// the coldest of its set makes room, so that a scan replaces the pages of scans
// and not what is read again and again.

package pager

import (
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/invariants"
	"github.com/walnutdb/walnut/internal/walformat"
)

// DefaultPoolBytes bounds the pages that a pool keeps.
const DefaultPoolBytes = 64 << 20

const (
	poolWays = 8
	maxHeat  = 3
)

// poolPage is a page in the pool, or one that was in it. Only uses changes.
type poolPage struct {
	page    walformat.PageNo
	version coord.Version
	// uses counts those who use data: the pool, while it keeps the page, and
	// whoever pinned it. It never leaves 0, and never falls to 0 once viewed
	// has been added to it.
	uses atomic.Int32
	data []byte
}

// viewed in poolPage.uses: somebody has a view, for an unknown time.
const viewed = 1 << 30

// newPoolPage returns the page, which its caller uses.
func newPoolPage(page walformat.PageNo, v coord.Version, data []byte) *poolPage {
	e := &poolPage{page: page, version: v, data: data}
	e.uses.Store(1)
	return e
}

// pin makes the caller one of those who use the page; false if nobody does any
// more.
func (e *poolPage) pin() bool {
	for {
		n := e.uses.Load()
		if n <= 0 {
			return false
		}
		if n >= viewed || e.uses.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// unpin lets go of what pin, newPoolPage or pool.pin gave; e may be nil. After
// it the caller must not touch the data.
func (e *poolPage) unpin() {
	if e == nil {
		return
	}
	for {
		n := e.uses.Load()
		if n >= viewed {
			return
		}
		if invariants.Enabled && n <= 0 {
			invariants.Fail("a page is let go of as often as it was pinned", e.page, n)
		}
		if e.uses.CompareAndSwap(n, n-1) {
			if n == 1 {
				putPage(e.data)
			}
			return
		}
	}
}

// view gives the data away for good. The caller has pinned the page.
func (e *poolPage) view() []byte {
	for {
		n := e.uses.Load()
		if n >= viewed || e.uses.CompareAndSwap(n, viewed) {
			return e.data
		}
	}
}

// poolSet is one set. It fills two cache lines.
type poolSet struct {
	// numbers has the page number of each way, and heat a byte for each. Both
	// may be out of step with ways for a moment, or for long where two changed
	// one way at once: then a page is looked for in vain, or forgotten early.
	numbers [poolWays]atomic.Uint32
	heat    atomic.Uint64
	ways    [poolWays]atomic.Pointer[poolPage]
	_       [24]byte
}

// heatOf is the heat of way i; setHeat changes it, and may lose what others
// change at the same time.
func (s *poolSet) heatOf(i int) uint64 { return s.heat.Load() >> (8 * i) & 0xff }

func (s *poolSet) setHeat(i int, heat uint64) {
	s.heat.Store(s.heat.Load()&^(0xff<<(8*i)) | heat<<(8*i))
}

// cool makes all ways that are warm cooler by one.
func (s *poolSet) cool() {
	heat := s.heat.Load()
	for i := range poolWays {
		if heat>>(8*i)&0xff > 0 {
			heat -= 1 << (8 * i)
		}
	}
	s.heat.Store(heat)
}

type pool struct {
	sets  []poolSet
	shift uint
	// chance leaves pages of commits out, with assertions on.
	chance invariants.Chance
	// leftPinned: a commit failed or was given up, whose pages stay pinned.
	leftPinned atomic.Bool
}

// newPool returns a pool for about that many bytes of pages of pageSize bytes
// each: the largest power of two of sets that fits, at least one.
func newPool(bytes int64, pageSize int) *pool {
	n := max(1, uint64(bytes)/uint64(pageSize)/poolWays)
	log := bits.Len64(n) - 1
	return &pool{sets: make([]poolSet, 1<<log), shift: uint(64 - log)}
}

// capacity is the number of pages that the pool keeps.
func (p *pool) capacity() int { return len(p.sets) * poolWays }

func (p *pool) set(page walformat.PageNo) *poolSet {
	return &p.sets[uint64(page)*0x9E3779B97F4A7C15>>p.shift]
}

// find returns the page of that version, or nil. Who uses it is not counted: pin
// it, and if that fails it is not there.
func (p *pool) find(page walformat.PageNo, v coord.Version) *poolPage {
	s := p.set(page)
	for i := range s.numbers {
		if s.numbers[i].Load() != uint32(page) {
			continue
		}
		if e := s.ways[i].Load(); e != nil && e.page == page && e.version == v {
			if h := s.heatOf(i); h < maxHeat {
				s.setHeat(i, h+1)
			}
			return e
		}
	}
	return nil
}

// pin returns the page of that version, pinned, or nil.
func (p *pool) pin(page walformat.PageNo, v coord.Version) *poolPage {
	if e := p.find(page, v); e != nil && e.pin() {
		return e
	}
	return nil
}

// view returns the page of that version, read-only and for good, or nil.
func (p *pool) view(page walformat.PageNo, v coord.Version) []byte {
	e := p.find(page, v)
	if e == nil {
		return nil
	}
	if e.uses.Load() < viewed && !e.pin() {
		return nil
	}
	return e.view()
}

// oneIn is how many of the pages that would drive out another one do so.
const oneIn = 8

// welcomes reports whether a page that was only read is to come in: if there is
// room, or else by chance. What is read often gets its turn soon; a scan of a
// table that is larger than the pool, or reads all over it, do not pay for
// exchanging one page for another that is needed as rarely.
func (p *pool) welcomes(page walformat.PageNo) bool {
	s := p.set(page)
	for i := range s.numbers {
		if s.numbers[i].Load() == 0 {
			return true
		}
	}
	return rand.Uint32()%oneIn == 0
}

// put keeps a page that the caller has pinned and goes on using. It may leave
// it out.
func (p *pool) put(e *poolPage) {
	s := p.set(e.page)
	for range 2 { // once more if somebody else took the place
		i, old, heat := s.victim(e.page, e.version)
		if i < 0 {
			return
		}
		e.pin()
		if s.ways[i].CompareAndSwap(old, e) {
			s.numbers[i].Store(uint32(e.page))
			s.setHeat(i, heat)
			old.unpin()
			return
		}
		e.unpin()
	}
}

// victim chooses the place for a version of page, with what is in it and the
// heat that the new page begins with: an empty place, that of an older version,
// whose heat is inherited, or the coldest; -1 if the version is there already.
// Where all have been read since the last time, all cool down.
func (s *poolSet) victim(page walformat.PageNo, v coord.Version) (int, *poolPage, uint64) {
	best, bestHeat := -1, uint64(maxHeat+1)
	for i := range s.numbers {
		heat := s.heatOf(i) + 1
		switch s.numbers[i].Load() {
		case 0:
			return i, s.ways[i].Load(), 0
		case uint32(page):
			e := s.ways[i].Load()
			switch {
			case e == nil || e.page != page:
			case e.version == v:
				return -1, nil, 0
			case e.version < v:
				// Readers of the older version are few, and going.
				return i, e, heat - 1
			}
		}
		if heat <= bestHeat {
			best, bestHeat = i, heat
		}
	}
	if bestHeat > 1 {
		s.cool()
	}
	return best, s.ways[best].Load(), 0
}

// pageBufs holds buffers of one page each that nobody uses, by the binary
// logarithm of the page size; as pointers to their first byte, which go into a
// sync.Pool without an allocation.
var pageBufs [17]sync.Pool

// getPage returns a page of n bytes, a power of two up to 65536, with any
// content.
func getPage(n int) []byte {
	if p, _ := pageBufs[bits.Len(uint(n))-1].Get().(*byte); p != nil {
		b := unsafe.Slice(p, n)
		invariants.Reuse(b)
		return b
	}
	return make([]byte, n)
}

// putPage takes a page that nobody uses any more.
func putPage(p []byte) {
	invariants.Release(p)
	pageBufs[bits.Len(uint(len(p)))-1].Put(unsafe.SliceData(p))
}
