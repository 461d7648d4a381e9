package torture

// Tests that torture sees what it is there to see: a database that a child
// wrote is found clean, and each way of breaking it is found.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/walnutdb/walnut"
)

// written runs a child in this process until it has made n commits, and
// returns the database and what was acknowledged.
func written(t *testing.T, n int) (path string, known ledger) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "torture-000.db")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w := &stopAfter{n: n, stop: cancel}
	if err := Child(ctx, path, 1, 0, w); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	l := &listener{acked: acks{last: map[int]int{}}, first: make(chan struct{}), end: make(chan struct{})}
	l.listen(&w.buf)
	if l.err != nil || l.acked.count < n {
		t.Fatalf("%d commits, %v", l.acked.count, l.err)
	}
	known = l.acked.last
	for w := range known {
		if w >= firstPageWorker {
			delete(known, w) // of the other database: see pages_test.go
		}
	}
	return path, known
}

// stopAfter ends a child after n lines.
type stopAfter struct {
	buf  bytes.Buffer
	n    int
	stop func()
}

func (s *stopAfter) Write(p []byte) (int, error) {
	if s.n--; s.n <= 0 {
		s.stop()
	}
	return s.buf.Write(p)
}

// checkers are those that there are here.
func checkers(t *testing.T) []checker {
	all := []checker{walnutChecker{}}
	path, err := exec.LookPath("sqlite3")
	if err == nil {
		return append(all, sqlite3Checker{path})
	}
	if os.Getenv("CI") != "" {
		t.Fatal("sqlite3 is not installed, and CI needs it")
	}
	return all
}

func TestFindings(t *testing.T) {
	path, known := written(t, 300)
	// Some worker has several commits, however little time another one got.
	worker := 1
	for w := range known {
		if known[w] > known[worker] {
			worker = w
		}
	}
	for _, c := range []struct{ name, damage, want string }{
		{"nothing", "", ""},
		{"last commit gone", fmt.Sprintf("DELETE FROM commits WHERE worker = %d AND seq = %d", worker, known[worker]), "lost"},
		{"a commit in the middle gone", fmt.Sprintf("DELETE FROM commits WHERE worker = %d AND seq = 2", worker), "commits missing"},
		{"the last commits of all gone", "DELETE FROM commits WHERE rowid > (SELECT max(rowid) - 3 FROM commits)", "lost"},
		{"not a prefix", "UPDATE commits SET rowid = rowid + 1 WHERE rowid = (SELECT max(rowid) FROM commits)", "not the first of all commits"},
		{"all commits of a worker gone", "DELETE FROM commits WHERE worker = 2", "lost"},
		{"a row gone", "DELETE FROM part_a WHERE rowid = (SELECT min(rowid) FROM part_a)", "rows in part_a"},
		{"a row too many", "INSERT INTO part_b SELECT worker, seq, 99999, version, worker || '/' || seq || '/99999/' FROM part_b LIMIT 1", "rows in part_b"},
		{"rolled-back rows", "INSERT INTO part_b VALUES (1, -5, 0, 1, '1/-5/0/')", "a transaction that is not there"},
		{"half an update", "UPDATE part_a SET version = version + 1 WHERE rowid = (SELECT max(rowid) FROM part_a)", "versions"},
		{"another text", "UPDATE part_a SET payload = 'x' WHERE rowid = (SELECT max(rowid) FROM part_a)", "wrong text in part_a"},
		{"half a move", "UPDATE accounts SET balance = balance - 1 WHERE id = 3", "account 3 has"},
		{"an account gone", "DELETE FROM accounts WHERE id = 3", "the accounts hold"},
		{"a counter behind", "UPDATE counters SET value = value - 1 WHERE worker = 3", "counter says"},
		{"a table gone", "DROP TABLE counters", "4 of 5 tables"},
		{"all tables gone", "DROP TABLE commits; DROP TABLE part_a; DROP TABLE part_b; DROP TABLE accounts; DROP TABLE counters", "lost"},
	} {
		for _, with := range checkers(t) {
			t.Run(c.name+"/"+with.name(), func(t *testing.T) {
				broken := filepath.Join(t.TempDir(), "torture-000.db")
				if err := copyPair(path, broken); err != nil {
					t.Fatal(err)
				}
				damage(t, broken, c.damage)
				var log bytes.Buffer
				r := &run{Config: Config{Log: &log}, known: clone(known)}
				f, err := examine(context.Background(), with, broken, r.known)
				r.judge(f, err)
				if (c.want == "") != r.result.Clean() || !strings.Contains(log.String(), c.want) {
					t.Errorf("%v, %q", r.result, log.String())
				}
				if c.want == "lost" && r.result.Lost == 0 {
					t.Errorf("nothing lost: %v", r.result)
				}
			})
		}
	}
}

func clone(l ledger) ledger {
	c := ledger{}
	for k, v := range l {
		c[k] = v
	}
	return c
}

func damage(t *testing.T, path, statements string) {
	t.Helper()
	db, err := openDB(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, q := range strings.Split(statements, "; ") {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%v in %s", err, q)
		}
	}
}

// TestBrokenFile: what cannot be read is torn, not an error of the run.
func TestBrokenFile(t *testing.T) {
	for _, with := range checkers(t) {
		path := filepath.Join(t.TempDir(), "torture-000.db")
		if err := os.WriteFile(path, bytes.Repeat([]byte("garbage "), 1024), 0o600); err != nil {
			t.Fatal(err)
		}
		r := &run{Config: Config{Log: io.Discard}, known: ledger{1: 4}}
		f, err := examine(context.Background(), with, path, r.known)
		r.judge(f, err)
		if r.result.Torn == 0 {
			t.Errorf("%s: %v", with.name(), r.result)
		}
	}
}

func TestListener(t *testing.T) {
	for _, c := range []struct {
		in    string
		count int
		torn  int
		fails bool
	}{
		{"ack 1 1\nack 2 7\nack 1 2\n", 3, 0, false},
		{"ack 1 1\nack 1 2", 1, 0, false}, // killed in the middle of a line
		{"ack 1 1\ntorn sum\n", 1, 1, false},
		{"ack 1 1\nack 1 3\n", 1, 0, true},
		{"hello\n", 0, 0, true},
	} {
		l := &listener{acked: acks{last: map[int]int{}}, first: make(chan struct{}), enough: make(chan struct{}), end: make(chan struct{}), target: 2}
		l.listen(strings.NewReader(c.in))
		if l.acked.count != c.count || len(l.torn) != c.torn || (l.err != nil) != c.fails {
			t.Errorf("%q: %d, %q, %v", c.in, l.acked.count, l.torn, l.err)
		}
	}
}

func TestSameSeedSamePlan(t *testing.T) {
	plans := func() (p []plan) {
		r := &run{rng: newRand(5)}
		for range 50 {
			p = append(p, r.planKill())
		}
		return p
	}
	if a, b := fmt.Sprint(plans()), fmt.Sprint(plans()); a != b {
		t.Errorf("%s\n%s", a, b)
	}
}

// TestConditions: every condition comes up within the kills of a default run,
// and the same ones with the same seed.
func TestConditions(t *testing.T) {
	seen := map[string]bool{}
	for round := range 50 {
		c := conditionsOf(9, round)
		if c != conditionsOf(9, round) {
			t.Fatal("not repeatable")
		}
		seen[fmt.Sprint("workers ", c.workers)] = true
		seen["sync "+c.sync] = true
		seen[fmt.Sprint("bytes ", c.txBytes)] = true
		seen[fmt.Sprint("closes ", c.closes)] = true
	}
	if len(seen) != 2+3+2+2 {
		t.Errorf("%v", seen)
	}
}

// TestLargeTransactionsSpill: with the small bound and the small cache, a large
// transaction is in the log before it commits, and a checker finds nothing
// after it was rolled back and after another one was committed.
func TestLargeTransactionsSpill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "torture-000.db")
	engine, err := walnut.Open(path, &walnut.Options{TxBytes: smallTx})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	db, err := openDB(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	c := &child{db: db, out: io.Discard}
	ctx := context.Background()
	if err := c.prepare(ctx); err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "PRAGMA cache_size = 10"); err != nil {
		t.Fatal(err)
	}
	w := &worker{id: 1, rng: newRand(1)}
	for _, undo := range []bool{true, false} {
		tr := transaction{seq: 1, undo: undo}
		w.parts(&tr, "large", 600, 400)
		write := tr.write
		tr.write = func(ctx context.Context, x execer) error {
			before := engine.Stats().BytesAppended
			if err := write(ctx, x); err != nil {
				return err
			}
			if grown := engine.Stats().BytesAppended - before; grown < 8*smallTx {
				t.Errorf("only %d bytes were in the log before the end", grown)
			}
			return nil
		}
		if _, err := c.transact(ctx, conn, tr); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := examine(ctx, walnutChecker{}, path, ledger{1: 1})
	if err != nil || len(f.torn) > 0 || f.present[1] != 1 {
		t.Errorf("%+v, %v", f, err)
	}
}
