// The tool is tested: plans replay, and failures shrink.

package history

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestSamePlanSameHistory: a plan gives the same history each time, byte for
// byte, also after it was written down and read; and its seed gives the plan.
func TestSamePlanSameHistory(t *testing.T) {
	n := 400
	if testing.Short() || raceEnabled {
		n = 20
	}
	lines := 0
	for seed := range n {
		var first plan
		run := func(t *testing.T, p plan) result {
			first = p
			return perform(t, p)
		}
		_ = try(t, uint64(1000+seed), run)
		p := first
		_ = try(t, uint64(1000+seed), run)
		if p.String() != first.String() {
			t.Fatalf("seed %d gives two plans:\n%v\n%v", seed, p, first)
		}
		read, err := parsePlan(p.String())
		if err != nil {
			t.Fatal(err)
		}
		a, b := perform(t, p), perform(t, read)
		if a, b := a.rec.String(), b.rec.String(); a != b {
			t.Fatalf("the plan %v gives two histories, which part here:\n%s", p, parting(a, b))
		}
		if a.failure != b.failure {
			t.Fatalf("the plan %v fails once with %q and once with %q", p, a.failure, b.failure)
		}
		lines += len(a.rec.lines)
	}
	t.Logf("%d plans, %d lines", n, lines)
}

// parting shows where two histories part.
func parting(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return strings.Join(x[max(0, i-20):i], "\n") +
				"\n<" + strings.Join(x[i:min(len(x), i+10)], "\n<") + "\n>" + strings.Join(y[i:min(len(y), i+10)], "\n>")
		}
	}
	return "one is longer"
}

// TestPlansAreWrittenDown: what String writes, parsePlan reads, and nothing
// else.
func TestPlansAreWrittenDown(t *testing.T) {
	set(t, "rapid.checks", "500")
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		q, err := parsePlan(p.String())
		if err != nil || q.String() != p.String() {
			t.Fatalf("%v is read as %v, %v", p, q, err)
		}
	})
	for _, bad := range []string{"", "AAAA", "AAAAAAAA", "?", "AAAATgAAAA=="} {
		if p, err := parsePlan(bad); err == nil {
			t.Errorf("%q is read as %v", bad, p)
		}
	}
}

// TestFailuresShrinkAndReplay: a history that fails shrinks to the few steps that
// it takes, and the line that it prints brings them back.
func TestFailuresShrinkAndReplay(t *testing.T) {
	// The failure is a commit that returns, a power failure, and a checkpoint
	// after it: that takes opening, a commit, a crash, opening, and a checkpoint.
	run := func(t *testing.T, p plan) result {
		r := perform(t, p)
		next := evCommitted
		for _, e := range r.rec.events {
			switch {
			case e.kind != next:
			case next == evCommitted:
				next = evPower
			case next == evPower:
				next = evCopied
			default:
				r.failure = "found"
				return r
			}
		}
		return r
	}
	var f *found
	for seed := uint64(1); f == nil; seed++ {
		f = try(t, seed, run)
	}
	if n := len(f.plan.steps); n > 5 {
		t.Errorf("%d steps are left:\n%v", n, f)
	}
	line := regexp.MustCompile(`go test (\S+) -run (\S+) -v -args (.*)\n`).FindStringSubmatch(f.String())
	if line == nil {
		t.Fatalf("no line to replay it: %v", f)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(self, append([]string{"-test.run=^" + line[2] + "$", "-test.v"}, strings.Fields(line[3])...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	printed := regexp.MustCompile(`(?m)^ +(\d+  .*)$`).FindAllStringSubmatch(string(out), -1)
	want := strings.Split(strings.TrimSpace(f.rec.String()), "\n")
	if len(printed) != len(want) {
		t.Fatalf("%d lines are replayed of %d:\n%s", len(printed), len(want), out)
	}
	for i, w := range want {
		if got := printed[i][1]; got != strings.TrimSpace(w) {
			t.Fatalf("line %d: %q is replayed as %q", i, w, got)
		}
	}
}
