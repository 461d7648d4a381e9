//go:build linux || darwin

package disk

// This file is look.go for systems with open file description locks.

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Look describes a name without opening it, following a symbolic link for all
// but Symlink.
func Look(name string) (Permission, error) {
	p := Permission{UID: -1, GID: -1}
	if fi, err := os.Lstat(name); err != nil {
		return p, err
	} else {
		p.Symlink = fi.Mode()&fs.ModeSymlink != 0
	}
	fi, err := os.Stat(name)
	if err != nil {
		return p, err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		p.UID, p.GID = int(st.Uid), int(st.Gid)
	}
	can := func(mode uint32) bool {
		return retryInterrupted(func() error { return unix.Faccessat(unix.AT_FDCWD, name, mode, unix.AT_EACCESS) }) == nil
	}
	p.Read, p.Write = can(unix.R_OK), can(unix.W_OK)
	return p, nil
}

// HolderOf returns a lock of another handle that would refuse an exclusive lock on
// n bytes of f from off on: the first that the system names; ok is false if there
// is none, or it cannot be told. It asks, and takes no lock. f may be open for
// reading only.
func HolderOf(f File, off, n int64) (h Holder, ok bool, err error) {
	o, is := f.(*osFile)
	if !is || !validRange(off, n) {
		return h, false, nil
	}
	err = o.withFD(func(fd uintptr) error {
		found := newFlock(unix.F_WRLCK, off, n)
		if err := fcntlLock(fd, ofdGetLock, found); err != nil {
			return err
		}
		if ok = found.Type != unix.F_UNLCK; ok {
			h = Holder{PID: int(found.Pid), Exclusive: found.Type == unix.F_WRLCK, Off: found.Start, Len: found.Len}
		}
		return nil
	})
	return h, ok, opError("ask for the lock of", f.Name(), off, err)
}

// EffectiveUser is the user that the process acts for.
func EffectiveUser() int { return os.Geteuid() }
