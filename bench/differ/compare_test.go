//go:build cgo

// This file shows that the comparisons can fail.

package differ

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// vacuumed is a database of C SQLite's with pointer maps, overflow pages and free
// pages.
func vacuumed(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "v.db")
	var h halter
	db, err := opener(theirs, "file:"+path, &h)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, q := range []string{
		"PRAGMA page_size=512", "PRAGMA auto_vacuum=2", "CREATE TABLE t(a)", "CREATE TABLE u(a)",
		rowsOf(200) + "INSERT INTO t SELECT zeroblob(700) FROM r", rowsOf(50) + "INSERT INTO u SELECT zeroblob(700) FROM r",
		"DELETE FROM t WHERE rowid > 20", "PRAGMA incremental_vacuum(90)",
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestCompareFiles changes one thing of a file at a time.
func TestCompareFiles(t *testing.T) {
	good := vacuumed(t)
	d, err := decode(good)
	if err != nil {
		t.Fatal(err)
	}
	if !d.vacuum || len(d.trunks) == 0 || len(d.trunks[0].leaves) < 3 {
		t.Fatalf("the file has %d trunks, pointer maps %t", len(d.trunks), d.vacuum)
	}
	// The entries are found where SQLite has them: those of free pages say so.
	for no := uint32(3); no <= d.pages; no++ {
		if e := d.entry(no); e != "" && d.free[no] != (e == "type 2, parent 0") {
			t.Errorf("page %d, free %t: %s", no, d.free[no], e)
		}
	}
	used := d.pages
	for d.free[used] || d.isMap(used) {
		used--
	}
	first := d.trunks[0]
	at := func(no uint32, offset int) int { return int(no-1)*d.pageSize + offset }
	m, entry := d.mapOf(used)
	fm, fentry := d.mapOf(first.leaves[0])
	last, _ := d.mapOf(d.pages)
	put := binary.BigEndian.PutUint32
	for _, c := range []struct {
		name   string
		change func(b []byte)
		want   string // in what is said of the changed file; "" if nothing is
	}{
		{"nothing", func([]byte) {}, ""},
		{"a counter", func(b []byte) { b[25]++; b[93]++ }, ""},
		{"another byte of page 1", func(b []byte) { b[60]++ }, "page 1 at 60"},
		{"a page in use", func(b []byte) { b[at(used, 300)]++ }, "at 300"},
		{"the type in a pointer map", func(b []byte) { b[at(m, entry)]++ }, "pointer map"},
		{"the parent in a pointer map", func(b []byte) { b[at(m, entry+4)]++ }, "pointer map"},
		{"the entry of a free page", func(b []byte) { b[at(fm, fentry+4)]++ }, "free true"},
		{"behind the last entry", func(b []byte) { b[at(last, 505)]++ }, ""},
		{"what a free page holds", func(b []byte) { b[at(first.leaves[0], 100)]++ }, ""},
		{"the order of a trunk", func(b []byte) {
			put(b[at(first.page, 8):], first.leaves[1])
			put(b[at(first.page, 12):], first.leaves[0])
		}, "freelist"},
		{"a page that is free twice", func(b []byte) { put(b[at(first.page, 8):], first.leaves[1]) }, "or twice"},
		{"a trunk that lists too many", func(b []byte) { put(b[at(first.page, 4):], 1<<30) }, "lists"},
		{"the count of free pages", func(b []byte) { b[39]++ }, "the header counts"},
		{"pointer maps or not", func(b []byte) { put(b[52:], 0) }, "pointer maps false"},
	} {
		bad := append([]byte{}, good...)
		c.change(bad)
		said, other := compareFiles([2][]byte{bad, good}, tally{})
		if (said != other) != (c.want != "") || !strings.Contains(said, c.want) {
			t.Errorf("%s: %q and %q, want %q", c.name, said, other, c.want)
		}
	}
	if said, other := compareFiles([2][]byte{good[:len(good)-512], good}, tally{}); said == other {
		t.Error("a page is missing, and nothing is said")
	}
}

// twoSides opens an empty pair.
func twoSides(t *testing.T, create ...string) *pair {
	t.Helper()
	r := &pair{dir: t.TempDir()}
	p := &plan{create: append([]string{"ATTACH '$Fb' AS b", "PRAGMA journal_mode=WAL", "PRAGMA b.journal_mode=WAL", "CREATE TABLE b.x(a)"}, create...)}
	d, err := r.begin(p)
	if d != nil || err != nil {
		t.Fatal(d, err)
	}
	t.Cleanup(func() {
		for _, s := range r.sides {
			if err := s.close(); err != nil {
				t.Error(err)
			}
		}
	})
	return r
}

// TestInterrupted is what SQLite does with a transaction in which a statement is
// interrupted: a write takes all of it back, a read nothing.
func TestInterrupted(t *testing.T) {
	for _, c := range []struct {
		text, after, rows string
	}{
		{"INSERT INTO t SELECT i FROM (" + rowsOf(9) + "SELECT i FROM r) WHERE " + halted + " IS NULL", "code 1", "[0];ok"},
		{"SELECT count(" + halted + ") FROM (" + rowsOf(9) + "SELECT i FROM r)", "ok", "[1];ok"},
	} {
		r := twoSides(t, "CREATE TABLE t(a)")
		for _, q := range []string{"BEGIN", "INSERT INTO t VALUES (1)"} {
			if d, err := r.do(step{kind: execute, text: q}, tally{}); d != nil || err != nil {
				t.Fatal(d, err)
			}
		}
		if said := r.interruptBoth(step{kind: interrupt, text: c.text, n: 5}); said != [2]string{interrupted, interrupted} {
			t.Errorf("%s: %q", c.text, said)
		}
		for _, s := range r.sides {
			if said := s.conns[0].exec("COMMIT"); said != c.after {
				t.Errorf("%s: COMMIT after %s: %s, want %s", s.engine, c.text, said, c.after)
			}
			if said := s.conns[1].all("SELECT count(*) FROM t"); said != c.rows {
				t.Errorf("%s: rows after %s: %s, want %s", s.engine, c.text, said, c.rows)
			}
		}
		// One side alone is interrupted: that is a difference.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := r.sides[0].conns[0].ExecContext(ctx, "INSERT INTO t VALUES (2)")
		if class(err) != interrupted {
			t.Error(err)
		}
		r.sides[1].conns[0].exec("INSERT INTO t VALUES (2)")
		if d, err := r.compareCopies(); err != nil || d == nil {
			t.Error("a statement ran on one side only, and nothing is said", err)
		}
	}
}

// TestBeside: what checkpoints say beside a reader that is behind, one that is
// not, and a writer; and that a side whose reader is gone says something else.
func TestBeside(t *testing.T) {
	r := twoSides(t, "CREATE TABLE t(a)", "INSERT INTO t VALUES (1), (2), (3), (4), (5), (6)")
	both := func(st step, want string) {
		t.Helper()
		if said := r.besideBoth(st); said[0] != said[1] || !strings.HasPrefix(said[0], want) {
			t.Errorf("%s: %q, want %q", st, said, want)
		}
	}
	do := func(st step) {
		t.Helper()
		if d, err := r.do(st, tally{}); d != nil || err != nil {
			t.Fatal(st, d, err)
		}
	}
	cp := func(mode string) step { return step{kind: beside, text: "PRAGMA main.wal_checkpoint(" + mode + ")"} }
	do(step{kind: execute, text: "INSERT INTO t VALUES (7)"})
	do(step{kind: start, conn: 1, text: "SELECT a FROM t"})
	both(cp("FULL"), "busy 0, all true; 1 0: [2];")
	both(cp("RESTART"), "busy 1, all true; 1 0: [3];")
	do(step{kind: execute, text: "INSERT INTO t VALUES (8)"})
	both(cp("FULL"), "busy 1, all false; 1 0: [4];")
	do(step{kind: execute, conn: 2, text: "BEGIN IMMEDIATE"})
	both(cp("TRUNCATE"), "busy 1, all false; 1 0: [5];")
	both(cp("FULL"), "busy 1, all false; 1 0: [6];")
	do(step{kind: execute, conn: 2, text: "ROLLBACK"})
	r.sides[0].conns[1].closeRows(0)
	if said := r.besideBoth(cp("TRUNCATE")); said[0] == said[1] {
		t.Errorf("one side has no reader, and both say %q", said)
	}
	r.sides[1].conns[1].closeRows(0)
	both(cp("TRUNCATE"), "busy 0, log 0, copied 0")
}
