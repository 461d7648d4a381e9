package walformat

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// naiveSum is the algorithm as section 4.2 of the format document states it.
func naiveSum(o Order, c Checksum, b []byte) Checksum {
	var bo binary.ByteOrder = binary.LittleEndian
	if o == BigEndian {
		bo = binary.BigEndian
	}
	for i := 0; i < len(b); i += 8 {
		c.S0 += bo.Uint32(b[i:]) + c.S1
		c.S1 += bo.Uint32(b[i+4:]) + c.S0
	}
	return c
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

var orders = []Order{LittleEndian, BigEndian}

func TestSumEqualsNaive(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, o := range orders {
		for n := 0; n <= 1024; n += 8 {
			b := randomBytes(r, n)
			seed := Checksum{r.Uint32(), r.Uint32()}
			if got, want := o.Sum(seed, b), naiveSum(o, seed, b); got != want {
				t.Fatalf("%v, %d bytes: %08x, want %08x", o, n, got, want)
			}
		}
		for n := MinPageSize; n <= MaxPageSize; n *= 2 {
			b := randomBytes(r, n)
			if got, want := o.Sum(Checksum{}, b), naiveSum(o, Checksum{}, b); got != want {
				t.Fatalf("%v, %d bytes: %08x, want %08x", o, n, got, want)
			}
		}
	}
}

// TestLanesEqualOneLane holds the ways to sum a page equal, also where every
// addition carries.
func TestLanesEqualOneLane(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for size := MinPageSize; size <= MaxPageSize; size *= 2 {
		for _, page := range [][]byte{randomBytes(r, size), bytes.Repeat([]byte{0xff}, size), make([]byte, size)} {
			for _, seed := range []Checksum{{}, {r.Uint32(), r.Uint32()}, {^uint32(0), ^uint32(0)}} {
				for _, o := range orders {
					want := o.sumOneLane(seed, page)
					if got := o.sumLanes(seed, page); got != want {
						t.Fatalf("%v, page size %d, seed %08x: by lanes %08x, want %08x", o, size, seed, got, want)
					}
					if got := o.sumPage(seed, page); got != want {
						t.Fatalf("%v, page size %d, seed %08x: %08x, want %08x", o, size, seed, got, want)
					}
				}
			}
		}
	}
}

func TestSumOddLengthPanics(t *testing.T) {
	for _, n := range []int{1, 4, 7, 12} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d bytes: no panic", n)
				}
			}()
			LittleEndian.Sum(Checksum{}, make([]byte, n))
		}()
	}
}

func TestStepEqualsRepeatedStep(t *testing.T) {
	seed := Checksum{0x12345678, 0x9abcdef0}
	c := seed
	for n := range 5000 {
		if got := Advance(seed, n); got != c {
			t.Fatalf("Advance by %d: %08x, want %08x", n, got, c)
		}
		c.S0 += c.S1
		c.S1 += c.S0
	}
	if NewStep(0).Apply(seed) != seed {
		t.Error("NewStep(0) changes the checksum")
	}
}

func TestStepChainsFrames(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for size := MinPageSize; size <= MaxPageSize; size *= 2 {
		step := FrameStep(size)
		for _, o := range orders {
			prev := Checksum{r.Uint32(), r.Uint32()}
			chained := prev
			for range 4 {
				hdr, page := randomBytes(r, 8), randomBytes(r, size)
				prev = FrameSum(o, prev, hdr, page)
				chained = step.Chain(chained, FrameSum(o, Checksum{}, hdr, page))
			}
			if chained != prev {
				t.Errorf("page size %d, %v: chained %08x, want %08x", size, o, chained, prev)
			}
		}
	}
}

func TestNativeOrder(t *testing.T) {
	want := LittleEndian
	if binary.NativeEndian.Uint32([]byte{0, 0, 0, 1}) == 1 {
		want = BigEndian
	}
	if NativeOrder != want {
		t.Errorf("NativeOrder is %v, want %v", NativeOrder, want)
	}
	if s := Order(7).String(); s != "Order(7)" {
		t.Errorf("Order(7) prints as %q", s)
	}
}

func FuzzChecksumLinear(f *testing.F) {
	f.Add(uint32(1), uint32(2), []byte("0123456789abcdef"))
	f.Add(^uint32(0), ^uint32(0), make([]byte, 72))
	f.Add(uint32(3), uint32(4), bytes.Repeat([]byte("page"), MinPageSize/4)) // in lanes
	f.Fuzz(func(t *testing.T, s0, s1 uint32, b []byte) {
		b = b[:len(b)/8*8]
		seed := Checksum{s0, s1}
		for _, o := range orders {
			want := naiveSum(o, seed, b)
			if got := o.Sum(seed, b); got != want {
				t.Fatalf("%v: Sum %08x, want %08x", o, got, want)
			}
			if ValidPageSize(len(b)) {
				if got := o.sumLanes(seed, b); got != want {
					t.Fatalf("%v: by lanes %08x, want %08x", o, got, want)
				}
			}
			if got := Advance(seed, len(b)/8).Add(o.Sum(Checksum{}, b)); got != want {
				t.Fatalf("%v: from parts %08x, want %08x", o, got, want)
			}
			cut := len(b) / 16 * 8
			own := o.Sum(Checksum{}, b[cut:])
			if got := NewStep((len(b)-cut)/8).Chain(o.Sum(seed, b[:cut]), own); got != want {
				t.Fatalf("%v: cut at %d %08x, want %08x", o, cut, got, want)
			}
		}
	})
}

func BenchmarkSum(b *testing.B) {
	for _, o := range orders {
		for _, size := range []int{512, 4096, 65536} {
			b.Run(fmt.Sprintf("%v/%d", o, size), func(b *testing.B) {
				page := randomBytes(rand.New(rand.NewPCG(5, 6)), size)
				b.SetBytes(int64(size))
				var c Checksum
				for b.Loop() {
					c = o.Sum(c, page)
				}
				sink = c
			})
		}
	}
	for name, sum := range map[string]func(Checksum, []byte) Checksum{"lanes": NativeOrder.sumLanes, "one lane": NativeOrder.sumOneLane} {
		b.Run(name+"/4096", func(b *testing.B) {
			page := randomBytes(rand.New(rand.NewPCG(5, 6)), 4096)
			b.SetBytes(4096)
			var c Checksum
			for b.Loop() {
				c = sum(c, page)
			}
			sink = c
		})
	}
	b.Run("naive/4096", func(b *testing.B) {
		page := randomBytes(rand.New(rand.NewPCG(5, 6)), 4096)
		b.SetBytes(4096)
		var c Checksum
		for b.Loop() {
			c = naiveSum(LittleEndian, c, page)
		}
		sink = c
	})
}

func BenchmarkVerifyFrame(b *testing.B) {
	h := Header{Order: NativeOrder, Version: Version, PageSize: 4096}
	page := randomBytes(rand.New(rand.NewPCG(5, 6)), h.PageSize)
	raw := make([]byte, FrameHeaderSize)
	h.EncodeFrame(raw, Checksum{}, 1, 0, page)
	b.SetBytes(int64(h.FrameSize()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := VerifyFrame(&h, Checksum{}, raw, page); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkChain(b *testing.B) {
	step := FrameStep(4096)
	c := Checksum{1, 2}
	for b.Loop() {
		c = step.Chain(c, Checksum{3, 4})
	}
	sink = c
}

func BenchmarkNewStep(b *testing.B) {
	for b.Loop() {
		sink = FrameStep(4096).Apply(Checksum{1, 2})
	}
}

var sink Checksum
