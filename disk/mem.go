package disk

import (
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/walnutdb/walnut/disk/internal/paged"
	"github.com/walnutdb/walnut/disk/internal/rangelock"
)

// This file is a file system in memory, for tests and for databases that need
// not last. It knows no durability: a sync does nothing.
//
// Invariants:
//   - A name and an open handle each keep a file alive; a file without either
//     is garbage.
//   - Names are absolute, clean and slash-separated inside; the root is the
//     current directory.
//   - Lock order: Mem.mu, then memInode.mu.

// Mem is an [FS] in memory. Directories need not be made: every path works. It
// is safe for concurrent use. Make one with [NewMem].
type Mem struct {
	volume uint64
	mu     struct {
		sync.RWMutex
		names map[string]*memInode
		next  uint64 // the next file's index
	}
}

var _ FS = (*Mem)(nil)

// memInode is a file, whatever its names.
type memInode struct {
	id FileID
	mu struct {
		sync.RWMutex
		content paged.Content
		links   uint64
		locks   rangelock.Table
	}
}

type memFile struct {
	inode    *memInode
	name     string
	readOnly bool
	closed   atomic.Bool
}

// lastVolume numbers the file systems in memory of this process.
var lastVolume atomic.Uint64

// NewVolume returns a value for [FileID.Volume] that no other file system in
// this process has: for file systems that are not the host's.
func NewVolume() uint64 { return 1<<63 | lastVolume.Add(1) }

// NewMem returns an empty file system in memory.
func NewMem() *Mem {
	m := &Mem{volume: NewVolume()}
	m.mu.names = map[string]*memInode{}
	return m
}

// memPath is the form in which a file system in memory keeps a name.
func memPath(name string) string {
	name = filepath.ToSlash(name)
	if !path.IsAbs(name) {
		name = "/" + name
	}
	return path.Clean(name) // allocates nothing if it is clean
}

// Open implements [FS].
func (m *Mem) Open(name string, flag OpenFlag) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := memPath(name)
	inode := m.mu.names[key]
	switch {
	case name == "" || key == "/":
		return nil, opError("open", name, -1, errNotRegular)
	case inode == nil && flag&Create == 0:
		return nil, opError("open", name, -1, fs.ErrNotExist)
	case inode != nil && flag&(Create|Exclusive) == Create|Exclusive:
		return nil, opError("open", name, -1, fs.ErrExist)
	case inode == nil:
		inode = m.create(key)
	}
	return &memFile{inode: inode, name: name, readOnly: flag&ReadOnly != 0}, nil
}

// create makes an empty file. REQUIRES: m.mu.
func (m *Mem) create(key string) *memInode {
	m.mu.next++
	inode := &memInode{id: FileID{Volume: m.volume, Index: m.mu.next}}
	m.bind(key, inode)
	return inode
}

// bind makes key a name of inode, or of nothing if inode is nil. REQUIRES: m.mu.
func (m *Mem) bind(key string, inode *memInode) {
	if old := m.mu.names[key]; old != nil {
		old.mu.Lock()
		old.mu.links--
		old.mu.Unlock()
	}
	if inode == nil {
		delete(m.mu.names, key)
		return
	}
	m.mu.names[key] = inode
	inode.mu.Lock()
	inode.mu.links++
	inode.mu.Unlock()
}

// lookup returns the file called name, or nil.
func (m *Mem) lookup(name string) *memInode {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.mu.names[memPath(name)]
}

// Stat implements [FS].
func (m *Mem) Stat(name string) (Info, error) {
	inode := m.lookup(name)
	if inode == nil {
		return Info{}, opError("stat", name, -1, fs.ErrNotExist)
	}
	return inode.info(), nil
}

// Remove implements [FS].
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := memPath(name)
	if m.mu.names[key] == nil {
		return opError("remove", name, -1, fs.ErrNotExist)
	}
	m.bind(key, nil)
	return nil
}

// Rename implements [FS].
func (m *Mem) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, to := memPath(oldName), memPath(newName)
	inode := m.mu.names[from]
	switch {
	case inode == nil:
		return opError("rename", oldName+" to "+newName, -1, fs.ErrNotExist)
	case inode == m.mu.names[to]:
		return nil // as POSIX has it: two names of one file stay two
	}
	m.bind(to, inode)
	m.bind(from, nil)
	return nil
}

// Link gives the file oldName a second name, a hard link.
func (m *Mem) Link(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	inode, to := m.mu.names[memPath(oldName)], memPath(newName)
	switch {
	case inode == nil:
		return opError("link", oldName+" to "+newName, -1, fs.ErrNotExist)
	case m.mu.names[to] != nil:
		return opError("link", oldName+" to "+newName, -1, fs.ErrExist)
	}
	m.bind(to, inode)
	return nil
}

// SyncDir implements [FS]. It does nothing.
func (m *Mem) SyncDir(string) error { return nil }

// Resolve implements [FS]: the name, clean, from the root.
func (m *Mem) Resolve(name string) (string, error) {
	if name == "" {
		return "", opError("resolve", name, -1, fs.ErrNotExist)
	}
	return memPath(name), nil
}

// Files returns the names of all files, sorted.
func (m *Mem) Files() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	names := make([]string, 0, len(m.mu.names))
	for name := range m.mu.names {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// ReadFile returns the content of the file name.
func (m *Mem) ReadFile(name string) ([]byte, error) {
	inode := m.lookup(name)
	if inode == nil {
		return nil, opError("read", name, -1, fs.ErrNotExist)
	}
	inode.mu.RLock()
	defer inode.mu.RUnlock()
	return inode.mu.content.Bytes(), nil
}

// WriteFile makes data the content of the file name, which is created if it is
// not there.
func (m *Mem) WriteFile(name string, data []byte) error {
	f, err := m.Open(name, Create)
	if err != nil {
		return err
	}
	inode := f.(*memFile).inode
	inode.mu.Lock()
	defer inode.mu.Unlock()
	inode.mu.content.Truncate(0)
	inode.mu.content.WriteAt(data, 0)
	return nil
}

func (i *memInode) info() Info {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return Info{Size: i.mu.content.Size(), ID: i.id, Links: i.mu.links, Mode: filePermMem}
}

// maxMemSize bounds a file, so that a wild offset is an error and not an
// allocation.
const maxMemSize = 1 << 40

// filePermMem is the mode of every file in memory.
const filePermMem = fs.FileMode(0o644)

// Name implements File.
func (f *memFile) Name() string { return f.name }

// check refuses what a closed or a read-only handle cannot do.
func (f *memFile) check(op string, off int64, writes bool) error {
	switch {
	case f.closed.Load():
		return opError(op, f.name, off, fs.ErrClosed)
	case writes && f.readOnly:
		return opError(op, f.name, off, ErrReadOnly)
	}
	return nil
}

// ReadAt implements File.
func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.check("read", off, false); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, opError("read", f.name, off, fs.ErrInvalid)
	}
	f.inode.mu.RLock()
	defer f.inode.mu.RUnlock()
	n := f.inode.mu.content.ReadAt(p, off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteVAt implements File.
func (f *memFile) WriteVAt(bufs [][]byte, off int64) (int64, error) {
	if err := f.check("write", off, true); err != nil {
		return 0, err
	}
	n := total(bufs)
	if off < 0 || off+n < off {
		return 0, opError("write", f.name, off, fs.ErrInvalid)
	}
	if off+n > maxMemSize {
		return 0, opError("write", f.name, off, ErrNoSpace)
	}
	f.inode.mu.Lock()
	defer f.inode.mu.Unlock()
	for _, b := range bufs {
		f.inode.mu.content.WriteAt(b, off)
		off += int64(len(b))
	}
	return n, nil
}

// SyncData implements File. It does nothing.
func (f *memFile) SyncData() error { return f.check("sync", -1, false) }

// Truncate implements File.
func (f *memFile) Truncate(size int64) error {
	if err := f.check("truncate", size, true); err != nil {
		return err
	}
	if size < 0 {
		return opError("truncate", f.name, size, fs.ErrInvalid)
	}
	if size > maxMemSize {
		return opError("truncate", f.name, size, ErrNoSpace)
	}
	f.inode.mu.Lock()
	defer f.inode.mu.Unlock()
	f.inode.mu.content.Truncate(size)
	return nil
}

// Size implements File.
func (f *memFile) Size() (int64, error) {
	info, err := f.Stat()
	return info.Size, err
}

// Stat implements File.
func (f *memFile) Stat() (Info, error) {
	if err := f.check("stat", -1, false); err != nil {
		return Info{}, err
	}
	return f.inode.info(), nil
}

// Lock implements File.
func (f *memFile) Lock(off, n int64, mode LockMode) error {
	if err := f.check("lock", off, mode == ExclusiveLock); err != nil {
		return err
	}
	if !validRange(off, n) {
		return opError("lock", f.name, off, fs.ErrInvalid)
	}
	f.inode.mu.Lock()
	defer f.inode.mu.Unlock()
	if f.closed.Load() { // a Close meanwhile has released the locks
		return opError("lock", f.name, off, fs.ErrClosed)
	}
	if !f.inode.mu.locks.Lock(f, off, n, mode == ExclusiveLock) {
		return opError("lock", f.name, off, &LockedError{})
	}
	return nil
}

// Unlock implements File.
func (f *memFile) Unlock(off, n int64) error {
	if err := f.check("unlock", off, false); err != nil {
		return err
	}
	if !validRange(off, n) {
		return opError("unlock", f.name, off, fs.ErrInvalid)
	}
	f.inode.mu.Lock()
	defer f.inode.mu.Unlock()
	f.inode.mu.locks.Unlock(f, off, n)
	return nil
}

// Close implements File.
func (f *memFile) Close() error {
	if f.closed.Swap(true) {
		return opError("close", f.name, -1, fs.ErrClosed)
	}
	f.inode.mu.Lock()
	defer f.inode.mu.Unlock()
	f.inode.mu.locks.Release(f)
	return nil
}
