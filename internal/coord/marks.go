// Read marks: five slots, each of them one 64-bit atomic, so that "so many
// readers hold this mark" changes in one compare-and-swap.
//
//	bits 63..32  value: the frame that readers of this slot may need
//	bits 31..1   number of readers
//	bit  0       claimed exclusively
//
// Invariants: the value changes only while nobody holds the slot. A reader's
// mark is at most its snapshot's last frame. Slot 0 has the value 0 for ever:
// its readers use the database file only.

package coord

import (
	"runtime"
	"sync/atomic"

	"github.com/walnutdb/walnut/internal/walformat"
)

// NumMarks is the number of read marks, as in SQLite's WAL-index
// (WAL_NREADER).
const NumMarks = 5

// Mark names the slot that a reader holds, 0 to NumMarks-1.
type Mark int8

// NoMark is no slot at all.
const NoMark Mark = -1

// InFile reports whether the reader uses the database file only.
func (m Mark) InFile() bool { return m == 0 }

type slot struct{ v atomic.Uint64 }

const (
	slotClaimed = 1
	slotReader  = 2
)

func slotValue(v uint64) walformat.FrameNo { return walformat.FrameNo(v >> 32) }
func slotReaders(v uint64) int             { return int(uint32(v) >> 1) }
func slotIsClaimed(v uint64) bool          { return v&slotClaimed != 0 }

// join adds a reader if the slot still is as v says.
func (s *slot) join(v uint64) bool { return s.v.CompareAndSwap(v, v+slotReader) }

// raise gives the free slot the value f and its first reader.
func (s *slot) raise(v uint64, f walformat.FrameNo) bool {
	return s.v.CompareAndSwap(v, uint64(f)<<32|slotReader)
}

func (s *slot) leave() {
	if v := s.v.Add(^uint64(slotReader - 1)); slotReaders(v) == 1<<31-1 {
		panic("coord: a read mark was given back twice")
	}
}

type marks [NumMarks]slot

// take holds a mark in slots 1 to 4 that is at most max: one that equals it,
// else a free slot raised to it, else the greatest below it.
func (m *marks) take(max walformat.FrameNo) Mark {
	for {
		best, bestV := NoMark, uint64(0)
		free, freeV := NoMark, uint64(0)
		for i := Mark(1); i < NumMarks; i++ {
			v := m[i].v.Load()
			if slotIsClaimed(v) {
				continue
			}
			if slotReaders(v) == 0 {
				if free == NoMark || slotValue(v) == max {
					free, freeV = i, v
				}
				continue
			}
			if val := slotValue(v); val <= max && (best == NoMark || val > slotValue(bestV)) {
				best, bestV = i, v
			}
		}
		switch {
		case best != NoMark && slotValue(bestV) == max:
			if m[best].join(bestV) {
				return best
			}
		case free != NoMark:
			if m[free].raise(freeV, max) {
				return free
			}
		case best != NoMark:
			if m[best].join(bestV) {
				return best
			}
		default:
			// All four are claimed by a restart, or held by readers of
			// states newer than the one that the caller loaded.
			return NoMark
		}
	}
}

// safe: see Coordinator.SafeFrame.
func (m *marks) safe(t walformat.FrameNo) (walformat.FrameNo, bool) {
	if slotReaders(m[0].v.Load()) > 0 {
		return 0, false
	}
	for i := 1; i < NumMarks; i++ {
		if v := m[i].v.Load(); slotReaders(v) > 0 && slotValue(v) < t {
			t = slotValue(v)
		}
	}
	return t, true
}

func (m *marks) claim() bool {
	for i := 1; i < NumMarks; i++ {
		v := m[i].v.Load()
		if slotReaders(v) == 0 && !slotIsClaimed(v) && m[i].v.CompareAndSwap(v, slotClaimed) {
			continue
		}
		for j := 1; j < i; j++ {
			m[j].v.Store(0)
		}
		return false
	}
	return true
}

func (m *marks) release() {
	for i := 1; i < NumMarks; i++ {
		m[i].v.Store(0)
	}
}

// BeginRead implements [Coordinator].
func (c *InProcess) BeginRead() (Mark, *State) {
	for {
		st := c.published.Load()
		m := NoMark
		if st.MaxFrame == st.NBackfill {
			m = 0
			c.marks[0].v.Add(slotReader)
		} else {
			m = c.marks.take(st.MaxFrame)
		}
		// A mark protects only if nothing was published between loading the
		// state and taking the mark: a checkpoint that loaded its target
		// later has seen the mark, and a restart cannot have begun.
		if m != NoMark {
			if c.published.Load() == st {
				return m, st
			}
			c.marks[m].leave()
		}
		runtime.Gosched()
	}
}

// Pin implements [Coordinator].
func (c *InProcess) Pin(max walformat.FrameNo) Mark {
	if st := c.published.Load(); st.MaxFrame == max && st.NBackfill == max {
		c.marks[0].v.Add(slotReader)
		return 0
	}
	for {
		if m := c.marks.take(max); m != NoMark {
			return m
		}
		runtime.Gosched()
	}
}

// EndRead implements [Coordinator].
func (c *InProcess) EndRead(m Mark) {
	if m != NoMark {
		c.marks[m].leave()
	}
}

// SafeFrame implements [Coordinator].
func (c *InProcess) SafeFrame(t walformat.FrameNo) (walformat.FrameNo, bool) {
	return c.marks.safe(t)
}

// ClaimMarks implements [Coordinator].
func (c *InProcess) ClaimMarks() bool { return c.marks.claim() }

// ReleaseMarks implements [Coordinator].
func (c *InProcess) ReleaseMarks() { c.marks.release() }

// Readers implements [Coordinator].
func (c *InProcess) Readers() (inFile, inLog int) {
	inFile = slotReaders(c.marks[0].v.Load())
	for i := 1; i < NumMarks; i++ {
		inLog += slotReaders(c.marks[i].v.Load())
	}
	return inFile, inLog
}
