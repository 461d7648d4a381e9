// Buffers, reused.

package wal

import (
	"sync"

	"github.com/walnutdb/walnut/internal/invariants"
)

// bufPool holds buffers of about one size.
type bufPool struct{ p sync.Pool }

var (
	frameBufs bufPool // for one frame
	batchBufs bufPool // for many: see copy.go
)

// get returns a buffer of n bytes with any content.
func (p *bufPool) get(n int) *[]byte {
	if b, _ := p.p.Get().(*[]byte); b != nil && cap(*b) >= n {
		invariants.Reuse((*b)[:cap(*b)])
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n)
	return &b
}

func (p *bufPool) put(b *[]byte) {
	invariants.Release((*b)[:cap(*b)])
	p.p.Put(b)
}

// getFrameBuf returns a buffer of n bytes, about one frame, with any content.
func getFrameBuf(n int) *[]byte { return frameBufs.get(n) }

func putFrameBuf(b *[]byte) { frameBufs.put(b) }
