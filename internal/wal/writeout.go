// Beginning to write out before the sync.

package wal

import "github.com/walnutdb/walnut/disk"

// writeOutBytes is after how many written bytes the device is told to begin:
// enough for large requests, and little against what the final sync is to find
// done already.
const writeOutBytes = 4 << 20

// writeOut follows writes at ascending offsets and has the device begin with
// what was written, every so often. That is a hint: nothing is durable before
// the sync that follows. An error is one of that sync.
type writeOut struct {
	file  disk.File
	every int64
	// pending bytes were written, from one offset to another, since the last
	// beginning.
	pending, from, to int64
}

// wrote notes a write of n bytes at off.
func (w *writeOut) wrote(off, n int64) error {
	if w.pending == 0 {
		w.from = off
	}
	w.pending += n
	w.to = off + n
	if w.pending < w.every {
		return nil
	}
	w.pending = 0
	return disk.StartWrite(w.file, w.from, w.to-w.from)
}

// copySizes are batchBytes and writeOutBytes, where they are not 0: tests make
// several batches of a small log.
type copySizes struct{ batchBytes, writeOutBytes int }

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
