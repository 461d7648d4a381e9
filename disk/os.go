package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// This file is the file system of the host: what is the same everywhere. What
// differs is in os_linux.go, os_darwin.go, os_windows.go and os_other.go (whose
// common part for Unix is os_unix.go), in os_fd.go, lock_*.go, map_*.go and write_*.go.
//
// Invariants:
//   - The descriptor is used only inside a call that keeps it open (os.File's
//     own methods, or withFD), so that a Close beside a write can never send
//     the write to another file that got the same number.
//   - A failed sync is reported once and never repeated here.

// OS returns the file system of the operating system.
//
// Writes go out with pwritev where there is one; syncs are fdatasync on Linux,
// F_FULLFSYNC on macOS and FlushFileBuffers on Windows. Locks are open file
// description locks on Linux and macOS and LockFileEx on Windows (where other
// handles cannot read or write a range that is locked exclusively); on other
// systems [File.Lock] fails with [errors.ErrUnsupported].
func OS() FS { return osFS{} }

type osFS struct{}

// osFile is an open file of the host.
type osFile struct {
	f        *os.File
	name     string
	readOnly bool
	locks    lockState // what the platform has to remember of its locks
	mapped   fileMap
}

// Open implements FS.
func (osFS) Open(name string, flag OpenFlag) (File, error) {
	return open(name, flag, func() (*os.File, error) { return openFile(name, flag) })
}

// open opens a file by way of do.
func open(name string, flag OpenFlag, do func() (*os.File, error)) (File, error) {
	// Looking first keeps a named pipe from blocking the open. A file that is
	// exchanged in between is the caller's affair, as it is with every path.
	if fi, err := os.Stat(name); err == nil && !fi.Mode().IsRegular() {
		cause := errNotRegular
		if fi.IsDir() {
			cause = fmt.Errorf("%w: a directory", errNotRegular)
		}
		return nil, opError("open", name, -1, cause)
	}
	f, err := do()
	if err != nil {
		return nil, opError("open", name, -1, err)
	}
	return &osFile{f: f, name: name, readOnly: flag&ReadOnly != 0}, nil
}

// Stat implements FS.
func (osFS) Stat(name string) (Info, error) {
	info, err := statName(name)
	return info, opError("stat", name, -1, err)
}

// Remove implements FS.
func (osFS) Remove(name string) error {
	return opError("remove", name, -1, unlink(name))
}

// Rename implements FS.
func (osFS) Rename(oldName, newName string) error {
	err := os.Rename(oldName, newName)
	var link *os.LinkError
	if errors.As(err, &link) {
		err = link.Err
	}
	return opError("rename", oldName+" to "+newName, -1, err)
}

// SyncDir implements FS.
func (osFS) SyncDir(dir string) error {
	return opError("sync directory", dir, -1, syncDir(dir))
}

// maxLinks bounds a chain of dangling symbolic links, as Linux does.
const maxLinks = 40

// Resolve implements FS.
func (osFS) Resolve(name string) (string, error) {
	path, err := resolve(name, maxLinks)
	return path, opError("resolve", name, -1, err)
}

// resolve does Resolve's work. The path is not cleaned before its links are
// followed: in "link/../x", ".." is the parent of the link's target.
func resolve(name string, links int) (string, error) {
	if name == "" {
		return "", fs.ErrNotExist
	}
	if !filepath.IsAbs(name) {
		wd, err := os.Getwd()
		if err != nil {
			return "", err
		}
		name = wd + string(filepath.Separator) + name
	}
	path, err := filepath.EvalSymlinks(name)
	if err == nil {
		return filepath.Abs(path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	dir, base := filepath.Split(name)
	if base == "" || base == "." || base == ".." {
		return "", err
	}
	dir, err = filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, base)
	target, err := os.Readlink(path)
	if err != nil {
		// No link, hence a name that is free.
		return filepath.Abs(path)
	}
	if links == 0 {
		return "", errors.New("too many symbolic links")
	}
	if !filepath.IsAbs(target) {
		target = strings.TrimSuffix(dir, string(filepath.Separator)) + string(filepath.Separator) + target
	}
	return resolve(target, links-1)
}

// Name implements File.
func (f *osFile) Name() string { return f.name }

// ReadAt implements File.
func (f *osFile) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, opError("read", f.name, off, fs.ErrInvalid)
	}
	n, err := f.f.ReadAt(p, off)
	return n, opError("read", f.name, off+int64(n), err)
}

// WriteVAt implements File.
func (f *osFile) WriteVAt(bufs [][]byte, off int64) (int64, error) {
	if f.readOnly {
		return 0, opError("write", f.name, off, ErrReadOnly)
	}
	if off < 0 {
		return 0, opError("write", f.name, off, fs.ErrInvalid)
	}
	n, err := f.writeV(bufs, off)
	return n, opError("write", f.name, off+n, err)
}

// SyncData implements File.
func (f *osFile) SyncData() error {
	return opError("sync", f.name, -1, f.syncData())
}

// Truncate implements File.
func (f *osFile) Truncate(size int64) error {
	if f.readOnly {
		return opError("truncate", f.name, size, ErrReadOnly)
	}
	return opError("truncate", f.name, size, f.f.Truncate(size))
}

// Size implements File.
func (f *osFile) Size() (int64, error) {
	fi, err := f.f.Stat()
	if err != nil {
		return 0, opError("stat", f.name, -1, err)
	}
	return fi.Size(), nil
}

// Stat implements File.
func (f *osFile) Stat() (Info, error) {
	info, err := f.stat()
	return info, opError("stat", f.name, -1, err)
}

// Lock implements File.
func (f *osFile) Lock(off, n int64, mode LockMode) error {
	switch {
	case !validRange(off, n):
		return opError("lock", f.name, off, fs.ErrInvalid)
	case f.readOnly && mode == ExclusiveLock:
		return opError("lock", f.name, off, ErrReadOnly)
	}
	return opError("lock", f.name, off, f.locks.lock(f, off, n, mode))
}

// Unlock implements File.
func (f *osFile) Unlock(off, n int64) error {
	if !validRange(off, n) {
		return opError("unlock", f.name, off, fs.ErrInvalid)
	}
	return opError("unlock", f.name, off, f.locks.unlock(f, off, n))
}

// Close implements File.
func (f *osFile) Close() error {
	f.mapped.drop()
	return opError("close", f.name, -1, f.f.Close())
}
