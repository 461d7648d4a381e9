// How a history, or a life of its database, ends: by a crash, or in good order.

package history

import (
	"fmt"
	"slices"
	"testing/synctest"
	"time"
)

// crash takes the disk as the next process finds it, after a power failure or
// the end of this one, and lets everybody get out.
func (w *world) crash(power bool, seed byte) {
	w.runs(nil)
	left := w.left
	switch {
	case left != nil:
		w.note(nil, event{kind: evPower}, "power has failed")
	case power:
		w.note(nil, event{kind: evPower}, "power fails (%d)", seed)
		left = w.d.Crash(int64(seed))
	default:
		w.note(nil, event{kind: evKill}, "the process is killed (%d)", seed)
		left = w.d.Kill(int64(seed))
	}
	w.die()
	w.d = left
	w.d.SetHook(w.onDisk)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faulty, w.poisoned, w.dying, w.left, w.countdown = false, false, false, nil, 0
	// Whoever was not a connection has gone.
	w.actors = slices.DeleteFunc(w.actors, func(a *actor) bool { return a.do == nil })
}

// die gets everybody out of the engine, on a disk without power.
func (w *world) die() {
	w.mu.Lock()
	w.dying = true
	stopped := slices.DeleteFunc(slices.Clone(w.actors), func(a *actor) bool { return a.at == "" })
	for _, a := range stopped {
		a.at = ""
	}
	w.mu.Unlock()
	w.d.CrashAfter(0)
	for _, a := range stopped {
		a.turn <- struct{}{}
	}
	for i := 0; ; i++ {
		synctest.Wait()
		out := true
		for _, a := range w.actors {
			if a.do == nil {
				continue
			}
			w.mu.Lock()
			free := a.free
			a.free = false
			w.mu.Unlock()
			if !free {
				out = false
				continue
			}
			if a.db == nil && a.tx == nil && a.snap == nil {
				w.mu.Lock()
				a.free = true
				w.mu.Unlock()
				continue
			}
			out = false
			a.do <- a.letGo
		}
		if out {
			return
		}
		if i > 1000 {
			panic(fmt.Sprintf("after %s\nin the history %v\nsomebody does not get out of the engine:\n%s", w.failure, w.p, w.where()))
		}
		<-time.After(time.Second)
	}
}

// finish lets everybody come to an end, closes, and looks at what is there.
func (w *world) finish() {
	for range 10000 {
		if w.failure != "" {
			break
		}
		w.next()
		if w.left != nil {
			w.crash(true, w.p.seed)
		}
		list, waiting := w.ready()
		list = slices.DeleteFunc(list, func(a *actor) bool { return a.free && a.db == nil })
		switch {
		case len(list) > 0:
			a := list[0]
			if !a.free {
				w.goOn(a, 1000, nil)
				continue
			}
			a.prepare()
			w.goOn(a, 1000, func() {
				if a.rec != nil {
					a.end()
				} else {
					a.close()
				}
			})
		case waiting > 0:
			w.pass()
		default:
			w.lookOnceMore()
			return
		}
	}
	w.die()
}

// lookOnceMore opens and reads the database that everybody has closed, and looks
// at what is left.
func (w *world) lookOnceMore() {
	a := w.actors[0]
	w.mu.Lock()
	w.poisoned, w.countdown = false, 0
	w.mu.Unlock()
	w.note(nil, event{kind: evReopen}, "the database is open nowhere")
	for _, f := range []func(){func() { a.open(0) }, func() {
		if a.db != nil {
			a.close()
		}
	}} {
		a.prepare()
		w.goOn(a, 1000, f)
		for !a.free && w.failure == "" {
			if list, _ := w.ready(); slices.Contains(list, a) {
				w.goOn(a, 1000, nil)
				continue
			}
			w.pass()
		}
	}
	if left := append(w.d.Handles(), w.d.Locked()...); len(left) > 0 {
		w.fail("left open or locked: %q", left)
	}
	w.die()
}
