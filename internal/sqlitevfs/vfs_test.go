// The VFS on a faulty disk: which of the engine's errors reach SQL, and as what;
// the pragma that is rewritten; and what SQLite is told of the device.

package sqlitevfs

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/pager"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

// onDisk registers a VFS of its own on a faulty disk.
func onDisk(t *testing.T) (*faultdisk.Disk, func() *sqlite3.Conn) {
	t.Helper()
	d := faultdisk.New(1)
	name := strings.ReplaceAll(t.Name(), "/", "-")
	Register(name, d)
	t.Cleanup(func() { Unregister(name) })
	return d, func() *sqlite3.Conn {
		t.Helper()
		c, err := sqlite3.Open("file:/db?vfs=" + name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
}

func run(t *testing.T, c *sqlite3.Conn, sql string) {
	t.Helper()
	if err := c.Exec(sql); err != nil {
		t.Fatalf("%.100s: %v", sql, err)
	}
}

func query(t *testing.T, c *sqlite3.Conn, sql string) (string, error) {
	t.Helper()
	s, _, err := c.Prepare(sql)
	if err != nil {
		return "", err
	}
	defer func() { _ = s.Close() }()
	var out []string
	for s.Step() {
		var cols []string
		for i := range s.ColumnCount() {
			cols = append(cols, s.ColumnText(i))
		}
		out = append(out, strings.Join(cols, "|"))
	}
	return strings.Join(out, "\n"), s.Err()
}

func wantQuery(t *testing.T, c *sqlite3.Conn, sql, want string) {
	t.Helper()
	if got, err := query(t, c, sql); err != nil || got != want {
		t.Fatalf("%s: %q, %v; want %q", sql, got, err, want)
	}
}

// TestErrorsOfCommit: the engine's error is in the chain, and says what
// happened; the statement is rolled back and the connection works on.
func TestErrorsOfCommit(t *testing.T) {
	d, open := onDisk(t)
	c, other := open(), open()
	run(t, c, "CREATE TABLE t(x); INSERT INTO t VALUES(1)")

	full := d.Inject(faultdisk.Fault{Op: faultdisk.OpGrow, Suffix: "-wal", Sticky: true, Err: disk.ErrNoSpace})
	err := c.Exec("INSERT INTO t VALUES(zeroblob(3000000))")
	if !errors.Is(err, sqlite3.FULL) {
		t.Fatalf("a full disk: %v", err)
	}
	wantQuery(t, c, "SELECT count(*) FROM t", "1")
	full.Remove()
	run(t, c, "INSERT INTO t VALUES(2)")

	d.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: "-wal"})
	err = c.Exec("INSERT INTO t VALUES(3)")
	if !errors.Is(err, sqlite3.IOERR) || !errors.Is(err, wal.ErrCommitUnknown) {
		t.Fatalf("a failed sync: %v", err)
	}
	for _, x := range []*sqlite3.Conn{c, other} {
		wantQuery(t, x, "SELECT count(*) FROM t", "2")
		if err := x.Exec("INSERT INTO t VALUES(4)"); !errors.Is(err, sqlite3.IOERR) || !errors.Is(err, wal.ErrLogFailed) {
			t.Fatalf("after a failed sync: %v", err)
		}
		wantQuery(t, x, "SELECT count(*) FROM t", "2")
		// A later success carries nothing of it.
		if err := x.Exec("no statement"); errors.Is(err, wal.ErrLogFailed) {
			t.Fatalf("an error that sticks: %v", err)
		}
	}
	if err := errors.Join(c.Close(), other.Close()); err != nil {
		t.Fatal(err)
	}
	again := open()
	wantQuery(t, again, "PRAGMA integrity_check", "ok")
	run(t, again, "INSERT INTO t VALUES(5)")
}

// TestErrorsOfReading: damage in the log is named, with file, frame and page.
func TestErrorsOfReading(t *testing.T) {
	d, open := onDisk(t)
	c := open()
	run(t, c, "PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x); INSERT INTO t VALUES(zeroblob(9000000))") // more than the pool takes of one commit
	reader := open()
	b, err := d.ReadFile("/db-wal")
	if err != nil {
		t.Fatal(err)
	}
	h, err := walformat.ParseHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	b[h.FrameOffset(10)+1000] ^= 4
	if err := d.WriteFile("/db-wal", b); err != nil {
		t.Fatal(err)
	}
	_, err = query(t, reader, "SELECT sum(length(hex(x))) FROM t")
	if !errors.Is(err, sqlite3.IOERR_DATA) || !errors.Is(err, wal.ErrCorrupt) || !strings.Contains(err.Error(), "frame 10 of /db-wal") {
		t.Fatalf("damage: %v", err)
	}
	wantQuery(t, reader, "SELECT count(*) FROM sqlite_master", "1")
}

// TestErrorsOfFaults: every operation of a statement fails once; each time the
// statement fails as a whole or works, and what is then shown is what it said.
func TestErrorsOfFaults(t *testing.T) {
	for n := 1; ; n++ {
		d, open := onDisk(t)
		c := open()
		run(t, c, "PRAGMA cache_size=2; CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t VALUES(1, zeroblob(20000))")
		in := d.FailAt(faultdisk.OpMutating|faultdisk.OpRead, n)
		err := c.Exec("BEGIN; UPDATE t SET x = zeroblob(30000); INSERT INTO t VALUES(2, zeroblob(9000)); COMMIT")
		fired := in.Fired()
		in.Remove()
		if err != nil && !c.GetAutocommit() {
			run(t, c, "ROLLBACK")
		}
		want := "2|39000"
		if err != nil {
			want = "1|20000"
		}
		wantQuery(t, c, "SELECT count(*), sum(length(x)) FROM t", want)
		failed := errors.Is(err, wal.ErrCommitUnknown)
		if err := c.Close(); err != nil && !failed {
			t.Fatalf("operation %d: close: %v", n, err)
		}
		c = open()
		if got, err := query(t, c, "SELECT count(*), sum(length(x)) FROM t"); err != nil || got != want && !(failed && got == "2|39000") {
			t.Fatalf("operation %d: after reopening %s, %v; want %s", n, got, err, want)
		}
		wantQuery(t, c, "PRAGMA integrity_check", "ok")
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if h, l := d.Handles(), d.Locked(); len(h)+len(l) != 0 {
			t.Fatalf("operation %d: left open %v, locked %v", n, h, l)
		}
		if !fired {
			t.Logf("%d operations failed", n-1)
			return
		}
	}
}

// TestCodes: what SQLite is told of each error.
func TestCodes(t *testing.T) {
	for _, c := range []struct {
		err        error
		code, ioer sqlite3.ExtendedErrorCode
	}{
		{fmt.Errorf("x: %w", coord.ErrSnapshotStale), sqlite3.BUSY_SNAPSHOT, sqlite3.IOERR_READ},
		{fmt.Errorf("x: %w", coord.ErrBusy), sqlite3.ExtendedErrorCode(sqlite3.BUSY), sqlite3.IOERR_READ},
		{fmt.Errorf("x: %w", disk.ErrNoSpace), sqlite3.ExtendedErrorCode(sqlite3.FULL), sqlite3.ExtendedErrorCode(sqlite3.FULL)},
		{fmt.Errorf("x: %w", wal.ErrCorrupt), sqlite3.IOERR_DATA, sqlite3.IOERR_DATA},
		{wal.ErrLogFailed, sqlite3.IOERR_READ, sqlite3.IOERR_READ},
	} {
		for _, got := range []struct {
			err  error
			want sqlite3.ExtendedErrorCode
		}{{code(c.err, sqlite3.IOERR_READ), c.code}, {ioCode(c.err, sqlite3.IOERR_READ), c.ioer}} {
			want := vfs.SystemError(c.err, got.want)
			if got.err != want && got.err != error(got.want) && !errors.Is(got.err, got.want) && fmt.Sprint(got.err) != fmt.Sprint(sqlite3.ErrorCode(got.want)) {
				t.Errorf("%v becomes %v, want %v", c.err, got.err, got.want)
			}
		}
	}
	if code(nil, 1) != nil || ioCode(nil, 1) != nil {
		t.Error("nil is an error")
	}
}

func TestRewritePragma(t *testing.T) {
	for _, c := range []struct{ sql, schema, mode, tail string }{
		{"PRAGMA wal_checkpoint", "", "", ""},
		{"pragma WAL_checkpoint(TRUNCATE);", "", "TRUNCATE", ""},
		{" -- a comment\n ; PRAGMA main.wal_checkpoint = full; SELECT 1", "main", "full", " SELECT 1"},
		{`/* x */ PRAGMA "aux" . wal_checkpoint('passive')`, "aux", "passive", ""},
		{"PRAGMA wal_checkpoint()", "", "", ""},
	} {
		q, tail, ok := RewritePragma(c.sql)
		call := fmt.Sprintf("%s('%s', '%s')", checkpointFunc, c.schema, c.mode)
		if !ok || !strings.Contains(q, call) || tail != c.tail {
			t.Errorf("%q becomes %q, %q, %v; want %s", c.sql, q, tail, ok, call)
		}
	}
	for _, sql := range []string{
		"SELECT 'PRAGMA wal_checkpoint'", "PRAGMA wal_checkpoints", "PRAGMA wal_autocheckpoint", "PRAGMA wal_checkpoint(a,b)",
		"EXPLAIN PRAGMA wal_checkpoint", "SELECT 1; PRAGMA wal_checkpoint", "PRAGMA wal_checkpoint('x''y')", "", strings.Repeat(" ", 5000) + "PRAGMA wal_checkpoint",
	} {
		if q, tail, ok := RewritePragma(sql); ok || q != sql || tail != "" {
			t.Errorf("%.60q was rewritten to %.60q", sql, q)
		}
	}
}

func TestCheckpointFunction(t *testing.T) {
	_, open := onDisk(t)
	c := open()
	if err := Init(c); err != nil {
		t.Fatal(err)
	}
	run(t, c, "PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x); INSERT INTO t VALUES(1)")
	q, _, _ := RewritePragma("PRAGMA wal_checkpoint(PASSIVE)")
	got, err := query(t, c, q)
	var log, done int
	if _, err2 := fmt.Sscanf(got, "0|%d|%d", &log, &done); err != nil || err2 != nil || log < 2 || log != done {
		t.Fatalf("%q, %v, %v", got, err, err2)
	}
	q, _, _ = RewritePragma("PRAGMA wal_checkpoint(TRUNCATE)")
	wantQuery(t, c, q, "0|0|0")
	for _, bad := range []string{"PRAGMA nosuch.wal_checkpoint", "PRAGMA wal_checkpoint(sideways)"} {
		q, _, _ := RewritePragma(bad)
		if _, err := query(t, c, q); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
	// Unrewritten: one column.
	wantQuery(t, c, "PRAGMA wal_checkpoint(TRUNCATE)", "0|0|0")
}

// TestDevice: no atomic writes are promised: they would raise the page size and
// leave caches stale.
func TestDevice(t *testing.T) {
	m := disk.NewMem()
	s, err := pager.Open("/x", pager.Options{FS: m})
	if err != nil {
		t.Fatal(err)
	}
	f := &file{store: s}
	if d := f.DeviceCharacteristics(); d&(vfs.IOCAP_ATOMIC|vfs.IOCAP_ATOMIC4K|vfs.IOCAP_BATCH_ATOMIC) != 0 {
		t.Errorf("characteristics %#x", d)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestErrorsOfCheckpoint: a checkpoint that fails has SQLite's code for that,
// and the engine's text.
func TestErrorsOfCheckpoint(t *testing.T) {
	d, open := onDisk(t)
	c := open()
	if err := Init(c); err != nil {
		t.Fatal(err)
	}
	run(t, c, "PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x)")
	sql, _, ours := RewritePragma("PRAGMA wal_checkpoint(TRUNCATE)")
	if !ours {
		t.Fatal("not rewritten")
	}
	for _, f := range []struct {
		fault faultdisk.Fault
		code  error
	}{
		{faultdisk.Fault{Op: faultdisk.OpSync, Suffix: "/db"}, sqlite3.IOERR},
		{faultdisk.Fault{Op: faultdisk.OpGrow, Suffix: "/db", Err: disk.ErrNoSpace}, sqlite3.FULL},
	} {
		run(t, c, "INSERT INTO t VALUES(zeroblob(20000))") // the file has to grow
		d.Inject(f.fault)
		if _, err := query(t, c, sql); !errors.Is(err, f.code) || !strings.Contains(err.Error(), "truncate checkpoint of /db") {
			t.Errorf("%v: %v", f.code, err)
		}
	}
	wantQuery(t, c, sql, "0|0|0")
}

// FuzzRewritePragma: what is rewritten is a query with nothing of the text but
// words in it, and what follows is the end of the text.
func FuzzRewritePragma(f *testing.F) {
	for _, sql := range []string{
		"PRAGMA wal_checkpoint", "pragma WAL_checkpoint(TRUNCATE); SELECT 1", "/* x */ PRAGMA \"aux\" . wal_checkpoint('passive')",
		"-- c\n;PRAGMA main.wal_checkpoint = full;", "PRAGMA wal_checkpoint('x''y')", "SELECT 'PRAGMA wal_checkpoint'",
	} {
		f.Add(sql)
	}
	call := regexp.MustCompile(checkpointFunc + `\('\w*', '\w*'\)`)
	f.Fuzz(func(t *testing.T, sql string) {
		query, tail, ok := RewritePragma(sql)
		switch {
		case !ok && (query != sql || tail != ""):
			t.Errorf("%q is not rewritten, but becomes %q, %q", sql, query, tail)
		case ok && !strings.HasSuffix(sql, tail):
			t.Errorf("%q ends with %q", sql, tail)
		case ok && !call.MatchString(query):
			t.Errorf("%q becomes %q", sql, query)
		}
	})
}
