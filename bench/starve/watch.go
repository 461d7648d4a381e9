package main

import (
	"os"
	"sync"
	"time"
)

// sampleEvery is the time between two looks at the sizes.
const sampleEvery = 20 * time.Millisecond

// peaks are the largest sizes that were seen.
type peaks struct {
	// logFile is the size of the file in bytes, logFrames the bytes of its frames
	// alone (Walnut fills it ahead).
	logFile, logFrames int64
	// sideBytes and images are of Walnut's side file, detached counts the most
	// readers that were at a time.
	sideBytes, images int64
	detached          int
	samples           int
}

// watch looks at the sizes until stop is called, which returns the peaks.
func (d *database) watch() (stop func() peaks) {
	var p peaks
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(sampleEvery)
		defer t.Stop()
		for {
			d.look(&p)
			select {
			case <-t.C:
			case <-quit:
				return
			}
		}
	})
	return sync.OnceValue(func() peaks {
		close(quit)
		wg.Wait()
		d.look(&p)
		return p
	})
}

func (d *database) look(p *peaks) {
	p.samples++
	if info, err := os.Stat(d.path + "-wal"); err == nil {
		p.logFile = max(p.logFile, info.Size())
	}
	if d.own == nil {
		return
	}
	s := d.own.Stats()
	p.logFile = max(p.logFile, s.LogBytes)
	p.logFrames = max(p.logFrames, 32+int64(s.AcceptedFrames)*int64(s.FrameBytes))
	p.sideBytes, p.images = max(p.sideBytes, s.SideBytes), max(p.images, s.SideImages)
	p.detached = max(p.detached, s.ReadersDetached)
}
