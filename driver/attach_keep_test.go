package driver_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	_ "github.com/walnutdb/walnut/driver"
)

func TestKeptSnapshotBesideAttached(t *testing.T) {
	dir := t.TempDir()
	a, err := sql.Open("walnut", "file:"+filepath.Join(dir, "a.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := sql.Open("walnut", "file:"+filepath.Join(dir, "b.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err = a.Exec("CREATE TABLE t(x); INSERT INTO t VALUES(1)")
	must(err)
	_, err = b.Exec("CREATE TABLE u(x); INSERT INTO u VALUES(1)")
	must(err)
	c, err := a.Conn(context.Background())
	must(err)
	defer c.Close()
	_, err = c.ExecContext(context.Background(), "ATTACH '"+filepath.Join(dir, "b.db")+"' AS b")
	must(err)
	get := func(q string) (n int) { t.Helper(); must(c.QueryRowContext(context.Background(), q).Scan(&n)); return }
	for i := 2; i < 6; i++ {
		for range 4 {
			get("SELECT count(*) FROM t")
		}
		for range 4 {
			get("SELECT max(x) FROM b.u")
		}
		_, err = b.Exec("INSERT INTO u VALUES(?)", i)
		must(err)
		var busy, x, y int
		must(b.QueryRow("PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &x, &y))
		if busy != 0 {
			t.Errorf("busy %d", busy)
		}
		if n := get("SELECT max(x) FROM b.u"); n != i {
			t.Errorf("got %d want %d", n, i)
		}
	}
}
