package walformat

import (
	"encoding/binary"
	"math/bits"
)

// This file sums a page in four lanes. What bounds [Order.Sum] is the chain of
// two dependent additions for each pair of words; a processor has room for
// several such chains at once. So the quarters of a page are summed side by
// side, the first from the seed and the others from zero, and then chained as
// [Step] chains frames.
//
// Invariant: the result is that of one lane, for every seed and every page
// (TestLanesEqualOneLane, FuzzChecksumLinear).

// lanes is how many parts are summed side by side: four chains of two words
// each still fit into the registers of every machine with 16 of them.
const lanes = 4

// laneBytes is what one round takes of each lane.
const laneBytes = 32

// steps has the step over 1<<i bytes.
var steps = func() (t [17]Step) {
	for i := 3; i < len(t); i++ {
		t[i] = NewStep(1 << i / 8)
	}
	return t
}()

// sumPage is Sum over a whole page, whose length ValidPageSize accepts.
func (o Order) sumPage(seed Checksum, page []byte) Checksum {
	if o == LittleEndian {
		if own, ok := sumPageFast(page); ok {
			return steps[bits.Len(uint(len(page)))-1].Chain(seed, own)
		}
	}
	return o.sumLanes(seed, page)
}

// sumLanes is sumPage by lanes.
func (o Order) sumLanes(seed Checksum, page []byte) Checksum {
	var c [lanes]Checksum
	c[0] = seed
	if o == BigEndian {
		lanesBE(&c, page)
	} else {
		lanesLE(&c, page)
	}
	step := steps[bits.Len(uint(len(page)/lanes))-1]
	sum := c[0]
	for _, own := range c[1:] {
		sum = step.Chain(sum, own)
	}
	return sum
}

// lanesLE and lanesBE continue the checksums c over the four quarters of page.
// They differ in the loads only. One slice expression a lane serves eight loads
// with one bounds check.
func lanesLE(c *[lanes]Checksum, page []byte) {
	n := len(page) / lanes
	p0, p1, p2, p3 := page[:n:n], page[n:][:n:n], page[2*n:][:n:n], page[3*n:][:n:n]
	a0, a1, b0, b1 := c[0].S0, c[0].S1, c[1].S0, c[1].S1
	c0, c1, d0, d1 := c[2].S0, c[2].S1, c[3].S0, c[3].S1
	for i := 0; i+laneBytes <= n; i += laneBytes {
		w, x := (*[laneBytes]byte)(p0[i:i+laneBytes]), (*[laneBytes]byte)(p1[i:i+laneBytes])
		y, z := (*[laneBytes]byte)(p2[i:i+laneBytes]), (*[laneBytes]byte)(p3[i:i+laneBytes])
		a0 = (a0 + binary.LittleEndian.Uint32(w[0:4])) + a1
		b0 = (b0 + binary.LittleEndian.Uint32(x[0:4])) + b1
		c0 = (c0 + binary.LittleEndian.Uint32(y[0:4])) + c1
		d0 = (d0 + binary.LittleEndian.Uint32(z[0:4])) + d1
		a1 = (a1 + binary.LittleEndian.Uint32(w[4:8])) + a0
		b1 = (b1 + binary.LittleEndian.Uint32(x[4:8])) + b0
		c1 = (c1 + binary.LittleEndian.Uint32(y[4:8])) + c0
		d1 = (d1 + binary.LittleEndian.Uint32(z[4:8])) + d0
		a0 = (a0 + binary.LittleEndian.Uint32(w[8:12])) + a1
		b0 = (b0 + binary.LittleEndian.Uint32(x[8:12])) + b1
		c0 = (c0 + binary.LittleEndian.Uint32(y[8:12])) + c1
		d0 = (d0 + binary.LittleEndian.Uint32(z[8:12])) + d1
		a1 = (a1 + binary.LittleEndian.Uint32(w[12:16])) + a0
		b1 = (b1 + binary.LittleEndian.Uint32(x[12:16])) + b0
		c1 = (c1 + binary.LittleEndian.Uint32(y[12:16])) + c0
		d1 = (d1 + binary.LittleEndian.Uint32(z[12:16])) + d0
		a0 = (a0 + binary.LittleEndian.Uint32(w[16:20])) + a1
		b0 = (b0 + binary.LittleEndian.Uint32(x[16:20])) + b1
		c0 = (c0 + binary.LittleEndian.Uint32(y[16:20])) + c1
		d0 = (d0 + binary.LittleEndian.Uint32(z[16:20])) + d1
		a1 = (a1 + binary.LittleEndian.Uint32(w[20:24])) + a0
		b1 = (b1 + binary.LittleEndian.Uint32(x[20:24])) + b0
		c1 = (c1 + binary.LittleEndian.Uint32(y[20:24])) + c0
		d1 = (d1 + binary.LittleEndian.Uint32(z[20:24])) + d0
		a0 = (a0 + binary.LittleEndian.Uint32(w[24:28])) + a1
		b0 = (b0 + binary.LittleEndian.Uint32(x[24:28])) + b1
		c0 = (c0 + binary.LittleEndian.Uint32(y[24:28])) + c1
		d0 = (d0 + binary.LittleEndian.Uint32(z[24:28])) + d1
		a1 = (a1 + binary.LittleEndian.Uint32(w[28:32])) + a0
		b1 = (b1 + binary.LittleEndian.Uint32(x[28:32])) + b0
		c1 = (c1 + binary.LittleEndian.Uint32(y[28:32])) + c0
		d1 = (d1 + binary.LittleEndian.Uint32(z[28:32])) + d0
	}
	*c = [lanes]Checksum{{a0, a1}, {b0, b1}, {c0, c1}, {d0, d1}}
}

func lanesBE(c *[lanes]Checksum, page []byte) {
	n := len(page) / lanes
	p0, p1, p2, p3 := page[:n:n], page[n:][:n:n], page[2*n:][:n:n], page[3*n:][:n:n]
	a0, a1, b0, b1 := c[0].S0, c[0].S1, c[1].S0, c[1].S1
	c0, c1, d0, d1 := c[2].S0, c[2].S1, c[3].S0, c[3].S1
	for i := 0; i+laneBytes <= n; i += laneBytes {
		w, x := (*[laneBytes]byte)(p0[i:i+laneBytes]), (*[laneBytes]byte)(p1[i:i+laneBytes])
		y, z := (*[laneBytes]byte)(p2[i:i+laneBytes]), (*[laneBytes]byte)(p3[i:i+laneBytes])
		a0 = (a0 + binary.BigEndian.Uint32(w[0:4])) + a1
		b0 = (b0 + binary.BigEndian.Uint32(x[0:4])) + b1
		c0 = (c0 + binary.BigEndian.Uint32(y[0:4])) + c1
		d0 = (d0 + binary.BigEndian.Uint32(z[0:4])) + d1
		a1 = (a1 + binary.BigEndian.Uint32(w[4:8])) + a0
		b1 = (b1 + binary.BigEndian.Uint32(x[4:8])) + b0
		c1 = (c1 + binary.BigEndian.Uint32(y[4:8])) + c0
		d1 = (d1 + binary.BigEndian.Uint32(z[4:8])) + d0
		a0 = (a0 + binary.BigEndian.Uint32(w[8:12])) + a1
		b0 = (b0 + binary.BigEndian.Uint32(x[8:12])) + b1
		c0 = (c0 + binary.BigEndian.Uint32(y[8:12])) + c1
		d0 = (d0 + binary.BigEndian.Uint32(z[8:12])) + d1
		a1 = (a1 + binary.BigEndian.Uint32(w[12:16])) + a0
		b1 = (b1 + binary.BigEndian.Uint32(x[12:16])) + b0
		c1 = (c1 + binary.BigEndian.Uint32(y[12:16])) + c0
		d1 = (d1 + binary.BigEndian.Uint32(z[12:16])) + d0
		a0 = (a0 + binary.BigEndian.Uint32(w[16:20])) + a1
		b0 = (b0 + binary.BigEndian.Uint32(x[16:20])) + b1
		c0 = (c0 + binary.BigEndian.Uint32(y[16:20])) + c1
		d0 = (d0 + binary.BigEndian.Uint32(z[16:20])) + d1
		a1 = (a1 + binary.BigEndian.Uint32(w[20:24])) + a0
		b1 = (b1 + binary.BigEndian.Uint32(x[20:24])) + b0
		c1 = (c1 + binary.BigEndian.Uint32(y[20:24])) + c0
		d1 = (d1 + binary.BigEndian.Uint32(z[20:24])) + d0
		a0 = (a0 + binary.BigEndian.Uint32(w[24:28])) + a1
		b0 = (b0 + binary.BigEndian.Uint32(x[24:28])) + b1
		c0 = (c0 + binary.BigEndian.Uint32(y[24:28])) + c1
		d0 = (d0 + binary.BigEndian.Uint32(z[24:28])) + d1
		a1 = (a1 + binary.BigEndian.Uint32(w[28:32])) + a0
		b1 = (b1 + binary.BigEndian.Uint32(x[28:32])) + b0
		c1 = (c1 + binary.BigEndian.Uint32(y[28:32])) + c0
		d1 = (d1 + binary.BigEndian.Uint32(z[28:32])) + d0
	}
	*c = [lanes]Checksum{{a0, a1}, {b0, b1}, {c0, c1}, {d0, d1}}
}
