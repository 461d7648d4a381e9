// Tests of transactions.

package driver

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ncruces/go-sqlite3"
)

func TestCommitAndRollback(t *testing.T) {
	db := openDB(t, "")
	mustExec(t, db, "CREATE TABLE t(x)")
	for _, commit := range []bool{true, false} {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		mustExec(t, tx, "INSERT INTO t VALUES (?)", commit)
		want(t, "rows seen from outside", get[int](t, db, "SELECT count(*) FROM t WHERE x = ?", commit), 0)
		end := tx.Rollback
		if commit {
			end = tx.Commit
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "rows", get[string](t, db, "SELECT group_concat(x) FROM t"), "1")
}

func TestIsolationLevels(t *testing.T) {
	tests := []struct {
		txlock   string
		level    sql.IsolationLevel
		readOnly bool
		writes   bool // takes the writer's place at BEGIN
	}{
		{"deferred", sql.LevelDefault, false, false},
		{"immediate", sql.LevelDefault, false, true},
		{"exclusive", sql.LevelDefault, false, true},
		{"immediate", sql.LevelDefault, true, false},
		{"immediate", sql.LevelReadUncommitted, false, false},
		{"immediate", sql.LevelReadCommitted, false, false},
		{"immediate", sql.LevelRepeatableRead, false, false},
		{"immediate", sql.LevelSnapshot, false, false},
		{"deferred", sql.LevelSerializable, false, true},
		{"deferred", sql.LevelSerializable, true, false},
		{"deferred", sql.LevelLinearizable, false, true},
	}
	for _, tt := range tests {
		db := openDB(t, "_txlock="+tt.txlock)
		mustExec(t, db, "CREATE TABLE t(x)")
		other := oneConn(t, db)
		mustExec(t, other, "PRAGMA busy_timeout=0")
		tx, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: tt.level, ReadOnly: tt.readOnly})
		if err != nil {
			t.Fatal(err)
		}
		_, err = other.ExecContext(context.Background(), "INSERT INTO t VALUES (1)")
		if tt.writes != errors.Is(err, sqlite3.BUSY) || !tt.writes && err != nil {
			t.Errorf("%s, %v, read only %v: another's write: %v", tt.txlock, tt.level, tt.readOnly, err)
		}
		tx.Rollback()
	}
	db := openDB(t, "")
	for _, level := range []sql.IsolationLevel{sql.LevelWriteCommitted, 99} {
		_, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: level})
		wantError(t, err, "isolation level", "not supported")
	}
}

func TestReadOnly(t *testing.T) {
	db := openDB(t, "")
	mustExec(t, db, "CREATE TABLE t(x)")
	db.SetMaxOpenConns(1)
	for _, how := range []string{"commit", "rollback", "gone"} {
		tx, err := db.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("INSERT INTO t VALUES (1)"); !errors.Is(err, sqlite3.READONLY) {
			t.Errorf("a write in a read-only transaction: %v", err)
		}
		switch how {
		case "commit":
			err = tx.Commit()
		case "rollback":
			err = tx.Rollback()
		case "gone":
			mustExec(t, tx, "ROLLBACK")
			wantError(t, tx.Commit(), "no longer active")
		}
		if err != nil {
			t.Error(err)
		}
		want(t, "query_only after "+how, get[int](t, db, "PRAGMA query_only"), 0)
		mustExec(t, db, "INSERT INTO t VALUES (1)")
	}
	// One that was set before stays.
	mustExec(t, db, "PRAGMA query_only=1")
	tx, err := db.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
	want(t, "query_only", get[int](t, db, "PRAGMA query_only"), 1)
}

func TestStaleSnapshot(t *testing.T) {
	db := openDB(t, "")
	mustExec(t, db, "CREATE TABLE t(x); INSERT INTO t VALUES (1)")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	get[int](t, tx, "SELECT x FROM t")
	mustExec(t, db, "UPDATE t SET x = 2")
	_, err = tx.Exec("UPDATE t SET x = 3")
	if !errors.Is(err, sqlite3.BUSY_SNAPSHOT) || !errors.Is(err, sqlite3.BUSY) {
		t.Errorf("not BUSY_SNAPSHOT: %v", err)
	}
	var code sqlite3.ExtendedErrorCode
	if !errors.As(err, &code) || code != sqlite3.BUSY_SNAPSHOT {
		t.Errorf("no code in %v", err)
	}
	wantError(t, err, "snapshot is stale", "run it again")
	if strings.Contains(err.Error(), "locked") {
		t.Errorf("misleading: %v", err)
	}
	want(t, "the snapshot", get[int](t, tx, "SELECT x FROM t"), 1)
}

// failCommit has the commit hook turn COMMIT down once.
func failCommit() Option {
	return WithInit(func(c *sqlite3.Conn) error {
		failed := false
		c.CommitHook(func() bool { ok := failed; failed = true; return ok })
		return nil
	})
}

func TestCommitFails(t *testing.T) {
	db := openDB(t, "", failCommit())
	c := oneConn(t, db)
	tx, err := c.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, tx, "CREATE TABLE t(x)")
	if err := tx.Commit(); !errors.Is(err, sqlite3.CONSTRAINT_COMMITHOOK) {
		t.Errorf("commit: %v", err)
	}
	mustExec(t, c, "CREATE TABLE t(x)")
}

// A failed deferred constraint leaves SQLite's transaction open, as BUSY does.
func TestCommitLeavesItOpen(t *testing.T) {
	db := openDB(t, "")
	c := oneConn(t, db)
	mustExec(t, c, "CREATE TABLE p(x PRIMARY KEY); CREATE TABLE t(x REFERENCES p DEFERRABLE INITIALLY DEFERRED)")
	tx, err := c.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, tx, "INSERT INTO t VALUES (1)")
	if err := tx.Commit(); !errors.Is(err, sqlite3.CONSTRAINT_FOREIGNKEY) {
		t.Errorf("commit: %v", err)
	}
	want(t, "rows", get[int](t, c, "SELECT count(*) FROM t"), 0)
	tx, err = c.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatalf("the next transaction: %v", err)
	}
	tx.Rollback()
}

func TestErrorThatRollsBack(t *testing.T) {
	db := openDB(t, "")
	mustExec(t, db, "CREATE TABLE t(x UNIQUE)")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, tx, "INSERT INTO t VALUES (1)")
	if _, err := tx.Exec("INSERT OR ROLLBACK INTO t VALUES (1)"); !errors.Is(err, sqlite3.CONSTRAINT_UNIQUE) {
		t.Errorf("insert: %v", err)
	}
	wantError(t, tx.Commit(), "no longer active")
	tx, err = db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Errorf("rollback of nothing: %v", err)
	}
}

func TestTransactionLeftOpen(t *testing.T) {
	db := openDB(t, "")
	mustExec(t, db, "CREATE TABLE t(x)")
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, c, "BEGIN IMMEDIATE")
	mustExec(t, c, "INSERT INTO t VALUES (1)")
	var first *conn
	rawConn(t, c, func(c *conn) { first = c })
	c.Close()
	// It is rolled back as it goes back, not when it is next used.
	if !first.db.GetAutocommit() {
		t.Error("the idle connection has a transaction")
	}
	want(t, "rows", get[int](t, db, "SELECT count(*) FROM t"), 0)
	want(t, "connections", db.Stats().OpenConnections, 1)
}

func TestNestedBegin(t *testing.T) {
	db := openDB(t, "")
	c := oneConn(t, db)
	mustExec(t, c, "BEGIN")
	_, err := c.BeginTx(context.Background(), nil)
	wantError(t, err, "within a transaction")
	mustExec(t, c, "COMMIT")
}

func TestSavepoints(t *testing.T) {
	db := openDB(t, "")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	mustExec(t, tx, "CREATE TABLE t(x); SAVEPOINT a; INSERT INTO t VALUES (1); SAVEPOINT b; INSERT INTO t VALUES (2)")
	mustExec(t, tx, "ROLLBACK TO b; RELEASE a")
	want(t, "rows", get[int](t, tx, "SELECT count(*) FROM t"), 1)
}

func TestPool(t *testing.T) {
	db := openDB(t, "_txlock=immediate")
	mustExec(t, db, "CREATE TABLE account(id INTEGER PRIMARY KEY, v INT NOT NULL)")
	const accounts, writers, readers, moves = 8, 4, 4, 50
	for i := range accounts {
		mustExec(t, db, "INSERT INTO account VALUES (?, 100)", i)
	}
	var writing, reading sync.WaitGroup
	done := make(chan struct{})
	for w := range writers {
		writing.Go(func() {
			for i := range moves {
				if err := move(db, (w+i)%accounts, (w+3*i+1)%accounts); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range readers {
		reading.Go(func() {
			for {
				var sum int
				if err := db.QueryRow("SELECT sum(v) FROM account").Scan(&sum); err != nil || sum != 100*accounts {
					t.Errorf("sum %d, %v", sum, err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	want(t, "sum", get[int](t, db, "SELECT sum(v) FROM account"), 100*accounts)
}

func move(db *sql.DB, from, to int) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for id, by := range map[int]int{from: -1, to: 1} {
		if from == to {
			by = 0
		}
		if _, err := tx.Exec("UPDATE account SET v = v + ? WHERE id = ?", by, id); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func TestTxWithoutContext(t *testing.T) {
	db := openDB(t, "")
	rawConn(t, oneConn(t, db), func(c *conn) {
		tx, err := c.Begin()
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.Prepare("SELECT ?")
		if err != nil {
			t.Fatal(err)
		}
		rows, err := s.(*stmt).Query([]sqldriver.Value{int64(4)})
		if err != nil {
			t.Fatal(err)
		}
		dest := make([]sqldriver.Value, 1)
		if err := rows.Next(dest); err != nil || dest[0] != int64(4) {
			t.Error(dest, err)
		}
		if _, err := s.(*stmt).Exec([]sqldriver.Value{int64(4)}); err != nil { // a copy: rows are open
			t.Error(err)
		}
		if err := errors.Join(s.Close(), s.Close(), rows.Close(), rows.Close(), tx.Commit()); err != nil {
			t.Error(err)
		}
	})
}

// A transaction that begins IMMEDIATE has the writer's place of every database
// that is attached then, also of one that was attached after an earlier BEGIN.
func TestImmediateLocksAttached(t *testing.T) {
	path := filepath.Join(t.TempDir(), "other.db")
	other := openAt(t, path, "_busy_timeout=0")
	mustExec(t, other, "CREATE TABLE u(x)")
	c := oneConn(t, openDB(t, "_txlock=immediate"))
	begins := map[string]func() (end func() error){
		"BeginTx": func() func() error {
			tx, err := c.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			return tx.Rollback
		},
		"text": func() func() error {
			mustExec(t, c, "BEGIN IMMEDIATE")
			return func() error { _, err := c.ExecContext(context.Background(), "ROLLBACK"); return err }
		},
	}
	for name, begin := range begins {
		for _, attached := range []bool{false, true} {
			if attached {
				mustExec(t, c, "ATTACH ? AS b", path)
			}
			end := begin()
			_, err := other.Exec("INSERT INTO u VALUES(1)")
			want(t, name+": the other database is locked", errors.Is(err, sqlite3.BUSY), attached)
			if err := end(); err != nil {
				t.Error(err)
			}
		}
		mustExec(t, c, "DETACH b")
	}
}
