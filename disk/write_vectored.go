//go:build linux || darwin

package disk

import (
	"io"

	"golang.org/x/sys/unix"
)

// This file writes many buffers with few system calls.
//
// Invariants: at most MaxVectors buffers go into one call; the caller's list
// is read only; after a short write the rest follows at the right offset.

func (f *osFile) writeV(bufs [][]byte, off int64) (written int64, err error) {
	err = f.withFD(func(fd uintptr) error {
		written, err = writeVectors(bufs, off, func(chunk [][]byte, at int64) (int, error) {
			if len(chunk) == 1 {
				return unix.Pwrite(int(fd), chunk[0], at)
			}
			return unix.Pwritev(int(fd), chunk, at)
		})
		return err
	})
	return written, err
}

// writeVectors writes all of bufs from off on with as many calls of pwritev as
// it takes.
func writeVectors(bufs [][]byte, off int64, pwritev func([][]byte, int64) (int, error)) (int64, error) {
	var written int64
	cut := 0 // so many bytes of bufs[0] are written
	for len(bufs) > 0 {
		if cut == len(bufs[0]) {
			bufs, cut = bufs[1:], 0
			continue
		}
		chunk := bufs[:min(len(bufs), MaxVectors)]
		if cut > 0 {
			// The rest of one buffer goes alone, so that the list, which is
			// the caller's, is neither changed nor copied.
			chunk = [][]byte{bufs[0][cut:]}
		}
		n, err := pwritev(chunk, off+written)
		if n > 0 {
			written += int64(n)
			bufs, cut = advance(bufs, cut, n)
		}
		switch {
		case err == unix.EINTR:
		case err != nil:
			return written, err
		case n == 0 && total(chunk) > 0:
			return written, io.ErrShortWrite // an endless loop otherwise
		case n == 0:
			bufs, cut = bufs[len(chunk):], 0
		}
	}
	return written, nil
}

// advance returns what is left of bufs, of whose first buffer cut bytes are
// already written, after n more bytes.
func advance(bufs [][]byte, cut, n int) ([][]byte, int) {
	n += cut
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	return bufs, n
}
