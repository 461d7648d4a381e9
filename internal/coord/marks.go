// Read marks: five slots, each of them one 64-bit atomic, so that "so many
// readers hold this mark" changes in one compare-and-swap.
//
//	bits 63..32  value: the frame that readers of this slot may need
//	bits 31..1   number of readers
//	bit  0       claimed exclusively
//
// Slot 0 has the value 0 for ever, its readers use the database file only; so
// it is no more than a count, and is kept as several, each on a cache line of
// its own, for readers on different cores.
//
// Invariants: the value changes only while nobody holds the slot. A reader's
// mark is at most its snapshot's last frame.

package coord

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/walnutdb/walnut/internal/walformat"
)

// NumMarks is the number of read marks, as in SQLite's WAL-index
// (WAL_NREADER).
const NumMarks = 5

// Mark names the slot that a reader holds: 1 to 4, or one of the counts of slot
// 0, which are numbered downwards from -1.
type Mark int8

// NoMark is no slot at all.
const NoMark Mark = 0

// fileCounts is the number of counts of slot 0, a power of two.
const fileCounts = 16

// InFile reports whether the reader is in slot 0: it uses the database file
// only.
func (m Mark) InFile() bool { return m < 0 }

// slot is alone on its cache line.
type slot struct {
	v atomic.Uint64
	_ [56]byte
}

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

// part is what one step of this file touches, as bits: the slots by their
// number, and the published state.
type part uint8

const (
	partFile      part = 1 << 0
	partLog       part = 1<<NumMarks - 1<<1
	partPublished part = 1 << NumMarks
)

type marks struct {
	// hook, if a test has set it, is called before each step that others can
	// come between, with what that step reads and writes; retry says that
	// nothing will be different until somebody writes what is read. It is nil
	// otherwise, and set before the first use.
	hook func(reads, writes part, retry bool)
	// What stands before is read by all; the slots are written.
	_    [64]byte
	file [fileCounts]slot
	// log has slots 1 to 4, by their number.
	log [NumMarks]slot
}

func (m *marks) step(reads, writes part) {
	if m.hook != nil {
		m.hook(reads, writes, false)
	}
}

// pause lets others go on before the next attempt.
func (m *marks) pause() {
	if m.hook != nil {
		m.hook(partPublished|partLog, 0, true)
		return
	}
	runtime.Gosched()
}

// part of slot k.
func (k Mark) part() part {
	if k < 0 {
		return partFile
	}
	return 1 << k
}

func (m *marks) slot(k Mark) *slot {
	if k < 0 {
		return &m.file[-1-k]
	}
	return &m.log[k]
}

// takeFile counts a reader in slot 0. Which count it is depends on where its
// goroutine's stack lies, so that goroutines that run side by side mostly have
// counts of their own.
func (m *marks) takeFile() Mark {
	var here byte
	i := int(uintptr(unsafe.Pointer(&here)) >> 11 % fileCounts)
	m.step(0, partFile)
	m.file[i].v.Add(slotReader)
	return Mark(-1 - i)
}

// inFile counts the readers in slot 0. It reads one count after the other: a
// reader that is missed has not yet looked for the second time whether the
// published state is still the one that it loaded.
func (m *marks) inFile() (n int) {
	m.step(partFile, 0)
	for i := range m.file {
		n += slotReaders(m.file[i].v.Load())
	}
	return n
}

// take holds a mark in slots 1 to 4 that is at most max: one that equals it,
// else a free slot raised to it, else the greatest below it.
func (m *marks) take(max walformat.FrameNo) Mark {
	for {
		best, bestV := NoMark, uint64(0)
		free, freeV := NoMark, uint64(0)
		for i := Mark(1); i < NumMarks; i++ {
			m.step(i.part(), 0)
			v := m.log[i].v.Load()
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
			m.step(best.part(), best.part())
			if m.log[best].join(bestV) {
				return best
			}
		case free != NoMark:
			m.step(free.part(), free.part())
			if m.log[free].raise(freeV, max) {
				return free
			}
		case best != NoMark:
			m.step(best.part(), best.part())
			if m.log[best].join(bestV) {
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
	if m.inFile() > 0 {
		return 0, false
	}
	for i := Mark(1); i < NumMarks; i++ {
		m.step(i.part(), 0)
		if v := m.log[i].v.Load(); slotReaders(v) > 0 && slotValue(v) < t {
			t = slotValue(v)
		}
	}
	return t, true
}

func (m *marks) claim() bool {
	for i := Mark(1); i < NumMarks; i++ {
		m.step(i.part(), i.part())
		v := m.log[i].v.Load()
		if slotReaders(v) == 0 && !slotIsClaimed(v) && m.log[i].v.CompareAndSwap(v, slotClaimed) {
			continue
		}
		for j := Mark(1); j < i; j++ {
			m.step(0, j.part())
			m.log[j].v.Store(0)
		}
		return false
	}
	return true
}

func (m *marks) release() {
	for i := Mark(1); i < NumMarks; i++ {
		m.step(0, i.part())
		m.log[i].v.Store(0)
	}
}

// BeginRead implements [Coordinator].
func (c *InProcess) BeginRead() (Mark, *State) {
	for {
		c.marks.step(partPublished, 0)
		st := c.published.Load()
		m := NoMark
		if st.MaxFrame == st.NBackfill {
			m = c.marks.takeFile()
		} else {
			m = c.marks.take(st.MaxFrame)
		}
		// A mark protects only if nothing was published between loading the
		// state and taking the mark: a checkpoint that loaded its target
		// later has seen the mark, and a restart cannot have begun.
		if m != NoMark {
			c.marks.step(partPublished, 0)
			if c.published.Load() == st && !c.onceMore() {
				c.marks.assertMark(m, st)
				return m, st
			}
			c.EndRead(m)
		}
		c.marks.pause()
	}
}

// Pin implements [Coordinator].
func (c *InProcess) Pin(max walformat.FrameNo) Mark {
	c.marks.step(partPublished, 0)
	if st := c.published.Load(); st.MaxFrame == max && st.NBackfill == max {
		return c.marks.takeFile()
	}
	for {
		if m := c.marks.take(max); m != NoMark {
			return m
		}
		c.marks.pause()
	}
}

// EndRead implements [Coordinator].
func (c *InProcess) EndRead(m Mark) {
	if m != NoMark {
		c.marks.step(0, m.part())
		c.marks.slot(m).leave()
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
	for i := 1; i < NumMarks; i++ {
		inLog += slotReaders(c.marks.log[i].v.Load())
	}
	return c.marks.inFile(), inLog
}
