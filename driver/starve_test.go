// SQL readers beside a log at its limit: they are detached as any other, and see
// what they saw, also when VACUUM makes the file smaller beneath them.

package driver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/walnutdb/walnut"
)

// limited opens a database whose log has a limit of so many frames, beyond which
// readers are detached at once. A writer is held for as long as that takes.
func limited(t *testing.T, frames int64) (*walnut.DB, *sql.DB) {
	t.Helper()
	return openBoth(t, &walnut.Options{MaxLogSize: frames * 4120, MaxWriterHold: time.Hour, ReaderGrace: -1},
		"?_pragma=synchronous(normal)&_pragma=cache_size(10)")
}

// openBoth opens a new database on pages and for SQL, with those parameters.
func openBoth(t *testing.T, o *walnut.Options, params string) (*walnut.DB, *sql.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := walnut.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sql.Open("walnut", "file:"+path+params)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db, s
}

const sumAll = "SELECT count(*), sum(a), group_concat(substr(b, 1, 8), '') FROM (SELECT * FROM x ORDER BY a)"

func sums(t *testing.T, q interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}) string {
	t.Helper()
	var n, sum int64
	var text string
	if err := q.QueryRowContext(context.Background(), sumAll).Scan(&n, &sum, &text); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(n, sum, text)
}

func TestSQLReaderIsDetached(t *testing.T) {
	db, s := limited(t, 64)
	ctx := context.Background()
	mustExec(t, s, "CREATE TABLE x(a INTEGER PRIMARY KEY, b TEXT)")
	mustExec(t, s, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 400) INSERT INTO x SELECT i, hex(randomblob(500)) FROM n")

	tx, err := s.BeginTx(walnut.WithLabel(ctx, "report"), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	want := sums(t, tx)
	rows, err := s.QueryContext(walnut.WithLabel(ctx, "export"), "SELECT a, length(b) FROM x ORDER BY a")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	next := func(n int) {
		t.Helper()
		for range n {
			var a, l int
			if !rows.Next() {
				t.Fatalf("after %d rows: %v", seen, rows.Err())
			}
			if err := rows.Scan(&a, &l); err != nil {
				t.Fatal(err)
			}
			if seen++; a != seen || l != 1000 {
				t.Fatalf("row %d: %d, %d", seen, a, l)
			}
		}
	}
	next(50)

	change := func(rounds int) {
		t.Helper()
		for i := range rounds {
			mustExec(t, s, "UPDATE x SET b = hex(randomblob(300)) WHERE a % 7 = ?", i%7)
		}
	}
	change(20)
	if st := db.Stats(); st.ReadersDetached != 2 || st.Restarts == 0 {
		t.Fatalf("%d readers are detached, %d restarts", st.ReadersDetached, st.Restarts)
	}
	next(100)
	mustExec(t, s, "DELETE FROM x WHERE a > 100")
	mustExec(t, s, "VACUUM")
	change(20)
	if got := sums(t, tx); got != want {
		t.Error("the sums of the reader have changed")
	}
	next(100)
	mustExec(t, s, "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i+1 FROM n WHERE i < 1900) INSERT INTO x SELECT i, hex(randomblob(500)) FROM n")
	change(20)
	next(150)
	if rows.Next() {
		t.Error("there are more rows than there were")
	}
	if got := sums(t, tx); got != want {
		t.Error("the sums of the reader have changed")
	}
	// It is a reader of an old state, and cannot write.
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	if st := db.Stats(); st.ReadersDetached != 0 || st.SideBytes != 0 || st.OpenTransactions != 0 {
		t.Errorf("left: %d detached, %d bytes, %d transactions", st.ReadersDetached, st.SideBytes, st.OpenTransactions)
	}
	var ok string
	if err := s.QueryRow("PRAGMA integrity_check").Scan(&ok); err != nil || ok != "ok" {
		t.Errorf("integrity_check: %q, %v", ok, err)
	}
	if got := sums(t, s); got == want {
		t.Error("a new reader sees the old state")
	}
}

// TestWhoReads: reports say whose the transactions of SQL are.
func TestWhoReads(t *testing.T) {
	db, s := limited(t, 1000)
	ctx := context.Background()
	mustExec(t, s, "CREATE TABLE x(a INTEGER PRIMARY KEY, b TEXT)")
	mustExec(t, s, "INSERT INTO x VALUES (1, 'one'), (2, 'two')")

	rows, err := s.QueryContext(walnut.WithLabel(ctx, "export"), "SELECT a FROM x")
	if err != nil {
		t.Fatal(err)
	}
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	tx, err := s.BeginTx(walnut.WithLabel(ctx, "report"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRowContext(walnut.WithLabel(ctx, "count"), "SELECT count(*) FROM x").Scan(&n); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, r := range db.Readers() {
		found[r.Label] = r.SQL
		if r.Age <= 0 || r.AtLeast {
			t.Errorf("its age is not known: %+v", r)
		}
	}
	if len(found) != 2 || found["export"] != "SELECT a FROM x" || found["count"] != "SELECT count(*) FROM x" {
		t.Errorf("readers: %q", found)
	}
	if _, err := tx.ExecContext(walnut.WithLabel(ctx, "update"), "UPDATE x SET b = 'zwei' WHERE a = 2"); err != nil {
		t.Fatal(err)
	}
	// The transaction's label is that of the statement that began it.
	if w := db.Writers(); len(w) != 1 || w[0].Label != "count" || w[0].Waiting {
		t.Errorf("writers: %+v", w)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := s.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.ExecContext(walnut.WithLabel(ctx, "import"), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if w := db.Writers(); len(w) != 1 || w[0].Label != "import" || w[0].SQL != "BEGIN IMMEDIATE" {
		t.Errorf("writers: %+v", w)
	}
	mustExec(t, c, "COMMIT")
	long := "SELECT a FROM x WHERE b <> '" + strings.Repeat("é", 2000) + "'"
	rows, err = s.QueryContext(ctx, long)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if r := db.Readers(); len(r) != 1 || len(r[0].SQL) > 1010 || !strings.HasSuffix(r[0].SQL, "é …") || r[0].Label != "" {
		t.Errorf("readers: %+v", r)
	}
}

// TestLimitsOfName: the data source name carries the limits to the engine.
func TestLimitsOfName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s, err := sql.Open("walnut", "file:"+path+"?_max_log_size=1MiB&_reader_grace=0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustExec(t, s, "CREATE TABLE x(a)")
	db, err := walnut.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if n := db.Stats().LimitFrames; n != 1<<20/4120 {
		t.Errorf("the limit is %d frames", n)
	}
}

// TestKeptReadSaysWhatItRuns: reports name the statement and the label of the read
// that runs, and not of the one that began the keeping.
func TestKeptReadSaysWhatItRuns(t *testing.T) {
	db, s := openBoth(t, nil, "")
	mustExec(t, s, "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t(v) VALUES(1)")
	c, err := s.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const text = "SELECT v, 'the slow one' FROM t"
	for _, q := range []string{text, "SELECT v, '' FROM t", "SELECT v, '' FROM t", "SELECT v, '' FROM t"} {
		if err := c.QueryRowContext(context.Background(), q).Scan(new(int), new(string)); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := c.QueryContext(walnut.WithLabel(context.Background(), "nightly"), text)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if r := db.Readers(); len(r) != 1 || r[0].SQL != text || r[0].Label != "nightly" {
		t.Errorf("%+v", r)
	}
}

// TestHeldStatementIsCancelled: a statement that is held for readers ends with its
// context.
func TestHeldStatementIsCancelled(t *testing.T) {
	db, s := openBoth(t, &walnut.Options{MaxLogSize: 20 * 4120, MaxWriterHold: time.Hour, ReaderGrace: 2 * time.Hour}, "")
	mustExec(t, s, "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t(v) VALUES(1)")
	rows, err := s.Query("SELECT v FROM t")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	for db.Stats().LogFrames < db.Stats().LimitFrames {
		if _, err := s.Exec("UPDATE t SET v = v + 1"); err != nil {
			t.Fatal(err)
		}
	}
	for _, texts := range [][]string{{"UPDATE t SET v = 0"}, {"BEGIN IMMEDIATE"}, {"BEGIN; SELECT v FROM t", "UPDATE t SET v = 0", "SELECT v FROM t"}} {
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			for {
				if w := db.Writers(); len(w) > 0 && w[0].Held {
					cancel()
					return
				}
				runtime.Gosched()
			}
		}()
		c, err := s.Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		text := texts[0]
		if len(texts) > 1 {
			text = texts[1]
			if _, err := c.ExecContext(context.Background(), texts[0]); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.ExecContext(ctx, text); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", text, err)
		}
		if w := db.Writers(); len(w) != 0 {
			t.Errorf("%s has left: %+v", text, w)
		}
		if len(texts) > 2 {
			if _, err := c.ExecContext(context.Background(), texts[2]); err != nil {
				t.Errorf("after %s: %v", text, err)
			}
		}
		cancel()
		_ = c.Close()
	}
}
