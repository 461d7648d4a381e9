// Package schedule enumerates the interleavings of a few actors, for tests.
//
// A [Search] is a depth-first search over the choices "who goes next". It knows
// nothing of how actors run: the test starts them anew for each run, and asks
// Pick at every point at which more than one could go on. So a run is
// determined by its choices alone, and must be: no clock, no random numbers.
//
//	var s schedule.Search
//	for s.Next() {
//		// start the actors
//		for /* some have not ended */ {
//			i := s.Pick(steps, nil) // what each that can go on would do next
//			if i < 0 {
//				break // only leads to what has been seen
//			}
//			// let steps[i] happen, and check what must hold after it
//		}
//	}
//
// Two steps that touch nothing in common give the same state in either order.
// The search takes one order only (Godefroid's sleep sets): no state that can be
// reached is left out, only ways to it. Whoever cannot say what a step touches
// says [All].
//
// A test that can tell the whole state of a run, what each actor remembers
// included, gives Pick a hash of it: then no state is left twice in the same
// way, by whatever way it was reached.
package schedule

import (
	"fmt"
	"slices"
)

// Set has one bit for each thing that steps touch.
type Set uint64

// All is everything.
const All = ^Set(0)

// Step is what an actor would do next.
type Step struct {
	// Actor is its number.
	Actor int
	// Name tells the reader of a failed schedule what it is.
	Name string
	// Reads and Writes are what it touches until the actor's next step. What
	// decides whether an actor can go on counts as read by it.
	Reads, Writes Set
}

// dependent reports whether the order of two steps can matter.
func (s Step) dependent(o Step) bool {
	return s.Actor == o.Actor || s.Writes&(o.Reads|o.Writes) != 0 || o.Writes&s.Reads != 0
}

// Search is a search under way. Its zero value takes every interleaving.
type Search struct {
	// Preemptions, if it is not 0, bounds how often a run turns away from an
	// actor that could go on: with n, there are up to n-1.
	Preemptions int

	// Runs were begun; Cut of them ended early, because they could only lead
	// to what other runs had shown. Visited counts the steps that were not
	// repetitions of an earlier run.
	Runs, Cut, Visited int

	nodes []node
	// left has the states that were left, each with the sets of actors that
	// were asleep.
	left map[uint64][]uint64
	// depth is the number of choices of this run; those below prefix repeat
	// the run before.
	depth, prefix int
}

// node is one choice.
type node struct {
	steps  []Step
	chosen int
	// asleep are the steps whose outcomes have been seen.
	asleep []Step
	// last is the actor that went before, and preempted how often the run has
	// turned away from one until here.
	last, preempted int
}

// Next begins another run; false if there is none left.
func (s *Search) Next() bool {
	if s.Runs > 0 && !s.backtrack() {
		return false
	}
	s.Runs++
	s.depth, s.prefix = 0, len(s.nodes)
	return true
}

// backtrack changes the last choice that can be changed.
func (s *Search) backtrack() bool {
	for len(s.nodes) > 0 {
		n := &s.nodes[len(s.nodes)-1]
		n.asleep = append(n.asleep, n.steps[n.chosen])
		if n.chosen = s.awake(n); n.chosen >= 0 {
			return true
		}
		s.nodes = s.nodes[:len(s.nodes)-1]
	}
	return false
}

// awake returns a choice that is neither asleep nor beyond the bound; -1 if
// there is none. It goes on with the same actor if it can, so that the first
// run in which something fails has few changes.
func (s *Search) awake(n *node) int {
	found, continues := -1, false
	for i, step := range n.steps {
		if step.Actor == n.last {
			continues = true
		}
		if slices.ContainsFunc(n.asleep, func(a Step) bool { return a.Actor == step.Actor }) {
			continue
		}
		if step.Actor == n.last {
			return i
		}
		if found < 0 {
			found = i
		}
	}
	if found >= 0 && continues && s.Preemptions > 0 && n.preempted+1 >= s.Preemptions {
		return -1
	}
	return found
}

// Pick returns which of the steps happens; -1 if none of them leads to anything
// new. There is one for each actor that can go on, and at least one. state is a
// hash of the present state; nil if that is not known.
func (s *Search) Pick(steps []Step, state func() uint64) int {
	if s.depth < s.prefix {
		n := &s.nodes[s.depth]
		if !slices.Equal(n.steps, steps) {
			panic(fmt.Sprintf("schedule: after the same %d choices, the steps were %v and are %v", s.depth, n.steps, steps))
		}
		s.depth++
		if s.depth == s.prefix {
			s.Visited++ // a choice that was changed
		}
		return n.chosen
	}
	n := node{steps: slices.Clone(steps), last: -1}
	if s.depth > 0 {
		above := &s.nodes[s.depth-1]
		taken := above.steps[above.chosen]
		n.last, n.preempted = taken.Actor, above.preempted
		if taken.Actor != above.last && slices.ContainsFunc(above.steps, func(x Step) bool { return x.Actor == above.last }) {
			n.preempted++
		}
		for _, a := range above.asleep {
			if !a.dependent(taken) {
				n.asleep = append(n.asleep, a)
			}
		}
	}
	if n.chosen = s.awake(&n); n.chosen < 0 || s.seen(state, n.asleep) {
		s.Cut++
		return -1
	}
	s.nodes = append(s.nodes, n)
	s.depth++
	s.Visited++
	return n.chosen
}

// seen reports whether the state was left before by all who are awake now, and
// notes that it is.
func (s *Search) seen(hash func() uint64, asleep []Step) bool {
	if hash == nil || s.Preemptions > 0 {
		return false
	}
	state, now := hash(), uint64(0)
	for _, a := range asleep {
		now |= 1 << a.Actor
	}
	for _, before := range s.left[state] {
		if before&^now == 0 {
			return true
		}
	}
	if s.left == nil {
		s.left = make(map[uint64][]uint64)
	}
	s.left[state] = append(s.left[state], now)
	return false
}

// New reports whether the last choice led to where no run has been: there,
// checks are worth their time.
func (s *Search) New() bool { return s.depth >= s.prefix }

// String tells the schedule of this run, one step a line.
func (s *Search) String() string {
	var b []byte
	for _, n := range s.nodes[:s.depth] {
		step := n.steps[n.chosen]
		b = fmt.Appendf(b, "\tactor %d: %s\n", step.Actor, step.Name)
	}
	return string(b)
}
