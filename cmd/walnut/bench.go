package main

// This file is the command "walnut bench": what this machine and Walnut on it
// do, in under a minute. bench_tasks.go has what is measured; the comparison
// with other engines is the module bench.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// benchReport is the JSON of the command: a contract, see its help.
type benchReport struct {
	Date    string        `json:"date"`
	Version string        `json:"version"`
	OS      string        `json:"os"`
	Arch    string        `json:"arch"`
	CPUs    int           `json:"cpus"`
	Seconds float64       `json:"seconds"`
	Results []benchResult `json:"results"`
}

// benchResult is one figure. What a task does not have is absent.
type benchResult struct {
	Name  string   `json:"name"`
	What  string   `json:"what"`
	Value float64  `json:"value"`
	Unit  string   `json:"unit"`
	P99   float64  `json:"p99_us,omitempty"`
	Least *float64 `json:"least_of_a_writer,omitempty"`
}

// benchOptions are the flags of the command.
type benchOptions struct {
	dir  string
	time time.Duration
	rows int
	log  int // MiB
	json bool
}

func newBench() *cobra.Command {
	var o benchOptions
	c := &cobra.Command{
		Use:   "bench [--json] [--dir .] [--time 1s] [--rows 500000] [--log 128]",
		Short: "Measure this machine and Walnut on it",
		Long: `Measures, in under a minute, what the disk and the memory allow and what Walnut
makes of it: durable transactions by 1, 16 and 64 writers, transactions of pages
without SQL, one large transaction, point reads, snapshots, a checkpoint, and
opening after a crash. SQL is SQLite called directly, one connection a writer.

It writes to a new directory below --dir, which it removes; --dir must be on the
disk that is meant (a file system in memory syncs nothing).

"raw" is the disk alone: frames of a log written to a preallocated file by one
goroutine, with fdatasync after 1, 16 or 64 of them. One writer can have as many
commits as raw/1, and 16 or 64 together as many as raw/16 and raw/64.

JSON keys (--json):
  date, version, os, arch, cpus
  seconds             measured time of each figure that is a rate
  results             a list, each with
    name, what        which figure this is, and in words
    value, unit
    p99_us            microseconds within which 99 of 100 commits returned
    least_of_a_writer commits of the slowest writer, as a part of the mean
                      (both only where commits are counted)`,
		Example: `  walnut bench
  walnut bench --dir data --json`,
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) > 0:
				return fmt.Errorf("%s takes no arguments (usage: %s)", c.CommandPath(), c.UseLine())
			case o.time <= 0 || o.rows < 1 || o.log < 1:
				return errors.New("--time, --rows and --log must be above 0")
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			return runBench(c.Context(), o, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.BoolVar(&o.json, "json", false, "print JSON")
	f.StringVar(&o.dir, "dir", ".", "directory on the disk to be measured")
	f.DurationVar(&o.time, "time", time.Second, "measured time of each rate")
	f.IntVar(&o.rows, "rows", 500_000, "rows of the large transaction")
	f.IntVar(&o.log, "log", 128, "MiB of the log that is checkpointed and recovered")
	return c
}

// runBench is the command.
func runBench(ctx context.Context, o benchOptions, out, errOut io.Writer) error {
	ctx, stop := untilInterrupt(ctx)
	defer stop()
	r, err := benchAll(ctx, o, errOut)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if o.json {
		return writeJSON(out, r)
	}
	return r.write(out)
}

// benchAll runs all tasks in a directory of their own.
func benchAll(ctx context.Context, o benchOptions, errOut io.Writer) (_ *benchReport, err error) {
	root, err := os.MkdirTemp(o.dir, "walnut-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	r := &benchReport{Date: time.Now().UTC().Format(time.RFC3339), Version: version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
		CPUs: runtime.GOMAXPROCS(0), Seconds: o.time.Seconds()}
	p := newProgress(errOut, "measuring")
	defer p.close()
	tasks := benchTasks(o)
	for i, t := range tasks {
		dir, err := os.MkdirTemp(root, "task-")
		if err != nil {
			return nil, err
		}
		x, err := t.run(ctx, dir)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, plainError(err))
		}
		x.Name, x.What, x.Unit = t.name, t.what, t.unit
		r.Results = append(r.Results, x)
		p.set(int64(i+1), int64(len(tasks)))
	}
	return r, nil
}

// write prints the report for people.
func (r *benchReport) write(out io.Writer) error {
	head := []string{"name", "what", "value", "unit", "p99", "least of a writer"}
	var rows [][]string
	for _, x := range r.Results {
		row := []string{x.Name, x.What, benchNumber(x.Value), x.Unit, "", ""}
		if x.P99 > 0 {
			row[4] = benchNumber(x.P99) + " µs"
		}
		if x.Least != nil {
			row[5] = fmt.Sprintf("%.2f of the mean", *x.Least)
		}
		rows = append(rows, row)
	}
	if isTerminal(out) {
		return writeTable(out, head, rows)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{head}, rows...) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", row[0], row[1], row[2], row[3], row[4], row[5])
	}
	return w.Flush()
}

// benchNumber prints three digits that count.
func benchNumber(x float64) string {
	switch {
	case x >= 100:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case x >= 10:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}
