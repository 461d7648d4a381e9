// The context loop in SQL: the context of all statements ends at the first,
// second, third … operation on the disk. Each statement succeeds or is
// interrupted; then nothing half-done is visible, nothing is left behind, and it
// works with another context.

package crashtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/walnutdb/walnut/disk/faultdisk"
)

func TestContextSQL(t *testing.T) {
	var points, failed atomic.Int64
	for _, w := range sqlWorkloads {
		t.Run(w.name, func(t *testing.T) {
			sweep(2*sampling(4), func(n int) bool {
				p := &sqlContextPoint{w: w, n: n}
				if err := p.run(t); err != nil {
					t.Errorf("%s: the context ends at operation %d: %v\nlast operations:\n%s"+
						"replay: WALNUT_CRASH_AT=%d go test ./internal/crashtest -run '%s'",
						w.name, n, err, lastOps(p.s.disk), n, replayName(t))
				}
				if p.ended {
					points.Add(1)
				}
				if p.failed {
					failed.Add(1)
				}
				return p.ended
			})
		})
	}
	t.Logf("contexts in SQL, in all: %d points, %d of which end a statement", points.Load(), failed.Load())
	if failed.Load() == 0 && onlyAt() == 0 {
		t.Error("no context has ended a statement")
	}
	noGoroutines(t)
}

// sqlContextPoint is one run of a script with one context that ends.
type sqlContextPoint struct {
	w *sqlWorkload
	n int

	s *sqlSession
	// ended: the run came to the operation; failed: a statement failed for it.
	ended, failed bool
}

func (p *sqlContextPoint) run(t *testing.T) error {
	p.s = p.w.begin(t, int64(p.n))
	s := p.s
	defer s.end()
	s.watched = true
	if err := s.open(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.interrupt(ctx)
	var ops atomic.Int64
	s.disk.SetHook(func(faultdisk.OpInfo) error {
		if ops.Add(1) == int64(p.n) {
			cancel()
		}
		return nil
	})
	for i := 1; i <= len(p.w.steps); i++ {
		err := s.step(i)
		if !p.ended && ctx.Err() != nil {
			p.ended = true
		}
		if err == nil {
			continue
		}
		if !p.ended || !interrupted(err) {
			return fmt.Errorf("step %d: %w", i, err)
		}
		p.failed = true
		if err := p.after(i); err != nil {
			return fmt.Errorf("step %d, after %q: %w", i, err, err)
		}
	}
	s.interrupt(context.Background())
	last := len(p.w.steps)
	if _, _, err := s.find(last, last); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	if err := s.close(); err != nil {
		return err
	}
	return leftOpen(s.disk)
}

// interrupted: of an error in a pragma SQLite keeps the text, and not the code.
func interrupted(err error) bool {
	return errors.Is(err, sqlite3.INTERRUPT) || strings.Contains(err.Error(), context.Canceled.Error())
}

// interrupt gives all connections the context.
func (s *sqlSession) interrupt(ctx context.Context) {
	for _, c := range s.conns {
		c.SetInterrupt(ctx)
	}
}

// after checks what must hold once step i was interrupted, and has it done.
func (p *sqlContextPoint) after(i int) error {
	s := p.s
	s.interrupt(context.Background())
	for n, c := range s.conns {
		// With the context that has ended even ROLLBACK is refused.
		if c.GetAutocommit() {
			continue
		}
		if err := c.Exec("ROLLBACK"); err != nil {
			return fmt.Errorf("connection %d: %w", n, err)
		}
	}
	if err := s.settled(); err != nil {
		return err
	}
	// What was interrupted has happened as a whole or not at all: a statement
	// after the last one that changes something may be what the context ended.
	main, b, err := s.find(s.acked, i)
	if err != nil {
		return err
	}
	// A transaction that spans two files is whole in both: nothing failed.
	at := sqlState{s.states[main].main, s.states[b].b}
	switch at {
	case s.states[i-1]:
	case s.states[i]:
		s.acked = i
		return s.checkpointAll(nil)
	default:
		return fmt.Errorf("the attached databases are apart, in states %d and %d", main, b)
	}
	if err := s.step(i); err != nil {
		return fmt.Errorf("with another context: %w", err)
	}
	return s.checkpointAll(nil)
}
