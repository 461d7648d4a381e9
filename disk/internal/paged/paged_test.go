package paged

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestModel changes a tree of clones at random and compares each with a slice
// of bytes: no change may show in another one.
func TestModel(t *testing.T) {
	type pair struct {
		content *Content
		model   []byte
	}
	rng := rand.New(rand.NewPCG(1, 1))
	grow := func(m []byte, size int) []byte { return append(m, make([]byte, max(0, size-len(m)))...) }
	all := []*pair{{content: new(Content)}}
	for step := range 3000 {
		p := all[rng.IntN(len(all))]
		off, n := rng.IntN(5*PageSize), rng.IntN(3*PageSize)
		if rng.IntN(3) == 0 {
			off, n = off/PageSize*PageSize, n/PageSize*PageSize
		}
		switch rng.IntN(5) {
		case 0:
			p.content.Truncate(int64(off))
			p.model = grow(p.model, off)[:off]
		case 1:
			p.content.Zero(int64(off), int64(n))
			if n > 0 {
				p.model = grow(p.model, off+n)
				clear(p.model[off : off+n])
			}
		case 2:
			c := &pair{p.content.Clone(), bytes.Clone(p.model)}
			if len(all) < 6 {
				all = append(all, c)
			} else {
				all[rng.IntN(len(all))] = c
			}
		default:
			b := bytes.Repeat([]byte{byte(rng.IntN(3))}, n)
			p.content.WriteAt(b, int64(off))
			if n > 0 {
				p.model = grow(p.model, off+n)
				copy(p.model[off:], b)
			}
		}
		for i, p := range all {
			if !bytes.Equal(p.content.Bytes(), p.model) || p.content.Size() != int64(len(p.model)) {
				t.Fatalf("step %d: content %d differs", step, i)
			}
		}
	}
}
