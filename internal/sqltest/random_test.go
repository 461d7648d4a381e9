// What Walnut writes, sqlite3 reads, at every point and the other way round:
// random transactions on every page size, and after each of them a frozen copy
// of the pair shows the same to both.

package sqltest

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stepsPerSize is how many transactions each page size gets.
func stepsPerSize() int {
	if testing.Short() {
		return 15
	}
	return 32
}

func TestRandomTransactions(t *testing.T) {
	sqlite3Path(t)
	total := 0
	for i := range 8 {
		size := 512 << i
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			r := &randomTest{T: t, workload: newWorkload(newRand(t, uint64(100+i))), path: newFile(t), size: size}
			r.reopen()
			r.run(stepsPerSize())
			total += r.compared
			t.Logf("%d copies compared, %d continued by sqlite3, %d while a reader was open, kinds %v", r.compared, r.continued, r.withReader, r.kinds)
		})
	}
	t.Logf("%d transactions compared", total)
}

type randomTest struct {
	*testing.T
	*workload
	path string
	size int

	db     *sql.DB
	c      *sql.Conn
	reader *sql.Tx
	// seen is what the reader must go on seeing.
	seen string

	compared, continued, withReader int
	kinds                           map[string]int
}

// reopen closes the pool, which removes the log, and opens it again.
func (r *randomTest) reopen() {
	r.endReader()
	if r.db != nil {
		r.noErr(r.c.Close())
		r.noErr(r.db.Close())
		if _, err := os.Stat(r.path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
			r.Fatalf("the log is there after the last close: %v", err)
		}
		r.compare("closed")
	}
	pragmas := fmt.Sprintf("_pragma=page_size(%d)&_pragma=auto_vacuum(%d)", r.size, r.IntN(3))
	if r.IntN(2) == 0 {
		pragmas += "&_pragma=cache_size(5)" // spills
	}
	if r.IntN(2) == 0 {
		pragmas += "&_pragma=wal_autocheckpoint(20)"
	}
	r.db = open(r, r.path, pragmas)
	r.c = conn(r, r.db)
}

func (r *randomTest) noErr(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *randomTest) run(steps int) {
	r.kinds = map[string]int{}
	for i := range steps {
		next := r.step
		switch i {
		case steps / 2:
			next = r.large
		case steps/2 + 2:
			next = r.afterLarge
		}
		kind, script := next()
		for _, s := range script {
			if _, err := r.c.ExecContext(ctx, s); err != nil {
				r.Fatalf("step %d (%s): %.200s: %v", i, kind, s, err)
			}
		}
		r.kinds[kind]++
		r.compare(fmt.Sprintf("step %d (%s)", i, kind))
		r.between(i)
	}
	want(r, "page size", get(r, r.c, "PRAGMA page_size"), fmt.Sprint(r.size))
	r.reopen()
	r.endReader()
	r.noErr(r.c.Close())
	r.noErr(r.db.Close())
}

// between is what may happen between two transactions.
func (r *randomTest) between(i int) {
	switch r.IntN(12) {
	case 0, 1:
		exec1(r, r.c, "PRAGMA wal_checkpoint(PASSIVE)")
		r.compare(fmt.Sprintf("passive checkpoint after %d", i))
	case 2:
		r.endReader()
		want(r, "truncate", get(r, r.c, "PRAGMA wal_checkpoint(TRUNCATE)"), "0|0|0")
		r.compare(fmt.Sprintf("truncate after %d", i))
	case 3:
		r.reopen()
	case 4, 5:
		r.continueInSQLite(i)
	case 6, 7:
		if r.reader == nil {
			r.beginReader()
			break
		}
		r.endReader()
	}
}

func (r *randomTest) beginReader() {
	tx, err := r.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	r.noErr(err)
	r.reader, r.seen = tx, get(r, tx, "SELECT count(*), sum(rootpage) FROM sqlite_master")
}

// endReader checks that the reader's snapshot has not changed.
func (r *randomTest) endReader() {
	if r.reader == nil {
		return
	}
	wantQuery(r, r.reader, "SELECT count(*), sum(rootpage) FROM sqlite_master", r.seen)
	wantQuery(r, r.reader, "PRAGMA integrity_check", "ok")
	r.noErr(r.reader.Rollback())
	r.reader = nil
}

// show lists the database as Walnut has it.
func (r *randomTest) show(db execer) string {
	var all []string
	for _, q := range r.listing() {
		if s := get(r, db, q); s != "" {
			all = append(all, s)
		}
	}
	return strings.Join(all, "\n")
}

// compare has sqlite3 list a frozen copy.
func (r *randomTest) compare(when string) {
	r.Helper()
	frozen := freeze(r, r.path)
	theirs := sqlite3(r, frozen, strings.Join(r.listing(), ";\n")+";")
	ours := ""
	if _, err := os.Stat(r.path + "-wal"); err == nil {
		ours = r.show(r.c)
	} else {
		db := open(r, freeze(r, r.path), "")
		ours = r.show(db)
		r.noErr(db.Close())
	}
	if ours != theirs {
		r.Fatalf("%s: %s", when, firstDifference(ours, theirs))
	}
	if !strings.HasSuffix(theirs, "\nok") && theirs != "ok" {
		r.Fatalf("%s: integrity_check: %.300s", when, theirs[strings.LastIndex(theirs, "\n")+1:])
	}
	r.compared++
	if r.reader != nil {
		r.withReader++
	}
	_ = os.RemoveAll(filepath.Dir(frozen))
}

// continueInSQLite lets sqlite3 go on with a copy of the pair as a killed
// process leaves it, and Walnut with what sqlite3 then leaves.
func (r *randomTest) continueInSQLite(i int) {
	frozen := freeze(r, r.path)
	saved, made := r.snapshot(), r.made
	script := ".dbconfig no_ckpt_on_close on\nPRAGMA wal_autocheckpoint=0;\n"
	if r.IntN(3) == 0 {
		script = "PRAGMA wal_checkpoint(TRUNCATE);\n" + script
	}
	for range 1 + r.IntN(4) {
		_, sql := r.step()
		script += strings.Join(sql, ";\n") + ";\n"
	}
	sqlite3(r, frozen, script)
	leftLog := exists(frozen + "-wal")
	theirs := sqlite3(r, freeze(r, frozen), strings.Join(r.listing(), ";\n")+";")
	db := open(r, frozen, "")
	if ours := r.show(db); ours != theirs {
		r.Fatalf("after sqlite3 went on at step %d (log left: %v): %s", i, leftLog, firstDifference(ours, theirs))
	}
	// And back again.
	exec1(r, db, "CREATE TABLE back(x); INSERT INTO back VALUES(randomblob(3000)); DROP TABLE back")
	r.noErr(db.Close())
	want(r, "integrity after both", sqlite3(r, frozen, "PRAGMA integrity_check;"), "ok")
	r.tables, r.made = saved, made
	r.continued++
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// firstDifference shows the first line in which two listings differ.
func firstDifference(ours, theirs string) string {
	a, b := strings.Split(ours, "\n"), strings.Split(theirs, "\n")
	for i := range max(len(a), len(b)) {
		x, y := "(none)", "(none)"
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return fmt.Sprintf("line %d differs:\nwalnut  %.200s\nsqlite3 %.200s", i+1, x, y)
		}
	}
	return "the same"
}

// TestRandomKilled: a pair copied at any moment of a transaction shows the last
// committed state, to both.
func TestRandomKilled(t *testing.T) {
	sqlite3Path(t)
	rnd := newRand(t, 7)
	path := newFile(t)
	db := open(t, path, "_pragma=cache_size(2)&_pragma=wal_autocheckpoint(30)&_pragma=page_size(1024)")
	c := conn(t, db)
	w := newWorkload(rand.New(rand.NewPCG(rnd.Uint64(), 1)))
	exec1(t, c, w.create())
	for range 10 {
		committed := strings.Join(allLines(t, c, w.listing()), "\n")
		listing := w.listing()
		exec1(t, c, "BEGIN IMMEDIATE")
		for range 4 {
			exec1(t, c, w.insert(40)) // spills at this cache size
			frozen := freeze(t, path)
			theirs := sqlite3(t, frozen, strings.Join(listing, ";\n")+";")
			if committed != theirs {
				t.Fatal(firstDifference(committed, theirs))
			}
		}
		exec1(t, c, "COMMIT")
	}
}

func allLines(t testing.TB, db execer, queries []string) []string {
	t.Helper()
	var all []string
	for _, q := range queries {
		if s := get(t, db, q); s != "" {
			all = append(all, s)
		}
	}
	return all
}
