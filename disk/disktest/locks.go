package disktest

import (
	"errors"

	"github.com/walnutdb/walnut/disk"
)

// This file checks byte-range locks. Nothing is read or written under an
// exclusive lock of another handle, as some systems forbid that.

// pendingByte is where SQLite's locks lie.
const pendingByte = 1 << 30

func (s *suite) locked(err error) {
	s.Helper()
	s.is(err, disk.ErrLocked, "a")
	var holder *disk.LockedError
	if !errors.As(err, &holder) {
		s.Errorf("%v does not tell of the holder", err)
	}
}

func (s *suite) lockConflicts() {
	f, g := s.file("a", disk.Create), s.file("a", 0)
	s.must(f.Lock(pendingByte, 10, disk.Shared))
	s.must(g.Lock(pendingByte+5, 10, disk.Shared))
	s.locked(g.Lock(pendingByte+5, 10, disk.ExclusiveLock))
	s.locked(f.Lock(pendingByte, 10, disk.ExclusiveLock))
	s.must(g.Lock(pendingByte+10, 5, disk.ExclusiveLock))
	s.locked(f.Lock(pendingByte+14, 1, disk.Shared))
	s.must(f.Lock(pendingByte+15, 1, disk.ExclusiveLock))
	// A refused lock leaves what was held.
	s.locked(f.Lock(pendingByte, 16, disk.ExclusiveLock))
	s.locked(g.Lock(pendingByte, 1, disk.ExclusiveLock))
	s.locked(g.Lock(pendingByte+15, 1, disk.Shared))
	// Other files have other locks.
	s.must(s.file("b", disk.Create).Lock(pendingByte, 100, disk.ExclusiveLock))
}

func (s *suite) lockConversion() {
	f, g := s.file("a", disk.Create), s.file("a", 0)
	s.must(f.Lock(0, 100, disk.Shared))
	s.must(f.Lock(0, 100, disk.ExclusiveLock))
	s.locked(g.Lock(50, 1, disk.Shared))
	s.must(f.Lock(0, 100, disk.Shared))
	s.must(g.Lock(50, 1, disk.Shared))
	s.must(g.Unlock(50, 1))
	// Only the middle is converted, then given up.
	s.must(f.Lock(40, 20, disk.ExclusiveLock))
	s.locked(g.Lock(59, 1, disk.Shared))
	s.must(g.Lock(60, 40, disk.Shared))
	s.must(f.Unlock(40, 20))
	s.must(g.Lock(40, 20, disk.ExclusiveLock))
	s.locked(g.Lock(39, 1, disk.ExclusiveLock))
	s.locked(g.Lock(60, 1, disk.ExclusiveLock))
}

func (s *suite) lockRelease() {
	f, g := s.file("a", disk.Create), s.file("a", 0)
	s.must(f.Lock(0, 1, disk.ExclusiveLock))
	// Closing another handle of the same file drops nothing.
	h := s.file("a", 0)
	s.must(h.Close())
	s.locked(g.Lock(0, 1, disk.Shared))
	s.must(f.Close())
	s.must(g.Lock(0, 1, disk.ExclusiveLock))
	s.must(g.Unlock(0, 1000))
	s.must(g.Unlock(0, 1)) // nothing is there
	s.must(s.file("a", 0).Lock(0, 1, disk.ExclusiveLock))
}
