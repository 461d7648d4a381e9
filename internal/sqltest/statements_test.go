// Transactions, savepoints and cursors: what a statement does to the snapshot
// of the statements that are open beside it on the same connection.

package sqltest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	sqlite "github.com/ncruces/go-sqlite3"
)

// sound checks a database with SQLite's own check and, frozen, with C SQLite's.
func sound(t testing.TB, db execer, path string) {
	t.Helper()
	wantQuery(t, db, "PRAGMA integrity_check", "ok")
	want(t, "integrity_check in C SQLite", sqlite3(t, freeze(t, path), "PRAGMA integrity_check;"), "ok")
}

func TestTransactionKinds(t *testing.T) {
	path := newFile(t)
	db := open(t, path, "")
	c := conn(t, db)
	exec1(t, c, "CREATE TABLE t(x)")
	for i, begin := range []string{"BEGIN", "BEGIN DEFERRED", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"} {
		exec1(t, c, begin)
		exec1(t, c, "INSERT INTO t VALUES(1)")
		wantQuery(t, c, "SELECT count(*) FROM t", fmt.Sprint(i+1))
		// Others read on, also beside EXCLUSIVE, and see nothing of it.
		wantQuery(t, db, "SELECT count(*) FROM t", fmt.Sprint(i))
		exec1(t, c, "COMMIT")
		wantQuery(t, db, "SELECT count(*) FROM t", fmt.Sprint(i+1))
		exec1(t, c, begin)
		exec1(t, c, "DELETE FROM t")
		exec1(t, c, "ROLLBACK")
		wantQuery(t, c, "SELECT count(*) FROM t", fmt.Sprint(i+1))
	}
	sound(t, c, path)
}

func TestSavepoints(t *testing.T) {
	path := newFile(t)
	c := conn(t, open(t, path, "_pragma=cache_size(3)"))
	exec1(t, c, "CREATE TABLE t(x, pad)")
	exec1(t, c, "SAVEPOINT outermost; INSERT INTO t VALUES(1, zeroblob(20000)); SAVEPOINT a; INSERT INTO t VALUES(2, zeroblob(20000))")
	exec1(t, c, "SAVEPOINT b; INSERT INTO t VALUES(3, zeroblob(20000)); UPDATE t SET pad = zeroblob(9000); ROLLBACK TO b")
	wantQuery(t, c, "SELECT group_concat(x), sum(length(pad)) FROM t", "1,2|40000")
	exec1(t, c, "RELEASE a; INSERT INTO t VALUES(4, ''); ROLLBACK TO outermost")
	wantQuery(t, c, "SELECT count(*) FROM t", "0")
	exec1(t, c, "INSERT INTO t VALUES(5, zeroblob(30000)); RELEASE outermost")
	wantQuery(t, c, "SELECT group_concat(x) FROM t", "5")
	sound(t, c, path)
}

// TestStatementRollback: a constraint that fails on the last of 220 large rows
// takes back that statement and nothing else. Turso's tree broke here.
func TestStatementRollback(t *testing.T) {
	for _, cache := range []string{"", "_pragma=cache_size(4)"} {
		path := newFile(t)
		c := conn(t, open(t, path, cache))
		exec1(t, c, "CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE, pad)")
		exec1(t, c, "INSERT INTO t VALUES(1000, 220, 'here first')")
		insert := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 220) INSERT INTO t SELECT i, i, zeroblob(3000) FROM n"
		_, err := c.ExecContext(ctx, insert)
		wantErr(t, err, sqlite.CONSTRAINT_UNIQUE, "")
		wantQuery(t, c, "SELECT count(*) FROM t", "1")

		exec1(t, c, "BEGIN; INSERT INTO t VALUES(1001, 'kept', zeroblob(5000))")
		_, err = c.ExecContext(ctx, insert)
		wantErr(t, err, sqlite.CONSTRAINT, "")
		exec1(t, c, "INSERT INTO t VALUES(1002, 'kept too', ''); COMMIT")
		wantQuery(t, c, "SELECT group_concat(id) FROM t", "1000,1001,1002")
		sound(t, c, path)
	}
}

// TestSpillAndRollback: pages that SQLite wrote before its commit are gone after
// a rollback, and nobody else saw them.
func TestSpillAndRollback(t *testing.T) {
	path := newFile(t)
	db := open(t, path, "_pragma=cache_size(2)")
	c := conn(t, db)
	exec1(t, c, "CREATE TABLE t(id INTEGER PRIMARY KEY, pad); INSERT INTO t VALUES(1, zeroblob(100))")
	for range 3 {
		exec1(t, c, "BEGIN; UPDATE t SET pad = zeroblob(50)")
		exec1(t, c, "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i+1 FROM n LIMIT 300) INSERT INTO t SELECT i, zeroblob(2000) FROM n")
		wantQuery(t, db, "SELECT count(*), sum(length(pad)) FROM t", "1|100")
		exec1(t, c, "ROLLBACK")
		wantQuery(t, c, "SELECT count(*), sum(length(pad)) FROM t", "1|100")
	}
	exec1(t, c, "INSERT INTO t VALUES(2, 'after')")
	wantQuery(t, db, "SELECT count(*) FROM t", "2")
	sound(t, c, path)
}

// step reads the next row of an open SELECT of integers.
func step(t testing.TB, rows *sql.Rows) int {
	t.Helper()
	if !rows.Next() {
		t.Fatalf("no row: %v", rows.Err())
	}
	var n int
	if err := rows.Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// openCursor has a table of 500 large rows and a SELECT that stands on its
// first.
func openCursor(t testing.TB, c *sql.Conn, begin string) *sql.Rows {
	t.Helper()
	exec1(t, c, "CREATE TABLE t(id INTEGER PRIMARY KEY, pad); CREATE TABLE log(x)")
	exec1(t, c, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 500) INSERT INTO t SELECT i, zeroblob(1500) FROM n")
	if begin != "" {
		exec1(t, c, begin)
	}
	rows, err := c.QueryContext(ctx, "SELECT id FROM t WHERE length(pad) = 1500 ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rows.Close() })
	if n := step(t, rows); n != 1 {
		t.Fatalf("first row %d", n)
	}
	return rows
}

// TestCursorOverAutocommits: a SELECT goes on through commits of its own
// connection, of others, and checkpoints that would like to restart the log.
func TestCursorOverAutocommits(t *testing.T) {
	path := newFile(t)
	db := open(t, path, "_pragma=cache_size(4)&_pragma=wal_autocheckpoint(5)")
	c := conn(t, db)
	rows := openCursor(t, c, "")
	other := conn(t, db)
	for i := 2; i <= 500; i++ {
		if n := step(t, rows); n != i {
			t.Fatalf("row %d came as %d", i, n)
		}
		switch {
		case i%3 == 0:
			exec1(t, c, "INSERT INTO log VALUES(?)", i)
		case i%50 == 1:
			// While the SELECT of this connection is open, its snapshot is
			// that of its own last commit: others do not get in its way.
			exec1(t, other, "INSERT INTO log VALUES(?)", -i)
			if _, err := c.ExecContext(ctx, "INSERT INTO log VALUES(0)"); !errors.Is(err, sqlite.BUSY_SNAPSHOT) {
				t.Fatalf("a write on a snapshot that is stale: %v", err)
			}
			return
		}
	}
}

func TestCursorOwnCommits(t *testing.T) {
	path := newFile(t)
	db := open(t, path, "_pragma=cache_size(4)&_pragma=wal_autocheckpoint(5)")
	c := conn(t, db)
	rows := openCursor(t, c, "")
	for i := 2; i <= 500; i++ {
		if n := step(t, rows); n != i {
			t.Fatalf("row %d came as %d", i, n)
		}
		switch i % 4 {
		case 0:
			exec1(t, c, "INSERT INTO log VALUES(?)", i)
		case 1:
			exec1(t, c, "BEGIN; INSERT INTO log VALUES(zeroblob(9000)); UPDATE t SET pad = zeroblob(1500) WHERE id = ?; COMMIT", i+1)
		case 2:
			exec1(t, c, "BEGIN; INSERT INTO log VALUES(zeroblob(30000)); SAVEPOINT s; INSERT INTO log VALUES(1); ROLLBACK TO s; COMMIT")
		}
	}
	if rows.Next() || rows.Err() != nil {
		t.Fatalf("after the last row: %v", rows.Err())
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	sound(t, c, path)
}

// TestCursorOverCommit: COMMIT with an open SELECT leaves it its snapshot.
func TestCursorOverCommit(t *testing.T) {
	path := newFile(t)
	db := open(t, path, "_pragma=cache_size(4)")
	c := conn(t, db)
	rows := openCursor(t, c, "BEGIN IMMEDIATE")
	exec1(t, c, "INSERT INTO log VALUES(1)")
	exec1(t, c, "COMMIT")
	exec1(t, db, "UPDATE t SET pad = 'another connection'")
	exec1(t, db, "PRAGMA wal_checkpoint(PASSIVE)")
	for i := 2; i <= 500; i++ {
		if n := step(t, rows); n != i {
			t.Fatalf("row %d came as %d", i, n)
		}
	}
	if rows.Next() || rows.Err() != nil {
		t.Fatalf("the end: %v", rows.Err())
	}
	_ = rows.Close()
	wantQuery(t, c, "SELECT count(*) FROM t WHERE pad = 'another connection'", "500")
	sound(t, c, path)
}

// TestCursorOverRollback: ROLLBACK with an open SELECT goes on, or ends it with
// an error if the schema changed; it never serves what was rolled back.
func TestCursorOverRollback(t *testing.T) {
	path := newFile(t)
	db := open(t, path, "_pragma=cache_size(4)")
	c := conn(t, db)
	rows := openCursor(t, c, "BEGIN IMMEDIATE")
	exec1(t, c, "UPDATE t SET id = id + 100000 WHERE id > 250")
	exec1(t, c, "ROLLBACK")
	exec1(t, db, "DELETE FROM t WHERE id > 400")
	for i := 2; rows.Next(); i++ {
		var n int
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != i {
			t.Fatalf("row %d came as %d", i, n)
		}
	}
	if err := rows.Err(); err != nil && !errors.Is(err, sqlite.ABORT) {
		t.Fatal(err)
	}
	_ = rows.Close()
	wantQuery(t, c, "SELECT count(*) FROM t", "400")
	sound(t, c, path)
}

func TestSchemaChanges(t *testing.T) {
	path := newFile(t)
	db := open(t, path, "")
	a, b := conn(t, db), conn(t, db)
	exec1(t, a, "CREATE TABLE t(x); INSERT INTO t VALUES(1)")
	wantQuery(t, b, "SELECT x FROM t", "1")
	exec1(t, a, "ALTER TABLE t ADD COLUMN y DEFAULT 7; CREATE INDEX i ON t(y); CREATE VIEW v AS SELECT y FROM t")
	wantQuery(t, b, "SELECT * FROM t", "1|7")
	wantQuery(t, b, "SELECT * FROM v", "7")
	exec1(t, b, "ALTER TABLE t RENAME TO u; ALTER TABLE u DROP COLUMN x")
	wantQuery(t, a, "SELECT * FROM u", "7")
	exec1(t, a, "DROP VIEW IF EXISTS v; DROP INDEX i; DROP TABLE u")
	_, err := lines(b, "SELECT * FROM u")
	wantErr(t, err, nil, "no such table")
	exec1(t, a, "BEGIN; CREATE TABLE w(x); INSERT INTO w VALUES(1); ROLLBACK")
	wantQuery(t, b, "SELECT count(*) FROM sqlite_master", "0")
	sound(t, a, path)
}

// TestStaleUpgrade: a deferred transaction that has read cannot write once
// another has committed; it is told so at once, and stays told.
func TestStaleUpgrade(t *testing.T) {
	db := open(t, newFile(t), "")
	a, b := conn(t, db), conn(t, db)
	exec1(t, a, "CREATE TABLE t(x); INSERT INTO t VALUES(1)")
	exec1(t, a, "BEGIN")
	wantQuery(t, a, "SELECT sum(x) FROM t", "1")
	exec1(t, b, "INSERT INTO t VALUES(2)")
	for range 2 {
		_, err := a.ExecContext(ctx, "INSERT INTO t VALUES(3)")
		wantErr(t, err, sqlite.BUSY_SNAPSHOT, "")
		wantQuery(t, a, "SELECT sum(x) FROM t", "1")
	}
	exec1(t, a, "ROLLBACK; BEGIN")
	wantQuery(t, a, "SELECT sum(x) FROM t", "3")
	exec1(t, a, "INSERT INTO t VALUES(3); COMMIT")
	wantQuery(t, b, "SELECT sum(x) FROM t", "6")
}

// TestBusyOrder: writers that wait get the place in the order in which they
// came, and a busy timeout of zero does not wait.
func TestBusyOrder(t *testing.T) {
	path := newFile(t)
	db := open(t, path, "")
	holder := conn(t, db)
	exec1(t, holder, "CREATE TABLE t(x); BEGIN IMMEDIATE")
	impatient := conn(t, open(t, path, "_busy_timeout=0"))
	_, err := impatient.ExecContext(ctx, "INSERT INTO t VALUES(0)")
	wantErr(t, err, sqlite.BUSY, "")

	engine := engineOf(t, path)
	done := make(chan error, 5)
	for i := range 5 {
		c := conn(t, db)
		go func() {
			_, err := c.ExecContext(ctx, "INSERT INTO t VALUES(?)", i)
			done <- err
		}()
		waitUntil(t, func() bool { return engine.Stats().QueuedWriters == i+1 })
	}
	exec1(t, holder, "COMMIT")
	for range 5 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	wantQuery(t, db, "SELECT group_concat(x) FROM t", "0,1,2,3,4")
}

// TestCancel: a context ends a wait for the writer and a running query, with an
// error that is both SQLite's and the context's.
func TestCancel(t *testing.T) {
	path := newFile(t)
	db := open(t, path, "")
	holder := conn(t, db)
	exec1(t, holder, "CREATE TABLE t(x); BEGIN IMMEDIATE")
	engine := engineOf(t, path)

	cancelled, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	c := conn(t, db)
	go func() {
		_, err := c.ExecContext(cancelled, "INSERT INTO t VALUES(1)")
		done <- err
	}()
	waitUntil(t, func() bool { return engine.Stats().QueuedWriters == 1 })
	cancel()
	err := <-done
	wantErr(t, err, context.Canceled, "")
	wantErr(t, err, sqlite.INTERRUPT, "")
	if n := engine.Stats().QueuedWriters; n != 0 {
		t.Fatalf("%d still in the queue", n)
	}

	expired, cancel2 := context.WithTimeout(ctx, 1)
	defer cancel2()
	_, err = c.ExecContext(expired, "INSERT INTO t VALUES(1)")
	wantErr(t, err, context.DeadlineExceeded, "")
	short, cancel3 := context.WithTimeout(ctx, 20e6)
	defer cancel3()
	_, err = lines(ctxExecer{c, short}, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n")
	wantErr(t, err, context.DeadlineExceeded, "")

	exec1(t, holder, "COMMIT")
	exec1(t, c, "INSERT INTO t VALUES(2)")
	wantQuery(t, db, "SELECT group_concat(x) FROM t", "2")
}

// ctxExecer replaces the context of its calls.
type ctxExecer struct {
	*sql.Conn
	ctx context.Context
}

func (e ctxExecer) QueryContext(_ context.Context, q string, args ...any) (*sql.Rows, error) {
	return e.Conn.QueryContext(e.ctx, q, args...)
}

// TestNonsense: statements that make no sense are errors.
func TestNonsense(t *testing.T) {
	c := conn(t, open(t, newFile(t), ""))
	for _, s := range []string{"COMMIT", "ROLLBACK", "RELEASE x", "ROLLBACK TO x", "BEGIN; BEGIN", "PRAGMA wal_checkpoint(SIDEWAYS)", "ATTACH '/nonexistent/dir/x.db' AS x"} {
		if _, err := c.ExecContext(ctx, s); err == nil || strings.TrimSpace(err.Error()) == "" {
			t.Errorf("%s: %v", s, err)
		}
	}
}
