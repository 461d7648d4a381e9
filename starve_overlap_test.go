package walnut_test

import "testing"

// TestOverlappingLongReaders: readers that stay long and overlap, none of them for
// ever, do not make the log grow either: with the default limits there is room for
// what each of them needs.
func TestOverlappingLongReaders(t *testing.T) {
	w := newWorld(t, small(), 50)
	var open []*snap
	most := 0
	for i := range 1500 {
		if i%100 == 0 {
			if len(open) == 3 {
				open[0].checkAndEnd(t)
				open = open[1:]
			}
			open = append(open, w.read(ctx))
		}
		w.random(5)
		most = max(most, int(w.db.Stats().LogFrames))
	}
	if limit := int(w.db.Stats().LimitFrames); most > 2*limit {
		t.Errorf("the log had %d frames, the limit is %d; %d restarts", most, limit, w.db.Stats().Restarts)
	}
	for _, s := range open {
		s.checkAndEnd(t)
	}
}
