package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/walnutdb/walnut"
)

// options are the flags.
type options struct {
	setting
	scenarios, syncs []string
	rounds           int
	dir, json        string
	engine           string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "starve:", err)
		os.Exit(1)
	}
}

// command is the program without its process.
func command(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parse(args, errOut)
	if err != nil {
		return err
	}
	turns, err := o.takeAll(ctx, errOut)
	if err != nil {
		return err
	}
	r := newReport(o, turns)
	if o.json != "" {
		if err := r.writeJSON(o.json); err != nil {
			return err
		}
	}
	if err := r.table(out); err != nil {
		return err
	}
	if b := r.broken(); len(b) > 0 {
		return errors.New("broken promises:\n\t" + strings.Join(b, "\n\t"))
	}
	return nil
}

// takeAll has all turns: in each round each engine, in an order that changes.
func (o options) takeAll(ctx context.Context, errOut io.Writer) (list []turn, err error) {
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return nil, err
	}
	if len(peers()) == 0 {
		fmt.Fprintln(errOut, "starve: built without cgo: C SQLite is not measured")
	}
	all := engines()
	for round := range o.rounds {
		for _, sync := range o.syncs {
			for _, scenario := range o.scenarios {
				for i := range all {
					e := all[(i+round)%len(all)]
					if o.engine != "" && e.name != o.engine {
						continue
					}
					s := o.setting
					s.scenario, s.sync = scenario, sync
					fmt.Fprintf(errOut, "round %d of %d: %s, %s, %s\n", round+1, o.rounds, scenario, sync, e.name)
					t, err := o.one(ctx, e, s)
					if err != nil {
						return nil, err
					}
					t.Round = round + 1
					list = append(list, t)
				}
			}
		}
	}
	return list, nil
}

// one has a turn in a directory that is removed afterwards.
func (o options) one(ctx context.Context, e engine, s setting) (_ turn, err error) {
	dir, err := os.MkdirTemp(o.dir, "starve-")
	if err != nil {
		return turn{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return take(ctx, e, dir, s)
}

func parse(args []string, errOut io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("starve", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.DurationVar(&o.duration, "for", time.Minute, "time of one turn")
	f.DurationVar(&o.stay, "stay", 50*time.Millisecond, "how long each of the overlapping readers stays")
	f.IntVar(&o.readers, "readers", 4, "overlapping readers")
	f.IntVar(&o.pages, "pages", 16, "pages that one transaction changes")
	limit := f.Float64("limit", float64(walnut.DefaultMaxLogSize)/(1<<20), "MiB that Walnut's log may have")
	table := f.Int("table", 64, "MiB of the table")
	write := f.Int("write", 1024, "MiB that are written beside the reader that stays")
	f.DurationVar(&o.hold, "hold", walnut.DefaultMaxWriterHold, "how long Walnut holds a writer at a time")
	f.DurationVar(&o.grace, "grace", walnut.DefaultReaderGrace, "how long a reader may stay in a log at its limit")
	scenarios := f.String("only", "overlap,stay", "scenarios")
	syncs := f.String("sync", "NORMAL,FULL", "levels of PRAGMA synchronous")
	f.IntVar(&o.rounds, "rounds", 1, "how often each engine has its turn")
	f.StringVar(&o.engine, "engine", "", "one engine alone: walnut or sqlite")
	f.StringVar(&o.dir, "dir", "out", "where the databases are (not a file system in memory)")
	f.StringVar(&o.json, "json", "", "write the figures to this file too")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.limit, o.rows, o.bytes = int64(*limit*(1<<20)), *table*(1<<20)/pageSize, int64(*write)<<20
	o.scenarios, o.syncs = strings.Split(*scenarios, ","), strings.Split(*syncs, ",")
	for _, x := range []struct {
		list []string
		ok   string
	}{{o.scenarios, "overlap stay"}, {o.syncs, "OFF NORMAL FULL"}} {
		for _, s := range x.list {
			if s == "" || !strings.Contains(" "+x.ok+" ", " "+s+" ") {
				return o, fmt.Errorf("%q: it must be one of %s", s, x.ok)
			}
		}
	}
	if o.duration <= 0 || o.stay <= 0 || o.readers < 1 || o.pages < 1 || o.rounds < 1 || o.rows < 10 || o.bytes < 1 || o.limit < 1 || f.NArg() > 0 {
		return o, errors.New("times, sizes and numbers must be above 0, and there are no arguments beside the flags")
	}
	return o, nil
}
