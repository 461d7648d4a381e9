package disk

import "golang.org/x/sys/unix"

// This file is what only Linux has: fdatasync, and a way to ask which file
// system a directory lies on.

var _ CopyOnWriter = osFS{}

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
