// Beginning to write out before the sync.

package wal

import "github.com/walnutdb/walnut/disk"

const (
	// writeOutBytes is after how many written bytes the device is told to
	// begin: enough for large requests, and little against what the final sync
	// is to find done already.
	writeOutBytes = 4 << 20
	// appendOutBytes is the same for commits that nobody syncs: the sync of
	// the next checkpoint, which holds up all commits, finds little to do.
	appendOutBytes = 256 << 10
	// blockSize is that of the page cache, or a multiple of it.
	blockSize = 4096
)

// writeOut follows writes at ascending offsets and has the device begin with
// what was written, every so often. That is a hint: nothing is durable before
// the sync that follows. An error is one of that sync.
type writeOut struct {
	file  disk.File
	every int64
	// pending bytes were written, from the offset from on, since the last
	// beginning.
	pending, from int64
}

// wrote notes a write of n bytes at off.
func (w *writeOut) wrote(off, n int64) error {
	if w.pending == 0 {
		w.from = off
	}
	w.pending += n
	if w.pending < w.every {
		return nil
	}
	// Not a block that the next write changes again: it would have to wait.
	end := (off + n) &^ (blockSize - 1)
	w.pending = off + n - end
	from := w.from
	w.from = end
	return disk.StartWrite(w.file, from, end-from)
}
