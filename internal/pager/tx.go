// One transaction: the snapshot it reads, the pages it changed, and its end.
//
// States, and what is held in each:
//
//	reading   w == nil, mark held          reads st
//	writing   w != nil, mark perhaps held  reads st = w.Base under its own pages
//	ended     done                         nothing
//
// BeginRead leads to reading; a granted WriteRequest to writing, without a mark
// or, from an upgrade, with the one it had. Commit and Rollback lead to ended
// or, with keep, back to reading: then the mark is taken while the writer's
// place is still held, before anything newer can be published.

package pager

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

// Tx is a transaction. It is used by one goroutine at a time, and must end by
// Commit, Rollback or End.
type Tx struct {
	s    *Store
	st   *coord.State
	mark coord.Mark
	w    *wal.Writer
	done bool

	// size of the database in pages, as this transaction has it.
	size uint32
	// low is the smallest size that this transaction has had: what the base
	// holds above it is gone.
	low   uint32
	dirty map[walformat.PageNo][]byte
	saves []savepoint
	// pooled: the dirty pages are nobody else's and go back to the pool.
	pooled bool
}

// BeginRead begins a read transaction on the published state.
func (s *Store) BeginRead() *Tx {
	mark, st := s.log.Coordinator().BeginRead()
	s.open.Add(1)
	return &Tx{s: s, st: st, mark: mark, size: st.DBSize, low: st.DBSize}
}

// WriteRequest is a wait for the writer's place, for a new transaction or for
// one that reads.
type WriteRequest struct {
	*wal.WriterRequest
	s  *Store
	tx *Tx
}

// RequestWrite queues for the writer's place, before there is a snapshot, so
// that the transaction cannot become stale while it waits.
func (s *Store) RequestWrite(noRestart bool) (*WriteRequest, error) {
	r, err := s.log.RequestWrite(noRestart)
	if err != nil {
		return nil, err
	}
	return &WriteRequest{WriterRequest: r, s: s}, nil
}

// RequestUpgrade queues to make a read transaction a writing one.
func (t *Tx) RequestUpgrade(noRestart bool) (*WriteRequest, error) {
	r, err := t.s.log.RequestUpgrade(t.st, noRestart)
	if err != nil {
		return nil, err
	}
	return &WriteRequest{WriterRequest: r, s: t.s, tx: t}, nil
}

// Begin takes the granted place and returns the writing transaction.
func (r *WriteRequest) Begin() (*Tx, error) {
	w, err := r.WriterRequest.Begin()
	if err != nil {
		return nil, err
	}
	return r.begun(w), nil
}

// Wait waits for the place and returns the writing transaction. The error may
// be ctx's.
func (r *WriteRequest) Wait(ctx context.Context) (*Tx, error) {
	w, err := r.WriterRequest.Wait(ctx)
	if err != nil {
		return nil, err
	}
	return r.begun(w), nil
}

func (r *WriteRequest) begun(w *wal.Writer) *Tx {
	t := r.tx
	if t == nil {
		t = &Tx{s: r.s, mark: coord.NoMark}
		r.s.open.Add(1)
	}
	t.w, t.st = w, w.Base
	t.size, t.low = w.Base.DBSize, w.Base.DBSize
	if t.dirty == nil {
		t.dirty = make(map[walformat.PageNo][]byte)
	}
	return t
}

// Writing reports whether the transaction holds the writer's place.
func (t *Tx) Writing() bool { return t.w != nil }

// PageCount is the database size in pages, as this transaction has it.
func (t *Tx) PageCount() uint32 { return t.size }

// PageSize in bytes.
func (t *Tx) PageSize() int { return t.s.log.PageSize() }

// HasMark reports whether the transaction holds a read mark: it was a reader
// before it became a writer, or is one.
func (t *Tx) HasMark() bool { return t.mark != coord.NoMark }

// Seq is the commit whose state the transaction reads.
func (t *Tx) Seq() coord.CommitSeq { return t.st.Seq }

// inFile: the transaction may use the database file only. A writer never does:
// it holds no mark for its base.
func (t *Tx) inFile() bool { return t.w == nil && t.mark.InFile() }

// inBase reports whether page n comes from the snapshot, if it is not dirty.
func (t *Tx) inBase(n walformat.PageNo) bool { return uint32(n) <= min(t.low, t.st.DBSize) }

// check refuses page numbers that name no page of the database.
func (t *Tx) check(n walformat.PageNo) error {
	if t.done {
		return ErrTxDone
	}
	if n == 0 || uint32(n) > t.size || n == walformat.LockBytePage(t.PageSize()) {
		return fmt.Errorf("%w: page %d of %d (page %d holds SQLite's lock bytes)", ErrPageRange, n, t.size, walformat.LockBytePage(t.PageSize()))
	}
	return nil
}

// ReadPage fills dst, one page long, with page n. A page that was never
// written is zero.
func (t *Tx) ReadPage(n walformat.PageNo, dst []byte) error {
	if err := t.check(n); err != nil {
		return err
	}
	if p := t.dirty[n]; p != nil {
		copy(dst, p)
		return nil
	}
	if !t.inBase(n) {
		clear(dst)
		return nil
	}
	if n == 1 {
		p, err := t.s.page1(t.st, t.inFile())
		copy(dst, p)
		return err
	}
	return t.s.log.ReadPage(t.st, t.inFile(), n, dst)
}

// ReadHeader fills dst with page 1 from offset off on, as a SQLite in rollback
// mode is to see it; off+len(dst) is at most the page size.
func (t *Tx) ReadHeader(dst []byte, off int) error {
	if err := t.check(1); err != nil {
		return err
	}
	p := t.dirty[1]
	if p == nil {
		var err error
		if p, err = t.s.page1(t.st, t.inFile()); err != nil {
			return err
		}
	}
	copy(dst, p[off:])
	if t.dirty[1] == nil {
		t.s.showPage1(dst, off, t.st.Seq, sizeValid(p))
	} else if off <= 18 {
		// SQLite reads back what it spilled: its own counter stays.
		showVersions(dst, off)
	}
	if len(dst) == len(p) {
		fixChecksum(dst)
	}
	return nil
}

// showVersions makes the version bytes of page 1 say rollback mode.
func showVersions(b []byte, off int) {
	for _, i := range []int{18, 19} {
		if i >= off && i-off < len(b) {
			b[i-off] = 1
		}
	}
}

// Page returns page n, read-only: its own page if this transaction changed it
// (then later Writes show), else a copy of the snapshot's.
func (t *Tx) Page(n walformat.PageNo) ([]byte, error) {
	if err := t.check(n); err != nil {
		return nil, err
	}
	if p := t.dirty[n]; p != nil {
		return p, nil
	}
	p := make([]byte, t.PageSize())
	return p, t.ReadPage(n, p)
}

// canWrite refuses writes that cannot be.
func (t *Tx) canWrite(n walformat.PageNo) error {
	switch {
	case t.done:
		return ErrTxDone
	case t.w == nil:
		return ErrReadOnly
	case n == 0 || n == walformat.LockBytePage(t.PageSize()):
		return fmt.Errorf("%w: page %d is never written", ErrPageRange, n)
	case n == 1<<32-1:
		return fmt.Errorf("%w: page %d is above SQLite's limit", ErrPageRange, n)
	}
	return nil
}

// Write returns page n for changing it; the transaction grows to n pages if it
// has fewer. The slice is valid until the transaction ends, and must be asked
// for again after a Savepoint, whose state it would change otherwise.
func (t *Tx) Write(n walformat.PageNo) ([]byte, error) {
	if err := t.canWrite(n); err != nil {
		return nil, err
	}
	p, ok := t.dirty[n]
	if !ok {
		p = make([]byte, t.PageSize())
		if t.inBase(n) {
			if err := t.ReadPage(n, p); err != nil {
				return nil, err
			}
		} else if n == 1 && t.st.DBSize == 0 {
			copy(p, walformat.NewPage1(len(p)))
		}
	}
	t.save(n, p, ok)
	t.dirty[n] = p
	t.size = max(t.size, uint32(n))
	return p, nil
}

// WritePage sets page n to src, one page long. It keeps no reference to src.
// It does not mix with Write and savepoints.
func (t *Tx) WritePage(n walformat.PageNo, src []byte) error {
	if err := t.canWrite(n); err != nil {
		return err
	}
	p := t.dirty[n]
	if p == nil {
		p = getPage(len(src))
		t.dirty[n] = p
		t.pooled = true
	}
	copy(p, src)
	t.size = max(t.size, uint32(n))
	return nil
}

// SetPageSize sets the page size of a database without pages.
func (t *Tx) SetPageSize(n int) error {
	if t.w == nil || len(t.dirty) > 0 {
		return ErrReadOnly
	}
	return t.w.SetPageSize(n)
}

// SetPageCount makes the database n pages long. Pages cut off are gone, pages
// added are zero until they are written.
func (t *Tx) SetPageCount(n uint32) error {
	if t.done {
		return ErrTxDone
	}
	if t.w == nil {
		return ErrReadOnly
	}
	if n == 0 || n == 1<<32-1 {
		return fmt.Errorf("%w: a database has from 1 to 4294967294 pages", ErrPageRange)
	}
	for p := range t.dirty {
		if uint32(p) > n {
			t.save(p, t.dirty[p], true)
			delete(t.dirty, p)
		}
	}
	t.size, t.low = n, min(t.low, n)
	return nil
}

// changed reports whether there is anything to commit.
func (t *Tx) changed() bool { return len(t.dirty) > 0 || t.size != t.st.DBSize }

// Reserve makes sure that the log has room for the transaction as it is now,
// so that a full disk shows before anything is committed anywhere.
func (t *Tx) Reserve() error {
	if t.w == nil || !t.changed() {
		return nil
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
func (t *Tx) Commit(o CommitOptions) error {
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
	frames, err := t.prepare(o.SQLite)
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
	o.Pin = o.Keep && !(t.mark > 0)
	w, old := t.w, t.mark
	t.w = nil
	t.s.convert = false
	st, mark, err := w.Commit(frames, t.size, o.CommitOptions)
	// After a failure somebody else may still be writing the pages.
	t.pooled = t.pooled && err == nil
	t.dropPages()
	if err != nil {
		t.end()
		return err
	}
	if !o.Keep {
		t.end()
		return nil
	}
	if mark != coord.NoMark {
		t.s.log.Coordinator().EndRead(old)
		t.mark = mark
	}
	t.st, t.size, t.low = st, st.DBSize, st.DBSize
	return nil
}

// prepare brings page 1 up to date, fills the pages that nobody wrote, and
// lists the frames by page.
func (t *Tx) prepare(bySQLite bool) ([]wal.Frame, error) {
	lock := walformat.LockBytePage(t.PageSize())
	for n := min(t.low, t.st.DBSize) + 1; n <= t.size && n != 0; n++ {
		if p := walformat.PageNo(n); t.dirty[p] == nil && p != lock && p != 1 {
			t.dirty[p] = make([]byte, t.PageSize())
		}
	}
	if err := t.preparePage1(bySQLite); err != nil {
		return nil, err
	}
	frames := make([]wal.Frame, 0, len(t.dirty))
	for n, p := range t.dirty {
		frames = append(frames, wal.Frame{Page: n, Data: p})
	}
	slices.SortFunc(frames, func(a, b wal.Frame) int { return int(int64(a.Page) - int64(b.Page)) })
	return frames, nil
}

// preparePage1 decides whether page 1 is part of the commit and sets what the
// engine keeps there.
func (t *Tx) preparePage1(bySQLite bool) error {
	resized := t.size != t.st.DBSize
	p := t.dirty[1]
	if p == nil && !t.s.convert && !resized {
		return nil
	}
	if p == nil && bySQLite && !t.s.convert {
		// SQLite wrote no page 1 with this size, so its count is right.
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
		base, err := t.s.page1(t.st, false)
		if err != nil {
			return err
		}
		if sizeValid(base) && walformat.EqualButCounter(base, p) {
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

// Rollback drops the changes. With keep it goes on as a read transaction on
// the state that it began with. It returns after that state is published; an
// error says that it failed, and what was read with it.
func (t *Tx) Rollback(keep bool) error {
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
	if keep && t.mark == coord.NoMark {
		t.mark = t.s.log.Coordinator().Pin(w.Base.MaxFrame)
	}
	err := w.Abandon()
	if !keep {
		t.end()
	}
	return err
}

// End ends a transaction that is reading, and rolls one back that is writing.
func (t *Tx) End() {
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
	t.s.log.Coordinator().EndRead(t.mark)
	t.mark = coord.NoMark
	t.s.open.Add(-1)
}

func (t *Tx) dropPages() {
	if t.pooled {
		for _, p := range t.dirty {
			putPage(p)
		}
	}
	clear(t.dirty)
	t.saves, t.pooled = nil, false
}

// pages holds buffers of one page each, of any size.
var pages sync.Pool

func getPage(n int) []byte {
	if p, _ := pages.Get().(*[]byte); p != nil && len(*p) == n {
		return *p
	}
	return make([]byte, n)
}

func putPage(p []byte) { pages.Put(&p) }
