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
	if w.pending == 0 || off < w.from { // the log may have begun anew
		w.from, w.pending = off, 0
	}
	w.pending += n
	if w.pending < w.every {
		return nil
	}
	// Not a block that the next write changes again: it would have to wait.
	from, end := w.from, (off+n)&^(blockSize-1)
	if end <= from {
		return nil
	}
	w.from, w.pending = end, off+n-end
	return disk.StartWrite(w.file, from, end-from)
}

// copySizes are batchBytes, writeOutBytes and maxPending, where they are not 0:
// tests make several batches of a small log, and fill the pending list with it.
type copySizes struct{ batchBytes, writeOutBytes, pendingBytes int }

func (s copySizes) batch() int {
	if s.batchBytes > 0 {
		return s.batchBytes
	}
	return batchBytes
}

func (s copySizes) writeOut() int64 {
	if s.writeOutBytes > 0 {
		return int64(s.writeOutBytes)
	}
	return writeOutBytes
}

// pending is how many bytes may be accepted and not written before a writer
// waits for the leader.
func (s copySizes) pending() int64 {
	if s.pendingBytes > 0 {
		return int64(s.pendingBytes)
	}
	return maxPending
}
