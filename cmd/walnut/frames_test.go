package main

// Tests of "walnut frames": its output to the letter, and every fixture.

import (
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/walnutdb/walnut/cmd/walnut/internal/atrest"
)

// frame is the size of the frames below: 512-byte pages.
const frame = 512 + 24

func TestFramesOutput(t *testing.T) {
	for _, c := range []struct {
		name   string
		log    *testLog
		status int
	}{
		{"grown_ahead", newTestLog(512).add(1, 0).add(2, 2).add(2, 2).add(1, 0).zeros(7*frame + 100), exitFine},
		{"older_generation", newTestLog(512).add(2, 2).old(3, 0xfff).old(2, 0xffd).old(9, 0x2000).zeros(frame), exitFine},
		{"damaged", newTestLog(512).add(1, 0).add(2, 2).add(3, 0).add(4, 4).add(5, 0).add(6, 6).add(1, 0).flip(3, 100), exitDamage},
		{"header_of_a_frame_damaged", newTestLog(512).add(1, 1).add(2, 2).add(3, 3).zeros(30).flip(2, 9), exitDamage},
		{"page_zero", newTestLog(512).add(1, 1).add(0, 2).add(2, 2), exitDamage},
		{"header_damaged", newTestLog(512).add(1, 1).flip(1, -20), exitDamage},
		{"bare_header", newTestLog(512), exitFine},
		{"empty", &testLog{}, exitFine},
		{"zero_header_only", newTestLog(512).add(1, 1).zeros(24).add(3, 3).zeros(2 * frame), exitFine},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "x.db-wal")
			if err := os.WriteFile(file, c.log.b, 0o600); err != nil {
				t.Fatal(err)
			}
			o := walnut(t, "", "frames", file)
			golden(t, "frames_"+c.name, dir, o)
			j := walnut(t, "", "frames", "--json", file)
			golden(t, "frames_"+c.name+"_json", dir, j)
			if o.status != c.status || j.status != c.status || o.err != j.err {
				t.Errorf("status %d and %d, want %d; %q, %q", o.status, j.status, c.status, o.err, j.err)
			}
		})
	}
}

func TestFramesOnFixtures(t *testing.T) {
	eachFixture(t, func(t *testing.T, name, db string, e *expected) {
		info := walnut(t, "", "info", db)
		before := contents(t, filepath.Dir(db))
		o := walnut(t, "", "frames", "--json", db)
		if !maps.Equal(before, contents(t, filepath.Dir(db))) {
			t.Error("frames changed a file")
		}
		if o.status != info.status && name != "main_absent_wal_full" {
			t.Errorf("status %d, info's %d: %s", o.status, info.status, o.err)
		}
		if e.Valid == nil {
			return
		}
		valid, counted, whole, last := uint32(0), uint32(0), uint32(0), 0
		for line := range strings.Lines(o.out) {
			var r atrest.Frame
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			if r.Verdict == atrest.VerdictValid {
				valid++
			}
			if r.Transaction != nil {
				counted++
				last = *r.Transaction
			}
			if r.Verdict != atrest.VerdictShort {
				whole = max(uint32(r.Frame), uint32(r.LastFrame))
			}
		}
		if valid != *e.Intact || counted != *e.Valid || whole != e.FileFrames || last != e.Commits {
			t.Errorf("%d valid, %d committed in %d, %d frames; want %d, %d in %d, %d\n%s", valid, counted, last, whole,
				*e.Intact, *e.Valid, e.Commits, e.FileFrames, o.out)
		}
	})
}

func TestFramesWithoutLog(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "x.db")
	must(t, "sql", file, "CREATE TABLE t(a)")
	for _, args := range [][]string{{"frames", file}, {"frames", "--json", file}} {
		if o := walnut(t, "", args...); o.status != exitFine || o.out != "" || !strings.Contains(o.err, "x.db: there is no log") {
			t.Errorf("%q: %+v", args, o)
		}
	}
	for name, want := range map[string]string{"no.db": "no.db", "no.db-wal": "no.db-wal", ".": "directory"} {
		if o := walnut(t, "", "frames", filepath.Join(dir, name)); o.status != exitError || !strings.Contains(o.err, want) {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

// TestFramesWithoutDatabase: what is left of a pair can be looked at.
func TestFramesWithoutDatabase(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(file+"-wal", newTestLog(512).add(1, 1).b, 0o600); err != nil {
		t.Fatal(err)
	}
	o := walnut(t, "", "frames", file)
	if o.status != exitFine || o.out != "1\t32\t1\t1\t1\tvalid\n" || !strings.Contains(o.err, "no database file") {
		t.Errorf("%+v", o)
	}
}

// TestLookersBesideWriter: a log that grows, is checkpointed and restarted
// while it is read is no damage, and the writer never notices.
func TestLookersBesideWriter(t *testing.T) {
	file := filepath.Join(t.TempDir(), "w.db")
	must(t, "sql", file, "CREATE TABLE t(a); CREATE INDEX u ON t(a)")
	in, write := io.Pipe()
	done := make(chan int)
	go func() { done <- run([]string{"sql", file}, in, io.Discard, io.Discard) }()
	stop := make(chan struct{})
	go func() {
		defer write.Close()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			io.WriteString(write, "INSERT INTO t VALUES (randomblob(3000));")
			switch i % 40 {
			case 20:
				io.WriteString(write, "PRAGMA wal_checkpoint(RESTART);")
			case 39:
				io.WriteString(write, "DELETE FROM t; PRAGMA wal_checkpoint(TRUNCATE);")
			}
		}
	}()
	rounds := 300
	if testing.Short() {
		rounds = 30
	}
	verified, listed, changed := 0, 0, 0
	for i := 0; i < rounds || (listed == 0 || verified == 0) && i < 100*rounds; i++ {
		o := walnut(t, "", "frames", file)
		if o.status != exitFine {
			t.Errorf("frames: %+v", o)
		}
		if o.out != "" {
			listed++
		}
		if strings.Contains(o.err, "changed") {
			changed++
		}
		switch o := walnut(t, "", "verify", file); {
		case o.status == exitFine:
			verified++
		case o.status != exitError || !strings.Contains(o.err, "changed each time"):
			t.Errorf("verify: %+v", o)
		}
	}
	t.Logf("%d verified, %d with frames, %d of them changed", verified, listed, changed)
	if listed == 0 || verified == 0 {
		t.Error("there was never a log, or it never held still")
	}
	close(stop)
	if status := <-done; status != exitFine {
		t.Errorf("the writer ended with %d", status)
	}
}

// TestFramesOfNoDatabase: a file that is neither a database nor a log is said to
// be none; an empty one is a database.
func TestFramesOfNoDatabase(t *testing.T) {
	for name, c := range map[string]struct {
		data   string
		status int
		want   string
	}{
		"garbage": {strings.Repeat("no database ", 500), exitError, "no database, and without a log"},
		"short":   {"hello", exitError, "no database, and without a log"},
		"empty":   {"", exitFine, "there is no log"},
	} {
		file := filepath.Join(t.TempDir(), "x.db")
		if err := os.WriteFile(file, []byte(c.data), 0o600); err != nil {
			t.Fatal(err)
		}
		if o := walnut(t, "", "frames", file); o.status != c.status || o.out != "" || !strings.Contains(o.err, c.want) {
			t.Errorf("%s: status %d, %q, %q", name, o.status, o.out, o.err)
		}
	}
}
