package faultdisk

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/walnutdb/walnut/disk/internal/paged"
)

// This file takes images: what a power failure or the end of a process leaves.
//
// Invariants:
//   - An image has no handles, locks, hook or faults, and is a disk of its own:
//     nothing done to it or to the original shows in the other.
//   - After a power failure nothing is pending: what is there is durable.
//   - Every subset that the contract allows has a probability above 0. Those
//     that break programs (nothing, everything, all up to a moment, one file
//     but not the other) are drawn often: each file has a mood of its own.

// CrashAfter makes the disk lose power after n more operations that change its
// state (see [OpMutating]): the n-th still returns normally, and from then on
// every operation on the disk and on every handle fails with [ErrCrashed]. With
// n = 0 that is so at once; a negative n calls it off, if it has not happened.
// The images are still to be taken with Crash.
func (d *Disk) CrashAfter(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.countdown = n
	if n == 0 {
		d.dead = true
	}
}

// Crashed reports whether the disk has lost power (see [Disk.CrashAfter]).
func (d *Disk) Crashed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// Crash returns the disk that a power failure at this moment leaves, chosen by
// seed from all that are possible. The receiver goes on as if nothing had
// happened.
func (d *Disk) Crash(seed int64) *Disk {
	rng := newRand(seed)
	return d.crash(seed, func(n int) (mood, *rand.Rand) { return drawMood(rng, n), rng })
}

// CrashKeepAll is [Disk.Crash] where everything happens to survive.
func (d *Disk) CrashKeepAll() *Disk {
	return d.crash(0, func(int) (mood, *rand.Rand) { return keepAll, nil })
}

// CrashKeepNone is [Disk.Crash] where only what is durable survives.
func (d *Disk) CrashKeepNone() *Disk {
	return d.crash(0, func(int) (mood, *rand.Rand) { return keepNone, nil })
}

// crash builds an image; draw gives the mood for a list of n changes.
func (d *Disk) crash(seed int64, draw func(n int) (mood, *rand.Rand)) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	image := New(seed)
	image.next, image.anywhere, image.capacity = d.next, d.anywhere, d.capacity
	names := maps.Clone(d.durable)
	m, rng := draw(len(d.pending))
	for i, c := range d.pending {
		if m.fate(rng, i) == kept {
			c.apply(names)
		}
	}
	for _, ino := range distinct(slices.Collect(maps.Values(names))) {
		m, rng := draw(len(ino.pending))
		m.anywhere = d.anywhere
		left := &inode{index: ino.index, durable: *ino.durable.Clone()}
		m.apply(rng, &left.durable, ino.pending)
		left.visible = *left.durable.Clone()
		image.put(names, ino, left)
	}
	maps.Copy(image.durable, image.names)
	return image
}

// Kill returns the disk as the next process finds it when this one ends at this
// moment: what was visible still is, and what was not durable still is not.
// Only what a failed sync dropped may be gone, page by page, chosen by seed:
// the cache thinks that it is clean, and may evict it. The receiver goes on as
// if nothing had happened.
func (d *Disk) Kill(seed int64) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	image := New(seed)
	image.next, image.changed, image.anywhere, image.capacity = d.next, d.changed, d.anywhere, d.capacity
	// The files that only a lost removal would bring back belong to it too.
	all := slices.AppendSeq(slices.Collect(maps.Values(d.durable)), maps.Values(d.names))
	for _, c := range d.pending {
		if c.added != nil {
			all = append(all, c.added)
		}
	}
	rng := newRand(seed)
	copies := map[*inode]*inode{}
	for _, ino := range distinct(all) {
		left := ino.clone()
		left.evict(rng)
		copies[ino] = left
	}
	for name, ino := range d.durable {
		image.durable[name] = copies[ino]
	}
	for name, ino := range d.names {
		image.names[name] = copies[ino]
	}
	for _, c := range d.pending {
		c.added, c.deleted = copies[c.added], copies[c.deleted]
		image.pending = append(image.pending, c)
	}
	return image
}

// distinct returns the files in list, each once, oldest first, so that the
// random choices fall in the same order every time.
func distinct(list []*inode) []*inode {
	slices.SortFunc(list, func(a, b *inode) int { return cmp.Compare(a.index, b.index) })
	return slices.Compact(list)
}

// put gives to left, in the image, the names that ino has in names.
func (d *Disk) put(names map[string]*inode, ino, left *inode) {
	for name, other := range names {
		if other == ino {
			d.names[name] = left
		}
	}
}

// mood is how likely changes are to survive.
type mood struct {
	keep, tear float64
	// cut, if ordered, is the first change that does not survive, or not whole.
	ordered bool
	cut     int
	// anywhere: see Disk.TearAnywhere.
	anywhere bool
}

var (
	keepAll  = mood{keep: 1}
	keepNone = mood{}
)

// drawMood draws one for a list of n changes.
func drawMood(rng *rand.Rand, n int) mood {
	switch rng.IntN(8) {
	case 0:
		return keepNone
	case 1:
		return keepAll
	case 2, 3:
		return mood{ordered: true, cut: rng.IntN(n + 1)}
	case 4:
		return mood{keep: 0.9, tear: 0.1}
	case 5:
		return mood{keep: 0.1, tear: 0.1}
	}
	return mood{keep: 0.5, tear: 0.3}
}

type fate uint8

const (
	gone fate = iota
	kept
	torn
)

// fate says what becomes of the i-th change.
func (m mood) fate(rng *rand.Rand, i int) fate {
	switch {
	case m.ordered && i < m.cut:
		return kept
	case m.ordered && i == m.cut && rng.IntN(2) == 0:
		return torn
	case m.ordered || m.keep == 0:
		return gone
	case m.keep == 1:
		return kept
	case rng.Float64() < m.tear:
		return torn
	case rng.Float64() < m.keep:
		return kept
	}
	return gone
}

// apply applies the changes that survive.
func (m mood) apply(rng *rand.Rand, to *paged.Content, changes []change) {
	for i, c := range changes {
		switch m.fate(rng, i) {
		case kept:
			c.apply(to)
		case torn:
			if c.truncate {
				continue // there are no halves of it
			}
			for _, s := range tear(rng, c.off, c.n, m.anywhere) {
				c.part(s).apply(to)
			}
			if end := c.off + c.n; end > to.Size() && rng.IntN(2) == 0 {
				to.Truncate(end) // the size without the bytes
			}
		}
	}
}
