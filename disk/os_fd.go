//go:build linux || darwin || windows

package disk

import "io/fs"

// This file is how system calls that package os does not have reach a file's
// descriptor.

// withFD calls do with the file's descriptor, which stays open meanwhile.
func (f *osFile) withFD(do func(fd uintptr) error) error {
	conn, err := f.f.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	if err := conn.Control(func(fd uintptr) { result = do(fd) }); err != nil {
		return fs.ErrClosed // the only reason that Control has
	}
	return result
}
