package main

import (
	"context"
	"slices"
	"sync"
	"time"
)

// setting is how long and how large a run is.
type setting struct {
	warmup, measure time.Duration
	// rows of the large transaction and of the table that is read.
	rows int
	// logs are the sizes in MiB of the logs that are checkpointed, reopens of
	// those that are recovered.
	logs, reopens []int
	writers       []int
	// cancellable contexts make database/sql watch each query.
	cancellable bool
}

// load is what a group of goroutines does until the time is over.
type load struct {
	goroutines int
	// op does it once, for goroutine w.
	op func(ctx context.Context, w int) error
	// each: an op counts for that many; 0 is 1.
	each int
	// noLatency: the ops are shorter than a look at the clock is worth.
	noLatency bool
}

// tally is what came of a load.
type tally struct {
	elapsed time.Duration
	// counts of each goroutine within the measured time, and of all with the
	// warm-up.
	counts []int
	all    int
	// latencies, sorted; longest is the longest wait, also of an op that did
	// not end in time.
	latencies []time.Duration
	longest   time.Duration
}

// perSecond is the throughput.
func (t *tally) perSecond() float64 {
	n := 0
	for _, c := range t.counts {
		n += c
	}
	return float64(n) / t.elapsed.Seconds()
}

// fairness is the least and the most of a goroutine as parts of the mean, and
// how many got nothing.
func (t *tally) fairness() (least, most, nothing float64) {
	mean := t.perSecond() * t.elapsed.Seconds() / float64(len(t.counts))
	for _, c := range t.counts {
		if c == 0 {
			nothing++
		}
	}
	if mean == 0 {
		return 0, 0, nothing
	}
	return float64(slices.Min(t.counts)) / mean, float64(slices.Max(t.counts)) / mean, nothing
}

// quantile of the latencies in microseconds; 0 of none.
func (t *tally) quantile(q float64) float64 {
	if len(t.latencies) == 0 {
		return 0
	}
	i := min(int(q*float64(len(t.latencies))), len(t.latencies)-1)
	return micros(t.latencies[i])
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// worker is what one goroutine counts.
type worker struct {
	count, all int
	latencies  []time.Duration
	longest    time.Duration
	err        error
}

// drive runs the loads beside each other until the time is over.
func drive(ctx context.Context, s setting, loads ...load) ([]*tally, error) {
	begin := time.Now().Add(s.warmup)
	end := begin.Add(s.measure)
	workers := make([][]worker, len(loads))
	var wg sync.WaitGroup
	for i, l := range loads {
		workers[i] = make([]worker, l.goroutines)
		for w := range workers[i] {
			wg.Go(func() { workers[i][w].work(ctx, l, w, s.cancellable, begin, end) })
		}
	}
	wg.Wait()
	var list []*tally
	for i, l := range loads {
		t := &tally{elapsed: s.measure}
		each := max(l.each, 1)
		for _, w := range workers[i] {
			if w.err != nil {
				return nil, w.err
			}
			t.all += w.all * each
			t.counts = append(t.counts, w.count*each)
			t.latencies = append(t.latencies, w.latencies...)
			t.longest = max(t.longest, w.longest)
		}
		slices.Sort(t.latencies)
		list = append(list, t)
	}
	return list, ctx.Err()
}

// work does it until end, and counts what begins after begin and ends before
// end.
func (w *worker) work(ctx context.Context, l load, i int, cancellable bool, begin, end time.Time) {
	given := ctx
	if !cancellable {
		given = context.WithoutCancel(ctx)
	}
	for start := time.Now(); start.Before(end) && ctx.Err() == nil; {
		if w.err = l.op(given, i); w.err != nil {
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
			w.count++
			if !l.noLatency {
				w.latencies = append(w.latencies, now.Sub(start))
			}
		}
		start = now
	}
}
