package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	rounds  int
	setting setting
	writers []int
	dir     string
	json    string
	// markdown: print the table of the README.
	markdown bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// command is the program without its process.
func command(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parse(args, errOut)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	engines := append([]engine{rawEngine, walnutEngine}, peers()...)
	if len(peers()) == 0 {
		fmt.Fprintln(errOut, "bench: built without cgo: C SQLite is not measured")
	}
	runs, err := measureAll(ctx, o, engines, errOut)
	if err != nil {
		return err
	}
	r := newReport(o.rounds, o.setting, runs)
	if o.json != "" {
		if err := writeJSON(o.json, r); err != nil {
			return err
		}
	}
	if o.markdown {
		return writeMarkdown(out, r)
	}
	return writeTable(out, r)
}

func parse(args []string, errOut io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.IntVar(&o.rounds, "rounds", 3, "how often each engine has its turn")
	seconds := f.Float64("seconds", 2, "measured time of one turn")
	warmup := f.Float64("warmup", 0.5, "time before it, in seconds")
	writers := f.String("writers", "1,16,64", "numbers of writers")
	f.StringVar(&o.dir, "dir", "out", "where the databases are (not a file system in memory)")
	f.StringVar(&o.json, "json", "", "write the figures to this file too")
	f.BoolVar(&o.markdown, "markdown", false, "print the table as the README has it")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	for s := range strings.SplitSeq(*writers, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return o, fmt.Errorf("-writers %s: numbers from 1, with commas between them", *writers)
		}
		o.writers = append(o.writers, n)
	}
	if o.rounds < 1 || *seconds <= 0 || *warmup < 0 || f.NArg() > 0 {
		return o, fmt.Errorf("at least one round, a time above 0, and no arguments beside the flags")
	}
	o.setting.measure = time.Duration(*seconds * float64(time.Second))
	o.setting.warmup = time.Duration(*warmup * float64(time.Second))
	return o, nil
}

// measureAll gives every engine its turns, interleaved.
func measureAll(ctx context.Context, o options, engines []engine, progress io.Writer) ([]*run, error) {
	var runs []*run
	for round := range o.rounds {
		for _, n := range o.writers {
			turn := make([]*run, len(engines))
			for i := range engines {
				// Nobody is always first.
				k := (i + round) % len(engines)
				r, err := measure(ctx, engines[k], o.dir, n, o.setting)
				if err != nil {
					return nil, err
				}
				turn[k] = r
				fmt.Fprintf(progress, "round %d of %d, %2d writers: %-6s %8.0f commits/s\n",
					round+1, o.rounds, n, r.engine, r.perSecond())
			}
			runs = append(runs, turn...)
		}
	}
	return runs, nil
}
