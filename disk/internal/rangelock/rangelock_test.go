package rangelock

import (
	"math/rand/v2"
	"testing"
)

// TestModel compares with a table of single bytes.
func TestModel(t *testing.T) {
	const size, owners = 30, 3
	type lock struct{ shared, exclusive [owners]bool }
	rng := rand.New(rand.NewPCG(1, 1))
	var table Table
	var model [size]lock
	for step := range 20000 {
		owner := rng.IntN(owners)
		off := rng.IntN(size)
		n := 1 + rng.IntN(size-off)
		exclusive := rng.IntN(2) == 0
		switch rng.IntN(6) {
		case 0:
			table.Release(owner)
			for i := range model {
				model[i].shared[owner], model[i].exclusive[owner] = false, false
			}
		case 1, 2:
			table.Unlock(owner, int64(off), int64(n))
			for i := off; i < off+n; i++ {
				model[i].shared[owner], model[i].exclusive[owner] = false, false
			}
		default:
			free := true
			for i := off; i < off+n; i++ {
				for o := range owners {
					if o != owner && (model[i].exclusive[o] || exclusive && model[i].shared[o]) {
						free = false
					}
				}
			}
			if got := table.Lock(owner, int64(off), int64(n), exclusive); got != free {
				t.Fatalf("step %d: locked: %v, want %v", step, got, free)
			}
			for i := off; free && i < off+n; i++ {
				model[i].shared[owner], model[i].exclusive[owner] = !exclusive, exclusive
			}
		}
	}
}
