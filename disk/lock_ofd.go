//go:build linux || darwin

package disk

import (
	"io"

	"golang.org/x/sys/unix"
)

// This file locks byte ranges with open file description locks: they belong to
// the description, as [File.Lock] promises, exclude the classic locks of
// other programs (SQLite's), and go only when this handle is closed.

// lockState is empty: the kernel remembers the locks, and closing drops them.
type lockState struct{}

// holderTries bounds how often a lock that was refused, but that nobody holds
// when asked, is tried again.
const holderTries = 3

func (lockState) lock(f *osFile, off, n int64, mode LockMode) error {
	kind := int16(unix.F_RDLCK)
	if mode == ExclusiveLock {
		kind = unix.F_WRLCK
	}
	return f.withFD(func(fd uintptr) error {
		holder := &LockedError{}
		for range holderTries {
			err := fcntlLock(fd, ofdSetLock, newFlock(kind, off, n))
			if err != unix.EAGAIN && err != unix.EACCES {
				return err
			}
			// The holder of an open file description lock is reported as -1,
			// that of a classic lock as its process.
			found := newFlock(kind, off, n)
			if err := fcntlLock(fd, ofdGetLock, found); err != nil {
				return holder
			}
			if found.Type != unix.F_UNLCK {
				holder.PID = int(found.Pid)
				return holder
			}
		}
		return holder
	})
}

func (lockState) unlock(f *osFile, off, n int64) error {
	return f.withFD(func(fd uintptr) error {
		return fcntlLock(fd, ofdSetLock, newFlock(unix.F_UNLCK, off, n))
	})
}

// newFlock describes a range. The field Pid must be 0 in every such call.
func newFlock(kind int16, off, n int64) *unix.Flock_t {
	return &unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: off, Len: n}
}

func fcntlLock(fd uintptr, cmd int, lock *unix.Flock_t) error {
	return retryInterrupted(func() error { return unix.FcntlFlock(fd, cmd, lock) })
}
