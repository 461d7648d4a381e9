package invariants

import (
	"slices"
	"strings"
	"testing"
)

func draws(n int) (list []uint64) {
	var c Chance
	for range n {
		list = append(list, c.draw())
	}
	return list
}

func TestChanceIsRepeated(t *testing.T) {
	defer func(s uint64) { seed = s }(seed)
	seed = seedFrom("7")
	first := draws(100)
	if again := draws(100); !slices.Equal(first, again) {
		t.Error("the same seed gives other choices")
	}
	seed = seedFrom("8")
	if other := draws(100); slices.Equal(first, other) {
		t.Error("another seed gives the same choices")
	}
}

func TestOneIn(t *testing.T) {
	var c Chance
	n := 0
	for range 8000 {
		if c.OneIn(8) {
			n++
		}
	}
	if Enabled && (n < 800 || n > 1200) || !Enabled && n != 0 {
		t.Errorf("one in 8 came %d times in 8000", n)
	}
}

// failure is what f panics with.
func failure(f func()) (text string) {
	defer func() { text, _ = recover().(string) }()
	f()
	return ""
}

func TestBuffers(t *testing.T) {
	if !Enabled {
		t.Skip("needs the tag invariants")
	}
	b := make([]byte, 64)
	Release(b)
	if text := failure(func() { Release(b) }); !strings.Contains(text, "released once") {
		t.Errorf("a second release: %q", text)
	}
	Reuse(b)
	Release(b)
	b[5] = 1
	if text := failure(func() { Reuse(b) }); !strings.Contains(text, "after its release") {
		t.Errorf("a write after the release: %q", text)
	}
}
