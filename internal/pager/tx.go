// One transaction: the snapshot it reads, the pages it changed, and its end.
//
// States, and what is held in each:
//
//	reading   w == nil, reader entered     reads st, under a mark or detached
//	writing   w != nil, no mark            reads st = w.Base under its own pages
//	ended     done                         nothing
//
// BeginRead leads to reading; a granted WriteRequest to writing. An upgrade gives
// its mark up as soon as it has the writer's place, which protects its base as
// well: with the mark, it would keep its own commit's checkpoint from copying
// all, and itself from restarting the log. Commit and Rollback lead to ended
// or, with keep, back to reading: then the mark is taken while the writer's
// place is still held, before anything newer can be published.

package pager

import (
	"context"
	"fmt"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

// Tx is a transaction. It is used by one goroutine at a time, and must end by
// Commit, Rollback or End.
type Tx struct {
	s  *Store
	st *coord.State
	// reader is entered in the registry while the transaction reads, and has its
	// mark. file: the mark was in slot 0, the database file is all it needs.
	reader coord.Reader
	file   bool
	who    coord.Who
	// hits counts pages found in the pool, unless several goroutines read.
	hits   uint32
	atOnce bool
	w      *wal.Writer
	done   bool

	// size of the database in pages, as this transaction has it.
	size uint32
	// low is the smallest size that this transaction has had: what the base
	// holds above it is gone.
	low   uint32
	dirty map[walformat.PageNo][]byte
	// most is how many dirty pages there have been at once.
	most int
	// spilled has the frame of the pages whose content is in the log; a dirty
	// page is newer. inLog has the newest frame of all pages that were ever
	// spilled, be they cut off or rolled back since.
	spilled, inLog map[walformat.PageNo]walformat.FrameNo
	// spillErr is why the transaction can only be rolled back.
	spillErr error
	saves    []savepoint
	// pooled: the dirty pages are nobody else's, and are used again.
	pooled bool
	// shared are the pages of a commit that the pool has too; frames is what
	// is committed. Both are used again by the next transaction.
	shared []*poolPage
	frames []wal.Frame
}

// reset makes t a new transaction that keeps the old one's room.
func (t *Tx) reset(s *Store, who coord.Who) {
	*t = Tx{s: s, who: who, dirty: t.dirty, shared: t.shared, frames: t.frames}
}

// BeginRead begins a read transaction on the published state. who says in
// reports whose it is.
func (s *Store) BeginRead(who coord.Who) *Tx {
	t := new(Tx)
	s.BeginReadInto(t, who, coord.Now())
	return t
}

// BeginReadInto is BeginRead without an allocation: t is zero, or has ended and
// nobody else uses it. began is the present moment; 0 if it is not worth asking
// for: then reports count its age from when they first saw it.
func (s *Store) BeginReadInto(t *Tx, who coord.Who, began coord.Moment) {
	c := s.log.Coordinator()
	mark, st := c.BeginRead()
	t.reset(s, who)
	t.st, t.size, t.low, t.file = st, st.DBSize, st.DBSize, mark.InFile()
	c.Enter(&t.reader, mark, st, who, began)
	t.assertState()
}

// Suspend ends a read transaction, which Resume may take up again.
func (t *Tx) Suspend() { t.End() }

// Resume takes a suspended transaction up again, if what it read is still the
// published state: it then reads on as if it had held its mark all the time, for
// who from now on.
func (t *Tx) Resume(who coord.Who) bool {
	t.assertState()
	c := t.s.log.Coordinator()
	if c.Published() != t.st { // saves taking a mark for nothing
		return false
	}
	mark, st := c.BeginRead()
	if st != t.st {
		c.EndRead(mark)
		return false
	}
	t.file, t.done, t.who = mark.InFile(), false, who
	c.Enter(&t.reader, mark, st, t.who, 0)
	return true
}

// WriteRequest is a wait for the writer's place, for a new transaction or for
// one that reads, and then that transaction's place.
type WriteRequest struct {
	wal.WriterRequest
	s *Store
	// tx is the transaction: the one that reads, or own.
	tx  *Tx
	own Tx
}

// RequestWrite queues for the writer's place, before there is a snapshot, so
// that the transaction cannot become stale while it waits.
func (s *Store) RequestWrite(who coord.Who, auto wal.AutoActions) (*WriteRequest, error) {
	r := new(WriteRequest)
	return r, s.RequestWriteInto(r, who, auto)
}

// RequestWriteInto is RequestWrite without an allocation: r is zero, or its
// transaction has ended, by a commit without an error or by a rollback, and
// nobody else uses it.
func (s *Store) RequestWriteInto(r *WriteRequest, who coord.Who, auto wal.AutoActions) error {
	r.s, r.tx = s, &r.own
	r.own.reset(s, who)
	return s.log.RequestWriteInto(&r.WriterRequest, who, auto)
}

// RequestUpgrade queues to make a read transaction a writing one.
func (t *Tx) RequestUpgrade(auto wal.AutoActions) (*WriteRequest, error) {
	t.assertState()
	r := &WriteRequest{s: t.s, tx: t}
	return r, t.s.log.RequestUpgradeInto(&r.WriterRequest, t.st, t.who, auto)
}

// Begin takes the granted place and returns the writing transaction. After an
// error a transaction that reads goes on reading. The end of ctx ends what
// [wal.WriterRequest.Begin] waits for, and is no error.
func (r *WriteRequest) Begin(ctx context.Context) (*Tx, error) {
	t := r.tx
	// What an upgrade has read is the newest accepted and published state, and
	// stays so while it has the place.
	upgrade, detached := t.reader.Entered(), t.reader.IsDetached()
	t.s.unmarked.Add(1)
	if upgrade && !detached {
		t.leave()
	}
	w, err := r.WriterRequest.Begin(ctx)
	if err != nil {
		if upgrade && !detached {
			// The log has failed: nobody overwrites or restarts anything any
			// more. If it has begun anew before, all is in the database file.
			c := t.s.log.Coordinator()
			t.enter(c.Pin(c.Published().MaxFrame), t.st)
		}
		t.s.unmarked.Add(-1)
		return nil, err
	}
	if detached {
		t.leave()
	}
	t.w, t.st = w, w.Base
	t.size, t.low = w.Base.DBSize, w.Base.DBSize
	if t.dirty == nil {
		t.dirty = make(map[walformat.PageNo][]byte)
	}
	t.assertPages()
	return t, nil
}

// Wait waits for the place and returns the writing transaction. The error may
// be ctx's.
func (r *WriteRequest) Wait(ctx context.Context) (*Tx, error) {
	if err := r.WriterRequest.Granted(ctx); err != nil {
		return nil, err
	}
	return r.Begin(ctx)
}

// Writing reports whether the transaction holds the writer's place.
func (t *Tx) Writing() bool { return t.w != nil }

// Ended reports whether the transaction holds nothing any more: it has ended, or
// is suspended.
func (t *Tx) Ended() bool { return t.done }

// PageCount is the database size in pages, as this transaction has it.
func (t *Tx) PageCount() uint32 { return t.size }

// PageSize in bytes.
func (t *Tx) PageSize() int { return t.s.log.PageSize() }

// Seq is the commit whose state the transaction reads.
func (t *Tx) Seq() coord.CommitSeq { return t.st.Seq }

// inBase reports whether page n comes from the snapshot, if it is not dirty.
func (t *Tx) inBase(n walformat.PageNo) bool { return uint32(n) <= min(t.low, t.st.DBSize) }

// check refuses page numbers that name no page of the database.
func (t *Tx) check(n walformat.PageNo) error {
	t.assertState()
	if t.done {
		return ErrTxDone
	}
	if n == 0 || uint32(n) > t.size || n == walformat.LockBytePage(t.PageSize()) {
		return fmt.Errorf("%w: page %d of %d (page %d holds SQLite's lock bytes)", ErrPageRange, n, t.size, walformat.LockBytePage(t.PageSize()))
	}
	return nil
}

// look returns page n, not to be changed, from the transaction's own pages, the
// pool, or the files. n has been checked. The caller unpins what comes with it,
// which may be nil, when it has used the page.
func (t *Tx) look(n walformat.PageNo) ([]byte, *poolPage, error) {
	if p := t.dirty[n]; p != nil {
		return p, nil, nil
	}
	if f := t.spilled[n]; f != 0 {
		p := make([]byte, t.PageSize())
		return p, nil, t.w.ReadSpilled(f, p)
	}
	if !t.inBase(n) {
		return make([]byte, t.PageSize()), nil, nil
	}
	f, v := t.st.Index.Version(n, t.st.MaxFrame)
	e := t.s.pool().pin(n, v)
	t.count(e != nil)
	if e == nil {
		var err error
		if e, err = t.load(n, f, v); err != nil {
			return nil, nil, err
		}
	}
	return e.data, e, nil
}

// load reads page n, in version v, from frame f or the database file, and puts
// it into the pool. The caller unpins it.
func (t *Tx) load(n walformat.PageNo, f walformat.FrameNo, v coord.Version) (*poolPage, error) {
	e := newPoolPage(n, v, getPage(t.PageSize()))
	if err := t.fetch(n, f, e.data); err != nil {
		e.unpin()
		return nil, err
	}
	if v != 0 {
		t.s.pool().put(e)
	}
	return e, nil
}

// fetch fills dst with page n, which frame f has, 0 being the database file, from
// where the transaction may read it. If it was detached meanwhile, what was read
// may be anything, an error too: by then the frame or the page may be another's.
func (t *Tx) fetch(n walformat.PageNo, f walformat.FrameNo, dst []byte) error {
	log := t.s.log
	if t.w != nil {
		return log.ReadPage(t.st, f, n, dst)
	}
	if v, ok := t.reader.Detached(); ok {
		return log.ReadDetached(v, n, dst)
	}
	if t.file {
		f = 0 // it is in the database file, whatever frame it was in
	}
	err := log.ReadPage(t.st, f, n, dst)
	if v, ok := t.reader.DetachedAfter(); ok {
		return log.ReadDetached(v, n, dst)
	}
	return err
}

// ReadPage fills dst, one page long, with page n. A page that was never
// written is zero.
func (t *Tx) ReadPage(n walformat.PageNo, dst []byte) error {
	if err := t.check(n); err != nil {
		return err
	}
	if t.inBase(n) && t.dirty[n] == nil && t.spilled[n] == 0 {
		return t.readBase(n, dst)
	}
	p, e, err := t.look(n)
	copy(dst, p)
	e.unpin()
	return err
}

// readBase fills dst with page n as the snapshot has it.
func (t *Tx) readBase(n walformat.PageNo, dst []byte) error {
	f, v := t.st.Index.Version(n, t.st.MaxFrame)
	if (f == 0 || t.file) && t.s.log.Cached(n) {
		// What the system keeps of the file need not be in the pool too.
		return t.fetch(n, f, dst)
	}
	pool := t.s.pool()
	e := pool.pin(n, v)
	t.count(e != nil)
	if e != nil {
		copy(dst, e.data)
		e.unpin()
		return nil
	}
	if err := t.fetch(n, f, dst); err != nil {
		return err
	}
	if v == 0 {
		return nil
	}
	// The system keeps pages of the database file too; those of the log cost a
	// checksum each time.
	if f != 0 && !t.file || pool.welcomes(n) {
		data := getPage(len(dst))
		copy(data, dst)
		e := newPoolPage(n, v, data)
		pool.put(e)
		e.unpin()
	}
	return nil
}

// ReadHeader fills dst with page 1 from offset off on, as a SQLite in rollback
// mode is to see it; off+len(dst) is at most the page size.
func (t *Tx) ReadHeader(dst []byte, off int) error {
	if err := t.check(1); err != nil {
		return err
	}
	p, e, err := t.look(1)
	if err != nil {
		return err
	}
	defer e.unpin()
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
// (then later Writes show), else the snapshot's.
func (t *Tx) Page(n walformat.PageNo) ([]byte, error) {
	if err := t.check(n); err != nil {
		return nil, err
	}
	if t.inBase(n) && t.dirty[n] == nil && t.spilled[n] == 0 {
		_, v := t.st.Index.Version(n, t.st.MaxFrame)
		if p := t.s.pool().view(n, v); p != nil {
			t.count(true)
			return p, nil
		}
	}
	p, e, err := t.look(n)
	if e != nil {
		p = e.view()
	}
	return p, err
}

// canWrite refuses writes that cannot be.
func (t *Tx) canWrite(n walformat.PageNo) error {
	t.assertState()
	switch {
	case t.done:
		return ErrTxDone
	case t.w == nil:
		return ErrReadOnly
	case n == 0 || n == walformat.LockBytePage(t.PageSize()):
		return fmt.Errorf("%w: page %d is never written", ErrPageRange, n)
	case t.spillErr != nil:
		return t.spillErr
	case n == 1<<32-1:
		return fmt.Errorf("%w: page %d is above SQLite's limit", ErrPageRange, n)
	}
	return nil
}

// Write returns page n for changing it; the transaction grows to n pages if it
// has fewer. The slice may be changed until the transaction ends, or until the
// next Write, if that may outgrow Options.TxBytes: then the page is in the log.
// It must be asked for again after a Savepoint, whose state it would change
// otherwise.
func (t *Tx) Write(n walformat.PageNo) ([]byte, error) {
	if err := t.canWrite(n); err != nil {
		return nil, err
	}
	p := t.dirty[n]
	if p != nil {
		t.save(n, p)
		return p, nil
	}
	if err := t.spillIfLarge(); err != nil {
		return nil, err
	}
	p = make([]byte, t.PageSize())
	switch {
	case n == 1 && t.st.DBSize == 0:
		copy(p, walformat.NewPage1(len(p)))
	case uint32(n) <= t.size:
		if err := t.ReadPage(n, p); err != nil {
			return nil, err
		}
	}
	t.save(n, nil)
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
		if err := t.spillIfLarge(); err != nil {
			return err
		}
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
	t.assertPages()
	if t.w == nil || len(t.dirty) > 0 {
		return ErrReadOnly
	}
	return t.w.SetPageSize(n)
}

// SetPageCount makes the database n pages long. Pages cut off are gone, pages
// added are zero until they are written.
func (t *Tx) SetPageCount(n uint32) error {
	t.assertPages()
	defer t.assertPages()
	if t.done {
		return ErrTxDone
	}
	if t.w == nil {
		return ErrReadOnly
	}
	if n == 0 || n == 1<<32-1 {
		return fmt.Errorf("%w: a database has from 1 to 4294967294 pages", ErrPageRange)
	}
	for p, data := range t.dirty {
		if uint32(p) > n {
			t.save(p, data)
			delete(t.dirty, p)
		}
	}
	for p := range t.spilled {
		if uint32(p) > n {
			t.save(p, nil)
			delete(t.spilled, p)
		}
	}
	t.size, t.low = n, min(t.low, n)
	return nil
}

// keptPages is up to how many dirty pages a transaction may have had to leave its
// map and its lists to the next one: a map that was large costs every commit a
// walk over all the room that it has.
const keptPages = 256

func (t *Tx) dropPages() {
	if t.pooled {
		for _, p := range t.dirty {
			putPage(p)
		}
	}
	clear(t.dirty)
	if t.most > keptPages {
		t.dirty, t.frames, t.shared = nil, nil, nil
	}
	t.most = 0
	t.spilled, t.inLog, t.spillErr, t.saves, t.pooled = nil, nil, nil, nil, false
}
