package coord

import (
	"strings"
	"testing"
)

// broken fails the test unless f panics with the invariant.
func broken(t *testing.T, invariant string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if text, _ := recover().(string); !strings.Contains(text, invariant) {
			t.Errorf("the panic is %q, without %q", text, invariant)
		}
	}()
	f()
}

func TestBrokenStatesPanic(t *testing.T) {
	old := &State{Snapshot: Snapshot{Gen: 2, MaxFrame: 5, NBackfill: 3, Seq: 9}}
	for invariant, next := range map[string]Snapshot{
		"nBackfill <= published":             {Gen: 2, MaxFrame: 5, NBackfill: 6, Seq: 9},
		"a commit is not taken back":         {Gen: 2, MaxFrame: 5, NBackfill: 3, Seq: 8},
		"generations never go back":          {Gen: 1, MaxFrame: 5, NBackfill: 3, Seq: 9},
		"a generation ends when everything":  {Gen: 3, Seq: 9},
		"the published end does not go back": {Gen: 2, MaxFrame: 4, NBackfill: 3, Seq: 9},
		"nBackfill does not go back in one":  {Gen: 2, MaxFrame: 5, NBackfill: 2, Seq: 9},
	} {
		broken(t, invariant, func() { checkNext(old, &State{Snapshot: next}) })
	}
	for invariant, q := range map[string]*queue{
		"nobody waits for a free place": {waiting: []*Request{{}}},
		"no stale upgrade waits":        {held: true, accepted: 2, waiting: []*Request{{kind: UpgradeRequest, base: 1}}},
		"maintenance counts":            {held: true, maintenance: 1},
	} {
		broken(t, invariant, q.checkLocked)
	}
	var m marks
	m.log[1].v.Store(6<<32 | slotReader)
	broken(t, "a mark is at most", func() { m.checkMark(1, old) })
	broken(t, "a held mark is counted", func() { m.checkMark(2, old) })
	m.file[0].v.Store(slotReader)
	broken(t, "slot 0 reads", func() { m.checkMark(-1, old) })
}
