package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk"
)

// filled opens a new database and inserts that many rows, so many in a
// transaction.
func filled(ctx context.Context, e sqlEngine, dir string, p pragmas, rows, inTx int) (*session, error) {
	ses, err := openSession(ctx, e, dir, true, p)
	if err != nil {
		return nil, err
	}
	err = ses.connect(ctx, 1, insertRow, p)
	if err == nil {
		err = ses.fill(ctx, rows, inTx, note)
	}
	if err == nil {
		err = ses.check(ctx, rows)
	}
	if err != nil {
		return nil, errors.Join(err, ses.close())
	}
	return ses, nil
}

func (s *session) fill(ctx context.Context, rows, inTx int, text string) error {
	for done := 0; done < rows; done += inTx {
		if err := s.conns[0].exec(ctx, "BEGIN IMMEDIATE"); err != nil {
			return err
		}
		for i := range min(inTx, rows-done) {
			if err := s.stmts[0].exec(ctx, int64(i), text); err != nil {
				return err
			}
		}
		if err := s.conns[0].exec(ctx, "COMMIT"); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// bulkWorkload is one large transaction.
func bulkWorkload(s setting) workload {
	w := workload{name: "bulk", title: fmt.Sprintf("%d rows in one transaction, synchronous=FULL", s.rows),
		metrics: []metric{{Name: "rate", Unit: "rows/s"}}}
	rate := func(begin time.Time) sample { return sample{"rate": float64(s.rows) / time.Since(begin).Seconds()} }
	for _, e := range sqlEngines() {
		w.entrants = append(w.entrants, entrant{e.name, func(ctx context.Context, dir string) (_ sample, err error) {
			ses, err := openSession(ctx, e, dir, true, usual)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, ses.close()) }()
			if err := ses.connect(ctx, 1, insertRow, usual); err != nil {
				return nil, err
			}
			begin := time.Now()
			if err := ses.fill(ctx, s.rows, s.rows, note); err != nil {
				return nil, err
			}
			r := rate(begin)
			return r, ses.check(ctx, s.rows)
		}})
	}
	w.entrants = append(w.entrants, entrant{bboltName, func(ctx context.Context, dir string) (sample, error) {
		begin := time.Now()
		db, err := bboltBulk(s.rows)(ctx, dir)
		if err != nil {
			return nil, err
		}
		r := rate(begin)
		return r, db.Close()
	}})
	return w
}

// large is a row that fills a page of its own.
var large = strings.Repeat("x", 4000)

// logged opens a new database whose log has that many MiB, in transactions of
// about 4 MiB at FULL, and nothing of it copied.
func logged(ctx context.Context, e sqlEngine, dir string, mib int) (*session, error) {
	p := pragmas{"FULL", 0}
	ses, err := openSession(ctx, e, dir, true, p)
	if err != nil {
		return nil, err
	}
	err = ses.connect(ctx, 1, insertRow, p)
	if err == nil {
		err = ses.fill(ctx, mib<<20/frameSize, 1000, large)
	}
	if err != nil {
		return nil, errors.Join(err, ses.close())
	}
	return ses, nil
}

// checkpointWorkloads copy logs of several sizes into the database file.
func checkpointWorkloads(s setting) []workload {
	var list []workload
	for _, mib := range s.logs {
		w := workload{name: fmt.Sprintf("checkpoint/%d", mib), title: fmt.Sprintf("Checkpoint (FULL) of a log of %d MiB", mib),
			metrics: []metric{{Name: "speed", Unit: "MiB/s"}}}
		for _, e := range sqlEngines() {
			w.entrants = append(w.entrants, entrant{e.name, func(ctx context.Context, dir string) (_ sample, err error) {
				ses, err := logged(ctx, e, dir, mib)
				if err != nil {
					return nil, err
				}
				defer func() { err = errors.Join(err, ses.close()) }()
				var busy, frames, copied int64
				begin := time.Now()
				if err := ses.conns[0].query(ctx, "PRAGMA wal_checkpoint(FULL)", &busy, &frames, &copied); err != nil {
					return nil, err
				}
				elapsed := time.Since(begin)
				if busy != 0 || frames == 0 || copied != frames {
					return nil, fmt.Errorf("the checkpoint says %d, %d, %d", busy, frames, copied)
				}
				return sample{"speed": float64(frames) * frameSize / (1 << 20) / elapsed.Seconds()}, nil
			}})
		}
		list = append(list, w)
	}
	return list
}

// crashed is what a crash leaves, made once for each size: a database and its
// log, copied while they were in use.
type crashed struct {
	root string
	done map[int]bool
}

// copyTo copies the pair into a directory.
func (c *crashed) copyTo(ctx context.Context, dir string, mib int) error {
	at := filepath.Join(c.root, fmt.Sprint("crashed-", mib))
	if !c.done[mib] {
		live := filepath.Join(at, "live")
		if err := os.MkdirAll(live, 0o755); err != nil {
			return err
		}
		ses, err := logged(ctx, sqlEngines()[0], live, mib)
		if err != nil {
			return err
		}
		if err := errors.Join(copyPair(live, at), ses.close(), os.RemoveAll(live)); err != nil {
			return err
		}
		c.done[mib] = true
	}
	return copyPair(at, dir)
}

func copyPair(from, to string) error {
	return errors.Join(copyFile(filepath.Join(from, "bench.db"), filepath.Join(to, "bench.db")),
		copyFile(filepath.Join(from, "bench.db-wal"), filepath.Join(to, "bench.db-wal")))
}

// reopenWorkloads open what a crash left, with the files in the page cache.
func reopenWorkloads(root string, s setting) []workload {
	c := &crashed{root: root, done: map[int]bool{}}
	var list []workload
	for _, mib := range s.reopens {
		w := workload{name: fmt.Sprintf("reopen/%d", mib), title: fmt.Sprintf("Opening after a crash and reading a row, a log of %d MiB", mib), limit: "page cache",
			metrics: []metric{{Name: "speed", Unit: "MiB/s"}, {Name: "time", Unit: "ms", Lower: true}}}
		// timed is a turn: prepare may open what is to be closed afterwards.
		timed := func(name string, open func(ctx context.Context, dir string) (func() error, error)) {
			w.entrants = append(w.entrants, entrant{name, func(ctx context.Context, dir string) (sample, error) {
				if err := c.copyTo(ctx, dir, mib); err != nil {
					return nil, err
				}
				size, err := disk.OS().Stat(filepath.Join(dir, "bench.db-wal"))
				if err != nil {
					return nil, err
				}
				begin := time.Now()
				closer, err := open(ctx, dir)
				elapsed := time.Since(begin)
				if err != nil {
					return nil, err
				}
				return sample{"time": micros(elapsed) / 1000, "speed": float64(size.Size) / (1 << 20) / elapsed.Seconds()}, closer()
			}})
		}
		timed("page cache", func(_ context.Context, dir string) (func() error, error) {
			f, err := disk.OS().Open(filepath.Join(dir, "bench.db-wal"), disk.ReadOnly)
			if err != nil {
				return nil, err
			}
			return f.Close, readAll(f, func([]byte) {})
		})
		timed("scan only", func(ctx context.Context, dir string) (func() error, error) {
			db, err := walnut.Open(filepath.Join(dir, "bench.db"), &walnut.Options{ReadOnly: true, Immutable: true})
			if err != nil {
				return nil, err
			}
			return db.Close, db.View(ctx, func(tx *walnut.Tx) error { _, err := tx.Page(2); return err })
		})
		for _, e := range sqlEngines() {
			timed(e.name, func(ctx context.Context, dir string) (func() error, error) { return firstRow(ctx, e, dir) })
		}
		list = append(list, w)
	}
	return list
}

// firstRow opens a database with one connection, and reads.
func firstRow(ctx context.Context, e sqlEngine, dir string) (func() error, error) {
	db, err := e.open(filepath.Join(dir, "bench.db"))
	if err != nil {
		return nil, err
	}
	conn, err := db.conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.close())
	}
	closer := func() error { return errors.Join(conn.close(), db.close()) }
	var id int64
	if err := conn.query(ctx, "SELECT id FROM visits LIMIT 1", &id); err != nil || id != 1 {
		return nil, errors.Join(fmt.Errorf("the first row is %d", id), err, closer())
	}
	return closer, nil
}
