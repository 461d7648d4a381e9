package main

// Tests of "walnut checkpoint", beside what C SQLite makes of the same files.

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	walnutdb "github.com/walnutdb/walnut"
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
		{"truncate", `{"mode":"truncate","log_frames":0,"backfilled":0,"busy":false}`},
	} {
		file := fixture(t, "many_versions_one_page")
		var got map[string]any
		out := must(t, "checkpoint", "--mode", c.mode, "--json", file)
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		compact := strings.NewReplacer("\n", "", "  ", "", ": ", ":").Replace(out)
		if compact != c.want {
			t.Errorf("%s, want %s", compact, c.want)
		}
		if _, err := os.Stat(file + "-wal"); err == nil {
			t.Error("the log is still there after closing")
		}
		if out := must(t, "checkpoint", "--mode", c.mode, file); !strings.Contains(out, "mode: "+c.mode+"\nframes in the log: 0\n") {
			t.Errorf("for people: %q", out)
		}
	}
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
