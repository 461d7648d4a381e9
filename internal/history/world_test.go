// The world of one history: the disk, the connections, and the scheduler that
// chooses who goes on, as the plan says. It runs inside testing/synctest, whose
// Wait returns when everybody has stopped, waits for somebody, or is free, and
// whose clock stands still until the scheduler lets it go on.

package history

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
)

// world is one history under way.
type world struct {
	p plan
	d *faultdisk.Disk

	// mu guards what follows. The scheduler, which runs while nobody else does,
	// needs it only to write: those whom the clock wakes have not heard of it
	// otherwise.
	mu   sync.Mutex
	step int
	// running is the actor that the scheduler has told to go on.
	running *actor
	rec     record
	actors  []*actor
	byID    map[uint64]*actor
	driver  uint64
	// dying: the process or the power has gone, and whoever is still inside the
	// engine gets out of it. Nothing of that is part of the history.
	dying bool
	// faulty: a fault was injected, or power is about to fail, since the
	// database was on this disk. poisoned: the log has failed.
	faulty, poisoned bool
	failure          string
	txs, checkpoints int
	// countdown is how many operations are done before the power fails, if it is
	// not 0; left is what is on the disk when it has.
	countdown int
	left      *faultdisk.Disk
	// made are the transactions that were to commit; epoch counts how often the
	// database was opened anew.
	made  []*txRec
	epoch int
}

// result is what came of a plan.
type result struct {
	rec     record
	steps   int
	failure string
}

// perform runs a plan and checks the history. It never fails t.
func perform(t *testing.T, p plan) result {
	w := &world{p: p, byID: map[uint64]*actor{}}
	synctest.Test(t, func(*testing.T) {
		w.setup()
		w.play()
		w.finish()
		for _, a := range w.actors {
			if a.do != nil {
				close(a.do)
			}
		}
	})
	if w.failure == "" {
		c := newChecker()
		err := c.check(w.rec.events)
		if err == nil {
			err = linearizable(w.rec.events, c.bases)
		}
		if err != nil {
			w.failure = err.Error()
		}
	}
	return result{rec: w.rec, steps: w.step, failure: w.failure}
}

func (w *world) setup() {
	w.driver = goID()
	w.d = faultdisk.New(int64(w.p.seed))
	w.d.SetHook(w.onDisk)
	for i := range 2 + int(w.p.conns)%3 {
		a := &actor{w: w, id: i, name: fmt.Sprint("c", i), do: make(chan func()), turn: make(chan struct{}), free: true}
		a.letGo()
		w.actors = append(w.actors, a)
		go a.loop()
	}
	synctest.Wait()
}

// spills: transactions of more than four pages spill.
func (w *world) spills() bool { return w.p.spill%2 == 1 }

// faults may be injected.
func (w *world) faults() bool { return w.p.faults%2 == 1 }

// options of a connection. Only the first begins automatic checkpoints: two that
// are woken by one sync would begin one at the same time.
func (w *world) options(a *actor) *walnut.Options {
	o := &walnut.Options{FS: w.d, PageSize: pageSize, AutoCheckpoint: -1,
		// One set of pages, for which there is hardly ever room; but see put.
		PoolBytes: 8 * pageSize,
		// No two waits end at the same time.
		BusyTimeout: time.Second + time.Duration(a.id)*7*time.Millisecond/3}
	if a.id == 0 && w.p.auto%4 > 0 {
		o.AutoCheckpoint = 3 << (w.p.auto % 4)
	}
	// A log that is at its limit after a few transactions: readers are detached at
	// once, or after as long as the clock goes on in a step.
	switch w.p.auto / 4 % 4 {
	case 1, 2:
		o.MaxLogSize, o.MaxWriterHold, o.ReaderGrace = int64(w.p.auto/4%4)*6*(pageSize+24), 5*time.Millisecond, -1
	case 3:
		o.MaxLogSize, o.MaxWriterHold, o.ReaderGrace = 12*(pageSize+24), 5*time.Millisecond, 20*time.Millisecond
		o.MaxSideBytes = 12 * pageSize
	}
	if w.spills() {
		o.TxBytes, o.PoolBytes = 1, 512*pageSize
	}
	return o
}

// me is the actor whose goroutine this is; nil for the scheduler's own.
func (w *world) me() *actor {
	id := goID()
	w.mu.Lock()
	defer w.mu.Unlock()
	if id == w.driver {
		return nil
	}
	if w.byID[id] == nil {
		a := &actor{w: w, id: len(w.actors), turn: make(chan struct{})}
		a.name = fmt.Sprintf("b%d", a.id)
		w.byID[id] = a
		w.actors = append(w.actors, a)
	}
	return w.byID[id]
}

// note records an event and a line, each if it is not empty, as what a does or
// what befalls it.
func (w *world) note(a *actor, e event, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dying {
		return
	}
	if e.kind != evNone {
		e.step = w.step
		if e.kind == evPower || e.kind == evKill || e.kind == evReopen {
			w.epoch++
		}
		w.rec.events = append(w.rec.events, e)
	}
	if format == "" {
		return
	}
	l := line{step: w.step, text: fmt.Sprintf(format, args...)}
	if a != nil {
		l.text = a.name + "  " + l.text
		if a != w.running {
			l.rank = 1 + a.id
		}
	}
	w.rec.lines = append(w.rec.lines, l)
}

// fail notes the first failure.
func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure == "" && !w.dying {
		w.failure = fmt.Sprintf("step %d: ", w.step) + fmt.Sprintf(format, args...)
	}
}

// onDisk makes a stop of each operation on the disk, but those under a lock that
// others may want: they would wait for it where synctest cannot see that they
// do. These are the beginning of walnut.Open, up to the locks on the file, and
// the syncs of the log that no leader makes; see ready for the others.
func (w *world) onDisk(i faultdisk.OpInfo) error {
	a := w.me()
	if a == nil || i.Op&faultdisk.OpStat != 0 {
		return nil
	}
	isLog := strings.HasSuffix(i.Name, "-wal")
	sync := isLog && i.Op&faultdisk.OpSync != 0
	leads := sync && below("lead")
	if a.opening && i.Op&faultdisk.OpLock != 0 {
		a.locked = true
	}
	if (!a.opening || a.locked) && (!sync || leads) {
		a.stop(fmt.Sprintf("%s %s", i.Op, i.Name), isLog && i.Op&faultdisk.OpWrite != 0 && below("zeroFill", "create"), leads)
	}
	if err := w.powerFails(i); err != nil {
		return err
	}
	i.Seq = 0
	w.note(a, event{}, "        disk: %s", strings.TrimPrefix(i.String(), "#0 "))
	return nil
}

// powerFails makes operations fail once the countdown has ended. Unlike those of
// a disk without power they are stops: nobody goes on beside those whom he has
// woken.
func (w *world) powerFails(i faultdisk.OpInfo) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.countdown > 0 && i.Op&faultdisk.OpMutating != 0 && !w.dying {
		if w.countdown--; w.countdown == 0 {
			w.left = w.d.Crash(int64(w.p.seed) + int64(w.step))
		}
	}
	if w.left != nil {
		return faultdisk.ErrCrashed
	}
	return nil
}

// inSync reports whether a leader has stopped before its sync of the log, with
// the lock that all syncs of the log are made under. REQUIRES mu.
func (w *world) inSync() bool {
	return slices.ContainsFunc(w.actors, func(a *actor) bool { return a.at != "" && a.inSync })
}

// ready are those who can go on: the free ones, and those who have stopped,
// unless they would go on to a sync of the log while a leader has stopped before
// his. waiting counts the connections that wait for others.
func (w *world) ready() (list []*actor, waiting int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	sync := w.inSync()
	for _, a := range w.actors {
		switch {
		case a.at != "" && !(a.beforeSync && sync), a.free:
			list = append(list, a)
		case a.at == "" && a.do != nil:
			waiting++
		}
	}
	return list, waiting
}

// next begins the next step.
func (w *world) next() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.step++
}

// runs notes whose turn it is.
func (w *world) runs(a *actor) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = a
}

// expectFaults: from now on errors may be those of the disk.
func (w *world) expectFaults() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faulty = true
}

// goOn lets an actor go on, or begin with f, and pass by as many stops as budget
// says; but at each of them those whom it has woken come to a stop first.
func (w *world) goOn(a *actor, budget int, f func()) {
	w.runs(a)
	for ; budget >= 0; budget-- {
		w.mu.Lock()
		free, stopped := a.free, a.at != "" && !(a.beforeSync && w.inSync())
		switch {
		case stopped:
			a.at = ""
		case free && f != nil:
			a.free = false
		}
		w.mu.Unlock()
		switch {
		case stopped:
			a.turn <- struct{}{}
		case free && f != nil:
			a.do <- f
			f = nil
		default:
			return
		}
		synctest.Wait()
	}
}

// tick lets the clock go on.
func (w *world) tick(d time.Duration) {
	w.runs(nil)
	<-time.After(d)
	synctest.Wait()
}

// play makes the choices.
func (w *world) play() {
	for _, s := range w.p.steps {
		if w.failure != "" {
			return
		}
		w.next()
		w.turn(s)
		if w.left != nil && w.failure == "" {
			w.crash(true, s.arg)
		}
	}
}

// budgets are how many stops somebody passes by.
var budgets = [...]int{1000, 0, 1, 2, 4, 8, 16, 1000}

// befallen is from which number on a step is nobody's turn; see befall.
const befallen = 0xe8

// turn is one step.
func (w *world) turn(s step) {
	if s.who >= befallen {
		w.befall(s)
		return
	}
	list, _ := w.ready()
	if len(list) == 0 {
		w.pass()
		return
	}
	a := list[int(s.who)%len(list)]
	budget := budgets[s.more%8]
	if !a.free {
		w.goOn(a, budget, nil)
		return
	}
	commands := a.commands()
	if len(commands) == 0 {
		return
	}
	c := commands[int(s.what)%len(commands)]
	if c.name == "open" && !slices.ContainsFunc(w.actors, func(a *actor) bool { return a.db != nil || a.opening }) {
		w.mu.Lock()
		w.poisoned = false
		w.mu.Unlock()
		w.note(nil, event{kind: evReopen}, "the database is open nowhere")
	}
	a.prepare()
	w.goOn(a, budget, func() { c.run(a, s.arg) })
}

// pass lets the clock go on until somebody can, which must not take long.
func (w *world) pass() {
	for d := 10 * time.Millisecond; ; d *= 2 {
		w.tick(d)
		if list, _ := w.ready(); len(list) > 0 {
			return
		}
		if d > time.Minute {
			w.fail("all wait for each other:\n%s", w.where())
			return
		}
	}
}

func (w *world) where() string {
	var b strings.Builder
	for _, a := range w.actors {
		fmt.Fprintf(&b, "%s: at %q, free %v\n", a.name, a.at, a.free)
	}
	return b.String()
}

// befall does what nobody's turn is.
func (w *world) befall(s step) {
	switch s.who & 7 {
	case 0, 1:
		w.crash(s.who&1 == 0, s.arg)
	case 2, 3:
		// Power will fail at a moment where nobody can be stopped, perhaps.
		w.note(nil, event{}, "power fails after %d operations more", 1+s.arg%16)
		w.expectFaults()
		w.countdown = 1 + int(s.arg%16)
	case 4:
		w.cancel(s)
	case 5:
		w.note(nil, event{}, "time passes")
		w.tick(time.Duration(1+s.arg%32) * time.Millisecond)
	case 6, 7:
		if w.faults() {
			w.inject(s)
		}
	}
}

// cancel ends the context of somebody's call.
func (w *world) cancel(s step) {
	busy := slices.DeleteFunc(slices.Clone(w.actors), func(a *actor) bool { return a.free || a.do == nil })
	if len(busy) == 0 {
		return
	}
	a := busy[int(s.arg)%len(busy)]
	w.runs(a)
	w.note(a, event{}, "its context ends")
	w.mu.Lock()
	a.cancelled = true
	w.mu.Unlock()
	a.cancel()
	synctest.Wait()
}

// inject makes the disk fail.
func (w *world) inject(s step) {
	f := faultdisk.Fault{N: 1 + int(s.more)%4, Effect: faultdisk.Effect(s.what % 4)}
	switch s.arg % 8 {
	case 0, 1:
		f.Op, f.Suffix = faultdisk.OpSync, "-wal"
	case 2:
		f.Op, f.Suffix = faultdisk.OpSync, ".db"
	case 3:
		f.Op, f.Suffix = faultdisk.OpWrite, "-wal"
	case 4:
		f.Op, f.Suffix = faultdisk.OpWrite, ".db"
	case 5:
		f = faultdisk.Fault{Op: faultdisk.OpGrow, N: f.N, Err: disk.ErrNoSpace}
	case 6:
		f.Op = faultdisk.OpTruncate | faultdisk.OpSyncDir | faultdisk.OpRemove
	case 7:
		f.Op = faultdisk.OpMutating
	}
	w.expectFaults()
	e := event{}
	if f.Op&(faultdisk.OpSync|faultdisk.OpStartWrite) != 0 {
		e.kind = evSyncFault
	}
	w.note(nil, e, "%s number %d from now on, of files %q, will fail (effect %d, error %v)", f.Op, f.N, f.Suffix, f.Effect, f.Err)
	w.d.Inject(f)
}

// mayOpen, mayClose: of those who wait for a database to be closed, whoever is
// quicker opens it; so there is one at most. While the log may have failed,
// opening and closing do not come beside each other at all, so that it is known
// when the database is opened anew.
func (w *world) mayOpen() bool {
	opening, closing := w.atDoor()
	return closing == 0 || opening == 0 && !w.faulty
}

func (w *world) mayClose() bool {
	opening, closing := w.atDoor()
	return opening+closing == 0 || opening <= 1 && !w.faulty
}

// atDoor counts those who are opening, and closing.
func (w *world) atDoor() (opening, closing int) {
	for _, a := range w.actors {
		if a.opening {
			opening++
		}
		if a.closing {
			closing++
		}
	}
	return opening, closing
}

// closed notes that a connection was closed without an error; if it was the
// last, everything is durable.
func (w *world) closed(me *actor) {
	w.mu.Lock()
	last := !w.poisoned && !slices.ContainsFunc(w.actors, func(a *actor) bool {
		return a != me && a.do != nil && (a.db != nil || a.opening || a.closing)
	})
	w.mu.Unlock()
	if last {
		w.note(me, event{kind: evAllClosed}, "")
	}
}

// commits notes a transaction that is about to commit.
func (w *world) commits(tx *txRec) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if tx.epoch = w.epoch; !w.dying {
		w.made = append(w.made, tx)
	}
}

// lost is the first transaction that was to commit on the version with that
// head, which is the newest.
func (w *world) lost(head tag) *txRec {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, tx := range w.made {
		if tx.base == head && tx.epoch < w.epoch && !tx.repeated {
			return tx
		}
	}
	return nil
}
