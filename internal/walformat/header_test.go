package walformat

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// fixture reads a file of a case in the fixtures, which lie beside the
// repository. Where they do not, the test is skipped; a CI machine that has
// the folder must have the case.
func fixture(t *testing.T, name, file string) []byte {
	t.Helper()
	shared := filepath.Join("..", "..", "..", "shared")
	b, err := os.ReadFile(filepath.Join(shared, "fixtures", name, file))
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(shared); err == nil && os.Getenv("CI") != "" {
			t.Fatalf("fixture %s/%s is missing from ../shared/fixtures", name, file)
		}
		t.Skipf("fixture %s/%s is not there: ../shared/fixtures beside the repository holds them", name, file)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Headers that C SQLite 3.40.1 wrote (little-endian) and one with big-endian
// checksums that it read and appended to.
var knownHeaders = []struct {
	hex  string
	want Header
}{
	{
		"377f0682002de2180000040000000001046cb17dafbfc99b53806f17a826066b",
		Header{LittleEndian, Version, 1024, 1, 0x046cb17d, 0xafbfc99b, Checksum{0x53806f17, 0xa826066b}},
	},
	{
		"377f0683002de218000004000000000110efdc8b725c5c1526f4ab634029e332",
		Header{BigEndian, Version, 1024, 1, 0x10efdc8b, 0x725c5c15, Checksum{0x26f4ab63, 0x4029e332}},
	},
}

func TestHeaderKnownVectors(t *testing.T) {
	for _, v := range knownHeaders {
		raw := unhex(t, v.hex)
		h, err := ParseHeader(raw)
		if err != nil || h != v.want {
			t.Errorf("ParseHeader(%s) = %+v, %v; want %+v", v.hex, h, err, v.want)
		}
		h = v.want
		h.Sum = Checksum{}
		got := make([]byte, HeaderSize)
		h.Encode(got)
		if !bytes.Equal(got, raw) || h.Sum != v.want.Sum {
			t.Errorf("Encode(%+v) = %x, want %s", v.want, got, v.hex)
		}
	}
}

func TestHeaderFaults(t *testing.T) {
	good := func() []byte {
		h := Header{Order: BigEndian, Version: Version, PageSize: 4096, CheckpointSeq: 3, Salt1: 5, Salt2: 7}
		b := make([]byte, HeaderSize)
		h.Encode(b)
		return b
	}
	// resum makes the checksum right again after a change.
	resum := func(b []byte) []byte {
		Order(b[3]&1).Sum(Checksum{}, b[:24]).put(b[24:])
		return b
	}
	put := func(off int, v uint32) []byte {
		b := good()
		binary.BigEndian.PutUint32(b[off:], v)
		return resum(b)
	}
	flip := func(i int) []byte { b := good(); b[i] ^= 1; return b }
	cases := []struct {
		name  string
		b     []byte
		fault HeaderFault
	}{
		{"empty", nil, HeaderShort},
		{"31 bytes", good()[:31], HeaderShort},
		{"zeros", make([]byte, HeaderSize), HeaderMagic},
		{"magic", put(0, MagicLE+2), HeaderMagic},
		{"page size 0", put(8, 0), HeaderPageSize},
		{"page size 1", put(8, 1), HeaderPageSize},
		{"page size 256", put(8, 256), HeaderPageSize},
		{"page size 1000", put(8, 1000), HeaderPageSize},
		{"page size 131072", put(8, 131072), HeaderPageSize},
		{"page size above 2^31", put(8, 1<<31+512), HeaderPageSize},
		{"order", flip(3), HeaderChecksum},
		{"version, checksum wrong", flip(7), HeaderChecksum},
		{"sequence", flip(15), HeaderChecksum},
		{"salt 1", flip(19), HeaderChecksum},
		{"salt 2", flip(23), HeaderChecksum},
		{"checksum 1", flip(27), HeaderChecksum},
		{"checksum 2", flip(31), HeaderChecksum},
		{"version", put(4, Version+1), HeaderVersion},
	}
	for _, c := range cases {
		h, err := ParseHeader(c.b)
		var he *HeaderError
		if !errors.As(err, &he) || he.Fault != c.fault || he.Detail == "" {
			t.Errorf("%s: %v, want fault %d", c.name, err, c.fault)
			continue
		}
		isVersion := c.fault == HeaderVersion
		if errors.Is(err, ErrVersion) != isVersion || errors.Is(err, ErrNotHeader) == isVersion {
			t.Errorf("%s: %v matches the wrong sentinel", c.name, err)
		}
		if isVersion != (h.PageSize != 0) {
			t.Errorf("%s: returned header %+v", c.name, h)
		}
	}
	if _, err := ParseHeader(append(good(), 1, 2, 3)); err != nil {
		t.Errorf("longer than a header: %v", err)
	}
}

func TestHeaderEveryBitFlip(t *testing.T) {
	h := Header{Order: LittleEndian, Version: Version, PageSize: 512, Salt1: 5, Salt2: 7}
	good := make([]byte, HeaderSize)
	h.Encode(good)
	for bit := range HeaderSize * 8 {
		b := bytes.Clone(good)
		b[bit/8] ^= 1 << (bit % 8)
		if _, err := ParseHeader(b); !errors.Is(err, ErrNotHeader) {
			t.Errorf("bit %d flipped: %v", bit, err)
		}
	}
}

func TestOffsets(t *testing.T) {
	h := Header{PageSize: 4096}
	const frame = 4096 + 24
	checks := []struct{ got, want int64 }{
		{int64(h.FrameSize()), frame},
		{int64(h.FrameOffset(1)), 32},
		{int64(h.FrameOffset(3)), 32 + 2*frame},
		{int64(h.EndOffset(0)), 32},
		{int64(h.EndOffset(2)), 32 + 2*frame},
		{int64(h.FrameOffset(math.MaxUint32)), 32 + (math.MaxUint32-1)*frame},
		{int64(h.FrameAt(-1)), 0},
		{int64(h.FrameAt(31)), 0},
		{int64(h.FrameAt(32)), 1},
		{int64(h.FrameAt(32 + frame - 1)), 1},
		{int64(h.FrameAt(32 + frame)), 2},
		{int64(h.FrameAt(math.MaxInt64)), math.MaxUint32},
		{int64(h.FramesIn(0)), 0},
		{int64(h.FramesIn(32)), 0},
		{int64(h.FramesIn(32 + frame - 1)), 0},
		{int64(h.FramesIn(32 + frame)), 1},
		{int64(h.FramesIn(math.MaxInt64)), math.MaxUint32},
	}
	for i, c := range checks {
		if c.got != c.want {
			t.Errorf("check %d: %d, want %d", i, c.got, c.want)
		}
	}
}

func TestPageSizesAndLockByte(t *testing.T) {
	valid := 0
	for n := -1; n <= 2*MaxPageSize; n++ {
		if ValidPageSize(n) {
			valid++
			if p := LockBytePage(n); int64(p-1)*int64(n) > PendingByte || int64(p)*int64(n) <= PendingByte {
				t.Errorf("page size %d: byte 2^30 is not in page %d", n, p)
			}
		}
	}
	if valid != 8 {
		t.Errorf("%d valid page sizes, want 8", valid)
	}
}

func FuzzHeader(f *testing.F) {
	for _, v := range knownHeaders {
		b, _ := hex.DecodeString(v.hex)
		f.Add(b, false)
	}
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, b []byte, fix bool) {
		if fix && len(b) >= HeaderSize { // gets behind the checksum
			b = bytes.Clone(b)
			binary.BigEndian.PutUint32(b, MagicLE|uint32(b[3]&1))
			Order(b[3]&1).Sum(Checksum{}, b[:24]).put(b[24:])
		}
		h, err := ParseHeader(b)
		if err != nil {
			if errors.Is(err, ErrVersion) == errors.Is(err, ErrNotHeader) {
				t.Fatalf("%v matches both sentinels or none", err)
			}
			if !errors.Is(err, ErrVersion) {
				return
			}
		}
		again, sum := make([]byte, HeaderSize), h.Sum
		h.Encode(again)
		if !bytes.Equal(again, b[:HeaderSize]) || h.Sum != sum {
			t.Fatalf("%x encodes again as %x", b[:HeaderSize], again)
		}
	})
}
