package main

// This file is what "walnut bench" measures. Each task begins in an empty
// directory and checks that what it was told is on disk is there.

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ncruces/go-sqlite3"

	walnutdb "github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/walformat"
)

// benchTask is one figure.
type benchTask struct {
	name, what, unit string
	run              func(ctx context.Context, dir string) (benchResult, error)
}

const (
	benchFrame = 24 + 4096
	benchTable = `CREATE TABLE visits(id INTEGER PRIMARY KEY, who INTEGER NOT NULL, note TEXT NOT NULL)`
	benchRow   = `INSERT INTO visits(who, note) VALUES (1, ?)`
)

func benchTasks(o benchOptions) []benchTask {
	b := &benchRun{o: o}
	var list []benchTask
	add := func(name, what, unit string, run func(context.Context, string) (benchResult, error)) {
		list = append(list, benchTask{name, what, unit, run})
	}
	for _, n := range []int{1, 16, 64} {
		add(fmt.Sprint("raw/", n), fmt.Sprintf("the disk alone: write %d frames, fdatasync", n), "frames/s", b.raw(n))
	}
	add("checksum", "the log's checksum, one core", "MiB/s", b.checksum)
	for _, n := range []int{1, 16, 64} {
		add(fmt.Sprint("sql/", n), fmt.Sprintf("durable one-row INSERT, %d writing", n), "commits/s", b.sql(n, "FULL"))
	}
	for _, n := range []int{1, 64} {
		add(fmt.Sprint("pages/", n), fmt.Sprintf("durable one-page transactions without SQL, %d writing", n), "commits/s", b.pages(n))
	}
	add("normal/1", "one-row INSERT at synchronous=NORMAL", "commits/s", b.sql(1, "NORMAL"))
	add("bulk", fmt.Sprintf("%d rows in one transaction", o.rows), "rows/s", b.bulk)
	for _, n := range []int{1, 8} {
		add(fmt.Sprint("reads/", n), fmt.Sprintf("point reads by rowid, %d reading", n), "reads/s", b.reads(n))
	}
	add("touch", "random pages of the database, without SQL", "pages/s", b.touch)
	add("snapshot", "begin and end of a read transaction", "ns", b.snapshot)
	add("checkpoint", fmt.Sprintf("checkpoint of a log of %d MiB, every frame verified", o.log), "MiB/s", b.checkpoint)
	add("reopen", fmt.Sprintf("open after a crash with a log of %d MiB", o.log), "MiB/s", b.reopen)
	return list
}

// benchRun has the flags, for the tasks.
type benchRun struct{ o benchOptions }

// repeat has n goroutines do op for the time, after a tenth of it to warm up.
// It returns the rate, the figures of commits, and how often op was done.
func (b *benchRun) repeat(ctx context.Context, n int, op func(w int) error) (benchResult, int, error) {
	begin := time.Now().Add(b.o.time / 10)
	end := begin.Add(b.o.time)
	type count struct {
		done, all int
		waits     []time.Duration
		err       error
	}
	counts := make([]count, n)
	var wg sync.WaitGroup
	for w := range counts {
		c := &counts[w]
		wg.Go(func() {
			for start := time.Now(); start.Before(end) && ctx.Err() == nil; {
				if c.err = op(w); c.err != nil {
					return
				}
				c.all++
				now := time.Now()
				if !start.Before(begin) && !now.After(end) {
					c.done++
					c.waits = append(c.waits, now.Sub(start))
				}
				start = now
			}
		})
	}
	wg.Wait()
	done, all, least := 0, 0, counts[0].done
	var waits []time.Duration
	for _, c := range counts {
		if c.err != nil {
			return benchResult{}, 0, c.err
		}
		done, all, least = done+c.done, all+c.all, min(least, c.done)
		waits = append(waits, c.waits...)
	}
	r := benchResult{Value: float64(done) / b.o.time.Seconds()}
	if len(waits) > 0 {
		slices.Sort(waits)
		part := float64(least) * float64(n) / float64(done)
		r.Least = &part
		r.P99 = float64(waits[min(len(waits)*99/100, len(waits)-1)]) / float64(time.Microsecond)
	}
	return r, all, ctx.Err()
}

// rate is repeat for what is no commit: each op counts for many.
func (b *benchRun) rate(ctx context.Context, n, each int, op func(w int) error) (benchResult, error) {
	r, _, err := b.repeat(ctx, n, op)
	return benchResult{Value: r.Value * float64(each)}, err
}

// raw writes to a preallocated file.
func (b *benchRun) raw(frames int) func(context.Context, string) (benchResult, error) {
	return func(ctx context.Context, dir string) (_ benchResult, err error) {
		f, err := disk.OS().Open(filepath.Join(dir, "raw"), disk.Create)
		if err != nil {
			return benchResult{}, err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		const size = 4 << 20
		buf, off := make([]byte, frames*benchFrame), int64(0)
		if _, err = f.WriteVAt([][]byte{make([]byte, size)}, 0); err == nil {
			err = f.SyncData()
		}
		if err != nil {
			return benchResult{}, err
		}
		return b.rate(ctx, 1, frames, func(int) error {
			if off+int64(len(buf)) > size {
				off = 0
			}
			buf[0]++
			if _, err := f.WriteVAt([][]byte{buf}, off); err != nil {
				return err
			}
			off += int64(len(buf))
			return f.SyncData()
		})
	}
}

func (b *benchRun) checksum(ctx context.Context, _ string) (benchResult, error) {
	page := make([]byte, 4096)
	return b.rate(ctx, 1, 1, func(int) error {
		var c walformat.Checksum
		for range (1 << 20) / len(page) {
			c = walformat.NativeOrder.Sum(c, page)
		}
		runtime.KeepAlive(c)
		return nil
	})
}

// benchDB is a database with a connection for each goroutine.
type benchDB struct {
	conns []*database
	stmts []*sqlite3.Stmt
}

// openBench opens n connections to dir/bench.db, prepared for query.
func openBench(ctx context.Context, dir string, n int, setup, query string) (_ *benchDB, err error) {
	d := &benchDB{}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	for i := range n {
		c, err := openSQL(ctx, filepath.Join(dir, "bench.db"), 10*time.Minute)
		if err != nil {
			return nil, err
		}
		d.conns = append(d.conns, c)
		if i > 0 {
			setup = strings.TrimPrefix(setup, benchTable)
		}
		if err := c.Exec(setup); err != nil {
			return nil, err
		}
		s, _, err := c.Prepare(query)
		if err != nil {
			return nil, err
		}
		d.stmts = append(d.stmts, s)
	}
	return d, nil
}

func (d *benchDB) close() error {
	var errs []error
	for _, s := range d.stmts {
		errs = append(errs, s.Close())
	}
	for _, c := range d.conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// insert adds a row.
func (d *benchDB) insert(w int, note string) error {
	if err := d.stmts[w].BindText(1, note); err != nil {
		return err
	}
	return d.stmts[w].Exec()
}

// fill adds rows, so many in a transaction.
func (d *benchDB) fill(ctx context.Context, rows, inTx int, note string) error {
	for done := 0; done < rows; done += inTx {
		if err := d.conns[0].Exec("BEGIN IMMEDIATE"); err != nil {
			return err
		}
		for range min(inTx, rows-done) {
			if err := d.insert(0, note); err != nil {
				return err
			}
		}
		if err := d.conns[0].Exec("COMMIT"); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// count fails if there are not exactly n rows.
func (d *benchDB) count(n int) error {
	s, _, err := d.conns[0].Prepare("SELECT count(*) FROM visits")
	if err != nil {
		return err
	}
	if s.Step() && s.ColumnInt(0) != n {
		err = fmt.Errorf("%d rows after %d acknowledged inserts", s.ColumnInt(0), n)
	}
	return errors.Join(err, s.Close())
}

var benchNote = strings.Repeat("walnut ", 14)

// sql is one-row INSERT statements.
func (b *benchRun) sql(writers int, level string) func(context.Context, string) (benchResult, error) {
	return func(ctx context.Context, dir string) (_ benchResult, err error) {
		d, err := openBench(ctx, dir, writers, benchTable+"; PRAGMA synchronous="+level, benchRow)
		if err != nil {
			return benchResult{}, err
		}
		defer func() { err = errors.Join(err, d.close()) }()
		r, all, err := b.repeat(ctx, writers, func(w int) error { return d.insert(w, benchNote) })
		if err != nil {
			return r, err
		}
		return r, d.count(all)
	}
}

// pages is transactions of one page, each writer counting in its own.
func (b *benchRun) pages(writers int) func(context.Context, string) (benchResult, error) {
	return func(ctx context.Context, dir string) (_ benchResult, err error) {
		db, err := walnutdb.Open(filepath.Join(dir, "bench.db"), nil)
		if err != nil {
			return benchResult{}, err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		err = db.Update(ctx, func(tx *walnutdb.Tx) error { return tx.SetPageCount(uint32(1 + writers)) })
		if err != nil {
			return benchResult{}, err
		}
		r, all, err := b.repeat(ctx, writers, func(w int) error {
			return db.Update(ctx, func(tx *walnutdb.Tx) error {
				p, err := tx.Write(walnutdb.PageNo(2 + w))
				if err == nil {
					binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)+1)
				}
				return err
			})
		})
		if err != nil {
			return r, err
		}
		return r, db.View(ctx, func(tx *walnutdb.Tx) error {
			sum := 0
			for w := range writers {
				p, err := tx.Page(walnutdb.PageNo(2 + w))
				if err != nil {
					return err
				}
				sum += int(binary.LittleEndian.Uint64(p))
			}
			if sum != all {
				return fmt.Errorf("the pages count %d of %d acknowledged commits", sum, all)
			}
			return nil
		})
	}
}

func (b *benchRun) bulk(ctx context.Context, dir string) (_ benchResult, err error) {
	d, elapsed, err := b.filled(ctx, dir)
	if err != nil {
		return benchResult{}, err
	}
	return benchResult{Value: float64(b.o.rows) / elapsed.Seconds()}, d.close()
}

// filled is a database with the rows, put there by one transaction.
func (b *benchRun) filled(ctx context.Context, dir string) (*benchDB, time.Duration, error) {
	d, err := openBench(ctx, dir, 1, benchTable, benchRow)
	if err != nil {
		return nil, 0, err
	}
	begin := time.Now()
	err = d.fill(ctx, b.o.rows, b.o.rows, benchNote)
	elapsed := time.Since(begin)
	if err == nil {
		err = d.count(b.o.rows)
	}
	if err != nil {
		return nil, 0, errors.Join(err, d.close())
	}
	return d, elapsed, nil
}

// reads is point reads of those rows.
func (b *benchRun) reads(readers int) func(context.Context, string) (benchResult, error) {
	return func(ctx context.Context, dir string) (_ benchResult, err error) {
		w, _, err := b.filled(ctx, dir)
		if err == nil {
			err = w.close() // moves the log into the file
		}
		if err != nil {
			return benchResult{}, err
		}
		d, err := openBench(ctx, dir, readers, "", "SELECT note FROM visits WHERE id = ?")
		if err != nil {
			return benchResult{}, err
		}
		defer func() { err = errors.Join(err, d.close()) }()
		return b.rate(ctx, readers, 1, func(w int) error {
			s, id := d.stmts[w], 1+rand.Int64N(int64(b.o.rows))
			if err := s.BindInt64(1, id); err != nil {
				return err
			}
			if !s.Step() || len(s.ColumnRawText(0)) != len(benchNote) {
				return errors.Join(fmt.Errorf("row %d is not there", id), s.Reset())
			}
			return s.Reset()
		})
	}
}

// touch looks up pages of those rows.
func (b *benchRun) touch(ctx context.Context, dir string) (_ benchResult, err error) {
	d, _, err := b.filled(ctx, dir)
	if err == nil {
		err = d.close()
	}
	if err != nil {
		return benchResult{}, err
	}
	db, err := walnutdb.Open(filepath.Join(dir, "bench.db"), nil)
	if err != nil {
		return benchResult{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	const each = 1000
	fn := func(tx *walnutdb.Tx) error {
		for range each {
			p, err := tx.Page(walnutdb.PageNo(1 + rand.Uint32N(tx.PageCount())))
			if err != nil {
				return err
			}
			runtime.KeepAlive(p[0])
		}
		return nil
	}
	return b.rate(ctx, 1, each, func(int) error { return db.View(ctx, fn) })
}

func (b *benchRun) snapshot(ctx context.Context, dir string) (_ benchResult, err error) {
	db, err := walnutdb.Open(filepath.Join(dir, "bench.db"), nil)
	if err != nil {
		return benchResult{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	const each = 1000
	nothing := func(*walnutdb.Tx) error { return nil }
	r, err := b.rate(ctx, 1, each, func(int) error {
		for range each {
			if err := db.View(ctx, nothing); err != nil {
				return err
			}
		}
		return nil
	})
	return benchResult{Value: 1e9 / max(r.Value, 1)}, err
}

// logged is a database whose log has --log MiB, and nothing of it copied.
func (b *benchRun) logged(ctx context.Context, dir string) (*benchDB, error) {
	d, err := openBench(ctx, dir, 1, benchTable+"; PRAGMA wal_autocheckpoint=0", benchRow)
	if err != nil {
		return nil, err
	}
	if err := d.fill(ctx, b.o.log<<20/benchFrame, 1000, strings.Repeat("x", 4000)); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (b *benchRun) checkpoint(ctx context.Context, dir string) (_ benchResult, err error) {
	d, err := b.logged(ctx, dir)
	if err != nil {
		return benchResult{}, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	begin := time.Now()
	r, err := d.conns[0].engine.Checkpoint(ctx, walnutdb.CheckpointFull, nil)
	elapsed := time.Since(begin)
	if err == nil && (r.Busy || r.Backfilled != r.LogFrames) {
		err = fmt.Errorf("%d of %d frames were copied", r.Backfilled, r.LogFrames)
	}
	return benchResult{Value: float64(r.LogFrames) * benchFrame / (1 << 20) / elapsed.Seconds()}, err
}

// reopen opens a copy of the two files that was made while they were in use.
func (b *benchRun) reopen(ctx context.Context, dir string) (_ benchResult, err error) {
	d, err := b.logged(ctx, dir)
	if err != nil {
		return benchResult{}, err
	}
	var size int64
	for _, end := range []string{"", "-wal"} { // nobody writes while we copy
		if size, err = copySynced(filepath.Join(dir, "bench.db"+end), filepath.Join(dir, "copy.db"+end)); err != nil {
			return benchResult{}, errors.Join(err, d.close())
		}
	}
	if err := d.close(); err != nil {
		return benchResult{}, err
	}
	begin := time.Now()
	db, err := walnutdb.Open(filepath.Join(dir, "copy.db"), nil)
	if err != nil {
		return benchResult{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.View(ctx, func(tx *walnutdb.Tx) error { _, err := tx.Page(2); return err })
	return benchResult{Value: float64(size) / (1 << 20) / time.Since(begin).Seconds()}, err
}

// copySynced copies a file and returns its size.
func copySynced(from, to string) (size int64, err error) {
	in, err := disk.OS().Open(from, disk.ReadOnly)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := disk.OS().Open(to, disk.Create)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	buf := make([]byte, 1<<20)
	for {
		n, rerr := in.ReadAt(buf, size)
		if n > 0 {
			if _, err := out.WriteVAt([][]byte{buf[:n]}, size); err != nil {
				return size, err
			}
			size += int64(n)
		}
		if rerr == io.EOF {
			return size, out.SyncData()
		}
		if rerr != nil {
			return size, rerr
		}
	}
}
