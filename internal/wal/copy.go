// Copying pages from the log into the database file, in batches.
//
//	loader  read a batch of frames, verify each     on a goroutine of its own
//	writer  write the batch before it, page by      on the caller's
//	        page; begin writing out what is written
//
// The two work at the same time, on batches that fit into a core's cache, and
// the device works beside both: it is told to begin before the final sync.
//
// Invariants:
//
//  1. Batches are written in page order, each after all of its frames were
//     verified. Nothing of a batch that does not verify is written, and nothing
//     of those behind it.
//  2. Only frames in the list are read: it ends at the safe frame.
//  3. Whichever way the copying ends, the loader has ended before it returns
//     (see pipeline): the caller may give up the checkpoint lock, under which
//     alone the log's frames stay what they are.

package wal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// batchBytes is how much is read and verified at once. With more, a batch has
// left the core's cache when it is written.
const batchBytes = 1 << 20

// copier copies the pages of a list.
type copier struct {
	l    *Log
	h    *walformat.Header
	idx  *coord.Index
	todo []pageFrame
	// per is how many pages make a batch.
	per int
	out writeOut
}

func newCopier(l *Log, h *walformat.Header, idx *coord.Index, todo []pageFrame) *copier {
	c := &copier{l: l, h: h, idx: idx, todo: todo,
		per: max(1, l.cfg.sizes.batch()/h.FrameSize()), out: writeOut{file: l.cfg.DB, every: l.cfg.sizes.writeOut()}}
	c.per = l.batchPages(c.per)
	return c
}

// run copies all pages and calls wrote, with their number, after each batch; an
// error of it ends the copying. It looks at ctx between two batches.
func (c *copier) run(ctx context.Context, wrote func(pages int) error) error {
	n := (len(c.todo) + c.per - 1) / c.per
	batches := make([]*batch, min(n, c.l.copyDepth()))
	for i := range batches {
		batches[i] = c.newBatch()
		defer batches[i].release()
	}
	return pipeline(n, batches, func(i int, b *batch) error {
		return b.load(c.todo[i*c.per : min((i+1)*c.per, len(c.todo))])
	}, func(_ int, b *batch) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.write(b); err != nil {
			return err
		}
		return wrote(len(b.part))
	})
}

// write writes a loaded batch, neighbouring pages with one vectored write.
func (c *copier) write(b *batch) error {
	db := c.l.cfg.DB
	for i := 0; i < len(b.part); {
		first, n := b.part[i].page(), 1
		for i+n < len(b.part) && b.part[i+n].page() == first+walformat.PageNo(n) {
			n++
		}
		off := int64(first-1) * int64(c.h.PageSize)
		k, err := db.WriteVAt(b.vec[i:i+n], off)
		if err == nil {
			err = c.out.wrote(off, k)
		}
		if err != nil {
			return fmt.Errorf("write pages %d to %d of %s: %w", first, int(first)+n-1, db.Name(), err)
		}
		i += n
	}
	return nil
}

// batch is a number of pages on their way.
type batch struct {
	c    *copier
	part []pageFrame // by page
	buf  *[]byte
	// order has the pages of the batch by frame; the i-th frame of buf is that
	// of order[i]. vec has their contents, by page.
	order []int
	vec   [][]byte
}

func (c *copier) newBatch() *batch {
	n := min(c.per, len(c.todo))
	return &batch{c: c, buf: batchBufs.get(n * c.h.FrameSize()), order: make([]int, 0, n), vec: make([][]byte, n)}
}

// release gives the buffer back.
func (b *batch) release() { batchBufs.put(b.buf) }

// load reads and verifies the frames of the pages in part.
func (b *batch) load(part []pageFrame) error {
	b.part, b.order = part, b.order[:0]
	for i := range part {
		b.order = append(b.order, i)
	}
	slices.SortFunc(b.order, func(x, y int) int { return cmp.Compare(part[x].frame(), part[y].frame()) })
	for i := 0; i < len(b.order); {
		first, n := part[b.order[i]].frame(), 1
		for i+n < len(b.order) && part[b.order[i+n]].frame() == first+walformat.FrameNo(n) {
			n++
		}
		if err := b.read(first, i, n); err != nil {
			return err
		}
		i += n
	}
	return b.verify()
}

// read reads n frames from first on, the i-th of the batch and those behind it.
func (b *batch) read(first walformat.FrameNo, i, n int) error {
	h, l := b.c.h, b.c.l
	size, off := h.FrameSize(), int64(h.FrameOffset(first))
	if _, err := l.file.ReadAt((*b.buf)[i*size:(i+n)*size], off); err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: the file ends before", ErrCorrupt)
		}
		return fmt.Errorf("read frames %d to %d of %s at offset %d: %w", first, int(first)+n-1, l.path, off, err)
	}
	return nil
}

// verify checks every frame of the batch: each needs only the checksum stored
// in the one before it, which the index has.
func (b *batch) verify() error {
	size := b.c.h.FrameSize()
	for i, k := range b.order {
		p, frame := b.part[k], (*b.buf)[i*size:(i+1)*size]
		if err := b.c.l.verifyFrame(b.c.h, b.c.idx, p.frame(), p.page(), frame); err != nil {
			return err
		}
		b.vec[k] = frame[walformat.FrameHeaderSize:]
	}
	return nil
}
