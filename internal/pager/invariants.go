// What holds of a transaction at its public entries (with the build tag
// invariants; the states are those of tx.go).

package pager

import (
	"github.com/walnutdb/walnut/internal/invariants"
	"github.com/walnutdb/walnut/internal/walformat"
)

// assertState panics if the transaction is in none of its states. It costs the
// same for every transaction; assertPages looks at every page.
func (t *Tx) assertState() {
	if invariants.Enabled {
		t.checkState()
	}
}

// assertPages is assertState, and panics too if a page of the transaction is
// where it cannot be.
func (t *Tx) assertPages() {
	if invariants.Enabled {
		t.checkState()
		t.checkPages()
		t.checkSaves()
	}
}

func (t *Tx) checkState() {
	marked := t.reader.Entered()
	if t.done {
		if t.w != nil || marked {
			invariants.Fail("an ended transaction holds nothing", t.w != nil, marked)
		}
	} else if marked == (t.w != nil) {
		invariants.Fail("a transaction reads with a mark or writes without", t.w != nil, marked)
	}
	if t.w == nil {
		if len(t.dirty)+len(t.spilled)+len(t.inLog)+len(t.saves)+len(t.shared) > 0 || t.spillErr != nil || t.pooled {
			invariants.Fail("who does not write has no pages", t.done, len(t.dirty), len(t.spilled), len(t.inLog), len(t.saves), len(t.shared), t.spillErr, t.pooled)
		}
		return
	}
	if t.st != t.w.Base {
		invariants.Fail("a writer reads its base", t.st.Snapshot, t.w.Base.Snapshot)
	}
	if t.low > t.size || t.low > t.st.DBSize {
		invariants.Fail("low is the smallest size there was", t.low, t.size, t.st.DBSize)
	}
	if t.dirty == nil {
		invariants.Fail("a writer has a map for its pages")
	}
}

// checkPages: what is dirty or spilled is part of the database; what is spilled
// is in the log, among the frames of this transaction.
func (t *Tx) checkPages() {
	for n, p := range t.dirty {
		if n == 0 || uint32(n) > t.size || n == walformat.LockBytePage(t.PageSize()) {
			invariants.Fail("a dirty page is part of the database", n, t.size)
		}
		if len(p) != t.PageSize() {
			invariants.Fail("a dirty page has the page size", n, len(p), t.PageSize())
		}
	}
	for n, f := range t.spilled {
		if n <= 1 || uint32(n) > t.size {
			invariants.Fail("a spilled page is part of the database, and not page 1", n, t.size)
		}
		if f > t.inLog[n] {
			invariants.Fail("inLog has the newest frame of a spilled page", n, f, t.inLog[n])
		}
	}
	if t.w == nil {
		return
	}
	for n, f := range t.inLog {
		if f <= t.w.Base.MaxFrame || f > t.w.Spilled() {
			invariants.Fail("what was spilled lies behind the base", n, f, t.w.Base.MaxFrame, t.w.Spilled())
		}
	}
}

// checkSaves: each savepoint was set inside the one before, so low has only
// fallen from one to the next, and knows frames that were written.
func (t *Tx) checkSaves() {
	low := t.low
	for i := len(t.saves) - 1; i >= 0; i-- {
		sp := &t.saves[i]
		if sp.low < low || sp.low > sp.size {
			invariants.Fail("low only falls from one savepoint to the next", i, sp.low, sp.size, low)
		}
		low = sp.low
		for n, sv := range sp.pages {
			if sv.data != nil && sv.frame != 0 || sv.frame > t.inLog[n] {
				invariants.Fail("a savepoint has a page's content or its frame", i, n, sv.frame, t.inLog[n])
			}
		}
	}
}

// assertPool panics if the pool of a store that is about to close is not what it
// says: no transaction is open, so nobody but the pool uses its pages.
func (s *Store) assertPool() {
	if p := s.buffers.Load(); invariants.Enabled && p != nil {
		p.check(s.PageSize(), p.leftPinned.Load())
	}
}

// check panics if the pool keeps more than fits, or a page where it is not
// looked for, or one that nobody uses any more; or, unless pages may have been
// left pinned, one that somebody else uses. REQUIRES that nobody uses the pool.
func (p *pool) check(pageSize int, leftPinned bool) {
	bytes := 0
	for i := range p.sets {
		s := &p.sets[i]
		for w := range s.ways {
			e := s.ways[w].Load()
			if e == nil {
				continue
			}
			if bytes += len(e.data); len(e.data) != pageSize {
				invariants.Fail("a page in the pool has the page size", e.page, len(e.data), pageSize)
			}
			if p.set(e.page) != s {
				invariants.Fail("a page lies in the set of its number", e.page, i)
			}
			switch n := e.uses.Load(); {
			case n <= 0:
				invariants.Fail("the pool uses its pages", e.page, n)
			case n > 1 && n < viewed && !leftPinned:
				invariants.Fail("what was pinned was let go of", e.page, n)
			}
		}
	}
	if bytes > p.capacity()*pageSize {
		invariants.Fail("the pool keeps what fits", bytes, p.capacity()*pageSize)
	}
}
