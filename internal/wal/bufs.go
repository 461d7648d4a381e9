// Buffers for one frame, reused.

package wal

import "sync"

var frameBufs sync.Pool

// getFrameBuf returns a buffer of n bytes with any content.
func getFrameBuf(n int) *[]byte {
	if b, _ := frameBufs.Get().(*[]byte); b != nil && cap(*b) >= n {
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n)
	return &b
}

func putFrameBuf(b *[]byte) { frameBufs.Put(b) }
