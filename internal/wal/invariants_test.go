package wal

import (
	"errors"
	"strings"
	"testing"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/invariants"
	"github.com/walnutdb/walnut/internal/walformat"
)

// goodLog is a log with two frames published, two appended and two accepted.
func goodLog() *Log {
	h := walformat.Header{PageSize: testPage, Sum: walformat.Checksum{S0: 7}}
	idx := coord.NewIndex(1, h.Sum)
	for f := range walformat.FrameNo(6) {
		idx.Add(walformat.PageNo(f+1), f+1)
		idx.SetSum(f+1, walformat.Checksum{S0: uint32(f + 1)})
	}
	l := &Log{co: coord.NewInProcess(coord.State{Index: idx,
		Snapshot: coord.Snapshot{Gen: 1, MaxFrame: 2, NBackfill: 2, Seq: 1, Sum: idx.Sum(2)}})}
	l.mu.idx, l.mu.sum, l.lastHdr = idx, idx.Sum(4), h
	l.hdr.Store(&h)
	l.reserved = h.EndOffset(6)
	l.mu.gen, l.mu.accepted, l.mu.appended, l.mu.durable, l.mu.seq = 1, 6, 4, 2, 3
	l.appendedEnd.Store(4)
	l.mu.inflight = []*commit{{first: 3, end: 4, seq: 2, bytes: 10}, {first: 5, end: 6, seq: 3, bytes: 10}}
	l.mu.nAppended, l.mu.pendingBytes, l.mu.leading = 1, 10, true
	return l
}

// broken fails the test unless f panics with the invariant.
func broken(t *testing.T, invariant string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if text, _ := recover().(string); !strings.Contains(text, invariant) {
			t.Errorf("the panic is %q, without %q", text, invariant)
		}
	}()
	f()
}

// TestBrokenPlacesPanic is that for what the holder of the writer's place guards.
func TestBrokenPlacesPanic(t *testing.T) {
	for invariant, damage := range map[string]func(*Writer){
		"the header in use is the newest": func(w *Writer) { w.log.lastHdr.Salt1++ },
		"lies in reserved space":          func(w *Writer) { w.log.reserved-- },
		"each spilled frame has":          func(w *Writer) { w.spill.sums = make([]walformat.Checksum, 1) },
		"what was spilled was tried": func(w *Writer) {
			w.spill.pages, w.spill.sums = make([]walformat.PageNo, 1), make([]walformat.Checksum, 1)
			w.log.reserved *= 2
		},
		"nothing is accepted while": func(w *Writer) { w.log.mu.seq++ },
	} {
		l := goodLog()
		w := &Writer{log: l}
		w.Base, w.base = &w.base, l.acceptedLocked()
		w.checkPlace()
		damage(w)
		broken(t, invariant, w.checkPlace)
	}
}

// TestFinishedCommitIsUseless: whoever still has a commit that is over fails.
func TestFinishedCommitIsUseless(t *testing.T) {
	if !invariants.Enabled {
		t.Skip("commits are overwritten with the build tag invariants")
	}
	l := goodLog()
	c := l.mu.inflight[0]
	l.overwrite(c)
	c.assertFree()
	broken(t, "commits in flight follow", l.checkLocked)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("it was finished once more")
			}
		}()
		c.finish(nil)
	}()
	c.waits = true
	broken(t, "nobody uses a commit after", c.assertFree)
}

// TestBrokenStatesPanic breaks a good state in one way at a time.
func TestBrokenStatesPanic(t *testing.T) {
	for invariant, damage := range map[string]func(*Log){
		"broken says":                      func(l *Log) { l.mu.failed = errors.New("x") },
		"appended <= accepted":             func(l *Log) { l.mu.appended = 9 },
		"durable <= appended":              func(l *Log) { l.mu.durable = 5 },
		"appendedEnd mirrors":              func(l *Log) { l.appendedEnd.Store(3) },
		"the published generation":         func(l *Log) { l.mu.gen = 2 },
		"published commits were accepted":  func(l *Log) { l.mu.seq = 0 },
		"the database file has durable":    func(l *Log) { l.mu.durable = 1 },
		"no accepted commit is without":    func(l *Log) { l.mu.leading = false },
		"nAppended counts":                 func(l *Log) { l.mu.nAppended = 3 },
		"commits in flight follow":         func(l *Log) { l.mu.inflight[0].first = 4 },
		"their sequence numbers too":       func(l *Log) { l.mu.inflight[1].seq = 9 },
		"the last commit in flight is":     func(l *Log) { l.mu.accepted = 7 },
		"the last appended commit is":      func(l *Log) { l.mu.nAppended = 0; l.mu.pendingBytes = 20 },
		"pendingBytes is the size":         func(l *Log) { l.mu.pendingBytes = 1 },
		"published <= appended":            func(l *Log) { l.mu.appended, l.mu.durable, l.mu.sum = 1, 1, l.mu.idx.Sum(1); l.appendedEnd.Store(1) },
		"frames follow a header":           func(l *Log) { l.hdr.Store(nil) },
		"the index begins with the header": func(l *Log) { l.hdr.Store(&walformat.Header{Sum: walformat.Checksum{S0: 8}}) },
		"what is appended next continues":  func(l *Log) { l.mu.sum = walformat.Checksum{S0: 8} },
		"a snapshot has the checksum":      func(l *Log) { l.mu.idx.SetSum(2, walformat.Checksum{S0: 8}) },
		"nobody waits for the leadership": func(l *Log) {
			l.mu.failed = errors.New("x")
			l.broken.Store(true)
			l.mu.leadWaiters = make([]chan bool, 1)
		},
	} {
		l := goodLog()
		l.checkLocked()
		damage(l)
		broken(t, invariant, l.checkLocked)
	}
}
