//go:build unix

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// This file is what all Unix systems have in common.

// filePerm is what a new file may be at most; the process's umask takes away.
const filePerm = 0o644

// openFile opens with O_CLOEXEC (package os sees to that), so that no child
// inherits the description and with it the locks.
func openFile(name string, flag OpenFlag) (*os.File, error) { return openPerm(name, flag, filePerm) }

// openPerm is openFile with the permissions of a file that it creates.
func openPerm(name string, flag OpenFlag, perm fs.FileMode) (*os.File, error) {
	mode := os.O_RDWR
	if flag&ReadOnly != 0 {
		mode = os.O_RDONLY
	}
	if flag&Create != 0 {
		mode |= os.O_CREATE
		if flag&Exclusive != 0 {
			mode |= os.O_EXCL
		}
	}
	return os.OpenFile(name, mode, perm)
}

// OpenPerm implements PermOpener. A file that is empty has just been created, or
// may as well have been: it gets what the umask took away.
func (osFS) OpenPerm(name string, flag OpenFlag, perm fs.FileMode) (File, error) {
	return open(name, flag, func() (*os.File, error) {
		f, err := openPerm(name, flag, perm)
		if err != nil || flag&Create == 0 {
			return f, err
		}
		if fi, err := f.Stat(); err == nil && fi.Size() == 0 && fi.Mode().Perm() != perm {
			_ = f.Chmod(perm) // another owner's: it stays as it is
		}
		return f, nil
	})
}

// unlink removes a file's entry. os.Remove would remove an empty directory.
func unlink(name string) error {
	return retryInterrupted(func() error { return unix.Unlink(name) })
}

// syncDir syncs the directory itself. A file system that has no such operation
// for directories says EINVAL or ENOTSUP: there, entries are durable at once or
// nothing can make them so, and no caller could do better.
func syncDir(dir string) error {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

func statName(name string) (Info, error) {
	fi, err := os.Stat(name)
	if errors.Is(err, unix.ENOTDIR) {
		// A directory on the way has become a file.
		err = fmt.Errorf("%w (%w)", fs.ErrNotExist, unix.ENOTDIR)
	}
	if err != nil {
		return Info{}, err
	}
	return toInfo(fi), nil
}

func (f *osFile) stat() (Info, error) {
	fi, err := f.f.Stat()
	if err != nil {
		return Info{}, err
	}
	return toInfo(fi), nil
}

// toInfo converts what package os found. The fields of Stat_t differ in width
// between systems, hence the conversions.
func toInfo(fi fs.FileInfo) Info {
	info := Info{Size: fi.Size(), Mode: fi.Mode(), Links: 1}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		info.ID = FileID{Volume: uint64(st.Dev), Index: uint64(st.Ino)}
		info.Links = uint64(st.Nlink)
	}
	return info
}

// isNoSpace reports whether err says that the disk, a quota or a size limit is
// exhausted.
func isNoSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

// retryInterrupted repeats a call that a signal interrupted.
func retryInterrupted(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
