package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m) // no goroutine is left when all tests have ended
}

// TestCommand runs everything, for milliseconds.
func TestCommand(t *testing.T) {
	dir := t.TempDir()
	file, svg, doc := filepath.Join(dir, "result.json"), filepath.Join(dir, "plot.svg"), filepath.Join(dir, "doc.md")
	args := []string{"-rounds", "2", "-time", "20ms", "-warmup", "2ms", "-rows", "2000", "-writers", "1,4", "-logs", "1", "-reopens", "1",
		"-dir", filepath.Join(dir, "runs"), "-json", file}
	if len(peers()) > 0 {
		args = append(args, "-svg", svg)
	}
	var out, errOut bytes.Buffer
	if err := command(t.Context(), args, &out, &errOut); err != nil {
		t.Fatalf("%v\n%s", err, errOut.String())
	}
	r, err := readJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	checkReport(t, r)
	for _, w := range r.Workloads {
		if !strings.Contains(out.String(), w.Title) {
			t.Errorf("the table does not have %q:\n%s", w.Title, out.String())
		}
	}
	if (r.SQLite == "") != (len(peers()) == 0) {
		t.Errorf("the peer is %q, and there are %d", r.SQLite, len(peers()))
	}
	if len(peers()) > 0 {
		checkXML(t, svg)
	}
	// The same figures go into a document, again and again.
	if err := os.WriteFile(doc, []byte("before\n"+fillBegin+"old\n"+fillEnd+"after\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var last string
	for range 2 {
		if err := command(t.Context(), []string{"-from", file, "-fill", doc, "-markdown"}, &out, &errOut); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		s := string(b)
		if last != "" && s != last || strings.Contains(s, "old\n") || !strings.HasPrefix(s, "before\n") || !strings.HasSuffix(s, "after\n") || !strings.Contains(s, "| commit/4 |") {
			t.Fatalf("the document is\n%s", s)
		}
		last = s
	}
	if left, err := os.ReadDir(filepath.Join(dir, "runs")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// checkReport wants a figure of each engine at each workload.
func checkReport(t *testing.T, r report) {
	t.Helper()
	for _, w := range workloads(t.TempDir(), setting{writers: []int{1, 4}, logs: []int{1}, reopens: []int{1}, rows: 2000}) {
		var got *workloadReport
		for i := range r.Workloads {
			if r.Workloads[i].Name == w.name {
				got = &r.Workloads[i]
			}
		}
		if got == nil {
			t.Errorf("%s is not in the report", w.name)
			continue
		}
		for _, e := range w.entrants {
			v := got.value(e.name, w.metrics[0].Name)
			if len(v.Rounds) != 2 || v.Min < 0 || v.Median > v.Max {
				t.Errorf("%s, %s: %+v", w.name, e.name, v)
			}
		}
	}
}

func checkXML(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(bytes.NewReader(b))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("the plot: %v\n%s", err, b)
		}
	}
}

// TestFlags refuses what cannot be measured.
func TestFlags(t *testing.T) {
	for _, args := range []string{"-writers 0", "-writers x", "-logs 1,", "-rounds 0", "-time 0s", "-rows 0", "more"} {
		if _, err := parse(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("%s was accepted", args)
		}
	}
	for _, args := range []string{"-only nonsense", "-only commit,", "-engine nobody"} {
		if err := command(t.Context(), append(strings.Fields(args), "-dir", t.TempDir()), io.Discard, io.Discard); err == nil {
			t.Errorf("%s was accepted", args)
		}
	}
	o, err := parse([]string{"-quick", "-rounds", "2"}, io.Discard)
	if err != nil || o.rounds != 2 || o.setting.rows != 100_000 || len(o.setting.reopens) != 2 {
		t.Errorf("-quick: %+v, %v", o, err)
	}
}

// TestReport computes figures from turns with known ones.
func TestReport(t *testing.T) {
	ts := turns{
		workload: workload{name: "w", limit: "raw", metrics: []metric{{Name: "rate"}, {Name: "p99", Lower: true}, {Name: "least", NoRatio: true}},
			entrants: []entrant{{name: walnutName}, {name: peerName}, {name: "raw"}}},
		samples: [][]sample{
			{{"rate": 100, "p99": 5, "least": 1}, {"rate": 300, "p99": 5, "least": 1}},
			{{"rate": 50, "p99": 10, "least": 1}, {"rate": 100, "p99": 20, "least": 1}},
			{{"rate": 200}, {"rate": 400}},
		},
	}
	w := ts.report()
	v := w.value(walnutName, "rate")
	if v.Median != 200 || v.Min != 100 || v.Max != 300 || *v.Ratio != (ratio{2.5, 2, 3}) || *v.OfLimit != (ratio{0.625, 0.5, 0.75}) {
		t.Errorf("rate: %+v, %+v, %+v", v, v.Ratio, v.OfLimit)
	}
	p := w.value(walnutName, "p99")
	if *p.Ratio != (ratio{0.375, 0.25, 0.5}) || p.OfLimit != nil || w.value(walnutName, "least").Ratio != nil {
		t.Errorf("p99: %+v", p)
	}
	if got := w.value("raw", "p99"); got.Rounds != nil {
		t.Errorf("the limit has a p99: %+v", got)
	}
	if d := dots(&w, w.Metrics[1]); len(d) != 1 || d[0] != (dot{walnutName, 1 / 0.375, 2, 4}) {
		t.Errorf("dots: %+v", d)
	}
	if b, err := json.Marshal(w); err != nil || !strings.Contains(string(b), `"to_sqlite":{"median":2.5`) {
		t.Errorf("JSON: %s, %v", b, err)
	}
}

// TestDrive counts what ends in time, and who waited.
func TestDrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := drive(t.Context(), setting{measure: 20 * time.Millisecond}, load{goroutines: 2, each: 3, op: func(_ context.Context, w int) error {
			time.Sleep([]time.Duration{time.Millisecond, 25 * time.Millisecond}[w])
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		least, most, nothing := r[0].fairness()
		if !slices.Equal(r[0].counts, []int{60, 0}) || nothing != 1 || least != 0 || most != 2 || r[0].longest != 20*time.Millisecond || r[0].all != 63 {
			t.Errorf("%v of %d: least %v, most %v, nothing %v, longest %v", r[0].counts, r[0].all, least, most, nothing, r[0].longest)
		}
	})
}

func TestFigure(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 0.01234: "0.0123", 1.5: "1.5", 12.34: "12.3", 123.4: "123", 1234567: "1,234,567", 1000: "1,000"} {
		if got := figure(x); got != want {
			t.Errorf("%v: %s, not %s", x, got, want)
		}
	}
}
