// What holds between SQLite's lock and our transaction at the entries of a file
// and of a keeper (with the build tag invariants; the states are those of
// file.go and keep.go).

package sqlitevfs

import (
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/walnutdb/walnut/internal/invariants"
)

// assertState panics if the lock that SQLite believes it has is not that of the
// transaction.
func (f *file) assertState() {
	if invariants.Enabled {
		f.checkState()
	}
}

func (f *file) checkState() {
	if f.lock == vfs.LOCK_NONE && (f.tx != nil || f.over) {
		invariants.Fail("without a lock there is no transaction", f.tx != nil, f.over)
	}
	if f.lock == vfs.LOCK_PENDING || f.lock > vfs.LOCK_EXCLUSIVE {
		invariants.Fail("a lock is one that SQLite asks for", f.lock)
	}
	if f.suspended && (f.lock != vfs.LOCK_SHARED || f.tx == nil) {
		invariants.Fail("what is suspended is a transaction under SHARED", f.lock, f.tx != nil)
	}
	if f.over && f.lock < vfs.LOCK_RESERVED {
		invariants.Fail("a transaction is over until SQLite unlocks", f.lock)
	}
	if f.tx == nil {
		if f.lock >= vfs.LOCK_RESERVED && !f.over {
			invariants.Fail("RESERVED and above write until the commit", f.lock)
		}
		return
	}
	if f.tx.Ended() != f.suspended {
		invariants.Fail("a transaction holds its snapshot unless it is suspended", f.lock, f.tx.Ended(), f.suspended)
	}
	f.checkWriting()
}

// checkWriting: RESERVED and above write, until the commit. REQUIRES a
// transaction.
func (f *file) checkWriting() {
	writing := f.tx.Writing()
	switch {
	case writing && f.readOnly:
		invariants.Fail("who opened for reading does not write", f.lock)
	case writing && f.over:
		invariants.Fail("a transaction that is over does not write", f.lock)
	case !writing && !f.over && f.lock >= vfs.LOCK_RESERVED:
		invariants.Fail("RESERVED and above write until the commit", f.lock)
	case writing && f.lock == vfs.LOCK_SHARED && (f.request == nil || f.upgraded):
		invariants.Fail("under SHARED only a transaction that began by writing writes", f.upgraded)
	}
}

// assertState panics if the keeper is not what it says. It may be called before
// and after each of its methods.
func (k *Keeper) assertState() {
	if invariants.Enabled {
		k.checkState()
	}
}

func (k *Keeper) checkState() {
	if k.reading < 0 {
		invariants.Fail("reads end as often as they begin", k.reading)
	}
	if k.on && (k.file == nil || k.stmt == nil) {
		invariants.Fail("a keeper that keeps has a file and a statement", k.file != nil, k.stmt != nil)
	}
	if k.on && k.file.lock == vfs.LOCK_NONE {
		invariants.Fail("a kept transaction holds SHARED", k.file.lock)
	}
	if k.file != nil {
		k.file.checkState()
	}
}

// assertIdle panics if a mark is held for a keeping while nobody reads.
func (k *Keeper) assertIdle() {
	if invariants.Enabled {
		k.checkState()
		if k.on && k.reading == 0 && !k.file.suspended {
			invariants.Fail("between two reads no mark is held", k.file.lock)
		}
	}
}
