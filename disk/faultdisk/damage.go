package faultdisk

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
)

// This file damages what lies on the disk, behind the back of whoever has it
// open: what a bad medium, a bad cable or another program does. It works beside
// the disk: it is no operation, never fails by a fault, and works after a crash.
//
// Invariant: the damage is durable, and reads show it at once: it is on the disk,
// and in no cache. Bytes that were written and not synced are in the cache only:
// the damage is done to what lies under them, reads go on showing them, and a
// sync puts them over it.

// FlipBits flips count bits, chosen by the disk's seed, each once, among the n
// bytes of the file from off on; n = 0 stands for all from off on. It returns the
// offsets of the bytes that changed, in ascending order.
func (d *Disk) FlipBits(name string, off, n int64, count int) ([]int64, error) {
	var offsets []int64
	err := d.damage(name, off, n, func(b []byte) error {
		if int64(count) > 8*int64(len(b)) {
			return fmt.Errorf("%d bytes do not have %d bits", len(b), count)
		}
		flipped := map[int64]bool{}
		for len(flipped) < count {
			if bit := d.rng.Int64N(8 * int64(len(b))); !flipped[bit] {
				flipped[bit] = true
				b[bit/8] ^= 1 << (bit % 8)
			}
		}
		for bit := range maps.Keys(flipped) {
			offsets = append(offsets, off+bit/8)
		}
		slices.Sort(offsets)
		offsets = slices.Compact(offsets)
		return nil
	})
	return offsets, err
}

// Overwrite replaces the bytes of the file from off on by data: with old bytes
// of the same place it is a write that was lost long ago, with bytes of another
// place one that went astray, with zeros a sector that was given up. The range
// must be in the file, as it is durable.
func (d *Disk) Overwrite(name string, off int64, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	return d.damage(name, off, int64(len(data)), func(b []byte) error {
		copy(b, data)
		return nil
	})
}

// damage has change alter the n bytes of a file from off on, where they are
// visible and where they are durable.
func (d *Disk) damage(name string, off, n int64, change func([]byte) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	ino := d.names[clean(name)]
	if ino == nil {
		return fail("damage", name, off, fs.ErrNotExist)
	}
	if n == 0 {
		n = ino.durable.Size() - off
	}
	if off < 0 || n <= 0 || n > ino.durable.Size()-off {
		return fail("damage", name, off, errors.New("the range is not in the file"))
	}
	before := make([]byte, n)
	ino.durable.ReadAt(before, off)
	after := slices.Clone(before)
	if err := change(after); err != nil {
		return fail("damage", name, off, err)
	}
	for i := range after {
		at := off + int64(i)
		if after[i] == before[i] && ino.lost == nil {
			continue
		}
		ino.durable.WriteAt(after[i:i+1], at)
		if at < ino.visible.Size() && !ino.dirty(at) {
			ino.visible.WriteAt(after[i:i+1], at)
		}
	}
	return nil
}

// Evict makes the cache forget, page by page as the disk's seed chooses, what it
// shows and the disk does not have: what failed syncs dropped, and writes that
// were lost or misdirected. It is what [Disk.Kill] does for the next process, at
// any moment of this one.
func (d *Disk) Evict() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, ino := range distinct(slices.Collect(maps.Values(d.names))) {
		ino.evict(d.rng)
	}
}
