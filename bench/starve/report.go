package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

// report is the outcome of all turns.
type report struct {
	Date   string  `json:"date"`
	Go     string  `json:"go"`
	OS     string  `json:"os"`
	Arch   string  `json:"arch"`
	CPUs   int     `json:"cpus"`
	SQLite string  `json:"sqlite,omitempty"`
	Limit  int64   `json:"limit_bytes"`
	Rounds int     `json:"rounds"`
	Turns  []turn  `json:"turns"`
	Ratios []ratio `json:"to_sqlite,omitempty"`
}

// ratio is Walnut's figure by C SQLite's of the same round: the median of the
// rounds, and the outermost.
type ratio struct {
	Scenario string  `json:"scenario"`
	Sync     string  `json:"sync"`
	Figure   string  `json:"figure"`
	Median   float64 `json:"median"`
	Min      float64 `json:"min"`
	Max      float64 `json:"max"`
}

func newReport(o options, turns []turn) report {
	return report{Date: time.Now().UTC().Format(time.RFC3339), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
		CPUs: runtime.GOMAXPROCS(0), SQLite: peerVersion(), Limit: o.limit, Rounds: o.rounds, Turns: turns, Ratios: ratios(turns)}
}

// figures are what ratios are taken of: Walnut's, and what stands against it.
var figures = []struct {
	name        string
	ours, other func(turn) float64
}{
	{"commits a second", turn.rate, turn.rate},
	{"commit p50", func(t turn) float64 { return t.Commit.P50 }, func(t turn) float64 { return t.Commit.P50 }},
	{"commit p99", func(t turn) float64 { return t.Commit.P99 }, func(t turn) float64 { return t.Commit.P99 }},
	{"commit p99 without the hold", func(t turn) float64 { return t.CommitApart.P99 }, func(t turn) float64 { return t.Commit.P99 }},
	{"query p50", func(t turn) float64 { return t.Query.P50 }, func(t turn) float64 { return t.Query.P50 }},
	{"query p99", func(t turn) float64 { return t.Query.P99 }, func(t turn) float64 { return t.Query.P99 }},
	{"largest log", func(t turn) float64 { return float64(t.LogBytes) }, func(t turn) float64 { return float64(t.LogBytes) }},
}

func (t turn) rate() float64 { return float64(t.Commits) / max(t.Seconds, 1e-9) }

// ratios compares the turns that have the same round, scenario and level.
func ratios(turns []turn) (list []ratio) {
	for _, f := range figures {
		type key struct{ scenario, sync string }
		values := map[key][]float64{}
		var order []key
		for _, a := range turns {
			for _, b := range turns {
				k := key{a.Scenario, a.Sync}
				if a.Engine != "walnut" || b.Engine == "walnut" || k != (key{b.Scenario, b.Sync}) || a.Round != b.Round || f.other(b) == 0 {
					continue
				}
				if values[k] == nil {
					order = append(order, k)
				}
				values[k] = append(values[k], f.ours(a)/f.other(b))
			}
		}
		for _, k := range order {
			v := values[k]
			slices.Sort(v)
			list = append(list, ratio{k.scenario, k.sync, f.name, median(v), v[0], v[len(v)-1]})
		}
	}
	return list
}

// median of sorted values.
func median(v []float64) float64 { return (v[len(v)/2] + v[(len(v)-1)/2]) / 2 }

// broken lists what was promised and is not so.
func (r report) broken() (list []string) {
	for _, t := range r.Turns {
		for _, b := range t.Broken {
			list = append(list, fmt.Sprintf("%s, %s, %s, round %d: %s", t.Scenario, t.Sync, t.Engine, t.Round, b))
		}
	}
	return list
}

func (r report) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "round\tscenario\tsync\tengine\tlargest log MiB\tside MiB\tof changed\tcommits/s\tcommit p50\tp99\tp99 without hold\tmax ms\tholds\tlongest ms\theld s\tquery p50\tp99\tmax ms\tdetached\t")
	for _, t := range r.Turns {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%.1f\t%.1f\t%.1f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%d\t%.0f\t%.1f\t%.0f\t%.0f\t%.0f\t%d\t\n",
			t.Round, t.Scenario, t.Sync, t.Engine, mib(t.LogBytes), mib(t.SideBytes), mib(int64(t.PagesChanged)*pageSize), t.rate(),
			t.Commit.P50, t.Commit.P99, t.CommitApart.P99, t.Commit.Max/1e3, t.Holds, t.LongestHoldUS/1e3, t.HoldSeconds, t.Query.P50, t.Query.P99, t.Query.Max/1e3, t.Detached)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nTimes are in microseconds where nothing else is said. The limit of Walnut's log is %.1f MiB; 1.2 of it are %.1f MiB.\n", mib(r.Limit), 1.2*mib(r.Limit))
	if len(r.Ratios) > 0 {
		fmt.Fprintf(out, "\nWalnut to C SQLite %s, within a round (median, least, most):\n", r.SQLite)
	}
	w = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, x := range r.Ratios {
		fmt.Fprintf(w, "%s\t%s\t%s\t%.3f\t%.3f\t%.3f\n", x.Scenario, x.Sync, x.Figure, x.Median, x.Min, x.Max)
	}
	return w.Flush()
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

func (r report) writeJSON(file string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}
