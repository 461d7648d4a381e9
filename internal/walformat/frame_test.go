package walformat

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// testFrame returns a log header, a checksum before a frame, and the frame.
func testFrame(o Order, pageSize int) (h Header, prev Checksum, raw, page []byte) {
	r := rand.New(rand.NewPCG(7, uint64(pageSize)))
	h = Header{Order: o, Version: Version, PageSize: pageSize, Salt1: r.Uint32(), Salt2: r.Uint32()}
	prev = Checksum{r.Uint32(), r.Uint32()}
	raw, page = make([]byte, FrameHeaderSize), randomBytes(r, pageSize)
	h.EncodeFrame(raw, prev, 9, 12, page)
	return h, prev, raw, page
}

func TestFrameRoundTrip(t *testing.T) {
	for _, o := range orders {
		h, prev, raw, page := testFrame(o, 512)
		f, err := VerifyFrame(&h, prev, raw, page)
		want := FrameHeader{9, 12, h.Salt1, h.Salt2, naiveSum(o, naiveSum(o, prev, raw[:8]), page)}
		if err != nil || f != want {
			t.Errorf("%v: %+v, %v; want %+v", o, f, err, want)
		}
		again := make([]byte, FrameHeaderSize)
		f.Encode(again)
		if !bytes.Equal(again, raw) || ParseFrameHeader(raw) != f {
			t.Errorf("%v: %x encodes again as %x", o, raw, again)
		}
	}
}

func TestFrameFaults(t *testing.T) {
	h, prev, raw, page := testFrame(LittleEndian, 512)
	noPage := make([]byte, FrameHeaderSize)
	h.EncodeFrame(noPage, prev, 0, 12, page)
	flip := func(b []byte, i int) []byte { b = bytes.Clone(b); b[i] ^= 0x10; return b }
	cases := []struct {
		name      string
		prev      Checksum
		raw, page []byte
		fault     FrameFault
	}{
		{"no header", prev, nil, page, FrameShort},
		{"header cut", prev, raw[:23], page, FrameShort},
		{"page cut", prev, raw, page[:511], FrameShort},
		{"page too long", prev, raw, append(bytes.Clone(page), 0), FrameShort},
		{"zeros", prev, make([]byte, FrameHeaderSize), make([]byte, 512), FrameZeros},
		{"salt 1", prev, flip(raw, 8), page, FrameSalts},
		{"salt 2", prev, flip(raw, 15), page, FrameSalts},
		{"page number 0", prev, noPage, page, FramePageZero},
		{"page number", prev, flip(raw, 0), page, FrameChecksum},
		{"commit", prev, flip(raw, 7), page, FrameChecksum},
		{"checksum 1", prev, flip(raw, 16), page, FrameChecksum},
		{"checksum 2", prev, flip(raw, 23), page, FrameChecksum},
		{"first byte", prev, raw, flip(page, 0), FrameChecksum},
		{"last byte", prev, raw, flip(page, 511), FrameChecksum},
		{"other frame before", prev.Add(Checksum{1, 0}), raw, page, FrameChecksum},
	}
	for _, c := range cases {
		_, err := VerifyFrame(&h, c.prev, c.raw, c.page)
		var fe *FrameError
		if !errors.As(err, &fe) || fe.Fault != c.fault || fe.Detail == "" {
			t.Errorf("%s: %v, want fault %d", c.name, err, c.fault)
		}
	}
	// In a log whose salts are 0 a frame of zeros has the right salts.
	h.Salt1, h.Salt2 = 0, 0
	if _, err := VerifyFrame(&h, Checksum{}, make([]byte, FrameHeaderSize), make([]byte, 512)); err == nil {
		t.Error("zeros are a valid frame in a log with salts 0")
	}
	if _, err := CheckFrameHeader(&h, raw[:5]); err == nil {
		t.Error("a cut frame header passes CheckFrameHeader")
	}
}

func TestFrameEveryBitFlip(t *testing.T) {
	for _, o := range orders {
		h, prev, raw, page := testFrame(o, 512)
		frame := append(bytes.Clone(raw), page...)
		for bit := range len(frame) * 8 {
			frame[bit/8] ^= 1 << (bit % 8)
			if _, err := VerifyFrame(&h, prev, frame[:FrameHeaderSize], frame[FrameHeaderSize:]); err == nil {
				t.Fatalf("%v: bit %d flipped: still valid", o, bit)
			}
			frame[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// TestFixtureFrames verifies every frame of logs of C SQLite, each alone from
// the checksum stored before it, in both byte orders and at both ends of the
// page sizes; and writes each again.
func TestFixtureFrames(t *testing.T) {
	for name, frames := range map[string]int{
		"ps00512_txns": 30, "ps04096_txns": 2, "ps65536_txns": 4,
		"salts_zero": 14, "be_reencoded": 8, "be_appended_by_sqlite": 9,
	} {
		log := fixture(t, name, "in.db-wal")
		h, err := ParseHeader(log)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := h.FramesIn(int64(len(log))); n != uint32(frames) {
			t.Fatalf("%s: %d frames, want %d", name, n, frames)
		}
		prev, step := h.Sum, FrameStep(h.PageSize)
		for f := FrameNo(1); f <= FrameNo(frames); f++ {
			raw := log[h.FrameOffset(f):h.EndOffset(f)]
			page := raw[FrameHeaderSize:]
			fh, err := VerifyFrame(&h, prev, raw[:FrameHeaderSize], page)
			if err != nil {
				t.Fatalf("%s: frame %d: %v", name, f, err)
			}
			if got := step.Chain(prev, FrameSum(h.Order, Checksum{}, raw, page)); got != fh.Sum {
				t.Fatalf("%s: frame %d: chained %08x, stored %08x", name, f, got, fh.Sum)
			}
			again := make([]byte, FrameHeaderSize)
			if h.EncodeFrame(again, prev, fh.Page, fh.Commit, page); !bytes.Equal(again, raw[:FrameHeaderSize]) {
				t.Fatalf("%s: frame %d: %x encodes again as %x", name, f, raw[:FrameHeaderSize], again)
			}
			prev = fh.Sum
		}
	}
}

func FuzzVerifyFrame(f *testing.F) {
	h, prev, raw, page := testFrame(LittleEndian, 512)
	f.Add(raw, page, prev.S0, prev.S1, h.Salt1, h.Salt2, false)
	f.Add(make([]byte, FrameHeaderSize), make([]byte, 512), uint32(0), uint32(0), uint32(0), uint32(0), true)
	f.Add([]byte{1}, []byte{}, uint32(0), uint32(0), uint32(0), uint32(0), true)
	f.Fuzz(func(t *testing.T, raw, page []byte, s0, s1, salt1, salt2 uint32, bigEndian bool) {
		h := Header{Version: Version, PageSize: 512, Salt1: salt1, Salt2: salt2}
		if bigEndian {
			h.Order = BigEndian
		}
		prev := Checksum{s0, s1}
		fh, err := VerifyFrame(&h, prev, raw, page)
		if err != nil {
			var fe *FrameError
			if !errors.As(err, &fe) {
				t.Fatalf("error of another type: %v", err)
			}
			return
		}
		// Valid: then writing it gives the same bytes.
		again := make([]byte, FrameHeaderSize)
		if h.EncodeFrame(again, prev, fh.Page, fh.Commit, page); fh.Page == 0 || !bytes.Equal(again, raw[:FrameHeaderSize]) {
			t.Fatalf("%x is valid and encodes again as %x", raw, again)
		}
	})
}
