package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
)

// metric is one thing that a workload measures.
type metric struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	// Lower: less is better.
	Lower bool `json:"lower_is_better,omitempty"`
	// NoRatio: for reading only.
	NoRatio bool `json:"no_ratio,omitempty"`
}

// workload is one task that several engines are given.
type workload struct {
	name, title string
	// metrics; the first is the one that the workload is about.
	metrics []metric
	// limit names the entrant that shows what could be had at best, or "".
	limit    string
	entrants []entrant
}

// entrant is an engine at a workload.
type entrant struct {
	name string
	// run has a turn in an empty directory.
	run func(ctx context.Context, dir string) (sample, error)
}

// sample is the outcome of a turn, by metric.
type sample map[string]float64

// selected are the workloads that -only asks for, by the beginnings of their
// names.
func selected(all []workload, only string) ([]workload, error) {
	if only == "" {
		return all, nil
	}
	var list []workload
	wanted := strings.Split(only, ",")
	used := make([]bool, len(wanted))
	for _, w := range all {
		take := false
		for i, p := range wanted {
			if p != "" && (w.name == p || strings.HasPrefix(w.name, p+"/")) {
				take, used[i] = true, true
			}
		}
		if take {
			list = append(list, w)
		}
	}
	for i, p := range wanted {
		if !used[i] {
			var names []string
			for _, w := range all {
				names = append(names, w.name)
			}
			return nil, fmt.Errorf("-only %s: there is no workload %q; there are %s", only, p, strings.Join(names, ", "))
		}
	}
	return list, nil
}

// turns holds the samples of a workload: by entrant, then by round.
type turns struct {
	workload workload
	samples  [][]sample
}

// measureAll gives every entrant its turns, interleaved.
func measureAll(ctx context.Context, list []workload, rounds int, dir string, progress io.Writer) ([]turns, error) {
	all := make([]turns, len(list))
	for i, w := range list {
		all[i] = turns{w, make([][]sample, len(w.entrants))}
		for k := range all[i].samples {
			all[i].samples[k] = make([]sample, rounds)
		}
	}
	for round := range rounds {
		for i, w := range list {
			for n := range w.entrants {
				k := (n + round) % len(w.entrants) // nobody is always first
				s, err := turn(ctx, w.entrants[k], dir)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", w.name, w.entrants[k].name, err)
				}
				all[i].samples[k][round] = s
				m := w.metrics[0]
				fmt.Fprintf(progress, "round %d of %d: %-14s %-10s %12s %s\n",
					round+1, rounds, w.name, w.entrants[k].name, figure(s[m.Name]), m.Unit)
			}
		}
	}
	return all, nil
}

// turn is one, in a new directory which is removed.
func turn(ctx context.Context, e entrant, root string) (_ sample, err error) {
	dir, err := os.MkdirTemp(root, "turn-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return e.run(ctx, dir)
}
