// One file through SQL and through the page interface, in one process at one
// time: what one commits the other sees, and no page cache is stale.

package sqltest

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/walnutdb/walnut"
)

// patch replaces text of equal length on whatever page holds it, through the
// page interface.
func patch(t testing.TB, w *walnut.DB, from, to string) {
	t.Helper()
	err := w.Update(ctx, func(tx *walnut.Tx) error {
		for n := walnut.PageNo(1); uint32(n) <= tx.PageCount(); n++ {
			p, err := tx.Page(n)
			if err != nil {
				return err
			}
			if i := bytes.Index(p, []byte(from)); i >= 0 {
				p, err := tx.Write(n)
				if err != nil {
					return err
				}
				copy(p[i:], to)
				return nil
			}
		}
		return fmt.Errorf("no page has %q", from)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPagesBesideSQL(t *testing.T) {
	path := newFile(t)
	db := open(t, path, "_pragma=wal_autocheckpoint(7)")
	a, b := conn(t, db), conn(t, db)
	exec1(t, a, "CREATE TABLE t(x); INSERT INTO t VALUES('value-0000')")
	wantQuery(t, b, "SELECT x FROM t", "value-0000")
	w := engineOf(t, path)
	now := "value-0000"
	for i := range 40 {
		next := fmt.Sprintf("value-%04d", i+1)
		switch i % 4 {
		case 0, 1:
			patch(t, w, now, next)
		case 2:
			exec1(t, a, "UPDATE t SET x = ?", next)
		case 3:
			exec1(t, b, "BEGIN IMMEDIATE; UPDATE t SET x = '"+next+"'; COMMIT")
		}
		now = next
		wantQuery(t, a, "SELECT x FROM t", now)
		wantQuery(t, b, "SELECT x FROM t", now)
		if i == 20 {
			// A connection that reads keeps its snapshot.
			exec1(t, b, "BEGIN")
			wantQuery(t, b, "SELECT x FROM t", now)
			patch(t, w, now, "value-xxxx")
			wantQuery(t, b, "SELECT x FROM t", now)
			exec1(t, b, "COMMIT")
			wantQuery(t, b, "SELECT x FROM t", "value-xxxx")
			now = "value-xxxx"
		}
	}
	sound(t, a, path)
}

// TestPagesGrowUnderSQL: pages added through the page interface are there for
// SQL, which goes on growing behind them.
func TestPagesGrowUnderSQL(t *testing.T) {
	path := newFile(t)
	c := conn(t, open(t, path, ""))
	exec1(t, c, "CREATE TABLE t(x); INSERT INTO t VALUES(1)")
	w := engineOf(t, path)
	pages := w.Stats().PageCount
	if err := w.Update(ctx, func(tx *walnut.Tx) error { return tx.SetPageCount(pages + 5) }); err != nil {
		t.Fatal(err)
	}
	wantQuery(t, c, "PRAGMA page_count", fmt.Sprint(pages+5))
	exec1(t, c, "INSERT INTO t VALUES(zeroblob(30000))")
	if n := w.Stats().PageCount; n <= pages+5 {
		t.Errorf("SQL grew to %d pages, over those of the page interface", n)
	}
	wantQuery(t, c, "SELECT sum(length(x)) FROM t", "30001")
	// SQLite calls the five pages that nobody refers to unused, and no more.
	want(t, "sqlite3", sqlite3(t, freeze(t, path), "SELECT sum(length(x)) FROM t;"), "30001")
}

// TestStaleAcross: a write through the page interface makes a SQL snapshot
// stale, and the other way round.
func TestStaleAcross(t *testing.T) {
	path := newFile(t)
	c := conn(t, open(t, path, ""))
	exec1(t, c, "CREATE TABLE t(x); INSERT INTO t VALUES('value-0000')")
	w := engineOf(t, path)
	tx, err := w.Begin(ctx, &walnut.TxOptions{Deferred: true})
	if err != nil {
		t.Fatal(err)
	}
	exec1(t, c, "UPDATE t SET x = 'value-0001'")
	_, err = tx.Write(2)
	wantErr(t, err, walnut.ErrSnapshotStale, "")
	tx.Rollback()

	exec1(t, c, "BEGIN")
	wantQuery(t, c, "SELECT x FROM t", "value-0001")
	patch(t, w, "value-0001", "value-0002")
	_, err = c.ExecContext(ctx, "UPDATE t SET x = 'value-0003'")
	wantErr(t, err, nil, "stale")
	exec1(t, c, "ROLLBACK")
	wantQuery(t, c, "SELECT x FROM t", "value-0002")
}
