// Read marks: what of them only this implementation can be asked. The rules are
// in package coordtest.

package coord

import (
	"testing"

	"github.com/walnutdb/walnut/internal/walformat"
)

// at returns a coordinator that has published the frames up to max, of which
// those up to backfilled are in the database file.
func at(max, backfilled walformat.FrameNo) *InProcess {
	return NewInProcess(State{Index: NewIndex(1, walformat.Checksum{}),
		Snapshot: Snapshot{Gen: 1, MaxFrame: max, NBackfill: backfilled, Seq: CommitSeq(max)}})
}

func publish(c *InProcess, max walformat.FrameNo) {
	c.Publish(func(s *State) bool { s.MaxFrame, s.Seq = max, CommitSeq(max); return true })
}

func wantReaders(t *testing.T, c *InProcess, inFile, inLog int) {
	t.Helper()
	if f, l := c.Readers(); f != inFile || l != inLog {
		t.Fatalf("%d readers in the file and %d in the log, want %d and %d", f, l, inFile, inLog)
	}
}

func TestMarkGivenBackTwice(t *testing.T) {
	c := at(5, 0)
	m, _ := c.BeginRead()
	c.EndRead(m)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	c.EndRead(m)
}

func TestClaimMarks(t *testing.T) {
	c := at(5, 0)
	m, _ := c.BeginRead()
	if c.ClaimMarks() {
		t.Fatal("claimed over a reader")
	}
	c.EndRead(m)
	if !c.ClaimMarks() {
		t.Fatal("not claimed")
	}
	if c.ClaimMarks() {
		t.Fatal("claimed twice")
	}
	if m := c.marks.take(5); m != NoMark {
		t.Fatalf("slot %d was taken under a claim", m)
	}
	c.ReleaseMarks()
	if m := c.marks.take(5); m == NoMark {
		t.Fatal("no slot after the claim")
	}
	wantReaders(t, c, 0, 1)
}

// TestClaimForgetsValues: what a mark said of the old generation means nothing
// in the next one.
func TestClaimForgetsValues(t *testing.T) {
	c := at(50, 0)
	m, _ := c.BeginRead()
	c.EndRead(m)
	c.ClaimMarks()
	c.ReleaseMarks()
	for i := range c.marks.log {
		if v := c.marks.log[i].v.Load(); v != 0 {
			t.Errorf("slot %d is %#x", i, v)
		}
	}
}
