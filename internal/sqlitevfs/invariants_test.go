package sqlitevfs

import (
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/pager"
)

// fired fails the test unless f panics with the invariant.
func fired(t *testing.T, invariant string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if text, _ := recover().(string); !strings.Contains(text, invariant) {
			t.Errorf("the panic is %q, without %q", text, invariant)
		}
	}()
	f()
}

// TestBrokenStatesPanic breaks a good state in one way at a time.
func TestBrokenStatesPanic(t *testing.T) {
	s, err := pager.Open("/db", pager.Options{FS: disk.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		invariant string
		from      vfs.LockLevel
		damage    func(*file)
	}{
		{"without a lock there is no transaction", vfs.LOCK_SHARED, func(f *file) { f.lock = vfs.LOCK_NONE }},
		{"without a lock there is no transaction", vfs.LOCK_NONE, func(f *file) { f.over = true }},
		{"a lock is one that SQLite asks for", vfs.LOCK_SHARED, func(f *file) { f.lock = vfs.LOCK_PENDING }},
		{"what is suspended is", vfs.LOCK_NONE, func(f *file) { f.suspended = true }},
		{"a transaction is over until", vfs.LOCK_SHARED, func(f *file) { f.over = true }},
		{"RESERVED and above write", vfs.LOCK_SHARED, func(f *file) { f.lock = vfs.LOCK_RESERVED }},
		{"RESERVED and above write", vfs.LOCK_NONE, func(f *file) { f.lock = vfs.LOCK_EXCLUSIVE }},
		{"unless it is suspended", vfs.LOCK_SHARED, func(f *file) { f.suspended = true }},
		{"unless it is suspended", vfs.LOCK_SHARED, func(f *file) { f.tx.End() }},
		{"who opened for reading", vfs.LOCK_RESERVED, func(f *file) { f.readOnly = true }},
		{"a transaction that is over does not", vfs.LOCK_RESERVED, func(f *file) { f.over = true }},
		{"under SHARED only", vfs.LOCK_RESERVED, func(f *file) { f.lock = vfs.LOCK_SHARED }},
	} {
		f := &file{store: s}
		for _, level := range []vfs.LockLevel{vfs.LOCK_SHARED, vfs.LOCK_RESERVED} {
			if level <= x.from {
				if err := f.Lock(level); err != nil {
					t.Fatal(err)
				}
			}
		}
		f.checkState()
		x.damage(f)
		fired(t, x.invariant, f.checkState)
		if f.tx != nil {
			f.tx.End()
		}
	}
	fired(t, "reads end as often", (&Keeper{reading: -1}).checkState)
	fired(t, "a keeper that keeps has", (&Keeper{on: true}).checkState)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
