package coord

import (
	"testing"

	"github.com/walnutdb/walnut/internal/walformat"
)

// TestNamesOverRestarts: a page keeps its name when the log begins anew, and gets
// another one with its next frame; for a detached reader of before it then has none.
func TestNamesOverRestarts(t *testing.T) {
	x := NewIndex(1, walformat.Checksum{})
	x.Add(5, 1)
	x.Add(6, 2)
	_, five := x.Version(5, 2)
	_, rest := x.Version(7, 2)
	y := x.Next(2, walformat.Checksum{})
	if f, v := y.Version(5, 0); f != 0 || v != five {
		t.Errorf("page 5 is called %x in frame %d after the restart, and was %x", v, f, five)
	}
	if _, v := y.Version(7, 0); v != rest {
		t.Errorf("page 7, which has not changed, is called %x, and was %x", v, rest)
	}
	y.Add(5, 1)
	if f, v := y.Version(5, 1); f != 1 || v == five || v == 0 {
		t.Errorf("page 5 is called %x with its new frame", v)
	}
	z := y.Next(3, walformat.Checksum{})
	if _, v := z.Version(5, 0); v == five {
		t.Errorf("page 5 has its old name %x again", v)
	}
	// Readers of the first generation: one of frame 2 has the page in its index, one
	// of before has no name for it any more.
	if _, v := x.Version(5, 2); v != five {
		t.Errorf("a reader of before calls page 5 %x", v)
	}
	if _, v := x.Version(5, 0); v != 0 {
		t.Errorf("a reader of before its first frame calls page 5 %x", v)
	}
}
