package main

// Tests of "walnut torture" as a command: the parent in this process, the
// children as processes that are killed.

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var lastLine = regexp.MustCompile(`^(\d+) kills, (\d+) acknowledged, 0 lost, 0 torn$`)

func TestTorture(t *testing.T) {
	t.Setenv(asWalnut, "1")
	kills := 24
	if testing.Short() {
		kills = 4
	}
	dir := filepath.Join(t.TempDir(), "torture.d")
	for range 2 { // the second finds what the first left, and may use it
		o := walnut(t, "", "torture", "--kills", fmt.Sprint(kills), "--seed", "7", dir)
		if o.status != exitFine {
			t.Fatalf("status %d\n%s%s", o.status, o.out, o.err)
		}
		lines := strings.Split(strings.TrimSuffix(o.out, "\n"), "\n")
		last := lastLine.FindStringSubmatch(lines[len(lines)-1])
		if last == nil || last[1] != fmt.Sprint(kills) || last[2] == "0" || !strings.HasPrefix(lines[0], "seed 7,") {
			t.Errorf("output %q", o.out)
		}
		t.Log(lines[len(lines)-1])
	}
}

func TestTortureRefusesForeignFiles(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"holds precious.txt": {"precious.txt": "x"},
		"give torture a":     {"torture-001.db": "x"},
		"what the run with":  {"torture.json": `{"state":"failed","seed":3}`, "torture-001.db": "x"},
		"is in use":          {"torture.json": `{"state":"running","seed":3}`},
		"holds app.db":       {"torture.json": `{"state":"clean"}`, "app.db": "x"},
	} {
		dir := t.TempDir()
		for f, c := range files {
			if err := os.WriteFile(filepath.Join(dir, f), []byte(c), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		before := contents(t, dir)
		o := walnut(t, "", "torture", dir)
		if o.status != exitError || !strings.Contains(o.err, name) {
			t.Errorf("%s: %+v", name, o)
		}
		for f, c := range contents(t, dir) {
			if before[f] != c {
				t.Errorf("%s: %s was changed", name, f)
			}
		}
	}
}

// TestTortureChildFails: a child that ends by itself is an error, not a
// finding, and says why.
func TestTortureChildFails(t *testing.T) {
	t.Setenv(asWalnut, "1")
	t.Setenv("WALNUT_TEST_CHILD_FAILS", "1")
	// Some kills come early, before a child on a busy machine gets so far; the others
	// wait for its first commit.
	o := walnut(t, "", "torture", "--kills", "50", "--seed", "1", filepath.Join(t.TempDir(), "d"))
	if o.status != exitError || !strings.Contains(o.err, "the child ended by itself (exit status 1): as the test asked") {
		t.Errorf("%+v", o)
	}
}
