// Nested savepoints. Each keeps, of every page that was changed or spilled
// after it was set, where the content from that moment is, so that rolling back
// is putting back.
//
// Invariant: saves[i].pages has an entry for each page whose state at the time
// of savepoint i differs from its state at savepoint i+1 (or now).

package pager

import (
	"errors"
	"fmt"

	"github.com/walnutdb/walnut/internal/walformat"
)

// ErrNoSavepoint refuses a savepoint that was released or rolled over.
var ErrNoSavepoint = errors.New("no such savepoint")

type savepoint struct {
	pages     map[walformat.PageNo]saved
	size, low uint32
}

// saved is the state of a page at a savepoint: a copy of a dirty page, the
// frame that it was spilled to, or, with neither, as in the base (or not there).
type saved struct {
	data  []byte
	frame walformat.FrameNo
}

// needsSave returns the innermost savepoint if it knows nothing of page n yet.
func (t *Tx) needsSave(n walformat.PageNo) *savepoint {
	if len(t.saves) == 0 {
		return nil
	}
	sp := &t.saves[len(t.saves)-1]
	if _, ok := sp.pages[n]; ok {
		return nil
	}
	return sp
}

// save keeps page n as it is, before it changes. p is its dirty page, if it has
// one.
func (t *Tx) save(n walformat.PageNo, p []byte) {
	sp := t.needsSave(n)
	switch {
	case sp == nil:
	case p != nil:
		sp.pages[n] = saved{data: append([]byte(nil), p...)}
	default:
		sp.pages[n] = saved{frame: t.spilled[n]}
	}
}

// saveFrame notes that the dirty page n, unchanged since the innermost
// savepoint, is going to frame f.
func (t *Tx) saveFrame(n walformat.PageNo, f walformat.FrameNo) {
	if sp := t.needsSave(n); sp != nil {
		sp.pages[n] = saved{frame: f}
	}
}

// Savepoint sets a savepoint inside the ones there are and returns its depth,
// from 1.
func (t *Tx) Savepoint() (int, error) {
	t.assertPages()
	if t.done {
		return 0, ErrTxDone
	}
	if t.w == nil {
		return 0, ErrReadOnly
	}
	t.saves = append(t.saves, savepoint{pages: make(map[walformat.PageNo]saved), size: t.size, low: t.low})
	return len(t.saves), nil
}

func (t *Tx) checkSavepoint(depth int) error {
	t.assertPages()
	if t.done {
		return ErrTxDone
	}
	if depth < 1 || depth > len(t.saves) {
		return fmt.Errorf("%w: %d of %d", ErrNoSavepoint, depth, len(t.saves))
	}
	return nil
}

// RollbackTo undoes everything since savepoint depth was set. The savepoint
// stays, those inside it are gone.
func (t *Tx) RollbackTo(depth int) error {
	if err := t.checkSavepoint(depth); err != nil {
		return err
	}
	for i := len(t.saves) - 1; i >= depth-1; i-- {
		sp := &t.saves[i]
		t.size, t.low = sp.size, sp.low
		for n, sv := range sp.pages {
			t.restore(n, sv)
		}
		clear(sp.pages)
	}
	t.saves = t.saves[:depth]
	t.assertPages()
	return nil
}

// restore puts page n back. A frame of it that was spilled since stays in the
// log: see Tx.reframe.
func (t *Tx) restore(n walformat.PageNo, sv saved) {
	delete(t.spilled, n)
	if sv.data == nil {
		delete(t.dirty, n)
		if sv.frame != 0 {
			t.spilled[n] = sv.frame
		}
		return
	}
	if cur := t.dirty[n]; cur != nil {
		copy(cur, sv.data)
	} else {
		t.dirty[n] = sv.data
	}
}

// Release forgets savepoint depth and those inside it; their changes stay, and
// belong to the one outside.
func (t *Tx) Release(depth int) error {
	if err := t.checkSavepoint(depth); err != nil {
		return err
	}
	if depth > 1 {
		outer := t.saves[depth-2].pages
		for i := depth - 1; i < len(t.saves); i++ {
			for n, p := range t.saves[i].pages {
				if _, ok := outer[n]; !ok {
					outer[n] = p
				}
			}
		}
	}
	t.saves = t.saves[:depth-1]
	t.assertPages()
	return nil
}
