package pager

import (
	"errors"
	"strings"
	"testing"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// broken fails the test unless f panics with the invariant.
func broken(t *testing.T, invariant string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if text, _ := recover().(string); !strings.Contains(text, invariant) {
			t.Errorf("the panic is %q, without %q", text, invariant)
		}
	}()
	f()
}

// checkAll is assertPages in any build.
func (t *Tx) checkAll() {
	t.checkState()
	t.checkPages()
	t.checkSaves()
}

// pretendToRead enters the registry, without a mark.
func (t *Tx) pretendToRead() {
	t.s.log.Coordinator().Enter(&t.reader, coord.NoMark, t.st, coord.Who{}, 0)
}

// TestBrokenWritersPanic breaks a good write transaction, with a dirty page, a
// spilled one and a savepoint, in one way at a time.
func TestBrokenWritersPanic(t *testing.T) {
	for _, x := range []struct {
		invariant string
		damage    func(*Tx)
	}{
		{"an ended transaction holds nothing", func(tx *Tx) { tx.done = true }},
		{"reads with a mark or writes without", (*Tx).pretendToRead},
		{"who does not write has no pages", func(tx *Tx) { tx.w = nil; tx.pretendToRead() }},
		{"who does not write has no pages", func(tx *Tx) {
			tx.w, tx.dirty, tx.spilled, tx.inLog, tx.saves = nil, nil, nil, nil, nil
			tx.pretendToRead()
			tx.spillErr = errors.New("x")
		}},
		{"a writer reads its base", func(tx *Tx) { st := *tx.st; tx.st = &st }},
		{"low is the smallest size", func(tx *Tx) { tx.low = tx.size + 1 }},
		{"a writer has a map", func(tx *Tx) { tx.dirty = nil }},
		{"a dirty page is part of", func(tx *Tx) { tx.dirty[99] = tx.dirty[1] }},
		{"a dirty page is part of", func(tx *Tx) { tx.dirty[0] = tx.dirty[1] }},
		{"a dirty page has the page size", func(tx *Tx) { tx.dirty[1] = tx.dirty[1][:7] }},
		{"a spilled page is part of", func(tx *Tx) { tx.spilled[1] = 1 }},
		{"inLog has the newest frame", func(tx *Tx) { tx.spilled[2]++ }},
		{"what was spilled lies behind the base", func(tx *Tx) { tx.inLog[3] = 99 }},
		{"low only falls", func(tx *Tx) { tx.saves[0].low = 0 }},
		{"a savepoint has a page's content or", func(tx *Tx) {
			tx.saves[0].pages = map[walformat.PageNo]saved{3: {frame: 9}}
		}},
	} {
		s := openMem(t, disk.NewMem(), 512)
		tx := begin(t, s)
		set(t, tx, 1, 1)
		set(t, tx, 2, 1)
		commit(t, tx, false)
		tx = begin(t, s)
		set(t, tx, 1, 2)
		set(t, tx, 2, 2)
		if err := tx.spill(); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Savepoint(); err != nil {
			t.Fatal(err)
		}
		tx.checkAll()
		w := tx.w
		x.damage(tx)
		broken(t, x.invariant, tx.checkAll)
		_ = w.Abandon()
	}
}

// TestBrokenPoolPanics breaks a pool in one way at a time.
func TestBrokenPoolPanics(t *testing.T) {
	for _, x := range []struct {
		invariant string
		damage    func(p *pool, e *poolPage)
	}{
		{"a page in the pool has the page size", func(_ *pool, e *poolPage) { e.data = e.data[:7] }},
		{"a page lies in the set of its number", func(p *pool, e *poolPage) {
			for p.set(e.page) == p.set(7) {
				e.page++
			}
		}},
		{"the pool uses its pages", func(_ *pool, e *poolPage) { e.uses.Store(0) }},
		{"what was pinned was let go of", func(_ *pool, e *poolPage) { e.pin() }},
	} {
		p := newPool(32*poolTestPage, poolTestPage)
		putPattern(p, 7, 1)
		p.check(poolTestPage, false)
		x.damage(p, p.find(7, coord.Version(1)))
		broken(t, x.invariant, func() { p.check(poolTestPage, false) })
	}
}
