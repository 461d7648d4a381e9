// One connection's database file, as SQLite calls it. A file is used by one
// connection, hence by one goroutine at a time.

package sqlitevfs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/pager"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

// DefaultAutoCheckpoint is SQLite's default for PRAGMA wal_autocheckpoint.
const DefaultAutoCheckpoint = 1000

// file states, by lock and tx:
//
//	NONE               tx nil
//	SHARED             tx reading; nil after a commit that kept no snapshot;
//	                   suspended while a Keeper holds SHARED between reads
//	RESERVED or above  tx writing; nil after its commit
type file struct {
	store    *pager.Store
	readOnly bool
	conn     *sqlite3.Conn
	busy     func() bool
	timer    *time.Timer
	// patient: the busy handler was asked once and said to wait.
	patient bool

	lock vfs.LockLevel
	tx   *pager.Tx
	// read is what tx points to when it began by reading, request has it when
	// it began by writing; nil after a commit that failed.
	read    pager.Tx
	request *pager.WriteRequest
	// suspended: SQLite holds SHARED, and tx no mark, until the Keeper resumes
	// it or SQLite unlocks.
	suspended bool
	// hint: the next Lock(SHARED) opens a write transaction.
	hint bool
	// upgraded: tx was reading before it wrote.
	upgraded bool
	// over: the transaction was committed, or failed to be; what SQLite writes
	// until it unlocks (it plays its journal back) goes nowhere.
	over bool

	// cause is the engine's error behind the last IO error since Lock(SHARED).
	cause error

	level          wal.SyncLevel
	autoCheckpoint int
	// sql is the statement that the connection runs, for reports.
	sql  string
	page []byte
}

var (
	_ vfs.FileLockState      = (*file)(nil)
	_ vfs.FileCommitPhaseTwo = (*file)(nil)
	_ vfs.FileSync           = (*file)(nil)
	_ vfs.FilePragma         = (*file)(nil)
	_ vfs.FileBusyHandler    = (*file)(nil)
)

// SetDB receives the connection, for its context.
func (f *file) SetDB(db any) { f.conn, _ = db.(*sqlite3.Conn) }

// BusyHandler implements [vfs.FileBusyHandler].
func (f *file) BusyHandler(ask func() bool) { f.busy, f.patient = ask, false }

// LockState implements [vfs.FileLockState].
func (f *file) LockState() vfs.LockLevel { return f.lock }

// SectorSize implements [vfs.File]; 0 is SQLite's default.
func (f *file) SectorSize() int { return 0 }

// DeviceCharacteristics implements [vfs.File]. Not IOCAP_ATOMIC: it would
// raise the default page size.
func (f *file) DeviceCharacteristics() vfs.DeviceCharacteristic {
	return vfs.IOCAP_SAFE_APPEND | vfs.IOCAP_SEQUENTIAL | vfs.IOCAP_POWERSAFE_OVERWRITE
}

// Close implements [vfs.File].
func (f *file) Close() error {
	f.assertState()
	if f.tx != nil {
		f.tx.End()
		f.tx = nil
	}
	return f.store.Close()
}

// Lock implements [vfs.File].
func (f *file) Lock(level vfs.LockLevel) error {
	f.assertState()
	defer f.assertState()
	if f.lock >= level {
		return nil
	}
	if f.lock == vfs.LOCK_NONE {
		f.cause, f.upgraded = nil, false
	}
	if level >= vfs.LOCK_RESERVED && f.readOnly {
		return vfs.SystemError(pager.ErrReadOnly, sqlite3.IOERR_LOCK)
	}
	switch {
	case level == vfs.LOCK_SHARED && !f.hint:
		f.store.BeginReadInto(&f.read, f.who(), coord.Now())
		f.tx = &f.read
	case level == vfs.LOCK_SHARED:
		if f.request == nil {
			f.request = new(pager.WriteRequest)
		}
		err := f.store.RequestWriteInto(f.request, f.who(), f.autoActions())
		if err = f.wait(f.request, err); err != nil {
			return err
		}
	case f.tx == nil:
		return sqlite3.IOERR_LOCK
	case !f.resume():
		return sqlite3.BUSY_SNAPSHOT
	case !f.tx.Writing():
		req, err := f.tx.RequestUpgrade(f.autoActions())
		if err = f.wait(req, err); err != nil {
			return err
		}
		f.upgraded = true
	}
	f.lock = level
	return nil
}

// who says whose the connection's transactions are.
func (f *file) who() coord.Who {
	w := coord.Who{SQL: f.sql}
	if f.conn != nil {
		w.Label = coord.LabelOf(f.conn.GetInterrupt())
	}
	return w
}

// autoActions: with PRAGMA wal_autocheckpoint=0 somebody else sees to the log.
func (f *file) autoActions() wal.AutoActions {
	return wal.AutoActions{NoCheckpoint: f.autoCheckpoint <= 0}
}

// Unlock implements [vfs.File]. A transaction that is still writing was not
// committed: it is rolled back.
func (f *file) Unlock(level vfs.LockLevel) error {
	f.assertState()
	defer f.assertState()
	f.hint = false
	if f.lock > vfs.LOCK_SHARED && f.tx != nil && f.tx.Writing() {
		// A failure is the log's. It cannot be told here, but a cursor that
		// reads on is refused: what it has read may not exist.
		if err := f.tx.Rollback(true); err != nil {
			f.cause, f.tx = err, nil
		}
	}
	if level == vfs.LOCK_NONE && f.tx != nil {
		f.tx.End()
		f.tx, f.suspended = nil, false
	}
	f.lock, f.over = min(f.lock, level), false
	return f.repeat()
}

// io maps an engine error for SQLite, as ioCode, and notes it.
func (f *file) io(err error, fallback sqlite3.ExtendedErrorCode) error {
	if err != nil {
		f.cause = err
	}
	return ioCode(err, fallback)
}

// repeat says once more why the transaction failed. SQLite is told success (0):
// but the wrapper makes its error after SQLite has unlocked the file, and finds
// there the Go error of the last call only.
func (f *file) repeat() error {
	if f.cause == nil {
		return nil
	}
	return vfs.SystemError(f.cause, sqlite3.ErrorCode(0))
}

// CheckReservedLock implements [vfs.File]. Hot journals, which it is for, were
// looked for on opening.
func (f *file) CheckReservedLock() (bool, error) { return f.lock >= vfs.LOCK_RESERVED, nil }

// reading calls read with the transaction, or with one of its own: SQLite
// reads the header of a database before it locks it.
func (f *file) reading(read func(*pager.Tx) error) error {
	f.assertState()
	switch {
	case !f.resume():
		return errors.New("read between statements: the snapshot that was kept has been given up")
	case f.tx != nil:
		return read(f.tx)
	case f.lock != vfs.LOCK_NONE:
		return errors.New("the snapshot of this cursor ended with the transaction that was committed under it")
	}
	tx := f.store.BeginRead(f.who())
	defer tx.End()
	return read(tx)
}

// Size implements [vfs.File].
func (f *file) Size() (size int64, err error) {
	err = f.reading(func(tx *pager.Tx) error {
		size = int64(tx.PageCount()) * int64(tx.PageSize())
		return nil
	})
	return size, f.io(err, sqlite3.IOERR_FSTAT)
}

// ReadAt implements [vfs.File]. Before SQLite knows the page size it reads
// across pages.
func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.reading(func(tx *pager.Tx) error {
		ps := int64(tx.PageSize())
		end := int64(tx.PageCount()) * ps
		for n < len(p) && off < end {
			in := int(off % ps)
			part := p[n:min(len(p), n+int(ps)-in)]
			if err := f.readPart(tx, walformat.PageNo(off/ps+1), in, part); err != nil {
				return err
			}
			n += len(part)
			off += int64(len(part))
		}
		return nil
	})
	if err != nil {
		return 0, f.io(err, sqlite3.IOERR_READ)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readPart reads len(p) bytes from byte in of page n on.
func (f *file) readPart(tx *pager.Tx, n walformat.PageNo, in int, p []byte) error {
	ps := tx.PageSize()
	switch {
	case n == 1:
		return tx.ReadHeader(p, in)
	case n == walformat.LockBytePage(ps):
		clear(p)
		return nil
	case len(p) == ps:
		return tx.ReadPage(n, p)
	}
	if len(f.page) != ps {
		f.page = make([]byte, ps)
	}
	if err := tx.ReadPage(n, f.page); err != nil {
		return err
	}
	copy(p, f.page[in:])
	return nil
}

// WriteAt implements [vfs.File].
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.assertState()
	defer f.assertState()
	if f.over {
		return len(p), nil
	}
	if err := f.write(p, off); err != nil {
		return 0, f.io(err, sqlite3.IOERR_WRITE)
	}
	return len(p), nil
}

func (f *file) write(p []byte, off int64) error {
	if f.tx == nil || !f.tx.Writing() {
		return errors.New("write outside a write transaction")
	}
	if f.tx.PageCount() == 0 && len(p) != f.tx.PageSize() {
		if err := f.tx.SetPageSize(len(p)); err != nil {
			return err
		}
	}
	ps := f.tx.PageSize()
	if len(p) != ps || off%int64(ps) != 0 {
		return fmt.Errorf("write of %d bytes at offset %d: the page size of this database is %d and cannot change in WAL mode", len(p), off, ps)
	}
	if off == 0 {
		if told := int(binary.BigEndian.Uint16(p[16:])); told != ps && !(told == 1 && ps == walformat.MaxPageSize) {
			return fmt.Errorf("page 1 is to say page size %d: it is %d and cannot change in WAL mode", told, ps)
		}
	}
	return f.tx.WritePage(walformat.PageNo(off/int64(ps)+1), p)
}

// Truncate implements [vfs.File].
func (f *file) Truncate(size int64) error {
	f.assertState()
	defer f.assertState()
	if f.over {
		return nil
	}
	if f.tx == nil || !f.tx.Writing() {
		return vfs.SystemError(errors.New("truncate outside a write transaction"), sqlite3.IOERR_TRUNCATE)
	}
	ps := int64(f.tx.PageSize())
	n := (size + ps - 1) / ps
	if n == 0 && f.tx.PageCount() == 0 {
		return nil
	}
	return f.io(f.tx.SetPageCount(uint32(n)), sqlite3.IOERR_TRUNCATE)
}

// SyncSuper implements [vfs.FileSync]: several attached databases are
// committed one by one, each as a whole.
func (f *file) SyncSuper(super string) error { return nil }

// Sync implements [vfs.File]: a disk that is full is to show before any file
// of the transaction is committed.
func (f *file) Sync(vfs.SyncFlag) error {
	f.assertState()
	defer f.assertState()
	if f.over || f.tx == nil {
		return nil
	}
	return f.io(f.tx.Reserve(), sqlite3.IOERR_FSYNC)
}

// CommitPhaseTwo implements [vfs.FileCommitPhaseTwo].
func (f *file) CommitPhaseTwo() error {
	f.assertState()
	defer f.assertState()
	if f.tx == nil || !f.tx.Writing() {
		return nil
	}
	keep := f.upgraded || f.openCursors()
	o := pager.CommitOptions{Keep: keep, SQLite: true}
	o.Level, o.AutoCheckpoint = f.level, f.autoCheckpoint
	err := f.tx.Commit(context.Background(), o)
	f.over = true
	if err != nil {
		f.request = nil
	}
	if err != nil || !keep {
		f.tx = nil
	}
	return f.io(err, sqlite3.IOERR_FSYNC)
}

// openCursors reports whether a statement of the connection may go on reading
// after the commit.
func (f *file) openCursors() bool {
	if f.conn == nil {
		return true
	}
	for s := range f.conn.Stmts() {
		if s.Busy() && s.ReadOnly() && !endsTransaction(s.SQL()) {
			return true
		}
	}
	return false
}

// endsTransaction: COMMIT, END and RELEASE count as read-only and busy while
// they run.
func endsTransaction(sql string) bool {
	sql = strings.TrimLeft(sql, " \t\r\n;")
	word, _, _ := strings.Cut(sql, " ")
	switch strings.ToUpper(strings.TrimRight(word, ";")) {
	case "COMMIT", "END", "RELEASE":
		return true
	}
	return false
}
