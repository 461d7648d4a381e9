// Package invariants is what the engine checks of itself in tests, and nothing
// in a normal build.
//
// With the build tag invariants, or race, [Enabled] is true: each layer asserts
// its whole state at its public entries, buffers are overwritten when they are
// given back, and rare paths are taken by chance. Without, it is a constant
// false, and the compiler leaves out all that depends on it.
//
// The chances of one [Chance] are a function of the seed and of how often it
// was asked: who asks in the same order in two runs gets the same answers.
// WALNUT_INVARIANTS_SEED sets the seed; a failed assertion prints it.
package invariants

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
)

// SeedVariable is the environment variable with the seed.
const SeedVariable = "WALNUT_INVARIANTS_SEED"

// defaultSeed is used without it, so that a run without a seed can be repeated.
const defaultSeed = 1

var seed = seedFrom(os.Getenv(SeedVariable))

func seedFrom(s string) uint64 {
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return n
	}
	return defaultSeed
}

// Fail panics because an invariant does not hold, with the state that shows it.
// The caller asks first, under [Enabled]: so what holds costs no allocation.
func Fail(invariant string, state ...any) {
	panic(fmt.Sprintf("invariant broken: %s; state: %v (%s=%d)", invariant, state, SeedVariable, seed))
}

// Chance decides whether a rare path is taken. The zero value is ready, and it
// may be used by several goroutines, whose order then decides who gets which
// answer.
type Chance struct{ asked atomic.Uint64 }

// OneIn is true about once in n times; never if [Enabled] is false.
func (c *Chance) OneIn(n uint64) bool {
	return Enabled && c.draw()%n == 0
}

// draw mixes the seed and the count (the finalizer of splitmix64).
func (c *Chance) draw() uint64 {
	x := seed + c.asked.Add(1)*0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// The contents of released buffers, and of those handed out again, differ from
// byte to byte: a page that a test fills with one byte is none of them.
const (
	released = 0xDB
	handed   = 0xA5
)

// edge is how much of a large buffer is overwritten, at either end.
const edge = 4096

// Release overwrites a buffer that nobody may use any more, a large one at its
// ends. It panics if it was released before and not handed out since.
func Release(b []byte) {
	if Enabled {
		first, last := ends(b)
		if len(b) > 0 && all(first, released) && all(last, released) {
			Fail("a buffer is released once", len(b))
		}
		fill(first, released)
		fill(last, released)
	}
}

// Reuse overwrites a buffer that was released, as it is handed out again. It
// panics if somebody has written to it meanwhile.
func Reuse(b []byte) {
	if Enabled {
		first, last := ends(b)
		if !all(first, released) || !all(last, released) {
			Fail("nobody writes to a buffer after its release", len(b))
		}
		fill(first, handed)
		fill(last, handed)
	}
}

// ends is what is overwritten of b.
func ends(b []byte) (first, last []byte) {
	if len(b) <= 2*edge {
		return b, nil
	}
	return b[:edge], b[len(b)-edge:]
}

func fill(b []byte, with byte) {
	for i := range b {
		b[i] = with ^ byte(i*31)
	}
}

func all(b []byte, is byte) bool {
	for i, x := range b {
		if x != is^byte(i*31) {
			return false
		}
	}
	return true
}
