// Shrinking a plan that fails: what rapid has left is made smaller once more, as
// a list of steps.

package history

// shrinkTries bounds the histories that shrinking runs.
const shrinkTries = 1500

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

// simpler makes zeros of numbers.
func (f *found) simpler(try func(plan) bool) (better bool) {
	zero := func(at func(p *plan) *byte) {
		p := f.plan
		p.steps = append([]step(nil), p.steps...)
		if b := at(&p); *b != 0 {
			*b = 0
			better = try(p) || better
		}
	}
	zero(func(p *plan) *byte { return &p.conns })
	zero(func(p *plan) *byte { return &p.spill })
	zero(func(p *plan) *byte { return &p.auto })
	zero(func(p *plan) *byte { return &p.faults })
	zero(func(p *plan) *byte { return &p.seed })
	for i := range f.plan.steps {
		zero(func(p *plan) *byte { return &p.steps[i].what })
		zero(func(p *plan) *byte { return &p.steps[i].arg })
		zero(func(p *plan) *byte { return &p.steps[i].more })
		zero(func(p *plan) *byte { return &p.steps[i].who })
	}
	return better
}
