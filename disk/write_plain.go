//go:build !linux && !darwin

package disk

// This file writes buffer by buffer, where no vectored positional write is
// at hand.

func (f *osFile) writeV(bufs [][]byte, off int64) (int64, error) {
	var written int64
	for _, b := range bufs {
		n, err := f.f.WriteAt(b, off+written)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
