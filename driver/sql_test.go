// Tests of statements: arguments, several in a text, results, the cache.

package driver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"
)

func TestArguments(t *testing.T) {
	db := openDB(t, "")
	a, b := sql.Named("a", 1), sql.Named("b", 2)
	tests := []struct {
		query string
		args  []any
		want  string
	}{
		{"SELECT :a || @b", []any{a, b}, "12"},
		{"SELECT $a || :a || @a", []any{a}, "111"},
		{"SELECT :b || :a", []any{b, a}, "21"},
		{"SELECT :a || :b", []any{7, 8}, "78"},
		{"SELECT ?2 || ?1 || ?2", []any{7, 8}, "878"},
		{"SELECT :a || ?", []any{a, 5}, "15"},
		{"SELECT ? || ? || :a", []any{a, 7, 8}, "781"},
		{"SELECT ?3", []any{1, 2, 3}, "3"},
		{"SELECT 'none'", nil, "none"},
		{"SELECT '?:a'", nil, "?:a"},
	}
	for _, tt := range tests {
		want(t, tt.query, get[string](t, db, tt.query, tt.args...), tt.want)
		s, err := db.Prepare(tt.query)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			var got string
			if err := s.QueryRow(tt.args...).Scan(&got); err != nil || got != tt.want {
				t.Errorf("%s prepared: %s, %v", tt.query, got, err)
			}
		}
		s.Close()
	}
}

func TestArgumentErrors(t *testing.T) {
	db := openDB(t, "")
	mustExec(t, db, "CREATE TABLE t(x)")
	a := sql.Named("a", 1)
	tests := []struct {
		query string
		args  []any
		part  string
	}{
		{"SELECT ?, ?", []any{1}, "missing argument for parameter ? (number 2)"},
		{"SELECT ?, :b", []any{a, 1}, "argument a: the statement has no parameter :a, @a or $a"},
		{"SELECT :a, :b", []any{a}, "missing argument for parameter :b"},
		{"SELECT ?", []any{1, 2}, "too many arguments: 2 positional, for 1"},
		{"SELECT 1", []any{1}, "too many"},
		{"", []any{1}, "too many"},
		{"SELECT :a", []any{a, a}, "given twice"},
		{"SELECT ?3", []any{1}, "for 3 parameters"},
		{"INSERT INTO t VALUES (?); INSERT INTO t VALUES (:b)", []any{1, sql.Named("c", 1)}, "argument c"},
		{"SELECT 1; SELECT ?", []any{1, 2}, "too many"},
	}
	for _, tt := range tests {
		_, err := db.Exec(tt.query, tt.args...)
		wantError(t, err, "walnut: ", tt.part)
		rows, err := db.Query(tt.query, tt.args...)
		wantError(t, err, tt.part)
		if err == nil {
			rows.Close()
		}
	}
	want(t, "rows", get[int](t, db, "SELECT count(*) FROM t"), 0)
}

func TestSeveralStatements(t *testing.T) {
	db := openDB(t, "")
	res := mustExec(t, db, `;; -- a comment; with a semicolon
		CREATE TABLE t(x, y); /* another; */
		INSERT INTO t VALUES (?, :n), (?, :n);
		INSERT INTO t VALUES (?, @n) ; ; -- the end`, 1, 2, 3, sql.Named("n", "n"))
	n, _ := res.RowsAffected()
	want(t, "rows affected by the last", n, int64(1))
	want(t, "rows", get[string](t, db, "SELECT group_concat(x||y) FROM t"), "1n,2n,3n")

	want(t, "rows of the last", get[int](t, db, "INSERT INTO t VALUES (4, ?); SELECT count(*) FROM t WHERE x > ?; -- end", 0, 1), 3)

	// What ran before a failing statement stays, as in SQLite.
	_, err := db.Exec("INSERT INTO t VALUES (5, 5); INSERT INTO nowhere VALUES (6)")
	wantError(t, err, "no such table: nowhere")
	want(t, "rows", get[int](t, db, "SELECT count(*) FROM t"), 5)

	for _, blank := range []string{"", " ; ", "-- nothing", "/* nothing"} {
		mustExec(t, db, blank)
		rows, err := db.Query(blank)
		if err != nil {
			t.Fatal(err)
		}
		if cols, _ := rows.Columns(); rows.Next() || len(cols) > 0 || rows.Close() != nil {
			t.Errorf("%q has rows", blank)
		}
		s, err := db.Prepare(blank)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Exec(); err != nil {
			t.Error(err)
		}
		s.Close()
	}
	_, err = db.Prepare("SELECT 1; SELECT 2")
	wantError(t, err, "Prepare takes one statement")
}

func TestResults(t *testing.T) {
	db := openDB(t, "")
	tests := []struct {
		query    string
		id, rows int64
	}{
		{"CREATE TABLE t(id INTEGER PRIMARY KEY, x UNIQUE)", 0, 0},
		{"INSERT INTO t(x) VALUES (10), (20)", 2, 2},
		{"CREATE INDEX i ON t(x)", 0, 0},
		{"INSERT OR IGNORE INTO t(x) VALUES (10)", 0, 0},
		{"UPDATE t SET x = x + 1 WHERE id = 9", 0, 0},
		{"INSERT INTO t(id, x) VALUES (-5, 0)", -5, 1},
		{"SELECT * FROM t", 0, 0},
		{"INSERT INTO t(x) VALUES (1) RETURNING id", 3, 1},
		{"CREATE TABLE child(p)", 0, 0},
		{"INSERT INTO child VALUES (last_insert_rowid())", 1, 1},
		{"ALTER TABLE t RENAME COLUMN x TO y", 0, 0},
		{"VACUUM", 0, 0},
	}
	c := oneConn(t, db)
	for _, tt := range tests {
		res := mustExec(t, c, tt.query)
		id, _ := res.LastInsertId()
		rows, _ := res.RowsAffected()
		if id != tt.id || rows != tt.rows {
			t.Errorf("%s: id %d, rows %d; want %d, %d", tt.query, id, rows, tt.id, tt.rows)
		}
	}
	want(t, "last_insert_rowid()", get[int](t, c, "SELECT p FROM child"), 3)
	res := mustExec(t, c, "DELETE FROM t")
	n, _ := res.RowsAffected()
	want(t, "deleted", n, int64(4))
}

func TestReturning(t *testing.T) {
	db := openDB(t, "")
	mustExec(t, db, "CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
	// Only the first row is fetched; all of the statement counts.
	want(t, "id", get[int](t, db, "INSERT INTO t(x) VALUES (1), (2), (3) RETURNING id"), 1)
	want(t, "rows", get[int](t, db, "SELECT count(*) FROM t"), 3)
	if _, err := db.Query("INSERT INTO t VALUES (1, 1)"); !errors.Is(err, sqlite3.CONSTRAINT_PRIMARYKEY) {
		t.Errorf("a query that fails at its first step: %v", err)
	}
}

func TestPreparedStatements(t *testing.T) {
	db := openDB(t, "")
	mustExec(t, db, "CREATE TABLE t(x)")
	ins, err := db.Prepare("INSERT INTO t VALUES (?)")
	if err != nil {
		t.Fatal(err)
	}
	defer ins.Close()
	for i := range 10 {
		if _, err := ins.Exec(i); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ins.Exec(); err == nil {
		t.Error("ran with the arguments of the time before")
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	sel, err := tx.Prepare("SELECT x FROM t WHERE x >= ? ORDER BY x")
	if err != nil {
		t.Fatal(err)
	}
	// The same statement runs inside the loop over its own rows.
	outer, err := sel.Query(7)
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for outer.Next() {
		var o, i int
		if err := outer.Scan(&o); err != nil {
			t.Fatal(err)
		}
		inner, err := sel.Query(o)
		if err != nil {
			t.Fatal(err)
		}
		for inner.Next() {
			if err := inner.Scan(&i); err != nil {
				t.Fatal(err)
			}
			got = append(got, o*10+i)
		}
	}
	if err := outer.Err(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, []int{77, 78, 79, 88, 89, 99}) {
		t.Errorf("nested loops over one statement: %v", got)
	}
	if err := sel.Close(); err != nil {
		t.Error(err)
	}
	if _, err := sel.Query(1); err == nil {
		t.Error("a closed statement ran")
	}
}

func TestStatementCache(t *testing.T) {
	db := openDB(t, "")
	c := oneConn(t, db)
	mustExec(t, c, "CREATE TABLE t(a); INSERT INTO t VALUES (1)")
	columns := func() string {
		rows, err := c.QueryContext(context.Background(), "SELECT * FROM t")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		names, _ := rows.Columns()
		vals := make([]any, len(names))
		for i := range vals {
			vals[i] = new(any)
		}
		for rows.Next() {
			if err := rows.Scan(vals...); err != nil {
				t.Fatal(err)
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		names[0] += "" // the copy is ours
		return strings.Join(names, ",")
	}
	want(t, "columns", columns(), "a")
	mustExec(t, c, "ALTER TABLE t ADD COLUMN b")
	want(t, "columns after ALTER", columns(), "a,b")
	// From another connection too.
	mustExec(t, db, "ALTER TABLE t RENAME COLUMN a TO c")
	want(t, "columns after another's ALTER", columns(), "c,b")
	mustExec(t, c, "DROP TABLE t")
	if _, err := c.QueryContext(context.Background(), "SELECT * FROM t"); err == nil {
		t.Error("the dropped table was read")
	}
	mustExec(t, c, "CREATE TABLE t(z)")
	want(t, "columns of the new table", columns(), "z")
}

func TestStatementCacheIsBounded(t *testing.T) {
	db := openDB(t, "")
	c := oneConn(t, db)
	open := func() (n int) {
		rawConn(t, c, func(c *conn) {
			for s := range c.db.Stmts() {
				if s.SQL() != "PRAGMA main.schema_version" { // the keeper's
					n++
				}
			}
		})
		return n
	}
	for i := range 3 * cacheSize {
		get[int](t, c, fmt.Sprintf("SELECT %d", i))
	}
	want(t, "statements", open(), cacheSize)
	get[int](t, c, "SELECT 95")
	want(t, "statements after a hit", open(), cacheSize)
	// Two of one text at a time leave one.
	q := "SELECT 1 UNION ALL SELECT 2"
	r1, err1 := c.QueryContext(context.Background(), q)
	r2, err2 := c.QueryContext(context.Background(), q)
	if err := errors.Join(err1, err2, r1.Close(), r2.Close()); err != nil {
		t.Fatal(err)
	}
	want(t, "statements after twins", open(), cacheSize)
}

// Many pragmas act when they are prepared, so a kept one would do nothing.
func TestPragmasAreNotKept(t *testing.T) {
	db := openDB(t, "")
	c := oneConn(t, db)
	for range 2 {
		mustExec(t, c, "PRAGMA foreign_keys=OFF")
		want(t, "foreign_keys", get[int](t, c, "PRAGMA foreign_keys"), 0)
		mustExec(t, c, "PRAGMA foreign_keys=ON")
		want(t, "foreign_keys", get[int](t, c, "PRAGMA foreign_keys"), 1)
	}
	rawConn(t, c, func(c *conn) { want(t, "kept", len(c.cache.idle), 0) })
}

func TestSkipBlank(t *testing.T) {
	for in, out := range map[string]string{
		"": "", " \t\n;": "", "--x": "", "--x\nSELECT": "SELECT", "/*;*/ ;a": "a",
		"/*": "", "/": "/", "-": "-", "- -": "- -", "\ufeffa": "a", "a;b": "a;b",
	} {
		want(t, in, skipBlank(in), out)
	}
}
