// What holds of the coordination at its entries (with the build tag invariants).

package coord

import "github.com/walnutdb/walnut/internal/invariants"

// assertNext panics if a state must not follow another one.
func assertNext(old, next *State) {
	if invariants.Enabled {
		checkNext(old, next)
	}
}

func checkNext(old, next *State) {
	o, n := old.Snapshot, next.Snapshot
	if n.NBackfill > n.MaxFrame {
		invariants.Fail("nBackfill <= published", n)
	}
	if n.Seq < o.Seq {
		invariants.Fail("a commit is not taken back", o, n)
	}
	if n.Gen < o.Gen {
		invariants.Fail("generations never go back", o, n)
	}
	if n.Gen > o.Gen {
		if o.NBackfill != o.MaxFrame {
			invariants.Fail("a generation ends when everything is backfilled", o, n)
		}
		return
	}
	if n.MaxFrame < o.MaxFrame {
		invariants.Fail("the published end does not go back in one generation", o, n)
	}
	if n.NBackfill < o.NBackfill {
		invariants.Fail("nBackfill does not go back in one generation", o, n)
	}
}

// assertLocked panics if the queue is in a state that it may not have.
// REQUIRES mu.
func (q *queue) assertLocked() {
	if invariants.Enabled {
		q.checkLocked()
	}
}

func (q *queue) checkLocked() {
	if !q.held && len(q.waiting) > 0 {
		invariants.Fail("nobody waits for a free place", len(q.waiting))
	}
	maintenance := 0
	for _, r := range q.waiting {
		if r.kind == MaintenanceRequest {
			maintenance++
		}
		if r.kind == UpgradeRequest && r.base != q.accepted {
			invariants.Fail("no stale upgrade waits", r.base, q.accepted)
		}
		if len(r.answer) != 0 {
			invariants.Fail("who waits has no answer", r.kind)
		}
	}
	if maintenance != q.maintenance {
		invariants.Fail("maintenance counts the requests of that kind", maintenance, q.maintenance)
	}
}

// assertMark panics if a reader of st must not have the mark m, which it holds.
func (m *marks) assertMark(k Mark, st *State) {
	if invariants.Enabled {
		m.checkMark(k, st)
	}
}

func (m *marks) checkMark(k Mark, st *State) {
	v := m.slot(k).v.Load()
	if slotReaders(v) == 0 || slotIsClaimed(v) {
		invariants.Fail("a held mark is counted, and not claimed", k, v)
	}
	if slotValue(v) > st.MaxFrame {
		invariants.Fail("a mark is at most the snapshot's last frame", k, slotValue(v), st.MaxFrame)
	}
	if k.InFile() && (st.MaxFrame != st.NBackfill || slotValue(v) != 0) {
		invariants.Fail("slot 0 reads the database file only", k, st.Snapshot)
	}
}

// firstSlots is the size of a table that begins. With assertions on it grows
// soon. With fewer slots than 16 it would be full for a moment, and who looks
// for a page that it has not got would find no end.
func firstSlots() int {
	if invariants.Enabled {
		return 16
	}
	return 64
}

// onceMore sends a reader that has its mark round again by chance, unless a test
// decides who goes on.
func (c *InProcess) onceMore() bool {
	return invariants.Enabled && c.marks.hook == nil && c.again.OneIn(16)
}
