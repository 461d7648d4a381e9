// The end of a transaction: what a commit consists of, and commit and rollback.

package pager

import (
	"context"
	"fmt"
	"slices"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

// changed reports whether there is anything to commit: what a savepoint took
// back is not.
func (t *Tx) changed() bool {
	return len(t.dirty) > 0 || len(t.spilled) > 0 || t.size != t.st.DBSize || t.low < t.st.DBSize
}

// Reserve makes sure that the log has room for the transaction as it is now,
// so that a full disk shows before anything is committed anywhere.
func (t *Tx) Reserve() error {
	t.assertPages()
	if t.w == nil || !t.changed() {
		return nil
	}
	if t.spillErr != nil {
		return t.spillErr
	}
	if err := t.createIfEmpty(); err != nil {
		return err
	}
	n := len(t.dirty) + 1
	if from := min(t.low, t.st.DBSize); t.size > from {
		n += int(t.size - from)
	}
	return t.w.Reserve(n)
}

func (t *Tx) createIfEmpty() error {
	if t.st.DBSize > 0 {
		return nil
	}
	return t.s.create()
}

// CommitOptions of [Tx.Commit].
type CommitOptions struct {
	wal.CommitOptions
	// Keep goes on as a read transaction on the state that was committed.
	Keep bool
	// SQLite: page 1 was written by SQLite, which knows the page count, and a
	// change of the counter alone is left out.
	SQLite bool
}

// Commit makes the changes durable, as the level says, and visible to new
// transactions. It returns after that. An error is wal.ErrCommitUnknown or
// means that nothing was committed; either way the transaction has ended.
func (t *Tx) Commit(ctx context.Context, o CommitOptions) error {
	t.assertPages()
	defer t.assertPages()
	if t.done {
		return ErrTxDone
	}
	if t.w == nil {
		if o.Keep {
			return nil
		}
		t.End()
		return nil
	}
	if !t.changed() {
		return t.Rollback(o.Keep)
	}
	frames, err := []wal.Frame(nil), t.spillErr
	if err == nil {
		frames, err = t.prepare(o.SQLite)
	}
	if err == nil {
		err = t.createIfEmpty()
	}
	if err == nil {
		err = t.w.Reserve(len(frames))
	}
	if err != nil {
		_ = t.Rollback(false)
		return err
	}
	o.Pin = o.Keep
	t.share(frames, o.SQLite)
	w := t.w
	t.w = nil
	t.s.convert = false
	mark, err := w.Commit(ctx, frames, t.size, o.CommitOptions)
	if err != nil {
		// Somebody else may still be writing the pages: nothing of this
		// transaction is used again.
		if len(t.shared) > 0 {
			t.s.pool().leftPinned.Store(true)
		}
		t.pooled, t.shared, t.frames = false, nil, nil
		t.dropPages()
		t.end()
		return err
	}
	t.written(frames)
	t.dropPages()
	if !o.Keep {
		t.end()
		return nil
	}
	st := *w.Base
	t.enter(mark, &st)
	t.s.unmarked.Add(-1)
	t.st, t.size, t.low = &st, st.DBSize, st.DBSize
	return nil
}

// prepare brings page 1 up to date, fills the pages that nobody wrote, and
// lists the frames by page.
func (t *Tx) prepare(bySQLite bool) ([]wal.Frame, error) {
	t.saves = nil
	if err := t.reframe(); err != nil {
		return nil, err
	}
	lock := walformat.LockBytePage(t.PageSize())
	for n := min(t.low, t.st.DBSize) + 1; n <= t.size && n != 0; n++ {
		if p := walformat.PageNo(n); t.dirty[p] == nil && t.spilled[p] == 0 && p != lock && p != 1 {
			if err := t.spillIfLarge(); err != nil {
				return nil, err
			}
			t.dirty[p] = make([]byte, t.PageSize())
		}
	}
	if err := t.preparePage1(bySQLite); err != nil {
		return nil, err
	}
	frames := t.frames[:0]
	for n, p := range t.dirty {
		frames = append(frames, wal.Frame{Page: n, Data: p})
	}
	slices.SortFunc(frames, byPage)
	return frames, nil
}

// preparePage1 decides whether page 1 is part of the commit and sets what the
// engine keeps there.
func (t *Tx) preparePage1(bySQLite bool) error {
	resized := t.size != t.st.DBSize
	p := t.dirty[1]
	if p == nil && !t.s.convert && len(t.dirty) > 0 && (bySQLite || !resized) {
		// SQLite wrote no page 1 with a new size, so its count is right.
		return nil
	}
	if p == nil {
		var err error
		if p, err = t.Write(1); err != nil {
			return err
		}
	}
	walformat.PutVersions(p, 2)
	if bySQLite && !t.s.convert && !resized && len(t.dirty) > 1 {
		only, err := t.onlyCounter(p)
		if err != nil {
			return err
		}
		if only {
			delete(t.dirty, 1)
			if t.pooled {
				putPage(p)
			}
			return nil
		}
	}
	if !bySQLite {
		walformat.PutSizeInPages(p, t.size)
	} else if t.st.DBSize == 0 {
		t.s.countFrom(p, t.st.Seq+1)
	}
	walformat.PutChangeCounter(p, t.s.counter(t.st.Seq+1))
	fixChecksum(p)
	_, err := walformat.ParseDBHeader(p)
	if err != nil {
		return fmt.Errorf("page 1 would be no database header any more: %w", err)
	}
	return nil
}

// onlyCounter reports whether p differs from page 1 as it was before the
// transaction in nothing but SQLite's change counter.
func (t *Tx) onlyCounter(p []byte) (bool, error) {
	delete(t.dirty, 1)
	base, e, err := t.look(1)
	t.dirty[1] = p
	if err != nil {
		return false, err
	}
	defer e.unpin()
	return sizeValid(base) && walformat.EqualButCounter(base, p), nil
}

// share puts the pages of the commit into the pool, under the names that its
// frames will have: the next writer is waiting to read them. A commit that
// would fill a good part of the pool is left out. The pages stay pinned, in
// t.shared, since they are still to be written.
func (t *Tx) share(frames []wal.Frame, bySQLite bool) {
	pool := t.s.pool()
	if len(frames) > pool.capacity()/8 {
		return
	}
	f := t.w.Spilled()
	for _, fr := range frames {
		f++
		data := fr.Data
		if !bySQLite {
			// The caller may still have it.
			data = getPage(len(fr.Data))
			copy(data, fr.Data)
		}
		e := newPoolPage(fr.Page, coord.VersionOf(t.w.Base.Gen, f), data)
		if !pool.chance.OneIn(8) {
			pool.put(e)
		}
		if bySQLite {
			t.shared = append(t.shared, e)
		} else {
			e.unpin()
		}
	}
}

// written gives back the pages of a commit, of which none is needed any more.
func (t *Tx) written(frames []wal.Frame) {
	for _, e := range t.shared {
		e.unpin()
	}
	if len(t.shared) > 0 {
		t.pooled = false // they were the dirty pages
	}
	clear(t.shared)
	clear(frames)
	t.shared, t.frames = t.shared[:0], frames[:0]
}

// Rollback drops the changes. With keep it goes on as a read transaction on
// the state that it began with. It returns after that state is published; an
// error says that it failed, and what was read with it: then the transaction has
// ended in any case.
func (t *Tx) Rollback(keep bool) error {
	t.assertState()
	defer t.assertState()
	if t.done {
		return ErrTxDone
	}
	if t.w == nil {
		if !keep {
			t.End()
		}
		return nil
	}
	w := t.w
	t.w = nil
	t.dropPages()
	t.size, t.low = w.Base.DBSize, w.Base.DBSize
	if keep {
		t.enter(t.s.log.Coordinator().Pin(w.Base.MaxFrame), t.st)
		t.s.unmarked.Add(-1)
	}
	err := w.Abandon()
	if err != nil || !keep {
		t.end()
	}
	return err
}

// End ends a transaction that is reading, and rolls one back that is writing.
func (t *Tx) End() {
	t.assertState()
	switch {
	case t.done:
	case t.w != nil:
		_ = t.Rollback(false)
	default:
		t.end()
	}
}

func (t *Tx) end() {
	t.done = true
	if t.hits > 0 {
		t.s.counts.hits.Add(uint64(t.hits))
		t.hits = 0
	}
	if !t.reader.Entered() {
		t.s.unmarked.Add(-1)
		return
	}
	t.leave()
}

// enter makes a transaction that has the mark m for st one that reads, and leave
// makes it none. Those that are not entered are counted by Store.unmarked, for
// which the caller cares.
func (t *Tx) enter(m coord.Mark, st *coord.State) {
	t.file = m.InFile()
	t.s.log.Coordinator().Enter(&t.reader, m, st, t.who, coord.Now())
}

func (t *Tx) leave() {
	if t.s.log.Coordinator().Leave(&t.reader) {
		t.s.log.ReaderLeft()
	}
}
