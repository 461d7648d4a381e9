// The context loop: the context of all calls ends at the first, second, third …
// operation on the disk. Each call succeeds, or fails with the context's error;
// then nothing half-done is visible, nothing is left behind, and it works with
// another context.

package crashtest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk/faultdisk"
)

func TestContext(t *testing.T) {
	var fig contextFigures
	for i := range workloads {
		w := &workloads[i]
		if w.heavy || w.anywhere || w.background {
			continue // the same calls as others
		}
		t.Run(w.name, func(t *testing.T) {
			fig.loop(t, w.name, sampling(3), func(n int) (bool, bool, *faultdisk.Disk, error) {
				p := &contextPoint{w: w, n: n}
				err := p.run()
				return p.ended, p.failed, p.s.disk, err
			})
		})
	}
	fig.conclude(t, "pages")
}

// contextFigures count the operations at which a context ended, and those at
// which that ended a call.
type contextFigures struct{ points, failed atomic.Int64 }

// loop calls run with 1, 2, 3 …, or in larger steps, until the context of a run
// does not end.
func (f *contextFigures) loop(t *testing.T, name string, stride int, run func(n int) (ended, failed bool, d *faultdisk.Disk, err error)) {
	sweep(stride, func(n int) bool {
		ended, failed, d, err := run(n)
		if err != nil {
			t.Errorf("%s: the context ends at operation %d: %v\nlast operations:\n%s"+
				"replay: WALNUT_CRASH_AT=%d go test ./internal/crashtest -run '%s'",
				name, n, err, lastOps(d), n, replayName(t))
		}
		if ended {
			f.points.Add(1)
		}
		if failed {
			f.failed.Add(1)
		}
		return ended
	})
}

// conclude fails if the loops met nothing, or left something running.
func (f *contextFigures) conclude(t *testing.T, what string) {
	t.Logf("contexts, %s, in all: %d points, %d of which end a call", what, f.points.Load(), f.failed.Load())
	if f.failed.Load() == 0 && onlyAt() == 0 {
		t.Error("no context has ended a call")
	}
	noGoroutines(t)
}

// contextPoint is one run with one context that ends.
type contextPoint struct {
	w *workload
	n int

	s *session
	// ended: the run came to the operation; failed: a call failed for it.
	ended, failed bool
}

func (p *contextPoint) run() error {
	p.s = p.w.begin(int64(p.n))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p.s.ctx = ctx
	var ops atomic.Int64
	p.s.disk.SetHook(func(faultdisk.OpInfo) error {
		if ops.Add(1) == int64(p.n) {
			cancel()
		}
		return nil
	})
	steps := append([]step{{"open", (*session).open}}, p.w.steps...)
	steps = append(steps, step{"check", (*session).verify}, step{"close", (*session).close})
	for i, st := range steps {
		err := st.do(p.s)
		p.ended = p.ended || ctx.Err() != nil
		if err == nil {
			continue
		}
		if !p.ended || !errors.Is(err, context.Canceled) {
			return fmt.Errorf("step %d, %s: %w", i, st.name, err)
		}
		p.failed = true
		if err := p.after(); err != nil {
			return fmt.Errorf("step %d, %s, after %q: %w", i, st.name, err, err)
		}
		if err := st.do(p.s); err != nil {
			return fmt.Errorf("step %d, %s, with another context: %w", i, st.name, err)
		}
	}
	return leftOpen(p.s.disk)
}

// after checks what must hold once a call has failed.
func (p *contextPoint) after() error {
	s := p.s
	s.ctx = nil
	s.dropAll()
	st := s.db.Stats()
	if st.ReadersInFile+st.ReadersInLog+st.QueuedWriters+st.OpenTransactions > 0 {
		return fmt.Errorf("left behind: %d readers of the file, %d of the log, %d queued writers, %d transactions",
			st.ReadersInFile, st.ReadersInLog, st.QueuedWriters, st.OpenTransactions)
	}
	if st.Failed != nil {
		return fmt.Errorf("the log has failed: %w", st.Failed)
	}
	_, acked := s.h.floors()
	// A commit that was accepted goes on.
	if _, err := (allowed{acked, s.h.begun()}).checkDB(s.db); err != nil {
		return err
	}
	if err := s.update(full, func(w *writer) { w.put(3, 102) }); err != nil {
		return err
	}
	// No mark, lock or place is left: a checkpoint gets all it waits for.
	r, err := s.db.Checkpoint(context.Background(), walnut.CheckpointTruncate, nil)
	if err == nil && r.Busy {
		err = fmt.Errorf("a checkpoint waited for %s", r.WaitedFor)
	}
	if err == nil {
		_, acked := s.h.floors()
		s.h.ack(acked, full)
		err = onlyTheEngines(s.disk)
	}
	return err
}
