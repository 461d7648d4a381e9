// Actors as coroutines: each runs until it is about to touch something that
// others touch too, says what, and waits for its turn.

package coordtest

import (
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/schedule"
)

// What steps touch, besides the slots 0 to 4, which are the bits of their
// numbers.
const (
	onPublished schedule.Set = 1 << (coord.NumMarks + iota)
	onQueue
	onCheckpoint
	onDisk
	onLead
	onRegistry
)

// onLog are the slots 1 to 4.
const onLog schedule.Set = 1<<coord.NumMarks - 2

// actor is one party of a schedule.
type actor struct {
	w    *world
	name string
	id   int
	// next is what it does when it has its turn, done: it has ended.
	next schedule.Step
	done bool
	// ready, if not nil, says whether it can go on.
	ready func() bool
	// doing is the call to the coordination that it is in, asked what it wants
	// the writer's place for.
	doing string
	asked coord.RequestKind
	// fails: its checkpoint fails after the first page.
	fails bool

	resume func() (schedule.Step, bool)
	stop   func()
	yield  func(schedule.Step) bool
	// own counts the writes of its own steps, and seen those of all others up
	// to the beginning of its attempt: what retries goes on once somebody else
	// has written what it looks at.
	own, seen writes
	// past is a hash of everything it has read: what it remembers is made of
	// that.
	past uint64
}

// writes counts the steps that wrote each thing.
type writes [64]int

func (n *writes) add(on schedule.Set) {
	for i := range n {
		n[i] += int(on >> i & 1)
	}
}

// others are the writes of all actors but a.
func (a *actor) others() (n writes) {
	for i := range n {
		n[i] = a.w.written[i] - a.own[i]
	}
	return n
}

// errStop unwinds an actor whose run has ended.
type stopped struct{}

// step waits for the actor's turn to do what touches reads and writes.
func (a *actor) step(name string, reads, writes schedule.Set) {
	a.next = schedule.Step{Actor: a.id, Name: a.name + " " + name, Reads: reads, Writes: writes}
	if !a.yield(a.next) {
		panic(stopped{})
	}
	a.ready = nil
}

// await waits until cond, which reads what it says.
func (a *actor) await(name string, reads, writes schedule.Set, cond func() bool) {
	a.ready = cond
	a.step(name, reads, writes)
}

// attempt marks the beginning of something that may have to be tried again.
func (a *actor) attempt() { a.seen = a.others() }

// retry waits until somebody has written to on since the attempt began.
func (a *actor) retry(name string, on schedule.Set) {
	since := a.seen
	a.await(name, on, 0, func() bool {
		for i, n := range a.others() {
			if on&(1<<i) != 0 && n != since[i] {
				return true
			}
		}
		return false
	})
	a.attempt()
}

// hook is what the backend calls: it takes the turn of whoever runs now.
func (w *world) hook(x Access) {
	a := w.running
	if a == nil {
		return // before the actors begin, or after they have ended
	}
	if w.coarse && !x.Retry && !a.coarsen(&x) {
		return
	}
	where := "in " + a.doing
	if x.Retry {
		a.retry(where+" again", x.Reads)
		return
	}
	a.step(where, x.Reads, x.Writes)
}

// coarsen makes one step of a look at the slots 1 to 4, and of giving up a claim
// of them; false for what belongs to the step before.
func (a *actor) coarsen(x *Access) bool {
	look := x.Writes == 0 && x.Reads&onLog != 0
	giveUp := x.Reads == 0 && (a.doing == "ClaimMarks" || a.doing == "ReleaseMarks")
	if !look && !giveUp {
		return true
	}
	if (x.Reads|x.Writes)&onLog != 1<<1 {
		return false
	}
	if look {
		x.Reads = onLog
	} else {
		x.Writes = onLog
	}
	return true
}

// scenario is a small world and those who act in it.
type scenario struct {
	name string
	// coarse: looking at the slots 1 to 4 is one step, and so is giving up a
	// claim.
	coarse bool
	// long: not with -short, nor under the race detector.
	long bool
	// minutes: only if the backend asks for it.
	minutes bool
	// setup brings about what is there at the beginning.
	setup func(w *world)
	// actors by name; those that begin with the same word do the same.
	actors []role
}

type role struct {
	name string
	run  func(a *actor)
}

// explore runs every schedule of a scenario.
func explore(t *testing.T, b Backend, sc scenario) {
	t.Helper()
	var s schedule.Search
	for s.Next() {
		w := newWorld(t, b)
		w.coarse = sc.coarse
		if sc.setup != nil {
			sc.setup(w)
		}
		w.start(sc.actors)
		w.run(&s)
		w.stop()
		if w.failure == "" && !w.cut {
			w.checkEnd()
		}
		if w.failure != "" {
			t.Fatalf("%s\nafter %d schedules, in this one:\n%s%s", w.failure, s.Runs-1, s.String(), w.describe())
		}
	}
	t.Logf("%d schedules, %d of them cut short; %d steps checked", s.Runs, s.Cut, s.Visited)
}

func (w *world) start(roles []role) {
	for i, r := range roles {
		a := &actor{w: w, id: i, name: r.name}
		w.actors = append(w.actors, a)
		a.resume, a.stop = iter.Pull(func(yield func(schedule.Step) bool) {
			a.yield = yield
			defer func() {
				if x := recover(); x != nil && x != (stopped{}) {
					w.failf("actor %s panics: %v", a.name, x)
				}
			}()
			r.run(a)
		})
		w.proceed(a) // up to its first step
	}
}

// proceed lets an actor run to its next step, or its end.
func (w *world) proceed(a *actor) {
	w.running = a
	if _, more := a.resume(); !more {
		a.done = true
	}
	w.running = nil
}

// run makes the choices of one run.
func (w *world) run(s *schedule.Search) {
	state := w.state
	if w.slots == nil {
		state = nil
	}
	for w.failure == "" {
		var steps []schedule.Step
		left := 0
		for _, a := range w.actors {
			if a.done {
				continue
			}
			left++
			if a.ready == nil || a.ready() {
				steps = append(steps, a.next)
			}
		}
		if left == 0 {
			return
		}
		if len(steps) == 0 {
			w.failf("%d actors wait for each other", left)
			return
		}
		i := s.Pick(steps, state)
		if i < 0 {
			w.cut = true
			return
		}
		a := w.actors[steps[i].Actor]
		w.remember(a)
		w.written.add(steps[i].Writes)
		a.own.add(steps[i].Writes)
		w.proceed(a)
		if s.New() {
			w.check()
		}
	}
}

func (w *world) stop() {
	for _, a := range w.actors {
		a.stop()
	}
}

// describe tells where everybody is.
func (w *world) describe() string {
	var b strings.Builder
	for _, a := range w.actors {
		switch {
		case a.done:
			fmt.Fprintf(&b, "%s has ended\n", a.name)
		default:
			fmt.Fprintf(&b, "%s is before: %s\n", a.name, a.next.Name)
		}
	}
	fmt.Fprintf(&b, "published %+v; accepted %+v; database file %v\n", w.inner.Published().Snapshot, w.accepted, w.file)
	return b.String()
}
