package disk

import (
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file is the optional power Mapper where it is known to be safe: on Linux
// a mapping shows every write at once, and a fault in it becomes a panic that
// can be recovered from (debug.SetPanicOnFault): the file may be cut, or its
// device fail, under it.
//
// A page that is not in the system's cache would stop the whole thread, and
// with it the goroutines that wait for its processor, until the device has
// answered. So each page is read by a system call once before it is read
// through the mapping.
//
// A mapping keeps the open file alive, and its locks with it. So Close puts
// memory that cannot be read in its place at once; the addresses are given back
// when nobody refers to them any more. A read beside Close fails, and cannot
// meet what somebody else has mapped there since.

var _ Mapper = (*osFile)(nil)

const (
	mapUnit = 4096
	// mapMax bounds a mapping, and with it what is noted of its pages.
	mapMax = 1 << 36
	mapMin = 1 << 20
)

// fileMap is the mapping of an open file; the zero value has none yet.
type fileMap struct {
	now atomic.Pointer[mapping]
	off atomic.Bool // the file cannot be mapped, or is closed
	mu  sync.Mutex  // held to replace now
	// old has the mappings that were too small: somebody may still read from
	// them. Guarded by mu.
	old []*mapping
}

// mapping is one mapping of a file, from the file's begin on.
type mapping struct {
	b     []byte
	unmap runtime.Cleanup
	// seen has a bit for each unit that has been read by a system call.
	seen []atomic.Uint64
}

// Mappable implements Mapper. Smaller addresses leave no room for mappings.
func (f *osFile) Mappable() int64 {
	if strconv.IntSize < 64 || f.mapped.off.Load() {
		return 0
	}
	return mapMax
}

// ReadMapped implements Mapper.
func (f *osFile) ReadMapped(p []byte, off int64) bool {
	end := off + int64(len(p))
	if off < 0 || end > mapMax {
		return false
	}
	m := f.mapped.now.Load()
	if m == nil || end > int64(len(m.b)) {
		if m = f.mapped.grow(f, end); m == nil {
			return false
		}
	}
	ok := m.resident(off, end) && copyMapped(p, m.b[off:end])
	runtime.KeepAlive(m)
	return ok
}

// resident reports whether all units of the range have been read before, and
// notes that they are now.
func (m *mapping) resident(off, end int64) bool {
	all := true
	for u := off / mapUnit; u*mapUnit < end; u++ {
		w, bit := &m.seen[u/64], uint64(1)<<(u%64)
		if w.Load()&bit == 0 {
			w.Or(bit)
			all = false
		}
	}
	return all
}

// copyMapped copies from a mapping; false if the memory cannot be read.
func copyMapped(to, from []byte) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if !ok {
			_ = recover() // copying has no other reason to panic
		}
	}()
	copy(to, from)
	return true
}

// grow replaces the mapping by one that reaches to end; nil if there is none.
func (x *fileMap) grow(f *osFile, end int64) *mapping {
	x.mu.Lock()
	defer x.mu.Unlock()
	m := x.now.Load()
	if m != nil && end <= int64(len(m.b)) {
		return m
	}
	size, err := f.Size()
	if f.Mappable() == 0 || err != nil || end > size {
		return nil
	}
	if m == nil {
		m = new(mapping)
	}
	// With room for the file to grow into.
	length := min(mapMax, max(mapMin, 2*int64(len(m.b)), (size+size/4)&^(mapUnit-1)+mapUnit))
	n := &mapping{seen: make([]atomic.Uint64, length/mapUnit/64+1)}
	err = f.withFD(func(fd uintptr) (err error) {
		n.b, err = unix.Mmap(int(fd), 0, int(length), unix.PROT_READ, unix.MAP_SHARED)
		return err
	})
	if err != nil {
		x.off.Store(true)
		return nil
	}
	n.unmap = runtime.AddCleanup(n, func(b []byte) { _ = unix.Munmap(b) }, n.b)
	for i := range m.seen {
		n.seen[i].Store(m.seen[i].Load())
	}
	if m.b != nil {
		x.old = append(x.old, m)
	}
	x.now.Store(n)
	return n
}

// drop lets the file go.
func (x *fileMap) drop() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.off.Store(true)
	if m := x.now.Swap(nil); m != nil {
		m.blank()
	}
	for _, m := range x.old {
		m.blank()
	}
	x.old = nil
}

// blank replaces the file under the mapping by nothing.
func (m *mapping) blank() {
	p := unsafe.Pointer(unsafe.SliceData(m.b))
	_, err := unix.MmapPtr(-1, 0, p, uintptr(len(m.b)), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED)
	if err != nil { // out of mappings: better no address than a lock for ever
		m.unmap.Stop()
		_ = unix.Munmap(m.b)
	}
	runtime.KeepAlive(m)
}
