// Names of page versions. A page keeps the name that its newest frame gave it,
// also when it has been copied into the database file and the log has begun
// anew: so a cache that goes by these names loses nothing by a backfill or a
// restart.
//
// Invariants: the table changes only in a restart, when everything is in the
// database file and nobody reads the log. Readers of the database file may be
// there, with the index of the generation that ends: a page that has a frame
// in it gets the same name from the table as from that index, and no other
// page's name changes.

package coord

import (
	"sync/atomic"

	"github.com/walnutdb/walnut/internal/walformat"
)

// Version names one content of a page: no other content of the same page has
// the same name, as long as the database is open. Zero names none.
type Version uint64

// VersionOf names the content of a page in frame f of generation gen. Frame 0
// stands for "unchanged since gen began", of pages that were never in the log.
func VersionOf(gen Generation, f walformat.FrameNo) Version {
	return Version(gen)<<32 | Version(f)
}

// maxVersions bounds the table (16 bytes a page, at most half empty). When it
// is full, all pages get new names, and caches begin anew.
const maxVersions = 1 << 20

type versionSlot struct {
	page    atomic.Uint32 // 0 is empty
	version atomic.Uint64
}

type versionTable struct {
	slots []versionSlot
	shift uint
	// rest is the name of the pages that are not in the table.
	rest Version
}

// versions has the names of pages whose newest version is in the database file.
type versions struct {
	table atomic.Pointer[versionTable]
	// n pages are in the table. Guarded by the writer's place.
	n int
}

func newVersions(gen Generation) *versions {
	v := &versions{}
	v.table.Store(newVersionTable(6, VersionOf(gen, 0)))
	return v
}

func newVersionTable(bits uint, rest Version) *versionTable {
	return &versionTable{slots: make([]versionSlot, 1<<bits), shift: 64 - bits, rest: rest}
}

func (t *versionTable) find(page walformat.PageNo) *versionSlot {
	i := hashPage(page, t.shift)
	for {
		s := &t.slots[i]
		if p := s.page.Load(); p == 0 || walformat.PageNo(p) == page {
			return s
		}
		i = (i + 1) & uint64(len(t.slots)-1)
	}
}

// of returns the name of page in the database file.
func (v *versions) of(page walformat.PageNo) Version {
	t := v.table.Load()
	s := t.find(page)
	if s.page.Load() == 0 {
		return t.rest
	}
	return Version(s.version.Load())
}

// fold enters the newest version of each page in x. REQUIRES the writer's
// place, and x's frames in the database file.
func (v *versions) fold(x *Index) {
	if v.n+x.pages > maxVersions {
		v.table.Store(newVersionTable(6, VersionOf(x.gen+1, 0)))
		v.n = 0
		return
	}
	t := x.table.Load()
	for i := range t.slots {
		if f := walformat.FrameNo(t.slots[i].Load()); f != 0 {
			v.set(x.Page(f), VersionOf(x.gen, f))
		}
	}
}

func (v *versions) set(page walformat.PageNo, name Version) {
	t := v.table.Load()
	if s := t.find(page); s.page.Load() != 0 {
		s.version.Store(uint64(name))
		return
	}
	if v.n++; v.n*4 > len(t.slots)*3 {
		n := newVersionTable(64-t.shift+1, t.rest)
		for i := range t.slots {
			if p := t.slots[i].page.Load(); p != 0 {
				n.put(walformat.PageNo(p), t.slots[i].version.Load())
			}
		}
		n.put(page, uint64(name))
		v.table.Store(n)
		return
	}
	t.put(page, uint64(name))
}

// put enters a page that is not in the table: the version first, so that who
// finds the page finds it too.
func (t *versionTable) put(page walformat.PageNo, version uint64) {
	s := t.find(page)
	s.version.Store(version)
	s.page.Store(uint32(page))
}
