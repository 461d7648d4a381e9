// A device that acknowledges syncs of the log and does nothing.

package crashtest

import (
	"testing"

	"github.com/walnutdb/walnut/disk/faultdisk"
)

// On a device whose syncs of the log lie, a power failure takes acknowledged
// commits back; it still leaves the beginning of the history, each transaction
// as a whole, as long as nothing was copied into the database file. (After a
// checkpoint it cannot: an older log then stands before a newer file, in SQLite
// as well.) The end of the process alone takes nothing.
func TestLyingLog(t *testing.T) {
	w := workload{opt: page(512), steps: []step{
		commit(full, 3), bulk(3, 30), commit(normal, 4), commit(full, 3, 5), rollback(3, 60), savepoints, commit(full, 6),
	}}
	lost, images := 0, 0
	for seed := range int64(10) {
		s := w.begin(seed)
		lie := s.disk.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: "-wal", Effect: faultdisk.Lie, Sticky: true})
		mustSession(t, s, s.open())
		for _, st := range w.steps {
			mustSession(t, s, st.do(s))
			_, acked := s.h.floors()
			for i := range int64(20) {
				for _, killed := range []bool{false, true} {
					h := &history{versions: s.h.begun()}
					d := s.disk.Crash(100*seed + i)
					if killed {
						d, h.acked = s.disk.Kill(i), acked
					}
					after := newSession(d, s.opt, h)
					if err := after.open(); err != nil {
						t.Fatalf("after %s, seed %d, killed %v: %v", st.name, 100*seed+i, killed, err)
					}
					if k, _ := h.floors(); k < acked {
						lost++
					}
					images++
					mustSession(t, after, after.close())
				}
			}
		}
		if !lie.Fired() {
			t.Fatal("no sync has lied")
		}
		lie.Remove()
		mustSession(t, s, s.close())
	}
	if lost == 0 {
		t.Error("no acknowledged commit was lost: the device did not lie")
	}
	t.Logf("%d images, in %d of which acknowledged commits are missing", images, lost)
}
