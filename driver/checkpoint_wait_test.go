// Tests of what a checkpoint waits for, and for how long.

package driver

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The busy timeout bounds the time for which a checkpoint waits for others, and
// not its copying.
func TestCheckpointCopiesLongerThanBusyTimeout(t *testing.T) {
	for _, timeout := range []string{"0", "1"} {
		db := openDB(t, "_pragma=wal_autocheckpoint(0)&_pragma=synchronous(off)&_busy_timeout="+timeout)
		mustExec(t, db, "CREATE TABLE t(v); INSERT INTO t SELECT randomblob(3000) FROM generate_series(1, 4000)")
		for _, mode := range []string{"PASSIVE", "FULL", "RESTART", "TRUNCATE"} {
			mustExec(t, db, "UPDATE t SET v = randomblob(3000)")
			want(t, mode+" is busy, timeout "+timeout, get3(t, db, "PRAGMA wal_checkpoint("+mode+")")[0], 0)
		}
	}
}

// An automatic checkpoint is the connection's own doing: one that is asked for
// waits for it, whatever the busy timeout.
func TestCheckpointBesideAutomatic(t *testing.T) {
	db := openDB(t, "_pragma=wal_autocheckpoint(10)&_pragma=synchronous(off)&_busy_timeout=0")
	mustExec(t, db, "CREATE TABLE t(v)")
	for range 30 {
		mustExec(t, db, "INSERT INTO t SELECT randomblob(3000) FROM generate_series(1, 200)")
		want(t, "busy", get3(t, db, "PRAGMA wal_checkpoint(TRUNCATE)")[0], 0)
	}
}

// PRAGMA wal_checkpoint that does not come through Exec or Query waits for
// readers no longer than the busy timeout.
func TestCheckpointPragmaElsewhereIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := openAt(t, path, "")
	mustExec(t, db, "CREATE TABLE t(v)")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	get[int](t, tx, "SELECT count(*) FROM t")
	mustExec(t, db, "INSERT INTO t VALUES(1)")
	// So that a failure is told; nothing on the way takes as long.
	release := time.AfterFunc(5*time.Minute, func() { _ = tx.Rollback() })
	other := openAt(t, path, "_busy_timeout=50&_pragma=wal_checkpoint(truncate)")
	if err := oneConn(t, other).Raw(func(c any) error {
		return c.(Conn).Raw().Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	}); err != nil {
		t.Error(err)
	}
	if !release.Stop() {
		t.Error("two checkpoints beside a reader have waited for it")
	}
}

// get3 returns the three columns of PRAGMA wal_checkpoint.
func get3(t *testing.T, db execer, query string) (row [3]int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&row[0], &row[1], &row[2]); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return row
}

// A checkpoint that is cancelled while it waits for a reader says so, also where
// the driver does not rewrite the pragma.
func TestCheckpointCancelled(t *testing.T) {
	db := openDB(t, "_busy_timeout=600000")
	mustExec(t, db, "CREATE TABLE t(v)")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	get[int](t, tx, "SELECT count(*) FROM t")
	mustExec(t, db, "INSERT INTO t VALUES(1)")
	for _, query := range []string{
		"PRAGMA wal_checkpoint(TRUNCATE)",
		"/*" + strings.Repeat(" ", 5000) + "*/ PRAGMA wal_checkpoint(TRUNCATE)", // too long to be rewritten
	} {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(30*time.Millisecond, cancel)
		if _, err := db.ExecContext(ctx, query); !errors.Is(err, context.Canceled) {
			t.Errorf("%.40s: %v", query, err)
		}
		cancel()
	}
}
