// What happens, told to those who asked: events, and the counts behind Stats.
//
// Events are handed over in the order in which they happened, on a goroutine of
// the subscriber's own: the engine waits for nobody's logger. A subscriber that
// is too slow loses events and is told how many.

package wal

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// EventKind says what happened.
type EventKind uint8

const (
	// EventCommit: a round of commits was published. Commits, Frames, Seq.
	EventCommit EventKind = iota + 1
	// EventCheckpoint: a checkpoint ended. Mode, Auto, Pages, Frames (in the log),
	// Backfilled, Duration, WaitedFor, Err.
	EventCheckpoint
	// EventRestart: the log began anew. Generation is the new one, Frames how
	// many the old one had; Truncated says that the file was cut to zero.
	EventRestart
	// EventRecovery: opening found a log. Frames, Commits, Bytes (of the log
	// file), Duration.
	EventRecovery
	// EventHold: a writer was held because the log had reached its limit. Frames,
	// Duration, WaitedFor and Err, if it was in vain.
	EventHold
	// EventDetach: a reader was detached. Who, Seq and Frames of its snapshot,
	// Duration is its age.
	EventDetach
	// EventLimit: a transaction larger than the limit was accepted. Who, Seq,
	// Frames.
	EventLimit
	// EventSlowSync: a sync took longer than the subscriber's threshold.
	// Database says of which file, Duration.
	EventSlowSync
	// EventSlowWriter: a writer waited for its place longer than the subscriber's
	// threshold. Who, Duration.
	EventSlowWriter
	// EventLogFailed: the log is poisoned. Err.
	EventLogFailed
)

var eventNames = [...]string{EventCommit: "commit", EventCheckpoint: "checkpoint", EventRestart: "restart", EventRecovery: "recovery",
	EventHold: "hold", EventDetach: "detach", EventLimit: "limit", EventSlowSync: "slow sync", EventSlowWriter: "slow writer", EventLogFailed: "log failed"}

func (k EventKind) String() string {
	if int(k) < len(eventNames) && eventNames[k] != "" {
		return eventNames[k]
	}
	return "unknown"
}

// Event is something that happened. Which fields are set says its kind.
type Event struct {
	Kind       EventKind
	Who        coord.Who
	Generation coord.Generation
	Seq        coord.CommitSeq
	// Frames, Backfilled: of the log. Pages were copied. Bytes are a file's.
	Frames, Backfilled walformat.FrameNo
	Commits, Pages     int
	Bytes              int64
	Duration           time.Duration
	Mode               CheckpointMode
	// Auto: nobody asked for the checkpoint.
	Auto, Truncated, Database bool
	WaitedFor                 string
	Err                       error
	// Missed is how many events the subscriber lost before this one.
	Missed uint64
}

// Subscription says what a subscriber wants to know.
type Subscription struct {
	// On is called for every event, one at a time.
	On func(Event)
	// Recovery: what opening found in the log comes first.
	Recovery bool
	// SlowSync and SlowWriter are the thresholds; 0 is never.
	SlowSync, SlowWriter time.Duration
}

// maxEvents is how many events wait for one subscriber.
const maxEvents = 1024

type subscriber struct {
	Subscription
	mu     sync.Mutex
	wake   sync.Cond
	queue  []Event // guarded by mu, as all below
	missed uint64
	ended  bool
	done   chan struct{}
}

// subscribers is the list of them; changes under Log.subMu by copying.
type subscribers struct {
	list []*subscriber
	// the least thresholds that somebody has; 0 is none.
	slowSync, slowWriter time.Duration
}

// Subscribe hands over what happens from now on, until the function that it
// returns is called; that waits for the last call of On, so On must not call it.
func (l *Log) Subscribe(s Subscription) (cancel func()) {
	sub := &subscriber{Subscription: s, done: make(chan struct{})}
	sub.wake.L = &sub.mu
	if s.Recovery && l.recovery.Bytes > 0 {
		sub.queue = append(sub.queue, l.recovery)
	}
	l.changeSubscribers(func(list []*subscriber) []*subscriber { return append(list, sub) })
	go sub.run()
	return sync.OnceFunc(func() {
		l.changeSubscribers(func(list []*subscriber) []*subscriber {
			kept := list[:0]
			for _, x := range list {
				if x != sub {
					kept = append(kept, x)
				}
			}
			return kept
		})
		sub.mu.Lock()
		sub.ended = true
		sub.wake.Signal()
		sub.mu.Unlock()
		<-sub.done
	})
}

func (l *Log) changeSubscribers(change func([]*subscriber) []*subscriber) {
	l.subMu.Lock()
	defer l.subMu.Unlock()
	var old []*subscriber
	if p := l.subs.Load(); p != nil {
		old = p.list
	}
	next := subscribers{list: change(append([]*subscriber(nil), old...))}
	least := func(a, b time.Duration) time.Duration {
		if a == 0 || b > 0 && b < a {
			return b
		}
		return a
	}
	for _, s := range next.list {
		next.slowSync, next.slowWriter = least(next.slowSync, s.SlowSync), least(next.slowWriter, s.SlowWriter)
	}
	if len(next.list) == 0 {
		l.subs.Store(nil)
		return
	}
	l.subs.Store(&next)
}

// emit hands e to all who want it. It may be called with any lock held.
func (l *Log) emit(e Event) {
	p := l.subs.Load()
	if p == nil {
		return
	}
	for _, s := range p.list {
		if e.Kind == EventSlowSync && (s.SlowSync == 0 || e.Duration < s.SlowSync) ||
			e.Kind == EventSlowWriter && (s.SlowWriter == 0 || e.Duration < s.SlowWriter) {
			continue
		}
		s.put(e)
	}
}

func (s *subscriber) put(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) >= maxEvents {
		s.missed++
		return
	}
	e.Missed, s.missed = s.missed, 0
	s.queue = append(s.queue, e)
	if len(s.queue) == 1 {
		s.wake.Signal()
	}
}

func (s *subscriber) run() {
	defer close(s.done)
	var batch []Event
	for {
		s.mu.Lock()
		for len(s.queue) == 0 && !s.ended {
			s.wake.Wait()
		}
		batch, s.queue = s.queue, batch[:0]
		s.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for i := range batch {
			s.On(batch[i])
			batch[i] = Event{}
		}
	}
}

// slow tells of a sync or a wait that took d.
func (l *Log) slow(kind EventKind, d time.Duration, e Event) {
	p := l.subs.Load()
	if p == nil {
		return
	}
	least := p.slowSync
	if kind == EventSlowWriter {
		least = p.slowWriter
	}
	if least > 0 && d >= least {
		e.Kind, e.Duration = kind, d
		l.emit(e)
	}
}

// NumBuckets is how many sizes a [Histogram] tells apart.
const NumBuckets = 24

// Histogram counts values by their size. Bucket i has those that are at most
// Bound(i) and above the bound before; the last one all that are larger.
type Histogram struct {
	Count, Sum, Max uint64
	Buckets         [NumBuckets]uint64
}

// histogram is a Histogram to which several add at once. unit is the bound of the
// first bucket.
type histogram struct {
	count, sum, max atomic.Uint64
	buckets         [NumBuckets]atomic.Uint64
}

// SizeBound is the bound of bucket i in a histogram of numbers: 2^i.
func SizeBound(i int) uint64 { return 1 << i }

// DurationBound is the bound of bucket i in a histogram of durations: 2^i µs.
func DurationBound(i int) time.Duration { return time.Microsecond << i }

// bucket is the number of the first bucket with a bound of at least n.
func bucket(n uint64) int {
	if n <= 1 {
		return 0
	}
	return min(bits.Len64(n-1), NumBuckets-1)
}

func (h *histogram) count1(v uint64, i int) {
	h.count.Add(1)
	h.sum.Add(v)
	h.buckets[i].Add(1)
	for m := h.max.Load(); v > m && !h.max.CompareAndSwap(m, v); m = h.max.Load() {
	}
}

func (h *histogram) addSize(n uint64) { h.count1(n, bucket(n)) }

// add counts a duration, whose sum is in nanoseconds.
func (h *histogram) add(d time.Duration) {
	h.count1(uint64(d), bucket(uint64((d+time.Microsecond-1)/time.Microsecond)))
}

func (h *histogram) load() (r Histogram) {
	r.Count, r.Sum, r.Max = h.count.Load(), h.sum.Load(), h.max.Load()
	for i := range h.buckets {
		r.Buckets[i] = h.buckets[i].Load()
	}
	return r
}
