package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/walformat"
)

// commitMetrics are those of small transactions.
var commitMetrics = []metric{
	{Name: "rate", Unit: "commits/s"},
	{Name: "p50", Unit: "µs", Lower: true, NoRatio: true},
	{Name: "p99", Unit: "µs", Lower: true},
	{Name: "longest", Unit: "µs", Lower: true, NoRatio: true},
	{Name: "least", Unit: "× mean", NoRatio: true},
	{Name: "most", Unit: "× mean", NoRatio: true},
	{Name: "nothing", Unit: "writers", NoRatio: true},
}

func commitSample(t *tally) sample {
	least, most, nothing := t.fairness()
	return sample{"rate": t.perSecond(), "p50": t.quantile(0.50), "p99": t.quantile(0.99), "longest": micros(t.longest),
		"least": least, "most": most, "nothing": nothing}
}

// commitWorkloads are transactions of one row, or one page, by several numbers
// of writers: at FULL, and by one writer at NORMAL.
func commitWorkloads(s setting) []workload {
	var list []workload
	for _, n := range s.writers {
		w := workload{name: fmt.Sprintf("commit/%d", n), title: fmt.Sprintf("%d writers, one row or page a transaction, synchronous=FULL", n),
			metrics: commitMetrics, limit: "raw"}
		if n == 1 {
			w.title = "1 writer, one row or page a transaction, synchronous=FULL"
		}
		// So many frames could share a sync, if all who wait did.
		w.entrants = append(w.entrants, rawEntrant("raw", n, s))
		for _, e := range sqlEngines() {
			w.entrants = append(w.entrants, sqlCommits(e, n, usual, s))
		}
		w.entrants = append(w.entrants, pageCommits(n, s), bboltCommits(bboltName, n, false, s))
		if n > 1 {
			w.entrants = append(w.entrants, bboltCommits("bbolt batch", n, true, s))
		}
		list = append(list, w)
	}
	normal := workload{name: "normal/1", title: "1 writer, one row a transaction, synchronous=NORMAL", metrics: commitMetrics}
	for _, e := range sqlEngines() {
		normal.entrants = append(normal.entrants, sqlCommits(e, 1, pragmas{"NORMAL", 1000}, s))
	}
	return append(list, normal)
}

// sqlCommits are one-row INSERT statements, each its own transaction.
func sqlCommits(e sqlEngine, writers int, p pragmas, s setting) entrant {
	return entrant{e.name, func(ctx context.Context, dir string) (_ sample, err error) {
		ses, err := openSession(ctx, e, dir, true, p)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, ses.close()) }()
		if err := ses.connect(ctx, writers, insertRow, p); err != nil {
			return nil, err
		}
		t, err := drive(ctx, s, load{goroutines: writers, op: ses.insert})
		if err != nil {
			return nil, err
		}
		return commitSample(t[0]), ses.check(ctx, t[0].all)
	}}
}

// logBytesWorkload counts what a one-row commit adds to the log.
func logBytesWorkload() workload {
	const commits = 2000
	w := workload{name: "logbytes", title: "Log bytes per one-row commit, auto-checkpoint off",
		metrics: []metric{{Name: "bytes", Unit: "bytes", Lower: true}, {Name: "frames", Unit: "frames/commit", Lower: true, NoRatio: true}}}
	for _, e := range sqlEngines() {
		w.entrants = append(w.entrants, entrant{e.name, func(ctx context.Context, dir string) (_ sample, err error) {
			p := pragmas{"NORMAL", 0}
			ses, err := openSession(ctx, e, dir, true, p)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, ses.close()) }()
			if err := ses.connect(ctx, 1, insertRow, p); err != nil {
				return nil, err
			}
			before, err := logFrames(filepath.Join(dir, "bench.db-wal"))
			if err != nil {
				return nil, err
			}
			for range commits {
				if err := ses.insert(ctx, 0); err != nil {
					return nil, err
				}
			}
			after, err := logFrames(filepath.Join(dir, "bench.db-wal"))
			if err != nil {
				return nil, err
			}
			frames := float64(after-before) / commits
			return sample{"frames": frames, "bytes": frames * frameSize}, ses.check(ctx, commits)
		}})
	}
	return w
}

// logFrames counts the frames of a log that has never been begun anew: its
// file may be filled ahead with zeros, so its size says nothing.
func logFrames(path string) (frames int64, err error) {
	f, err := disk.OS().Open(path, disk.ReadOnly)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	buf := make([]byte, 32)
	if _, err := f.ReadAt(buf, 0); err != nil {
		return 0, err
	}
	h, err := walformat.ParseHeader(buf)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	for ; ; frames++ {
		if _, err := f.ReadAt(buf[:24], int64(h.FrameOffset(walformat.FrameNo(frames+1)))); err == io.EOF {
			return frames, nil
		} else if err != nil {
			return 0, err
		}
		if _, err := walformat.CheckFrameHeader(&h, buf[:24]); err != nil {
			return frames, nil // the end
		}
	}
}
