// Package frozen shows the files of a database as they were at one moment, for
// looking at them with an engine that must change nothing: sizes stay what they
// were, a log that was not there does not appear, writes are refused, and locks
// are granted without asking anybody.
//
// The contents are those of the files themselves. Whoever uses them meanwhile
// may change bytes under the reader: it has to look afterwards whether that
// happened.
package frozen

import (
	"io"
	"io/fs"
	"path/filepath"

	"github.com/walnutdb/walnut/disk"
)

// FS is a file system in which some files are frozen. All others are read as
// they are. It is safe for concurrent use once it is made.
type FS struct {
	under disk.FS
	files map[string]*file // nil: the file is not there
}

var _ disk.FS = (*FS)(nil)

// New returns a file system on top of under, in which nothing is frozen.
func New(under disk.FS) *FS { return &FS{under: under, files: map[string]*file{}} }

// Freeze shows f, cut to size bytes, under the resolved name; a nil f means
// that there is no such file. f stays the caller's, to be closed after the last
// use of the FS. onRead, if set, is told the bytes of each read, and is called
// concurrently.
func (s *FS) Freeze(name string, f disk.File, size int64, onRead func(n int)) {
	if f == nil {
		s.files[name] = nil
		return
	}
	s.files[name] = &file{File: f, size: size, onRead: onRead}
}

// Open implements [disk.FS]; whatever flag says, for reading only.
func (s *FS) Open(name string, flag disk.OpenFlag) (disk.File, error) {
	f, frozen := s.files[name]
	switch {
	case !frozen:
		return s.under.Open(name, disk.ReadOnly)
	case f == nil:
		return nil, &disk.OpError{Op: "open", Name: name, Off: -1, Err: fs.ErrNotExist}
	}
	return f, nil
}

// Stat implements [disk.FS].
func (s *FS) Stat(name string) (disk.Info, error) {
	f, frozen := s.files[name]
	switch {
	case !frozen:
		return s.under.Stat(name)
	case f == nil:
		return disk.Info{}, &disk.OpError{Op: "stat", Name: name, Off: -1, Err: fs.ErrNotExist}
	}
	return f.Stat()
}

// Remove implements [disk.FS]: it refuses.
func (s *FS) Remove(name string) error { return refused("remove", name, -1) }

// Rename implements [disk.FS]: it refuses.
func (s *FS) Rename(oldName, newName string) error { return refused("rename", oldName, -1) }

// SyncDir implements [disk.FS]. There is nothing to sync.
func (s *FS) SyncDir(dir string) error { return nil }

// Resolve implements [disk.FS]. A frozen name is resolved already, and what it
// names may be gone.
func (s *FS) Resolve(name string) (string, error) {
	if _, frozen := s.files[filepath.Clean(name)]; frozen {
		return filepath.Clean(name), nil
	}
	return s.under.Resolve(name)
}

func refused(op, name string, off int64) error {
	return &disk.OpError{Op: op, Name: name, Off: off, Err: disk.ErrReadOnly}
}

// file is a frozen file. It is not closed by those who open it.
type file struct {
	disk.File
	size   int64
	onRead func(n int)
}

// ReadAt implements [disk.File].
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	want := p[:max(0, min(int64(len(p)), f.size-off))]
	n, err := f.File.ReadAt(want, off)
	if f.onRead != nil {
		f.onRead(n)
	}
	switch {
	case n < len(want) && err == io.EOF:
		// The file was cut since.
		return n, &disk.OpError{Op: "read", Name: f.Name(), Off: off + int64(n), Err: io.ErrUnexpectedEOF}
	case n == len(want) && n < len(p):
		return n, io.EOF
	case n == len(p):
		return n, nil
	}
	return n, err
}

// WriteVAt implements [disk.File]: it refuses.
func (f *file) WriteVAt(bufs [][]byte, off int64) (int64, error) {
	return 0, refused("write", f.Name(), off)
}

// Truncate implements [disk.File]: it refuses.
func (f *file) Truncate(size int64) error { return refused("truncate", f.Name(), size) }

// SyncData implements [disk.File]. There is nothing to sync.
func (f *file) SyncData() error { return nil }

// Size implements [disk.File].
func (f *file) Size() (int64, error) { return f.size, nil }

// Stat implements [disk.File]. The file has one name here, however many it has.
func (f *file) Stat() (disk.Info, error) {
	info, err := f.File.Stat()
	info.Size, info.Links = f.size, 1
	return info, err
}

// Lock implements [disk.File]: it is granted.
func (f *file) Lock(off, n int64, mode disk.LockMode) error { return nil }

// Unlock implements [disk.File].
func (f *file) Unlock(off, n int64) error { return nil }

// Close implements [disk.File]: the file stays open for its owner.
func (f *file) Close() error { return nil }
