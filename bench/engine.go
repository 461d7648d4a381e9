package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// engine is one that is measured.
type engine struct {
	name string
	// open makes the engine ready in an empty directory.
	open func(ctx context.Context, dir string, writers int) (session, error)
	// alone: it is measured with one goroutine, however many writers the
	// others have.
	alone bool
}

// session is an engine that is ready.
type session interface {
	// commit makes one transaction of one row durable, for writer number w.
	// Each writer is one goroutine.
	commit(ctx context.Context, w int) error
	// check fails if not exactly n transactions are there.
	check(ctx context.Context, n int) error
	close() error
}

// setting is how long one run takes.
type setting struct {
	warmup, measure time.Duration
}

// run is the outcome of one engine's turn.
type run struct {
	engine  string
	writers int
	elapsed time.Duration
	// commits of each writer within the measured time.
	commits []int
	// latencies of those commits, of all writers.
	latencies []time.Duration
	// longest wait, also of a commit that did not end within the time.
	longest time.Duration
}

// perSecond is the throughput.
func (r *run) perSecond() float64 {
	return float64(len(r.latencies)) / r.elapsed.Seconds()
}

// writer is what one goroutine counts.
type writer struct {
	commits   int // within the measured time
	all       int
	latencies []time.Duration
	longest   time.Duration
	err       error
}

// measure gives an engine its turn in a new directory below root, which it
// removes.
func measure(ctx context.Context, e engine, root string, writers int, s setting) (*run, error) {
	dir, err := os.MkdirTemp(root, e.name+"-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	r, err := measureIn(ctx, e, dir, writers, s)
	if err != nil {
		return nil, fmt.Errorf("%s, %d writers: %w", e.name, writers, err)
	}
	return r, nil
}

func measureIn(ctx context.Context, e engine, dir string, writers int, s setting) (*run, error) {
	r := &run{engine: e.name, writers: writers}
	if e.alone {
		writers = 1
	}
	ses, err := e.open(ctx, filepath.Clean(dir), writers)
	if err != nil {
		return nil, err
	}
	all, err := r.work(ctx, ses, writers, s)
	if err == nil {
		err = ses.check(ctx, all)
	}
	if cerr := ses.close(); err == nil {
		err = cerr
	}
	return r, err
}

// work lets the writers go until the time is over, and returns how many
// transactions they made, the warm-up included.
func (r *run) work(ctx context.Context, ses session, n int, s setting) (int, error) {
	begin := time.Now().Add(s.warmup)
	end := begin.Add(s.measure)
	ws := make([]writer, n)
	var wg sync.WaitGroup
	for i := range ws {
		wg.Go(func() { ws[i].work(ctx, ses, i, begin, end) })
	}
	wg.Wait()
	all := 0
	r.elapsed = s.measure
	for i := range ws {
		w := &ws[i]
		if w.err != nil {
			return 0, w.err
		}
		all += w.all
		r.commits = append(r.commits, w.commits)
		r.latencies = append(r.latencies, w.latencies...)
		r.longest = max(r.longest, w.longest)
	}
	return all, ctx.Err()
}

// work commits until end, and counts what begins after begin and ends before
// end.
func (w *writer) work(ctx context.Context, ses session, i int, begin, end time.Time) {
	for start := time.Now(); start.Before(end); {
		if w.err = ses.commit(ctx, i); w.err != nil {
			return
		}
		w.all++
		now := time.Now()
		// What began in the warm-up waited at least since begin.
		since := start
		if since.Before(begin) {
			since = begin
		}
		w.longest = max(w.longest, min(now.Sub(since), end.Sub(since)))
		if !start.Before(begin) && !now.After(end) {
			w.commits++
			w.latencies = append(w.latencies, now.Sub(start))
		}
		start = now
	}
}
