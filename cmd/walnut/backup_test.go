package main

// Tests of "walnut backup".

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	walnutdb "github.com/walnutdb/walnut"
)

func TestBackup(t *testing.T) {
	eachFixture(t, func(t *testing.T, name, db string, e *expected) {
		if e.Opens == nil || !*e.Opens || e.Integrity == nil || *e.Integrity != "ok" || e.Unstable || e.Differs != nil {
			return // refused or damaged: the engine's tests have those
		}
		out := filepath.Join(t.TempDir(), "copy.db")
		o := walnut(t, "", "backup", "--json", db, out)
		if o.status != exitFine {
			t.Fatalf("%+v", o)
		}
		var r backupReport
		if err := json.Unmarshal([]byte(o.out), &r); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(out)
		if err != nil {
			t.Fatal(err)
		}
		if r.Out != out || r.PageSize != *e.PageSize || r.Bytes != info.Size() || r.Pages*int64(r.PageSize) != r.Bytes {
			t.Errorf("%+v, %d bytes", r, info.Size())
		}
		if r.Pages > 0 {
			if got := must(t, "sql", out, "PRAGMA integrity_check; PRAGMA journal_mode"); got != "ok\nwal\n" {
				t.Errorf("the copy: %q", got)
			}
			if want, got := must(t, "sql", db, "SELECT * FROM sqlite_schema"), must(t, "sql", out, "SELECT * FROM sqlite_schema"); got != want {
				t.Errorf("schema %q, want %q", got, want)
			}
		}
	})
}

func TestBackupKeys(t *testing.T) {
	file, _ := verifiable(t)
	out := filepath.Join(filepath.Dir(file), "copy.db")
	golden(t, "backup_json", filepath.Dir(file), walnut(t, "", "backup", "--json", file, out))
	golden(t, "backup_exists", filepath.Dir(file), walnut(t, "", "backup", file, out))
	golden(t, "backup", filepath.Dir(file), walnut(t, "", "backup", "--overwrite", file, out))
}

func TestBackupRefuses(t *testing.T) {
	file, _ := verifiable(t)
	dir := filepath.Dir(file)
	if err := os.WriteFile(filepath.Join(dir, "old.db-wal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{file, file}, "--overwrite"},
		{[]string{"--overwrite", file, file}, "the database itself"},
		{[]string{file, dir}, "is a directory"},
		{[]string{file, filepath.Join(dir, "no", "x.db")}, "there is no directory"},
		{[]string{filepath.Join(dir, "no.db"), filepath.Join(dir, "y.db")}, "no.db"},
		{[]string{file, filepath.Join(dir, "old.db")}, "old.db-wal is there"},
		{[]string{file, ""}, "OUT is empty"},
		{[]string{file}, "FILE and OUT"},
	} {
		o := walnut(t, "", append([]string{"backup"}, c.args...)...)
		if o.status != exitError || o.out != "" || !strings.Contains(o.err, c.want) {
			t.Errorf("%q: %+v, want %q", c.args, o, c.want)
		}
	}
	after := contents(t, dir)
	if len(after) != len(before) {
		t.Errorf("left behind: %d files, before %d", len(after), len(before))
	}
}

// TestBackupBusy: another process has the database.
func TestBackupBusy(t *testing.T) {
	file, _ := verifiable(t)
	holdElsewhere(t, file, "BEGIN; SELECT count(*) FROM t;")
	out := filepath.Join(filepath.Dir(file), "copy.db")
	o := walnut(t, "", "backup", "--timeout", "50ms", file, out)
	if o.status != exitError || !strings.Contains(o.err, "in use by") {
		t.Errorf("%+v", o)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("there is a copy")
	}
}

// TestBackupBesideWriter: a writer in this process does not keep a backup from
// running, and what it has not committed is not in it.
func TestBackupBesideWriter(t *testing.T) {
	file, _ := verifiable(t)
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
	if _, err := tx.Write(4); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(filepath.Dir(file), "copy.db")
	if got := must(t, "backup", file, out); !strings.Contains(got, "pages: 3\n") {
		t.Errorf("%q", got)
	}
}
