package wal

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/walnutdb/walnut/internal/walformat"
)

// sealVec makes n frames to be sealed, for pages 1 to n, the last of which ends
// the transaction.
func sealVec(h *walformat.Header, n int) [][]byte {
	r := rand.New(rand.NewPCG(21, uint64(n)))
	var vec [][]byte
	for i := range n {
		head, page := make([]byte, walformat.FrameHeaderSize), make([]byte, h.PageSize)
		for j := range page {
			page[j] = byte(r.Uint32())
		}
		commit := uint32(0)
		if i == n-1 {
			commit = uint32(n)
		}
		h.StartFrame(head, walformat.PageNo(i+1), commit)
		vec = append(vec, head, page)
	}
	return vec
}

// TestSeal: however many cores compute them, the checksums are those of one
// frame after the other.
func TestSeal(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3)) // more than the machine may have
	for _, pageSize := range []int{512, 4096, 65536} {
		for _, order := range []walformat.Order{walformat.LittleEndian, walformat.BigEndian} {
			h := walformat.Header{Order: order, Version: walformat.Version, PageSize: pageSize, Salt1: 1, Salt2: 2}
			h.Encode(make([]byte, walformat.HeaderSize))
			per := sealBytes/h.FrameSize() + 1
			for _, n := range []int{1, 2, per, 2*per - 1, 2 * per, 5*per + 1} {
				vec := sealVec(&h, n)
				var noted []walformat.Checksum
				last := seal(&h, h.Sum, vec, func(i int, s walformat.Checksum) {
					if i != len(noted) {
						t.Fatalf("frame %d noted after %d", i, len(noted))
					}
					noted = append(noted, s)
				})
				prev := h.Sum
				for i := range n {
					head := make([]byte, walformat.FrameHeaderSize)
					commit := walformat.ParseFrameHeader(vec[2*i]).Commit
					prev = h.EncodeFrame(head, prev, walformat.PageNo(i+1), commit, vec[2*i+1])
					if !slices.Equal(head, vec[2*i]) || noted[i] != prev {
						t.Fatalf("page size %d, %v, frame %d of %d: header %x, want %x", pageSize, order, i+1, n, vec[2*i], head)
					}
				}
				if last != prev {
					t.Fatalf("page size %d, %v, %d frames: last %08x, want %08x", pageSize, order, n, last, prev)
				}
			}
		}
	}
}

// TestLargeGroup: a commit that several cores sum is found again.
func TestLargeGroup(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	x := newLog(t)
	var pages []walformat.PageNo
	for i := range 3 * sealBytes / testPage {
		pages = append(pages, walformat.PageNo(i+2))
	}
	x.commit(SyncFull, 1, 2, 3)
	x.commit(SyncFull, 2, pages...)
	x.commit(SyncFull, 3, 2)
	y := openLog(t, x.d.CrashKeepNone())
	if got, want := y.published().MaxFrame, x.published().MaxFrame; got != want {
		t.Fatalf("%d frames, want %d", got, want)
	}
	y.wantPage(2, 3)
	y.wantPage(pages[len(pages)-1], 2)
	y.checkpoint(Truncate)
	y.wantDB(pages[len(pages)/2], 2)
}

func BenchmarkSeal(b *testing.B) {
	h := walformat.Header{Order: walformat.NativeOrder, Version: walformat.Version, PageSize: 4096}
	for _, n := range []int{1, 64, 1000, 16000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			vec := sealVec(&h, n)
			b.SetBytes(int64(n * h.FrameSize()))
			for b.Loop() {
				seal(&h, walformat.Checksum{}, vec, func(int, walformat.Checksum) {})
			}
		})
	}
}
