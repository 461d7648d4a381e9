package torture

// This file is the child: it writes until it is killed.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/walnutdb/walnut"
)

// What a child prints: a line for each commit that returned, and what its
// readers saw that no snapshot may show.
const (
	ackFormat  = "ack %d %d"
	tornPrefix = "torn "
)

// child is a process that waits to be killed.
type child struct {
	conditions
	path   string
	engine *walnut.DB
	db     *sql.DB
	cancel context.CancelCauseFunc

	mu  sync.Mutex // one line at a time
	out io.Writer

	// resting: all are to end what they do, since the database is to be closed.
	resting atomic.Bool
}

// Child writes to the database at path until ctx ends or something fails.
// Each line on out is one write.
func Child(ctx context.Context, path string, seed uint64, round int, out io.Writer) error {
	c := &child{conditions: conditionsOf(seed, round), path: path, out: out}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.cancel = cancel
	rest := childRand(seed, round, 103)
	for shift := 0; context.Cause(ctx) == nil; shift++ {
		c.resting.Store(false)
		if c.closes {
			d := time.Duration(20+rest.IntN(80)) * time.Millisecond
			defer time.AfterFunc(d, func() { c.resting.Store(true) }).Stop()
		}
		if err := c.shift(ctx, func(id int) *rand.Rand { return childRand(seed, round, shift<<8|id) }); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// shift opens the database, has everybody work until the child ends or rests,
// and closes it.
func (c *child) shift(ctx context.Context, random func(id int) *rand.Rand) (err error) {
	// Who opens a database first decides when its transactions spill.
	if c.engine, err = walnut.Open(c.path, &walnut.Options{TxBytes: c.txBytes}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.engine.Close()) }() // the last to close
	if c.db, err = openDB(c.path); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.db.Close()) }()
	pages, err := walnut.Open(pagesName(c.path), &walnut.Options{TxBytes: c.txBytes})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pages.Close()) }()
	if err := c.prepare(ctx); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	var wg sync.WaitGroup
	for id := 1; id <= c.workers; id++ {
		wg.Go(func() { c.fail(c.work(ctx, &worker{id: id, rng: random(id)})) })
	}
	for id := firstPageWorker; id < firstPageWorker+pageWorkers; id++ {
		wg.Go(func() { c.fail(c.workPages(ctx, pages, id, random(id))) })
	}
	wg.Go(func() { c.fail(c.maintain(ctx, random(100))) })
	wg.Go(func() { c.fail(c.watch(ctx, random(101))) })
	wg.Wait()
	return nil
}

// fail ends the child with its first error.
func (c *child) fail(err error) {
	if err != nil {
		c.cancel(err)
	}
}

// line prints one line with one write, so that a kill leaves none in parts.
func (c *child) line(format string, args ...any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := io.WriteString(c.out, fmt.Sprintf(format, args...)+"\n")
	return err
}

// prepare creates the tables, in one transaction.
func (c *child) prepare(ctx context.Context) error {
	conn, err := c.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, q := range schema {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("%w in %s", err, q)
		}
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

// work is one writer on a connection of its own.
func (c *child) work(ctx context.Context, w *worker) error {
	conn, err := c.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, q := range c.pragmas(w) {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("%w in %s", err, q)
		}
	}
	if err := w.remember(ctx, conn); err != nil {
		return err
	}
	for ctx.Err() == nil && !c.resting.Load() {
		t := w.next()
		committed, err := c.transact(ctx, conn, t)
		if err != nil {
			return fmt.Errorf("worker %d, %s %d: %w", w.id, t.kind, t.seq, err)
		}
		if !committed {
			continue
		}
		if err := c.line(ackFormat, w.id, t.seq); err != nil {
			return err
		}
		w.seq = t.seq
		if t.done != nil {
			t.done()
		}
	}
	return nil
}

// remember finds out what the worker committed before it was killed.
func (w *worker) remember(ctx context.Context, conn *sql.Conn) error {
	err := conn.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM commits WHERE worker = ?`, w.id).Scan(&w.seq)
	if err != nil {
		return err
	}
	rows, err := conn.QueryContext(ctx, `SELECT seq FROM commits WHERE worker = ? AND n > 0`, w.id)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var seq int
		if err := rows.Scan(&seq); err != nil {
			return err
		}
		w.old = append(w.old, seq)
	}
	return rows.Err()
}

// transact runs one transaction; it reports false if it was rolled back as
// planned. "Database is locked" is a failure like any other: writers take their
// place first, and then wait for it.
func (c *child) transact(ctx context.Context, conn *sql.Conn, t transaction) (committed bool, err error) {
	if t.alone {
		err := t.write(ctx, conn)
		return err == nil, err
	}
	end := "COMMIT"
	if t.undo {
		end = "ROLLBACK"
	}
	if _, err = conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err == nil {
		if err = t.write(ctx, conn); err == nil {
			_, err = conn.ExecContext(ctx, end)
		}
		if err != nil {
			// The first error counts. It may be that ctx ended.
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		}
	}
	return err == nil && !t.undo, err
}

// maintain does, now and then, what owners of databases do.
func (c *child) maintain(ctx context.Context, rng *rand.Rand) error {
	for pause(ctx, time.Duration(3+rng.IntN(50))*time.Millisecond) && !c.resting.Load() {
		q, n := "VACUUM", rng.IntN(10)
		switch {
		case n == 9:
			if err := c.backup(ctx); err != nil {
				return err
			}
			continue
		case n > 0:
			q = "PRAGMA wal_checkpoint(" + []string{"PASSIVE", "FULL", "RESTART", "TRUNCATE"}[n%4] + ")"
		}
		// All may find somebody in the way, and need not happen.
		if _, err := c.db.ExecContext(ctx, q); err != nil && !errors.Is(err, sqlite3.BUSY) {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return nil
}

// backup copies the database, while all others go on, to where the backup
// before it was.
func (c *child) backup(ctx context.Context) error {
	to := filepath.Join(filepath.Dir(c.path), backupName)
	if err := removePair(to); err != nil {
		return err
	}
	if err := c.engine.Backup(ctx, to, nil); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// watch reads snapshots and looks at the sum of the money.
func (c *child) watch(ctx context.Context, rng *rand.Rand) error {
	for pause(ctx, time.Duration(rng.IntN(5))*time.Millisecond) && !c.resting.Load() {
		var sum int
		err := c.db.QueryRowContext(ctx, `SELECT coalesce(sum(balance), 0) FROM accounts`).Scan(&sum)
		if err != nil {
			return fmt.Errorf("read the sum: %w", err)
		}
		if sum != accounts*openingCash {
			if err := c.line("%sa snapshot's sum is %d, not %d", tornPrefix, sum, accounts*openingCash); err != nil {
				return err
			}
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
