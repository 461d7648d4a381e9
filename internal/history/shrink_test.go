// Shrinking a plan that fails. It is done on the list of steps: rapid, which
// sees no more than the random bits, takes ten times as long and leaves more.
// The failure may become another one on the way, as it may with rapid.

package history

// shrinkTries bounds the histories that shrinking runs.
const shrinkTries = 3000

// shrink looks for a smaller plan that fails too: without some of the steps, and
// with steps that are simpler.
func (f *found) shrink(run func(plan) result) {
	tries := 0
	try := func(p plan) bool {
		if tries++; tries > shrinkTries {
			return false
		}
		r := run(p)
		if r.failure != "" {
			f.plan, f.result = p, r
		}
		return r.failure != ""
	}
	for again := true; again; {
		again = f.fewer(try)
		again = f.simpler(try) || again
	}
}

// fewer leaves out runs of steps, long ones first.
func (f *found) fewer(try func(plan) bool) (better bool) {
	for n := max(1, len(f.plan.steps)/2); n > 0; n /= 2 {
		for i := 0; i < len(f.plan.steps); {
			p := f.plan
			p.steps = append(append([]step(nil), p.steps[:i]...), p.steps[min(len(p.steps), i+n):]...)
			if try(p) {
				better = true
			} else {
				i += n
			}
		}
	}
	return better
}

// simpler makes numbers smaller: 0, the smallest of those that stand for crashes
// at once, or 1.
func (f *found) simpler(try func(plan) bool) (better bool) {
	smaller := func(at func(p *plan) *byte) {
		for _, v := range []byte{0, befallen, befallen + 1, 1} {
			p := f.plan
			p.steps = append([]step(nil), p.steps...)
			if b := at(&p); v < *b {
				if *b = v; try(p) {
					better = true
					return
				}
			}
		}
	}
	smaller(func(p *plan) *byte { return &p.conns })
	smaller(func(p *plan) *byte { return &p.spill })
	smaller(func(p *plan) *byte { return &p.auto })
	smaller(func(p *plan) *byte { return &p.faults })
	smaller(func(p *plan) *byte { return &p.seed })
	for i := range f.plan.steps {
		smaller(func(p *plan) *byte { return &p.steps[i].who })
		smaller(func(p *plan) *byte { return &p.steps[i].what })
		smaller(func(p *plan) *byte { return &p.steps[i].arg })
		smaller(func(p *plan) *byte { return &p.steps[i].more })
	}
	return better
}
