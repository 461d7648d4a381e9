// The runs: as many seeds as asked for, shrinking, progress, and replays.

package history

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/schollz/progressbar/v3"
	"pgregory.net/rapid"
)

var (
	planFlag  = flag.String("plan", "", "replay this plan (TestReplay)")
	seedsFlag = flag.Int("seeds", defaultSeeds, "how many histories to run; 0: no limit")
	forFlag   = flag.Duration("for", 0, "run histories for that long, however many they are")
	fromFlag  = flag.Uint64("from", 1, "the first seed, at least 1")
	mostFlag  = flag.Int("failures", 10, "how many failures end the run: shrinking takes longer than running")
)

// defaultSeeds take less than two minutes on two quiet cores; shortSeeds are for
// -short and for the race detector.
const (
	defaultSeeds = 6000
	shortSeeds   = 150
)

// found is a failure, shrunk.
type found struct {
	seed uint64
	plan plan
	result
}

func (f *found) String() string {
	return fmt.Sprintf("seed %d: %s\n%d steps replay it:\n\tgo test ./internal/history -run TestReplay -v -args -plan %s\nthe history:\n%s",
		f.seed, f.failure, len(f.plan.steps), f.plan, f.rec.String())
}

// quiet is what rapid reports to: it only looks for the plan that fails.
type quiet struct {
	testing.TB
	failed bool
}

func (q *quiet) Helper()               {}
func (q *quiet) Name() string          { return "histories" }
func (q *quiet) Log(...any)            {}
func (q *quiet) Logf(string, ...any)   {}
func (q *quiet) Error(...any)          { q.failed = true }
func (q *quiet) Errorf(string, ...any) { q.failed = true }
func (q *quiet) Fail()                 { q.failed = true }
func (q *quiet) Failed() bool          { return q.failed }
func (q *quiet) FailNow()              { q.failed = true; runtime.Goexit() }
func (q *quiet) Fatal(...any)          { q.FailNow() }
func (q *quiet) Fatalf(string, ...any) { q.FailNow() }

// try runs the history of a seed, and shrinks it if it fails.
func try(t *testing.T, seed uint64, perform func(*testing.T, plan) result) (f *found) {
	set(t, "rapid.seed", strconv.FormatUint(seed, 10))
	set(t, "rapid.steps", strconv.Itoa(averageSteps))
	set(t, "rapid.checks", "1")
	if testing.Short() { // which rapid takes as a reason to do less
		set(t, "rapid.steps", strconv.Itoa(2*averageSteps))
		set(t, "rapid.checks", "5")
	}
	set(t, "rapid.nofailfile", "true")
	set(t, "rapid.shrinktime", "0s") // see found.shrink
	q, passed, ended := &quiet{TB: t}, false, make(chan struct{})
	go func() { // which a failure ends
		defer close(ended)
		rapid.Check(q, func(rt *rapid.T) {
			if passed {
				return
			}
			p := drawPlan(rt)
			r := perform(t, p)
			if r.failure == "" {
				passed = f == nil
				return
			}
			f = &found{seed: seed, plan: p, result: r}
			rt.Fatal("failed") // the same words for all, so that it may become another failure
		})
	}()
	<-ended
	if !q.failed {
		return nil
	}
	f.shrink(func(p plan) result { return perform(t, p) })
	return f
}

// set sets a flag of rapid's.
func set(t *testing.T, name, value string) {
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
}

// TestHistories runs the histories of many seeds.
func TestHistories(t *testing.T) {
	if *fromFlag == 0 {
		t.Fatal("-from must be at least 1")
	}
	n, asked := *seedsFlag, seedsAsked()
	if !asked && *forFlag == 0 && (testing.Short() || raceEnabled) {
		n = shortSeeds
	}
	if *forFlag > 0 && !asked {
		n = 0
	}
	bar := progress(n, asked || *forFlag > 0)
	begin, ran, did := time.Now(), 0, map[string]int{}
	run := func(t *testing.T, p plan) result {
		r := perform(t, p)
		did["steps"] += r.steps
		for _, e := range r.rec.events {
			did[e.kind.String()]++
		}
		return r
	}
	var failures []*found
	for seed := *fromFlag; n == 0 || ran < n; seed++ {
		if *forFlag > 0 && time.Since(begin) > *forFlag {
			break
		}
		f := try(t, seed, run)
		ran++
		_ = bar.Add(1)
		if f == nil {
			continue
		}
		failures = append(failures, f)
		t.Errorf("%v", f)
		if len(failures) == *mostFlag {
			break
		}
	}
	_ = bar.Finish()
	t.Logf("%d histories, from seed %d on, in %v: %d failures", ran, *fromFlag, time.Since(begin).Round(time.Second), len(failures))
	for _, what := range slices.Sorted(maps.Keys(did)) {
		t.Logf("%9d %s", did[what], what)
	}
	for k := evNone + 1; k < evKinds; k++ {
		if n == defaultSeeds && did[k.String()] == 0 {
			t.Errorf("%s: in none of the histories", k)
		}
	}
	for _, f := range failures {
		t.Logf("seed %d: go test ./internal/history -run TestReplay -v -args -plan %s", f.seed, f.plan)
	}
}

// seedsAsked reports whether the number of seeds was asked for, be it the one
// that is the default: it then wins over what -short and -race would choose.
func seedsAsked() (given bool) {
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "seeds" })
	return given
}

// progress is a bar, if somebody is there to see it.
func progress(n int, shown bool) *progressbar.ProgressBar {
	if !shown {
		return progressbar.DefaultSilent(int64(n))
	}
	limit := int64(n)
	if n == 0 {
		limit = -1
	}
	return progressbar.NewOptions64(limit, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription("histories"),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionThrottle(time.Second))
}

// TestReplay runs one plan.
func TestReplay(t *testing.T) {
	if *planFlag == "" {
		t.Skip("-plan is not given")
	}
	p, err := parsePlan(*planFlag)
	if err != nil {
		t.Fatal(err)
	}
	r := perform(t, p)
	t.Logf("the history:\n%s", r.rec.String())
	if r.failure != "" {
		t.Error(r.failure)
	}
}
