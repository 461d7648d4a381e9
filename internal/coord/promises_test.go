// What only this implementation can be asked, and no scenario comes across.

package coord

import (
	"testing"

	"github.com/walnutdb/walnut/internal/walformat"
)

// TestNoMarkAboveSnapshot: a reader joins no mark above its snapshot, also if no
// other one is left.
func TestNoMarkAboveSnapshot(t *testing.T) {
	c := at(2, 0)
	for f := walformat.FrameNo(5); f < 5+NumMarks-1; f++ {
		if m := c.marks.take(f); m == NoMark {
			t.Fatalf("no mark for frame %d", f)
		}
	}
	if m := c.marks.take(3); m != NoMark {
		t.Errorf("a reader of frame 3 has the mark %d", slotValue(c.marks.slot(m).v.Load()))
	}
	if m := c.marks.take(6); m == NoMark || slotValue(c.marks.slot(m).v.Load()) != 6 {
		t.Errorf("a reader of frame 6 has slot %d", m)
	}
}

// TestSlotChanged: a slot that is not what it was when it was looked at is neither
// joined nor raised.
func TestSlotChanged(t *testing.T) {
	var s slot
	if !s.raise(0, 4) {
		t.Fatal("a free slot is not raised")
	}
	seen := s.v.Load()
	s.leave()
	if s.join(seen) {
		t.Error("a reader joined a slot that its reader had left")
	}
	s.v.Store(slotClaimed)
	if s.raise(0, 7) || s.join(seen) {
		t.Error("a claimed slot was taken")
	}
	if s.v.Load() != slotClaimed {
		t.Errorf("the slot is %x", s.v.Load())
	}
}

// TestSecondLoadSeesBackfill: a backfill between the two loads of BeginRead makes
// it look again: the reader is then in the file and in no restart's way.
func TestSecondLoadSeesBackfill(t *testing.T) {
	c := at(5, 0)
	loads := 0
	c.marks.hook = func(reads, _ part, _ bool) {
		if reads != partPublished {
			return
		}
		if loads++; loads == 2 {
			c.Publish(func(s *State) bool { s.NBackfill = s.MaxFrame; return true })
		}
	}
	m, st := c.BeginRead()
	if st != c.Published() || !m.InFile() {
		t.Errorf("a reader in slot %d has nBackfill %d, published is %d", m, st.NBackfill, c.Published().NBackfill)
	}
	c.EndRead(m)
}

// TestVersionsBeginAnew: when the table of names is full, no page gets a name
// that it had with another content.
func TestVersionsBeginAnew(t *testing.T) {
	x := NewIndex(1, walformat.Checksum{})
	_, before := x.Version(5, 0)
	x.Add(5, 1)
	x.older.n = maxVersions
	y := x.Next(2, walformat.Checksum{})
	if _, after := y.Version(5, 0); after == before {
		t.Errorf("page 5 is called %x again, with another content", after)
	}
}
