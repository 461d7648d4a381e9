// Reading: a page as of a snapshot. Whatever comes out of the log is verified
// against its checksum first; damage is reported, not served.

package wal

import (
	"errors"
	"fmt"
	"io"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// ReadPage fills dst, which is as long as a page, with page n: from frame f,
// which holds it as of the snapshot st, or from the database file if f is 0.
// The caller holds a mark for st, or the writer's place with st as its base; in
// slot 0 it may use the database file only.
func (l *Log) ReadPage(st *coord.State, f walformat.FrameNo, n walformat.PageNo, dst []byte) error {
	l.assertState()
	if f != 0 {
		return l.readFrame(st, f, n, dst)
	}
	return l.readDB(n, dst)
}

// readDB reads page n of the database file. What the file is too short for is
// zero: a page that was never written.
func (l *Log) readDB(n walformat.PageNo, dst []byte) error {
	off := int64(n-1) * int64(len(dst))
	if l.mapped != nil && off < l.mapLimit.Load() && l.mapped.ReadMapped(dst, off) {
		return nil
	}
	k, err := l.cfg.DB.ReadAt(dst, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read page %d of %s at offset %d: %w", n, l.cfg.DB.Name(), off, err)
	}
	clear(dst[k:])
	return nil
}

// Cached reports whether reading page n from the database file is so fast, after
// the first time, that it needs no other cache.
func (l *Log) Cached(n walformat.PageNo) bool {
	if l.mapped == nil {
		return false
	}
	off, ps := int64(n-1)*int64(l.PageSize()), int64(l.PageSize())
	return off < l.mapLimit.Load() && off+ps <= l.mapped.Mappable()
}

// readFrame reads frame f, which holds page n, from memory if it is not
// appended yet. A reader that is detached while it reads has lost its mark: what
// it meets may be another generation's, or no log at all, and is an error or a
// page that the caller throws away.
func (l *Log) readFrame(st *coord.State, f walformat.FrameNo, n walformat.PageNo, dst []byte) error {
	if uint32(f) > l.appendedEnd.Load() {
		if found, err := l.readPending(f, dst); found || err != nil {
			return err
		}
	}
	h := l.hdr.Load()
	if h == nil {
		return fmt.Errorf("wal: frame %d (page %d) is read from a log that was cut to nothing", f, n)
	}
	buf := getFrameBuf(h.FrameSize())
	defer putFrameBuf(buf)
	if err := l.loadFrame(h, st.Index, f, n, *buf); err != nil {
		return err
	}
	copy(dst, (*buf)[walformat.FrameHeaderSize:])
	return nil
}

// loadFrame reads frame f with its header into buf and verifies that it is the
// frame that was written: page, salts and the checksum chain.
func (l *Log) loadFrame(h *walformat.Header, idx *coord.Index, f walformat.FrameNo, n walformat.PageNo, buf []byte) error {
	off := int64(h.FrameOffset(f))
	if _, err := l.file.ReadAt(buf, off); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: %s ends inside frame %d (page %d) at offset %d", ErrCorrupt, l.path, f, n, off)
		}
		return fmt.Errorf("read frame %d of %s at offset %d: %w", f, l.path, off, err)
	}
	return l.verifyFrame(h, idx, f, n, buf)
}

// verifyFrame reports in what buf is not frame f as it was written.
func (l *Log) verifyFrame(h *walformat.Header, idx *coord.Index, f walformat.FrameNo, n walformat.PageNo, buf []byte) error {
	hd, err := walformat.VerifyFrame(h, idx.Sum(f-1), buf[:walformat.FrameHeaderSize], buf[walformat.FrameHeaderSize:])
	if err == nil && hd.Page != n {
		err = fmt.Errorf("it holds page %d", hd.Page)
	}
	if err == nil && hd.Sum != idx.Sum(f) {
		err = errors.New("its checksum is not the one that was written")
	}
	if err != nil {
		return fmt.Errorf("%w: frame %d of %s (page %d) at offset %d: %w", ErrCorrupt, f, l.path, n, h.FrameOffset(f), err)
	}
	return nil
}

// readPending copies the page of a frame that is accepted and not appended.
// It is false if the frame has been appended meanwhile.
func (l *Log) readPending(f walformat.FrameNo, dst []byte) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed != nil {
		return false, l.mu.failed
	}
	if f <= l.mu.appended {
		return false, nil
	}
	for i := len(l.mu.inflight) - 1; i >= 0; i-- {
		c := l.mu.inflight[i]
		if f < c.first {
			continue
		}
		if f > c.end {
			break // of a generation that has ended
		}
		k := int(f-c.first) - len(c.spill.pages)
		if k < 0 {
			return false, nil // spilled, so it is in the file
		}
		copy(dst, c.frames[k].Data)
		return true, nil
	}
	return false, fmt.Errorf("wal: frame %d is neither appended nor pending", f)
}
