// A session: one process's use of one disk, through the page API, with the
// history that it makes.

package crashtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk/faultdisk"
)

const dbPath = "/data/app.db"

// busyTimeout bounds every wait for the writer's place, so that a lock that is
// left behind becomes an error.
const busyTimeout = 20 * time.Second

// smallPool is for a few pages, so that most are read from the disk.
const smallPool = 16 << 10

type session struct {
	disk *faultdisk.Disk
	opt  walnut.Options
	h    *history
	db   *walnut.DB
	held []*reader
	// loose: a sync has failed on this disk, so that what was acknowledged
	// below SyncFull may be gone when the process ends and the cache with it.
	loose bool
	// copied is the transaction of the last backup that returned.
	copied atomic.Int64
	// ctx is what the calls get; nil never ends.
	ctx context.Context
	// swallowed counts checkpoints that failed after a commit.
	swallowed uint64
}

// reader is a read transaction that is kept open.
type reader struct {
	tx *walnut.Tx
	k  int
	st *state
}

func newSession(d *faultdisk.Disk, opt walnut.Options, h *history) *session {
	opt.FS, opt.BusyTimeout = d, busyTimeout
	if opt.PoolBytes == 0 {
		opt.PoolBytes = smallPool
	}
	return &session{disk: d, opt: opt, h: h}
}

func (s *session) context() context.Context {
	if s.ctx == nil {
		return context.Background()
	}
	return s.ctx
}

// open opens the database and checks that it is in a state that the history
// allows; from here on that is the history.
func (s *session) open() error {
	if s.db != nil {
		return nil
	}
	db, err := walnut.Open(dbPath, &s.opt)
	if err != nil {
		return err
	}
	_, acked := s.h.floors()
	k, err := allowed{acked, s.h.begun()}.checkDB(db)
	if err != nil {
		_ = db.Close()
		return err
	}
	s.h.settle(k)
	s.db = db
	return nil
}

// failedOpen opens the database while a sync fails, which drops what recovery
// has written: the next attempt must not believe what it reads.
func (s *session) failedOpen(n int) error {
	in := s.disk.Inject(faultdisk.Fault{Op: faultdisk.OpSync, N: 1 + n/5%3, Effect: faultdisk.Effect(n / 15 % 2)})
	defer in.Remove()
	err := s.open()
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, faultdisk.ErrInjected):
		return fmt.Errorf("reopen with a failing sync: %w", err)
	}
	s.loose = true
	return leftOpen(s.disk)
}

// close ends the session's process in good order.
func (s *session) close() error {
	if s.db == nil {
		return nil
	}
	s.dropAll()
	st := s.db.Stats()
	s.swallowed += st.CheckpointErrors
	err := s.db.Close()
	if err == nil && st.Failed == nil {
		_, acked := s.h.floors()
		s.h.ack(acked, walnut.SyncFull)
	}
	s.db = nil
	return err
}

func (s *session) reopen() error {
	if err := s.close(); err != nil {
		return err
	}
	return s.open()
}

// verify checks the state that a new reader sees: exactly what is acknowledged.
func (s *session) verify() error {
	_, acked := s.h.floors()
	_, err := allowed{acked, s.h.begun()}.checkDB(s.db)
	return err
}

// checkpoint runs one. What it has copied was synced, at whatever level it was
// committed.
func (s *session) checkpoint(mode walnut.CheckpointMode) error {
	_, acked := s.h.floors()
	r, err := s.db.Checkpoint(s.context(), mode, nil)
	if err != nil {
		return err
	}
	if !r.Busy && r.WaitedFor == "" {
		s.h.ack(acked, walnut.SyncFull)
	}
	return nil
}

// copyPath is where backups go.
const copyPath = "/data/copy.db"

// backup replaces the copy by one of now.
func (s *session) backup() error {
	_, acked := s.h.floors()
	if err := s.db.Backup(s.context(), copyPath, &walnut.BackupOptions{Overwrite: true}); err != nil {
		return err
	}
	k, err := s.checkCopy(allowed{acked, s.h.begun()})
	if err == nil {
		s.copied.Store(int64(k))
	}
	return err
}

// checkCopy compares the copy, which must be there.
func (s *session) checkCopy(a allowed) (k int, err error) {
	db, err := walnut.Open(copyPath, &walnut.Options{FS: s.disk, BusyTimeout: busyTimeout})
	if err != nil {
		return 0, fmt.Errorf("open the copy: %w", err)
	}
	if k, err = a.checkDB(db); err != nil {
		err = fmt.Errorf("the copy: %w", err)
	}
	return k, errors.Join(err, db.Close())
}

// hold begins a read transaction and keeps it.
func (s *session) hold() error {
	tx, err := s.db.Begin(s.context(), &walnut.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	_, acked := s.h.floors()
	k, err := allowed{acked, s.h.begun()}.check(tx)
	if err != nil {
		tx.Rollback()
		return err
	}
	st, _ := s.h.at(k)
	s.held = append(s.held, &reader{tx, k, st})
	return nil
}

// drop checks that the oldest reader still sees what it saw, and ends it.
func (s *session) drop() error {
	if len(s.held) == 0 {
		return nil
	}
	r := s.held[0]
	s.held = s.held[1:]
	defer r.tx.Rollback()
	if err := comparePages(r.tx, r.st); err != nil {
		return fmt.Errorf("the snapshot of transaction %d changed: %w", r.k, err)
	}
	return nil
}

// look checks that all readers that are kept still see what they saw.
func (s *session) look() error {
	for _, r := range s.held {
		if err := comparePages(r.tx, r.st); err != nil {
			return fmt.Errorf("the snapshot of transaction %d changed: %w", r.k, err)
		}
	}
	return nil
}

func (s *session) dropAll() {
	for _, r := range s.held {
		r.tx.Rollback()
	}
	s.held = nil
}

// update runs fn in a write transaction, counts it up and commits it.
func (s *session) update(level walnut.SyncLevel, fn func(*writer)) error {
	tx, err := s.db.Begin(s.context(), &walnut.TxOptions{Sync: &level})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	w := &writer{tx: tx, dirty: map[walnut.PageNo]bool{}}
	w.load(s.h)
	if w.err == nil {
		fn(w)
	}
	if w.err != nil || w.undo {
		if err := tx.Rollback(); w.err == nil {
			return err
		}
		return w.err
	}
	w.put(counterPage, 0)
	if w.err != nil {
		return w.err
	}
	s.h.begin(w.k, version{st: w.st, dirty: slices.Sorted(maps.Keys(w.dirty))})
	switch err = tx.Commit(s.context()); {
	case err == nil:
		s.h.ack(w.k, level)
	case !errors.Is(err, walnut.ErrCommitUnknown):
		s.h.refuse(w.k, w.st)
	}
	return err
}

// replay commits again, byte for byte, what was transaction k before a crash.
func (s *session) replay(v version) error {
	return s.update(walnut.SyncFull, func(w *writer) {
		for _, n := range v.dirty {
			if n != counterPage {
				w.putTag(n, v.st.tags[n-1])
			}
		}
		if w.st.size != v.st.size {
			w.resize(v.st.size)
		}
	})
}

// writer is a write transaction beside its model. The first error stays.
type writer struct {
	tx    *walnut.Tx
	k     int // the number that this transaction is to have
	st    *state
	dirty map[walnut.PageNo]bool
	saves []saved
	undo  bool
	err   error
}

type saved struct {
	st    *state
	dirty map[walnut.PageNo]bool
}

// load finds out on which transaction this one builds.
func (w *writer) load(h *history) {
	k := 0
	if w.tx.PageCount() >= counterPage {
		p, err := w.tx.Page(counterPage)
		if err != nil {
			w.err = err
			return
		}
		k = int(binary.BigEndian.Uint64(p))
	}
	base, ok := h.at(k)
	if !ok {
		w.err = fmt.Errorf("GHOST: a write transaction builds on %d, which was never begun", k)
		return
	}
	if n := w.tx.PageCount(); n != base.size && !(n == 1 && base.size == 0) {
		w.err = fmt.Errorf("TORN: a write transaction has %d pages, the model of %d has %d", n, k, base.size)
		return
	}
	w.k, w.st = k+1, base.clone()
}

// put writes page n; variants of one transaction differ.
func (w *writer) put(n walnut.PageNo, variant uint8) {
	if n == counterPage {
		w.putTag(n, uint64(w.k))
		return
	}
	w.putTag(n, tagOf(w.k, variant))
}

func (w *writer) putTag(n walnut.PageNo, tag uint64) {
	if w.err != nil {
		return
	}
	p, err := w.tx.Write(n)
	if err != nil {
		w.err = err
		return
	}
	if uint32(n) <= w.st.size && !filled(p, n, w.st.tags[n-1]) {
		w.err = fmt.Errorf("TORN: transaction %d finds in page %d another content than the model", w.k, n)
		return
	}
	fill(p, n, tag)
	w.st.set(n, tag)
	w.dirty[n] = true
}

func (w *writer) resize(n uint32) {
	if w.err == nil {
		w.err = w.tx.SetPageCount(n)
		w.st.resize(n)
		maps.DeleteFunc(w.dirty, func(p walnut.PageNo, _ bool) bool { return uint32(p) > n })
	}
}

func (w *writer) savepoint() {
	if w.err == nil {
		_, w.err = w.tx.Savepoint()
		w.saves = append(w.saves, saved{w.st.clone(), maps.Clone(w.dirty)})
	}
}

func (w *writer) rollbackTo(depth int) {
	if w.err == nil {
		w.err = w.tx.RollbackTo(depth)
		s := w.saves[depth-1]
		w.st, w.dirty = s.st.clone(), maps.Clone(s.dirty)
		w.saves = w.saves[:depth]
	}
}

func (w *writer) release(depth int) {
	if w.err == nil {
		w.err = w.tx.Release(depth)
		w.saves = w.saves[:depth-1]
	}
}

// check compares all pages of the transaction with the model.
func (w *writer) check() {
	if w.err == nil {
		w.err = comparePages(w.tx, w.st)
	}
}
