package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	rounds              int
	setting             setting
	only, dir           string
	json, svg, fill     string
	from, profile       string
	allocations         string
	engine, memoryChild string
	markdown, quick     bool
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
	if o.memoryChild != "" {
		s, err := memoryChild(ctx, o.memoryChild, o.dir, o.setting.rows)
		if err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(s)
	}
	var r report
	if o.from != "" {
		r, err = readJSON(o.from)
	} else {
		r, err = measure(ctx, o, errOut)
	}
	if err != nil {
		return err
	}
	return o.output(out, r)
}

// measure takes all figures, in a directory of its own.
func measure(ctx context.Context, o options, errOut io.Writer) (_ report, err error) {
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return report{}, err
	}
	root, err := os.MkdirTemp(o.dir, "bench-")
	if err != nil {
		return report{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	list, err := selected(workloads(root, o.setting), o.only)
	if err != nil {
		return report{}, err
	}
	if list = onlyEngine(list, o.engine); len(list) == 0 {
		return report{}, fmt.Errorf("-engine %s: no selected workload has it", o.engine)
	}
	if len(peers()) == 0 {
		fmt.Fprintln(errOut, "bench: built without cgo: C SQLite is not measured")
	}
	stop, err := o.profiles()
	if err != nil {
		return report{}, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	all, err := measureAll(ctx, list, o.rounds, root, errOut)
	if err != nil {
		return report{}, err
	}
	return newReport(o.rounds, o.setting, all), nil
}

// profiles begins what the flags ask for; stop ends and writes it.
func (o *options) profiles() (stop func() error, err error) {
	var cpu *os.File
	if o.profile != "" {
		if cpu, err = os.Create(o.profile); err != nil {
			return nil, err
		}
		if err := pprof.StartCPUProfile(cpu); err != nil {
			return nil, errors.Join(err, cpu.Close())
		}
	}
	if o.allocations != "" {
		runtime.MemProfileRate = 4096
	}
	return func() error {
		var errs []error
		if cpu != nil {
			pprof.StopCPUProfile()
			errs = append(errs, cpu.Close())
		}
		if o.allocations != "" {
			f, err := os.Create(o.allocations)
			if err != nil {
				return errors.Join(append(errs, err)...)
			}
			errs = append(errs, pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
		}
		return errors.Join(errs...)
	}, nil
}

// workloads are all there are.
func workloads(root string, s setting) []workload {
	t := &table{root: root, rows: s.rows}
	list := commitWorkloads(s)
	list = append(list, bulkWorkload(s))
	list = append(list, readWorkloads(t, s)...)
	list = append(list, snapshotWorkloads(s)...)
	list = append(list, checkpointWorkloads(s)...)
	list = append(list, reopenWorkloads(root, s)...)
	return append(list, memoryConnWorkload(t), logBytesWorkload(), diskWorkload(s), memoryWorkload(s))
}

// onlyEngine keeps one engine of each workload; all if name is empty.
func onlyEngine(list []workload, name string) []workload {
	if name == "" {
		return list
	}
	var kept []workload
	for _, w := range list {
		for _, e := range w.entrants {
			if e.name == name {
				w.entrants = []entrant{e}
				kept = append(kept, w)
				break
			}
		}
	}
	return kept
}

// output writes the report wherever the flags say.
func (o *options) output(out io.Writer, r report) error {
	if o.json != "" {
		if err := writeJSON(o.json, r); err != nil {
			return err
		}
	}
	if o.svg != "" {
		if err := writePlot(o.svg, r); err != nil {
			return err
		}
	}
	if o.fill != "" {
		if err := fill(o.fill, r); err != nil {
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
	s := &o.setting
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.IntVar(&o.rounds, "rounds", 3, "how often each engine has its turn")
	f.DurationVar(&s.measure, "time", time.Second, "measured time of one turn")
	f.DurationVar(&s.warmup, "warmup", 250*time.Millisecond, "time before it")
	f.IntVar(&s.rows, "rows", 1_000_000, "rows of the large transaction, and of the table that is read (1000000: 106 MiB)")
	writers := f.String("writers", "1,16,64", "numbers of writers")
	logs := f.String("logs", "64,256", "MiB of the logs that are checkpointed")
	reopens := f.String("reopens", "4,256", "MiB of the logs that a crash leaves")
	f.BoolVar(&s.cancellable, "cancellable", false, "give each statement a context that can be cancelled, which database/sql then watches")
	f.StringVar(&o.only, "only", "", "workloads, with commas between them: commit, or commit/64")
	f.StringVar(&o.engine, "engine", "", "one engine alone, for a profile: there are no ratios then")
	f.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of the whole run to this file")
	f.StringVar(&o.allocations, "memprofile", "", "write a profile of all allocations to this file")
	f.BoolVar(&o.quick, "quick", false, "under a minute: one round, short turns, small tables and logs")
	f.StringVar(&o.dir, "dir", "out", "where the databases are (not a file system in memory)")
	f.StringVar(&o.json, "json", "", "write the figures to this file too")
	f.StringVar(&o.svg, "svg", "", "draw the ratios into this file")
	f.StringVar(&o.fill, "fill", "", "put the table into this document, between its two lines")
	f.StringVar(&o.from, "from", "", "measure nothing: take the figures from this JSON file")
	f.BoolVar(&o.markdown, "markdown", false, "print the table as documents have it")
	f.StringVar(&o.memoryChild, childFlag, "", "for the program itself")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.quick {
		given := map[string]bool{}
		f.Visit(func(f *flag.Flag) { given[f.Name] = true })
		for name, value := range map[string]string{
			"rounds": "1", "time": "250ms", "warmup": "50ms", "rows": "100000", "logs": "32", "reopens": "4,32",
		} {
			if !given[name] {
				if err := f.Set(name, value); err != nil {
					return o, err
				}
			}
		}
	}
	var errs []error
	for _, l := range []struct {
		name, text string
		to         *[]int
	}{{"writers", *writers, &s.writers}, {"logs", *logs, &s.logs}, {"reopens", *reopens, &s.reopens}} {
		var err error
		*l.to, err = numbers(l.text)
		if err != nil {
			errs = append(errs, fmt.Errorf("-%s: %w", l.name, err))
		}
	}
	if o.rounds < 1 || s.measure <= 0 || s.warmup < 0 || s.rows < 1 || f.NArg() > 0 {
		errs = append(errs, errors.New("at least one round and one row, a time above 0, and no arguments beside the flags"))
	}
	return o, errors.Join(errs...)
}

// numbers reads a list of them.
func numbers(text string) ([]int, error) {
	var list []int
	for s := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q: numbers from 1, with commas between them", text)
		}
		list = append(list, n)
	}
	return list, nil
}
