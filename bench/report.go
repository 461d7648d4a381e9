package main

import (
	"runtime"
	"slices"
	"time"
)

// peerName is the engine that ratios are taken to.
const peerName = "sqlite"

// report is the outcome of all runs: a contract for scripts that compare two.
type report struct {
	Date    string   `json:"date"`
	Go      string   `json:"go"`
	OS      string   `json:"os"`
	Arch    string   `json:"arch"`
	CPUs    int      `json:"cpus"`
	SQLite  string   `json:"sqlite,omitempty"` // version of the peer; absent without cgo
	Rounds  int      `json:"rounds"`
	Seconds float64  `json:"seconds"`
	Results []result `json:"results"`
}

// result is one engine with one number of writers.
type result struct {
	Engine  string `json:"engine"`
	Writers int    `json:"writers"`
	// PerSecond is the throughput of each round.
	PerSecond []float64 `json:"per_second"`
	Median    float64   `json:"median"`
	Min       float64   `json:"min"`
	Max       float64   `json:"max"`
	// Ratio to C SQLite in the same round: median, least and greatest.
	Ratio    float64 `json:"ratio_to_sqlite,omitempty"`
	RatioMin float64 `json:"ratio_min,omitempty"`
	RatioMax float64 `json:"ratio_max,omitempty"`
	// LeastOfAWriter is the smallest number of commits that one writer got in
	// a round; Starved the largest number of writers who got none.
	LeastOfAWriter int `json:"least_of_a_writer"`
	Starved        int `json:"starved_writers"`
	// Latency of a commit, and the longest wait, which need not have ended.
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	Longest float64 `json:"longest_us"`
}

func newReport(rounds int, s setting, runs []*run) report {
	return report{
		Date: time.Now().UTC().Format(time.RFC3339), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
		CPUs: runtime.GOMAXPROCS(0), SQLite: peerVersion(), Rounds: rounds, Seconds: s.measure.Seconds(),
		Results: results(runs),
	}
}

// results gathers the runs, which are in the order of the rounds, by writers
// and engine.
func results(runs []*run) []result {
	type key struct {
		writers int
		engine  string
	}
	var order []key
	groups := map[key][]*run{}
	for _, r := range runs {
		k := key{r.writers, r.engine}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], r)
	}
	slices.SortStableFunc(order, func(a, b key) int { return a.writers - b.writers })
	var list []result
	for _, k := range order {
		list = append(list, newResult(groups[k], groups[key{k.writers, peerName}]))
	}
	return list
}

func newResult(runs, peer []*run) result {
	r := result{Engine: runs[0].engine, Writers: runs[0].writers}
	var ratios []float64
	var lat []time.Duration
	r.LeastOfAWriter = -1
	for i, x := range runs {
		rate := x.perSecond()
		r.PerSecond = append(r.PerSecond, rate)
		if i < len(peer) && peer[i].perSecond() > 0 {
			ratios = append(ratios, rate/peer[i].perSecond())
		}
		lat = append(lat, x.latencies...)
		r.Longest = max(r.Longest, micros(x.longest))
		starved := 0
		for _, n := range x.commits {
			if n == 0 {
				starved++
			}
			if r.LeastOfAWriter < 0 || n < r.LeastOfAWriter {
				r.LeastOfAWriter = n
			}
		}
		r.Starved = max(r.Starved, starved)
	}
	r.Median, r.Min, r.Max = spread(r.PerSecond)
	r.Ratio, r.RatioMin, r.RatioMax = spread(ratios)
	slices.Sort(lat)
	r.P50, r.P99 = micros(quantile(lat, 0.50)), micros(quantile(lat, 0.99))
	return r
}

// spread returns median, least and greatest; zeros of nothing.
func spread(x []float64) (median, least, greatest float64) {
	if len(x) == 0 {
		return 0, 0, 0
	}
	s := slices.Sorted(slices.Values(x))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2, s[0], s[n-1]
}

// quantile of a sorted list; zero of nothing.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
