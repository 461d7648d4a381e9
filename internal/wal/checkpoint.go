// Checkpoints: copying frames into the database file (DESIGN section 5).
//
// The order of the steps is what keeps data: load the target T, then find the
// safe frame among the marks, then have the log synced up to it, then write
// the pages and set the size, then sync the database file, and only then
// publish nBackfill, in the generation of T. A checkpoint that failed begins
// again at the published nBackfill and writes every page once more.

package wal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// CheckpointMode is one of SQLite's checkpoint modes.
type CheckpointMode uint8

const (
	// Passive copies what it can without waiting for anybody.
	Passive CheckpointMode = iota
	// Truncate waits for the writer and for readers, copies everything, and
	// cuts the log to zero bytes.
	Truncate
)

func (m CheckpointMode) String() string {
	switch m {
	case Passive:
		return "passive"
	case Truncate:
		return "truncate"
	}
	return fmt.Sprintf("CheckpointMode(%d)", uint8(m))
}

// CheckpointResult is what a checkpoint did.
type CheckpointResult struct {
	Mode CheckpointMode
	// LogFrames is the number of frames in the log afterwards, Backfilled how
	// many of them are in the database file: SQLite's second and third column.
	LogFrames, Backfilled walformat.FrameNo
	// Busy: the checkpoint could not do all that its mode promises, because of
	// WaitedFor. SQLite's first column.
	Busy bool
	// WaitedFor names in words who was in the way, "" if nobody was.
	WaitedFor string
}

// waitStep and waitMax are the steps in which a checkpoint looks again whether
// readers have gone.
const (
	waitStep = time.Millisecond
	waitMax  = 20 * time.Millisecond
)

// batchBytes is how much is read, verified and written at once.
const batchBytes = 4 << 20

// Checkpoint runs a checkpoint. Who is in its way makes the result Busy, not an
// error; ctx bounds the waits of Truncate, and ends Passive between two
// batches. progress, if not nil, is told the pages done and to do.
func (l *Log) Checkpoint(ctx context.Context, mode CheckpointMode, progress func(done, total int)) (CheckpointResult, error) {
	if err := l.refused(); err != nil {
		return CheckpointResult{Mode: mode}, err
	}
	var waited string
	var err error
	if mode == Passive {
		waited, err = l.passive(ctx, progress)
	} else {
		waited, err = l.truncate(ctx, progress)
	}
	st := l.co.Published()
	r := CheckpointResult{Mode: mode, LogFrames: st.MaxFrame, Backfilled: st.NBackfill, WaitedFor: waited}
	r.Busy = err == nil && waited != "" && (mode != Passive || waited == waitCheckpoint)
	if err != nil {
		l.stats.checkpointErrs.Add(1)
		return r, fmt.Errorf("%s checkpoint of %s: %w", mode, l.cfg.DB.Name(), err)
	}
	return r, nil
}

// What a checkpoint may be waiting for.
const (
	waitCheckpoint = "another checkpoint"
	waitWriter     = "a write transaction"
	waitFileReader = "a reader of the database file"
	waitLogReader  = "a reader of an older snapshot"
	waitItself     = "more time: the copying took all that was allowed"
)

func (l *Log) passive(ctx context.Context, progress func(done, total int)) (string, error) {
	if !l.co.TryLockCheckpoint() {
		return waitCheckpoint, nil
	}
	defer l.co.UnlockCheckpoint()
	return l.backfill(ctx, progress)
}

// truncate: see Truncate. The returned text is "" if all was done.
func (l *Log) truncate(ctx context.Context, progress func(done, total int)) (string, error) {
	if err := l.co.LockCheckpoint(ctx); err != nil {
		return waitCheckpoint, waitError(err)
	}
	defer l.co.UnlockCheckpoint()
	req, err := l.co.RequestWriter(coord.MaintenanceRequest, 0)
	if err != nil {
		return "", err
	}
	if req != nil {
		if err := req.Wait(ctx); err != nil {
			return waitWriter, waitError(err)
		}
	}
	defer l.co.ReleaseWriter()
	return l.truncateAlone(ctx, progress)
}

// truncateAlone is truncate with the checkpoint lock and the writer's place.
func (l *Log) truncateAlone(ctx context.Context, progress func(done, total int)) (string, error) {
	if err := l.drain(); err != nil {
		return "", err
	}
	if l.file == nil {
		return "", nil
	}
	pause := waitStep
	for {
		waited, err := l.backfill(ctx, progress)
		if err != nil {
			return waitItself, waitError(err)
		}
		if waited == "" {
			if done, err := l.truncateNow(); done || err != nil {
				return "", err
			}
			waited = waitLogReader
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			pause = min(2*pause, waitMax)
		case <-ctx.Done():
			timer.Stop()
			return waited, waitError(ctx.Err())
		}
	}
}

// truncateNow cuts the log unless a reader needs it. REQUIRES the checkpoint
// lock, the writer's place, and everything backfilled.
func (l *Log) truncateNow() (bool, error) {
	if err := l.takeLead(); err != nil {
		return false, err
	}
	defer l.dropLead()
	return l.restart(true)
}

// waitError turns the end of a wait into "busy": only a cancellation is an
// error of its own.
func waitError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// drain waits until everything accepted is published. REQUIRES the writer's
// place.
func (l *Log) drain() error {
	l.mu.Lock()
	gen, end := l.mu.gen, l.mu.accepted
	l.mu.Unlock()
	if st := l.co.Published(); st.Gen == gen && st.MaxFrame == end {
		return l.Failed()
	}
	if err := l.syncTo(gen, end); err != nil {
		return err
	}
	// Durable is not published yet if another leader's round is under way.
	if err := l.takeLead(); err != nil {
		return err
	}
	l.lead(nil, false)
	return l.Failed()
}

// backfill copies what it may into the database file. It returns whom it could
// not wait for. REQUIRES the checkpoint lock.
func (l *Log) backfill(ctx context.Context, progress func(done, total int)) (string, error) {
	t := l.co.Published()
	if t.MaxFrame == t.NBackfill {
		return "", nil
	}
	safe, ok := l.co.SafeFrame(t.MaxFrame)
	if !ok {
		return waitFileReader, nil
	}
	waited := ""
	if safe < t.MaxFrame {
		waited = waitLogReader
	}
	if safe <= t.NBackfill {
		return waited, nil
	}
	if err := l.syncTo(t.Gen, safe); err != nil {
		return "", err
	}
	if err := l.copyPages(ctx, t, safe, progress); err != nil {
		return "", err
	}
	l.co.Publish(func(s *coord.State) bool {
		if s.Gen != t.Gen || s.NBackfill >= safe {
			return false
		}
		s.NBackfill = safe
		return true
	})
	l.stats.checkpoints.Add(1)
	return waited, nil
}

// copyPages writes the newest version of every page in the frames (t.NBackfill,
// safe] to the database file, sets its size if safe ends t, and syncs it.
func (l *Log) copyPages(ctx context.Context, t *coord.State, safe walformat.FrameNo, progress func(done, total int)) error {
	h := l.hdr.Load()
	dbSize, err := l.sizeAt(h, t.Index, safe)
	if err != nil {
		return err
	}
	todo := newestPages(t.Index, t.NBackfill, safe, walformat.PageNo(dbSize))
	batch := max(1, min(batchBytes/h.FrameSize(), 1024))
	buf := make([]byte, min(batch, len(todo))*h.FrameSize())
	for done := 0; done < len(todo); {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := todo[done:min(done+batch, len(todo))]
		if err := l.copyBatch(h, t.Index, part, buf); err != nil {
			return err
		}
		done += len(part)
		l.stats.backfilledPages.Add(uint64(len(part)))
		if progress != nil {
			progress(done, len(todo))
		}
	}
	db := l.cfg.DB
	if safe == t.MaxFrame {
		want := int64(dbSize) * int64(h.PageSize)
		if err := l.setDBSize(want, int64(h.PageSize)); err != nil {
			return fmt.Errorf("set the size of %s to %d bytes: %w", db.Name(), want, err)
		}
	}
	l.stats.dbSync.Add(1)
	if err := db.SyncData(); err != nil {
		return fmt.Errorf("sync %s: %w", db.Name(), err)
	}
	if safe == t.MaxFrame {
		l.sizeInDoubt = false
	}
	return nil
}

// setDBSize makes the database file want bytes long. A size that is right
// already may be what a failed sync has dropped: then it is changed and set
// again, for a truncation to the size that the cache shows writes nothing.
// REQUIRES the checkpoint lock.
func (l *Log) setDBSize(want, pageSize int64) error {
	db := l.cfg.DB
	size, err := db.Size()
	if err != nil || size == want && !l.sizeInDoubt {
		return err
	}
	l.sizeInDoubt = true // until it is synced
	if size == want {
		if err := db.Truncate(want + pageSize); err != nil {
			return err
		}
	}
	return db.Truncate(want)
}

// sizeAt returns the database size in pages as of commit frame f.
func (l *Log) sizeAt(h *walformat.Header, idx *coord.Index, f walformat.FrameNo) (uint32, error) {
	buf := getFrameBuf(h.FrameSize())
	defer putFrameBuf(buf)
	if err := l.loadFrame(h, idx, f, idx.Page(f), *buf); err != nil {
		return 0, err
	}
	size := walformat.ParseFrameHeader(*buf).Commit
	if size == 0 {
		return 0, fmt.Errorf("%w: frame %d of %s ends a snapshot but no transaction", ErrCorrupt, f, l.path)
	}
	return size, nil
}

// pageFrame is a page and the frame that holds it, sorting by page.
type pageFrame uint64

func (p pageFrame) page() walformat.PageNo   { return walformat.PageNo(p >> 32) }
func (p pageFrame) frame() walformat.FrameNo { return walformat.FrameNo(uint32(p)) }

// newestPages lists the newest frame of each page in the frames (from, to], by
// page, without the pages above last.
func newestPages(idx *coord.Index, from, to walformat.FrameNo, last walformat.PageNo) []pageFrame {
	list := make([]pageFrame, 0, to-from)
	for f := from + 1; f <= to; f++ {
		if p := idx.Page(f); p <= last {
			list = append(list, pageFrame(uint64(p)<<32|uint64(f)))
		}
	}
	slices.Sort(list)
	n := 0
	for i, p := range list {
		if i+1 == len(list) || list[i+1].page() != p.page() {
			list[n] = p
			n++
		}
	}
	return list[:n]
}

// copyBatch reads and verifies the frames into buf and writes runs of
// neighbouring pages with one vectored write each.
func (l *Log) copyBatch(h *walformat.Header, idx *coord.Index, part []pageFrame, buf []byte) error {
	size := h.FrameSize()
	vec := make([][]byte, len(part))
	for i, p := range part {
		frame := buf[i*size : (i+1)*size]
		if err := l.loadFrame(h, idx, p.frame(), p.page(), frame); err != nil {
			return err
		}
		vec[i] = frame[walformat.FrameHeaderSize:]
	}
	for i := 0; i < len(part); {
		n := 1
		for i+n < len(part) && part[i+n].page() == part[i].page()+walformat.PageNo(n) {
			n++
		}
		off := int64(part[i].page()-1) * int64(h.PageSize)
		if _, err := l.cfg.DB.WriteVAt(vec[i:i+n], off); err != nil {
			return fmt.Errorf("write pages %d to %d of %s: %w", part[i].page(), int(part[i].page())+n-1, l.cfg.DB.Name(), err)
		}
		i += n
	}
	return nil
}

// autoCheckpoint runs after a commit, outside the writer's place: PASSIVE once
// threshold frames wait for backfilling. Its errors are counted and no more: a
// commit does not fail for them.
func (l *Log) autoCheckpoint(threshold walformat.FrameNo) {
	st := l.co.Published()
	if st.MaxFrame-st.NBackfill < threshold {
		return
	}
	if r, err := l.Checkpoint(context.Background(), Passive, nil); err != nil || r.WaitedFor != "" {
		return
	}
	// Writers that overlap leave no moment at which everything accepted is
	// backfilled, which is what an automatic restart waits for. The next
	// writer makes one: this commit must not wait for anybody's transaction.
	if st := l.co.Published(); st.MaxFrame >= 4*threshold {
		l.restartDue.Store(true)
	}
}
