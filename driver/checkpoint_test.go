package driver_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	_ "github.com/walnutdb/walnut/driver"
)

// PRAGMA wal_checkpoint answers with SQLite's three columns, alone and as one
// of several statements, through every way of running a query.
func TestCheckpointPragma(t *testing.T) {
	db, err := sql.Open("walnut", filepath.Join(t.TempDir(), "c.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE t(a); INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	ask := func(query string) (row [3]int) {
		t.Helper()
		rows, err := db.Query(query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		defer rows.Close()
		cols, err := rows.Columns()
		if err != nil || len(cols) != 3 || cols[0] != "busy" || cols[1] != "log" || cols[2] != "checkpointed" {
			t.Fatalf("%s: columns %q, %v", query, cols, err)
		}
		if !rows.Next() {
			t.Fatalf("%s: no row: %v", query, rows.Err())
		}
		if err := rows.Scan(&row[0], &row[1], &row[2]); err != nil {
			t.Fatal(err)
		}
		return row
	}
	first := ask("PRAGMA wal_checkpoint")
	if first[0] != 0 || first[1] < 2 || first[1] != first[2] {
		t.Fatalf("passive: %v", first)
	}
	if again := ask("INSERT INTO t VALUES (2); -- more\n pragma main . wal_checkpoint ( 'passive' ) ;"); again[0] != 0 || again[1] == 0 || again[1] != again[2] {
		t.Fatalf("after one more row: %v", again)
	}
	if cut := ask("PRAGMA wal_checkpoint = TRUNCATE"); cut != [3]int{0, 0, 0} {
		t.Fatalf("truncate: %v", cut)
	}
	if _, err := db.Exec("PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES (3)"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA wal_checkpoint(SIDEWAYS)"); err == nil {
		t.Fatal("an unknown mode was accepted")
	}
	var n int
	if err := db.QueryRow("SELECT count(*) FROM t").Scan(&n); err != nil || n != 3 {
		t.Fatalf("%d rows, %v", n, err)
	}
}
