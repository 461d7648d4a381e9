package wal

import (
	"errors"
	"strings"
	"testing"

	"github.com/walnutdb/walnut/internal/coord"
)

// TestBrokenStatesPanic breaks a good state in one way at a time.
func TestBrokenStatesPanic(t *testing.T) {
	for invariant, damage := range map[string]func(*Log){
		"broken says":                     func(l *Log) { l.mu.failed = errors.New("x") },
		"appended <= accepted":            func(l *Log) { l.mu.appended = 9 },
		"durable <= appended":             func(l *Log) { l.mu.durable = 5 },
		"appendedEnd mirrors":             func(l *Log) { l.appendedEnd.Store(3) },
		"the published generation":        func(l *Log) { l.mu.gen = 2 },
		"published commits were accepted": func(l *Log) { l.mu.seq = 0 },
		"the database file has durable":   func(l *Log) { l.mu.durable = 1 },
		"no accepted commit is without":   func(l *Log) { l.mu.leading = false },
		"nAppended counts":                func(l *Log) { l.mu.nAppended = 3 },
		"commits in flight follow":        func(l *Log) { l.mu.inflight[0].first = 4 },
		"their sequence numbers too":      func(l *Log) { l.mu.inflight[1].seq = 9 },
		"the last commit in flight is":    func(l *Log) { l.mu.accepted = 7 },
		"the last appended commit is":     func(l *Log) { l.mu.nAppended = 0; l.mu.pendingBytes = 20 },
		"pendingBytes is the size":        func(l *Log) { l.mu.pendingBytes = 1 },
		"published <= appended":           func(l *Log) { l.mu.appended, l.mu.durable = 1, 1; l.appendedEnd.Store(1) },
		"nobody waits for the leadership": func(l *Log) {
			l.mu.failed = errors.New("x")
			l.broken.Store(true)
			l.mu.leadWaiters = make([]chan bool, 1)
		},
	} {
		l := &Log{co: coord.NewInProcess(coord.State{Snapshot: coord.Snapshot{Gen: 1, MaxFrame: 2, NBackfill: 2, Seq: 1}})}
		l.mu.gen, l.mu.accepted, l.mu.appended, l.mu.durable, l.mu.seq = 1, 6, 4, 2, 3
		l.appendedEnd.Store(4)
		l.mu.inflight = []*commit{{first: 3, end: 4, seq: 2, bytes: 10}, {first: 5, end: 6, seq: 3, bytes: 10}}
		l.mu.nAppended, l.mu.pendingBytes, l.mu.leading = 1, 10, true
		l.checkLocked()
		damage(l)
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, invariant) {
					t.Errorf("the panic is %q, without %q", text, invariant)
				}
			}()
			l.checkLocked()
		}()
	}
}
