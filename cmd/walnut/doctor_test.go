package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	engine "github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/cmd/walnut/internal/atrest"
	"github.com/walnutdb/walnut/disk"
)

// sick is a database in a directory of its own, which make changes.
func sick(t *testing.T, make func(t *testing.T, db string)) string {
	t.Helper()
	db := filepath.Join(t.TempDir(), "a.db")
	if o := walnutCommand(t, "sql", db, "CREATE TABLE x(a); INSERT INTO x VALUES (1)"); o.status != exitFine {
		t.Fatalf("%+v", o)
	}
	make(t, db)
	return db
}

func walnutCommand(t *testing.T, args ...string) outcome { return walnut(t, "", args...) }

func writeFile(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// grown leaves copies of a database and a log of so many commits to one page,
// beside a reader, as they were while they were in use.
func grown(t *testing.T, db string, commits int) {
	t.Helper()
	o := &engine.Options{AutoCheckpoint: -1, Sync: engine.SyncOff}
	d, err := engine.Open(db, o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for range commits {
		if err := d.Update(context.Background(), func(tx *engine.Tx) error {
			p, err := tx.Write(3)
			if err == nil {
				p[9]++
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(db + suffix)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(filepath.Dir(db), "copy.db"+suffix), b)
	}
}

func TestDoctor(t *testing.T) {
	for name, x := range map[string]struct {
		make   func(t *testing.T, db string)
		file   string // beside the database; "" for it
		level  string
		text   string
		status int
	}{
		"fine":       {func(*testing.T, string) {}, "", atrest.Fine, "everything is in the database file", 0},
		"shm":        {func(t *testing.T, db string) { writeFile(t, db+"-shm", []byte("x")) }, "", atrest.Note, "a.db-shm is there", 0},
		"side":       {func(t *testing.T, db string) { writeFile(t, db+"-walnut-side", nil) }, "", atrest.Note, "its side file", 0},
		"part":       {func(t *testing.T, db string) { writeFile(t, db+".part", nil) }, "", atrest.Note, "backup to this name", 0},
		"journal":    {func(t *testing.T, db string) { writeFile(t, db+"-journal", []byte("x")) }, "", atrest.Problem, "a.db-journal is there", 0},
		"hard link":  {func(t *testing.T, db string) { link(t, os.Link, db) }, "", atrest.Problem, "2 names (hard links)", 0},
		"symlink":    {func(t *testing.T, db string) { link(t, os.Symlink, db) }, "b.db", atrest.Note, "is a symbolic link to", 0},
		"in use":     {use, "", atrest.Note, "has the database open", 0},
		"old log":    {func(t *testing.T, db string) { grown(t, db, 5000) }, "copy.db", atrest.Warning, "most of it was overwritten again", 0},
		"roomy log":  {func(t *testing.T, db string) { grown(t, db, 3); stretch(t, db) }, "copy.db", atrest.Note, "an earlier generation has left", 0},
		"small page": {func(t *testing.T, db string) { small(t, db) }, "small.db", atrest.Note, "Pages have 512 bytes", 0},
		"damage":     {func(t *testing.T, db string) { writeFile(t, db, []byte(strings.Repeat("no database ", 500))) }, "", atrest.Damaged, "", exitDamage},
	} {
		t.Run(name, func(t *testing.T) {
			db := sick(t, x.make)
			if x.file != "" {
				db = filepath.Join(filepath.Dir(db), x.file)
			}
			before := contents(t, filepath.Dir(db))
			o := walnutCommand(t, "doctor", "--json", db)
			if o.status != x.status {
				t.Fatalf("status %d\n%s%s", o.status, o.out, o.err)
			}
			var list []atrest.Advice
			if err := json.Unmarshal([]byte(o.out), &list); err != nil {
				t.Fatal(err)
			}
			found := false
			for _, a := range list {
				found = found || a.Level == x.level && strings.Contains(a.Text, x.text)
				if a.Level != atrest.Fine && a.Level != atrest.Note && a.Todo == "" {
					t.Errorf("nothing to do: %+v", a)
				}
			}
			if !found {
				t.Errorf("no %s with %q:\n%s", x.level, x.text, o.out)
			}
			if text := walnutCommand(t, "doctor", db); !strings.Contains(text.out, x.text) || text.status != x.status {
				t.Errorf("as text: %+v", text)
			}
			for f, c := range contents(t, filepath.Dir(db)) {
				if before[f] != c {
					t.Errorf("%s was changed", f)
				}
			}
		})
	}
}

func link(t *testing.T, how func(string, string) error, db string) {
	t.Helper()
	if err := how(db, filepath.Join(filepath.Dir(db), "b.db")); err != nil {
		t.Fatal(err)
	}
}

// use has the database open until the test ends.
func use(t *testing.T, db string) {
	d, err := engine.Open(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
}

// stretch makes the log of the copy large, as one that is used again.
func stretch(t *testing.T, db string) {
	t.Helper()
	if err := os.Truncate(filepath.Join(filepath.Dir(db), "copy.db-wal"), 8<<20); err != nil {
		t.Fatal(err)
	}
}

func small(t *testing.T, db string) {
	t.Helper()
	d, err := engine.Open(filepath.Join(filepath.Dir(db), "small.db"), &engine.Options{PageSize: 512})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Update(context.Background(), func(tx *engine.Tx) error { _, err := tx.Write(2); return err }); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDoctorOnFixtures: it looks at every damaged file that there is, without
// falling over.
func TestDoctorOnFixtures(t *testing.T) {
	eachFixture(t, func(t *testing.T, name, db string, _ *expected) {
		if list, err := atrest.Examine(disk.OS(), db, func(int64, int64) {}); err == nil && len(list) == 0 {
			t.Errorf("%s: nothing is said", name)
		}
	})
}

func TestDoctorCannotLook(t *testing.T) {
	if o := walnutCommand(t, "doctor", filepath.Join(t.TempDir(), "none.db")); o.status != exitError {
		t.Errorf("%+v", o)
	}
}
