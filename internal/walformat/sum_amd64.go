package walformat

import "golang.org/x/sys/cpu"

// This file sums little-endian pages with AVX2, eight words at a time. From
// zero, the checksum is two inner products of the words with Fibonacci numbers,
// modulo 2^32: if j counts the words from the last one, 0, on,
//
//	s0 = sum of F(j) * x(j)    s1 = sum of F(j+1) * x(j)
//
// since M^n is made of them (see Step). Blocks of the smallest page's size are
// summed so, and chained by M^64 in vectors too.
//
// It pays: 36 GB/s of pages in the cache against 17 by the lanes and 11 by one
// chain, and what copies the pages at the same time makes 8. So wider vectors
// have little left to gain.
//
// Invariant: the result is that of the portable way (TestLanesEqualOneLane,
// FuzzChecksumLinear).

// blockBytes is the length of a block: every page is a whole number of them.
const blockBytes = MinPageSize

// blockWeights is what sumBlocksAVX2 multiplies by; it knows the offsets.
type blockWeights struct {
	words [blockBytes / 32][2][8]uint32 // for s0 and s1, of eight words each
	step  [3]uint32                     // M^64 = [a b; b c]
}

var weights = func() *blockWeights {
	w := new(blockWeights)
	f0, f1 := uint32(0), uint32(1) // F(j), F(j+1)
	for j := range blockBytes / 4 {
		i := blockBytes/4 - 1 - j
		w.words[i/8][0][i%8], w.words[i/8][1][i%8] = f0, f1
		f0, f1 = f1, f0+f1
	}
	s := NewStep(blockBytes / 8)
	w.step = [3]uint32{s.a, s.b, s.a + s.b}
	return w
}()

var hasAVX2 = cpu.X86.HasAVX2

// sumBlocksAVX2 is the checksum from zero of blocks, at least one, at p.
//
//go:noescape
func sumBlocksAVX2(sum *Checksum, p *byte, blocks int, w *blockWeights)

// sumPageFast is the checksum from zero of a little-endian page; false if this
// machine has no faster way than the lanes.
func sumPageFast(page []byte) (sum Checksum, ok bool) {
	if !hasAVX2 {
		return Checksum{}, false
	}
	sumBlocksAVX2(&sum, &page[0], len(page)/blockBytes, weights)
	return sum, true
}
