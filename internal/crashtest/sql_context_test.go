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
	var fig contextFigures
	stride := 2 * sampling(4)
	if seedCount() >= 5 {
		stride = 1
	}
	for _, w := range sqlWorkloads {
		t.Run(w.name, func(t *testing.T) {
			fig.loop(t, w.name, stride, func(n int) (bool, bool, *faultdisk.Disk, error) {
				p := &sqlContextPoint{w: w, n: n}
				err := p.run(t)
				return p.ended, p.failed, p.s.disk, err
			})
		})
	}
	fig.conclude(t, "SQL")
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
