// The registry of read transactions: who reads, on which snapshot, by which
// mark; and their detaching (DESIGN section 5).
//
// A reader enters when it has its mark and leaves with it. Whoever looks for
// readers finds those that have entered; one that is just about to enter holds
// its mark already, which protects it as any other.
//
// A reader that stays too long is detached: its mark is taken from it, the log
// may be copied over and begun anew beneath it, and from then on it reads the
// database file as that was at its detaching, with the help of images that are
// saved of each page before it is overwritten (package wal, side.go).
//
// Invariants:
//
//  1. A reader is marked as detached before its mark is given back. So one that
//     finds itself not detached after a read had its mark all through it, and
//     whoever sees the mark gone sees the reader detached.
//  2. Readers are detached only by the holder of the checkpoint lock: the
//     database file does not change meanwhile.

package coord

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/walnutdb/walnut/internal/walformat"
)

// FileVersion counts the backfills that were published since the database was
// opened: the database file of one version is that of one snapshot.
type FileVersion uint64

// Moment is a point in time by the monotonic clock of the process, in
// nanoseconds; 0 is none. Only differences mean something.
type Moment int64

var epoch = time.Now()

// Now is the present moment.
func Now() Moment { return Moment(time.Since(epoch)) }

// Since is the time from an earlier moment to this one; 0 if it is none.
func (m Moment) Since(earlier Moment) time.Duration {
	if earlier == 0 || m < earlier {
		return 0
	}
	return time.Duration(m - earlier)
}

// Reader is the entry of a read transaction. It lies in the transaction, must
// not be moved between Enter and Leave, and may be used again after that.
type Reader struct {
	// detached is 0, or one more than the version of the database file that the
	// transaction reads. Changes under the shard's mutex.
	detached atomic.Uint64
	shard    *shard // nil while it is not entered
	// All below is guarded by the shard's mutex.
	prev, next *Reader
	mark       Mark
	st         *State
	who        Who
	// began is when it began, if it said so; seen when somebody first looked.
	began, seen Moment
}

// Detached returns the version of the database file that the reader sees, if it
// is detached. Only the transaction itself may ask, between Enter and Leave.
func (r *Reader) Detached() (FileVersion, bool) {
	d := r.detached.Load()
	return FileVersion(d - 1), d != 0
}

// DetachedAfter is Detached for a caller that has just read from memory that may
// have been overwritten since it was detached. Some processors make a plain load
// late, behind an atomic load that follows it, but none behind an atomic write:
// so this is one, which changes nothing.
func (r *Reader) DetachedAfter() (FileVersion, bool) {
	d := r.detached.Add(0)
	return FileVersion(d - 1), d != 0
}

// IsDetached reports whether the reader has entered and is detached. As Detached.
func (r *Reader) IsDetached() bool { return r.shard != nil && r.detached.Load() != 0 }

// Entered reports whether the reader has entered and not left. As Detached.
func (r *Reader) Entered() bool { return r.shard != nil }

// ReaderInfo describes an entered reader.
type ReaderInfo struct {
	Who Who
	// Began is when the transaction began, if it noted it, else when it was
	// first seen; Noted says which.
	Began Moment
	Noted bool
	// Mark is the read mark that it holds; NoMark if it is detached. Holds is the
	// frame up to which a backfill may go for it.
	Mark  Mark
	Holds walformat.FrameNo
	// State is its snapshot.
	State *State
	// Detached: it reads version File of the database file.
	Detached bool
	File     FileVersion
}

// shard is one list of readers, on cache lines of its own.
type shard struct {
	mu sync.Mutex
	// head closes the ring of readers. Guarded by mu.
	head Reader
	_    [64]byte
}

const numShards = 16

type registry struct {
	shards [numShards]shard
	// detached counts the readers that are.
	detached atomic.Int64
}

func (g *registry) init() {
	for i := range g.shards {
		h := &g.shards[i].head
		h.prev, h.next = h, h
	}
}

// shardHere is where readers of this goroutine enter: goroutines that run side
// by side mostly have shards of their own.
func (g *registry) shardHere() *shard {
	var here byte
	return &g.shards[uintptr(unsafe.Pointer(&here))>>11%numShards]
}

// Enter implements [Coordinator].
func (c *InProcess) Enter(r *Reader, m Mark, st *State, who Who, began Moment) {
	s := c.registry.shardHere()
	r.detached.Store(0)
	r.shard = s
	s.mu.Lock()
	r.mark, r.st, r.who, r.began, r.seen = m, st, who, began, began
	r.prev, r.next = &s.head, s.head.next
	r.prev.next, r.next.prev = r, r
	s.mu.Unlock()
}

// Leave implements [Coordinator].
func (c *InProcess) Leave(r *Reader) (detached bool) {
	s := r.shard
	s.mu.Lock()
	r.prev.next, r.next.prev = r.next, r.prev
	m := r.mark
	r.prev, r.next, r.st, r.mark, r.who = nil, nil, nil, NoMark, Who{}
	s.mu.Unlock()
	r.shard = nil
	if r.detached.Load() != 0 {
		c.registry.detached.Add(-1)
		return true
	}
	c.EndRead(m)
	return false
}

// info describes r. REQUIRES the shard's mutex.
func (c *InProcess) info(r *Reader, now Moment) ReaderInfo {
	if r.seen == 0 {
		r.seen = now
	}
	i := ReaderInfo{Who: r.who, Began: r.seen, Noted: r.began != 0, Mark: r.mark, State: r.st}
	i.File, i.Detached = r.Detached()
	if i.Holds = r.st.MaxFrame; r.mark > 0 {
		i.Holds = c.markValue(r.mark)
	}
	return i
}

// each calls fn for every reader, with the shard's mutex held.
func (g *registry) each(fn func(*Reader)) {
	for i := range g.shards {
		g.shards[i].each(fn)
	}
}

func (s *shard) each(fn func(*Reader)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := s.head.next; r != &s.head; r = r.next {
		fn(r)
	}
}

// ListReaders implements [Coordinator].
func (c *InProcess) ListReaders() (list []ReaderInfo) {
	now := Now()
	c.registry.each(func(r *Reader) { list = append(list, c.info(r, now)) })
	return list
}

// Detach implements [Coordinator].
func (c *InProcess) Detach(v FileVersion, want func(ReaderInfo) bool) (list []ReaderInfo) {
	now := Now()
	p := c.published.Load()
	var marks []Mark
	c.registry.each(func(r *Reader) {
		if r.mark == NoMark || !r.readsFile(p) {
			return
		}
		i := c.info(r, now)
		if !want(i) {
			return
		}
		c.registry.detached.Add(1)
		r.detached.Store(uint64(v) + 1)
		marks = append(marks, r.mark)
		r.mark = NoMark
		i.Mark, i.Detached, i.File = NoMark, true, v
		list = append(list, i)
	})
	slices.Sort(marks) // for schedules, which are to repeat
	for _, m := range marks {
		c.EndRead(m)
	}
	return list
}

// readsFile reports whether the snapshot of r equals the database file, which is
// that of p up to its nBackfill. A reader in slot 0 sees it by definition, and
// nothing is backfilled while it is there. One in the log has a mark, so its
// generation has not ended. REQUIRES the shard's mutex and the checkpoint lock.
func (r *Reader) readsFile(p *State) bool {
	return r.mark.InFile() || r.st.Gen == p.Gen && r.st.MaxFrame == p.NBackfill
}

// RaiseMarks implements [Coordinator]. All readers on marks below their own
// snapshots move to that of the oldest among them: so one free slot is enough, and
// the next time the next ones move on. The new mark is taken while the reader has
// its old one, below it.
func (c *InProcess) RaiseMarks() {
	type low struct {
		r  *Reader
		s  *shard
		st *State
		m  Mark
	}
	var list []low
	for i := range c.registry.shards {
		s := &c.registry.shards[i]
		s.each(func(r *Reader) {
			if r.mark > 0 && c.markValue(r.mark) < r.st.MaxFrame {
				list = append(list, low{r, s, r.st, r.mark})
			}
		})
	}
	if len(list) == 0 {
		return
	}
	oldest := slices.MinFunc(list, func(a, b low) int { return cmp.Compare(a.st.MaxFrame, b.st.MaxFrame) }).st.MaxFrame
	for _, x := range list {
		m := c.marks.take(oldest)
		if m > 0 && c.markValue(m) > c.markValue(x.m) {
			x.s.each(func(r *Reader) {
				if r == x.r && r.st == x.st && r.mark == x.m {
					r.mark, m = m, r.mark
				}
			})
		}
		c.EndRead(m) // the old one, or the new one if it is of no use
	}
}

// markValue is the frame of a mark in the log that is held.
func (c *InProcess) markValue(m Mark) walformat.FrameNo { return slotValue(c.marks.log[m].v.Load()) }

// Detached implements [Coordinator].
func (c *InProcess) Detached() (list []DetachedReader) {
	if c.registry.detached.Load() == 0 {
		return nil
	}
	c.registry.each(func(r *Reader) {
		if v, ok := r.Detached(); ok {
			list = append(list, DetachedReader{File: v, Pages: walformat.PageNo(r.st.DBSize)})
		}
	})
	return list
}

// DetachedReader is what the images of overwritten pages are kept for.
type DetachedReader struct {
	// File is the version of the database file that it reads, and Pages how many
	// pages that has.
	File  FileVersion
	Pages walformat.PageNo
}

// MarkInfo describes a read mark.
type MarkInfo struct {
	// Frame is its value; 0 in slot 0.
	Frame walformat.FrameNo
	// Readers hold it.
	Readers int
}

// Marks implements [Coordinator].
func (c *InProcess) Marks() (list [NumMarks]MarkInfo) {
	list[0].Readers = c.marks.inFile()
	for i := 1; i < NumMarks; i++ {
		v := c.marks.log[i].v.Load()
		list[i] = MarkInfo{slotValue(v), slotReaders(v)}
	}
	return list
}
