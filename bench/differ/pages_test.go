//go:build cgo

// This file compares two closed database files page by page, each kind of page as
// its meaning demands:
//
//   - which pages are free, and how trunks list them; not what a free page holds
//     otherwise: with a rollback journal SQLite leaves out writes of such pages;
//   - pointer maps by their entries, type and parent, for every page there is; not
//     what follows, entries of pages that an earlier, larger file had;
//   - all other pages byte for byte, but for two counters on page 1.

package differ

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// database is a file of SQLite's, decoded as far as the comparison needs.
type database struct {
	data     []byte
	pageSize int
	usable   int // bytes of a page that are not reserved
	pages    uint32
	trunks   []trunk
	free     map[uint32]bool // trunks and leaves
	vacuum   bool            // it has pointer maps
}

// trunk is a page of the freelist and those it lists.
type trunk struct {
	page   uint32
	leaves []uint32
}

// decode reads header and freelist.
func decode(data []byte) (*database, error) {
	d := &database{data: data, free: map[uint32]bool{}}
	if len(data) == 0 {
		return d, nil
	}
	if len(data) < 512 {
		return nil, fmt.Errorf("%d bytes are no database", len(data))
	}
	if d.pageSize = int(binary.BigEndian.Uint16(data[16:])); d.pageSize == 1 {
		d.pageSize = 65536
	}
	if d.pageSize < 512 || len(data)%d.pageSize != 0 {
		return nil, fmt.Errorf("%d bytes in pages of %d", len(data), d.pageSize)
	}
	d.usable = d.pageSize - int(data[20])
	d.pages = uint32(len(data) / d.pageSize)
	d.vacuum = binary.BigEndian.Uint32(data[52:]) != 0
	count := binary.BigEndian.Uint32(data[36:])
	for no := binary.BigEndian.Uint32(data[32:]); no != 0; {
		p, err := d.take(no)
		if err != nil {
			return nil, err
		}
		t := trunk{page: no}
		n := binary.BigEndian.Uint32(p[4:])
		if int64(n) > int64(d.usable/4-2) {
			return nil, fmt.Errorf("trunk %d lists %d pages", no, n)
		}
		for i := range n {
			leaf := binary.BigEndian.Uint32(p[8+4*i:])
			if _, err := d.take(leaf); err != nil {
				return nil, err
			}
			t.leaves = append(t.leaves, leaf)
		}
		d.trunks = append(d.trunks, t)
		no = binary.BigEndian.Uint32(p)
	}
	if int(count) != len(d.free) {
		return nil, fmt.Errorf("%d pages are free, the header counts %d", len(d.free), count)
	}
	return d, nil
}

// take notes a free page.
func (d *database) take(no uint32) ([]byte, error) {
	if no < 2 || no > d.pages || d.free[no] {
		return nil, fmt.Errorf("page %d is in the freelist, of %d pages, or twice", no, d.pages)
	}
	d.free[no] = true
	return d.page(no), nil
}

func (d *database) page(no uint32) []byte {
	return d.data[int(no-1)*d.pageSize:][:d.pageSize]
}

// lockByte is the page that SQLite's locks are on.
func (d *database) lockByte() uint32 { return uint32(1<<30/d.pageSize) + 1 }

// mapOf is the pointer map that has the entry of a page, itself if it is one; and
// where in it.
func (d *database) mapOf(no uint32) (at uint32, offset int) {
	each := uint32(d.usable/5) + 1 // a map and the pages it has entries of
	at = (no-2)/each*each + 2
	if at == d.lockByte() {
		at++
	}
	return at, 5 * int(no-at-1)
}

// entry says what a pointer map has of a page: "" if it has none.
func (d *database) entry(no uint32) string {
	if !d.vacuum || no < 2 || no == d.lockByte() {
		return ""
	}
	at, offset := d.mapOf(no)
	if at >= no {
		return ""
	}
	e := d.page(at)[offset:][:5]
	return fmt.Sprintf("type %d, parent %d", e[0], binary.BigEndian.Uint32(e[1:]))
}

func (d *database) isMap(no uint32) bool {
	if !d.vacuum || no < 2 {
		return false
	}
	at, _ := d.mapOf(no)
	return at == no
}

// tail is what follows a pointer map's last entry.
func (d *database) tail(no uint32) []byte {
	p := d.page(no)
	if last := 5 * int(d.pages-no); last < len(p) {
		return p[last:]
	}
	return p[min(len(p), d.usable/5*5):]
}

// compareFiles is "" twice if the files say the same. It counts in all what it
// compared.
func compareFiles(files [2][]byte, all tally) (walnut, c string) {
	var d [2]*database
	for i := range files {
		var err error
		if d[i], err = decode(files[i]); err != nil {
			said := [2]string{"a good file", "a good file"}
			said[i] = err.Error()
			return said[0], said[1]
		}
	}
	a, b := d[0], d[1]
	if a.pages != b.pages || a.pageSize != b.pageSize || a.vacuum != b.vacuum {
		return fmt.Sprintf("%d pages of %d, pointer maps %t", a.pages, a.pageSize, a.vacuum), fmt.Sprintf("%d pages of %d, pointer maps %t", b.pages, b.pageSize, b.vacuum)
	}
	if !slices.EqualFunc(a.trunks, b.trunks, func(x, y trunk) bool { return x.page == y.page && slices.Equal(x.leaves, y.leaves) }) {
		return fmt.Sprint("freelist ", a.trunks), fmt.Sprint("freelist ", b.trunks)
	}
	all["pages: free"] += len(a.free)
	for no := uint32(1); no <= a.pages; no++ {
		if x, y := a.entry(no), b.entry(no); x != y {
			return fmt.Sprintf("pointer map: page %d, free %t: %s", no, a.free[no], x), y
		}
		switch x, y := a.page(no), b.page(no); {
		case a.free[no]:
		case a.isMap(no):
			all["pages: pointer maps"]++
			if !bytes.Equal(a.tail(no), b.tail(no)) {
				all["pages: pointer maps that differ behind the last page's entry"]++
			}
		case !equalPages(no, x, y):
			at := 0
			for x[at] == y[at] || no == 1 && counter(at) {
				at++
			}
			return fmt.Sprintf("page %d at %d: %x", no, at, x[at:min(at+40, len(x))]), fmt.Sprintf("%x", y[at:min(at+40, len(y))])
		default:
			all["pages: equal"]++
		}
	}
	return "", ""
}

// counter: the change counter of page 1, and the one that the size is valid for.
func counter(at int) bool { return at >= 24 && at < 28 || at >= 92 && at < 96 }

func equalPages(no uint32, x, y []byte) bool {
	if no > 1 {
		return bytes.Equal(x, y)
	}
	return bytes.Equal(x[:24], y[:24]) && bytes.Equal(x[28:92], y[28:92]) && bytes.Equal(x[96:], y[96:])
}
