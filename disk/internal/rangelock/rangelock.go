// Package rangelock keeps the byte-range locks of one file that lives in this
// process: what the kernel does for the files of the operating system.
//
// Invariants:
//   - Ranges of one owner never overlap; taking a range again converts it.
//   - An exclusive range overlaps no range of another owner.
//   - Nothing waits.
package rangelock

// Table holds the locks of one file. It is not safe for concurrent use: the
// file's own mutex guards it. The zero Table is empty. Owners are compared
// with ==; a pointer to the open handle does.
type Table struct {
	held []span
}

type span struct {
	owner     any
	off, end  int64
	exclusive bool
}

// Lock gives the n bytes from off on to owner, or reports false and changes
// nothing if another owner holds a conflicting range.
//
// REQUIRES: off ≥ 0, n > 0, off+n does not overflow.
func (t *Table) Lock(owner any, off, n int64, exclusive bool) bool {
	end := off + n
	for _, s := range t.held {
		if s.owner != owner && s.off < end && off < s.end && (exclusive || s.exclusive) {
			return false
		}
	}
	t.Unlock(owner, off, n)
	t.held = append(t.held, span{owner, off, end, exclusive})
	return true
}

// Unlock takes the n bytes from off on from owner. Parts of its ranges outside
// stay locked.
func (t *Table) Unlock(owner any, off, n int64) {
	end := off + n
	kept := make([]span, 0, len(t.held)+1)
	for _, s := range t.held {
		if s.owner != owner || s.end <= off || end <= s.off {
			kept = append(kept, s)
			continue
		}
		if s.off < off {
			kept = append(kept, span{owner, s.off, off, s.exclusive})
		}
		if end < s.end {
			kept = append(kept, span{owner, end, s.end, s.exclusive})
		}
	}
	t.held = kept
}

// Release takes everything from owner.
func (t *Table) Release(owner any) {
	kept := t.held[:0]
	for _, s := range t.held {
		if s.owner != owner {
			kept = append(kept, s)
		}
	}
	clear(t.held[len(kept):])
	t.held = kept
}

// Len returns the number of ranges held.
func (t *Table) Len() int { return len(t.held) }
