package disk

import (
	"sync"

	"golang.org/x/sys/windows"
)

// This file locks byte ranges with LockFileEx. Windows neither converts a lock
// nor takes a part of one away, so the handle remembers what it holds and does
// both by unlocking and locking again. Between the two another process may
// take the range: a conversion can then fail, and the lock as it was is lost
// if it cannot be taken back. SQLite on Windows lives with the same.
//
// Invariant: held lists exactly the ranges that the system has for this handle;
// they do not overlap.

type lockState struct {
	mu   sync.Mutex
	held []heldRange
}

type heldRange struct {
	off, end int64
	mode     LockMode
}

func (s *lockState) lock(f *osFile, off, n int64, mode LockMode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f.withFD(func(fd uintptr) error {
		h, end := windows.Handle(fd), off+n
		cut, err := s.take(h, off, end)
		if err != nil {
			return err
		}
		if err := s.add(h, heldRange{off, end, mode}); err != nil {
			for _, r := range cut {
				_ = s.add(h, r) // best effort: see above
			}
			if err == windows.ERROR_LOCK_VIOLATION {
				return &LockedError{}
			}
			return err
		}
		return s.restore(h, cut, off, end)
	})
}

func (s *lockState) unlock(f *osFile, off, n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f.withFD(func(fd uintptr) error {
		h, end := windows.Handle(fd), off+n
		cut, err := s.take(h, off, end)
		if err != nil {
			return err
		}
		return s.restore(h, cut, off, end)
	})
}

// take unlocks every held range that overlaps [off, end) and returns them.
func (s *lockState) take(h windows.Handle, off, end int64) (cut []heldRange, err error) {
	var keep []heldRange
	for _, r := range s.held {
		if err != nil || r.end <= off || r.off >= end {
			keep = append(keep, r)
			continue
		}
		if err = windows.UnlockFileEx(h, 0, low(r.end-r.off), high(r.end-r.off), overlapped(r.off)); err != nil {
			keep = append(keep, r)
			continue
		}
		cut = append(cut, r)
	}
	s.held = keep
	return cut, err
}

// restore locks again what of the ranges in cut lies outside [off, end).
func (s *lockState) restore(h windows.Handle, cut []heldRange, off, end int64) error {
	for _, r := range cut {
		if r.off < off {
			if err := s.add(h, heldRange{r.off, off, r.mode}); err != nil {
				return err
			}
		}
		if r.end > end {
			if err := s.add(h, heldRange{end, r.end, r.mode}); err != nil {
				return err
			}
		}
	}
	return nil
}

// add locks a range that overlaps none of this handle's.
func (s *lockState) add(h windows.Handle, r heldRange) error {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if r.mode == ExclusiveLock {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	n := r.end - r.off
	if err := windows.LockFileEx(h, flags, 0, low(n), high(n), overlapped(r.off)); err != nil {
		return err
	}
	s.held = append(s.held, r)
	return nil
}

func overlapped(off int64) *windows.Overlapped {
	return &windows.Overlapped{Offset: low(off), OffsetHigh: high(off)}
}

func low(n int64) uint32 { return uint32(n) }

func high(n int64) uint32 { return uint32(n >> 32) }
