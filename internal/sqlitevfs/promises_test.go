// Promises to SQLite that no statement of the other tests comes across.

package sqlitevfs

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
)

// TestFullDiskBesideAttached: a disk that is full for one of two databases shows
// before the other one is committed.
func TestFullDiskBesideAttached(t *testing.T) {
	d, open := onDisk(t)
	c := open()
	run(t, c, "ATTACH 'file:/second?vfs="+t.Name()+"' AS b; CREATE TABLE t(x); CREATE TABLE b.u(x); INSERT INTO t VALUES(1); INSERT INTO b.u VALUES(1)")
	full := d.Inject(faultdisk.Fault{Op: faultdisk.OpGrow, Suffix: "/second-wal", Sticky: true, Err: disk.ErrNoSpace})
	err := c.Exec("BEGIN; INSERT INTO t VALUES(2); INSERT INTO b.u VALUES(zeroblob(3000000)); COMMIT")
	if !errors.Is(err, sqlite3.FULL) {
		t.Fatalf("a full disk: %v", err)
	}
	if !c.GetAutocommit() {
		run(t, c, "ROLLBACK")
	}
	full.Remove()
	other := open()
	wantQuery(t, other, "SELECT count(*) FROM t", "1")
	run(t, c, "BEGIN; INSERT INTO t VALUES(2); INSERT INTO b.u VALUES(2); COMMIT")
	wantQuery(t, c, "SELECT count(*) FROM t, b.u", "4")
}

// TestRollbackUnderCursor: a statement that reads on after its transaction was
// rolled back keeps no other connection from writing.
func TestRollbackUnderCursor(t *testing.T) {
	_, open := onDisk(t)
	c, other := open(), open()
	run(t, c, "CREATE TABLE t(x); INSERT INTO t VALUES(1),(2)")
	run(t, c, "BEGIN IMMEDIATE")
	s := prepare(t, c, "SELECT x FROM t")
	if !s.Step() {
		t.Fatal(s.Err())
	}
	run(t, c, "INSERT INTO t VALUES(3)")
	run(t, c, "ROLLBACK")
	if fileOf(c, "main").lock == 0 {
		t.Fatal("the statement does not read on: nothing is tested")
	}
	run(t, other, "INSERT INTO t VALUES(4)")
	for s.Step() {
		if x := s.ColumnInt(0); x > 2 {
			t.Errorf("the statement reads %d", x)
		}
	}
	if err := s.Reset(); err != nil {
		t.Fatal(err)
	}
	wantQuery(t, c, "SELECT sum(x) FROM t", "7")
}

// TestDeferredTransactionsRestartTheLog: a log whose transactions read before they
// write is copied and begun anew by itself, on a disk where an automatic
// checkpoint ends before its commit returns.
func TestDeferredTransactionsRestartTheLog(t *testing.T) {
	d, open := onDisk(t)
	c := open()
	run(t, c, "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=50; CREATE TABLE t(x); INSERT INTO t VALUES(0)")
	for i := range 1000 {
		run(t, c, "BEGIN")
		wantQuery(t, c, "SELECT x FROM t", fmt.Sprint(i))
		run(t, c, "UPDATE t SET x=x+1; COMMIT")
	}
	log, err := d.ReadFile("/db-wal")
	if err != nil {
		t.Fatal(err)
	}
	if frames := len(log) / 4120; frames > 500 {
		t.Errorf("the log has grown to %d frames", frames)
	}
}
