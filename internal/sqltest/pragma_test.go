// The pragmas that are Walnut's own, and those of SQLite that touch the file.

package sqltest

import (
	"fmt"
	"testing"

	"github.com/walnutdb/walnut"
)

func TestJournalMode(t *testing.T) {
	path := newFile(t)
	db := open(t, path, "")
	c := conn(t, db)
	exec1(t, c, "CREATE TABLE t(x)")
	for _, mode := range []string{"DELETE", "OFF", "MEMORY", "TRUNCATE", "PERSIST", "WAL", "nonsense"} {
		wantQuery(t, c, "PRAGMA journal_mode="+mode, "wal")
		exec1(t, c, "BEGIN; INSERT INTO t VALUES(1); ROLLBACK; INSERT INTO t VALUES(2)")
		wantQuery(t, c, "PRAGMA main.journal_mode", "wal")
		if exists(path + "-journal") {
			t.Fatalf("%s made a journal", mode)
		}
	}
	wantQuery(t, c, "SELECT count(*), sum(x) FROM t", "7|14")
	for _, mode := range []string{"EXCLUSIVE", "NORMAL"} {
		wantQuery(t, c, "PRAGMA locking_mode="+mode, "normal")
		exec1(t, c, "INSERT INTO t VALUES(3)")
		exec1(t, db, "INSERT INTO t VALUES(3)") // another connection
	}
	sound(t, c, path)
}

// syncs is how many syncs of the log a piece of work took, without those that
// follow an extension of the log.
func syncs(engine *walnut.DB, work func()) uint64 {
	before := engine.Stats()
	work()
	after := engine.Stats()
	return after.LogSyncs - before.LogSyncs - (after.LogExtensions - before.LogExtensions)
}

func TestSynchronous(t *testing.T) {
	path := newFile(t)
	c := conn(t, open(t, path, ""))
	exec1(t, c, "CREATE TABLE t(x)")
	engine := engineOf(t, path)
	for _, l := range []struct {
		level string
		syncs uint64
	}{{"FULL", 5}, {"NORMAL", 0}, {"OFF", 0}, {"EXTRA", 5}, {"1", 0}, {"2", 5}, {"0", 0}, {"3", 5}} {
		exec1(t, c, "PRAGMA synchronous="+l.level)
		n := syncs(engine, func() {
			for range 5 {
				exec1(t, c, "INSERT INTO t VALUES(1)")
			}
		})
		if n != l.syncs {
			t.Errorf("synchronous=%s: %d syncs for 5 commits, want %d", l.level, n, l.syncs)
		}
	}
	wantQuery(t, c, "PRAGMA synchronous", "3")
	// A FULL commit makes those before it durable, too.
	exec1(t, c, "PRAGMA synchronous=NORMAL; INSERT INTO t VALUES(1); PRAGMA synchronous=FULL; INSERT INTO t VALUES(1)")
	if s := engine.Stats(); s.DurableFrames != s.LogFrames {
		t.Errorf("frames up to %d are durable, %d are published", s.DurableFrames, s.LogFrames)
	}
}

// TestCheckpointPragma: SQLite's three columns.
func TestCheckpointPragma(t *testing.T) {
	path := newFile(t)
	db := open(t, path, "_busy_timeout=50")
	c := conn(t, db)
	exec1(t, c, "PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x); INSERT INTO t VALUES(1)")
	frames := fmt.Sprint(engineOf(t, path).Stats().LogFrames)
	wantQuery(t, c, "PRAGMA wal_checkpoint", "0|"+frames+"|"+frames)
	wantQuery(t, c, "PRAGMA main.wal_checkpoint(passive)", "0|"+frames+"|"+frames)
	reader := conn(t, db)
	exec1(t, reader, "BEGIN")
	wantQuery(t, reader, "SELECT count(*) FROM t", "1")
	exec1(t, c, "INSERT INTO t VALUES(2)")
	// The reader uses the database file, so nothing more can go there.
	got := get(t, c, "PRAGMA wal_checkpoint(TRUNCATE)")
	if got[:2] != "1|" {
		t.Fatalf("TRUNCATE beside a reader answers %s", got)
	}
	exec1(t, reader, "COMMIT")
	wantQuery(t, c, "PRAGMA wal_checkpoint(TRUNCATE)", "0|0|0")

	exec1(t, c, "BEGIN IMMEDIATE; INSERT INTO t VALUES(3)")
	if _, err := lines(c, "PRAGMA wal_checkpoint"); err == nil {
		t.Fatal("a checkpoint inside a write transaction of its own connection")
	}
	if got := get(t, reader, "PRAGMA wal_checkpoint(TRUNCATE)"); got[:2] != "1|" {
		t.Fatalf("TRUNCATE beside a writer answers %s", got)
	}
	exec1(t, c, "COMMIT")
	wantQuery(t, reader, "SELECT count(*) FROM t", "3")
	sound(t, c, path)
}

func TestAutoCheckpointPragma(t *testing.T) {
	path := newFile(t)
	c := conn(t, open(t, path, ""))
	wantQuery(t, c, "PRAGMA wal_autocheckpoint", "1000")
	exec1(t, c, "CREATE TABLE t(x)")
	engine := engineOf(t, path)
	wantQuery(t, c, "PRAGMA wal_autocheckpoint=10", "10")
	// Checkpoints run beside the commits, which do not wait for a log as small as
	// this one: how many commits it takes until one has ended and the log begins
	// anew is up to the machine. With the default, 1000 frames, none would in
	// these.
	for i := 0; engine.Stats().Restarts == 0; i++ {
		if i == 400 {
			t.Fatalf("at 10 frames, after %d commits: %+v", i, engine.Stats())
		}
		exec1(t, c, "INSERT INTO t VALUES(zeroblob(3000))")
		if i%20 == 19 {
			get(t, c, "PRAGMA wal_checkpoint") // waits for the one that runs
		}
	}
	get(t, c, "PRAGMA wal_checkpoint") // waits for the last one
	wantQuery(t, c, "PRAGMA wal_autocheckpoint=0", "0")
	before := engine.Stats().Checkpoints
	for range 100 {
		exec1(t, c, "INSERT INTO t VALUES(zeroblob(3000))")
	}
	if s := engine.Stats(); s.Checkpoints != before || s.LogFrames < 100 {
		t.Errorf("turned off: %d checkpoints, %d frames in the log", s.Checkpoints-before, s.LogFrames)
	}
	sound(t, c, path)
}

// TestMmapSizePragma: the limit holds for all connections, and what is read does
// not depend on it.
func TestMmapSizePragma(t *testing.T) {
	path := newFile(t)
	db := open(t, path, "")
	a, b := conn(t, db), conn(t, db)
	exec1(t, a, "PRAGMA cache_size=1; CREATE TABLE t(x); WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<300) INSERT INTO t SELECT zeroblob(2000) FROM n")
	get(t, a, "PRAGMA wal_checkpoint(TRUNCATE)")
	all := get(t, a, "PRAGMA mmap_size")
	limits := []string{"0", "65536", "0"}
	if all == "0" {
		limits = []string{"0"} // files are not mapped here
	}
	for _, limit := range limits {
		wantQuery(t, a, "PRAGMA mmap_size="+limit, limit)
		wantQuery(t, b, "PRAGMA mmap_size", limit)
		for range 3 {
			wantQuery(t, b, "SELECT count(*), sum(length(x)) FROM t", "300|600000")
		}
	}
	wantQuery(t, b, "PRAGMA mmap_size=-1", all)
	sound(t, a, path)
}

// TestHeaderPragmas: values in the header of page 1, and data_version, which
// tells of commits by others only.
func TestHeaderPragmas(t *testing.T) {
	path := newFile(t)
	db := open(t, path, "")
	a, b := conn(t, db), conn(t, db)
	exec1(t, a, "PRAGMA application_id=1234567; PRAGMA user_version=-42; CREATE TABLE t(x)")
	wantQuery(t, b, "PRAGMA application_id", "1234567")
	wantQuery(t, b, "PRAGMA user_version", "-42")
	exec1(t, a, "BEGIN; PRAGMA user_version=9; ROLLBACK")
	wantQuery(t, a, "PRAGMA user_version", "-42")

	version := get(t, a, "PRAGMA data_version")
	exec1(t, a, "INSERT INTO t VALUES(1)")
	wantQuery(t, a, "PRAGMA data_version", version)
	exec1(t, b, "INSERT INTO t VALUES(2)")
	if v := get(t, a, "PRAGMA data_version"); v == version {
		t.Error("data_version is the same after another connection's commit")
	}
	version = get(t, a, "PRAGMA data_version")
	if err := engineOf(t, path).Update(ctx, func(tx *walnut.Tx) error {
		_, err := tx.Write(walnut.PageNo(tx.PageCount()))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if v := get(t, a, "PRAGMA data_version"); v == version {
		t.Error("data_version is the same after a commit through the page interface")
	}
	sound(t, a, path)
	want(t, "sqlite3", sqlite3(t, freeze(t, path), "PRAGMA application_id; PRAGMA user_version;"), "1234567\n-42")
}

func TestPageSizePragma(t *testing.T) {
	path := newFile(t)
	c := conn(t, open(t, path, ""))
	exec1(t, c, "PRAGMA page_size=8192; CREATE TABLE t(x); INSERT INTO t VALUES(zeroblob(30000))")
	wantQuery(t, c, "PRAGMA page_size", "8192")
	// As in SQLite's WAL mode, it stays what it is.
	exec1(t, c, "PRAGMA page_size=1024; VACUUM")
	wantQuery(t, c, "PRAGMA page_size", "8192")
	wantQuery(t, c, "SELECT length(x) FROM t", "30000")
	sound(t, c, path)
}

// TestOtherPragmas: settings of a connection that touch no file work as ever.
func TestOtherPragmas(t *testing.T) {
	c := conn(t, open(t, newFile(t), ""))
	for _, p := range []struct{ set, get, answer string }{
		{"PRAGMA cache_size=77", "PRAGMA cache_size", "77"},
		{"PRAGMA busy_timeout=1234", "PRAGMA busy_timeout", "1234"},
		{"PRAGMA foreign_keys=0", "PRAGMA foreign_keys", "0"},
		{"PRAGMA secure_delete=1", "PRAGMA secure_delete", "1"},
		{"PRAGMA encoding='UTF-16le'; CREATE TABLE t(x); INSERT INTO t VALUES('é')", "SELECT x, hex(x) FROM t", "é|E900"},
		{"PRAGMA mmap_size=1000000", "SELECT x FROM t", "é"},
		{"PRAGMA max_page_count=3", "PRAGMA max_page_count", "3"},
		{"PRAGMA shrink_memory", "PRAGMA quick_check", "ok"},
	} {
		exec1(t, c, p.set)
		wantQuery(t, c, p.get, p.answer)
	}
	_, err := c.ExecContext(ctx, "INSERT INTO t VALUES(zeroblob(90000))")
	wantErr(t, err, nil, "full")
	wantQuery(t, c, "PRAGMA integrity_check", "ok")
}
