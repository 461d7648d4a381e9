// Package sqlitevfs runs SQLite on Walnut's log: a VFS of
// github.com/ncruces/go-sqlite3 under which SQLite believes to be in
// rollback-journal mode with its journal in memory, while every lock, read and
// write becomes a transaction of package pager.
//
//	vfs.go     registration, opening, names
//	file.go    locks, reads, writes and commit of one connection's database
//	wait.go    waiting for the writer's place, with busy handler and interrupt
//	pragma.go  the pragmas that are ours
//
// How SQLite's calls map:
//
//	Pragma(hint), Lock(SHARED)   the writer's place, then the newest accepted state
//	Lock(SHARED)                 a read mark on the published state
//	Lock(RESERVED)               an upgrade, unless the place is held
//	WriteAt, Truncate            dirty pages
//	Sync                         reserve log space, so that a full disk shows
//	CommitPhaseTwo               commit, and nowhere else
//	Unlock without it            rollback
//
// # Invariants
//
//  1. Bytes 24 to 39 of page 1 read as a value unique to the snapshot: each
//     connection's page cache is valid for exactly its snapshot.
//  2. Commit errors surface from CommitPhaseTwo as IOERR or FULL, never as
//     BUSY; Unlock never fails.
//  3. What a cursor reads after a commit or rollback of its own connection is
//     protected by a mark that was taken before the writer's place was left.
package sqlitevfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/pager"
	"github.com/walnutdb/walnut/internal/wal"
)

// Name is the VFS's name in SQLite, on the operating system's disk.
const Name = "walnut"

func init() {
	Register(Name, disk.OS())
	Register(MemoryName, memory)
}

// Register registers another VFS of this kind whose files are on fsys.
func Register(name string, fsys disk.FS) { vfs.Register(name, &walnutVFS{fsys: fsys}) }

// Unregister removes it.
func Unregister(name string) { vfs.Unregister(name) }

type walnutVFS struct{ fsys disk.FS }

var _ vfs.VFSFilename = (*walnutVFS)(nil)

// MemoryName is the VFS whose files below MemoryRoot are in memory, shared by
// the process. All others, which ATTACH or VACUUM INTO may name on a connection
// to a database in memory, are the operating system's.
const MemoryName = "walnut-memory"

// MemoryRoot is where the names of databases in memory begin.
const MemoryRoot = "/walnut-memory/"

// memory has the files of MemoryName.
var memory = disk.NewMem()

// HoldOptions say how [Hold] opens a database.
type HoldOptions struct {
	MustExist, ReadOnly, Immutable bool
	// Memory: the database is in memory, on MemoryName, and gone when the last
	// hold is released.
	Memory bool
	// Limits of the log; a zero field is the default, or what another one has set, a
	// negative one none.
	Limits Limits
}

// Limits bound a log that readers keep.
type Limits = wal.Limits

// Hold opens the database at path and keeps it open until release is called,
// so that it does not close and open again whenever no connection is left.
func Hold(path string, o HoldOptions) (release func() error, err error) {
	fsys := disk.OS()
	if o.Memory {
		fsys = memory
	}
	s, err := pager.Open(path, pager.Options{FS: fsys, MustExist: o.MustExist, ReadOnly: o.ReadOnly, Immutable: o.Immutable, Limits: o.Limits})
	if err != nil {
		return nil, err
	}
	if !o.Memory {
		return s.Close, nil
	}
	return func() error { return s.CloseAndRemove() }, nil
}

// Open implements [vfs.VFS]; SQLite calls OpenFilename.
func (v *walnutVFS) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return v.open(name, flags, false)
}

// OpenFilename implements [vfs.VFSFilename].
func (v *walnutVFS) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	if isOn(name.URIParameter("nolock")) {
		return nil, flags, cantOpen(errors.New("nolock=1 would bypass the locks of the database"))
	}
	immutable := isOn(name.URIParameter("immutable"))
	if immutable && flags&vfs.OPEN_READONLY == 0 {
		return nil, flags, cantOpen(errors.New("immutable=1 needs mode=ro"))
	}
	return v.open(name.String(), flags, immutable)
}

func isOn(param string) bool {
	switch param {
	case "", "0", "false", "no", "off":
		return false
	}
	return true
}

func (v *walnutVFS) open(name string, flags vfs.OpenFlag, immutable bool) (vfs.File, vfs.OpenFlag, error) {
	switch {
	case name == "" || flags&(vfs.OPEN_DELETEONCLOSE|vfs.OPEN_TEMP_DB|vfs.OPEN_TRANSIENT_DB) != 0:
		return vfs.Find("os").Open(name, flags)
	case flags&vfs.OPEN_MAIN_DB == 0:
		// With OPEN_MEMORY on the database, SQLite asks for no journal.
		return nil, flags, cantOpen(fmt.Errorf("%s: Walnut keeps no rollback journal", name))
	}
	readOnly := flags&vfs.OPEN_READONLY != 0
	fsys := v.fsys
	if fsys == disk.FS(memory) && !strings.HasPrefix(name, MemoryRoot) {
		fsys = disk.OS()
	}
	s, err := pager.Open(name, pager.Options{FS: fsys, MustExist: flags&vfs.OPEN_CREATE == 0, ReadOnly: readOnly, Immutable: immutable})
	if err != nil {
		return nil, flags, cantOpen(err)
	}
	f := &file{store: s, autoCheckpoint: DefaultAutoCheckpoint, readOnly: readOnly}
	return f, flags | vfs.OPEN_MEMORY, nil
}

func cantOpen(err error) error { return vfs.SystemError(err, sqlite3.CANTOPEN) }

// Delete implements [vfs.VFS]: there are no journals to delete.
func (v *walnutVFS) Delete(name string, syncDir bool) error { return sqlite3.IOERR_DELETE_NOENT }

// Access implements [vfs.VFS]. Journals and logs do not exist for SQLite; what
// lies beside the database was looked at when it was opened.
func (v *walnutVFS) Access(name string, flag vfs.AccessFlag) (bool, error) {
	if strings.HasSuffix(name, "-journal") || strings.HasSuffix(name, "-wal") {
		return false, nil
	}
	_, err := v.fsys.Stat(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return err == nil, nil
}

// FullPathname implements [vfs.VFS]. Symbolic links are resolved on opening.
func (v *walnutVFS) FullPathname(name string) (string, error) {
	if strings.HasPrefix(name, MemoryRoot) {
		return name, nil
	}
	return filepath.Abs(name)
}

// code maps an engine error to what SQLite may be told, with fallback for an IO
// error. The engine's error stays in the chain.
func code(err error, fallback sqlite3.ExtendedErrorCode) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, coord.ErrSnapshotStale):
		return sqlite3.BUSY_SNAPSHOT
	case errors.Is(err, coord.ErrBusy):
		return sqlite3.BUSY
	}
	return ioCode(err, fallback)
}

// ioCode is code where SQLite must not see BUSY: once it has begun to commit.
func ioCode(err error, fallback sqlite3.ExtendedErrorCode) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, disk.ErrNoSpace):
		return vfs.SystemError(err, sqlite3.FULL)
	case errors.Is(err, wal.ErrCorrupt):
		return vfs.SystemError(err, sqlite3.IOERR_DATA)
	}
	return vfs.SystemError(err, fallback)
}
