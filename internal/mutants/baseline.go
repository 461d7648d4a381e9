package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A suite that is red anyway would count as the killer of every mutant. So what
// the mutants will run is run first on the tree as it is, and must pass. How long
// it took then tells later which mutant hangs.

// baseline runs, without a mutant, whatever the plans of the list have, and
// returns an error that names the test that failed, if any did.
func (r *runner) baseline(ctx context.Context, list []*mutant, say func(try)) error {
	for _, t := range r.basis(list) {
		say(t)
		out, err := r.goTest(ctx, "", t, r.timeout)
		if err != nil {
			return fmt.Errorf("%s, without a mutant: %w", t, err)
		}
		r.note(t.pkg, out.events)
		killer, by, err := out.verdict()
		if err != nil {
			return fmt.Errorf("%s, without a mutant: %w", t, err)
		}
		if killer != "" {
			if by != "" {
				by = " (" + by + ")"
			}
			return fmt.Errorf("%s fails%s without any mutant, so a failure would prove nothing: mend it first", killer, by)
		}
	}
	return nil
}

// note takes down how long the tests of a package took.
func (r *runner) note(pkg string, events []byte) {
	if r.took[pkg] == nil {
		r.took[pkg] = map[string]float64{}
	}
	for line := range bytes.Lines(events) {
		var e event
		if json.Unmarshal(line, &e) == nil && e.Action == "pass" && e.Test != "" && !strings.Contains(e.Test, "/") {
			r.took[pkg][e.Test] = e.Elapsed
		}
	}
}

// basis lists what a run of the list needs green. A package that some mutant
// runs as a whole, as well as in tests of its own, is there once, as a whole.
func (r *runner) basis(list []*mutant) []try {
	var all []try
	for _, m := range list {
		for _, t := range r.plan(m) {
			if !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
	}
	whole := map[string]bool{}
	for _, t := range all {
		whole[t.pkg] = whole[t.pkg] || t.run == ""
	}
	return slices.DeleteFunc(all, func(t try) bool { return t.run != "" && whole[t.pkg] })
}
