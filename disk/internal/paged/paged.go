// Package paged holds the bytes of a file in memory, page by page, so that a
// write touches only its own pages and a clone copies none.
//
// Invariants:
//   - A page may be changed only by the Content that owns it; a page that two
//     Contents share is owned by neither, and stays as it is for ever.
//   - Bytes beyond the size are zero, in every page: growing a file needs no
//     clearing.
//   - A missing page is all zeros.
package paged

import "bytes"

// PageSize is the unit of sharing, in bytes. It is not the page size of any
// database.
const PageSize = 4096

type page struct {
	owner *token
	data  [PageSize]byte
}

// token is an identity. It has a byte, since pointers to empty variables may be
// equal.
type token struct{ _ byte }

// Content is the bytes of one file. The zero Content is empty. It is not safe
// for concurrent use, except that ReadAt calls may run beside each other.
// Contents that share pages need no common lock.
type Content struct {
	size  int64
	pages []*page
	me    *token
}

var zeros [PageSize]byte

// Size returns the number of bytes.
func (c *Content) Size() int64 { return c.size }

// Clone returns a copy that shares all pages with c.
func (c *Content) Clone() *Content {
	c.me = nil // the pages are nobody's from here on
	return &Content{size: c.size, pages: append([]*page(nil), c.pages...)}
}

// ReadAt copies into p the bytes from off on and returns how many there were.
func (c *Content) ReadAt(p []byte, off int64) int {
	if off >= c.size {
		return 0
	}
	if int64(len(p)) > c.size-off {
		p = p[:c.size-off]
	}
	for done := 0; done < len(p); {
		i, at := locate(off + int64(done))
		n := min(PageSize-at, len(p)-done)
		if i < len(c.pages) && c.pages[i] != nil {
			copy(p[done:done+n], c.pages[i].data[at:])
		} else {
			clear(p[done : done+n])
		}
		done += n
	}
	return len(p)
}

// WriteAt writes p at off, growing the content as needed.
func (c *Content) WriteAt(p []byte, off int64) {
	if len(p) == 0 {
		return
	}
	if end := off + int64(len(p)); end > c.size {
		c.setSize(end)
	}
	for len(p) > 0 {
		i, at := locate(off)
		n := min(PageSize-at, len(p))
		switch {
		case n == PageSize && bytes.Equal(p[:n], zeros[:]):
			c.drop(i)
		case n == PageSize:
			copy(c.own(i, false).data[:], p[:n])
		default:
			copy(c.own(i, true).data[at:], p[:n])
		}
		p, off = p[n:], off+int64(n)
	}
}

// Zero writes n zero bytes at off, growing the content as needed.
func (c *Content) Zero(off, n int64) {
	if n <= 0 {
		return
	}
	if off+n > c.size {
		c.setSize(off + n)
	}
	for n > 0 {
		i, at := locate(off)
		k := int(min(int64(PageSize-at), n))
		switch {
		case k == PageSize:
			c.drop(i)
		case i < len(c.pages) && c.pages[i] != nil:
			clear(c.own(i, true).data[at : at+k])
		}
		off, n = off+int64(k), n-int64(k)
	}
}

// Truncate sets the size; what is added is zero.
func (c *Content) Truncate(size int64) {
	if size < c.size {
		c.clearTail(size)
	}
	c.setSize(size)
}

// Bytes returns a copy of everything.
func (c *Content) Bytes() []byte {
	b := make([]byte, c.size)
	c.ReadAt(b, 0)
	return b
}

func locate(off int64) (index, within int) {
	return int(off / PageSize), int(off % PageSize)
}

func (c *Content) at(i int) *page {
	if i < len(c.pages) {
		return c.pages[i]
	}
	return nil
}

// setSize sets the size and drops the pages above it. The table of pages grows
// only when a page is written, so that a huge sparse file costs nothing.
func (c *Content) setSize(size int64) {
	c.size = size
	if n := (size + PageSize - 1) / PageSize; int64(len(c.pages)) > n {
		clear(c.pages[n:])
		c.pages = c.pages[:n]
	}
}

// clearTail zeroes what the last page holds beyond size.
func (c *Content) clearTail(size int64) {
	i, at := locate(size)
	if at > 0 && c.at(i) != nil {
		clear(c.own(i, true).data[at:])
	}
}

// own returns page i for writing: a page of c's own, with the old bytes in it
// if keep.
func (c *Content) own(i int, keep bool) *page {
	if c.me == nil {
		c.me = new(token)
	}
	if i >= len(c.pages) {
		c.pages = append(c.pages, make([]*page, i+1-len(c.pages))...)
	}
	old := c.pages[i]
	if old != nil && old.owner == c.me {
		return old
	}
	p := &page{owner: c.me}
	if old != nil && keep {
		p.data = old.data
	}
	c.pages[i] = p
	return p
}

// drop makes page i all zeros.
func (c *Content) drop(i int) {
	if i < len(c.pages) {
		c.pages[i] = nil
	}
}
