// What SQL makes of the log: its length, and checkpoints by PRAGMA.

package driver

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
)

// TestDeferredTransactionsRestartTheLog: the log of transactions that read
// before they write begins anew like that of others. How soon an automatic
// checkpoint ends beside them is up to the disk: now and then one is waited for.
// Package sqlitevfs has the same test where none needs to be.
func TestDeferredTransactionsRestartTheLog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "db")
	db, err := sql.Open("walnut", name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	c, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	mustExec(t, c, "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=50; CREATE TABLE t(x); INSERT INTO t VALUES(0)")
	for i := range 3000 {
		mustExec(t, c, "BEGIN")
		want(t, "x", get[int](t, c, "SELECT x FROM t"), i)
		mustExec(t, c, "UPDATE t SET x=x+1")
		mustExec(t, c, "COMMIT")
		if i%100 == 99 {
			if r := get3(t, c, "PRAGMA wal_checkpoint"); r[0] != 0 || r[1] != r[2] {
				t.Fatalf("after %d commits, a checkpoint: %v", i+1, r)
			}
		}
	}
	info, err := os.Stat(name + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if frames := info.Size() / 4120; frames > 1500 {
		t.Errorf("the log has grown to %d frames", frames)
	}
}

// TestCheckpointWithoutBusyTimeout: a checkpoint that nobody is in the way of
// takes the time that it needs, also on a connection that waits for nobody.
func TestCheckpointWithoutBusyTimeout(t *testing.T) {
	db, err := sql.Open("walnut", filepath.Join(t.TempDir(), "db")+"?_busy_timeout=0")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	mustExec(t, db, "CREATE TABLE t(x)")
	for range 3 { // with an automatic checkpoint under way
		mustExec(t, db, "WITH c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<2500) INSERT INTO t SELECT randomblob(3000) FROM c")
		var busy, log, done int
		if err := db.QueryRow("PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done); err != nil || busy+log+done != 0 {
			t.Errorf("busy %d, %d of %d frames, %v", busy, done, log, err)
		}
	}
}
