// Tests of contexts, and of connections that end or break.

package driver

import (
	"bytes"
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/walnutdb/walnut/internal/walformat"
)

// endless runs until it is interrupted, and tells that it runs: see gate.
const endless = `WITH RECURSIVE c(x) AS (SELECT gate() UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c`

func wantInterrupt(t *testing.T, err, cause error) {
	t.Helper()
	if !errors.Is(err, sqlite3.INTERRUPT) || !errors.Is(err, cause) {
		t.Errorf("error %v is not INTERRUPT and %v", err, cause)
	}
	wantError(t, err, "interrupted", cause.Error())
}

func TestCancelQuery(t *testing.T) {
	entered := make(chan struct{})
	db := openDB(t, "", gate(entered))
	db.SetMaxOpenConns(1)
	s, err := db.Prepare(endless)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	runs := map[string]func(context.Context) error{
		"query": func(ctx context.Context) error { _, err := db.QueryContext(ctx, endless); return err },
		"exec":  func(ctx context.Context) error { _, err := db.ExecContext(ctx, endless); return err },
		"stmt":  func(ctx context.Context) error { _, err := s.QueryContext(ctx); return err },
		"stmt exec": func(ctx context.Context) error {
			_, err := s.ExecContext(ctx)
			return err
		},
	}
	for name, run := range runs {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- run(ctx) }()
			<-entered
			cancel()
			wantInterrupt(t, <-done, context.Canceled)
			want(t, "the connection afterwards", get[int](t, db, "SELECT 1"), 1)
		})
	}
}

func TestCancelCause(t *testing.T) {
	entered := make(chan struct{})
	db := openDB(t, "", gate(entered))
	reason := errors.New("the user left")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error)
	go func() { _, err := db.QueryContext(ctx, endless); done <- err }()
	<-entered
	cancel(reason)
	err := <-done
	wantInterrupt(t, err, reason)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Rows are interrupted between their first and a later one.
func TestCancelNext(t *testing.T) {
	db := openDB(t, "")
	rawConn(t, oneConn(t, db), func(c *conn) {
		ctx, cancel := context.WithCancel(context.Background())
		rows, err := c.QueryContext(ctx, "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3", nil)
		if err != nil {
			t.Fatal(err)
		}
		dest := make([]sqldriver.Value, 1)
		if err := rows.Next(dest); err != nil {
			t.Fatal(err)
		}
		cancel()
		wantInterrupt(t, rows.Next(dest), context.Canceled)
		if err := rows.Close(); err != nil {
			t.Errorf("close repeats the error: %v", err)
		}
		if err := c.Ping(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// countdown is a context that ends at the n-th look at it: a wait for a lock
// polls it, so the wait is cancelled without a clock.
type countdown struct {
	context.Context
	cancel context.CancelFunc
	left   atomic.Int32
}

func newCountdown(n int32) *countdown {
	c := new(countdown)
	c.Context, c.cancel = context.WithCancel(context.Background())
	c.left.Store(n)
	return c
}

func (c *countdown) Err() error {
	if c.left.Add(-1) < 0 {
		c.cancel()
	}
	return c.Context.Err()
}

func TestCancelBegin(t *testing.T) {
	db := openDB(t, "_txlock=immediate")
	mustExec(t, db, "CREATE TABLE t(x)")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	other := oneConn(t, db)
	rawConn(t, other, func(c *conn) {
		_, err := c.BeginTx(newCountdown(10), sqldriver.TxOptions{})
		wantInterrupt(t, err, context.Canceled)
		wantError(t, err, "waiting for a lock")
		_, err = c.ExecContext(newCountdown(10), "INSERT INTO t VALUES (1)", nil)
		wantInterrupt(t, err, context.Canceled)
	})
	// Without waiting it is plainly BUSY.
	mustExec(t, other, "PRAGMA busy_timeout=0")
	_, err = other.BeginTx(context.Background(), nil)
	if !errors.Is(err, sqlite3.BUSY) || errors.Is(err, sqlite3.INTERRUPT) {
		t.Errorf("begin: %v", err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	mustExec(t, other, "INSERT INTO t VALUES (1)")
}

func TestRollbackAfterCancel(t *testing.T) {
	entered := make(chan struct{})
	db := openDB(t, "_txlock=immediate", gate(entered))
	mustExec(t, db, "CREATE TABLE t(x)")
	ctx, cancel := context.WithCancel(t.Context())
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, tx, "INSERT INTO t VALUES (1)")
	done := make(chan error)
	go func() { _, err := tx.ExecContext(ctx, "INSERT INTO t "+endless); done <- err }()
	<-entered
	cancel()
	wantInterrupt(t, <-done, context.Canceled)
	if err := tx.Commit(); err == nil {
		t.Error("committed")
	}
	// The writer's place is free, nothing was written.
	mustExec(t, db, "INSERT INTO t VALUES (2)")
	want(t, "rows", get[string](t, db, "SELECT group_concat(x) FROM t"), "2")
}

func TestRowsClosedEarly(t *testing.T) {
	db := openDB(t, "_pragma=busy_timeout(0)")
	db.SetMaxOpenConns(1)
	mustExec(t, db, "CREATE TABLE t(x); INSERT INTO t VALUES (1), (2), (3)")
	for range 3 {
		rows, err := db.Query("SELECT x FROM t")
		if err != nil {
			t.Fatal(err)
		}
		rows.Next()
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
		// An open reader would stop these.
		mustExec(t, db, "DROP TABLE t; CREATE TABLE t(x); INSERT INTO t VALUES (1), (2), (3)")
	}
	rows, err := db.Query("SELECT x FROM t WHERE x = 1")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
	}
	if rows.Next() || rows.Err() != nil {
		t.Error("a row after the last", rows.Err())
	}
}

func TestNextAfterTheEnd(t *testing.T) {
	db := openDB(t, "")
	rawConn(t, oneConn(t, db), func(c *conn) {
		rows, err := c.QueryContext(context.Background(), "SELECT 1", nil)
		if err != nil {
			t.Fatal(err)
		}
		dest := make([]sqldriver.Value, 1)
		for i, w := range []error{nil, io.EOF, io.EOF} {
			if err := rows.Next(dest); err != w {
				t.Errorf("next %d: %v", i, err)
			}
		}
		rows.Close()
		if err := rows.Next(dest); err != io.EOF {
			t.Errorf("next after close: %v", err)
		}
	})
}

func TestUseAfterClose(t *testing.T) {
	n, err := NewConnector(filepath.Join(t.TempDir(), "a.db"))
	if err != nil {
		t.Fatal(err)
	}
	dc, err := n.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := dc.(*conn)
	ctx := context.Background()
	stmt, err1 := c.PrepareContext(ctx, "SELECT 1")
	rows, err2 := c.QueryContext(ctx, "SELECT 1 UNION ALL SELECT 2", nil)
	tx, err3 := c.BeginTx(ctx, sqldriver.TxOptions{})
	if err := errors.Join(err1, err2, err3, c.Close(), n.Close()); err != nil {
		t.Fatal(err)
	}
	bad := map[string]error{
		"ping":     c.Ping(ctx),
		"reset":    c.ResetSession(ctx),
		"next":     rows.Next(make([]sqldriver.Value, 1)),
		"commit":   tx.Commit(),
		"rollback": tx.Rollback(),
	}
	_, bad["exec"] = c.ExecContext(ctx, "SELECT 1", nil)
	_, bad["query"] = c.QueryContext(ctx, "SELECT 1", nil)
	_, bad["prepare"] = c.PrepareContext(ctx, "SELECT 1")
	_, bad["begin"] = c.BeginTx(ctx, sqldriver.TxOptions{})
	_, bad["stmt"] = stmt.(sqldriver.StmtQueryContext).QueryContext(ctx, nil)
	_, bad["stmt exec"] = stmt.(sqldriver.StmtExecContext).ExecContext(ctx, nil)
	for what, err := range bad {
		if !errors.Is(err, sqldriver.ErrBadConn) {
			t.Errorf("%s after close: %v", what, err)
		}
	}
	if c.IsValid() {
		t.Error("a closed connection is valid")
	}
	if err := errors.Join(rows.Close(), stmt.Close(), c.Close()); err != nil {
		t.Error(err)
	}
}

func TestCloseWithBlobOpen(t *testing.T) {
	n, err := NewConnector(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	dc, err := n.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := dc.(*conn)
	if err := c.db.Exec("CREATE TABLE t(x); INSERT INTO t VALUES (x'00')"); err != nil {
		t.Fatal(err)
	}
	db := c.db
	blob, err := db.OpenBlob("main", "t", "x", 1, false)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, c.Close(), "Blob")
	if err := errors.Join(blob.Close(), db.Close()); err != nil {
		t.Error(err)
	}
}

func TestOutOfMemory(t *testing.T) {
	db := openDB(t, "", WithMaxMemory(2<<20))
	db.SetMaxOpenConns(1)
	mustExec(t, db, "CREATE TABLE t(x); INSERT INTO t VALUES (1)")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, tx, "UPDATE t SET x = 2")
	if _, err = tx.Exec("INSERT INTO t VALUES (?)", make([]byte, 8<<20)); !errors.Is(err, sqlite3.NOMEM) {
		t.Fatalf("8 MiB in 2 MiB: %v", err)
	}
	wantError(t, err, "WithMaxMemory")
	if err := tx.Commit(); err == nil {
		t.Error("committed on a broken connection")
	}
	// The pool has dropped the connection, and its locks are gone.
	mustExec(t, db, "UPDATE t SET x = x + 10")
	want(t, "x", get[int](t, db, "SELECT x FROM t"), 11)

	var n int
	err = db.QueryRow("SELECT length(group_concat(printf('%1000d', value))) FROM (WITH RECURSIVE c(value) AS " +
		"(SELECT 1 UNION ALL SELECT value + 1 FROM c LIMIT 10000) SELECT value FROM c)").Scan(&n)
	if !errors.Is(err, sqlite3.NOMEM) {
		t.Errorf("SQLite's own allocation: %v", err)
	}
	want(t, "x", get[int](t, db, "SELECT x FROM t"), 11)
}

// A panic of the user's function is the user's; the connection is not reused.
func TestPanicInFunction(t *testing.T) {
	db := openDB(t, "", WithInit(func(c *sqlite3.Conn) error {
		return c.CreateFunction("boom", 0, 0, func(sqlite3.Context, ...sqlite3.Value) { panic("boom") })
	}))
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { want(t, "panic", recover(), any("boom")) }()
		_, _ = c.ExecContext(context.Background(), "SELECT boom()")
	}()
	rawConn(t, c, func(c *conn) {
		if c.IsValid() {
			t.Error("the connection is valid after a panic")
		}
	})
	c.Close()
	want(t, "another connection", get[int](t, db, "SELECT 1"), 1)
}

func TestRawLeftovers(t *testing.T) {
	db := openDB(t, "")
	db.SetMaxOpenConns(1)
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rawConn(t, c, func(c *conn) {
		ctx, cancel := context.WithCancel(context.Background())
		c.Raw().SetInterrupt(ctx)
		cancel()
	})
	c.Close()
	if err := db.Ping(); err != nil {
		t.Errorf("an interrupt that Raw left: %v", err)
	}
	// A statement that Raw left open does not stop Close.
	rawConn(t, oneConn(t, db), func(c *conn) {
		if _, _, err := c.Raw().Prepare("SELECT 1"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestErrorChain(t *testing.T) {
	db := openDB(t, "")
	_, err := db.Exec("SELEC 1")
	var e *sqlite3.Error
	if !errors.As(err, &e) || e.Code() != sqlite3.ERROR || e.SQL() != "SELEC 1" {
		t.Errorf("syntax error: %v", err)
	}
	system := errors.New("the disk is on fire")
	wrapped := wrapError(context.Background(), &sqliteLike{sqlite3.IOERR_WRITE, system})
	if !errors.Is(wrapped, system) || !errors.Is(wrapped, sqlite3.IOERR_WRITE) {
		t.Errorf("the engine's error is lost: %v", wrapped)
	}
	if err := wrapError(context.Background(), sql.ErrNoRows); err != sql.ErrNoRows {
		t.Error(err)
	}
}

// sqliteLike has the form of a *sqlite3.Error with an error of the VFS.
type sqliteLike struct {
	error
	sys error
}

func (e *sqliteLike) Unwrap() []error { return []error{e.error, e.sys} }

// The engine's error and SQLite's code are both there.
func TestEngineErrorInChain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(path, bytes.Repeat([]byte{1}, 512), 0o600); err != nil {
		t.Fatal(err)
	}
	db := openAt(t, path, "")
	err := db.Ping()
	if !errors.Is(err, walformat.ErrNotDatabase) || !errors.Is(err, sqlite3.CANTOPEN) {
		t.Errorf("ping: %v", err)
	}
	wantError(t, err, "walnut: cannot open "+path)
}

// A pool that keeps no idle connection does not close the engine each time; the
// last close leaves no log.
func TestEngineStaysOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	n, err := NewConnector(path)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(n)
	db.SetMaxIdleConns(-1)
	mustExec(t, db, "CREATE TABLE t(x)")
	want(t, "connections", db.Stats().OpenConnections, 0)
	if _, err := os.Stat(path + "-wal"); err != nil {
		t.Errorf("the log is gone with the last connection: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the log after the last close: %v", err)
	}
}

func TestAttach(t *testing.T) {
	dir := t.TempDir()
	db := openAt(t, filepath.Join(dir, "a.db"), "")
	c := oneConn(t, db)
	mustExec(t, c, "ATTACH ? AS b", filepath.Join(dir, "b.db"))
	mustExec(t, c, "CREATE TABLE b.t(x); INSERT INTO b.t VALUES (1)")
	want(t, "rows", get[int](t, c, "SELECT count(*) FROM b.t"), 1)
	mustExec(t, c, "DETACH b")
	if _, err := c.ExecContext(context.Background(), "INSERT INTO b.t VALUES (1)"); err == nil {
		t.Error("a kept statement wrote to the detached database")
	}
}
