package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestBench runs all tasks for milliseconds.
func TestBench(t *testing.T) {
	dir := t.TempDir()
	args := []string{"bench", "--dir", dir, "--time", "10ms", "--rows", "500", "--log", "1"}
	var r benchReport
	if err := json.Unmarshal([]byte(must(t, append(args, "--json")...)), &r); err != nil {
		t.Fatal(err)
	}
	table := must(t, args...)
	tasks := benchTasks(benchOptions{rows: 500, log: 1})
	if len(r.Results) != len(tasks) {
		t.Fatalf("%d results of %d tasks", len(r.Results), len(tasks))
	}
	for i, x := range r.Results {
		if x.Name != tasks[i].name || x.Value < 0 {
			t.Errorf("%+v", x)
		}
		if !strings.Contains(table, x.What) {
			t.Errorf("the table does not have %q:\n%s", x.What, table)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestBenchFlags(t *testing.T) {
	for _, args := range [][]string{{"--time", "0s"}, {"--rows", "0"}, {"--log", "0"}, {"more"}, {"--dir", t.TempDir() + "/no"}} {
		if o := walnut(t, "", append([]string{"bench"}, args...)...); o.status != exitError || o.err == "" {
			t.Errorf("%q: status %d, %q", args, o.status, o.err)
		}
	}
}

// TestBenchRepeat counts one goroutine that never returns in time.
func TestBenchRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &benchRun{o: benchOptions{time: 10 * time.Millisecond}}
		r, all, err := b.repeat(t.Context(), 2, func(w int) error {
			time.Sleep([]time.Duration{time.Millisecond, 15 * time.Millisecond}[w])
			return nil
		})
		// The first millisecond is not counted.
		if err != nil || r.Least == nil || *r.Least != 0 || r.Value != 1000 || all != 12 {
			t.Errorf("%+v, %d, %v", r, all, err)
		}
	})
}
