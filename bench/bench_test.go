package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCommand runs everything, for milliseconds.
func TestCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "result.json")
	var out, errOut bytes.Buffer
	err := command(t.Context(), []string{
		"-rounds", "2", "-seconds", "0.05", "-warmup", "0.01", "-writers", "1,4", "-dir", t.TempDir(), "-json", file,
	}, &out, &errOut)
	if err != nil {
		t.Fatalf("%v\n%s", err, errOut.String())
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	engines := 2 + len(peers())
	if len(r.Results) != 2*engines {
		t.Fatalf("%d results, want %d of each number of writers:\n%s", len(r.Results), engines, b)
	}
	for _, x := range r.Results {
		if len(x.PerSecond) != 2 || x.Max <= 0 {
			t.Errorf("%s with %d writers: %v commits/s", x.Engine, x.Writers, x.PerSecond)
		}
		if !strings.Contains(out.String(), x.Engine) {
			t.Errorf("the table does not name %s:\n%s", x.Engine, out.String())
		}
	}
	var md bytes.Buffer
	if err := writeMarkdown(&md, r); err != nil || strings.Count(md.String(), "\n") != 4 {
		t.Errorf("the table for the README, %v:\n%s", err, md.String())
	}
	if (r.SQLite == "") != (len(peers()) == 0) {
		t.Errorf("the peer is %q, and there are %d", r.SQLite, len(peers()))
	}
}

// TestFlags refuses what cannot be measured.
func TestFlags(t *testing.T) {
	for _, args := range []string{"-writers 0", "-writers x", "-rounds 0", "-seconds 0", "more"} {
		if _, err := parse(strings.Fields(args), &bytes.Buffer{}); err == nil {
			t.Errorf("%s was accepted", args)
		}
	}
}

// TestResults computes figures from runs with known ones.
func TestResults(t *testing.T) {
	ms := func(n int) []time.Duration {
		l := make([]time.Duration, n)
		for i := range l {
			l[i] = time.Duration(i+1) * time.Millisecond
		}
		return l
	}
	list := results([]*run{
		{engine: "walnut", writers: 2, elapsed: time.Second, commits: []int{30, 70}, latencies: ms(100), longest: time.Second},
		{engine: peerName, writers: 2, elapsed: time.Second, commits: []int{50, 0}, latencies: ms(50)},
		{engine: "walnut", writers: 2, elapsed: time.Second, commits: []int{200, 100}, latencies: ms(300)},
		{engine: peerName, writers: 2, elapsed: time.Second, commits: []int{50, 50}, latencies: ms(100)},
	})
	w, p := list[0], list[1]
	if w.Median != 200 || w.Min != 100 || w.Max != 300 {
		t.Errorf("walnut: median %v, min %v, max %v", w.Median, w.Min, w.Max)
	}
	if w.Ratio != 2.5 || w.RatioMin != 2 || w.RatioMax != 3 || p.Ratio != 1 {
		t.Errorf("ratios %v [%v, %v] and %v", w.Ratio, w.RatioMin, w.RatioMax, p.Ratio)
	}
	if w.LeastOfAWriter != 30 || w.Starved != 0 || p.LeastOfAWriter != 0 || p.Starved != 1 {
		t.Errorf("least %d and %d, starved %d and %d", w.LeastOfAWriter, p.LeastOfAWriter, w.Starved, p.Starved)
	}
	if w.Longest != 1e6 || w.P99 != 297e3 {
		t.Errorf("longest %v µs, p99 %v µs", w.Longest, w.P99)
	}
}
