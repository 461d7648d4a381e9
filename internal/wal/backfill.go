// Backfilling: copying frames into the database file.
//
// The order of the steps is what keeps data: load the target T, then find the
// safe frame among the marks, then have the log synced up to it, then write
// the pages and set the size, then sync the database file, and only then
// publish nBackfill, in the generation of T. A backfill that failed begins
// again at the published nBackfill and writes every page once more: what the
// file shows of the failed one may be in the cache only.

package wal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// batchBytes is how much is read, verified and written at once.
const batchBytes = 4 << 20

// backfill copies what it may, up to the options' limit, and reports whether
// that was everything; if not, it sets WaitedFor. REQUIRES the checkpoint lock.
func (c *checkpoint) backfill(ctx context.Context) (done bool, err error) {
	l := c.l
	t := l.co.Published()
	if t.MaxFrame == t.NBackfill {
		return true, nil
	}
	target := t.MaxFrame
	if c.o.MaxFrame > 0 && c.o.MaxFrame < target {
		if target, err = l.lastCommit(t, c.o.MaxFrame); err != nil {
			return false, err
		}
	}
	if target <= t.NBackfill {
		return true, nil
	}
	safe, ok := l.co.SafeFrame(target)
	if !ok {
		n, _ := l.co.Readers()
		c.r.WaitedFor = readers(n, "of the database file")
		return false, nil
	}
	if safe > t.NBackfill {
		if err := c.copyTo(ctx, t, safe); err != nil {
			return false, err
		}
	}
	if safe < target {
		_, n := l.co.Readers()
		c.r.WaitedFor = fmt.Sprintf("%s, the oldest of which needs frame %d of %d", readers(n, "of the log"), safe, t.MaxFrame)
		return false, nil
	}
	return true, nil
}

// copyTo backfills up to safe, a commit frame, and publishes that.
func (c *checkpoint) copyTo(ctx context.Context, t *coord.State, safe walformat.FrameNo) error {
	l := c.l
	if err := l.syncTo(t.Gen, safe); err != nil {
		return err
	}
	if err := l.copyPages(ctx, t, safe, c.o.Progress); err != nil {
		return err
	}
	l.co.Publish(func(s *coord.State) bool {
		if s.Gen != t.Gen || s.NBackfill >= safe {
			return false
		}
		s.NBackfill = safe
		return true
	})
	l.stats.checkpoints.Add(1)
	return nil
}

// lastCommit returns the last commit frame of t up to max, or t.NBackfill.
func (l *Log) lastCommit(t *coord.State, max walformat.FrameNo) (walformat.FrameNo, error) {
	h := l.hdr.Load()
	var head [walformat.FrameHeaderSize]byte
	for f := max; f > t.NBackfill; f-- {
		if _, err := l.file.ReadAt(head[:], int64(h.FrameOffset(f))); err != nil {
			return 0, fmt.Errorf("read the header of frame %d of %s: %w", f, l.path, err)
		}
		if walformat.ParseFrameHeader(head[:]).Commit != 0 {
			return f, nil
		}
	}
	return t.NBackfill, nil
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
	b := newBatch(l, h, t.Index, min(batch, len(todo)))
	for done := 0; done < len(todo); {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := todo[done:min(done+batch, len(todo))]
		if err := b.copy(part); err != nil {
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

// batch copies pages, up to a number at a time: neighbouring frames with one
// read, all verified, neighbouring pages with one vectored write.
type batch struct {
	l   *Log
	h   *walformat.Header
	idx *coord.Index
	buf []byte
	// order has the pages of the batch by frame; buf[i] is where order[i] is
	// read to, and vec in page order.
	order []int
	vec   [][]byte
	// verifiers is on how many cores checksums are computed.
	verifiers int
}

func newBatch(l *Log, h *walformat.Header, idx *coord.Index, n int) *batch {
	return &batch{l: l, h: h, idx: idx, buf: make([]byte, n*h.FrameSize()), order: make([]int, 0, n), vec: make([][]byte, n),
		verifiers: min(runtime.GOMAXPROCS(0), 1+n*h.FrameSize()/(256<<10))}
}

func (b *batch) copy(part []pageFrame) error {
	if err := b.read(part); err != nil {
		return err
	}
	if err := b.verify(part); err != nil {
		return err
	}
	return b.write(part)
}

// frameAt is where the i-th frame of the batch, in frame order, is.
func (b *batch) frameAt(i int) []byte {
	size := b.h.FrameSize()
	return b.buf[i*size : (i+1)*size]
}

func (b *batch) read(part []pageFrame) error {
	b.order = b.order[:0]
	for i := range part {
		b.order = append(b.order, i)
	}
	slices.SortFunc(b.order, func(x, y int) int { return cmp.Compare(part[x].frame(), part[y].frame()) })
	size := b.h.FrameSize()
	for i := 0; i < len(b.order); {
		first, n := part[b.order[i]].frame(), 1
		for i+n < len(b.order) && part[b.order[i+n]].frame() == first+walformat.FrameNo(n) {
			n++
		}
		off := int64(b.h.FrameOffset(first))
		if _, err := b.l.file.ReadAt(b.buf[i*size:(i+n)*size], off); err != nil {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("%w: the file ends before", ErrCorrupt)
			}
			return fmt.Errorf("read frames %d to %d of %s at offset %d: %w", first, int(first)+n-1, b.l.path, off, err)
		}
		i += n
	}
	for i, p := range b.order {
		b.vec[p] = b.frameAt(i)[walformat.FrameHeaderSize:]
	}
	return nil
}

// verify checks every frame of the batch, on several cores: each needs only
// the checksum stored in the one before it, which the index has.
func (b *batch) verify(part []pageFrame) error {
	errs := make([]error, b.verifiers)
	var wg sync.WaitGroup
	check := func(v int) {
		for i := v * len(b.order) / b.verifiers; i < (v+1)*len(b.order)/b.verifiers && errs[v] == nil; i++ {
			p := part[b.order[i]]
			errs[v] = b.l.verifyFrame(b.h, b.idx, p.frame(), p.page(), b.frameAt(i))
		}
	}
	for v := 1; v < b.verifiers; v++ {
		wg.Go(func() { check(v) })
	}
	check(0)
	wg.Wait()
	return errors.Join(errs...)
}

func (b *batch) write(part []pageFrame) error {
	for i := 0; i < len(part); {
		n := 1
		for i+n < len(part) && part[i+n].page() == part[i].page()+walformat.PageNo(n) {
			n++
		}
		db := b.l.cfg.DB
		off := int64(part[i].page()-1) * int64(b.h.PageSize)
		if _, err := db.WriteVAt(b.vec[i:i+n], off); err != nil {
			return fmt.Errorf("write pages %d to %d of %s: %w", part[i].page(), int(part[i].page())+n-1, db.Name(), err)
		}
		i += n
	}
	return nil
}
