// The writer's place: the base of a write transaction, the log's creation, and
// the space reserved ahead of its end.

package wal

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

const (
	// The log grows ahead in chunks from minChunk to maxChunk bytes, doubling
	// with its size: a small log stays small, and a chunk of more than 1 MiB
	// is felt by whoever waits behind it.
	minChunk = 64 << 10
	maxChunk = 1 << 20
	// maxPending bounds the bytes accepted and not written, but for those of one
	// transaction. A writer that finds more waits for the leader first.
	maxPending = 64 << 20
)

// Frame is one page of a transaction to be committed.
type Frame struct {
	Page walformat.PageNo
	// Data is the whole page; it must not change after Commit was called.
	Data []byte
}

// Writer holds the writer's place, from [WriterRequest.Begin] until Commit or
// Abandon. It is used by one goroutine at a time.
type Writer struct {
	log *Log
	// Base is the newest accepted state, which the transaction builds on. It
	// need not be published yet. After a Commit it is the state that was
	// committed.
	Base *coord.State
	// base is where Base points.
	base coord.State
	// who has the place, for reports.
	who coord.Who
	// spill is what the transaction has in the log already.
	spill spill
	// commit is what Commit enters into the log's lists.
	commit commit
}

// WriterRequest is a wait for the writer's place that the caller drives, and
// then the place of the Writer that it leads to.
type WriterRequest struct {
	log *Log
	req *coord.Request
	// auto is what the request may do to the log besides.
	auto  AutoActions
	claim coord.Claim
	w     Writer
}

// AutoActions are what a write transaction may do to the log besides its own
// frames, for others who own the log.
type AutoActions struct {
	// NoRestart forbids to begin a new generation; NoCheckpoint to copy for it.
	NoRestart, NoCheckpoint bool
}

// RequestWriteInto queues for the writer's place. r is zero, or its Writer has
// ended by an Abandon or by a Commit without an error.
func (l *Log) RequestWriteInto(r *WriterRequest, who coord.Who, auto AutoActions) error {
	return l.request(r, coord.WriteRequest, 0, who, auto)
}

// RequestUpgradeInto is RequestWriteInto for a read transaction on st. It fails
// with coord.ErrSnapshotStale, now or while it waits, if st is not the newest
// accepted state.
func (l *Log) RequestUpgradeInto(r *WriterRequest, st *coord.State, who coord.Who, auto AutoActions) error {
	return l.request(r, coord.UpgradeRequest, st.Seq, who, auto)
}

func (l *Log) request(r *WriterRequest, kind coord.RequestKind, base coord.CommitSeq, who coord.Who, auto AutoActions) (err error) {
	l.assertState()
	r.log, r.req, r.auto, r.claim.Who = l, nil, auto, who
	if err := l.refused(); err != nil {
		return err
	}
	r.req, err = l.co.RequestWriter(kind, base, &r.claim)
	return err
}

// Answer is nil if the place was granted at once. Otherwise one error, nil for
// a grant, comes out of it; then Begin must be called if it was nil.
func (r *WriterRequest) Answer() <-chan error {
	if r.req == nil {
		return nil
	}
	return r.req.Answer()
}

// Cancel ends a wait whose answer was not received.
func (r *WriterRequest) Cancel() {
	if r.req != nil {
		r.log.assertState()
		r.req.Cancel()
	}
}

// Granted waits for the place; then Begin must be called, if the error is nil.
// It may be ctx's.
func (r *WriterRequest) Granted(ctx context.Context) error {
	if r.req == nil {
		return nil
	}
	return r.req.Wait(ctx)
}

// Begin turns a granted place into a Writer. On an error the place has been
// passed on. A log at its limit may hold it for a moment, which the end of ctx
// ends; that is no error.
func (r *WriterRequest) Begin(ctx context.Context) (*Writer, error) {
	l := r.log
	l.assertState()
	if r.req != nil {
		took := r.claim.Waited()
		l.stats.waits.add(took)
		l.slow(EventSlowWriter, took, Event{Who: r.claim.Who})
	}
	err := l.refused()
	if err == nil && !r.auto.NoRestart {
		err = l.autoRestart()
	}
	if err == nil && r.auto == (AutoActions{}) {
		err = l.relieve(ctx)
	}
	w := &r.w
	if err == nil {
		w.log, w.Base, w.spill, w.who = l, &w.base, spill{}, r.claim.Who
		w.base, err = l.base()
	}
	if err != nil {
		l.co.ReleaseWriter()
		return nil, err
	}
	w.assertPlace()
	return w, nil
}

// base is the state that the next transaction builds on. If too much is
// accepted and not written, it waits for a sync first. REQUIRES the writer's
// place.
func (l *Log) base() (coord.State, error) {
	l.mu.Lock()
	st, much := l.acceptedLocked(), l.mu.pendingBytes > l.cfg.sizes.pending()
	l.mu.Unlock()
	if much {
		return st, l.syncTo(st.Gen, st.MaxFrame)
	}
	return st, nil
}

// acceptedLocked is the newest accepted state. REQUIRES mu.
func (l *Log) acceptedLocked() coord.State {
	return coord.State{
		Snapshot: coord.Snapshot{Gen: l.mu.gen, MaxFrame: l.mu.accepted, DBSize: l.mu.dbSize, Seq: l.mu.seq},
		Index:    l.mu.idx,
	}
}

// SetPageSize sets the page size of a database that is still empty.
func (w *Writer) SetPageSize(n int) error {
	if w.Base.DBSize != 0 {
		return fmt.Errorf("the page size of a database with pages cannot change (it is %d)", w.log.PageSize())
	}
	if !walformat.ValidPageSize(n) {
		return fmt.Errorf("%d is no page size: it must be a power of two from 512 to 65536", n)
	}
	w.log.pageSize.Store(int32(n))
	return nil
}

// Reserve makes sure that n more frames fit into the log, creating it if need
// be. A full disk shows here, and changes nothing.
func (w *Writer) Reserve(n int) error {
	l := w.log
	l.assertState()
	w.assertPlace()
	defer w.assertPlace()
	if err := l.refused(); err != nil {
		return err
	}
	// With a commit in the log, whoever wrote the first has settled the file;
	// and a backfill may be writing page 1.
	if !l.settled && w.Base.MaxFrame == 0 {
		if err := l.settleDB(); err != nil {
			return err
		}
	}
	l.settled = true
	h := l.hdr.Load()
	if h == nil || h.PageSize != l.PageSize() {
		if err := l.create(); err != nil {
			return err
		}
		h = l.hdr.Load()
	}
	if int64(w.Spilled())+int64(n) > int64(^uint32(0)>>1) {
		return fmt.Errorf("%s cannot hold %d more frames: checkpoint it first", l.path, n)
	}
	need := h.EndOffset(w.Spilled() + walformat.FrameNo(n))
	if need <= l.reserved || l.copyOnWrite {
		return nil
	}
	return l.extend(need)
}

// extend zero-fills the log ahead, at least up to need, and syncs it, so that
// the syncs of commits change no metadata. REQUIRES the writer's place.
func (l *Log) extend(need walformat.Offset) error {
	chunk := min(max(l.reserved, minChunk), maxChunk)
	// What is filled ahead counts in the size of a file that has a limit.
	if limit := walformat.Offset(l.limits.Load().LogBytes); limit > 0 {
		chunk = max(minChunk, min(chunk, limit/16/minChunk*minChunk))
	}
	end, err := l.zeroFill(l.reserved, (need+chunk-1)/chunk*chunk)
	if err != nil && end < need {
		if end, err = l.zeroFill(end, need); err != nil {
			return fmt.Errorf("reserve log space up to byte %d of %s: %w", need, l.path, err)
		}
	}
	l.stats.extensions.Add(1)
	if err := l.syncFile("sync after extending"); err != nil {
		return err
	}
	l.reserved = end
	return nil
}

// zeroFill writes zeros from one offset to another and returns how far it got.
func (l *Log) zeroFill(from, to walformat.Offset) (walformat.Offset, error) {
	zeros := make([]byte, min(int64(to-from), minChunk))
	for from < to {
		n, err := l.file.WriteVAt([][]byte{zeros[:min(int64(to-from), int64(len(zeros)))]}, int64(from))
		from += walformat.Offset(n)
		if err != nil {
			return from, err
		}
	}
	return from, nil
}

// create makes the log file and its header, durable with its name, before any
// frame. REQUIRES the writer's place and an empty generation.
func (l *Log) create() error {
	if l.file == nil {
		if err := l.openLog(); err != nil {
			return err
		}
	}
	h := l.nextHeader()
	buf := make([]byte, walformat.HeaderSize)
	h.Encode(buf)
	if _, err := l.file.WriteVAt([][]byte{buf}, 0); err != nil {
		// Nothing depends on this header: the next attempt writes it again.
		return fmt.Errorf("write the header of %s: %w", l.path, err)
	}
	if err := l.syncFile("sync the header of"); err != nil {
		return err
	}
	if err := l.cfg.FS.SyncDir(l.dir); err != nil {
		return l.poison("sync the directory of", err)
	}
	l.reserved = max(l.reserved, walformat.HeaderSize)
	l.mu.Lock()
	l.mu.idx.SetBase(h.Sum)
	l.mu.sum = h.Sum
	l.lastHdr = h
	l.hdr.Store(&h)
	l.mu.Unlock()
	return nil
}

// settleDB makes page 1 of the database file durable before the log gets its
// first commit: an earlier process may have been killed between creating the
// file and syncing it, and C SQLite deletes the log of an empty database file
// unread.
func (l *Log) settleDB() error {
	buf := make([]byte, disk.SectorSize)
	n, err := l.cfg.DB.ReadAt(buf, 0)
	if n == 0 || err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read page 1 of %s: %w", l.cfg.DB.Name(), err)
	}
	if _, err := l.cfg.DB.WriteVAt([][]byte{buf[:n]}, 0); err != nil {
		return fmt.Errorf("write page 1 of %s: %w", l.cfg.DB.Name(), err)
	}
	l.stats.dbSync.Add(1)
	if err := l.cfg.DB.SyncData(); err != nil {
		return fmt.Errorf("sync %s: %w", l.cfg.DB.Name(), err)
	}
	return nil
}

// nextHeader is the header of the next generation: one checkpoint later, salt
// 1 counted up, salt 2 drawn.
func (l *Log) nextHeader() walformat.Header {
	var r [8]byte
	_, _ = rand.Read(r[:]) // never fails
	h := walformat.Header{
		Order: walformat.NativeOrder, Version: walformat.Version, PageSize: l.PageSize(),
		CheckpointSeq: l.lastHdr.CheckpointSeq + 1,
		Salt1:         l.lastHdr.Salt1 + 1,
		Salt2:         binary.LittleEndian.Uint32(r[4:]),
	}
	if l.lastHdr.PageSize == 0 {
		h.CheckpointSeq, h.Salt1 = 0, binary.LittleEndian.Uint32(r[:])
	}
	return h
}

// Abandon gives the place up without a commit. It returns after the base of
// the transaction is published: what was read on it must not vanish. If that
// fails, the error says so.
func (w *Writer) Abandon() error {
	l := w.log
	l.assertState()
	w.assertPlace()
	err := w.cut()
	l.co.ReleaseWriter()
	if err != nil {
		return err
	}
	return l.waitPublished(w.Base)
}

// waitPublished waits until base is published or has failed.
func (l *Log) waitPublished(base *coord.State) error {
	l.mu.Lock()
	if l.co.Published().Seq >= base.Seq {
		l.mu.Unlock()
		return nil
	}
	if err := l.mu.failed; err != nil {
		l.mu.Unlock()
		return err
	}
	var done <-chan struct{}
	for _, c := range l.mu.inflight {
		if c.seq == base.Seq {
			done = c.watch()
		}
	}
	l.mu.Unlock()
	<-done
	if l.co.Published().Seq >= base.Seq {
		return nil
	}
	return l.Failed()
}
