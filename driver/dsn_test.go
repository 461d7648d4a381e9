// Tests of the data source name: the grammar, and what connecting makes of it.

package driver

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
)

func TestParseDSN(t *testing.T) {
	auto := timeFormats["auto"]
	base := func(path string) dsn { return dsn{path: path, busy: time.Minute, times: auto} }
	with := func(path string, f func(*dsn)) dsn { d := base(path); f(&d); return d }
	mem := with("", func(d *dsn) { d.memory = true })
	tests := []struct {
		name string
		want dsn
	}{
		{"app.db", base("app.db")},
		{"/abs/app.db", base("/abs/app.db")},
		{"file:app.db", base("app.db")},
		{"file:a%20b%3Fc%23.db", base("a b?c#.db")},
		{"a%20b.db", base("a%20b.db")},
		{"a#b.db", base("a#b.db")},
		{"file:app.db#fragment?mode=bad", base("app.db")},
		{"file:app.db?#x", base("app.db")},
		{"file:/abs/app.db", base("/abs/app.db")},
		{"file:///abs/app.db", base("/abs/app.db")},
		{"file://localhost/abs/app.db", base("/abs/app.db")},
		{"file:dir/../app.db?mode=rwc&cache=private&vfs=walnut&nolock=0&immutable=0", base("dir/../app.db")},
		{"app.db?mode=rw", with("app.db", func(d *dsn) { d.noCreate = true })},
		{"app.db?_txlock=immediate&", with("app.db", func(d *dsn) { d.txLock = lockImmediate })},
		{"app.db?_txlock=exclusive", with("app.db", func(d *dsn) { d.txLock = lockExclusive })},
		{"app.db?_txlock=deferred", base("app.db")},
		{"app.db?_busy_timeout=5s", with("app.db", func(d *dsn) { d.busy = 5 * time.Second })},
		{"app.db?_busy_timeout=5000", with("app.db", func(d *dsn) { d.busy = 5 * time.Second })},
		{"app.db?_busy_timeout=0", with("app.db", func(d *dsn) { d.busy = 0 })},
		{"app.db?_timefmt=sqlite", with("app.db", func(d *dsn) { d.times = timeFormats["sqlite"] })},
		{"app.db?_pragma=foreign_keys(0)&_pragma=main.cache_size%3D-100&_pragma=optimize",
			with("app.db", func(d *dsn) { d.pragmas = []string{"foreign_keys(0)", "main.cache_size=-100", "optimize"} })},
		{"app.db?_max_log_size=1048576&_max_side_bytes=2GiB", with("app.db", func(d *dsn) { d.limits.LogBytes, d.limits.SideBytes = 1<<20, 2<<30 })},
		{"app.db?_max_log_size=16MiB&_max_writer_hold=50&_reader_grace=2s", with("app.db", func(d *dsn) {
			d.limits = limits{LogBytes: 16 << 20, WriterHold: 50 * time.Millisecond, ReaderGrace: 2 * time.Second}
		})},
		{"app.db?_max_log_size=0&_max_writer_hold=0&_reader_grace=0&_max_side_bytes=0", with("app.db", func(d *dsn) {
			d.limits = limits{LogBytes: -1, WriterHold: -1, ReaderGrace: -1}
		})},
		{":memory:", mem},
		{"file::memory:", mem},
		{"file::memory:?mode=memory", mem},
		{"file:any?mode=memory", with("any", func(d *dsn) { d.memory = true })},
		{"app.db?mode=ro", with("app.db", func(d *dsn) { d.noCreate, d.readOnly = true, true })},
		{"app.db?immutable=1&mode=ro", with("app.db", func(d *dsn) { d.noCreate, d.readOnly, d.immutable = true, true, true })},
		{"file:?mode=memory", mem},
	}
	for _, tt := range tests {
		got, err := parseDSN(tt.name)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		pragmas := slices.Equal(got.pragmas, tt.want.pragmas)
		if got.pragmas, tt.want.pragmas = nil, nil; !pragmas || !equalDSN(got, tt.want) {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func equalDSN(a, b dsn) bool {
	return a.path == b.path && a.memory == b.memory && a.noCreate == b.noCreate &&
		a.readOnly == b.readOnly && a.immutable == b.immutable &&
		a.txLock == b.txLock && a.busy == b.busy && a.times == b.times
}

func TestParseDSNErrors(t *testing.T) {
	tests := []struct{ name, part string }{
		{"", "no path"},
		{"file:", "no path"},
		{"file://", "no path"},
		{"?mode=rw", "no path"},
		{"file://example.com/app.db", "host must be empty"},
		{"file:%zz", "bad path"},
		{"file:a%00b", "NUL"},
		{"app.db?immutable=1", "needs mode=ro"},
		{"app.db?mode=ro&immutable=2", "0, 1"},
		{"app.db?mode=rx", "rwc, rw, ro, memory"},
		{"app.db?_txlock=imediate", "deferred, immediate, exclusive"},
		{"app.db?_txlok=immediate", "unknown parameter _txlok"},
		{"app.db?Mode=rw", "unknown parameter Mode"},
		{"app.db?_busy_timeout=-1", "_busy_timeout"},
		{"app.db?_busy_timeout=soon", "_busy_timeout"},
		{"app.db?_busy_timeout=1000h", "_busy_timeout"},
		{"app.db?_busy_timeout=99999999999", "_busy_timeout"},
		{"app.db?_max_log_size=-1", "64MiB"},
		{"app.db?_max_log_size=1MB", "64MiB"},
		{"app.db?_max_side_bytes=9999999999GiB", "GiB"},
		{"app.db?_max_writer_hold=-1s", "200ms"},
		{"app.db?_reader_grace=soon", "200ms"},
		{"app.db?_timefmt=2006", "_timefmt"},
		{"app.db?_pragma=", "_pragma"},
		{"app.db?_pragma=a(1);drop", "_pragma"},
		{"app.db?_pragma=a(1)%3Bdrop", "_pragma"},
		{"app.db?_journal_mode=WAL", "_pragma=journal_mode(value)"},
		{"app.db?_fk=1", "_pragma=foreign_keys(value)"},
		{"app.db?nolock=1", "live log"},
		{"app.db?vfs=unix", "its own VFS"},
		{"app.db?cache=shared", "memory database"},
		{"app.db?mode=rw&mode=rwc", "given twice"},
		{"app.db?mode=%q", "bad parameter"},
	}
	for _, tt := range tests {
		_, err := sql.Open("walnut", tt.name)
		wantError(t, err, tt.part)
	}
}

func FuzzParseDSN(f *testing.F) {
	for _, s := range []string{"", "app.db?_txlock=immediate", "file:///a%20b?_pragma=a(1)&mode=rw#x", ":memory:", "file://h/p", "\x00?%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		d, err := parseDSN(name)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "walnut: ") {
				t.Errorf("%q: error %q does not say whose it is", name, err)
			}
			return
		}
		if !d.memory && d.path == "" {
			t.Errorf("%q: %+v is neither a file nor memory", name, d)
		}
		if d.busy < 0 || strings.ContainsRune(d.path, 0) {
			t.Errorf("%q: %+v", name, d)
		}
		// What SQLite gets leads back to the same path.
		path, _, err := splitDSN(sqliteURI(d))
		if err != nil || !d.memory && path != filepath.ToSlash(d.path) {
			t.Errorf("%q: %q becomes %q, which is %q, %v", name, d.path, sqliteURI(d), path, err)
		}
	})
}

func TestOddPaths(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a b.db", "a%20b.db", "a#b.db", "ä?.db", "a&b=c.db"} {
		db := openAt(t, filepath.Join(dir, name), "")
		mustExec(t, db, "CREATE TABLE t(x)")
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestRelativePathSurvivesChdir(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	db, err := sql.Open("walnut", "app.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	t.Chdir(t.TempDir())
	mustExec(t, db, "CREATE TABLE t(x)")
	if _, err := os.Stat(filepath.Join(dir, "app.db")); err != nil {
		t.Error(err)
	}
}

func TestConnectErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, part string }{
		{filepath.Join(dir, "no", "app.db"), "does not exist"},
		{filepath.Join(file, "app.db"), "walnut: "},
		{dir, "is a directory"},
		{filepath.Join(dir, "absent.db") + "?mode=rw", "mode=rw does not create"},
		{file, "not a SQLite database"},
		{":memory:?_pragma=foriegn_keys(1)", "no pragma foriegn_keys"},
	}
	for _, tt := range tests {
		db, err := sql.Open("walnut", tt.name)
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, db.Ping(), tt.part)
		db.Close()
	}
}

func TestSettings(t *testing.T) {
	calls := 0
	db := openDB(t, "_busy_timeout=1234&_pragma=foreign_keys(0)&_pragma=cache_size=-100",
		WithInit(func(c *sqlite3.Conn) error { calls++; return c.Exec("CREATE TEMP TABLE mine(x)") }))
	for range 2 {
		c := oneConn(t, db)
		want(t, "busy_timeout", get[int](t, c, "PRAGMA busy_timeout"), 1234)
		want(t, "foreign_keys", get[int](t, c, "PRAGMA foreign_keys"), 0)
		want(t, "cache_size", get[int](t, c, "PRAGMA cache_size"), -100)
		mustExec(t, c, "INSERT INTO mine VALUES (1)")
	}
	want(t, "init calls", calls, 2)

	db = openDB(t, "")
	want(t, "default busy_timeout", get[int](t, db, "PRAGMA busy_timeout"), 60000)
}

func TestInitFails(t *testing.T) {
	failure := errors.New("no such luck")
	n, err := NewConnector(":memory:", WithInit(func(*sqlite3.Conn) error { return failure }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Connect(t.Context()); !errors.Is(err, failure) {
		t.Error(err)
	}
	if _, err := NewConnector(":memory:", WithMaxMemory(-1)); err == nil {
		t.Error("a negative limit passed")
	}
}

func TestConnectorLife(t *testing.T) {
	n, err := NewConnector(filepath.Join(t.TempDir(), "a.db"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Connect(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("connect with a context that is done: %v", err)
	}
	c, err := n.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Close(), c.Close(), n.Close(), n.Close()); err != nil {
		t.Error(err)
	}
	_, err = n.Connect(t.Context())
	wantError(t, err, "connector is closed")
}

func TestLegacyOpen(t *testing.T) {
	c, err := Driver{}.Open(filepath.Join(t.TempDir(), "a.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := (Driver{}).Open("?"); err == nil {
		t.Error("an empty path was opened")
	}
	if _, err := (Driver{}).Open(filepath.Join(t.TempDir(), "no", "a.db")); err == nil {
		t.Error("a file was created in no directory")
	}
}

func TestMemory(t *testing.T) {
	t.Chdir(t.TempDir())
	open := func(name string) *sql.DB {
		db, err := sql.Open("walnut", name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	for _, tt := range []struct {
		name   string
		shared bool
	}{{":memory:", false}, {"file::memory:", false}, {"file:x?mode=memory", true}} {
		db, other := open(tt.name), open(tt.name)
		mustExec(t, db, "CREATE TABLE t(x); INSERT INTO t VALUES (1)")
		// A second connection of the pool sees the same database.
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		mustExec(t, db, "INSERT INTO t VALUES (2)")
		want(t, "rows", get[int](t, tx, "SELECT count(*) FROM t"), 2)
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		want(t, "tables of another pool", get[int](t, other, "SELECT count(*) FROM sqlite_schema"), map[bool]int{true: 1}[tt.shared])
		if err := errors.Join(db.Close(), other.Close()); err != nil {
			t.Fatal(err)
		}
		want(t, "tables after all have closed", get[int](t, open(tt.name), "SELECT count(*) FROM sqlite_schema"), 0)
		if files, _ := os.ReadDir("."); len(files) > 0 {
			t.Errorf("%s left %v", tt.name, files)
		}
	}
}

// Other names on a connection to a database in memory are files.
func TestMemoryBesideFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	db, err := sql.Open("walnut", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // for ATTACH
	mustExec(t, db, "CREATE TABLE t(x); INSERT INTO t VALUES (1); VACUUM INTO 'copy.db'")
	want(t, "rows of the copy", get[int](t, openAt(t, "copy.db", ""), "SELECT count(*) FROM t"), 1)
	mustExec(t, db, "ATTACH 'more.db' AS m; CREATE TABLE m.u AS SELECT * FROM t; DETACH m")
	want(t, "rows of the attached file", get[int](t, openAt(t, "more.db", ""), "SELECT count(*) FROM u"), 1)
}

func TestReadOnlyOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db := openAt(t, path, "")
	mustExec(t, db, "CREATE TABLE t(x); INSERT INTO t VALUES (1)")
	ro := openAt(t, path, "mode=ro")
	want(t, "rows", get[int](t, ro, "SELECT count(*) FROM t"), 1)
	_, err := ro.Exec("INSERT INTO t VALUES (2)")
	wantError(t, err, "readonly")
	_, err = ro.Exec("PRAGMA wal_checkpoint")
	wantError(t, err, "readonly")
	mustExec(t, db, "INSERT INTO t VALUES (2)")
	want(t, "rows after another's commit", get[int](t, ro, "SELECT count(*) FROM t"), 2)
	if err := errors.Join(db.Close(), ro.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o444); err != nil {
		t.Fatal(err)
	}
	for range 2 { // no lock is taken, so two processes could
		frozen := openAt(t, path, "mode=ro&immutable=1")
		want(t, "rows of an immutable file", get[int](t, frozen, "SELECT count(*) FROM t"), 2)
		_, err = frozen.Exec("INSERT INTO t VALUES (3)")
		wantError(t, err, "readonly")
	}
	_, err = os.Stat(path + "-wal")
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a log: %v", err)
	}
}
