// Package coordtest is what every implementation of coord.Coordinator must pass.
//
// # Schedules
//
// Most of it runs a few actors (readers, writers, upgrades, checkpoints,
// restarts) over a small model of a log and a database file, in every order that
// their steps can take, and checks after each step what must hold at every
// instant: each snapshot that somebody reads still shows the commit that it
// began with, nothing that was published is taken back, nBackfill <= published
// <= appended <= accepted in one generation, and the writer's place has one
// holder, the first who asked. When all have ended, nothing is left behind: no
// mark, claim, lock or place in the queue. That all wait for each other is a
// failure, too.
//
// The steps are those of the protocol and, if the backend tells them
// ([Backend].Steps), each access of BeginRead and the other calls to the slots
// and the published state. Scenarios of many actors take the look at all slots
// as one step.
//
// # From the rule to the test
//
//	DESIGN  rule                                         test
//	3       slot 0 only if all is in the file            MarkInFile; reader, checkpoint
//	3       the greatest mark <= max frame, a free       MarkSlots
//	        slot raised where that is better
//	3       the second load compares snapshot and        reader, writer, checkpoint;
//	        generation                                   reader, restart and commit
//	3       and nBackfill                                reader, checkpoint, restart, commit
//	3       a mark changes by compare-and-swap           two readers, writer, restart
//	4       strictly first come, first served            QueueOrder; queue; QueueMany
//	4       a wait that is given up passes the place on  QueueCancel; QueueWait; queue
//	4       an upgrade is stale: on entry, at each       UpgradeStale; two upgrades;
//	        acceptance, when granted                     upgrade, writer, FULL
//	4       an upgrade beside FULL, RESTART, TRUNCATE:   UpgradeBesideMaintenance;
//	        ErrBusy, decided with entering the queue     upgrade, TRUNCATE; upgrade, FULL
//	4       … or a hold                                  UpgradeBesideHold
//	4       a snapshot is kept beyond the commit: the    Pin; PinWaits; keeper, checkpoint
//	        mark is taken before anybody builds on it
//	4       publication is one compare-and-swap          PublishIsAtomic; reader, writer,
//	                                                     checkpoint
//	5       one checkpointer at a time                   CheckpointLock; checkpoints
//	5       T, then safe, then copying                   reader, writer, checkpoint
//	5       readers in slot 0 stop all backfilling       MarkInFile; reader in file,
//	                                                     keeper, checkpoint
//	5       restart: accepted = published = nBackfill    reader, restart and commit;
//	                                                     writers, checkpoint
//	5       and no held mark 1-4                         reader, restart and commit;
//	                                                     reader, TRUNCATE
//	5       an automatic restart only tries              reader, restart and commit,
//	                                                     checkpoint; checkpoints
//	5       RESTART and TRUNCATE wait for readers        reader, committer, TRUNCATE
//	5       a reader is detached if its snapshot equals  fetcher, holder; fetcher in file,
//	        the file, marked before its mark goes        holder, checkpoint; fetcher, holders
//	5       pages are saved before they are overwritten, reader that stays, holders
//	        for those detached since safe was computed
//	5       a page saved since nBackfill was published   fetcher, holder, failing checkpoint
//	        is not saved again
//	5       a reader on a lower mark is moved first      reader that stays, fetcher, holder
//	10      no checkpoint publishes into a generation    checkpoints; reader, restart and
//	        that is not its own                          commit, checkpoint
//
// What involves the log itself (its syncs, the leadership, crashes) is tested
// with the log, in package wal.
package coordtest

import (
	"testing"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/schedule"
)

// Access is what the next step of a call touches.
type Access struct {
	// Reads and Writes have the bits 0 to 4 for the slots of those numbers and
	// bit 5 for the published state.
	Reads, Writes schedule.Set
	// Retry: nothing will be different until somebody writes what is read.
	Retry bool
}

// Backend makes coordinations of one kind.
type Backend struct {
	// New returns a coordination that has published st. It is closed by the
	// test's cleanup, if it needs to be.
	New func(t testing.TB, st coord.State, step func(Access)) coord.Coordinator
	// Steps: BeginRead, Pin, EndRead, SafeFrame, ClaimMarks and ReleaseMarks
	// call step, if it is not nil, before each access to what they share with
	// others, holding no lock; a look at all slots begins with slot 1.
	// Otherwise they are taken as one step each.
	Steps bool
	// Slots returns what the slots 0 to 4 hold, in any form that fmt prints and
	// that differs where anything could come of the difference. It spares the
	// search the states that it has seen; without it the suite takes longer.
	Slots func(coord.Coordinator) [coord.NumMarks]any
	// Minutes has scenarios run too that take minutes.
	Minutes bool
}

// Run runs the suite.
func Run(t *testing.T, b Backend) {
	for _, rule := range []struct {
		name string
		run  func(*testing.T, Backend)
	}{
		{"MarkInFile", markInFile},
		{"MarkSlots", markSlots},
		{"EndNoMark", endNoMark},
		{"Pin", pin},
		{"PinWaits", pinWaits},
		{"ReadersAgainstBackfill", readersAgainstBackfill},
		{"PublishIsAtomic", publishIsAtomic},
		{"QueueOrder", queueOrder},
		{"UpgradeStale", upgradeStale},
		{"UpgradeBesideMaintenance", upgradeBesideMaintenance},
		{"UpgradeBesideHold", upgradeBesideHold},
		{"Claims", claims},
		{"QueueCancel", queueCancel},
		{"QueueWait", queueWait},
		{"QueueMany", queueMany},
		{"CheckpointLock", checkpointLock},
	} {
		t.Run(rule.name, func(t *testing.T) { rule.run(t, b) })
	}
	for _, sc := range scenarios {
		if sc.long && (testing.Short() || schedule.RaceDetector) || sc.minutes && !b.Minutes {
			continue
		}
		t.Run(sc.name, func(t *testing.T) { explore(t, b, sc) })
	}
}
