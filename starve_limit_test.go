package walnut_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/walnutdb/walnut"
)

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

// TestLargeTransactionExceeds: one transaction larger than the limit is committed,
// and somebody is told, and whose it was.
func TestLargeTransactionExceeds(t *testing.T) {
	o := small()
	var out lines
	told := make(chan walnut.Event, 10)
	o.Logger = slog.New(slog.NewTextHandler(&out, nil))
	o.OnEvent = func(e walnut.Event) {
		if e.Kind == walnut.EventLimit {
			told <- e
		}
	}
	w := newWorld(t, o, 200) // more than the limit
	if e := <-told; e.Frames < 199 || e.Label != "" {
		t.Errorf("%+v", e)
	}
	w.random(3)
	if st := w.db.Stats(); st.LogFrames > st.LimitFrames {
		t.Errorf("the log has %d frames after the next one", st.LogFrames)
	}
	w.ctx = walnut.WithLabel(context.Background(), "the import")
	w.random(100)
	if e := <-told; e.Label != "the import" || e.Frames < 100 || e.CommitSeq == 0 {
		t.Errorf("%+v", e)
	}
	if err := w.db.Close(); err != nil { // which waits for the Logger
		t.Fatal(err)
	}
	if out.with("one transaction is larger than MaxLogSize") != 2 || out.with(`label="the import" frames=1`) != 1 {
		t.Errorf("the Logger says:\n%s", out.out.String())
	}
}
