// The buffer pool: pages of accepted transactions, shared by all connections
// of a database and bounded in bytes.
//
// A page is kept under its number and the name of its version (package coord),
// which neither a backfill nor a restart changes; other transactions' versions
// of the same page live beside it. What is in the pool never changes, so that a
// view handed out stays good for ever: the pool forgets pages, the garbage
// collector frees them.
//
// It is set-associative: a page number leads to a set of eight places. Looking
// up takes no lock and writes nothing, unless a page grows hotter. A page comes
// in cold, and the coldest of its set makes room, so that a scan replaces the
// pages of scans and not what is read again and again.

package pager

import (
	"math/bits"
	"sync/atomic"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// DefaultPoolBytes bounds the pages that a pool keeps.
const DefaultPoolBytes = 64 << 20

const (
	poolWays = 8
	maxHeat  = 3
)

// poolPage is a page in the pool. Only heat changes.
type poolPage struct {
	page    walformat.PageNo
	version coord.Version
	heat    atomic.Uint32
	data    []byte
}

type poolSet [poolWays]atomic.Pointer[poolPage]

type pool struct {
	sets  []poolSet
	shift uint
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

// get returns the page of that version, read-only, or nil.
func (p *pool) get(page walformat.PageNo, v coord.Version) []byte {
	s := p.set(page)
	for i := range s {
		if e := s[i].Load(); e != nil && e.page == page && e.version == v {
			if h := e.heat.Load(); h < maxHeat {
				e.heat.Store(h + 1)
			}
			return e.data
		}
	}
	return nil
}

// put keeps a page; nobody may change data any more.
func (p *pool) put(page walformat.PageNo, v coord.Version, data []byte) {
	e := &poolPage{page: page, version: v, data: data}
	s := p.set(page)
	for range 2 { // once more if somebody else took the place
		i, old := s.victim(page, v)
		if i < 0 {
			return
		}
		if old != nil && old.page == page && old.version < v {
			// The newer version of a page inherits how much it is read.
			e.heat.Store(old.heat.Load())
		}
		if s[i].CompareAndSwap(old, e) {
			return
		}
	}
}

// victim chooses the place for a version of page: an empty one, that of another
// version of it, or the coldest; -1 if it is there already. Where all have been
// read since the last time, all cool down.
func (s *poolSet) victim(page walformat.PageNo, v coord.Version) (int, *poolPage) {
	best, bestHeat := -1, uint32(maxHeat+1)
	var old *poolPage
	for i := range s {
		e := s[i].Load()
		heat := uint32(0)
		switch {
		case e == nil:
			return i, nil
		case e.page == page && e.version == v:
			return -1, nil
		case e.page == page && e.version < v:
			// Readers of the older version are few, and going.
		default:
			heat = e.heat.Load() + 1
		}
		if heat < bestHeat {
			best, bestHeat, old = i, heat, e
		}
	}
	if bestHeat > 1 {
		for i := range s {
			if e := s[i].Load(); e != nil {
				if h := e.heat.Load(); h > 0 {
					e.heat.Store(h - 1)
				}
			}
		}
	}
	return best, old
}
