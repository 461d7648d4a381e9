// Package disk is the only way from Walnut to a file. An engine that reaches
// its files through [FS] and [File] can be run on the operating system
// ([OS]), in memory ([NewMem]) or on a disk that fails, tears writes and loses
// power (package faultdisk).
//
// # What is durable when
//
// A write, a truncation, a creation, a removal and a rename are visible to
// every later call at once and durable later. Until it is durable, an
// operation may or may not survive a power failure, independently of every
// other one and whatever their order was; a write may survive in part, in
// units of a sector (512 bytes).
//
//   - [File.SyncData] makes the writes and truncations of that file which
//     returned before it was called durable, and the size that is needed to
//     read them back. It promises nothing for writes that run beside it.
//   - [FS.SyncDir] makes creations, removals and renames in one directory
//     durable. A file whose directory was not synced may vanish as a whole,
//     even if its contents were synced.
//   - After an error from SyncData nothing is known: the kernel may have
//     dropped the data while reads still show it, and the next SyncData may
//     return nil without having written anything. Never retry; write again.
//   - [WriteStarter.StartWrite] promises nothing of it; its error is one of
//     SyncData.
//   - An error from WriteVAt or Truncate leaves any part of the operation done.
package disk

import (
	"errors"
	"fmt"
	"io/fs"
)

// OpenFlag changes how [FS.Open] opens a file. Zero opens an existing file for
// reading and writing.
type OpenFlag uint8

const (
	// ReadOnly opens for reading: writes and exclusive locks fail.
	ReadOnly OpenFlag = 1 << iota
	// Create creates the file, empty, if it is not there.
	Create
	// Exclusive, with Create, fails with [fs.ErrExist] if the file is there.
	Exclusive
)

// LockMode says what a byte-range lock excludes.
type LockMode uint8

const (
	// Shared locks of different handles may overlap.
	Shared LockMode = iota
	// ExclusiveLock overlaps no lock of another handle.
	ExclusiveLock
)

// ErrLocked is returned by [File.Lock] when another handle, here or in another
// process, holds a conflicting lock. The error is a [*LockedError] where the
// holder is known.
var ErrLocked = errors.New("locked by another process")

// ErrNoSpace is what a write or an extension of a file returns, wrapped, when
// the disk, a quota or a file size limit is exhausted.
var ErrNoSpace = errors.New("no space left on the disk")

// LockedError is [ErrLocked] with the process that holds the lock.
type LockedError struct {
	// PID of the holder; 0 or negative when it cannot be told (a holder on
	// another machine, a lock that is not owned by a process).
	PID int
}

func (e *LockedError) Error() string {
	if e.PID <= 0 {
		return ErrLocked.Error()
	}
	return fmt.Sprintf("locked by process %d", e.PID)
}

// Is makes every LockedError match [ErrLocked].
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// FileID names a file whatever path led to it, as long as it is open
// somewhere: device and inode on Unix, volume and file index on Windows.
type FileID struct {
	Volume, Index uint64
}

// Info is what [FS.Stat] and [File.Stat] tell of a file.
type Info struct {
	// Size in bytes.
	Size int64
	ID   FileID
	// Links counts the directory entries (hard links) of the file; 0 for an
	// open file that has been removed.
	Links uint64
	// Mode has the type and the permission bits.
	Mode fs.FileMode
}

// FS opens, names and removes files. Its methods may be called concurrently.
// Names are paths of the host; errors about missing and existing files match
// [fs.ErrNotExist] and [fs.ErrExist], and carry the name.
type FS interface {
	// Open opens the file name. The File must be closed.
	Open(name string, flag OpenFlag) (File, error)
	// Stat describes the file name, following symbolic links.
	Stat(name string) (Info, error)
	// Remove removes the directory entry. Open handles go on working.
	// Durable after SyncDir.
	Remove(name string) error
	// Rename replaces newName by oldName in one step. Durable after SyncDir.
	Rename(oldName, newName string) error
	// SyncDir makes the entries of the directory dir durable.
	SyncDir(dir string) error
	// Resolve returns name as an absolute path without symbolic links. Its
	// last element need not exist; a symbolic link to a file that does not
	// exist resolves to that file's path.
	Resolve(name string) (string, error)
}

// File is an open file. ReadAt, WriteVAt, SyncData, Size and Stat may be called
// concurrently; of overlapping concurrent writes, and of a read beside a
// write that overlaps it, any mixture may be seen.
type File interface {
	// Name is the path that the file was opened with.
	Name() string
	// ReadAt reads as [io.ReaderAt] does: fewer bytes than len(p) come with an
	// error, which is io.EOF exactly at the end of the file.
	ReadAt(p []byte, off int64) (n int, err error)
	// WriteVAt writes the buffers one after the other from off on, growing the
	// file as needed, and returns the number of bytes written, which is below
	// the total only with an error. The implementation neither keeps nor
	// changes the buffers; it may split the list into several system calls, so
	// that the whole is not atomic.
	WriteVAt(bufs [][]byte, off int64) (n int64, err error)
	// SyncData makes what was written to the file durable (see the package
	// comment). Errors are final.
	SyncData() error
	// Truncate cuts the file, or extends it with zeros, to size bytes.
	Truncate(size int64) error
	// Size returns the file's size in bytes.
	Size() (int64, error)
	// Stat describes the open file.
	Stat() (Info, error)
	// Lock takes a lock on n bytes from off on, or converts one that this
	// handle holds there, without waiting. Locks belong to the handle, not to
	// the process, and go when it is closed. A conflict matches [ErrLocked].
	Lock(off, n int64, mode LockMode) error
	// Unlock gives up this handle's locks in the range.
	Unlock(off, n int64) error
	// Close closes the handle. It does not sync.
	Close() error
}

// CopyOnWriter is an optional power of an [FS]: it tells of file systems where
// an overwrite allocates new blocks, so that reserving space by writing zeros
// ahead gains nothing.
type CopyOnWriter interface {
	// CopyOnWrite reports whether the file system that holds the directory
	// dir copies on write. An unknown file system counts as not doing so.
	CopyOnWrite(dir string) bool
}

// PermOpener is an optional power of an [FS] whose files have permissions.
type PermOpener interface {
	// OpenPerm is Open; a file that it creates gets the permissions perm.
	OpenPerm(name string, flag OpenFlag, perm fs.FileMode) (File, error)
}

// OpenBeside opens a file that has, or gets, contents of another one: if it is
// created, it gets that one's permissions, so that nobody reads there what he may
// not read here. File systems without [PermOpener] decide by themselves.
func OpenBeside(fsys FS, name string, flag OpenFlag, other File) (File, error) {
	p, ok := fsys.(PermOpener)
	if !ok {
		return fsys.Open(name, flag)
	}
	info, err := other.Stat()
	if err != nil {
		return nil, err
	}
	return p.OpenPerm(name, flag, info.Mode.Perm())
}

// Sequencer is an optional power of an [FS] made for tests: the order in which
// it is called is to follow from its callers alone, so that a run repeats
// exactly.
type Sequencer interface {
	// Sequential reports whether that is so. The engine then does nothing on
	// the file system in goroutines of its own that its callers do not wait
	// for.
	Sequential() bool
}

// WriteStarter is an optional power of a [File]: it can be told to begin writing
// out, so that the device works while the caller prepares what comes next, and
// the SyncData that follows finds little left to do.
type WriteStarter interface {
	// StartWrite begins writing out what was written to the n bytes from off
	// on. It is a hint, and promises nothing: what SyncData covers and when it
	// must be called stay what they are, and that a write becomes durable
	// before it is synced was always possible. It may be slow, but does not
	// wait for the device to finish.
	//
	// An error is as final as one of SyncData: the data may be lost. A file
	// system that cannot do this does nothing and returns nil.
	StartWrite(off, n int64) error
}

// StartWrite calls the file's [WriteStarter.StartWrite] if it has that power,
// and otherwise does nothing.
func StartWrite(f File, off, n int64) error {
	if s, ok := f.(WriteStarter); ok {
		return s.StartWrite(off, n)
	}
	return nil
}

// Mapper is an optional power of a [File]: reading from memory what the system
// has of the file in its cache.
type Mapper interface {
	// Mappable is up to which offset ReadMapped is of use for this file; 0 if it
	// is of none.
	Mappable() int64
	// ReadMapped fills p with the file's bytes from off on, as ReadAt would,
	// and returns true, or returns false where it cannot or where it would be
	// slower; p is then undefined, and ReadAt is to be called. It may be called
	// beside every other call.
	ReadMapped(p []byte, off int64) bool
}

// MaxVectors is the largest number of buffers that one system call takes; a
// longer list given to [File.WriteVAt] is written by several.
const MaxVectors = 1024

// SectorSize is the unit, in bytes, in which a write may be torn.
const SectorSize = 512
