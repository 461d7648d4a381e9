package faultdisk

import (
	"bytes"
	"iter"
	"math/rand/v2"
	"slices"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/internal/paged"
	"github.com/walnutdb/walnut/disk/internal/rangelock"
)

// This file is what the disk remembers of one file's content.
//
// Invariants (all under Disk.mu):
//   - visible is what reads show; durable is what every crash leaves.
//   - pending holds the changes since, in order, with increasing numbers.
//   - Outside lost, visible = durable + pending. In the ranges of lost a failed
//     sync has dropped data: they may differ until they are written again.
//   - A change is never altered once it is in the list: images share it.

type inode struct {
	index   uint64
	visible paged.Content
	durable paged.Content
	pending []change
	written uint64 // the number of the last change
	lost    []span
	// lostSize says that a truncation or growth was dropped by a failed sync.
	lostSize bool
	locks    rangelock.Table
}

// change is a write or a truncation.
type change struct {
	number   uint64
	truncate bool   // to size off
	off, n   int64  // the range written, or cut off
	data     []byte // n bytes; nil: zeros
}

// span is the n bytes from off on.
type span struct{ off, n int64 }

// newWrite copies the buffers, as they are the caller's. Zeros, with which logs
// are grown, are kept as such.
func newWrite(bufs [][]byte, off, size int64) change {
	c := change{off: off, n: size}
	if allZero(bufs) {
		return c
	}
	c.data = make([]byte, 0, size)
	for _, b := range bufs {
		c.data = append(c.data, b...)
	}
	return c
}

var zeros [paged.PageSize]byte

func allZero(bufs [][]byte) bool {
	for _, b := range bufs {
		for len(b) > 0 {
			n := min(len(b), len(zeros))
			if !bytes.Equal(b[:n], zeros[:n]) {
				return false
			}
			b = b[n:]
		}
	}
	return true
}

// part returns the piece s of a write.
func (c change) part(s span) change {
	p := change{number: c.number, off: s.off, n: s.n}
	if c.data != nil {
		p.data = c.data[s.off-c.off : s.off-c.off+s.n]
	}
	return p
}

func (c change) apply(to *paged.Content) {
	switch {
	case c.truncate:
		to.Truncate(c.off)
	case c.data == nil:
		to.Zero(c.off, c.n)
	default:
		to.WriteAt(c.data, c.off)
	}
}

// write makes a write visible and pending.
func (i *inode) write(c change) {
	if c.n == 0 {
		return
	}
	i.add(c)
}

// truncate makes a truncation visible and pending. To the size that the cache
// shows it does nothing, even if the disk has another one since a failed sync.
func (i *inode) truncate(size int64) {
	if size == i.visible.Size() {
		return
	}
	i.add(change{truncate: true, off: size, n: max(0, i.visible.Size()-size)})
}

func (i *inode) add(c change) {
	i.written++
	c.number = i.written
	c.apply(&i.visible)
	i.pending = append(i.pending, c)
}

// dirty reports whether a change that is not durable covers the byte at off.
func (i *inode) dirty(off int64) bool {
	return slices.ContainsFunc(i.pending, func(c change) bool { return c.off <= off && off < c.off+c.n })
}

// load makes data visible and durable.
func (i *inode) load(data []byte) {
	i.visible, i.durable = paged.Content{}, paged.Content{}
	i.visible.WriteAt(data, 0)
	i.durable = *i.visible.Clone()
	i.pending, i.lost, i.lostSize = nil, nil, false
}

// take removes the changes up to the number covered from the pending ones and
// returns them.
func (i *inode) take(covered uint64) []change {
	n := 0
	for n < len(i.pending) && i.pending[n].number <= covered {
		n++
	}
	taken := i.pending[:n:n]
	i.pending = slices.Clone(i.pending[n:])
	return taken
}

// sync makes the changes up to the number covered durable.
func (i *inode) sync(covered uint64) {
	for _, c := range i.take(covered) {
		c.apply(&i.durable)
	}
}

// startWrite makes any of the writes inside the range, up to the number covered,
// durable. One behind another that is still pending and overlaps it, or behind a
// truncation, stays pending too: a crash must not bring the older one back over
// it.
func (i *inode) startWrite(s span, covered uint64, rng *rand.Rand) {
	m := drawMood(rng, len(i.pending))
	rest := make([]change, 0, len(i.pending))
	for k, c := range i.pending {
		early := c.number <= covered && !c.truncate && s.off <= c.off && c.off+c.n <= s.off+s.n && m.fate(rng, k) == kept &&
			!slices.ContainsFunc(rest, func(r change) bool {
				return r.truncate || r.off < c.off+c.n && c.off < r.off+r.n
			})
		if early {
			c.apply(&i.durable)
		} else {
			rest = append(rest, c)
		}
	}
	i.pending = rest
}

// failSync drops the changes up to the number covered: some of them may have
// reached the disk, the rest never will, although they stay visible.
func (i *inode) failSync(covered uint64, rng *rand.Rand, effect Effect, anywhere bool) {
	dropped := i.take(covered)
	m := keepNone
	switch {
	case effect == All:
		m = keepAll
	case effect != Nothing && rng.IntN(2) == 0:
		m = drawMood(rng, len(dropped))
	}
	m.anywhere = anywhere
	m.apply(rng, &i.durable, dropped)
	for _, c := range dropped {
		i.lost = append(i.lost, span{c.off, c.n})
		i.lostSize = i.lostSize || c.truncate || c.off+c.n > i.durable.Size()
	}
}

// clone returns a copy without locks.
func (i *inode) clone() *inode {
	return &inode{
		index:    i.index,
		visible:  *i.visible.Clone(),
		durable:  *i.durable.Clone(),
		pending:  slices.Clone(i.pending),
		written:  i.written,
		lost:     slices.Clone(i.lost),
		lostSize: i.lostSize,
	}
}

// evict forgets some of the pages that a failed sync dropped or a lost write
// changed, which look clean to the cache: reads show what is on the disk, under
// the changes that are still in the cache. A page that is not forgotten shows
// what it showed: a change that is pending may be older than the lost write over
// it.
func (i *inode) evict(rng *rand.Rand) {
	if len(i.lost) == 0 && !i.lostSize {
		return
	}
	before := i.visible.Clone()
	sizeToo := i.lostSize && rng.IntN(2) == 0
	if sizeToo {
		i.revertSize()
	}
	var kept []span
	chance := [...]float64{0, 0.5, 0.9}[rng.IntN(3)]
	keep := map[int64]bool{} // the pages, by number: each is forgotten or not as a whole
	for _, s := range i.lost {
		for piece := range s.pages() {
			page := piece.off / paged.PageSize
			if _, chosen := keep[page]; !chosen {
				keep[page] = rng.Float64() < chance
			}
			if keep[page] {
				kept = append(kept, piece)
			} else {
				copyWithin(&i.visible, &i.durable, piece)
			}
		}
	}
	for _, c := range i.pending {
		c.apply(&i.visible)
	}
	if !sizeToo { // nor may an older truncation cut a lost growth off
		i.visible.Truncate(before.Size())
	}
	for _, s := range kept {
		s.n = min(s.n, before.Size()-s.off)
		copyWithin(&i.visible, before, s)
	}
}

// pages yields the span cut at the ends of pages.
func (s span) pages() iter.Seq[span] {
	return func(yield func(span) bool) {
		for s.n > 0 {
			n := min(s.n, paged.PageSize-s.off%paged.PageSize)
			if !yield(span{s.off, n}) {
				return
			}
			s.off, s.n = s.off+n, s.n-n
		}
	}
}

// copyWithin copies a span that lies in one page, zeros where from has nothing,
// and leaves out what is beyond the size of to.
func copyWithin(to, from *paged.Content, s span) {
	var page [paged.PageSize]byte
	if end := min(s.off+s.n, to.Size()); s.off < end {
		b := page[:end-s.off]
		from.ReadAt(b, s.off)
		to.WriteAt(b, s.off)
	}
}

// revertSize gives the visible content the durable size. What that adds was cut
// off, hence is in no cache, and shows as it is on the disk.
func (i *inode) revertSize() {
	was, is := i.visible.Size(), i.durable.Size()
	i.visible.Truncate(is)
	var page [paged.PageSize]byte
	for off := was; off < is; off += paged.PageSize {
		n := i.durable.ReadAt(page[:], off)
		i.visible.WriteAt(page[:n], off)
	}
}

// loseWrite makes a write visible that never reaches its place on the disk.
func (i *inode) loseWrite(c change) {
	if c.n == 0 {
		return
	}
	i.lost = append(i.lost, span{c.off, c.n})
	i.lostSize = i.lostSize || c.off+c.n > i.visible.Size()
	c.apply(&i.visible)
}

// strayWrite makes a write to the file from durable in another place of it, or
// of the file named into, whose cache does not know. If there is none it does
// nothing. REQUIRES: d.mu.
func (d *Disk) strayWrite(from *inode, c change, into string) {
	to := from
	if into != "" {
		to = d.names[clean(into)]
	}
	if to == nil || c.n == 0 {
		return
	}
	first := c.off % disk.SectorSize
	room := to.durable.Size() - c.n - first
	if room < 0 {
		return
	}
	places := room/disk.SectorSize + 1
	right := c.off / disk.SectorSize
	own := to == from && right < places // one of them is the right one
	if own {
		places--
	}
	if places == 0 {
		return
	}
	place := d.rng.Int64N(places)
	if own && place >= right {
		place++
	}
	wrong := c
	wrong.off = first + place*disk.SectorSize
	wrong.apply(&to.durable)
	to.lost = append(to.lost, span{wrong.off, wrong.n})
}

// tearAnywhere returns the parts of the n bytes from off on that survive, cut
// between any bytes.
func tearAnywhere(rng *rand.Rand, off, n int64) (parts []span) {
	cuts := []int64{0, n}
	for range 1 + rng.IntN(3) {
		cuts = append(cuts, rng.Int64N(n+1))
	}
	slices.Sort(cuts)
	for k := range cuts[1:] {
		if from, to := cuts[k], cuts[k+1]; from < to && rng.IntN(2) == 0 {
			parts = append(parts, span{off + from, to - from})
		}
	}
	return parts
}

// tear returns the parts of the n bytes from off on that survive: any of the
// sectors they touch, or any bytes.
func tear(rng *rand.Rand, off, n int64, anywhere bool) []span {
	switch {
	case n == 0:
		return nil
	case anywhere:
		return tearAnywhere(rng, off, n)
	}
	first, last := off/disk.SectorSize, (off+n-1)/disk.SectorSize
	count := last - first + 1
	if count == 1 {
		if rng.IntN(2) == 0 {
			return nil
		}
		return []span{{off, n}}
	}
	at := first + rng.Int64N(count)
	survives := func(int64) bool { return rng.IntN(2) == 0 }
	switch rng.IntN(5) {
	case 0: // the beginning
		survives = func(s int64) bool { return s < at }
	case 1: // the end
		survives = func(s int64) bool { return s >= at }
	case 2: // all but one
		survives = func(s int64) bool { return s != at }
	case 3: // one
		survives = func(s int64) bool { return s == at }
	}
	var parts []span
	for s := first; s <= last; s++ {
		if !survives(s) {
			continue
		}
		from := max(off, s*disk.SectorSize)
		to := min(off+n, (s+1)*disk.SectorSize)
		if k := len(parts) - 1; k >= 0 && parts[k].off+parts[k].n == from {
			parts[k].n += to - from
		} else {
			parts = append(parts, span{from, to - from})
		}
	}
	return parts
}
