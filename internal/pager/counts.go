// Counts of the buffer pool.

package pager

import "sync/atomic"

// poolCounts are on a cache line of their own: every transaction that has read
// something adds to them when it ends, every miss at once.
type poolCounts struct {
	_      [64]byte
	hits   atomic.Uint64
	misses atomic.Uint64
	_      [48]byte
}

// PoolCounts tells how many pages were found in the buffer pool, and how many
// had to be read. It does not know yet what open transactions have found.
func (s *Store) PoolCounts() (hits, misses uint64) {
	return s.counts.hits.Load(), s.counts.misses.Load()
}

// SetConcurrent says that several goroutines read at the same time: what they
// find in the pool is not counted.
func (t *Tx) SetConcurrent() { t.atOnce = true }

// count counts a look into the pool.
func (t *Tx) count(hit bool) {
	switch {
	case !hit:
		t.s.counts.misses.Add(1)
	case !t.atOnce:
		t.hits++
	}
}
