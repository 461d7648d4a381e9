// SQLite's features on our log: each works, and what it wrote is sound to C
// SQLite too.

package sqltest

import (
	"bytes"
	"database/sql"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sqlite "github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/ext/serdes"

	"github.com/walnutdb/walnut/driver"
)

// TestFeatures runs scripts; the last statement of each answers.
func TestFeatures(t *testing.T) {
	for _, c := range []struct{ name, script, query, answer string }{
		{"generated columns", "CREATE TABLE t(a, b AS (a*2), c AS (a*3) STORED); INSERT INTO t(a) VALUES(2)", "SELECT a, b, c FROM t", "2|4|6"},
		{"upsert", "CREATE TABLE t(k PRIMARY KEY, n); INSERT INTO t VALUES('a',1); INSERT INTO t VALUES('a',5) ON CONFLICT(k) DO UPDATE SET n = n + excluded.n", "SELECT * FROM t", "a|6"},
		{"returning", "CREATE TABLE t(id INTEGER PRIMARY KEY, x)", "INSERT INTO t(x) VALUES(7),(8) RETURNING id, x", "1|7\n2|8"},
		{"without rowid", "CREATE TABLE t(a, b, PRIMARY KEY(b, a)) WITHOUT ROWID; INSERT INTO t VALUES(1,2),(3,1)", "SELECT * FROM t", "3|1\n1|2"},
		{"triggers", "CREATE TABLE t(x); CREATE TABLE log(y); CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO log VALUES(new.x*10); END; INSERT INTO t VALUES(1),(2)", "SELECT * FROM log", "10\n20"},
		{"json", "CREATE TABLE t(j); INSERT INTO t VALUES('{\"a\":[1,2,{\"b\":3}]}')", "SELECT j->>'$.a[2].b', json_array_length(j,'$.a') FROM t", "3|3"},
		{"window", "CREATE TABLE t(x); INSERT INTO t VALUES(1),(2),(3)", "SELECT sum(x) OVER (ORDER BY x) FROM t", "1\n3\n6"},
		{"fts5", "CREATE VIRTUAL TABLE f USING fts5(body); INSERT INTO f VALUES('the quick walnut'),('a slow chestnut'); INSERT INTO f(f) VALUES('optimize'); DELETE FROM f WHERE rowid = 2", "SELECT rowid FROM f('walnut OR chestnut')", "1"},
		{"rtree", "CREATE VIRTUAL TABLE r USING rtree(id, x0, x1); INSERT INTO r VALUES(1,0,5),(2,10,20)", "SELECT id FROM r WHERE x0 > 4", "2"},
		{"temp tables", "CREATE TEMP TABLE t(x); INSERT INTO t VALUES(1); CREATE TABLE main.t(x); CREATE TEMP TABLE big AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 2000) SELECT i, zeroblob(1000) FROM n", "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM main.t), (SELECT count(*) FROM big)", "1|0|2000"},
		{"strict", "CREATE TABLE t(x INTEGER) STRICT", "SELECT strict FROM pragma_table_list('t')", "1"},
		{"collation order", "CREATE TABLE t(x COLLATE NOCASE); INSERT INTO t VALUES('b'),('A'); REINDEX; ANALYZE", "SELECT x FROM t ORDER BY x", "A\nb"},
		{"large sort", "CREATE TABLE t(x, pad); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 3000) INSERT INTO t SELECT i*7919 % 3001, zeroblob(2000) FROM n", "SELECT x FROM t ORDER BY x, pad LIMIT 2", "1\n2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := newFile(t)
			conn := conn(t, open(t, path, "_pragma=cache_size(10)"))
			exec1(t, conn, c.script)
			wantQuery(t, conn, c.query, c.answer)
			wantQuery(t, conn, "PRAGMA integrity_check", "ok")
			if c.name != "rtree" { // not in every sqlite3 command
				sound(t, conn, path)
			}
		})
	}
}

func TestForeignKeys(t *testing.T) {
	path := newFile(t)
	c := conn(t, open(t, path, ""))
	exec1(t, c, "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE k(p REFERENCES p(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED)")
	exec1(t, c, "INSERT INTO p VALUES(1); INSERT INTO k VALUES(1),(1); DELETE FROM p")
	wantQuery(t, c, "SELECT count(*) FROM k", "0")
	exec1(t, c, "BEGIN; INSERT INTO k VALUES(9)")
	_, err := c.ExecContext(ctx, "COMMIT")
	wantErr(t, err, sqlite.CONSTRAINT_FOREIGNKEY, "")
	exec1(t, c, "INSERT INTO p VALUES(9); COMMIT")
	wantQuery(t, c, "SELECT count(*) FROM k", "1")
	sound(t, c, path)
}

func TestVacuum(t *testing.T) {
	path := newFile(t)
	db := open(t, path, "_pragma=cache_size(5)")
	c := conn(t, db)
	exec1(t, c, "CREATE TABLE t(id INTEGER PRIMARY KEY, pad); CREATE INDEX i ON t(pad)")
	exec1(t, c, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 400) INSERT INTO t SELECT i, zeroblob(1000) FROM n; DELETE FROM t WHERE id % 3 > 0")
	reader := conn(t, db)
	exec1(t, reader, "BEGIN")
	before := get(t, reader, "PRAGMA page_count")
	exec1(t, c, "VACUUM")
	wantQuery(t, reader, "PRAGMA page_count", before)
	wantQuery(t, reader, "PRAGMA integrity_check", "ok")
	exec1(t, reader, "COMMIT")
	if after := get(t, reader, "PRAGMA page_count"); len(after) > len(before) || after >= before {
		t.Fatalf("VACUUM: %s pages, %s before", after, before)
	}
	wantQuery(t, reader, "SELECT count(*) FROM t", "133")
	sound(t, c, path)

	// A transaction open on the same connection refuses it, and is not hurt.
	exec1(t, c, "BEGIN; INSERT INTO t VALUES(5000, '')")
	_, err := c.ExecContext(ctx, "VACUUM")
	wantErr(t, err, nil, "within a transaction")
	exec1(t, c, "COMMIT")
	wantQuery(t, c, "SELECT count(*) FROM t", "134")
}

func TestVacuumInto(t *testing.T) {
	path := newFile(t)
	c := conn(t, open(t, path, ""))
	exec1(t, c, "CREATE TABLE t(x); INSERT INTO t VALUES(zeroblob(50000)); DELETE FROM t; INSERT INTO t VALUES(1)")
	into := filepath.Join(t.TempDir(), "into.db")
	exec1(t, c, "VACUUM INTO ?", into)
	want(t, "sqlite3", sqlite3(t, into, "SELECT x FROM t; PRAGMA integrity_check;"), "1\nok")
	wantQuery(t, open(t, into, ""), "SELECT x FROM t", "1")
	_, err := c.ExecContext(ctx, "VACUUM INTO ?", path)
	wantErr(t, err, nil, "")
	sound(t, c, path)
}

// TestAutoVacuum: both modes shrink the file, and the shrunken log is sound.
func TestAutoVacuum(t *testing.T) {
	for mode, name := range []string{1: "full", 2: "incremental"} {
		if name == "" {
			continue
		}
		path := newFile(t)
		c := conn(t, open(t, path, fmt.Sprintf("_pragma=auto_vacuum(%s)&_pragma=cache_size(5)", name)))
		exec1(t, c, "CREATE TABLE t(x); INSERT INTO t VALUES(zeroblob(400000))")
		wantQuery(t, c, "PRAGMA auto_vacuum", fmt.Sprint(mode))
		exec1(t, c, "DELETE FROM t")
		if name == "incremental" {
			exec1(t, c, "PRAGMA incremental_vacuum(10)")
			sound(t, c, path)
			exec1(t, c, "PRAGMA incremental_vacuum")
		}
		wantQuery(t, c, "PRAGMA freelist_count", "0")
		wantQuery(t, c, "PRAGMA wal_checkpoint(TRUNCATE)", "0|0|0")
		if info, err := os.Stat(path); err != nil || info.Size() > 5*4096 {
			t.Fatalf("%s: %v bytes, %v", name, info.Size(), err)
		}
		sound(t, c, path)
	}
}

// TestAttach: one transaction over two files of ours, committed and rolled back,
// and a file that is attached twice.
func TestAttach(t *testing.T) {
	a, b := newFile(t), newFile(t)
	db := open(t, a, "")
	c := conn(t, db)
	exec1(t, c, "CREATE TABLE t(x)")
	exec1(t, c, "ATTACH ? AS other", "file:"+b+"?vfs=walnut")
	exec1(t, c, "CREATE TABLE other.u(x)")
	exec1(t, c, "BEGIN; INSERT INTO t VALUES(1); INSERT INTO other.u VALUES(2); COMMIT")
	exec1(t, c, "BEGIN; INSERT INTO t VALUES(10); INSERT INTO other.u VALUES(20); SAVEPOINT s; INSERT INTO u VALUES(30); ROLLBACK TO s; ROLLBACK")
	exec1(t, c, "INSERT INTO t SELECT x FROM u")
	wantQuery(t, c, "SELECT (SELECT group_concat(x) FROM t), (SELECT group_concat(x) FROM u)", "1,2|2")
	second := open(t, b, "")
	wantQuery(t, second, "SELECT group_concat(x) FROM u", "2")
	exec1(t, second, "INSERT INTO u VALUES(3)")
	wantQuery(t, c, "SELECT group_concat(x) FROM u", "2,3")
	wantQuery(t, c, "PRAGMA other.journal_mode", "wal")
	wantQuery(t, c, "PRAGMA other.wal_checkpoint(TRUNCATE)", "0|0|0")
	for _, p := range []string{a, b} {
		if exists(p + "-journal") {
			t.Fatal("a journal was made")
		}
		want(t, "sqlite3", sqlite3(t, freeze(t, p), "PRAGMA integrity_check;"), "ok")
	}
	// Another writer in one of them: the transaction over both waits for it
	// or fails as a whole.
	exec1(t, c, "PRAGMA busy_timeout = 0")
	hold := conn(t, second)
	exec1(t, hold, "BEGIN IMMEDIATE")
	exec1(t, c, "BEGIN; INSERT INTO t VALUES(100)")
	_, err := c.ExecContext(ctx, "INSERT INTO u VALUES(100)")
	wantErr(t, err, sqlite.BUSY, "")
	exec1(t, c, "ROLLBACK")
	exec1(t, hold, "ROLLBACK")
	wantQuery(t, c, "SELECT count(*) FROM t WHERE x = 100", "0")
	exec1(t, c, "DETACH other")
	_, err = lines(c, "SELECT * FROM u")
	wantErr(t, err, nil, "no such table")
}

// raw runs f with SQLite's own connection.
func raw(t testing.TB, c *sql.Conn, f func(*sqlite.Conn) error) {
	t.Helper()
	if err := c.Raw(func(dc any) error { return f(dc.(driver.Conn).Raw()) }); err != nil {
		t.Fatal(err)
	}
}

// TestBlobIO: incremental reads and writes, with commits of this and of another
// connection while the handle is open.
func TestBlobIO(t *testing.T) {
	path := newFile(t)
	db := open(t, path, "_pragma=cache_size(4)")
	c, other := conn(t, db), conn(t, db)
	exec1(t, c, "CREATE TABLE b(id INTEGER PRIMARY KEY, data); CREATE TABLE t(x); INSERT INTO b VALUES(1, zeroblob(100000)),(2, zeroblob(10))")
	pattern := bytes.Repeat([]byte("walnut"), 100000/6+1)[:100000]
	raw(t, c, func(s *sqlite.Conn) error {
		blob, err := s.OpenBlob("main", "b", "data", 1, true)
		if err != nil {
			return err
		}
		if _, err := blob.Write(pattern[:60000]); err != nil {
			return err
		}
		if err := s.Exec("INSERT INTO t VALUES('a commit under the open handle')"); err != nil {
			return err
		}
		if _, err := blob.Write(pattern[60000:]); err != nil {
			return err
		}
		return blob.Close()
	})
	want(t, "the blob", get(t, other, "SELECT data FROM b WHERE id = 1"), string(pattern))

	raw(t, c, func(s *sqlite.Conn) error {
		blob, err := s.OpenBlob("main", "b", "data", 1, false)
		if err != nil {
			return err
		}
		defer func() { _ = blob.Close() }()
		got := make([]byte, 40000)
		if _, err := io.ReadFull(blob, got); err != nil {
			return err
		}
		exec1(t, other, "UPDATE b SET data = 'overwritten by another connection' WHERE id = 1")
		rest := make([]byte, 60000)
		if _, err := io.ReadFull(blob, rest); err != nil {
			return fmt.Errorf("under a commit of another connection: %w", err)
		}
		want(t, "the blob, read", string(append(got, rest...)), string(pattern))
		return nil
	})
	wantQuery(t, c, "SELECT data FROM b WHERE id = 1", "overwritten by another connection")
	sound(t, c, path)
}

// TestBackup goes out to an ordinary file while others write, and back in.
func TestBackup(t *testing.T) {
	path := newFile(t)
	db := open(t, path, "")
	c, other := conn(t, db), conn(t, db)
	exec1(t, c, "CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t VALUES(1, zeroblob(200000))")
	out := filepath.Join(t.TempDir(), "out.db")
	raw(t, c, func(s *sqlite.Conn) error {
		b, err := s.BackupInit("main", "file:"+out)
		if err != nil {
			return err
		}
		defer func() { _ = b.Close() }()
		for i := 2; ; i++ {
			done, err := b.Step(20)
			if done || err != nil {
				return err
			}
			if i < 5 {
				exec1(t, other, "INSERT INTO t VALUES(?, 'beside the backup')", i)
			}
		}
	})
	wantQuery(t, db, "SELECT count(*) FROM t", "4")
	want(t, "the backup", sqlite3(t, out, "SELECT count(*), sum(length(x)) FROM t; PRAGMA integrity_check;"), "4|200051\nok")

	sqlite3(t, out, "DELETE FROM t WHERE id > 1; INSERT INTO t VALUES(77, 'from outside');")
	raw(t, c, func(s *sqlite.Conn) error { return s.Restore("main", "file:"+out) })
	wantQuery(t, other, "SELECT group_concat(id) FROM t", "1,77")
	sound(t, c, path)

	small := filepath.Join(t.TempDir(), "small.db")
	sqlite3(t, small, "PRAGMA page_size=1024; CREATE TABLE s(x);")
	err := c.Raw(func(dc any) error { return dc.(driver.Conn).Raw().Restore("main", "file:"+small) })
	wantErr(t, err, nil, "")
	wantQuery(t, other, "SELECT group_concat(id) FROM t", "1,77")
	sound(t, c, path)
}

func TestSerialize(t *testing.T) {
	path := newFile(t)
	c := conn(t, open(t, path, ""))
	exec1(t, c, "CREATE TABLE t(x); INSERT INTO t VALUES(1),(2)")
	var image []byte
	raw(t, c, func(s *sqlite.Conn) (err error) {
		image, err = serdes.Serialize(s, "main")
		return err
	})
	out := filepath.Join(t.TempDir(), "image.db")
	if err := os.WriteFile(out, image, 0o644); err != nil {
		t.Fatal(err)
	}
	want(t, "sqlite3", sqlite3(t, out, "SELECT sum(x) FROM t; PRAGMA integrity_check;"), "3\nok")
	wantQuery(t, open(t, out, ""), "SELECT sum(x) FROM t", "3")
}

func TestLargeValues(t *testing.T) {
	path := newFile(t)
	c := conn(t, open(t, path, "_pragma=cache_size(10)&_pragma=page_size(512)"))
	exec1(t, c, "CREATE TABLE t(x)")
	big := strings.Repeat("0123456789", 300_000)
	exec1(t, c, "INSERT INTO t VALUES(?)", big)
	if got := get(t, c, "SELECT x FROM t"); got != big {
		t.Fatalf("%d bytes came back", len(got))
	}
	exec1(t, c, "UPDATE t SET x = 'small'")
	sound(t, c, path)
}
