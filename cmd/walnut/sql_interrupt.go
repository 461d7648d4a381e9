package main

// This file is what Ctrl-C does in "walnut sql": it interrupts the statement
// that runs. At a prompt it drops what was typed; in a script it ends the run,
// through the ordinary way out, so that the database is closed.

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
)

// errInterrupted: Ctrl-C while waiting for input.
var errInterrupted = errors.New("interrupted")

// interruptible is what Ctrl-C ends: the statement that runs, or the wait for
// input.
type interruptible struct {
	mu struct {
		sync.Mutex
		cancel  func() // ends what is under way; nil: nothing is
		pending bool   // a Ctrl-C that came in between, for whatever comes next
	}
	input chan readResult // of a read that outlived an interrupt
}

type readResult struct {
	n   int
	err error
}

// start says that something is under way, which the returned context ends,
// until stop is called.
func (r *interruptible) start(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.cancel = cancel
	if r.mu.pending {
		r.mu.pending = false
		cancel()
	}
	return ctx, func() {
		r.mu.Lock()
		r.mu.cancel = nil
		r.mu.Unlock()
		cancel()
	}
}

// interrupt is one Ctrl-C.
func (r *interruptible) interrupt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.cancel == nil {
		r.mu.pending = true
		return
	}
	r.mu.cancel()
}

// watch takes Ctrl-C over until stop is called.
func (r *interruptible) watch() (stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-c:
				r.interrupt()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(c)
		close(done)
	}
}

// read reads from in. Ctrl-C makes it return errInterrupted; the read itself
// goes on, and the next call gets what it brings.
func (r *interruptible) read(ctx context.Context, in io.Reader, buf []byte) (int, error) {
	ctx, stop := r.start(ctx)
	defer stop()
	if r.input == nil {
		c := make(chan readResult, 1)
		r.input = c
		go func() {
			n, err := in.Read(buf)
			c <- readResult{n, err}
		}()
	}
	select {
	case res := <-r.input:
		r.input = nil
		return res.n, res.err
	case <-ctx.Done():
		return 0, errInterrupted
	}
}
