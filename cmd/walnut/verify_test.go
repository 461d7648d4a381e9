package main

// Tests of "walnut verify": its output to the letter, every fixture beside what
// C SQLite says of it, and that it changes nothing.

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/walnutdb/walnut/internal/walformat"
)

// TestVerifyOnFixtures: damage is what info finds, or what keeps C SQLite from
// being content.
func TestVerifyOnFixtures(t *testing.T) {
	fine, found := 0, 0
	eachFixture(t, func(t *testing.T, name, db string, e *expected) {
		info := walnut(t, "", "info", db)
		before := contents(t, filepath.Dir(db))
		o := walnut(t, "", "verify", "--json", db)
		if !maps.Equal(before, contents(t, filepath.Dir(db))) {
			t.Error("verify changed a file")
		}
		if name == "main_absent_wal_full" {
			if o.status != exitError || !strings.Contains(o.err, "in.db-wal is there") {
				t.Errorf("%+v", o)
			}
			return
		}
		want := info.status
		if e.Integrity == nil || *e.Integrity != "ok" {
			want = exitDamage
		}
		if o.status != want {
			t.Errorf("%+v, want status %d", o, want)
		}
		var r verifyReport
		if err := json.Unmarshal([]byte(o.out), &r); err != nil {
			t.Fatalf("%v: %+v", err, o)
		}
		if r.OK != (o.status == exitFine) || r.OK != (len(r.Problems) == 0) || r.Changed ||
			r.OK && !slices.Equal(r.IntegrityCheck, []string{"ok"}) {
			t.Errorf("%+v", r)
		}
		for _, p := range r.Problems {
			if p.Where == "" || p.What == "" || p.Lost == "" {
				t.Errorf("%+v", p)
			}
		}
		if r.OK {
			fine++
		} else {
			found++
		}
	})
	t.Logf("%d fine, %d damaged", fine, found)
}

// verifiable writes a healthy database of 3 pages, and returns it with its
// contents.
func verifiable(t *testing.T) (file string, db []byte) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "x.db")
	must(t, "sql", file, `PRAGMA page_size = 512; CREATE TABLE t(a, b); CREATE INDEX i ON t(b);
		INSERT INTO t VALUES (1, 'one'), (2, 'two')`)
	db, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(db) != 3*512 {
		t.Fatalf("%d bytes", len(db))
	}
	return file, db
}

// page is a page of db.
func page(db []byte, n walformat.PageNo) []byte { return db[(n-1)*512 : n*512] }

// logOf is a log of that many transactions of two frames each, which change
// nothing.
func logOf(db []byte, transactions int) *testLog {
	l := newTestLog(512)
	for range transactions {
		l.addPage(2, 0, page(db, 2)).addPage(3, 3, page(db, 3))
	}
	return l
}

func TestVerifyOutput(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		make   func(db []byte) (*testLog, []byte)
	}{
		{"healthy", exitFine, func(db []byte) (*testLog, []byte) { return nil, db }},
		{"healthy_log", exitFine, func(db []byte) (*testLog, []byte) { return logOf(db, 3).add(3, 0).zeros(5000), db }},
		{"log_damaged", exitDamage, func(db []byte) (*testLog, []byte) { return logOf(db, 9).flip(5, 30), db }},
		{"log_one_lost", exitDamage, func(db []byte) (*testLog, []byte) { return logOf(db, 2).flip(3, 30), db }},
		{"log_perhaps_more_lost", exitDamage, func(db []byte) (*testLog, []byte) { return logOf(db, 4).flip(4, 9), db }},
		{"log_header_damaged", exitDamage, func(db []byte) (*testLog, []byte) { return logOf(db, 1).flip(1, -16), db }},
		{"index_differs", exitDamage, func(db []byte) (*testLog, []byte) {
			return nil, bytes.Replace(db, []byte("\x01two"), []byte("\x01twx"), 1)
		}},
		{"page_garbage", exitDamage, func(db []byte) (*testLog, []byte) {
			return newTestLog(512).add(3, 3), db
		}},
		{"cut", exitDamage, func(db []byte) (*testLog, []byte) { return nil, db[:1024] }},
		{"no_header", exitDamage, func(db []byte) (*testLog, []byte) { return nil, append(make([]byte, 512), db[512:]...) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, db := verifiable(t)
			log, db := c.make(db)
			if err := os.WriteFile(file, db, 0o600); err != nil {
				t.Fatal(err)
			}
			if log != nil {
				if err := os.WriteFile(file+"-wal", log.b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			dir := filepath.Dir(file)
			before := contents(t, dir)
			o := walnut(t, "", "verify", file)
			golden(t, "verify_"+c.name, dir, o)
			j := walnut(t, "", "verify", "--json", file)
			golden(t, "verify_"+c.name+"_json", dir, j)
			if o.status != c.status || j.status != c.status {
				t.Errorf("status %d and %d, want %d", o.status, j.status, c.status)
			}
			if !maps.Equal(before, contents(t, dir)) {
				t.Error("verify changed a file")
			}
		})
	}
}

// TestVerifyImpossibleSize: SQLite's integrity_check would take a bit of memory
// for each page that two small files say there are, so it does not run then. (Its
// memory is not on the heap, where a test could measure it.) It runs where only
// the commit says so, and page 1 does not: SQLite believes page 1.
func TestVerifyImpossibleSize(t *testing.T) {
	const impossible = 1<<32 - 2
	for _, c := range []struct {
		name string
		size uint32 // on page 1
		want []string
	}{
		{"page 1 says it too", impossible, nil},
		{"page 1 does not say", 0, nil},
		{"page 1 says another", 3, []string{"ok"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, db := verifiable(t)
			page1 := bytes.Clone(page(db, 1))
			walformat.PutSizeInPages(page1, c.size)
			log := newTestLog(512).addPage(1, impossible, page1)
			if err := os.WriteFile(file+"-wal", log.b, 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := verifyFile(t.Context(), file, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			if r.OK || !slices.Equal(r.IntegrityCheck, c.want) || len(r.Problems) != 1 {
				t.Errorf("integrity_check says %.200q, %d problems, want %q and 1", r.IntegrityCheck, len(r.Problems), c.want)
			}
		})
	}
}

// TestVerifyHotJournal: what SQLite would roll back is not checked, and is no
// damage.
func TestVerifyHotJournal(t *testing.T) {
	file, _ := verifiable(t)
	if err := os.WriteFile(file+"-journal", []byte("\xd9\xd5\x05\xf9 and so on"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := contents(t, filepath.Dir(file))
	o := walnut(t, "", "verify", file)
	if o.status != exitError || !strings.Contains(o.err, "journal") {
		t.Errorf("%+v", o)
	}
	if !maps.Equal(before, contents(t, filepath.Dir(file))) {
		t.Error("verify changed a file")
	}
}

// TestVerifyInUse: another process has the database, a link leads to it, and
// it has two names.
func TestVerifyInUse(t *testing.T) {
	file, _ := verifiable(t)
	dir := filepath.Dir(file)
	if err := os.Link(file, filepath.Join(dir, "second name.db")); err != nil {
		t.Skip(err)
	}
	if out := must(t, "verify", filepath.Join(dir, "second name.db")); !strings.HasPrefix(out, "result: ok\n") {
		t.Errorf("%q", out)
	}
	if err := os.Remove(filepath.Join(dir, "second name.db")); err != nil {
		t.Fatal(err)
	}
	holdElsewhere(t, file, "INSERT INTO t VALUES (3, 'three');")
	link := filepath.Join(dir, "a link")
	if err := os.Symlink(file, link); err != nil {
		t.Skip(err)
	}
	before := contents(t, dir)
	var r verifyReport
	if err := json.Unmarshal([]byte(must(t, "verify", "--json", link)), &r); err != nil {
		t.Fatal(err)
	}
	if !r.OK || r.Log == nil || r.Log.Transactions != 1 {
		t.Errorf("%+v", r)
	}
	if !maps.Equal(before, contents(t, dir)) {
		t.Error("verify changed a file")
	}
}

// TestVerifyNeverStill: what is found in a file that changes each time is no
// damage, and no all-clear either.
func TestVerifyNeverStill(t *testing.T) {
	file, db := verifiable(t)
	db = bytes.Replace(db, []byte("\x01two"), []byte("\x01twx"), 1)
	if err := os.WriteFile(file, db, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := uint32(1000)
	ctx := askedContext{t.Context(), func() { // the counter of changes
		n++
		if _, err := f.WriteAt(binary.BigEndian.AppendUint32(nil, n), 24); err != nil {
			t.Error(err)
		}
	}}
	var out, errOut bytes.Buffer
	r, err := verifyFile(ctx, file, &errOut)
	if err != nil {
		t.Fatal(err)
	}
	err = r.tell(file, true, &out, &errOut)
	if err != statusError(exitError) || r.OK || !strings.Contains(out.String(), `"changed_while_reading": true`) || !r.Changed || len(r.Problems) != 0 || !strings.Contains(errOut.String(), "changed each time") {
		t.Errorf("%v, %+v, %s", err, r, errOut.String())
	}
}

// askedContext calls asked whenever it is asked whether it has ended. SQLite asks
// when it is opened and while it runs: after verify has read the headers, and
// before it looks at them again.
type askedContext struct {
	context.Context
	asked func()
}

func (c askedContext) Err() error {
	c.asked()
	return c.Context.Err()
}
