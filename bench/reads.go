package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/walnutdb/walnut"
)

// table is the database that readers read: made once by Walnut, for all.
// Nobody changes it; those who write get a copy.
type table struct {
	root string
	rows int
	once sync.Once
	err  error

	boltOnce sync.Once
	boltErr  error
}

// bolt opens the same rows in bbolt, for reading.
func (t *table) bolt(ctx context.Context) (*bbolt.DB, error) {
	dir := filepath.Join(t.root, "bolt")
	t.boltOnce.Do(func() {
		if t.boltErr = os.Mkdir(dir, 0o755); t.boltErr != nil {
			return
		}
		db, err := bboltBulk(t.rows)(ctx, dir)
		if err == nil {
			err = db.Close()
		}
		t.boltErr = err
	})
	if t.boltErr != nil {
		return nil, t.boltErr
	}
	return openBolt(dir)
}

// dir has the table as bench.db, in one file.
func (t *table) dir(ctx context.Context) (string, error) {
	t.once.Do(func() {
		dir := filepath.Join(t.root, "table")
		if t.err = os.Mkdir(dir, 0o755); t.err != nil {
			return
		}
		ses, err := filled(ctx, sqlEngines()[0], dir, usual, t.rows, t.rows)
		if err == nil {
			err = ses.close()
		}
		t.err = err
	})
	return filepath.Join(t.root, "table"), t.err
}

// copyTo copies the table into a directory.
func (t *table) copyTo(ctx context.Context, dir string) error {
	from, err := t.dir(ctx)
	if err != nil {
		return err
	}
	return copyFile(filepath.Join(from, "bench.db"), filepath.Join(dir, "bench.db"))
}

// copyFile copies and syncs, so that nothing is left for the system to write
// while somebody is measured.
func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Sync()
}

// open opens a copy of the table for that many goroutines, with a statement
// that reads a row.
func (t *table) open(ctx context.Context, e sqlEngine, dir string, readers int) (*session, error) {
	if err := t.copyTo(ctx, dir); err != nil {
		return nil, err
	}
	ses, err := openSession(ctx, e, dir, false, usual)
	if err != nil {
		return nil, err
	}
	if err := ses.connect(ctx, readers, selectRow, usual); err != nil {
		return nil, errors.Join(err, ses.close())
	}
	return ses, nil
}

// readAny reads a random row.
func (t *table) readAny(ctx context.Context, s *session, w int) error {
	var who int64
	var text string
	err := s.stmts[w].row(ctx, 1+rand.Int64N(int64(t.rows)), &who, &text)
	if err == nil && len(text) != len(note) {
		err = fmt.Errorf("a row reads %q", text)
	}
	return err
}

// readWorkloads are readers without SQL and with it, and beside a writer.
func readWorkloads(t *table, s setting) []workload {
	var list []workload
	for _, n := range []int{1, 8} {
		w := workload{name: fmt.Sprintf("reads/%d", n), title: fmt.Sprintf("%d readers, point reads by rowid, %d rows, default caches", n, s.rows),
			metrics: []metric{{Name: "rate", Unit: "reads/s"}}}
		for _, e := range append(sqlEngines(), walnutDirect) {
			w.entrants = append(w.entrants, t.points(e, n, s))
		}
		list = append(list, w)
	}
	for _, n := range []int{1, 8} {
		list = append(list, workload{name: fmt.Sprintf("touch/%d", n), limit: bboltName,
			title:    fmt.Sprintf("%d readers, looking up a random page by its number, 1000 in a read transaction", n),
			metrics:  []metric{{Name: "rate", Unit: "pages/s"}, {Name: "allocs", Unit: "allocs/page", Lower: true}},
			entrants: []entrant{t.pageTouch(n, 1000, s), t.boltTouch(n, 1000, s)}})
	}
	list = append(list, workload{name: "view/1", title: "1 reader, a read transaction for each page", limit: bboltName,
		metrics:  []metric{{Name: "rate", Unit: "pages/s"}, {Name: "allocs", Unit: "allocs/page", Lower: true}},
		entrants: []entrant{t.pageTouch(1, 1, s), t.boltTouch(1, 1, s)}})
	mixed := workload{name: "mixed", title: "4 readers beside 1 writer at FULL",
		metrics: []metric{{Name: "reads", Unit: "reads/s"}, {Name: "commits", Unit: "commits/s"},
			{Name: "reader p99", Unit: "µs", Lower: true}, {Name: "commit p99", Unit: "µs", Lower: true}}}
	for _, e := range sqlEngines() {
		mixed.entrants = append(mixed.entrants, t.mixed(e, s))
	}
	return append(list, mixed)
}

func (t *table) points(e sqlEngine, readers int, s setting) entrant {
	return entrant{e.name, func(ctx context.Context, dir string) (_ sample, err error) {
		ses, err := t.open(ctx, e, dir, readers)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, ses.close()) }()
		r, err := drive(ctx, s, load{goroutines: readers, noLatency: true,
			op: func(ctx context.Context, w int) error { return t.readAny(ctx, ses, w) }})
		if err != nil {
			return nil, err
		}
		return sample{"rate": r[0].perSecond()}, nil
	}}
}

// mixed has readers and a writer on connections of their own.
func (t *table) mixed(e sqlEngine, s setting) entrant {
	const readers = 4
	return entrant{e.name, func(ctx context.Context, dir string) (_ sample, err error) {
		ses, err := t.open(ctx, e, dir, readers)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, ses.close()) }()
		if err := ses.connect(ctx, readers+1, insertRow, usual); err != nil {
			return nil, err
		}
		r, err := drive(ctx, s,
			load{goroutines: readers, op: func(ctx context.Context, w int) error { return t.readAny(ctx, ses, w) }},
			load{goroutines: 1, op: func(ctx context.Context, _ int) error { return ses.insert(ctx, readers) }})
		if err != nil {
			return nil, err
		}
		return sample{"reads": r[0].perSecond(), "commits": r[1].perSecond(), "reader p99": r[0].quantile(0.99), "commit p99": r[1].quantile(0.99)},
			ses.check(ctx, t.rows+r[1].all)
	}}
}

// allocs counts allocations of the process during f.
func allocs(f func() error) (uint64, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := f()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs, err
}

// touch lets readers run transactions, each of which looks at so many pages.
func touch(ctx context.Context, readers, pages int, s setting, op func(context.Context, int) error) (sample, error) {
	var r []*tally
	n, err := allocs(func() (err error) {
		r, err = drive(ctx, s, load{goroutines: readers, noLatency: true, each: pages, op: op})
		return err
	})
	if err != nil {
		return nil, err
	}
	// What drive itself allocates is not worth a thousandth.
	per := float64(n) / float64(max(r[0].all, 1))
	if per < 0.001 {
		per = 0
	}
	return sample{"rate": r[0].perSecond(), "allocs": per}, nil
}

// pageTouch looks at pages of the table without SQL.
func (t *table) pageTouch(readers, pages int, s setting) entrant {
	return entrant{pagesName, func(ctx context.Context, dir string) (_ sample, err error) {
		if err := t.copyTo(ctx, dir); err != nil {
			return nil, err
		}
		// The pool has room for all, as bbolt's mapping has.
		db, err := walnut.Open(filepath.Join(dir, "bench.db"), &walnut.Options{PoolBytes: 1 << 30})
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		fn := func(tx *walnut.Tx) error {
			n := tx.PageCount()
			for range pages {
				p, err := tx.Page(walnut.PageNo(1 + rand.Uint32N(n)))
				if err != nil {
					return err
				}
				runtime.KeepAlive(p[0])
			}
			return nil
		}
		err = db.View(ctx, func(tx *walnut.Tx) error { // everybody begins with warm caches
			for n := range tx.PageCount() {
				if _, err := tx.Page(walnut.PageNo(1 + n)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		return touch(ctx, readers, pages, s, func(ctx context.Context, _ int) error { return db.View(ctx, fn) })
	}}
}

// boltTouch looks at the heads of pages in bbolt's mapping, of about as many.
func (t *table) boltTouch(readers, pages int, s setting) entrant {
	return entrant{bboltName, func(ctx context.Context, _ string) (_ sample, err error) {
		db, err := t.bolt(ctx)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		fn := func(tx *bbolt.Tx) error {
			n := int(tx.Size()) / db.Info().PageSize
			for range pages {
				if _, err := tx.Page(rand.IntN(n)); err != nil {
					return err
				}
			}
			return nil
		}
		return touch(ctx, readers, pages, s, func(context.Context, int) error { return db.View(fn) })
	}}
}

// snapshotWorkloads are read transactions that read nothing.
func snapshotWorkloads(s setting) []workload {
	w := workload{name: "snapshot", title: "Beginning and ending a read transaction (DB.View), by goroutines",
		metrics: []metric{{Name: "time", Unit: "ns", Lower: true}, {Name: "rate", Unit: "per second", NoRatio: true}, {Name: "allocs", Unit: "allocs", Lower: true, NoRatio: true}}}
	for _, n := range []int{1, 2} {
		w.entrants = append(w.entrants, entrant{fmt.Sprintf("pages ×%d", n), func(ctx context.Context, dir string) (_ sample, err error) {
			db, err := walnut.Open(filepath.Join(dir, "pages.db"), nil)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, db.Close()) }()
			const many = 1000
			nothing := func(*walnut.Tx) error { return nil }
			r, err := touch(ctx, n, many, s, func(ctx context.Context, _ int) error {
				for range many {
					if err := db.View(ctx, nothing); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
			// What one of them takes, on its own core.
			return sample{"time": 1e9 * float64(n) / r["rate"], "rate": r["rate"], "allocs": r["allocs"]}, nil
		}})
	}
	return []workload{w}
}
