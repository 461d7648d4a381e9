package walformat

import "encoding/binary"

// Order is the byte order of the words a log's checksums run over. It is the
// lowest bit of the log's magic, and has nothing to do with the order of the
// numbers in the file, which are always big-endian. Section 4.2, "Checksum
// Algorithm".
type Order uint8

const (
	// LittleEndian is the order of a log that begins with [MagicLE].
	LittleEndian Order = 0
	// BigEndian is the order of a log that begins with [MagicBE].
	BigEndian Order = 1
)

// NativeOrder is the order of this machine, used for new logs. Both are read
// everywhere; this one is the faster to compute.
var NativeOrder = nativeOrder()

func nativeOrder() Order {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return LittleEndian
	}
	return BigEndian
}

// Checksum is the state of the rolling checksum, and what is stored in the
// last 8 bytes of a log header or frame header. Section 4.2, "Checksum
// Algorithm".
type Checksum struct{ S0, S1 uint32 }

// Add adds both words, modulo 2^32.
func (c Checksum) Add(d Checksum) Checksum {
	return Checksum{c.S0 + d.S0, c.S1 + d.S1}
}

// put stores the checksum as it stands in both kinds of headers.
func (c Checksum) put(b []byte) {
	_ = b[7]
	binary.BigEndian.PutUint32(b[0:4], c.S0)
	binary.BigEndian.PutUint32(b[4:8], c.S1)
}

func getChecksum(b []byte) Checksum {
	_ = b[7]
	return Checksum{binary.BigEndian.Uint32(b[0:4]), binary.BigEndian.Uint32(b[4:8])}
}

// Sum continues the checksum seed over b, whose length must be a multiple of
// 8 (it panics otherwise: no part of a log has another length). Section 4.2,
// "Checksum Algorithm".
func (o Order) Sum(seed Checksum, b []byte) Checksum {
	if len(b)%8 != 0 {
		panic("walformat: checksum over a length that is not a multiple of 8")
	}
	if ValidPageSize(len(b)) {
		return o.sumPage(seed, b)
	}
	return o.sumOneLane(seed, b)
}

// sumOneLane is Sum by one chain of additions.
func (o Order) sumOneLane(seed Checksum, b []byte) Checksum {
	if o == BigEndian {
		return sumBE(seed, b)
	}
	return sumLE(seed, b)
}

// sumLE and sumBE differ in the loads only. Each round takes 32 bytes by
// constant indices of one fixed-size window, so that one bounds check serves
// eight loads. What bounds the speed is the chain s0 -> s1 -> s0: x is added
// to the older of the two sums first, which leaves two additions per pair on
// the critical path in place of four.
func sumLE(seed Checksum, b []byte) Checksum {
	s0, s1 := seed.S0, seed.S1
	for len(b) >= 32 {
		w := (*[32]byte)(b)
		s0 = (s0 + binary.LittleEndian.Uint32(w[0:4])) + s1
		s1 = (s1 + binary.LittleEndian.Uint32(w[4:8])) + s0
		s0 = (s0 + binary.LittleEndian.Uint32(w[8:12])) + s1
		s1 = (s1 + binary.LittleEndian.Uint32(w[12:16])) + s0
		s0 = (s0 + binary.LittleEndian.Uint32(w[16:20])) + s1
		s1 = (s1 + binary.LittleEndian.Uint32(w[20:24])) + s0
		s0 = (s0 + binary.LittleEndian.Uint32(w[24:28])) + s1
		s1 = (s1 + binary.LittleEndian.Uint32(w[28:32])) + s0
		b = b[32:]
	}
	for len(b) >= 8 {
		w := (*[8]byte)(b)
		s0 = (s0 + binary.LittleEndian.Uint32(w[0:4])) + s1
		s1 = (s1 + binary.LittleEndian.Uint32(w[4:8])) + s0
		b = b[8:]
	}
	return Checksum{s0, s1}
}

func sumBE(seed Checksum, b []byte) Checksum {
	s0, s1 := seed.S0, seed.S1
	for len(b) >= 32 {
		w := (*[32]byte)(b)
		s0 = (s0 + binary.BigEndian.Uint32(w[0:4])) + s1
		s1 = (s1 + binary.BigEndian.Uint32(w[4:8])) + s0
		s0 = (s0 + binary.BigEndian.Uint32(w[8:12])) + s1
		s1 = (s1 + binary.BigEndian.Uint32(w[12:16])) + s0
		s0 = (s0 + binary.BigEndian.Uint32(w[16:20])) + s1
		s1 = (s1 + binary.BigEndian.Uint32(w[20:24])) + s0
		s0 = (s0 + binary.BigEndian.Uint32(w[24:28])) + s1
		s1 = (s1 + binary.BigEndian.Uint32(w[28:32])) + s0
		b = b[32:]
	}
	for len(b) >= 8 {
		w := (*[8]byte)(b)
		s0 = (s0 + binary.BigEndian.Uint32(w[0:4])) + s1
		s1 = (s1 + binary.BigEndian.Uint32(w[4:8])) + s0
		b = b[8:]
	}
	return Checksum{s0, s1}
}

// Step is what a run of n word pairs does to the checksum it starts from: the
// matrix M^n with M = [1 1; 1 2]. With it, frames can be summed from zero in
// any order and on any core, and chained afterwards in O(1) each:
//
//	own := FrameSum(order, Checksum{}, hdr8, page) // independent of the others
//	sum := step.Chain(prev, own)                   // == FrameSum(order, prev, ...)
//
// M^n is [F(2n-1) F(2n); F(2n) F(2n+1)] in Fibonacci numbers modulo 2^32, so
// its first row is enough. The zero Step is no valid step; NewStep(0) is the
// one that changes nothing.
type Step struct{ a, b uint32 } // M^n = [a b; b a+b]

// NewStep returns the step over n pairs of words (8*n bytes), in O(log n).
func NewStep(n int) Step {
	r, m := Step{1, 0}, Step{1, 1}
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			r = r.mul(m)
		}
		m = m.mul(m)
	}
	return r
}

// FrameStep returns the step over one frame: 8 bytes of its header and a page.
func FrameStep(pageSize int) Step { return NewStep((8 + pageSize) / 8) }

// mul multiplies two powers of M; they commute, and the product has the same
// shape.
func (s Step) mul(t Step) Step {
	bb := s.b * t.b
	return Step{s.a*t.a + bb, s.a*t.b + s.b*t.a + bb}
}

// Apply returns M^n * seed.
func (s Step) Apply(seed Checksum) Checksum {
	u := s.b * seed.S1
	return Checksum{s.a*seed.S0 + u, s.b*seed.S0 + s.a*seed.S1 + u}
}

// Chain returns the checksum from the seed prev of the bytes whose checksum
// from zero is own and which are as long as the step.
func (s Step) Chain(prev, own Checksum) Checksum { return s.Apply(prev).Add(own) }

// Advance returns M^n * seed for n pairs of words, so that
// o.Sum(seed, b) == Advance(seed, len(b)/8).Add(o.Sum(Checksum{}, b)).
// For a size that comes again, keep a [Step].
func Advance(seed Checksum, n int) Checksum { return NewStep(n).Apply(seed) }
