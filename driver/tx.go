// This file is transactions. What runs between BEGIN IMMEDIATE and COMMIT runs
// while other writers wait, so BEGIN, COMMIT and ROLLBACK are prepared once.

package driver

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"github.com/walnutdb/walnut/internal/sqlitevfs"
)

// The statements that a connection keeps for itself. The first three are in
// the order of txLock.
const (
	stmtBegin = iota
	stmtBeginImmediate
	stmtBeginExclusive
	stmtCommit
	stmtRollback
	fixedCount
)

var fixedSQL = [fixedCount]string{
	"BEGIN DEFERRED", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE", "COMMIT", "ROLLBACK",
}

// runFixed runs one of the connection's own statements. A compiled BEGIN
// IMMEDIATE locks the databases that were there when it was compiled, and SQLite
// does not compile it again when another one is attached.
func (c *conn) runFixed(which int) error {
	if which <= stmtBeginExclusive && sqlitevfs.Attached(c.db) {
		return c.db.Exec(fixedSQL[which])
	}
	s := c.fixed[which]
	if s == nil {
		var err error
		s, _, err = c.db.PrepareFlags(fixedSQL[which], sqlite3.PREPARE_PERSISTENT)
		if err != nil {
			return err
		}
		c.fixed[which] = s
	}
	return s.Exec()
}

// tx is the connection's transaction; there is at most one.
type tx struct {
	c        *conn
	readOnly bool // we turned query_only on, and must turn it off
}

// Begin is the form without a context, which database/sql does not use.
func (c *conn) Begin() (sqldriver.Tx, error) {
	return c.BeginTx(context.Background(), sqldriver.TxOptions{})
}

// BeginTx begins a transaction; the package comment has the isolation levels.
func (c *conn) BeginTx(ctx context.Context, opts sqldriver.TxOptions) (_ sqldriver.Tx, err error) {
	lock, err := c.lockFor(opts)
	if err != nil {
		return nil, err
	}
	old, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer c.leave(old, &err)
	if err := c.runFixed(stmtBegin + int(lock)); err != nil {
		return nil, err
	}
	if opts.ReadOnly {
		if err := c.tx.setReadOnly(); err != nil {
			return nil, errors.Join(err, c.tx.rollback())
		}
	}
	return &c.tx, nil
}

func (c *conn) lockFor(opts sqldriver.TxOptions) (txLock, error) {
	lock := lockDeferred
	switch level := sql.IsolationLevel(opts.Isolation); level {
	case sql.LevelDefault:
		lock = c.txLock
	case sql.LevelReadUncommitted, sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSnapshot:
	case sql.LevelSerializable:
		lock = lockImmediate
	case sql.LevelLinearizable:
		lock = lockExclusive
	default:
		return 0, fmt.Errorf("walnut: isolation level %v is not supported: use Default, Snapshot or a weaker level,"+
			" Serializable (BEGIN IMMEDIATE), or Linearizable (BEGIN EXCLUSIVE)", level)
	}
	if opts.ReadOnly {
		// A snapshot that is only read is serializable as it is; the
		// writer's place would be taken for nothing.
		lock = lockDeferred
	}
	return lock, nil
}

// setReadOnly turns query_only on, unless it is on already.
func (t *tx) setReadOnly() error {
	s, _, err := t.c.db.Prepare("PRAGMA query_only")
	if err != nil {
		return err
	}
	on := s.Step() && s.ColumnBool(0)
	if err := errors.Join(s.Err(), s.Close()); err != nil || on {
		return err
	}
	// Set before it is done: an error leaves open whether it is.
	t.readOnly = true
	return t.c.db.Exec("PRAGMA query_only=ON")
}

// Commit commits. It has no context to be cancelled by: an interrupted COMMIT
// would leave the caller not knowing whether it happened.
func (t *tx) Commit() (err error) {
	c := t.c
	old, err := c.enter(context.Background())
	if err != nil {
		return err
	}
	defer c.leave(old, &err)
	if c.db.GetAutocommit() {
		return errors.Join(errTxGone, t.finish())
	}
	if err := c.runFixed(stmtCommit); err != nil {
		// For database/sql the transaction is over. BUSY, for one, leaves
		// it open in SQLite.
		return errors.Join(err, t.rollback())
	}
	return t.finish()
}

// Rollback rolls back, whatever became of the transaction's context.
func (t *tx) Rollback() (err error) {
	c := t.c
	old, err := c.enter(context.Background())
	if err != nil {
		return err
	}
	defer c.leave(old, &err)
	return t.rollback()
}

// rollback rolls back what is still open, under a context that is never done.
func (t *tx) rollback() error {
	c := t.c
	defer c.db.SetInterrupt(c.db.SetInterrupt(context.Background()))
	var err error
	if !c.db.GetAutocommit() { // else SQLite did it, after an error
		err = c.runFixed(stmtRollback)
		c.broken = c.broken || !c.db.GetAutocommit()
	}
	return errors.Join(err, t.finish())
}

// finish makes the connection writable again after a read-only transaction.
func (t *tx) finish() error {
	if !t.readOnly {
		return nil
	}
	if err := t.c.db.Exec("PRAGMA query_only=OFF"); err != nil {
		t.c.broken = true
		return err
	}
	t.readOnly = false
	return nil
}
