package main

// Tests of "walnut checkpoint", beside what C SQLite makes of the same files.

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	walnutdb "github.com/walnutdb/walnut"
	_ "github.com/walnutdb/walnut/driver" // registers "walnut"
)

// fixture copies the pair of a fixture and returns the database file.
func fixture(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range []string{"in.db", "in.db-wal"} {
		b, err := os.ReadFile(filepath.Join(fixtures, name, f))
		if err != nil {
			t.Skipf("no fixtures here: %v", err)
		}
		if err := os.WriteFile(filepath.Join(dir, f), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "in.db")
}

func TestCheckpoint(t *testing.T) {
	for _, c := range []struct {
		mode string
		want string
	}{
		{"passive", `{"mode":"passive","log_frames":33,"backfilled":33,"busy":false}`},
		{"full", `{"mode":"full","log_frames":33,"backfilled":33,"busy":false}`},
		{"restart", `{"mode":"restart","log_frames":33,"backfilled":33,"busy":false}`},
		{"truncate", `{"mode":"truncate","log_frames":0,"backfilled":0,"busy":false}`},
	} {
		file := fixture(t, "many_versions_one_page")
		if got := compact(must(t, "checkpoint", "--mode", c.mode, "--json", file)); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
		if _, err := os.Stat(file + "-wal"); err == nil {
			t.Error("the log is still there after closing")
		}
		if out := must(t, "checkpoint", "--mode", c.mode, file); !strings.Contains(out, "mode: "+c.mode+"\nframes in the log: 0\n") {
			t.Errorf("for people: %q", out)
		}
	}
}

// compact is JSON without its white space.
func compact(s string) string {
	return strings.NewReplacer("\n", "", "  ", "", ": ", ":").Replace(s)
}

// TestCheckpointBeside: each mode beside others of this process. A reader of
// the newest snapshot keeps nothing from being copied, one of an older snapshot
// does, and beside a writer only passive ones finish: the others copy what a
// passive one would, as C SQLite does, and say whom they waited for.
func TestCheckpointBeside(t *testing.T) {
	const (
		all  = `"log_frames":2,"backfilled":2,"busy":`
		part = `"log_frames":2,"backfilled":1,"busy":`
		none = `"log_frames":2,"backfilled":0,"busy":`
	)
	for _, c := range []struct {
		mode   string
		beside func(*besides, *testing.T)
		want   string
		reason string // why it is busy; "" if it is not
	}{
		{"passive", (*besides).nobody, all + "false", ""},
		{"passive", (*besides).newestReader, all + "false", ""},
		{"passive", (*besides).olderReader, part + "false", ""},
		{"passive", (*besides).writer, all + "false", ""},
		{"full", (*besides).nobody, all + "false", ""},
		{"full", (*besides).newestReader, all + "false", ""},
		{"full", (*besides).olderReader, part + "true", "1 reader of the log, the oldest of which needs frame 1 of 2"},
		{"full", (*besides).olderSQLReader, part + "true", "1 reader of the log"},
		{"full", (*besides).fileReader, none + "true", "1 reader of the database file"},
		{"full", (*besides).writer, all + "true", "a write transaction"},
		{"full", (*besides).sqlWriter, all + "true", "a write transaction"},
		{"restart", (*besides).nobody, all + "false", ""},
		{"restart", (*besides).newestReader, all + "true", "1 reader of the log"},
		{"restart", (*besides).olderReader, part + "true", "1 reader of the log"},
		{"restart", (*besides).newestSQLReader, all + "true", "1 reader of the log"},
		{"restart", (*besides).writer, all + "true", "a write transaction"},
		{"truncate", (*besides).nobody, `"log_frames":0,"backfilled":0,"busy":false`, ""},
		{"truncate", (*besides).newestReader, all + "true", "1 reader of the log"},
		{"truncate", (*besides).olderSQLReader, part + "true", "1 reader of the log"},
		{"truncate", (*besides).sqlWriter, all + "true", "a write transaction"},
	} {
		b := newBesides(t)
		c.beside(b, t)
		o := walnut(t, "", "checkpoint", "--mode", c.mode, "--timeout", "20ms", "--json", b.file)
		want := `{"mode":"` + c.mode + `",` + c.want + "}"
		if got := compact(o.out); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if c.reason == "" && (o.status != exitFine || o.err != "") {
			t.Errorf("%s: %+v", c.mode, o)
		}
		if c.reason != "" && (o.status != exitError || !strings.Contains(o.err, "checkpoint not finished: waited for "+c.reason)) {
			t.Errorf("%s: %+v, want %q", c.mode, o, c.reason)
		}
		// Nothing is left behind: without the others the same succeeds.
		b.leave()
		if o := walnut(t, "", "checkpoint", "--mode", c.mode, b.file); o.status != exitFine {
			t.Errorf("%s afterwards: %+v", c.mode, o)
		}
	}
}

// besides is a database whose log has two commits of a frame each, for tests
// that put somebody beside a checkpoint.
type besides struct {
	file  string
	db    *walnutdb.DB
	sql   *sql.DB
	leave func()
}

func newBesides(t *testing.T) *besides {
	b := &besides{file: filepath.Join(t.TempDir(), "b.db"), leave: func() {}}
	must(t, "sql", b.file, "CREATE TABLE t(a); CREATE TABLE u(a)") // page 3
	var err error
	if b.db, err = walnutdb.Open(b.file, &walnutdb.Options{AutoCheckpoint: -1}); err != nil {
		t.Fatal(err)
	}
	if b.sql, err = sql.Open("walnut", b.file); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(b.sql.Close(), b.db.Close()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// commit adds a commit of one frame.
func (b *besides) commit(t *testing.T) {
	t.Helper()
	err := b.db.Update(context.Background(), func(tx *walnutdb.Tx) error {
		p, err := tx.Write(3)
		if err == nil {
			p[100]++ // between header and cells of an empty page
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (b *besides) commits(t *testing.T) { b.commit(t); b.commit(t) }

func (b *besides) nobody(t *testing.T) { b.commits(t) }

func (b *besides) newestReader(t *testing.T) { b.commits(t); b.read(t) }

func (b *besides) olderReader(t *testing.T) { b.commit(t); b.read(t); b.commit(t) }

func (b *besides) fileReader(t *testing.T) { b.read(t); b.commits(t) }

func (b *besides) newestSQLReader(t *testing.T) { b.commits(t); b.readSQL(t, "BEGIN") }

func (b *besides) olderSQLReader(t *testing.T) { b.commit(t); b.readSQL(t, "BEGIN"); b.commit(t) }

func (b *besides) sqlWriter(t *testing.T) { b.commits(t); b.readSQL(t, "BEGIN IMMEDIATE") }

// read begins a read transaction.
func (b *besides) read(t *testing.T) {
	t.Helper()
	s, err := b.db.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	b.leave = s.Close
}

// readSQL begins a transaction through the driver, and reads.
func (b *besides) readSQL(t *testing.T, begin string) {
	t.Helper()
	c, err := b.sql.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{begin, "SELECT count(*) FROM t"} {
		if _, err := c.ExecContext(context.Background(), q); err != nil {
			t.Fatal(err)
		}
	}
	b.leave = func() { _ = c.Close() }
}

// writer begins a write transaction.
func (b *besides) writer(t *testing.T) {
	b.commits(t)
	tx, err := b.db.Begin(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	b.leave = func() { _ = tx.Rollback() }
}

// TestBusyDatabase: a database that cannot be had in time is an error that
// names it; info does not care.
func TestBusyDatabase(t *testing.T) {
	file := filepath.Join(t.TempDir(), "b.db")
	must(t, "sql", file, "CREATE TABLE s(a)")
	db, err := walnutdb.Open(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	// Here it is another part of this process that has it: a writer.
	o := walnut(t, "", "checkpoint", "--mode", "truncate", "--timeout", "1ms", "--json", file)
	if o.status != exitError || !strings.Contains(o.out, `"busy": true`) || !strings.Contains(o.err, "checkpoint not finished") {
		t.Errorf("checkpoint: %+v", o)
	}
	o = walnut(t, "", "sql", "--timeout", "1ms", file, "CREATE TABLE t(a)")
	if o.status != exitError || !strings.Contains(o.err, "database is locked") {
		t.Errorf("sql: %+v", o)
	}
	if out := must(t, "info", file); !strings.Contains(out, "journal mode: wal") {
		t.Errorf("info: %q", out)
	}
}
