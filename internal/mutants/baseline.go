package main

import (
	"context"
	"fmt"
	"slices"
)

// A suite that is red anyway would count as the killer of every mutant. So what
// the mutants will run is run first on the tree as it is, and must pass.

// baseline runs, without a mutant, whatever the plans of the list have, and
// returns an error that names the test that failed, if any did.
func (r *runner) baseline(ctx context.Context, list []*mutant, say func(try)) error {
	for _, t := range r.basis(list) {
		say(t)
		killer, by, err := r.test(ctx, "", t)
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
