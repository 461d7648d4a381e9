package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestStarve runs both scenarios on small sizes. It asserts what must hold on
// any machine, and no times: the command fails if a promise is broken. Here it
// is seen that there was something to promise; a slow machine needs longer for
// that.
func TestStarve(t *testing.T) {
	for d := 800 * time.Millisecond; ; d *= 4 {
		little := starve(t, d)
		if little == "" {
			return
		}
		if d > 3*time.Minute {
			t.Fatalf("in %v, %s", d, little)
		}
		t.Logf("in %v, %s", d, little)
	}
}

// starve runs turns of d, and says what has not been seen in them.
func starve(t *testing.T, d time.Duration) (little string) {
	dir := t.TempDir()
	file := filepath.Join(dir, "starve.json")
	var out, errOut bytes.Buffer
	// A writer is held for as long as it takes.
	err := command(t.Context(), []string{"-for", d.String(), "-stay", "20ms", "-limit", "2", "-table", "4", "-write", "16", "-pages", "4",
		"-grace", "100ms", "-hold", "1h", "-sync", "NORMAL", "-dir", filepath.Join(dir, "runs"), "-json", file}, &out, &errOut)
	t.Logf("%s%s", errOut.String(), out.String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	if want := 2 * len(engines()); len(r.Turns) != want {
		t.Fatalf("%d turns, not %d", len(r.Turns), want)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "runs")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	for _, x := range r.Turns {
		switch {
		case x.Commits == 0 || x.Query.Count == 0 || x.PagesChanged == 0 || x.LogBytes == 0:
			return fmt.Sprintf("%s, %s: nothing was measured: %+v", x.Scenario, x.Engine, x)
		case x.Engine == "walnut" && x.Scenario == "stay" && (x.Detached == 0 || x.SideImages == 0 || x.Restarts == 0):
			return fmt.Sprintf("the reader that stays was not detached, or nothing was overwritten: %+v", x)
		case x.Engine != "walnut" && x.Scenario == "stay" && x.LogBytes <= r.Limit:
			return fmt.Sprintf("C SQLite's log had %d bytes beside a reader that stays", x.LogBytes)
		}
	}
	return ""
}

// TestJudge: broken promises are noticed.
func TestJudge(t *testing.T) {
	s := setting{limit: 1000, pages: 1}
	for _, x := range []struct {
		turn   turn
		broken bool
	}{
		{turn{LogBytes: 1200 + s.largest()}, false},
		{turn{LogBytes: 1201 + s.largest()}, true},
		{turn{PagesChanged: 3, DetachedAtOnce: 1, SideImages: 3, SideBytes: 3 * pageSize}, false},
		{turn{PagesChanged: 3, DetachedAtOnce: 1, SideImages: 4, SideBytes: 3 * pageSize}, true},
		{turn{PagesChanged: 3, DetachedAtOnce: 1, SideImages: 3, SideBytes: 3*pageSize + 1}, true},
		{turn{PagesChanged: 3, SideImages: 1}, true},
	} {
		if x.turn.judge(s); (len(x.turn.Broken) > 0) != x.broken {
			t.Errorf("%+v", x.turn)
		}
	}
	if n := differ([]uint32{1, 2, 3}, []uint32{1, 5}); n != 2 {
		t.Errorf("%d pages differ, not 2", n)
	}
}

func TestFlags(t *testing.T) {
	for _, args := range []string{"-for 0s", "-only nonsense", "-only overlap,", "-sync MAX", "-pages 0", "-table 0", "more"} {
		if _, err := parse(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("%s was accepted", args)
		}
	}
}

// TestRatios are taken within a round.
func TestRatios(t *testing.T) {
	list := ratios([]turn{
		{Round: 1, Scenario: "stay", Sync: "FULL", Engine: "walnut", Commit: quantiles{P50: 10}},
		{Round: 1, Scenario: "stay", Sync: "FULL", Engine: "sqlite", Commit: quantiles{P50: 5}},
		{Round: 2, Scenario: "stay", Sync: "FULL", Engine: "sqlite", Commit: quantiles{P50: 10}},
		{Round: 2, Scenario: "stay", Sync: "FULL", Engine: "walnut", Commit: quantiles{P50: 40}},
		{Round: 2, Scenario: "stay", Sync: "NORMAL", Engine: "walnut", Commit: quantiles{P50: 400}},
	})
	for _, r := range list {
		if r.Figure == "commit p50" && r != (ratio{"stay", "FULL", "commit p50", 3, 2, 4}) {
			t.Errorf("%+v", r)
		}
	}
	if len(list) == 0 {
		t.Error("no ratios")
	}
}
