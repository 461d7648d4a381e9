package disk

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// This file is what only Linux has: fdatasync, starting the writing before it,
// and a way to ask which file system a directory lies on.

var (
	_ CopyOnWriter = osFS{}
	_ WriteStarter = (*osFile)(nil)
)

// Open file description locks (see lock_ofd.go).
const (
	ofdSetLock = unix.F_OFD_SETLK
	ofdGetLock = unix.F_OFD_GETLK
)

// syncData repeats only an interrupted call: nothing was reported to it, so
// nothing is lost by asking again.
func (f *osFile) syncData() error {
	return f.withFD(func(fd uintptr) error {
		return retryInterrupted(func() error { return unix.Fdatasync(int(fd)) })
	})
}

// StartWrite implements WriteStarter. Without its flags to wait,
// sync_file_range neither waits nor takes the report of a failed write away
// from the sync that follows.
func (f *osFile) StartWrite(off, n int64) error {
	if off < 0 || n <= 0 || off+n < off {
		return opError("start writing", f.name, off, fs.ErrInvalid)
	}
	err := f.withFD(func(fd uintptr) error {
		return retryInterrupted(func() error {
			return unix.SyncFileRange(int(fd), off, n, unix.SYNC_FILE_RANGE_WRITE)
		})
	})
	switch err {
	case unix.ENOSYS, unix.EINVAL, unix.EOPNOTSUPP, unix.EPERM:
		// An emulated kernel, a file system or a sandbox without it.
		err = nil
	}
	return opError("start writing", f.name, off, err)
}

// Numbers that statfs gives for file systems which x/sys does not name.
const (
	zfsMagic    = 0x2fc12fc1
	nilfs2Magic = 0x3434
)

// CopyOnWrite implements CopyOnWriter.
func (osFS) CopyOnWrite(dir string) bool {
	var st unix.Statfs_t
	if retryInterrupted(func() error { return unix.Statfs(dir, &st) }) != nil {
		return false
	}
	// The field is signed on some machines and 32 bits wide on others.
	switch uint32(st.Type) {
	case unix.BTRFS_SUPER_MAGIC, unix.BCACHEFS_SUPER_MAGIC, zfsMagic, nilfs2Magic:
		return true
	}
	return false
}
