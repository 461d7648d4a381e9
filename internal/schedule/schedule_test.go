package schedule

import (
	"fmt"
	"maps"
	"testing"
)

// actors run straight through their steps.
func explore(t *testing.T, s *Search, actors [][]Step, after func(order []Step)) (full int) {
	t.Helper()
	for s.Next() {
		pc := make([]int, len(actors))
		var order []Step
		for {
			var steps []Step
			for i, a := range actors {
				if pc[i] < len(a) {
					next := a[pc[i]]
					next.Actor = i
					steps = append(steps, next)
				}
			}
			if len(steps) == 0 {
				full++
				if after != nil {
					after(order)
				}
				break
			}
			i := s.Pick(steps, nil)
			if i < 0 {
				break
			}
			order = append(order, steps[i])
			pc[steps[i].Actor]++
		}
	}
	return full
}

func times(n int, s Step) (list []Step) {
	for i := range n {
		s.Name = fmt.Sprint(i)
		list = append(list, s)
	}
	return list
}

// TestEverySchedule: all interleavings of dependent steps, each once; of
// independent ones, one.
func TestEverySchedule(t *testing.T) {
	dep, own := Step{Writes: All}, func(i int) Step { return Step{Reads: 1, Writes: 2 << i} }
	for _, c := range []struct {
		name   string
		actors [][]Step
		want   int
	}{
		{"one actor", [][]Step{times(5, dep)}, 1},
		{"two of three steps", [][]Step{times(3, dep), times(3, dep)}, 20},    // 6!/(3! 3!)
		{"three", [][]Step{times(2, dep), times(3, dep), times(2, dep)}, 210}, // 7!/(2! 3! 2!)
		{"independent", [][]Step{times(4, own(0)), times(4, own(1))}, 1},      // they share what they read
		{"one conflict", [][]Step{{own(0), dep, own(0)}, {own(1), {Reads: 1}, own(1)}}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s Search
			seen := map[string]bool{}
			n := explore(t, &s, c.actors, func(o []Step) { seen[fmt.Sprint(o)] = true })
			if n != c.want || len(seen) != n {
				t.Errorf("%d schedules, %d different ones, want %d (%d runs, %d cut)", n, len(seen), c.want, s.Runs, s.Cut)
			}
		})
	}
}

// TestStatesSurviveReduction: leaving out orders leaves out no state.
func TestStatesSurviveReduction(t *testing.T) {
	// Two counters and a flag; each step does what its name says.
	actors := [][]Step{
		{{Name: "x++", Writes: 1}, {Name: "y=x", Reads: 1, Writes: 2}, {Name: "x++", Writes: 1}},
		{{Name: "y++", Writes: 2}, {Name: "x=y", Reads: 2, Writes: 1}},
		{{Name: "z=x", Reads: 1, Writes: 4}, {Name: "z=y", Reads: 2, Writes: 4}},
	}
	states := func(reduce, known bool) (map[[4]int]bool, int) {
		list := actors
		if !reduce {
			list = nil
			for _, a := range actors {
				a = append([]Step(nil), a...)
				for i := range a {
					a[i].Writes = All
				}
				list = append(list, a)
			}
		}
		var s Search
		seen := map[[4]int]bool{}
		for s.Next() {
			var x, y, z int
			pc := make([]int, len(list))
			for {
				seen[[4]int{x, y, z, pc[0]*100 + pc[1]*10 + pc[2]}] = true
				var steps []Step
				for i, a := range list {
					if pc[i] < len(a) {
						n := a[pc[i]]
						n.Actor = i
						steps = append(steps, n)
					}
				}
				if len(steps) == 0 {
					break
				}
				var state func() uint64
				if known {
					state = func() uint64 { return uint64(x + 10*y + 100*z + 1000*pc[0] + 10000*pc[1] + 100000*pc[2]) }
				}
				i := s.Pick(steps, state)
				if i < 0 {
					break
				}
				pc[steps[i].Actor]++
				switch steps[i].Name {
				case "x++":
					x++
				case "y++":
					y++
				case "y=x":
					y = x
				case "x=y":
					x = y
				case "z=x":
					z = x
				case "z=y":
					z = y
				}
			}
		}
		return seen, s.Runs
	}
	all, n := states(false, false)
	for _, c := range [][2]bool{{true, false}, {false, true}, {true, true}} {
		some, m := states(c[0], c[1])
		if !maps.Equal(all, some) || m >= n {
			t.Errorf("%d states in %d runs; %d in %d with independent steps %v, known states %v", len(all), n, len(some), m, c[0], c[1])
		}
	}
}

// TestPreemptions: with none, an actor goes on until it ends.
func TestPreemptions(t *testing.T) {
	actors := [][]Step{times(4, Step{Writes: All}), times(4, Step{Writes: All}), times(4, Step{Writes: All})}
	before := 0
	for bound, want := range map[int]int{1: 6} { // the orders of three actors
		s := Search{Preemptions: bound}
		if n := explore(t, &s, actors, nil); n != want {
			t.Errorf("%d schedules with %d preemptions, want %d", n, bound-1, want)
		}
	}
	for bound := 1; bound < 6; bound++ {
		s := Search{Preemptions: bound}
		n := explore(t, &s, actors, nil)
		if n <= before {
			t.Errorf("%d schedules with %d preemptions, %d with one less", n, bound-1, before)
		}
		before = n
	}
}

// TestReplayIsChecked: actors that do not do the same again are found out.
func TestReplayIsChecked(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	var s Search
	for s.Next() {
		s.Pick([]Step{{Actor: 0, Name: fmt.Sprint(s.Runs)}, {Actor: 1}}, nil)
	}
}
