// What the actors on a stage do.

package wal

import (
	"context"
	"errors"
	"fmt"

	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// place waits for the writer's place.
func (p *player) place() (*Writer, error) {
	r, err := p.RequestWrite(false)
	if err != nil {
		return nil, err
	}
	return p.take(r)
}

// take is WriterRequest.Wait, with a step after the grant: whoever passed the
// place on does something else meanwhile.
func (p *player) take(r *WriterRequest) (*Writer, error) {
	if a := r.Answer(); a != nil {
		if err := <-a; err != nil {
			return nil, err
		}
		p.step("begin to write")
	}
	return r.Begin(context.Background())
}

// commitPages commits a version of pages, which begin at 2, with the writer's
// place.
func (p *player) commitPages(ctx context.Context, w *Writer, level SyncLevel, version uint32, pages ...walformat.PageNo) error {
	seq := w.Base.Seq + 1
	p.plan[seq] = func(v *versions) {
		for _, n := range pages {
			v[n-2] = version
		}
	}
	frames := make([]Frame, len(pages))
	for i, n := range pages {
		frames[i] = Frame{Page: n, Data: pageData(n, version)}
	}
	if err := w.Reserve(len(frames)); err != nil {
		return err
	}
	_, err := w.Commit(ctx, frames, 1+stagePages, CommitOptions{Level: level})
	if err != nil {
		return err
	}
	if got := p.published().Seq; got < seq {
		return fmt.Errorf("commit %d has returned, published is %d", seq, got)
	}
	p.stage.mu.Lock()
	defer p.stage.mu.Unlock()
	p.returned = max(p.returned, seq)
	if level == SyncFull {
		p.acked = max(p.acked, seq)
	}
	return nil
}

// writes commits once.
func writes(level SyncLevel, version uint32, pages ...walformat.PageNo) func(p *player) error {
	return func(p *player) error {
		w, err := p.place()
		if err != nil {
			return err
		}
		return p.commitPages(context.Background(), w, level, version, pages...)
	}
}

// abandons takes the place, reads, and gives it up.
func abandons(p *player) error {
	w, err := p.place()
	if err != nil {
		return err
	}
	base := w.Base.Seq
	p.step("abandon")
	if err := w.Abandon(); err != nil {
		return err
	}
	if got := p.published().Seq; got < base {
		return fmt.Errorf("a transaction on commit %d has ended, published is %d", base, got)
	}
	return nil
}

// checkpoints runs one, which must do what it promises: nobody is in its way for
// ever.
func checkpoints(mode CheckpointMode) func(p *player) error {
	return func(p *player) error {
		p.step(mode.String())
		gen := p.published().Gen
		r, err := p.Checkpoint(context.Background(), mode, CheckpointOptions{})
		if err == nil && r.Busy && mode != Passive {
			err = fmt.Errorf("%s: busy, because of %s", mode, r.WaitedFor)
		}
		if err == nil && mode >= Restart && p.published().Gen == gen {
			err = fmt.Errorf("%s: no new generation", mode)
		}
		return err
	}
}

// reads holds a snapshot for a while.
func reads(p *player) error {
	p.step("begin to read")
	r := p.beginRead()
	p.step("end reading")
	p.endRead(r)
	return nil
}

func (p *player) beginRead() *stageReader {
	r := &stageReader{}
	r.mark, r.st = p.co.BeginRead()
	p.stage.mu.Lock()
	defer p.stage.mu.Unlock()
	p.readers = append(p.readers, r)
	return r
}

func (p *player) endRead(r *stageReader) {
	p.stage.mu.Lock()
	for i, x := range p.readers {
		if x == r {
			p.readers = append(p.readers[:i], p.readers[i+1:]...)
			break
		}
	}
	p.stage.mu.Unlock()
	p.co.EndRead(r.mark)
}

// upgrades reads and then writes on what it has read, if nobody was faster.
func upgrades(version uint32, page walformat.PageNo) func(p *player) error {
	return func(p *player) error {
		p.step("begin to read")
		r := p.beginRead()
		defer p.endRead(r)
		req := new(WriterRequest)
		err := p.RequestUpgradeInto(req, r.st, coord.Who{}, AutoActions{})
		var w *Writer
		if err == nil {
			w, err = p.take(req)
		}
		switch {
		case errors.Is(err, coord.ErrSnapshotStale):
			if p.acceptedState().Seq == r.st.Seq {
				return fmt.Errorf("commit %d is the newest, and yet: %w", r.st.Seq, err)
			}
			return nil
		case errors.Is(err, coord.ErrBusy):
			return nil
		case err != nil:
			return err
		case w.Base.Seq != r.st.Seq:
			return fmt.Errorf("a transaction that has read commit %d writes on commit %d", r.st.Seq, w.Base.Seq)
		}
		return p.commitPages(context.Background(), w, SyncFull, version, page)
	}
}

// givesUp commits with a context that ends at any moment after the acceptance.
func givesUp(level SyncLevel, version uint32, page walformat.PageNo) func(p *player) error {
	return func(p *player) error {
		w, err := p.place()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(context.Background())
		p.cancels = append(p.cancels, cancel)
		defer cancel()
		err = p.commitPages(ctx, w, level, version, page)
		if errors.Is(err, ErrCommitUnknown) && errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
}

// cancelsAll ends the contexts of those who were accepted so far.
func cancelsAll(p *player) error {
	p.step("cancel")
	for _, c := range p.cancels {
		c()
	}
	return nil
}

// breaks makes the next sync of a file fail.
func breaks(suffix string) func(p *player) error {
	return func(p *player) error {
		p.step("break")
		p.d.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: suffix})
		return nil
	}
}

// despite lets an actor end with the errors of a log that has failed, or of a
// database file that could not be synced.
func despite(run func(p *player) error) func(p *player) error {
	return func(p *player) error {
		err := run(p)
		switch {
		case errors.Is(err, ErrCommitUnknown) || errors.Is(err, ErrLogFailed):
			if p.Failed() == nil {
				return fmt.Errorf("the log has not failed, and yet: %w", err)
			}
			return nil
		case errors.Is(err, faultdisk.ErrInjected):
			return nil
		}
		return err
	}
}
