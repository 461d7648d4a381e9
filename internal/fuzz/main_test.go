package main

import (
	"strings"
	"testing"
)

// TestShow: a target whose time is over has not failed, one with an input has.
func TestShow(t *testing.T) {
	progress := strings.Repeat("fuzz: elapsed: 3s, execs: 10 (3/sec)\n", 11)
	for _, c := range []struct {
		name, out, shown string
		timeOver         bool
	}{
		{"nothing found", progress + "PASS\n", strings.Repeat("fuzz: elapsed: 3s, execs: 10 (3/sec)\n", 2) + "PASS\n", false},
		{"the time is over", "--- FAIL: FuzzX (8.01s)\n    context deadline exceeded\nFAIL\n", "--- FAIL: FuzzX (8.01s)\n    context deadline exceeded\nFAIL\n", true},
		{"an input, and the time is over", "--- FAIL: FuzzX (8.01s)\n    context deadline exceeded\n    Failing input written to testdata/fuzz/FuzzX/1\n",
			"--- FAIL: FuzzX (8.01s)\n    context deadline exceeded\n    Failing input written to testdata/fuzz/FuzzX/1\n", false},
		{"another failure", "panic: of the target\nFAIL\n", "panic: of the target\nFAIL\n", false},
	} {
		var shown strings.Builder
		if got := show(&shown, strings.NewReader(c.out)); got != c.timeOver || shown.String() != c.shown {
			t.Errorf("%s: %v and\n%s", c.name, got, shown.String())
		}
	}
}

// TestFind: targets are found by name, and one that is not there is an error.
func TestFind(t *testing.T) {
	list, err := find([]string{"FuzzOpen", "FuzzScan"})
	if err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := find([]string{"FuzzOpen", "FuzzNothing"}); err == nil || !strings.HasSuffix(err.Error(), ": FuzzNothing") {
		t.Errorf("an unknown target: %v", err)
	}
}
