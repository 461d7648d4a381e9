package torture

// This file runs a child and kills it.

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// patience bounds how long a child may take to commit anything: much longer
// than it takes on the slowest machine.
const patience = 2 * time.Minute

// plan is when to kill.
type plan struct {
	early time.Duration // since the start, if above 0: maybe before any commit
	acks  int           // at this commit, if above 0
	delay time.Duration // else: since the first commit
}

// planKill chooses the moment: mostly in the thick of it, sometimes while the
// child opens and recovers, sometimes right after a commit.
func (r *run) planKill() plan {
	switch n := r.rng.IntN(20); {
	case n < 4:
		return plan{early: time.Duration(1+r.rng.IntN(60)) * time.Millisecond}
	case n < 7:
		return plan{acks: 1 + r.rng.IntN(200)}
	}
	return plan{delay: time.Duration(10+r.rng.IntN(291)) * time.Millisecond}
}

// acks is what a child reported: of each worker the last commit, and how many
// there were in all.
type acks struct {
	last  map[int]int
	count int
}

// killChild starts a child, kills it as planned, and returns what it reported.
func (r *run) killChild(ctx context.Context, p plan) (acks, []string, error) {
	args := append(append([]string{}, r.Child[1:]...), r.db,
		strconv.FormatUint(r.Seed, 10), strconv.Itoa(r.result.Kills))
	cmd := exec.CommandContext(ctx, r.Child[0], args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return acks{}, nil, err
	}
	if err := cmd.Start(); err != nil {
		return acks{}, nil, fmt.Errorf("start child: %w", err)
	}
	l := &listener{acked: acks{last: map[int]int{}}, first: make(chan struct{}), enough: make(chan struct{}), end: make(chan struct{}), target: p.acks}
	go l.listen(stdout)
	killed := wait(ctx, p, l)
	_ = cmd.Process.Kill() // it may be gone already: told from killed
	<-l.end                // what was acknowledged before the kill is in the pipe
	waitErr := cmd.Wait()
	if ctx.Err() != nil {
		return acks{}, nil, ctx.Err()
	}
	if !killed {
		return acks{}, nil, fmt.Errorf("the child ended by itself (%v): %s", waitErr, strings.TrimSpace(stderr.String()))
	}
	if l.err != nil {
		return acks{}, nil, l.err
	}
	return l.acked, l.torn, nil
}

// wait returns true when it is time to kill, false if the child ends before.
func wait(ctx context.Context, p plan, l *listener) bool {
	after := func(d time.Duration, enough <-chan struct{}) bool {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-enough:
		case <-t.C:
		case <-ctx.Done():
		case <-l.end:
			return false
		}
		return true
	}
	switch {
	case p.early > 0:
		return after(p.early, nil)
	case p.acks > 0:
		// A slow disk need not get that far.
		return after(patience, l.first) && after(time.Second, l.enough)
	}
	return after(patience, l.first) && after(p.delay, nil)
}

// listener reads what a child prints.
type listener struct {
	target        int           // closes enough
	first, enough chan struct{} // the first commit, and the one aimed at
	end           chan struct{} // end of the output

	// Owned by listen until end is closed.
	acked acks
	torn  []string
	err   error
}

func (l *listener) listen(out io.Reader) {
	defer close(l.end)
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return // a line without its end was not finished, so nobody was told
		}
		l.line(strings.TrimSuffix(line, "\n"))
	}
}

func (l *listener) line(line string) {
	if text, ok := strings.CutPrefix(line, tornPrefix); ok {
		l.torn = append(l.torn, text)
		return
	}
	var worker, seq int
	if _, err := fmt.Sscanf(line, ackFormat, &worker, &seq); err != nil {
		l.err = fmt.Errorf("the child printed %q", line)
		return
	}
	if want := l.acked.last[worker] + 1; l.acked.last[worker] != 0 && seq != want {
		l.err = fmt.Errorf("the child's worker %d reported commit %d after %d", worker, seq, want-1)
		return
	}
	l.acked.last[worker] = seq
	if l.acked.count++; l.acked.count == 1 {
		close(l.first)
	}
	if l.acked.count == l.target {
		close(l.enough)
	}
}
