package main

import (
	"runtime"
	"slices"
	"time"
)

// report is the outcome of all turns: a contract for scripts that compare two.
type report struct {
	Date      string           `json:"date"`
	Go        string           `json:"go"`
	OS        string           `json:"os"`
	Arch      string           `json:"arch"`
	CPUs      int              `json:"cpus"`
	SQLite    string           `json:"sqlite,omitempty"` // version of the peer; absent without cgo
	Rounds    int              `json:"rounds"`
	Seconds   float64          `json:"seconds"`
	Workloads []workloadReport `json:"workloads"`
}

// workloadReport has the results of one workload. Its first metric is the one
// that it is about.
type workloadReport struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Limit   string   `json:"limit,omitempty"` // an engine's name
	Metrics []metric `json:"metrics"`
	Results []result `json:"results"`
}

// result is one engine at one workload.
type result struct {
	Engine string            `json:"engine"`
	Values map[string]spread `json:"values"` // by metric
}

// spread is one figure over the rounds, and its ratios to C SQLite's and to the
// limit's in the same round; those are absent where there is nothing to compare.
type spread struct {
	Rounds  []float64 `json:"rounds"`
	Median  float64   `json:"median"`
	Min     float64   `json:"min"`
	Max     float64   `json:"max"`
	Ratio   *ratio    `json:"to_sqlite,omitempty"`
	OfLimit *ratio    `json:"to_limit,omitempty"`
}

type ratio struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func newReport(rounds int, s setting, all []turns) report {
	r := report{
		Date: time.Now().UTC().Format(time.RFC3339), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
		CPUs: runtime.GOMAXPROCS(0), SQLite: peerVersion(), Rounds: rounds, Seconds: s.measure.Seconds(),
	}
	for _, t := range all {
		r.Workloads = append(r.Workloads, t.report())
	}
	return r
}

func (t *turns) report() workloadReport {
	w := workloadReport{Name: t.workload.name, Title: t.workload.title, Limit: t.workload.limit, Metrics: t.workload.metrics}
	of := func(name string) []sample {
		for i, e := range t.workload.entrants {
			if e.name == name {
				return t.samples[i]
			}
		}
		return nil
	}
	peer, limit := of(peerName), of(w.Limit)
	for i, e := range t.workload.entrants {
		r := result{Engine: e.name, Values: map[string]spread{}}
		for k, m := range w.Metrics {
			values := column(t.samples[i], m.Name)
			if len(values) < len(t.samples[i]) {
				continue // this engine does not have it
			}
			s := spread{Rounds: values}
			s.Median, s.Min, s.Max = middle(values)
			if !m.NoRatio {
				s.Ratio = ratios(values, column(peer, m.Name))
			}
			if k == 0 {
				s.OfLimit = ratios(values, column(limit, m.Name))
			}
			r.Values[m.Name] = s
		}
		w.Results = append(w.Results, r)
	}
	return w
}

// column is one metric of the samples that have it.
func column(list []sample, name string) []float64 {
	var c []float64
	for _, s := range list {
		if x, ok := s[name]; ok {
			c = append(c, x)
		}
	}
	return c
}

// ratios compares round by round; nil if there is nothing to compare with.
func ratios(values, with []float64) *ratio {
	var list []float64
	for i, x := range values {
		if i < len(with) && with[i] > 0 {
			list = append(list, x/with[i])
		}
	}
	if list == nil {
		return nil
	}
	var r ratio
	r.Median, r.Min, r.Max = middle(list)
	return &r
}

// middle returns median, least and greatest; zeros of nothing.
func middle(x []float64) (median, least, greatest float64) {
	if len(x) == 0 {
		return 0, 0, 0
	}
	s := slices.Sorted(slices.Values(x))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2, s[0], s[n-1]
}
