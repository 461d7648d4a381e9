// The files, removed, renamed or replaced while they are open.
//
// A descriptor goes on with the file that was opened, whatever its name leads
// to by now. Commits would then be acknowledged into a log that the next open
// does not find, or that lies beside another database. So the names are looked
// up after every sync of the log, hence before any commit at SyncFull is
// acknowledged; before and after a checkpoint copies; before the log is created,
// begun anew or removed. Commits below SyncFull are not worth a lookup each.
//
// Some file systems make identities up, another one at each look (CIFS mounted
// with noserverino, some of FUSE): there the check would take every healthy file
// for one that was replaced. So it is tried when a database is opened
// ([StableIDs]); where it does not hold, files that are gone are still noticed,
// and those that were replaced are not.
//
// A lookup that fails in another way than "not there" tells nothing, and poisons
// nothing: what is done to a descriptor goes on, what is done to a name (a
// removal) is not done.

package wal

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/walnutdb/walnut/disk"
)

// ErrMoved says that the database file or its log was removed, renamed or
// replaced while it was open. From when that is noticed nothing is written, and
// nothing that belongs to somebody else is removed; readers of published
// snapshots go on.
var ErrMoved = errors.New("database file or its log was removed, renamed or replaced while it was open")

// StableIDs reports whether the file system tells by its identities that name
// leads to the open file f. It is true if it cannot be told, and also if f was
// replaced just now: then a file opened by name has the identity of the name.
func StableIDs(fsys disk.FS, name string, f disk.File) bool {
	for range 2 { // once, it may be a file that is being replaced
		byName, err1 := fsys.Stat(name)
		open, err2 := f.Stat()
		if err1 != nil || err2 != nil || byName.ID == open.ID {
			return true
		}
	}
	again, err := fsys.Open(name, disk.ReadOnly)
	if err != nil {
		return true
	}
	defer again.Close()
	byName, err1 := fsys.Stat(name)
	open, err2 := again.Stat()
	return err1 != nil || err2 != nil || byName.ID == open.ID
}

// sameFile returns an error that wraps ErrMoved if name does not lead to the
// file id any more, and another one if that cannot be told.
func (l *Log) sameFile(name string, id disk.FileID) error {
	const todo = "put back the file that was there, close the database and open it again"
	info, err := l.cfg.FS.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s is not there any more: %s", ErrMoved, name, todo)
	case err != nil:
		return fmt.Errorf("look whether %s is the file that was opened: %w", name, err)
	case info.ID != id && !l.cfg.UnstableIDs:
		return fmt.Errorf("%w: %s is another file now: %s", ErrMoved, name, todo)
	}
	return nil
}

// CheckDB looks whether the database file's name still leads to it. The error
// wraps ErrMoved, or it cannot be told.
func (l *Log) CheckDB() error { return l.sameFile(l.cfg.DB.Name(), l.dbID) }

// checkNames looks whether the names of both files still lead to them. REQUIRES
// that the caller may use l.file.
func (l *Log) checkNames() error {
	err := l.CheckDB()
	if l.file == nil || errors.Is(err, ErrMoved) {
		return err
	}
	if lerr := l.sameFile(l.path, l.logID); lerr != nil {
		err = lerr
	}
	return err
}

// unmoved poisons the log if one of the files was moved. REQUIRES as checkNames.
func (l *Log) unmoved() error {
	if err := l.checkNames(); errors.Is(err, ErrMoved) {
		return l.poison("no use of", err)
	}
	return nil
}

// openLog opens the log file, or creates it, for a log that has none yet. What
// lies there by now is not overwritten: it belongs to somebody else. REQUIRES
// the writer's place.
func (l *Log) openLog() error {
	if err := l.unmoved(); err != nil {
		return err
	}
	f, err := disk.OpenBeside(l.cfg.FS, l.path, disk.Create, l.cfg.DB)
	if err != nil {
		return fmt.Errorf("create the log: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Size > 0 {
		err = l.poison("no use of", fmt.Errorf("%w: %s appeared, with %d bytes: move it away, close the database and open it again",
			ErrMoved, l.path, info.Size))
	}
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("create the log: %w", err)
	}
	l.file, l.logID = f, info.ID
	return nil
}

// identify notes which files were opened.
func (l *Log) identify() error {
	info, err := l.cfg.DB.Stat()
	if err != nil {
		return err
	}
	l.dbID = info.ID
	if l.file == nil {
		return nil
	}
	info, err = l.file.Stat()
	l.logID = info.ID
	return err
}
