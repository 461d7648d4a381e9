// This file is the connection: entering and leaving SQLite, and its life in
// database/sql's pool.

package driver

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// Conn is what [database/sql.Conn.Raw] gets from this driver. It leads to
// SQLite's own interface, for incremental BLOB I/O, functions, hooks, backup:
//
//	err = conn.Raw(func(c any) error {
//		return c.(driver.Conn).Raw().Backup("main", "file:copy.db")
//	})
//
// That backup is an ordinary SQLite file (its name may carry vfs=walnut to be
// written through Walnut); it is a snapshot, taken while others write. Restore
// copies the other way; [sqlite3.Conn.BackupInit] goes in steps.
//
// Leave the connection as you found it, and do not close it. An open
// transaction is rolled back when the connection returns to the pool; other
// settings, such as pragmas, stay.
type Conn interface {
	sqldriver.Conn

	// Raw returns SQLite's connection. It is valid until the function given
	// to [database/sql.Conn.Raw] returns.
	Raw() *sqlite3.Conn
}

// conn is one connection. database/sql lets one goroutine in at a time.
type conn struct {
	db      *sqlite3.Conn // nil: never opened, or closed
	broken  bool          // a panic passed through SQLite, or a rollback failed: unusable
	txLock  txLock
	times   timeFormat
	tx      tx
	fixed   [fixedCount]*sqlite3.Stmt // prepared when first used
	cache   stmtCache
	keeper  *keeper
	onClose func() error // may be nil
}

var (
	_ Conn                         = (*conn)(nil)
	_ sqldriver.ConnBeginTx        = (*conn)(nil)
	_ sqldriver.ConnPrepareContext = (*conn)(nil)
	_ sqldriver.ExecerContext      = (*conn)(nil)
	_ sqldriver.QueryerContext     = (*conn)(nil)
	_ sqldriver.Pinger             = (*conn)(nil)
	_ sqldriver.SessionResetter    = (*conn)(nil)
	_ sqldriver.Validator          = (*conn)(nil)
	_ sqldriver.NamedValueChecker  = (*conn)(nil)
)

// Raw implements [Conn].
func (c *conn) Raw() *sqlite3.Conn {
	if c.usable() {
		c.keeper.Drop()
	}
	return c.db
}

func (c *conn) usable() bool { return c.db != nil && !c.broken }

// enter makes ctx the one that interrupts SQLite. Every entry into SQLite is
//
//	old, err := c.enter(ctx)
//	if err != nil { … }
//	defer c.leave(old, &err)
func (c *conn) enter(ctx context.Context) (old context.Context, err error) {
	if old, err = c.enterRead(ctx); err == nil {
		c.keeper.Drop()
	}
	return old, err
}

// enterRead is enter for what may turn out to be a plain read; if it does not,
// it must drop what the keeper keeps.
func (c *conn) enterRead(ctx context.Context) (old context.Context, err error) {
	if !c.usable() {
		return nil, sqldriver.ErrBadConn
	}
	return c.db.SetInterrupt(ctx), nil
}

// leave ends what enter began, and completes the error: see wrapError, rescue.
// It recovers itself, since only a deferred function can.
func (c *conn) leave(old context.Context, err *error) {
	if p := recover(); p != nil {
		c.fail(p, err)
	}
	if *err != nil {
		*err = wrapError(c.db.GetInterrupt(), *err)
	}
	c.db.SetInterrupt(old)
}

// rescue is the recovering half of leave, for calls outside enter and leave.
func (c *conn) rescue(err *error) {
	if p := recover(); p != nil {
		c.fail(p, err)
	}
}

// fail handles a panic that came through SQLite, after which the connection's
// state is unknown. The wrapper panics when memory runs out; that becomes an
// error, since a large transaction must not end the program. It is not
// ErrBadConn, which would have database/sql run the statement again. Every
// other panic (a bug, or one of the user's own functions) goes on.
func (c *conn) fail(p any, err *error) {
	c.broken = true
	e, ok := p.(error)
	if !ok || !strings.Contains(e.Error(), "out of memory") {
		panic(p)
	}
	*err = &memoryError{e}
}

// Ping reads the database's header, so it finds a file that is no database.
func (c *conn) Ping(ctx context.Context) (err error) {
	old, err := c.enter(ctx)
	if err != nil {
		return err
	}
	defer c.leave(old, &err)
	return c.db.Exec("PRAGMA schema_version")
}

// ResetSession is called before the pool gives the connection out again.
func (c *conn) ResetSession(context.Context) error {
	if !c.IsValid() {
		return sqldriver.ErrBadConn
	}
	return nil
}

// IsValid is called when the connection returns to the pool. A transaction that
// was begun by SQL and forgotten is rolled back here and not only at the next
// use: an idle connection that owns the writer's place would stop every writer.
func (c *conn) IsValid() bool {
	if !c.usable() {
		return false
	}
	c.db.SetInterrupt(context.Background())
	if !c.db.GetAutocommit() || c.tx.readOnly {
		_ = c.tx.Rollback() // marks the connection broken if it must
	}
	return !c.broken
}

// Close closes the connection, with all that was left open on it.
func (c *conn) Close() (err error) {
	defer func() {
		if f := c.onClose; f != nil {
			c.onClose = nil
			err = errors.Join(err, f())
		}
	}()
	if c.db == nil {
		return nil
	}
	db, broken := c.db, c.broken
	c.db = nil
	defer func() {
		// What broke the connection may well strike again.
		if p := recover(); p != nil {
			if !broken {
				c.fail(p, &err)
			}
			err = fmt.Errorf("walnut: closing a broken connection: %v", p)
		}
	}()
	return closeAll(db)
}

// closeAll closes SQLite's connection and its statements. SQLite refuses to
// close, and keeps its files and locks, while a statement is open.
func closeAll(db *sqlite3.Conn) error {
	db.SetInterrupt(context.Background())
	// Collected first, since closing changes the list.
	for _, s := range slices.Collect(db.Stmts()) {
		_ = s.Close() // repeats the error of its last step
	}
	if err := db.Close(); err != nil {
		return fmt.Errorf("walnut: the connection cannot be closed (is a Blob or a Backup of it still open?): %w", err)
	}
	return nil
}
