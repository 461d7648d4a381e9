package walnut

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/pager"
	"github.com/walnutdb/walnut/internal/wal"
)

// DB is an open database. It is safe for concurrent use. All DBs of one file in
// a process, and the SQL connections of package driver, share one engine.
type DB struct {
	store  *pager.Store
	opt    Options
	closed atomic.Bool
	// unwatch ends what Options.OnEvent and Options.Logger began.
	unwatch func()
}

// Open opens the database at path, creating it if it is not there, and
// recovers what a crash left. The DB must be closed.
//
// It fails with ErrBusy if another process uses the database, and with
// ErrNotDatabase, ErrCorrupt, ErrHotJournal or ErrLogVersion if it cannot be
// used; then nothing on disk has changed.
func Open(path string, o *Options) (*DB, error) {
	opt, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s, err := pager.Open(path, pager.Options{FS: opt.FS, PageSize: opt.PageSize, MustExist: opt.MustExist,
		ReadOnly: opt.ReadOnly, Immutable: opt.Immutable, TxBytes: opt.TxBytes, PoolBytes: opt.PoolBytes,
		Limits: wal.Limits{LogBytes: opt.MaxLogSize, WriterHold: opt.MaxWriterHold, ReaderGrace: opt.ReaderGrace, SideBytes: opt.MaxSideBytes}})
	if err != nil {
		return nil, fmt.Errorf("walnut: %w", err)
	}
	db := &DB{store: s, opt: opt}
	db.watch()
	return db, nil
}

// Close closes the DB. The last one of a file in the process copies the log
// into the database file and removes it. It is refused with ErrTxOpen while
// transactions are open. After any other error the DB is closed, and the next
// Open recovers what the log still has. Closing again does nothing.
func (db *DB) Close() error {
	if !db.closed.CompareAndSwap(false, true) {
		return nil
	}
	err := db.store.Close()
	if errors.Is(err, ErrTxOpen) {
		db.closed.Store(false)
		return err
	}
	db.unwatch()
	return err
}

// ErrClosed refuses the use of a DB that was closed.
var ErrClosed = errors.New("database is closed")

// Path is the database's absolute path, without symbolic links.
func (db *DB) Path() string { return db.store.Path() }

// PageSize is the size of a page in bytes.
func (db *DB) PageSize() int { return db.store.PageSize() }

// viewTx is what View hands out, kept for the next.
type viewTx struct {
	tx Tx
	p  pager.Tx
}

var viewTxs = sync.Pool{New: func() any { return new(viewTx) }}

// View calls fn with a read transaction on the newest published state, and ends
// it. fn must not keep the Tx: it is used again.
func (db *DB) View(ctx context.Context, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if db.closed.Load() {
		return ErrClosed
	}
	v := viewTxs.Get().(*viewTx)
	who := coord.Who{Label: coord.LabelOf(ctx)}
	var began coord.Moment
	if who.Label != "" {
		began = coord.Now() // which costs as much as all the rest
	}
	db.store.BeginReadInto(&v.p, who, began)
	v.tx = Tx{db: db, p: &v.p, opt: TxOptions{ReadOnly: true}}
	defer func() {
		v.p.End()
		viewTxs.Put(v)
	}()
	return fn(&v.tx)
}

// Update calls fn with a write transaction, and commits it if fn returns nil.
// An error, or a panic, of fn rolls it back.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	tx, err := db.Begin(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a panic
	if err := fn(tx); err != nil {
		return tx.rollbackAfter(err)
	}
	return tx.Commit(ctx)
}

// Begin begins a transaction, which must end by Commit or Rollback. A write
// transaction waits for its turn, first come, first served, until ctx ends or
// Options.BusyTimeout has passed; then the error matches ErrBusy or ctx's.
func (db *DB) Begin(ctx context.Context, o *TxOptions) (*Tx, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if db.closed.Load() {
		return nil, ErrClosed
	}
	tx := &Tx{db: db}
	if o != nil {
		tx.opt = *o
	}
	if tx.opt.ReadOnly || tx.opt.Deferred {
		tx.p = db.store.BeginRead(coord.Who{Label: coord.LabelOf(ctx)})
		return tx, nil
	}
	if db.opt.ReadOnly {
		return nil, ErrReadOnly
	}
	req, err := db.store.RequestWrite(coord.Who{Label: coord.LabelOf(ctx)}, tx.autoActions())
	if err != nil {
		return nil, err
	}
	tx.p, err = db.wait(ctx, req)
	if err != nil {
		return nil, err
	}
	return tx, nil
}

// errTimeout is the cause of a wait that ended by the busy timeout.
var errTimeout = errors.New("busy timeout")

// wait waits for the writer's place.
func (db *DB) wait(ctx context.Context, req *pager.WriteRequest) (*pager.Tx, error) {
	if req.Answer() != nil {
		if err := db.queue(ctx, req); err != nil {
			return nil, err
		}
	}
	tx, err := req.Begin(ctx)
	if err == nil && ctx.Err() != nil { // it may have been held, and was let go
		if err = tx.Rollback(false); err == nil {
			err = ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	return tx, nil
}

// queue waits in the queue, at most for the busy timeout.
func (db *DB) queue(ctx context.Context, req *pager.WriteRequest) error {
	if db.opt.BusyTimeout < 0 {
		req.Cancel()
		return fmt.Errorf("%w: another write transaction is open", ErrBusy)
	}
	limited, cancel := context.WithTimeoutCause(ctx, db.opt.BusyTimeout, errTimeout)
	defer cancel()
	err := req.Granted(limited)
	if err != nil && ctx.Err() == nil && context.Cause(limited) == errTimeout {
		return fmt.Errorf("%w: waited %s for another write transaction", ErrBusy, db.opt.BusyTimeout)
	}
	return err
}

// Checkpoint copies frames from the log into the database file, as mode says.
// All modes but CheckpointPassive wait for the writer and for readers until ctx
// ends, or CheckpointOptions.Wait or else Options.BusyTimeout has passed; then the
// result is Busy and says for whom it waited. One that waited for the writer has
// copied what CheckpointPassive would, unless it was ctx that ended. The error is
// nil, unless ctx was cancelled.
func (db *DB) Checkpoint(ctx context.Context, mode CheckpointMode, o *CheckpointOptions) (CheckpointResult, error) {
	if db.closed.Load() {
		return CheckpointResult{Mode: mode}, ErrClosed
	}
	if mode > CheckpointTruncate {
		return CheckpointResult{Mode: mode}, fmt.Errorf("walnut: %s is no checkpoint mode", mode)
	}
	if db.opt.ReadOnly {
		return CheckpointResult{Mode: mode}, ErrReadOnly
	}
	var opt CheckpointOptions
	if o != nil {
		opt = *o
	}
	if opt.Wait == 0 {
		opt.Wait = max(db.opt.BusyTimeout, time.Millisecond)
	}
	return db.store.Log().Checkpoint(ctx, mode, opt)
}

// Tx is a transaction on pages. It is used by one goroutine at a time.
type Tx struct {
	db  *DB
	p   *pager.Tx
	opt TxOptions
}

// PageSize is the size of a page in bytes.
func (tx *Tx) PageSize() int { return tx.p.PageSize() }

// PageCount is the database size in pages, as this transaction has it.
func (tx *Tx) PageCount() uint32 { return tx.p.PageCount() }

// Page returns page n for reading; it must not be changed. It fails with
// ErrPageRange for a page that the database has not got, and with ErrCorrupt
// for one that is damaged in the log.
func (tx *Tx) Page(n PageNo) ([]byte, error) { return tx.p.Page(n) }

// Write returns page n for changing it, private to the transaction until it
// commits; the database grows to n pages if it has fewer, and the pages
// between are zero. The slice may be changed until the transaction ends; it must
// be asked for again after a Savepoint. A transaction of more than
// Options.TxBytes writes its pages to the log as it goes: there, what is put into
// a slice after the next Write has been called is lost.
//
// Page 1 begins with SQLite's 100-byte database header: change only what lies
// behind it. The engine keeps the header's page count, change counter and
// version bytes.
func (tx *Tx) Write(n PageNo) ([]byte, error) {
	if err := tx.writing(); err != nil {
		return nil, err
	}
	return tx.p.Write(n)
}

// writing makes a deferred transaction a writing one.
func (tx *Tx) writing() error {
	if tx.p.Writing() || !tx.opt.Deferred || tx.opt.ReadOnly || tx.db.opt.ReadOnly {
		return nil
	}
	req, err := tx.p.RequestUpgrade(tx.autoActions())
	if err != nil {
		return err
	}
	_, err = tx.db.wait(context.Background(), req)
	return err
}

// autoActions is what the transaction must leave to others.
func (tx *Tx) autoActions() wal.AutoActions {
	return wal.AutoActions{
		NoRestart:    tx.opt.NoAutoRestart || tx.db.opt.NoAutoRestart,
		NoCheckpoint: tx.opt.NoAutoCheckpoint || tx.db.opt.AutoCheckpoint < 0,
	}
}

// SetPageCount makes the database n pages long, at least 1. Pages cut off are
// gone; pages added are zero.
func (tx *Tx) SetPageCount(n uint32) error {
	if err := tx.writing(); err != nil {
		return err
	}
	return tx.p.SetPageCount(n)
}

// Savepoint sets a savepoint inside those there are, and returns its depth,
// from 1.
func (tx *Tx) Savepoint() (int, error) {
	if err := tx.writing(); err != nil {
		return 0, err
	}
	return tx.p.Savepoint()
}

// RollbackTo undoes everything since the savepoint of that depth was set. It
// stays; those inside it are gone. Slices from Write must be asked for again.
func (tx *Tx) RollbackTo(depth int) error { return tx.p.RollbackTo(depth) }

// Release forgets the savepoint of that depth and those inside it. Their
// changes stay.
func (tx *Tx) Release(depth int) error { return tx.p.Release(depth) }

// Commit ends the transaction and makes its changes durable, as its sync level
// says, and visible to those who begin after it returned. A context that has
// ended rolls it back; one that ends later, while the commit waits for another
// one's sync, only ends the wait: the error matches ErrCommitUnknown and ctx's,
// and the commit goes on. Any other error means that nothing was committed.
func (tx *Tx) Commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return tx.rollbackAfter(err)
	}
	level := tx.db.opt.Sync
	if tx.opt.Sync != nil {
		level = *tx.opt.Sync
	}
	auto := tx.db.opt.AutoCheckpoint
	if tx.opt.NoAutoCheckpoint {
		auto = 0
	}
	return tx.p.Commit(ctx, pager.CommitOptions{CommitOptions: wal.CommitOptions{Level: level, AutoCheckpoint: auto}})
}

// Rollback ends the transaction and drops its changes. After Commit or Rollback
// it does nothing. It returns after the state that the transaction read is
// published; an error says that this failed, or that what the transaction had
// spilled to the log could not be removed: then the log refuses writes
// (ErrLogFailed).
func (tx *Tx) Rollback() error {
	if err := tx.p.Rollback(false); err != nil && !errors.Is(err, ErrTxDone) {
		return err
	}
	return nil
}

// rollbackAfter rolls back because of err, and adds what went wrong with that.
func (tx *Tx) rollbackAfter(err error) error {
	if rerr := tx.Rollback(); rerr != nil {
		return errors.Join(err, rerr)
	}
	return err
}
