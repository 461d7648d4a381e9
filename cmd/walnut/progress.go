package main

// This file is the progress bar: for people, on a terminal, and only for what
// takes more than a second.

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far something is. The zero of it (no terminal) shows
// nothing. It is not safe for concurrent use.
type progress struct {
	out   io.Writer
	what  string
	start time.Time
	bar   *progressbar.ProgressBar
}

func newProgress(out io.Writer, what string) *progress {
	p := &progress{what: what, start: time.Now()}
	if isTerminal(out) {
		p.out = out
	}
	return p
}

// set shows done of total. The first second goes unseen: most things are done
// by then.
func (p *progress) set(done, total int64) {
	if p.out == nil || total <= 0 {
		return
	}
	if p.bar == nil {
		if time.Since(p.start) < time.Second {
			return
		}
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(p.out),
			progressbar.OptionSetDescription(p.what),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSetPredictTime(true))
	}
	if p.bar.GetMax64() != total {
		p.bar.ChangeMax64(total)
	}
	_ = p.bar.Set64(done) // a bar that cannot be drawn is no reason to stop
}

// close takes the bar off the screen.
func (p *progress) close() {
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}
