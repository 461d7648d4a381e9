package torture

// This file is what differs from one child to the next.

import (
	"fmt"
	"math/rand/v2"
)

const (
	fewWorkers  = 6
	manyWorkers = 20 // so many commit at once that they share syncs
	// smallTx, in bytes, is less than many transactions write.
	smallTx = 64 << 10
)

// syncLevels are SQLite's. A kill is not a loss of power: at each of them what
// is acknowledged must be there.
var syncLevels = []string{"FULL", "NORMAL", "OFF"}

// conditions are those of one child.
type conditions struct {
	workers int
	sync    string // level of all workers; "" if each has its own
	txBytes int64  // bound beyond which a transaction spills; 0 is the default
	closes  bool   // the database is closed by all and opened again, often
}

func conditionsOf(seed uint64, round int) conditions {
	rng := childRand(seed, round, 102)
	c := conditions{workers: fewWorkers}
	if rng.IntN(2) == 0 {
		c.workers = manyWorkers
	}
	if n := rng.IntN(3); n < 2 {
		c.sync = syncLevels[n]
	}
	if rng.IntN(3) > 0 {
		c.txBytes = smallTx
	}
	c.closes = rng.IntN(3) == 0
	return c
}

// String is for those who look for the cause of what was found.
func (c conditions) String() string {
	level, spill := c.sync, "in 64 MiB"
	if level == "" {
		level = "different levels"
	}
	if c.txBytes > 0 {
		spill = fmt.Sprintf("in %d KiB", c.txBytes>>10)
	}
	text := fmt.Sprintf("%d workers, synchronous %s, transactions %s", c.workers, level, spill)
	if c.closes {
		text += ", closing often"
	}
	return text
}

// pragmas prepare a worker's connection. A small page cache makes SQLite hand
// over pages long before it commits.
func (c conditions) pragmas(w *worker) []string {
	level := c.sync
	if level == "" {
		level = syncLevels[w.rng.IntN(len(syncLevels))]
	}
	p := []string{"PRAGMA synchronous = " + level}
	if w.rng.IntN(2) == 0 {
		p = append(p, "PRAGMA cache_size = 10")
	}
	return p
}

// childRand is one of the sources of randomness of a child.
func childRand(seed uint64, round, n int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(round)<<16|uint64(n)))
}
