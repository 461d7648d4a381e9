// The fault loop in SQL. The page API looks at the same engine: what is left in
// it after a fault, and what a checkpoint says then.

package crashtest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk/faultdisk"
)

// sqlFaultKinds adds what only SQL comes to.
var sqlFaultKinds = append(slices.Clone(faultKinds), struct {
	name  string
	fault faultdisk.Fault
}{"rename", faultdisk.Fault{Op: faultdisk.OpRename}})

func TestFaultSQL(t *testing.T) {
	var points atomic.Int64
	fig := &figures{}
	for _, w := range sqlWorkloads {
		t.Run(w.name, func(t *testing.T) {
			n := sqlFaultLoop(t, w, fig)
			points.Add(n)
			t.Logf("%d fault points", n)
		})
	}
	t.Logf("SQL, in all: %d fault points, %d images after them", points.Load(), fig.images.Load())
	noGoroutines(t)
}

func sqlFaultLoop(t *testing.T, w *sqlWorkload, fig *figures) int64 {
	var points atomic.Int64
	stride := 4 * sampling(3)
	if seedCount() >= 5 || onlyAt() > 0 {
		stride = 1
	}
	for _, kind := range sqlFaultKinds {
		if sampled() && strings.Contains(kind.name, " ") {
			continue
		}
		by := stride
		if kind.fault.Op == faultdisk.OpRead {
			by *= 3 // by far the most frequent
		}
		sweep(by, func(n int) bool {
			p := &sqlFault{w: w, fault: kind.fault, n: n}
			p.fault.N = n
			err := p.run(t, fig)
			if err != nil {
				t.Errorf("%s: %s number %d fails: %v\nlast operations:\n%s"+
					"replay: WALNUT_CRASH_AT=%d go test ./internal/crashtest -run '%s'",
					w.name, kind.name, n, err, lastOps(p.s.disk), n, replayName(t))
			}
			if p.in.Fired() {
				points.Add(1)
			}
			return p.in.Fired()
		})
	}
	return points.Load()
}

// sqlFault is one run of a script with one fault.
type sqlFault struct {
	w     *sqlWorkload
	fault faultdisk.Fault
	n     int
	s     *sqlSession
	in    *faultdisk.Injection
	// fired: the run met the fault, at the operation failed; it was not seen
	// in the last operations if that is none. seen: an error reached a caller.
	fired, seen bool
	failed      faultdisk.OpInfo
}

func (p *sqlFault) run(t *testing.T, fig *figures) error {
	p.s = p.w.begin(t, int64(p.n))
	p.s.watched = true
	defer p.s.end()
	s := p.s
	p.in = s.disk.Inject(p.fault)
	err := s.open()
	p.look()
	if err != nil {
		p.seen = true
		p.in.Remove()
		if err := s.open(); err != nil {
			return fmt.Errorf("open, after a fault: %w", err)
		}
	}
	for i := 1; i <= len(p.w.steps); i++ {
		err := s.step(i)
		p.look()
		if err == nil {
			continue
		}
		p.seen = true
		p.in.Remove()
		i, err = p.after(t, fig, i, err)
		if errors.Is(err, errApart) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	if err := p.atEnd(); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	return p.image(t, fig, s.disk.Crash(int64(p.n)), false)
}

// atEnd checks the last state, and closes while the fault may still come.
func (p *sqlFault) atEnd() error {
	s := p.s
	last := len(p.w.steps)
	swallowed := p.swallowed()
	err := s.close()
	p.look()
	p.in.Remove()
	switch {
	case err != nil && !errors.Is(err, faultdisk.ErrInjected):
		return fmt.Errorf("close: %w", err)
	case err != nil:
		p.seen = true
	case p.fired && !p.seen && !swallowed && !p.swallowed():
		return fmt.Errorf("the error of %v reached nobody", p.failed)
	}
	if err := leftOpen(s.disk); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return fmt.Errorf("opened again: %w", err)
	}
	if _, _, err := s.find(last, last); err != nil {
		return fmt.Errorf("opened again: %w", err)
	}
	if err := s.close(); err != nil {
		return err
	}
	return leftOpen(s.disk)
}

// look notes whether the fault has come.
func (p *sqlFault) look() {
	if p.fired || !p.in.Fired() {
		return
	}
	p.fired = true
	for _, op := range p.s.disk.Trace() {
		if errors.Is(op.Err, faultdisk.ErrInjected) {
			p.failed = op
			break
		}
	}
}

// swallowed: nobody waits for the outcome of an automatic checkpoint, of the
// filling of the log ahead of what is needed, and of a look at a size.
func (p *sqlFault) swallowed() bool {
	for _, db := range p.s.watch {
		if db.Stats().CheckpointErrors > 0 {
			return true
		}
	}
	if p.failed.Op == 0 && p.fault.Op == faultdisk.OpRemove {
		return true // it failed in another way: the file was not there
	}
	return p.failed.Op&faultdisk.OpGrow != 0 && strings.HasSuffix(p.failed.Name, "-wal") ||
		p.failed.Op&faultdisk.OpStat != 0 ||
		strings.HasPrefix(p.failed.Name, intoPath) // SQLite swallows what closing it says; the copy is compared
}

// settled: nothing is held or waited for in the engines.
func (s *sqlSession) settled() error {
	for _, db := range s.watch {
		st := db.Stats()
		if st.ReadersInFile+st.ReadersInLog+st.QueuedWriters+st.OpenTransactions > 0 {
			return fmt.Errorf("%s: left behind: %d readers of the file, %d of the log, %d queued writers, %d transactions",
				db.Path(), st.ReadersInFile, st.ReadersInLog, st.QueuedWriters, st.OpenTransactions)
		}
	}
	return nil
}

// checkpointAll: a step that fails without any fault does so because a log has
// failed; a checkpoint of that log is refused for it, and of any other works.
func (s *sqlSession) checkpointAll(step error) error {
	if err := s.settled(); err != nil {
		return err
	}
	var failed error
	for _, db := range s.watch {
		st := db.Stats()
		r, err := db.Checkpoint(context.Background(), truncate, nil)
		switch {
		case st.Failed != nil && !errors.Is(err, walnut.ErrLogFailed):
			return fmt.Errorf("the log has failed, but a checkpoint says: %w", err)
		case st.Failed == nil && (err != nil || r.Busy):
			return fmt.Errorf("the log has not failed, but a checkpoint does (busy: %t): %w", r.Busy, err)
		}
		failed = errors.Join(failed, st.Failed)
	}
	if step != nil && failed == nil {
		return fmt.Errorf("no log has failed, but the step does without a fault: %w", step)
	}
	if failed == nil {
		s.full = s.acked
	}
	return nil
}

// after checks what must hold after step i failed with err, and has it done. It
// returns the last step that is done.
func (p *sqlFault) after(t *testing.T, fig *figures, i int, err error) (int, error) {
	s := p.s
	if !errors.Is(err, faultdisk.ErrInjected) {
		// SQLite keeps the engine's error where it can, but not from opening an
		// attached file, nor from reading; from a pragma it keeps the text.
		if !regexp.MustCompile("I/O error|unable to open|full|injected fault|no space left").MatchString(err.Error()) {
			return i, fmt.Errorf("another error than the injected one: %w", err)
		}
	}
	// What failed did not happen, for this process.
	main, b, ferr := s.find(s.acked, i)
	if ferr != nil {
		return i, fmt.Errorf("after %w: %w", err, ferr)
	}
	if main > i-1 && s.states[i].main != s.states[i-1].main && !p.w.attach && !p.w.steps[i-1].halves {
		return i, fmt.Errorf("the step failed (%w), but it shows", err)
	}
	if err := p.images(t, fig); err != nil {
		return i, fmt.Errorf("after %w: %w", err, err)
	}
	if p.w.attach && main != b {
		// One file has the step and the other has not: nothing to go on with.
		return len(p.w.steps), p.giveUp(i)
	}
	if err := s.settled(); err != nil {
		return i, fmt.Errorf("after %w: %w", err, err)
	}
	again := s.step(i)
	if err := s.checkpointAll(again); err != nil {
		return i, fmt.Errorf("after %w: %w", err, err)
	}
	if again == nil {
		return i, nil
	}
	// The log has failed: all must close.
	if err := s.close(); err != nil {
		return i, err
	}
	if err := leftOpen(s.disk); err != nil {
		return i, err
	}
	if err := p.images(t, fig); err != nil {
		return i, fmt.Errorf("after %w, closed: %w", err, err)
	}
	if err := s.open(); err != nil {
		return i, fmt.Errorf("open again: %w", err)
	}
	if main, b, err = s.find(s.acked, i); err != nil {
		return i, fmt.Errorf("opened again: %w", err)
	}
	if main != b && p.w.attach {
		return len(p.w.steps), p.giveUp(i)
	}
	s.full, s.acked = main, main
	if main == i {
		return i, nil
	}
	return i, s.step(i)
}

// giveUp ends a run whose two databases have gone apart in step i, as the
// script allows: it puts the session on a disk where that did not happen.
func (p *sqlFault) giveUp(i int) error {
	s := p.s
	if err := s.close(); err != nil {
		return err
	}
	if err := leftOpen(s.disk); err != nil {
		return err
	}
	if _, _, err := s.find(s.acked, i); err != nil {
		return fmt.Errorf("step %d, opened again: %w", i, err)
	}
	return errApart
}

// errApart ends a run early, and well.
var errApart = errors.New("the attached databases are apart")

func (p *sqlFault) images(t *testing.T, fig *figures) error {
	if p.n%2 == 0 && seedCount() < 5 && onlyAt() == 0 {
		return nil
	}
	if err := p.image(t, fig, p.s.disk.Crash(int64(p.n)), false); err != nil {
		return err
	}
	return p.image(t, fig, p.s.disk.Kill(int64(p.n)), true)
}

func (p *sqlFault) image(t *testing.T, fig *figures, d *faultdisk.Disk, killed bool) error {
	s := p.s
	im := &sqlImage{shot: shot{disk: d, killed: killed, pick: p.n}, w: p.w, floor: s.full, durable: s.full, top: s.begun}
	if killed && p.fault.Op&faultdisk.OpSync == 0 {
		im.floor = s.acked
	}
	fig.images.Add(1)
	if err := im.check(t, fig, false, false); err != nil {
		return fmt.Errorf("power failure (or the end of the process: %t), seed %d: %w", killed, p.n, err)
	}
	return nil
}
