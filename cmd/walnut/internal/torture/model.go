package torture

// This file is what the database holds, and what a worker does to it. The
// tables are such that a transaction that is there by halves contradicts
// itself:
//
//	commits   one row for each transaction: worker, seq (1, 2, 3 …), kind, and
//	          what must be elsewhere: n rows in each of part_a and part_b, an
//	          amount moved from one account to another
//	part_a, part_b   the n rows of it, all with the same version
//	accounts  money; their sum never changes, and each balance follows from
//	          the moves in commits
//	counters  for each worker the seq of its last transaction with several
//	          statements
//
// Rows with a negative seq belong to transactions that are rolled back.

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
)

const (
	accounts    = 40
	openingCash = 1000
)

// schema is run as one transaction, and again by each child.
var schema = []string{
	`CREATE TABLE IF NOT EXISTS commits(worker INTEGER, seq INTEGER, kind TEXT, n INTEGER NOT NULL,
	   src INTEGER, dst INTEGER, amount INTEGER, PRIMARY KEY(worker, seq))`,
	`CREATE TABLE IF NOT EXISTS part_a(worker INTEGER, seq INTEGER, i INTEGER, version INTEGER, payload TEXT, PRIMARY KEY(worker, seq, i))`,
	`CREATE TABLE IF NOT EXISTS part_b(worker INTEGER, seq INTEGER, i INTEGER, version INTEGER, payload TEXT, PRIMARY KEY(worker, seq, i))`,
	`CREATE INDEX IF NOT EXISTS part_b_payload ON part_b(payload)`,
	`CREATE TABLE IF NOT EXISTS accounts(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS counters(worker INTEGER PRIMARY KEY, value INTEGER NOT NULL)`,
	fmt.Sprintf(`INSERT INTO accounts SELECT value, %d FROM (WITH RECURSIVE c(value) AS (VALUES(1) UNION ALL SELECT value+1 FROM c WHERE value < %d) SELECT value FROM c)
	   WHERE NOT EXISTS (SELECT 1 FROM accounts)`, openingCash, accounts),
}

// tables is how many tables the schema has.
const tables = 5

// execer is what a worker runs its statements on: one connection.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// worker writes transactions, one after the other.
type worker struct {
	id  int
	rng *rand.Rand
	seq int   // of its last commit
	old []int // commits that have rows in part_a and part_b
}

// transaction is one step of a worker.
type transaction struct {
	kind  string
	seq   int
	write func(ctx context.Context, c execer) error
	alone bool // one statement, committed by itself
	undo  bool // rolled back in the end: nothing to report
	done  func()
}

// next chooses the next transaction.
func (w *worker) next() transaction {
	t := transaction{seq: w.seq + 1}
	switch n := w.rng.IntN(100); {
	case n < 40:
		t.kind, t.alone = "single", true
		t.write = func(ctx context.Context, c execer) error { return w.record(ctx, c, t, 0) }
	case n < 60:
		w.move(&t)
	case n < 78:
		w.parts(&t, "multi", 2+w.rng.IntN(12), 20+w.rng.IntN(200))
	case n < 80:
		w.parts(&t, "large", 150+w.rng.IntN(450), 100+w.rng.IntN(400))
	case n < 88:
		w.rewrite(&t)
	case n < 94:
		w.remove(&t)
	case n < 97:
		t.kind, t.undo = "rollback", true
		rows, size := w.undone(80), w.rng.IntN(300)
		t.write = func(ctx context.Context, c execer) error { return w.insert(ctx, c, -t.seq, rows, size) }
	default:
		w.savepoint(&t)
	}
	return t
}

// record writes the transaction's row in commits.
func (w *worker) record(ctx context.Context, c execer, t transaction, n int) error {
	_, err := c.ExecContext(ctx, `INSERT INTO commits(worker, seq, kind, n) VALUES (?, ?, ?, ?)`, w.id, t.seq, t.kind, n)
	return err
}

// count notes in counters that the transaction was the worker's last.
func (w *worker) count(ctx context.Context, c execer, t transaction) error {
	_, err := c.ExecContext(ctx, `INSERT INTO counters VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`, w.id, t.seq)
	return err
}

// payload is a text that says where it belongs.
func payload(worker, seq, i, size int) string {
	s := fmt.Sprintf("%d/%d/%d/", worker, seq, i)
	return s + strings.Repeat("x", size)
}

// insert writes rows into both parts.
func (w *worker) insert(ctx context.Context, c execer, seq, rows, size int) error {
	for _, table := range []string{"part_a", "part_b"} {
		for i := range rows {
			_, err := c.ExecContext(ctx, `INSERT INTO `+table+` VALUES (?, ?, ?, ?, ?)`, w.id, seq, i, seq, payload(w.id, seq, i, size))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// parts is a transaction whose rows are in several tables.
func (w *worker) parts(t *transaction, kind string, rows, size int) {
	t.kind = kind
	self := *t
	t.write = func(ctx context.Context, c execer) error {
		if err := w.record(ctx, c, self, rows); err != nil {
			return err
		}
		if err := w.insert(ctx, c, self.seq, rows, size); err != nil {
			return err
		}
		return w.count(ctx, c, self)
	}
	t.done = func() { w.old = append(w.old, self.seq) }
}

// move moves money, in some order of its statements.
func (w *worker) move(t *transaction) {
	t.kind = "move"
	self := *t
	src := 1 + w.rng.IntN(accounts)
	dst := 1 + (src+w.rng.IntN(accounts-1))%accounts
	amount := 1 + w.rng.IntN(50)
	t.write = func(ctx context.Context, c execer) error {
		for _, m := range []struct{ id, by int }{{src, -amount}, {dst, amount}} {
			if _, err := c.ExecContext(ctx, `UPDATE accounts SET balance = balance + ? WHERE id = ?`, m.by, m.id); err != nil {
				return err
			}
		}
		_, err := c.ExecContext(ctx, `INSERT INTO commits VALUES (?, ?, ?, 0, ?, ?, ?)`, w.id, self.seq, self.kind, src, dst, amount)
		if err != nil {
			return err
		}
		return w.count(ctx, c, self)
	}
}

// pick chooses an earlier transaction with rows; 0 if there is none.
func (w *worker) pick() (at, seq int) {
	if len(w.old) == 0 {
		return 0, 0
	}
	at = w.rng.IntN(len(w.old))
	return at, w.old[at]
}

// rewrite gives all rows of an earlier transaction a new version.
func (w *worker) rewrite(t *transaction) {
	t.kind = "update"
	self := *t
	_, seq := w.pick()
	t.write = func(ctx context.Context, c execer) error {
		for _, table := range []string{"part_b", "part_a"} {
			_, err := c.ExecContext(ctx, `UPDATE `+table+` SET version = ?, payload = payload || 'y' WHERE worker = ? AND seq = ?`, self.seq, w.id, seq)
			if err != nil {
				return err
			}
		}
		if err := w.record(ctx, c, self, 0); err != nil {
			return err
		}
		return w.count(ctx, c, self)
	}
}

// remove deletes the rows of an earlier transaction.
func (w *worker) remove(t *transaction) {
	t.kind = "delete"
	self := *t
	at, seq := w.pick()
	t.write = func(ctx context.Context, c execer) error {
		for _, q := range []string{
			`DELETE FROM part_a WHERE worker = ? AND seq = ?`,
			`UPDATE commits SET n = 0 WHERE worker = ? AND seq = ?`,
			`DELETE FROM part_b WHERE worker = ? AND seq = ?`,
		} {
			if _, err := c.ExecContext(ctx, q, w.id, seq); err != nil {
				return err
			}
		}
		if err := w.record(ctx, c, self, 0); err != nil {
			return err
		}
		return w.count(ctx, c, self)
	}
	t.done = func() {
		if seq != 0 {
			w.old = append(w.old[:at], w.old[at+1:]...)
		}
	}
}

// undone is how many rows a transaction or savepoint has that is rolled back:
// up to most, and now and then so many that they spill.
func (w *worker) undone(most int) int {
	if w.rng.IntN(4) == 0 {
		return 200 + w.rng.IntN(300)
	}
	return 1 + w.rng.IntN(most)
}

// savepoint is a transaction of which a part is rolled back: a savepoint and
// one inside it, which is rolled back first, or released, or still there.
func (w *worker) savepoint(t *transaction) {
	rows, inner, size := w.undone(60), w.undone(60), w.rng.IntN(300)
	ends := [][]string{
		{`ROLLBACK TO s`, `RELEASE s`},
		{`ROLLBACK TO r`, `ROLLBACK TO s`, `RELEASE s`},
		{`RELEASE r`, `ROLLBACK TO s`, `RELEASE s`},
	}[w.rng.IntN(3)]
	w.parts(t, "savepoint", 1+w.rng.IntN(5), 50)
	keep, seq := t.write, t.seq
	t.write = func(ctx context.Context, c execer) error {
		for i, name := range []string{"s", "r"} {
			if _, err := c.ExecContext(ctx, `SAVEPOINT `+name); err != nil {
				return err
			}
			// Different rows in each: the key has the sequence number.
			if err := w.insert(ctx, c, -2*seq-i, []int{rows, inner}[i], size); err != nil {
				return err
			}
		}
		for _, q := range ends {
			if _, err := c.ExecContext(ctx, q); err != nil {
				return err
			}
		}
		return keep(ctx, c)
	}
}
