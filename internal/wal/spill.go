// Spilling: the frames of a transaction that is larger than its memory bound go
// to the log before it is committed.
//
// They are written behind everything accepted, without a commit frame, and are
// in nobody's index but the transaction's own, which keeps the writer's place:
// so nothing is accepted between them and its end. They never count unless the
// commit frame follows. A transaction that rolls back cuts them, durably,
// before it returns.

package wal

import (
	"fmt"

	"github.com/walnutdb/walnut/internal/walformat"
)

// spill is what a Writer has spilled.
type spill struct {
	// pages and sums of its frames, in order, from Base.MaxFrame+1 on.
	pages []walformat.PageNo
	sums  []walformat.Checksum
	// tried is the frame up to which something may have been written.
	tried walformat.FrameNo
}

// Spilled is the last frame that the transaction has in the log, or the last of
// its base.
func (w *Writer) Spilled() walformat.FrameNo {
	return w.Base.MaxFrame + walformat.FrameNo(len(w.spill.pages))
}

// Spill writes frames to the log, none of them a commit frame, and returns the
// number of the first. After an error the transaction must be abandoned. The
// frames' data may be used again.
func (w *Writer) Spill(frames []Frame) (walformat.FrameNo, error) {
	l := w.log
	l.assertState()
	if err := w.Reserve(len(frames)); err != nil {
		return 0, err
	}
	if len(w.spill.pages) == 0 {
		if err := l.appendAll(); err != nil {
			return 0, err
		}
	}
	h, first := l.hdr.Load(), w.Spilled()+1
	heads := make([]byte, len(frames)*walformat.FrameHeaderSize)
	vec := make([][]byte, 0, 2*len(frames))
	pages, sums := w.spill.pages, w.spill.sums
	for _, f := range frames {
		head := heads[:walformat.FrameHeaderSize]
		heads = heads[walformat.FrameHeaderSize:]
		h.StartFrame(head, f.Page, 0)
		vec = append(vec, head, f.Data)
		pages = append(pages, f.Page)
	}
	seal(h, w.spillSum(), vec, func(_ int, s walformat.Checksum) { sums = append(sums, s) })
	w.spill.tried = max(w.spill.tried, w.Spilled()+walformat.FrameNo(len(frames)))
	n, err := l.file.WriteVAt(vec, int64(h.FrameOffset(first)))
	if err != nil {
		return 0, fmt.Errorf("spill %d frames to %s: %w", len(frames), l.path, err)
	}
	l.stats.frames.Add(uint64(len(frames)))
	l.stats.appendBytes.Add(uint64(n))
	l.stats.spills.Add(1)
	l.stats.spilledFrames.Add(uint64(len(frames)))
	w.spill.pages, w.spill.sums = pages, sums
	return first, nil
}

// spillSum is the checksum that the next frame continues. Everything accepted
// has been appended.
func (w *Writer) spillSum() walformat.Checksum {
	if n := len(w.spill.sums); n > 0 {
		return w.spill.sums[n-1]
	}
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	return w.log.mu.sum
}

// ReadSpilled fills dst with the page in frame f, which the transaction has
// spilled.
func (w *Writer) ReadSpilled(f walformat.FrameNo, dst []byte) error {
	l := w.log
	h := l.hdr.Load()
	i := int(f - w.Base.MaxFrame - 1)
	prev := w.Base.Index.Sum(w.Base.MaxFrame)
	if i > 0 {
		prev = w.spill.sums[i-1]
	}
	buf := getFrameBuf(h.FrameSize())
	defer putFrameBuf(buf)
	off := int64(h.FrameOffset(f))
	if _, err := l.file.ReadAt(*buf, off); err != nil {
		return fmt.Errorf("read spilled frame %d of %s at offset %d: %w", f, l.path, off, err)
	}
	head, err := walformat.VerifyFrame(h, prev, (*buf)[:walformat.FrameHeaderSize], (*buf)[walformat.FrameHeaderSize:])
	if err == nil && head.Sum != w.spill.sums[i] {
		err = fmt.Errorf("its checksum is not the one that was written")
	}
	if err != nil {
		return fmt.Errorf("%w: spilled frame %d of %s at offset %d: %w", ErrCorrupt, f, l.path, off, err)
	}
	copy(dst, (*buf)[walformat.FrameHeaderSize:])
	return nil
}

// appendAll returns once everything accepted is in the file.
func (l *Log) appendAll() error {
	if err := l.takeLead(); err != nil {
		return err
	}
	l.lead(nil, false)
	return l.Failed()
}

// cut removes what the transaction has spilled, and syncs that. REQUIRES the
// writer's place.
func (w *Writer) cut() error {
	if w.spill.tried == 0 {
		return nil
	}
	l := w.log
	h := l.hdr.Load()
	if _, err := l.zeroFill(h.EndOffset(w.Base.MaxFrame), h.EndOffset(w.spill.tried)); err != nil {
		return l.poison("cut a rolled back transaction from", err)
	}
	return l.syncFile("sync the cut of")
}
