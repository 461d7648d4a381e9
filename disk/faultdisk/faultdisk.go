// Package faultdisk is a disk that loses power, tears writes, fills up and
// fails, for testing what claims to survive that. It is a [disk.FS] in memory
// which knows, for every file and every directory, what is durable and what was
// only written.
//
// # Losing power
//
// [Disk.Crash] returns the disk that a power failure would leave. It keeps
// what was durable and, chosen by a seed, any subset of the rest:
//
//   - Each write and truncation that no later successful SyncData of its file
//     covers is kept or lost by itself, whatever came after it; what is kept is
//     applied in order. A write may be torn: any of its sectors
//     ([disk.SectorSize] bytes, aligned in the file) survive, and the growth of
//     the file may survive without the bytes.
//   - Each creation, removal and rename that no later SyncDir of its directory
//     covers is kept or lost by itself. A file whose creation is lost is gone
//     with all its synced content; one whose removal is lost is back.
//   - StartWrite makes any of the writes that it covers durable at once, which
//     is more than it promises and often than a device does.
//   - SyncData of a file does nothing for its directory entry, and SyncDir
//     nothing for contents.
//
// The original is not disturbed: any number of images can be taken from one
// moment, and its handles go on working. A crash loop either runs a workload
// again and again with [Disk.CrashAfter] 1, 2, 3, …, or once with a hook
// ([Disk.SetHook]) that takes images before every state-changing operation.
//
// [Disk.Kill] is the end of the process only: what reads showed stays, except
// what a failed sync dropped.
//
// With [Disk.TearAnywhere] writes are torn between any two bytes, not between
// sectors only.
//
// # Failing
//
// [Disk.Inject] makes the n-th operation of a kind fail, in a file and a range of
// its bytes. A failed write leaves any part of itself. A failed sync drops what
// it should have made durable, as Linux does: reads go on showing it, also to
// those who open the file again, later syncs succeed without it, and only
// writing the bytes again brings them back. [Disk.SetCapacity] is a disk that
// fills up.
//
// # Lying
//
// Effects that report no error: an operation that takes long ([Slow]), a sync
// that does nothing ([Lie]) or not everything ([LieInPart]), a write that never
// reaches the disk ([Lost]) or reaches another place of it, or another file
// ([Misdirected]). A lie is one of the device's cache: the writes are still on
// their way, and the next honest sync of the file covers them. [Disk.FlipBits]
// and [Disk.Overwrite] damage what lies on the disk; [Disk.Evict] makes reads
// show what is there.
//
// # Invariants
//
//   - Visible content = any earlier visible content + the operations since, in
//     order: the disk never lies to a reader before a crash or a kill, unless
//     it was damaged or told to evict.
//   - The same seed and the same operations, in the same order, give the same
//     faults and the same images.
//   - A sync covers the operations that returned before it was called; what was
//     written while a hook held it up is not covered.
package faultdisk

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"path"
	"path/filepath"
	"slices"
	"sync"

	"github.com/walnutdb/walnut/disk"
)

// ErrInjected is matched by every error that a fault of this package caused.
var ErrInjected = errors.New("injected fault")

// ErrCrashed is the cause of every error after the disk lost power (see
// [Disk.CrashAfter]).
var ErrCrashed = errors.New("the disk has lost power")

// Disk is a [disk.FS] that can crash and fail. It is safe for concurrent use.
// Names are paths from the root; the current directory is the root; directories
// need not be made. Make one with [New].
type Disk struct {
	volume uint64

	// mu guards everything in the disk, its files and handles: they change in
	// one step. It is free while a hook runs.
	mu      sync.Mutex
	rng     *rand.Rand
	names   map[string]*inode // what Open finds
	durable map[string]*inode // what a crash surely leaves
	pending []entryChange     // from durable to names, in order
	changed uint64            // the number of the last change of an entry
	next    uint64            // the last file's index
	handles map[*file]struct{}

	background bool  // see AllowBackground
	anywhere   bool  // see TearAnywhere
	capacity   int64 // see SetCapacity

	hook       func(OpInfo) error
	injections []*Injection
	dead       bool
	countdown  int // mutating operations until the crash; negative: none is due
	seq        uint64
	counts     map[Op]int
	trace      ring
}

var (
	_ disk.FS        = (*Disk)(nil)
	_ disk.Sequencer = (*Disk)(nil)
)

// entryChange is a change of one directory that is not durable yet. A rename
// within a directory is one, between two directories it is one in each.
type entryChange struct {
	number  uint64
	dir     string
	add     string // this name gets the file added; empty: none
	added   *inode
	del     string // this name goes if it is the file deleted; empty: none
	deleted *inode
}

func (c entryChange) apply(names map[string]*inode) {
	if c.add != "" {
		names[c.add] = c.added
	}
	if c.del != "" && names[c.del] == c.deleted {
		delete(names, c.del)
	}
}

// Sequential implements [disk.Sequencer]: true unless AllowBackground was
// called.
func (d *Disk) Sequential() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.background
}

// AllowBackground lets the engine work on the disk beside its callers, as it
// does on a real one. Then the order of operations is not the same in each run.
// Call it before a file is opened.
func (d *Disk) AllowBackground() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.background = true
}

// TearAnywhere lets writes be torn between any two bytes and not between sectors
// only, in crashes and by faults, from now on and in all images of the disk. No
// disk promises that it does not do so, though most do not.
func (d *Disk) TearAnywhere() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.anywhere = true
}

// New returns an empty disk whose choices follow from seed.
func New(seed int64) *Disk {
	return &Disk{
		volume:    disk.NewVolume(),
		rng:       newRand(seed),
		names:     map[string]*inode{},
		durable:   map[string]*inode{},
		handles:   map[*file]struct{}{},
		countdown: -1,
		capacity:  -1,
		counts:    map[Op]int{},
	}
}

func newRand(seed int64) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(seed), 0x57a1_4e07))
}

// clean is the form in which the disk keeps a name.
func clean(name string) string { return path.Clean("/" + filepath.ToSlash(name)) }

// fail wraps a cause with what was tried; nil stays nil.
func fail(op, name string, off int64, err error) error {
	if err == nil {
		return nil
	}
	return &disk.OpError{Op: op, Name: name, Off: off, Err: err}
}

// Open implements [disk.FS].
func (d *Disk) Open(name string, flag disk.OpenFlag) (disk.File, error) {
	key := clean(name)
	var opened *file
	err := d.run(OpInfo{Op: OpOpen, Name: key, Off: -1}, func(info *OpInfo) error {
		if key == "/" || name == "" {
			return errors.New("not a regular file")
		}
		if d.names[key] == nil && flag&disk.Create != 0 {
			info.Op |= OpCreate
		}
		return nil
	}, func(info OpInfo, f *failure) error {
		if !f.whole() {
			return f.err
		}
		ino := d.names[key]
		switch {
		case ino == nil && flag&disk.Create == 0:
			return fs.ErrNotExist
		case ino != nil && flag&(disk.Create|disk.Exclusive) == disk.Create|disk.Exclusive:
			return fs.ErrExist
		case ino == nil:
			ino = d.newInode()
			d.change(entryChange{dir: path.Dir(key), add: key, added: ino})
		}
		if f.cause() != nil {
			return f.err
		}
		opened = &file{d: d, ino: ino, name: name, key: key, readOnly: flag&disk.ReadOnly != 0}
		d.handles[opened] = struct{}{}
		return nil
	})
	if err != nil {
		return nil, fail("open", name, -1, err)
	}
	return opened, nil
}

// newInode returns a new, empty, nameless file. REQUIRES: d.mu.
func (d *Disk) newInode() *inode {
	d.next++
	return &inode{index: d.next}
}

// change makes a change of a directory visible; it is durable after SyncDir.
// REQUIRES: d.mu.
func (d *Disk) change(c entryChange) {
	d.changed++
	c.number = d.changed
	c.apply(d.names)
	d.pending = append(d.pending, c)
}

// Stat implements [disk.FS].
func (d *Disk) Stat(name string) (info disk.Info, err error) {
	key := clean(name)
	err = d.run(OpInfo{Op: OpStat, Name: key, Off: -1}, nil, func(_ OpInfo, f *failure) error {
		switch {
		case f.cause() != nil:
			return f.err
		case d.names[key] == nil:
			return fs.ErrNotExist
		}
		info = d.info(d.names[key])
		return nil
	})
	return info, fail("stat", name, -1, err)
}

// info describes a file. REQUIRES: d.mu.
func (d *Disk) info(ino *inode) disk.Info {
	info := disk.Info{
		Size: ino.visible.Size(),
		ID:   disk.FileID{Volume: d.volume, Index: ino.index},
		Mode: 0o644,
	}
	for _, other := range d.names {
		if other == ino {
			info.Links++
		}
	}
	return info
}

// Remove implements [disk.FS].
func (d *Disk) Remove(name string) error {
	key := clean(name)
	err := d.run(OpInfo{Op: OpRemove, Name: key, Off: -1}, nil, func(_ OpInfo, f *failure) error {
		if !f.whole() {
			return f.err
		}
		ino := d.names[key]
		if ino == nil {
			return fs.ErrNotExist
		}
		d.change(entryChange{dir: path.Dir(key), del: key, deleted: ino})
		return f.cause()
	})
	return fail("remove", name, -1, err)
}

// Rename implements [disk.FS].
func (d *Disk) Rename(oldName, newName string) error {
	from, to := clean(oldName), clean(newName)
	err := d.run(OpInfo{Op: OpRename, Name: from, To: to, Off: -1}, nil, func(_ OpInfo, f *failure) error {
		if !f.whole() {
			return f.err
		}
		ino := d.names[from]
		switch {
		case ino == nil:
			return fs.ErrNotExist
		case ino == d.names[to]:
		case path.Dir(from) == path.Dir(to):
			d.change(entryChange{dir: path.Dir(to), add: to, added: ino, del: from, deleted: ino})
		default:
			d.change(entryChange{dir: path.Dir(to), add: to, added: ino})
			d.change(entryChange{dir: path.Dir(from), del: from, deleted: ino})
		}
		return f.cause()
	})
	return fail("rename", oldName+" to "+newName, -1, err)
}

// SyncDir implements [disk.FS]. If it fails, the changes stay what they were,
// neither durable nor lost.
func (d *Disk) SyncDir(dir string) error {
	key := clean(dir)
	var covered uint64
	err := d.run(OpInfo{Op: OpSyncDir, Name: key, Off: -1}, func(*OpInfo) error {
		covered = d.changed
		return nil
	}, func(_ OpInfo, f *failure) error {
		if !f.whole() || f.is(Lie) {
			return f.cause()
		}
		covers := func(c entryChange) bool { return c.dir == key && c.number <= covered }
		most := len(d.pending)
		if f.is(LieInPart) { // the first of them, as a journal of a file system has them
			most = d.rng.IntN(1 + countFunc(d.pending, covers))
		}
		rest := make([]entryChange, 0, len(d.pending))
		for _, c := range d.pending {
			if most > 0 && covers(c) {
				c.apply(d.durable)
				most--
			} else {
				rest = append(rest, c)
			}
		}
		d.pending = rest
		return f.cause()
	})
	return fail("sync directory", dir, -1, err)
}

// countFunc returns how many of the changes are such.
func countFunc(list []entryChange, such func(entryChange) bool) (n int) {
	for _, c := range list {
		if such(c) {
			n++
		}
	}
	return n
}

// Resolve implements [disk.FS]: the name, clean, from the root.
func (d *Disk) Resolve(name string) (string, error) {
	err := d.run(OpInfo{Op: OpStat, Name: clean(name), Off: -1}, nil, func(_ OpInfo, f *failure) error {
		if f.cause() == nil && name == "" {
			return fs.ErrNotExist
		}
		return f.cause()
	})
	if err != nil {
		return "", fail("resolve", name, -1, err)
	}
	return clean(name), nil
}

// Files returns the names of all files that can be opened, sorted. Like
// [Disk.ReadFile] and [Disk.WriteFile] it works beside the disk: it is not an
// operation, never fails by a fault, and works after a crash.
func (d *Disk) Files() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return sortedNames(d.names)
}

func sortedNames(m map[string]*inode) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// ReadFile returns the content of the file name, as readers see it. To see
// what is durable, read from [Disk.CrashKeepNone].
func (d *Disk) ReadFile(name string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ino := d.names[clean(name)]
	if ino == nil {
		return nil, fail("read", name, -1, fs.ErrNotExist)
	}
	return ino.visible.Bytes(), nil
}

// WriteFile makes data the content of the file name, which is created if it is
// not there: content and entry are durable at once.
func (d *Disk) WriteFile(name string, data []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := clean(name)
	if key == "/" {
		return fail("write", name, -1, errors.New("not a regular file"))
	}
	ino := d.names[key]
	if ino == nil {
		ino = d.newInode()
		d.names[key] = ino
	}
	ino.load(data)
	d.durable[key] = ino
	d.pending = slices.DeleteFunc(d.pending, func(c entryChange) bool {
		return c.add == key || c.add == "" && c.del == key
	})
	return nil
}

// Handles returns the names of the open handles, sorted: most tests should end
// with none.
func (d *Disk) Handles() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := make([]string, 0, len(d.handles))
	for f := range d.handles {
		names = append(names, f.key)
	}
	slices.Sort(names)
	return names
}

// Locked returns the names of the open files on which a byte range is locked,
// sorted.
func (d *Disk) Locked() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for f := range d.handles {
		if f.ino.locks.Len() > 0 && !slices.Contains(names, f.key) {
			names = append(names, f.key)
		}
	}
	slices.Sort(names)
	return names
}
