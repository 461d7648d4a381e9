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
	"context"
	"fmt"
	"slices"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

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
		err := c.copyTo(ctx, t, safe)
		if isSideFull(err) {
			c.sideFull = true
			c.r.WaitedFor = fmt.Sprintf("%s, for whom the pages to be overwritten cannot be kept: %v", readers(len(l.co.Detached()), "that is detached"), err)
			return false, nil
		}
		if err != nil {
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
	if err := l.unmoved(); err != nil {
		return err
	}
	if err := c.copyPages(ctx, t, safe); err != nil {
		return err
	}
	// The log must not be begun anew over what went into a file that is gone.
	if err := l.unmoved(); err != nil {
		return err
	}
	l.co.Publish(func(s *coord.State) bool {
		if s.Gen != t.Gen || s.NBackfill >= safe {
			return false
		}
		s.NBackfill = safe
		return true
	})
	l.fileVersion++
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
// safe] to the database file (see copy.go), sets its size if safe ends t, and
// syncs it.
func (c *checkpoint) copyPages(ctx context.Context, t *coord.State, safe walformat.FrameNo) error {
	l := c.l
	h := l.hdr.Load()
	dbSize, err := l.sizeAt(h, t.Index, safe)
	if err != nil {
		return err
	}
	todo := newestPages(t.Index, t.NBackfill, safe, walformat.PageNo(dbSize))
	keep := dbSize
	if safe != t.MaxFrame {
		keep = ^uint32(0) // nothing is cut off
	}
	if err := l.saveForDetached(todo, keep); err != nil {
		return err
	}
	done := 0
	cp := newCopier(l, h, t.Index, todo)
	var p *pace
	if c.paced {
		p = newPace(l, safe-t.NBackfill)
		cp.per = min(cp.per, l.slicePages())
	}
	err = cp.run(ctx, func(n int) error {
		done += n
		c.pages += n
		l.stats.backfilledPages.Add(uint64(n))
		l.stats.dbBytes.Add(uint64(n) * uint64(h.PageSize))
		if c.o.Progress != nil {
			c.o.Progress(done, len(todo))
		}
		if p != nil && done < len(todo) {
			return p.slice(done, len(todo))
		}
		return nil
	})
	if err != nil {
		return err
	}
	db := l.cfg.DB
	if safe == t.MaxFrame {
		want := int64(dbSize) * int64(h.PageSize)
		if err := l.setDBSize(want, int64(h.PageSize)); err != nil {
			return fmt.Errorf("set the size of %s to %d bytes: %w", db.Name(), want, err)
		}
	}
	if err := l.syncDB(); err != nil {
		return err
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
