// Nested savepoints. Each keeps, of every page that was changed after it was
// set, the content from that moment, so that rolling back is putting back.
//
// Invariant: saves[i].pages has an entry for each page whose dirty state at
// the time of savepoint i differs from its state at savepoint i+1 (or now).

package pager

import (
	"errors"
	"fmt"

	"github.com/walnutdb/walnut/internal/walformat"
)

// ErrNoSavepoint refuses a savepoint that was released or rolled over.
var ErrNoSavepoint = errors.New("no such savepoint")

type savepoint struct {
	// pages has the content then; nil for a page that was not dirty.
	pages     map[walformat.PageNo][]byte
	size, low uint32
}

// save keeps page n as it is for the innermost savepoint, if that has not got
// it yet. wasDirty says whether p is its state, or the snapshot.
func (t *Tx) save(n walformat.PageNo, p []byte, wasDirty bool) {
	if len(t.saves) == 0 {
		return
	}
	pages := t.saves[len(t.saves)-1].pages
	if _, ok := pages[n]; ok {
		return
	}
	if !wasDirty {
		pages[n] = nil
		return
	}
	pages[n] = append([]byte(nil), p...)
}

// Savepoint sets a savepoint inside the ones there are and returns its depth,
// from 1.
func (t *Tx) Savepoint() (int, error) {
	if t.done {
		return 0, ErrTxDone
	}
	if t.w == nil {
		return 0, ErrReadOnly
	}
	t.saves = append(t.saves, savepoint{pages: make(map[walformat.PageNo][]byte), size: t.size, low: t.low})
	return len(t.saves), nil
}

func (t *Tx) checkSavepoint(depth int) error {
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
		for n, p := range sp.pages {
			switch cur := t.dirty[n]; {
			case p == nil:
				delete(t.dirty, n)
			case cur != nil:
				copy(cur, p)
			default:
				t.dirty[n] = p
			}
		}
		clear(sp.pages)
		t.size, t.low = sp.size, sp.low
	}
	t.saves = t.saves[:depth]
	return nil
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
	return nil
}
