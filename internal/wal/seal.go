// The checksums of frames that are to be written.

package wal

import (
	"runtime"
	"sync"

	"github.com/walnutdb/walnut/internal/walformat"
)

// sealBytes is how much each core is to have before another one is asked: less
// is summed in the time that it takes to wake it.
const sealBytes = 1 << 20

// seal completes frames: vec has the header and the page of each in turn, the
// headers as StartFrame left them. It puts the checksums in, from prev on, calls
// note with each, in order, and returns the last.
//
// Many frames are summed on all cores, each from zero, and then chained.
func seal(h *walformat.Header, prev walformat.Checksum, vec [][]byte, note func(i int, s walformat.Checksum)) walformat.Checksum {
	n := len(vec) / 2
	workers := min(runtime.GOMAXPROCS(0), n*h.FrameSize()/sealBytes)
	if workers <= 1 {
		for i := range n {
			prev = walformat.FrameSum(h.Order, prev, vec[2*i], vec[2*i+1])
			walformat.PutFrameSum(vec[2*i], prev)
			note(i, prev)
		}
		return prev
	}
	sumAlone(h.Order, vec, workers)
	step := walformat.FrameStep(h.PageSize)
	for i := range n {
		own := walformat.ParseFrameHeader(vec[2*i]).Sum
		prev = step.Chain(prev, own)
		walformat.PutFrameSum(vec[2*i], prev)
		note(i, prev)
	}
	return prev
}

// sumAlone puts into each header the frame's checksum from zero, on so many
// cores.
func sumAlone(order walformat.Order, vec [][]byte, workers int) {
	n := len(vec) / 2
	part := func(w int) {
		for i := w * n / workers; i < (w+1)*n/workers; i++ {
			walformat.PutFrameSum(vec[2*i], walformat.FrameSum(order, walformat.Checksum{}, vec[2*i], vec[2*i+1]))
		}
	}
	var wg sync.WaitGroup
	for w := 1; w < workers; w++ {
		wg.Go(func() { part(w) })
	}
	part(0)
	wg.Wait()
}
