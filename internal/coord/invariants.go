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
	invariants.Check(n.NBackfill <= n.MaxFrame, "nBackfill <= published", n)
	invariants.Check(n.Seq >= o.Seq, "a commit is not taken back", o, n)
	invariants.Check(n.Gen >= o.Gen, "generations never go back", o, n)
	if n.Gen > o.Gen {
		invariants.Check(o.NBackfill == o.MaxFrame, "a generation ends when everything is backfilled", o, n)
		return
	}
	invariants.Check(n.MaxFrame >= o.MaxFrame, "the published end does not go back in one generation", o, n)
	invariants.Check(n.NBackfill >= o.NBackfill, "nBackfill does not go back in one generation", o, n)
}

// assertLocked panics if the queue is in a state that it may not have.
// REQUIRES mu.
func (q *queue) assertLocked() {
	if invariants.Enabled {
		q.checkLocked()
	}
}

func (q *queue) checkLocked() {
	invariants.Check(q.held || len(q.waiting) == 0, "nobody waits for a free place", len(q.waiting))
	maintenance := 0
	for _, r := range q.waiting {
		if r.kind == MaintenanceRequest {
			maintenance++
		}
		invariants.Check(r.kind != UpgradeRequest || r.base == q.accepted, "no stale upgrade waits", r.base, q.accepted)
		invariants.Check(len(r.answer) == 0, "who waits has no answer", r.kind)
	}
	invariants.Check(maintenance == q.maintenance, "maintenance counts the requests of that kind", maintenance, q.maintenance)
}

// assertMark panics if a reader of st must not have the mark m, which it holds.
func (m *marks) assertMark(k Mark, st *State) {
	if invariants.Enabled {
		m.checkMark(k, st)
	}
}

func (m *marks) checkMark(k Mark, st *State) {
	v := m.slot(k).v.Load()
	invariants.Check(slotReaders(v) > 0 && !slotIsClaimed(v), "a held mark is counted, and not claimed", k, v)
	invariants.Check(slotValue(v) <= st.MaxFrame, "a mark is at most the snapshot's last frame", k, slotValue(v), st.MaxFrame)
	invariants.Check(!k.InFile() || st.MaxFrame == st.NBackfill && slotValue(v) == 0, "slot 0 reads the database file only", k, st.Snapshot)
}
