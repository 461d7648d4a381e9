// The keeper when its rules are broken, and on a disk that fails.

package sqlitevfs

import (
	"errors"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/walnutdb/walnut/disk/faultdisk"
)

// read runs a plain read as the driver does.
func read(k *Keeper, s *sqlite3.Stmt) (v int64, err error) {
	k.Begin()
	defer k.End()
	if s.Step() {
		v = s.ColumnInt64(0)
	}
	return v, errors.Join(s.Err(), s.Reset())
}

func prepare(t *testing.T, c *sqlite3.Conn, sql string) *sqlite3.Stmt {
	t.Helper()
	s, _, err := c.Prepare(sql)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestKeptSnapshotIsNotReadBehindTheKeeper: a statement that runs without Begin
// or Drop, after the state has changed, gets an error and not a mixture.
func TestKeptSnapshotIsNotReadBehindTheKeeper(t *testing.T) {
	_, open := onDisk(t)
	c, other := open(), open()
	run(t, other, "CREATE TABLE t(x); INSERT INTO t VALUES(1); CREATE TABLE u(x)")
	k := NewKeeper(c)
	s := prepare(t, c, "SELECT x FROM t")
	for range 3 {
		if v, err := read(k, s); err != nil || v != 1 {
			t.Fatal(v, err)
		}
	}
	if !k.on || !k.file.suspended {
		t.Fatal("nothing is kept")
	}
	// While the state is the same, the statement takes the snapshot up.
	run(t, c, "INSERT INTO t SELECT x + 1 FROM t")
	for range 3 {
		if _, err := read(k, s); err != nil {
			t.Fatal(err)
		}
	}
	run(t, other, "INSERT INTO u VALUES(1)")
	if err := c.Exec("INSERT INTO u VALUES(2)"); !errors.Is(err, sqlite3.BUSY_SNAPSHOT) {
		t.Errorf("a write on a snapshot that was given up: %v", err)
	}
	if _, err := query(t, c, "SELECT * FROM u"); !errors.Is(err, sqlite3.IOERR) {
		t.Errorf("a read in a snapshot that was given up: %v", err)
	}
	k.Drop()
	wantQuery(t, c, "SELECT count(*) FROM u", "1")
}

// TestKeptSnapshotOnFailingDisk: an IO error is the statement's, and gone with
// it.
func TestKeptSnapshotOnFailingDisk(t *testing.T) {
	d, open := onDisk(t)
	c := open()
	run(t, c, "CREATE TABLE t(x); INSERT INTO t VALUES(1); CREATE TABLE u AS SELECT zeroblob(30000) AS x")
	if err := c.Close(); err != nil { // what is in memory goes
		t.Fatal(err)
	}
	c = open()
	k := NewKeeper(c)
	s, large := prepare(t, c, "SELECT x FROM t"), prepare(t, c, "SELECT count(*) FROM u WHERE x <> '' ")
	for range 3 {
		if v, err := read(k, s); err != nil || v != 1 {
			t.Fatal(v, err)
		}
	}
	failure := errors.New("a scratch")
	in := d.Inject(faultdisk.Fault{Op: faultdisk.OpRead, Sticky: true, Err: failure})
	if _, err := read(k, large); !errors.Is(err, failure) {
		t.Errorf("the disk's error is not told: %v", err)
	}
	if k.on {
		t.Error("a snapshot in which an error was met is kept")
	}
	in.Remove()
	for range 3 {
		if v, err := read(k, large); err != nil || v != 1 {
			t.Fatal(v, err)
		}
	}
	if !k.on {
		t.Error("nothing is kept afterwards")
	}
}

// TestKeepable: only what cannot change anything.
func TestKeepable(t *testing.T) {
	_, open := onDisk(t)
	c := open()
	run(t, c, "CREATE TABLE t(x)")
	if err := Init(c); err != nil {
		t.Fatal(err)
	}
	for sql, want := range map[string]bool{
		"SELECT * FROM t":                      true,
		"select 1":                             true,
		"WITH a AS (SELECT 1) SELECT * FROM a": true,
		"VALUES(1)":                            true,
		"WITH a AS (SELECT 1) INSERT INTO t SELECT 1": false,
		"INSERT INTO t VALUES(1) RETURNING x":         false,
		"PRAGMA user_version":                         false,
		"BEGIN":                                       false,
		"COMMIT":                                      false,
		"SAVEPOINT a":                                 false,
		"EXPLAIN SELECT 1":                            false,
		"ATTACH ':memory:' AS b":                      false,
		"SELECT Walnut_WAL_checkpoint('main', 'full')": false,
	} {
		if got := Keepable(prepare(t, c, sql), sql); got != want {
			t.Errorf("%s: %v", sql, got)
		}
	}
}
