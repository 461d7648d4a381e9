package main

import (
	"context"
	"database/sql"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/walnutdb/walnut"
)

// times are the durations of one kind of thing.
type times []time.Duration

// quantile in microseconds; 0 of none. REQUIRES that they are sorted.
func (t times) quantile(q float64) float64 {
	if len(t) == 0 {
		return 0
	}
	return float64(t[min(int(q*float64(len(t))), len(t)-1)]) / 1e3
}

// writer updates random rows.
type writer struct {
	c      *sql.Conn
	own    *walnut.DB
	update *sql.Stmt
	rng    *rand.Rand
	s      setting
	// commits took so long, and so long without the engine's hold.
	commits, apart times
	held           time.Duration
}

func newWriter(ctx context.Context, d *database, s setting) (*writer, error) {
	c, err := d.conn(ctx, s.sync)
	if err != nil {
		return nil, err
	}
	u, err := c.PrepareContext(ctx, "UPDATE page SET n = n+1, body = ? WHERE id = ?")
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &writer{c: c, own: d.own, update: u, rng: rand.New(rand.NewPCG(5, 7)), s: s}, nil
}

func (w *writer) close() error { return errors.Join(w.update.Close(), w.c.Close()) }

// run commits until it is told to end, by time or by the bytes of changed pages.
func (w *writer) run(ctx context.Context, until time.Time, bytes int64) error {
	w.held = w.hold()
	body := make([]byte, 3900)
	ids := make([]int64, w.s.pages)
	for written := int64(0); ; written += int64(w.s.pages) * pageSize {
		if bytes > 0 && written >= bytes || bytes == 0 && !time.Now().Before(until) {
			return nil
		}
		for i := range body {
			if i%8 == 0 {
				body[i] = byte(w.rng.Uint32())
			}
		}
		for i := range ids {
			ids[i] = 1 + w.rng.Int64N(int64(w.s.rows))
		}
		begin := time.Now()
		if err := w.commit(ctx, body, ids); err != nil {
			return err
		}
		took := time.Since(begin)
		held := w.hold()
		w.commits = append(w.commits, took)
		w.apart = append(w.apart, max(0, took-(held-w.held)))
		w.held = held
	}
}

// hold is how long the engine has held writers so far.
func (w *writer) hold() time.Duration {
	if w.own == nil {
		return 0
	}
	return time.Duration(w.own.Stats().WriterHold.Sum)
}

func (w *writer) commit(ctx context.Context, body []byte, ids []int64) error {
	if _, err := w.c.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for i, id := range ids {
		body[1] = byte(i)
		if _, err := w.update.ExecContext(ctx, body, id); err != nil {
			return err
		}
	}
	_, err := w.c.ExecContext(ctx, "COMMIT")
	return err
}

// reader has a connection with a statement that reads one row.
type reader struct {
	c   *sql.Conn
	row *sql.Stmt
	rng *rand.Rand
	s   setting
	// queries took so long.
	queries times
	longest time.Duration // of a transaction
}

func newReader(ctx context.Context, d *database, s setting, seed uint64) (*reader, error) {
	c, err := d.conn(ctx, s.sync)
	if err != nil {
		return nil, err
	}
	st, err := c.PrepareContext(ctx, "SELECT count(*), sum(n), max(length(body)) FROM page WHERE id BETWEEN ? AND ?+9")
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &reader{c: c, row: st, rng: rand.New(rand.NewPCG(seed, 11)), s: s}, nil
}

func (r *reader) close() error { return errors.Join(r.row.Close(), r.c.Close()) }

// run reads in transactions that stay open for that long until it is told to
// end; the first begins after delay, so that they overlap.
func (r *reader) run(ctx context.Context, delay, stay time.Duration, done <-chan struct{}) error {
	wait := func(d time.Duration) bool {
		select {
		case <-time.After(d):
			return true
		case <-done:
			return false
		}
	}
	for more := wait(delay); more; {
		if _, err := r.c.ExecContext(ctx, "BEGIN"); err != nil {
			return err
		}
		begin := time.Now()
		for range 5 {
			if err := r.query(ctx); err != nil {
				return err
			}
			if more = wait(stay / 5); !more {
				break
			}
		}
		if _, err := r.c.ExecContext(ctx, "COMMIT"); err != nil {
			return err
		}
		r.longest = max(r.longest, time.Since(begin))
	}
	return nil
}

// query reads ten rows.
func (r *reader) query(ctx context.Context) error {
	id := 1 + r.rng.Int64N(int64(r.s.rows-9))
	var n, sum, length int64
	begin := time.Now()
	if err := r.row.QueryRowContext(ctx, id, id).Scan(&n, &sum, &length); err != nil {
		return err
	}
	r.queries = append(r.queries, time.Since(begin))
	if n != 10 || length != 3900 {
		return errors.New("a reader saw rows that are not those of the table")
	}
	return nil
}

// checksum reads the whole table.
func checksum(ctx context.Context, c *sql.Conn) (sum uint64, err error) {
	rows, err := c.QueryContext(ctx, "SELECT id, n, body FROM page ORDER BY id")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	h := fnv.New64a()
	var id, n int64
	var body sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&id, &n, &body); err != nil {
			return 0, err
		}
		_, _ = h.Write([]byte{byte(id), byte(id >> 8), byte(id >> 16), byte(n), byte(n >> 8), byte(n >> 16)})
		_, _ = h.Write(body)
	}
	return h.Sum64(), rows.Err()
}

// sorted puts lists together.
func sorted(lists ...times) times {
	t := slices.Concat(lists...)
	slices.Sort(t)
	return t
}
