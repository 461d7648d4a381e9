// The fault loop: the first, second, third … operation of a kind fails, until
// a run meets no fault. After each, nothing half-done may be visible, nothing
// may be left behind, and what comes next works or is refused as documented.

package crashtest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
)

// faultKinds are what is made to fail, one at a time.
var faultKinds = []struct {
	name  string
	fault faultdisk.Fault
}{
	{"read", faultdisk.Fault{Op: faultdisk.OpRead}},
	{"write", faultdisk.Fault{Op: faultdisk.OpWrite}},
	{"write nothing", faultdisk.Fault{Op: faultdisk.OpWrite, Effect: faultdisk.Nothing}},
	{"short write", faultdisk.Fault{Op: faultdisk.OpWrite, Effect: faultdisk.Prefix}},
	{"write all", faultdisk.Fault{Op: faultdisk.OpWrite, Effect: faultdisk.All}},
	{"sync", faultdisk.Fault{Op: faultdisk.OpSync}},
	{"sync nothing", faultdisk.Fault{Op: faultdisk.OpSync, Effect: faultdisk.Nothing}},
	{"sync all", faultdisk.Fault{Op: faultdisk.OpSync, Effect: faultdisk.All}},
	{"start writing", faultdisk.Fault{Op: faultdisk.OpStartWrite}},
	{"start writing nothing", faultdisk.Fault{Op: faultdisk.OpStartWrite, Effect: faultdisk.Nothing}},
	{"truncate", faultdisk.Fault{Op: faultdisk.OpTruncate}},
	{"truncate all", faultdisk.Fault{Op: faultdisk.OpTruncate, Effect: faultdisk.All}},
	{"open", faultdisk.Fault{Op: faultdisk.OpOpen}},
	{"create", faultdisk.Fault{Op: faultdisk.OpCreate, Effect: faultdisk.All}},
	{"stat", faultdisk.Fault{Op: faultdisk.OpStat}},
	{"remove", faultdisk.Fault{Op: faultdisk.OpRemove}},
	{"remove all", faultdisk.Fault{Op: faultdisk.OpRemove, Effect: faultdisk.All}},
	{"rename", faultdisk.Fault{Op: faultdisk.OpRename}},
	{"rename all", faultdisk.Fault{Op: faultdisk.OpRename, Effect: faultdisk.All}},
	{"sync directory", faultdisk.Fault{Op: faultdisk.OpSyncDir}},
	{"sync directory all", faultdisk.Fault{Op: faultdisk.OpSyncDir, Effect: faultdisk.All}},
	{"lock", faultdisk.Fault{Op: faultdisk.OpLock}},
	{"disk full", faultdisk.Fault{Op: faultdisk.OpGrow, Sticky: true, Err: disk.ErrNoSpace}},
	{"dead disk", faultdisk.Fault{Op: faultdisk.OpWrite | faultdisk.OpSync, Sticky: true, Effect: faultdisk.Nothing}},
}

func TestFault(t *testing.T) {
	var points atomic.Int64
	fig := &figures{}
	for i := range workloads {
		w := &workloads[i]
		if (w.heavy || w.anywhere) && sampled() || w.anywhere && seedCount() < 5 && onlyAt() == 0 {
			continue // where a failed write is torn makes little difference
		}
		t.Run(w.name, func(t *testing.T) {
			n := faultLoop(t, w, fig)
			points.Add(n)
			t.Logf("%d fault points", n)
		})
	}
	t.Logf("pages, in all: %d fault points, %d images after them", points.Load(), fig.images.Load())
	noGoroutines(t)
}

// faultLoop runs the workload with every fault and returns how many fired.
func faultLoop(t *testing.T, w *workload, fig *figures) int64 {
	var points atomic.Int64
	for _, kind := range faultKinds {
		stride := sampling(3)
		if w.heavy && seedCount() < 5 && onlyAt() == 0 {
			stride *= 5
		}
		if kind.fault.Op == faultdisk.OpRead && seedCount() < 5 && onlyAt() == 0 {
			stride *= 3 // by far the most frequent
		}
		switch {
		case sampled() && strings.Contains(kind.name, " "), w.heavy && kind.name == "read" && seedCount() < 5:
			continue
		}
		sweep(stride, func(n int) bool {
			p := &faultPoint{w: w, fault: kind.fault, n: n}
			p.fault.N = n
			err := p.run(t, fig)
			if err != nil {
				t.Errorf("%s: %s number %d fails: %v\nthe operation: %v\nlast operations:\n%s"+
					"replay: WALNUT_CRASH_AT=%d go test ./internal/crashtest -run '%s'",
					w.name, kind.name, n, err, p.failed, lastOps(p.s.disk), n, replayName(t))
			}
			if p.fired {
				points.Add(1)
			}
			return p.fired
		})
	}
	return points.Load()
}

// sweep calls run with 1, 2, 3 …, or in larger steps, until it reports that
// nothing happened.
func sweep(stride int, run func(n int) bool) {
	if n := onlyAt(); n > 0 {
		run(n)
		return
	}
	var next atomic.Int64
	var over atomic.Bool
	each(make([]struct{}, 3), func(int, struct{}) {
		for !over.Load() {
			if !run(1 + int(next.Add(1)-1)*stride) {
				over.Store(true)
			}
		}
	})
}

func lastOps(d *faultdisk.Disk) string {
	tr := d.Trace()
	return tr[max(0, len(tr)-30):].String()
}

// faultPoint is one run with one fault.
type faultPoint struct {
	w     *workload
	fault faultdisk.Fault
	n     int

	s  *session
	in *faultdisk.Injection
	// fired: the run met the fault. failed is the operation, seen says that an
	// error reached a caller.
	fired, seen bool
	failed      faultdisk.OpInfo
}

func (p *faultPoint) run(t *testing.T, fig *figures) error {
	p.s = p.w.begin(int64(p.n))
	p.in = p.s.disk.Inject(p.fault)
	steps := append([]step{{"open", (*session).open}}, p.w.steps...)
	steps = append(steps, step{"check", (*session).verify}, step{"close", (*session).close})
	for i, st := range steps {
		err := st.do(p.s)
		p.look()
		if err == nil {
			continue
		}
		if err := p.after(t, fig, err); err != nil {
			return fmt.Errorf("step %d, %s: %w", i, st.name, err)
		}
		// The fault is over: what failed works now.
		if err := st.do(p.s); err != nil {
			return fmt.Errorf("step %d, %s, after the fault: %w", i, st.name, err)
		}
	}
	if err := leftOpen(p.s.disk); err != nil {
		return err
	}
	if p.fired && !p.seen && !p.swallowed() {
		return errors.New("the error reached nobody")
	}
	if p.n%3 > 0 && onlyAt() == 0 {
		return nil
	}
	return p.image(t, fig, p.s.disk.Crash(int64(p.n)), false)
}

// look notes whether the fault has come.
func (p *faultPoint) look() {
	if p.fired || !p.in.Fired() {
		return
	}
	p.fired = true
	p.s.loose = p.fault.Op&(faultdisk.OpSync|faultdisk.OpStartWrite) != 0
	for _, op := range p.s.disk.Trace() {
		if errors.Is(op.Err, faultdisk.ErrInjected) {
			p.failed = op
			break
		}
	}
}

// swallowed: nobody waits for the outcome of an automatic checkpoint, of the
// filling of the log ahead of what is needed, of a look at a size, and of cutting
// a log that begins anew to its limit.
func (p *faultPoint) swallowed() bool {
	return p.s.swallowed > 0 || p.w.background || p.failed.Op == 0 || // it failed in another way: the file was not there
		p.failed.Op&faultdisk.OpGrow != 0 && strings.HasSuffix(p.failed.Name, "-wal") ||
		p.failed.Op&faultdisk.OpStat != 0 ||
		p.w.opt.MaxLogSize > 0 && p.failed.Op&faultdisk.OpTruncate != 0 && strings.HasSuffix(p.failed.Name, "-wal")
}

// after checks what must hold after a step failed with err.
func (p *faultPoint) after(t *testing.T, fig *figures, err error) error {
	s := p.s
	if !errors.Is(err, faultdisk.ErrInjected) {
		return fmt.Errorf("another error than the injected one: %w", err)
	}
	p.seen = true
	if s.db == nil {
		p.in.Remove()
		if err := leftOpen(s.disk); err != nil {
			return fmt.Errorf("after %w: %w", err, err)
		}
		if err := p.images(t, fig); err != nil {
			return err
		}
		return s.open()
	}
	if p.fault.Sticky {
		if err := p.whileFaulty(); err != nil {
			return fmt.Errorf("while the fault lasts: %w", err)
		}
	}
	p.in.Remove()
	if err := p.settled(); err != nil {
		return fmt.Errorf("after %q: %w", err, err)
	}
	if err := p.images(t, fig); err != nil {
		return err
	}
	failed := s.db.Stats().Failed
	if err := p.next(failed); err != nil {
		return err
	}
	if failed == nil {
		return nil
	}
	if err := s.close(); err != nil {
		return fmt.Errorf("close after the log failed: %w", err)
	}
	if err := leftOpen(s.disk); err != nil {
		return err
	}
	if err := p.images(t, fig); err != nil {
		return err
	}
	return s.open()
}

// whileFaulty: with a fault that lasts, reads go on, and writes fail with it.
func (p *faultPoint) whileFaulty() error {
	if err := p.settled(); err != nil {
		return err
	}
	err := p.s.update(full, func(w *writer) { w.put(3, 100) })
	if err != nil && !errors.Is(err, faultdisk.ErrInjected) {
		return err
	}
	return p.settled()
}

// settled: nothing is held or waited for, and readers see what is acknowledged
// and no more.
func (p *faultPoint) settled() error {
	s := p.s
	s.dropAll()
	st := s.db.Stats()
	if st.ReadersInFile+st.ReadersInLog+st.QueuedWriters+st.OpenTransactions > 0 {
		return fmt.Errorf("left behind: %d readers of the file, %d of the log, %d queued writers, %d transactions",
			st.ReadersInFile, st.ReadersInLog, st.QueuedWriters, st.OpenTransactions)
	}
	_, acked := s.h.floors()
	_, err := allowed{acked, s.h.begun()[:acked+1]}.checkDB(s.db)
	if err == nil {
		err = onlyTheEngines(s.disk)
	}
	return err
}

// onlyTheEngines: no file is open but those of an open database, each once.
func onlyTheEngines(d *faultdisk.Disk) error {
	open := d.Handles()
	if n := len(open); n == 0 || n > 2 || open[0] != dbPath || n == 2 && open[1] != dbPath+"-wal" {
		return fmt.Errorf("open files: %v", open)
	}
	return nil
}

// next: the next transaction works, or is refused because the log failed, and
// so is a checkpoint.
func (p *faultPoint) next(failed error) error {
	s := p.s
	if failed == nil {
		if err := s.update(full, func(w *writer) { w.put(3, 101) }); err != nil {
			return fmt.Errorf("the log has not failed, but a transaction after the fault does: %w", err)
		}
		// No mark, lock or place is left: a checkpoint gets all it waits for.
		if r, err := s.db.Checkpoint(context.Background(), restart, nil); err != nil || r.Busy {
			return fmt.Errorf("a checkpoint after the fault waited for %q: %w", r.WaitedFor, err)
		}
		_, acked := s.h.floors()
		s.h.ack(acked, full)
		return nil
	}
	err := s.db.Update(context.Background(), func(*walnut.Tx) error { return errors.New("it began") })
	if !errors.Is(err, walnut.ErrLogFailed) {
		return fmt.Errorf("the log has failed, but a transaction says: %w", err)
	}
	if _, err := s.db.Checkpoint(context.Background(), truncate, nil); !errors.Is(err, walnut.ErrLogFailed) {
		return fmt.Errorf("the log has failed, but a checkpoint says: %w", err)
	}
	return nil
}

// images checks what a power failure and the end of the process leave now.
func (p *faultPoint) images(t *testing.T, fig *figures) error {
	if p.n%2 == 0 && seedCount() < 10 && onlyAt() == 0 {
		return nil
	}
	if err := p.image(t, fig, p.s.disk.Crash(int64(p.n)), false); err != nil {
		return err
	}
	return p.image(t, fig, p.s.disk.Kill(int64(p.n)), true)
}

func (p *faultPoint) image(t *testing.T, fig *figures, d *faultdisk.Disk, killed bool) error {
	s := p.s
	durable, acked := s.h.floors()
	im := &image{
		shot: shot{disk: d, killed: killed, pick: p.n}, opt: s.opt,
		allowed: allowed{durable, s.h.begun()}, durable: durable,
	}
	what := "power failure"
	if killed {
		what = "process killed"
		if !s.loose {
			im.floor = acked
		}
	}
	fig.images.Add(1)
	if err := im.check(t, fig, false, false); err != nil {
		return fmt.Errorf("%s, seed %d: %w", what, p.n, err)
	}
	return nil
}

// noGoroutines fails if one of the engine's is left.
func noGoroutines(t *testing.T) {
	buf := make([]byte, 1<<20)
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		for _, in := range []string{"internal/wal.", "internal/pager.", "internal/coord."} {
			if strings.Contains(g, in) {
				t.Errorf("a goroutine is left in the engine:\n%s", g)
			}
		}
	}
}
