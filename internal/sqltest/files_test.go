// Paths, names and other processes: who may have the file, and what is told to
// those who may not.

package sqltest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	sqlite "github.com/ncruces/go-sqlite3"

	"github.com/walnutdb/walnut"
)

// shell is a running sqlite3 command.
type shell struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startShell(t *testing.T, path string) *shell {
	t.Helper()
	s := &shell{cmd: exec.Command(sqlite3Path(t), "-batch", path)}
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr = s.cmd.Stdout
	s.out = bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill(); _ = s.cmd.Wait() })
	return s
}

// run runs a script and returns what it printed.
func (s *shell) run(t *testing.T, script string) string {
	t.Helper()
	if _, err := fmt.Fprintf(s.in, "%s\n.print end-of-script\n", script); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			t.Fatalf("sqlite3 ended: %v: %s", err, b.String())
		}
		if line == "end-of-script\n" {
			return strings.TrimSuffix(b.String(), "\n")
		}
		b.WriteString(line)
	}
}

// TestForeignProcess: a C SQLite that is inside, in a transaction or idle in WAL
// mode, keeps us out, and is named; nothing is changed.
func TestForeignProcess(t *testing.T) {
	for _, c := range []struct{ name, script string }{
		{"idle in WAL mode", "PRAGMA journal_mode=wal; CREATE TABLE t(x); INSERT INTO t VALUES(1);"},
		{"reading", "CREATE TABLE t(x); BEGIN; SELECT count(*) FROM t;"},
		{"writing", "CREATE TABLE t(x); BEGIN IMMEDIATE; INSERT INTO t VALUES(1);"},
		{"writing in WAL mode", "PRAGMA journal_mode=wal; CREATE TABLE t(x); BEGIN IMMEDIATE; INSERT INTO t VALUES(1);"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := newFile(t)
			s := startShell(t, path)
			s.run(t, c.script)
			before := pairHash(t, path)
			_, err := walnut.Open(path, nil)
			wantErr(t, err, walnut.ErrBusy, "in use by")
			if runtime.GOOS == "linux" {
				wantErr(t, err, walnut.ErrBusy, fmt.Sprintf("process %d", s.cmd.Process.Pid))
			}
			_, err = lines(open(t, path, "_busy_timeout=0"), "SELECT * FROM t")
			wantErr(t, err, nil, "in use by")
			if after := pairHash(t, path); after != before {
				t.Fatalf("refused, and yet changed:\n%s\n%s", before, after)
			}
			s.run(t, "COMMIT;")
			if err := s.in.Close(); err != nil {
				t.Fatal(err)
			}
			_ = s.cmd.Wait()
			wantQuery(t, open(t, path, ""), "PRAGMA integrity_check", "ok")
		})
	}
}

// TestForeignProcessLater: while we have the database, sqlite3 gets "database is
// locked", reading too, and harms nothing by trying or by leaving.
func TestForeignProcessLater(t *testing.T) {
	path := newFile(t)
	c := conn(t, open(t, path, ""))
	exec1(t, c, "CREATE TABLE t(x); INSERT INTO t VALUES(1)")
	before := pairHash(t, path)
	for _, s := range []string{"SELECT * FROM t;", "INSERT INTO t VALUES(2);", "PRAGMA wal_checkpoint;", "PRAGMA journal_mode=delete;", "VACUUM;"} {
		out, err := trySqlite3(t, path, s)
		if err == nil || !strings.Contains(out, "locked") {
			t.Errorf("%s: %q, %v", s, out, err)
		}
		if after := pairHash(t, path); after != before {
			t.Fatalf("%s changed files:\n%s\n%s", s, before, after)
		}
	}
	exec1(t, c, "INSERT INTO t VALUES(3)")
	sound(t, c, path)
}

// TestHotJournal: a rollback journal left by a killed process is refused with
// what to do, and untouched; after sqlite3 rolled it back, all is well.
func TestHotJournal(t *testing.T) {
	path := newFile(t)
	s := startShell(t, path)
	s.run(t, "PRAGMA cache_size=1; CREATE TABLE t(x); INSERT INTO t VALUES('committed'); BEGIN;")
	s.run(t, "UPDATE t SET x='lost'; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 500) INSERT INTO t SELECT zeroblob(500) FROM n;")
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	if !exists(path + "-journal") {
		t.Fatal("sqlite3 left no journal")
	}
	before := pairHash(t, path)
	_, err := walnut.Open(path, nil)
	wantErr(t, err, walnut.ErrHotJournal, "sqlite3")
	_, err = lines(open(t, path, ""), "SELECT * FROM t")
	wantErr(t, err, walnut.ErrHotJournal, "")
	if after := pairHash(t, path); after != before {
		t.Fatalf("refused, and yet changed:\n%s\n%s", before, after)
	}
	sqlite3(t, path, "PRAGMA schema_version;")
	wantQuery(t, open(t, path, ""), "SELECT x FROM t", "committed")
}

// TestConversion: a database in rollback mode is converted by the first commit,
// and not by reading.
func TestConversion(t *testing.T) {
	path := newFile(t)
	sqlite3(t, path, "PRAGMA page_size=2048; CREATE TABLE t(x); INSERT INTO t VALUES(1);")
	before := fileHash(t, path)
	db := open(t, path, "")
	wantQuery(t, db, "SELECT x FROM t", "1")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, "the file after reading", fileHash(t, path), before)
	db = open(t, path, "")
	exec1(t, db, "INSERT INTO t VALUES(2)")
	want(t, "sqlite3", sqlite3(t, freeze(t, path), "PRAGMA journal_mode; SELECT sum(x) FROM t; PRAGMA integrity_check;"), "wal\n3\nok")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, "sqlite3, closed", sqlite3(t, path, "PRAGMA journal_mode; SELECT sum(x) FROM t;"), "wal\n3")
}

// TestOneEngine: paths and symbolic links to one file share one engine; the log
// is that of the real name.
func TestOneEngine(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	real, link := filepath.Join(sub, "real.db"), filepath.Join(dir, "link.db")
	if err := os.Symlink(filepath.Join("sub", "real.db"), link); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	a := open(t, link, "") // the link leads to a file that is not there yet
	exec1(t, a, "CREATE TABLE t(x)")
	b := open(t, filepath.Join(sub, "..", "sub", ".", "real.db"), "")
	exec1(t, b, "INSERT INTO t VALUES(1)")
	w := engineOf(t, real)
	wantQuery(t, a, "SELECT x FROM t", "1")
	if w.Stats().Commits < 2 {
		t.Errorf("the page interface sees %d commits: another engine", w.Stats().Commits)
	}
	if !exists(real+"-wal") || exists(link+"-wal") {
		t.Error("the log is not beside the real file")
	}
}

func TestHardLink(t *testing.T) {
	path := newFile(t)
	sqlite3(t, path, "CREATE TABLE t(x);")
	if err := os.Link(path, path+"2"); err != nil {
		t.Skip("no hard links here: ", err)
	}
	before := pairHash(t, path)
	_, err := walnut.Open(path, nil)
	wantErr(t, err, nil, "hard link")
	_, err = lines(open(t, path, ""), "SELECT * FROM t")
	wantErr(t, err, nil, "hard link")
	want(t, "the files", pairHash(t, path), before)
}

func TestMissing(t *testing.T) {
	dir := t.TempDir()
	_, err := lines(open(t, filepath.Join(dir, "no", "x.db"), ""), "SELECT 1")
	wantErr(t, err, fs.ErrNotExist, "directory")
	_, err = lines(open(t, filepath.Join(dir, "x.db"), "mode=rw"), "SELECT 1")
	wantErr(t, err, fs.ErrNotExist, "x.db")
	_, err = walnut.Open(filepath.Join(dir, "no", "x.db"), nil)
	wantErr(t, err, fs.ErrNotExist, "")
	_, err = walnut.Open(filepath.Join(dir, "x.db"), &walnut.Options{MustExist: true})
	wantErr(t, err, fs.ErrNotExist, "x.db")
	_, err = walnut.Open(dir, nil)
	wantErr(t, err, nil, filepath.Base(dir))
	if err := os.WriteFile(filepath.Join(dir, "text"), []byte("this is no database, but it has enough bytes to be looked at closely.............................."), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = lines(open(t, filepath.Join(dir, "text"), ""), "SELECT * FROM sqlite_master")
	wantErr(t, err, walnut.ErrNotDatabase, "")
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 1 {
		t.Errorf("files were left: %v", names)
	}
}

// TestReadOnlyPlaces: where nothing can be written, opening says so.
func TestReadOnlyPlaces(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	path := newFile(t)
	sqlite3(t, path, "CREATE TABLE t(x);")
	dir := filepath.Dir(path)
	if err := os.Chmod(path, 0o444); err != nil {
		t.Fatal(err)
	}
	_, err := walnut.Open(path, nil)
	wantErr(t, err, fs.ErrPermission, "test.db")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chmod(dir, 0o755) }()
	db := open(t, path, "")
	wantQuery(t, db, "SELECT count(*) FROM t", "0")
	_, err = db.ExecContext(ctx, "INSERT INTO t VALUES(1)") // no log can be made
	wantErr(t, err, fs.ErrPermission, "")
	wantQuery(t, db, "SELECT count(*) FROM t", "0")
}

// TestBypass: what would go around our locks is refused.
func TestBypass(t *testing.T) {
	path := newFile(t)
	_, err := sqlite.Open("file:" + path + "?vfs=walnut&nolock=1")
	wantErr(t, err, nil, "nolock")
	// SQLite itself makes this one read-only, so it creates nothing.
	_, err = sqlite.Open("file:" + path + "?vfs=walnut&immutable=1")
	wantErr(t, err, fs.ErrNotExist, "")
	if exists(path) {
		t.Error("a refused open made the file")
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestLastCloseRemovesTheLog: SQLite's clean end, with the page interface open
// longer than the pool.
func TestLastCloseRemovesTheLog(t *testing.T) {
	path := newFile(t)
	w := engineOf(t, path)
	db := open(t, path, "")
	exec1(t, db, "CREATE TABLE t(x); INSERT INTO t VALUES(1)")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if !exists(path + "-wal") {
		t.Fatal("the log is gone while the database is open")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if exists(path + "-wal") {
		t.Fatal("the log is there after the last close")
	}
	want(t, "sqlite3", sqlite3(t, path, "SELECT x FROM t; PRAGMA integrity_check;"), "1\nok")
}
