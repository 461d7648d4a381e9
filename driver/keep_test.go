// Tests of the snapshot that a connection keeps from one plain read to the
// next: nobody may notice it.

package driver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// lockOf returns the lock that SQLite believes to hold on the main database
// while nothing runs on the connection: SHARED if a snapshot is kept.
func lockOf(t testing.TB, c *sql.Conn) (lock vfs.LockLevel) {
	t.Helper()
	rawConn(t, c, func(c *conn) {
		v, err := c.db.FileControl("main", sqlite3.FCNTL_LOCKSTATE)
		if err != nil {
			t.Fatal(err)
		}
		lock = v.(vfs.LockLevel)
	})
	return lock
}

// keeping reads until a snapshot is kept.
func keeping(t testing.TB, c *sql.Conn) {
	t.Helper()
	for range 3 {
		get[int](t, c, "SELECT count(*) FROM t")
	}
	want(t, "lock between reads", lockOf(t, c), vfs.LOCK_SHARED)
}

func keepDB(t testing.TB, opts ...Option) (db *sql.DB, c *sql.Conn) {
	t.Helper()
	db = openDB(t, "", opts...)
	mustExec(t, db, "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t(v) VALUES(1)")
	return db, oneConn(t, db)
}

func TestKeptSnapshotSeesEveryCommit(t *testing.T) {
	db, c := keepDB(t)
	other := oneConn(t, db)
	for i := range 50 {
		if i%7 == 0 {
			keeping(t, c)
		}
		mustExec(t, other, "UPDATE t SET v = ?", i)
		want(t, "after another's commit", get[int](t, c, "SELECT v FROM t"), i)
		want(t, "again", get[int](t, c, "SELECT v FROM t"), i)
		mustExec(t, c, "UPDATE t SET v = -?", i)
		want(t, "after its own commit", get[int](t, c, "SELECT v FROM t"), -i)
		want(t, "for the other", get[int](t, other, "SELECT v FROM t"), -i)
	}
}

func TestKeptSnapshotSeesSchemaChanges(t *testing.T) {
	db, c := keepDB(t)
	keeping(t, c)
	mustExec(t, db, "ALTER TABLE t ADD COLUMN w DEFAULT 5")
	want(t, "new column", get[int](t, c, "SELECT w FROM t"), 5)
	keeping(t, c)
	mustExec(t, c, "CREATE TABLE u AS SELECT 7 AS x")
	want(t, "own new table", get[int](t, c, "SELECT x FROM u"), 7)
	keeping(t, c)
	mustExec(t, c, "DROP TABLE u")
	mustExec(t, db, "DROP TABLE t")
	if _, err := c.QueryContext(t.Context(), "SELECT count(*) FROM t"); err == nil {
		t.Error("a table that is gone was read")
	}
}

// An idle connection that keeps a snapshot holds nothing that a checkpoint, a
// restart or a close of the log would wait for.
func TestKeptSnapshotIsInNobodysWay(t *testing.T) {
	db, c := keepDB(t)
	other := oneConn(t, db)
	busy := func(c *sql.Conn, mode string) (busy int) {
		var log, copied int
		if err := c.QueryRowContext(t.Context(), "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &log, &copied); err != nil {
			t.Fatal(err)
		}
		return busy
	}
	for i := range 5 {
		keeping(t, c)
		mustExec(t, other, "UPDATE t SET v = ?", i)
		keeping(t, c)
		want(t, "a truncating checkpoint", busy(other, "TRUNCATE"), 0)
		want(t, "afterwards", get[int](t, c, "SELECT v FROM t"), i)
		keeping(t, c) // now in the database file
		mustExec(t, other, "UPDATE t SET v = 10 + ?", i)
		want(t, "its own checkpoint", busy(c, "FULL"), 0)
		want(t, "afterwards", get[int](t, c, "SELECT v FROM t"), 10+i)
	}
}

// With a second database attached nothing is kept: neither file's snapshot
// outlives the statement that read it.
func TestNothingIsKeptBesideAttached(t *testing.T) {
	_, c := keepDB(t)
	path := filepath.Join(t.TempDir(), "other.db")
	other := openAt(t, path, "_busy_timeout=0")
	mustExec(t, other, "CREATE TABLE u(x); INSERT INTO u VALUES(0)")
	mustExec(t, c, "CREATE TEMP TABLE w AS SELECT 8 AS x")
	for i := 1; i < 4; i++ {
		keeping(t, c)
		for range 4 {
			want(t, "a temporary table", get[int](t, c, "SELECT x FROM w"), 8)
		}
		want(t, "lock with a temporary table", lockOf(t, c), vfs.LOCK_SHARED)
		mustExec(t, c, "ATTACH ? AS b", path)
		for range 4 {
			get[int](t, c, "SELECT count(*) FROM t")
			want(t, "the attached table", get[int](t, c, "SELECT max(x) FROM b.u"), i-1)
			want(t, "lock of main", lockOf(t, c), vfs.LOCK_NONE)
		}
		mustExec(t, other, "INSERT INTO u VALUES(?)", i)
		var n [3]int
		if err := other.QueryRow("PRAGMA wal_checkpoint(TRUNCATE)").Scan(&n[0], &n[1], &n[2]); err != nil || n[0] != 0 {
			t.Errorf("a truncating checkpoint of the attached database: %d, %v", n, err)
		}
		want(t, "the attached table after a commit", get[int](t, c, "SELECT max(x) FROM b.u"), i)
		mustExec(t, c, "DETACH b")
	}
}

// A function that attaches a database in the middle of a kept read.
func TestAttachInsideKeptRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "other.db")
	other := openAt(t, path, "_busy_timeout=0")
	mustExec(t, other, "CREATE TABLE u(x); INSERT INTO u VALUES(0)")
	_, c := keepDB(t, WithInit(func(c *sqlite3.Conn) error {
		return c.CreateFunction("att", 1, 0, func(ctx sqlite3.Context, arg ...sqlite3.Value) {
			if err := c.Exec("ATTACH '" + arg[0].Text() + "' AS b"); err != nil {
				ctx.ResultError(err)
			}
		})
	}))
	keeping(t, c)
	get[sql.NullInt64](t, c, "SELECT att(?)", path)
	for i := range 3 {
		want(t, "the attached table", get[int](t, c, "SELECT max(x) FROM b.u"), i)
		mustExec(t, other, "INSERT INTO u VALUES(?)", i+1)
	}
	want(t, "lock of main", lockOf(t, c), vfs.LOCK_NONE)
}

// What is refused while a statement is open must not be refused because of the
// keeper's.
func TestKeptSnapshotIsDropped(t *testing.T) {
	db, c := keepDB(t)
	for _, sql := range []string{
		"VACUUM", "BEGIN; INSERT INTO t(v) VALUES(2); COMMIT", "BEGIN IMMEDIATE; ROLLBACK",
		"ATTACH ':memory:' AS a; CREATE TABLE a.u(x); DETACH a", "CREATE INDEX i ON t(v)", "DROP INDEX i",
		"REINDEX", "ANALYZE", "SAVEPOINT s; RELEASE s", "PRAGMA user_version=3", "PRAGMA journal_mode=WAL",
		"PRAGMA foreign_keys=OFF", "PRAGMA incremental_vacuum", "INSERT INTO t(v) VALUES(5) RETURNING v",
	} {
		keeping(t, c)
		mustExec(t, c, sql)
		want(t, "lock after "+sql, lockOf(t, c), vfs.LOCK_NONE)
	}
	keeping(t, c)
	tx, err := c.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, "UPDATE t SET v = 100")
	want(t, "first read of a transaction", get[int](t, tx, "SELECT v FROM t WHERE id = 1"), 100)
	mustExec(t, db, "UPDATE t SET v = 101")
	want(t, "second read", get[int](t, tx, "SELECT v FROM t WHERE id = 1"), 100)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	want(t, "after it", get[int](t, c, "SELECT v FROM t WHERE id = 1"), 101)
	keeping(t, c)
	if err := c.Raw(func(dc any) error {
		raw := dc.(Conn).Raw()
		v, err := raw.FileControl("main", sqlite3.FCNTL_LOCKSTATE)
		want(t, "lock of the raw connection", v.(vfs.LockLevel), vfs.LOCK_NONE)
		return errors.Join(err, raw.Exec("VACUUM"))
	}); err != nil {
		t.Error(err)
	}
}

// Several rows of one connection: all of them read the snapshot of the first,
// whether it was kept or not, until the last one is closed.
func TestRowsOpenAtOnce(t *testing.T) {
	for _, kept := range []bool{false, true} {
		t.Run(fmt.Sprint("kept ", kept), func(t *testing.T) {
			db, c := keepDB(t)
			mustExec(t, db, "INSERT INTO t(v) VALUES(2), (3)")
			s, err := c.PrepareContext(t.Context(), "SELECT v FROM t WHERE id >= ? ORDER BY id")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if kept {
				keeping(t, c)
			}
			var open []*sql.Rows
			for id := 1; id <= 3; id++ {
				r, err := s.QueryContext(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				open = append(open, r)
				mustExec(t, db, "UPDATE t SET v = v + 100")
			}
			for i, r := range open {
				var v int
				if !r.Next() || r.Scan(&v) != nil {
					t.Fatal(r.Err())
				}
				want(t, "value", v, i+1)
			}
			for _, r := range open {
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}
			want(t, "with all closed", get[int](t, c, "SELECT v FROM t WHERE id = 1"), 301)
			keeping(t, c)
		})
	}
}

// A write while rows are open goes through, the rows are read to their end, and
// others see the write.
func TestWriteBesideKeptRows(t *testing.T) {
	db, c := keepDB(t)
	mustExec(t, db, "INSERT INTO t(v) VALUES(2), (3)")
	keeping(t, c)
	r, err := c.QueryContext(t.Context(), "SELECT id FROM t ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for r.Next() {
		mustExec(t, c, "UPDATE t SET v = v + 10")
		n++
	}
	if err := errors.Join(r.Err(), r.Close()); err != nil {
		t.Fatal(err)
	}
	want(t, "rows", n, 3)
	want(t, "value", get[int](t, db, "SELECT v FROM t WHERE id = 1"), 31)
	keeping(t, c)
	mustExec(t, db, "UPDATE t SET v = 0")
	want(t, "value", get[int](t, c, "SELECT sum(v) FROM t"), 0)
}

// A function that a kept read calls may itself write on the connection.
func TestFunctionWritesInsideKeptRead(t *testing.T) {
	db, c := keepDB(t, WithInit(func(c *sqlite3.Conn) error {
		return c.CreateFunction("log", 1, 0, func(ctx sqlite3.Context, arg ...sqlite3.Value) {
			if err := c.Exec("INSERT INTO t(v) VALUES(99)"); err != nil {
				ctx.ResultError(err)
			}
		})
	}))
	for range 3 {
		keeping(t, c)
		if _, err := c.ExecContext(t.Context(), "SELECT 1"); err != nil {
			t.Fatal(err)
		}
		keeping(t, c)
		get[sql.NullInt64](t, c, "SELECT log(1)")
		want(t, "rows for all", get[int](t, db, "SELECT count(*) FROM t"), get[int](t, c, "SELECT count(*) FROM t"))
	}
	want(t, "rows", get[int](t, c, "SELECT count(*) FROM t"), 4)
}

func TestErrorsInKeptReads(t *testing.T) {
	entered := make(chan struct{})
	db, c := keepDB(t, gate(entered))
	keeping(t, c)
	if _, err := c.QueryContext(t.Context(), "SELECT abs(-9223372036854775807 - 1) FROM t"); err == nil {
		t.Error("no overflow")
	}
	want(t, "lock after an error", lockOf(t, c), vfs.LOCK_NONE)
	keeping(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { _, err := c.QueryContext(ctx, endless); done <- err }()
	<-entered
	cancel()
	wantInterrupt(t, <-done, context.Canceled)
	keeping(t, c)
	if _, err := c.QueryContext(ctx, "SELECT v FROM t"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	mustExec(t, db, "UPDATE t SET v = 7")
	want(t, "value", get[int](t, c, "SELECT v FROM t"), 7)
}

// Connections of a pool read while others write; each reader sees its values
// grow, and never one that is half of a commit.
func TestKeptSnapshotsBesideWriters(t *testing.T) {
	db, err := sql.Open(Name, fileURI(filepath.Join(t.TempDir(), "test.db"))+"?_pragma=wal_autocheckpoint(20)&_pragma=synchronous(off)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	mustExec(t, db, "CREATE TABLE t(a, b); INSERT INTO t VALUES(0, 0)")
	const commits = 300
	stop, failed := make(chan struct{}), make(chan error, 5)
	for range 4 {
		c := oneConn(t, db)
		go func() {
			last := 0
			for {
				var a, b int
				if err := c.QueryRowContext(context.Background(), "SELECT a, b FROM t").Scan(&a, &b); err != nil || a != b || a < last {
					failed <- fmt.Errorf("read %d and %d after %d: %w", a, b, last, err)
					return
				}
				last = a
				select {
				case <-stop:
					failed <- nil
					return
				default:
				}
			}
		}()
	}
	for i := range commits {
		mustExec(t, db, "UPDATE t SET a = ?1, b = ?1", i)
		want(t, "own commit", get[int](t, db, "SELECT b FROM t"), i)
	}
	close(stop)
	for range 4 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}
