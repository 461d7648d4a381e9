// Every order in which commits, readers, upgrades, checkpoints and restarts can
// meet, in logs of a few frames. From the rule (DESIGN) to the play or the test:
//
//	4   the base of a writer is the newest accepted state;   commit, abandon; TestAbandonWaits
//	    whoever read it ends after its publication
//	4   an upgrade writes on what it has read or is refused  upgrade, commit; two upgrades
//	4   and does not wait for one who waits for it           upgrade, FULL; upgrade, TRUNCATE;
//	                                                         TestUpgradeBesideMaintenance
//	4   accepted is seen by later writers only               all; TestPendingPages
//	4   publication in log order, at FULL only what is       two FULL; FULL and NORMAL;
//	    durable; a commit returns after its publication      three commits; TestNormalBeforeFull
//	4   a commit in flight when a checkpoint wants to lead   FULL, checkpoint; TestLeadToCheckpoint
//	4   the leadership is never unowned, whenever contexts   contexts end; contexts end beside
//	    end                                                  a checkpoint
//	4   a failed sync poisons before anybody is released     log sync fails; TestPoison
//	4   tickets of an older generation are covered           TestGenerationTickets
//	5   the log is synced before it is backfilled            NORMAL, checkpoint; two commits,
//	                                                         checkpoint
//	5   T, then safe, then copying; readers hold back        reader, commit, checkpoint
//	5   readers in slot 0 stop all backfilling               reader in file, commit, checkpoint
//	5   the database file is synced before nBackfill is      database sync fails;
//	    published; after a failure all is written again      TestCheckpointSyncFails
//	5   restart: accepted = published = nBackfill, no mark   reader, restart and commits;
//	                                                         reader, commit, RESTART or TRUNCATE;
//	                                                         TestRestartConditions
//	5   the new header is synced before its frames           restart and commits
//	5   an automatic restart only tries                      two checkpoints, commit
//	10  a parked checkpoint publishes into its generation    TestParkedCheckpoint
//	    only

package wal

import (
	"testing"

	"github.com/walnutdb/walnut/internal/walformat"
)

// did is a commit of the setup.
func (s *stage) did(level SyncLevel, version uint32, pages ...walformat.PageNo) {
	next := s.history[len(s.history)-1]
	for _, n := range pages {
		next[n-2] = version
	}
	s.history = append(s.history, next)
	s.returned = s.commit(level, version, pages...).Seq
	if level == SyncFull {
		s.acked = s.returned
	}
}

// inLog: a commit is in the log.
func inLog(s *stage) { s.did(SyncFull, 1, 2, 3) }

// inFile: and in the database file.
func inFile(s *stage) {
	inLog(s)
	s.checkpoint(Passive)
}

// oftenChanged: several commits of one page are in the file, so that the first
// of them, if it came back alone, would show.
func oftenChanged(s *stage) {
	s.did(SyncFull, 1, 2)
	s.did(SyncFull, 2, 2)
	s.did(SyncFull, 3, 3)
	s.checkpoint(Passive)
}

// partlyInFile: page 3 is in the database file only, page 2 in the log, too.
func partlyInFile(s *stage) {
	inLog(s)
	s.checkpoint(Restart)
	s.did(SyncFull, 2, 2)
}

// notSynced: a commit at SyncNormal follows.
func notSynced(s *stage) {
	inLog(s)
	s.did(SyncNormal, 2, 2)
}

type actors = []func(p *player) error

var plays = []play{
	{name: "two FULL", setup: inLog, actors: actors{writes(SyncFull, 11, 2), writes(SyncFull, 12, 3)}},
	{name: "FULL and NORMAL", setup: inLog, actors: actors{writes(SyncFull, 11, 2), writes(SyncNormal, 12, 3)}},
	{name: "three commits", setup: inLog, actors: actors{writes(SyncFull, 11, 2), writes(SyncNormal, 12, 3), writes(SyncFull, 13, 2)}},
	{name: "commit, abandon", setup: inLog, actors: actors{writes(SyncFull, 11, 2), abandons}},
	{name: "NORMAL, checkpoint", setup: inLog, actors: actors{writes(SyncNormal, 11, 2), checkpoints(Passive)}},
	{name: "FULL, checkpoint", setup: notSynced, actors: actors{writes(SyncFull, 11, 2), checkpoints(Passive)}},
	{name: "two commits, checkpoint", bound: 4, setup: notSynced, actors: actors{writes(SyncFull, 11, 2), writes(SyncNormal, 12, 3), checkpoints(Passive)}},
	{name: "reader, commit, checkpoint", setup: notSynced, actors: actors{reads, writes(SyncFull, 11, 2), checkpoints(Passive)}},
	{name: "reader, commit of a page that it has from the file, checkpoint", setup: partlyInFile, actors: actors{reads, writes(SyncFull, 11, 3), checkpoints(Passive)}},
	{name: "reader in file, commit, checkpoint", setup: inFile, actors: actors{reads, writes(SyncFull, 11, 2), checkpoints(Passive)}},
	{name: "reader, restart and commits", setup: inFile, actors: actors{reads, writes(SyncFull, 11, 2), writes(SyncFull, 12, 3)}},
	{name: "restart and commits", crashes: 100, setup: oftenChanged, actors: actors{writes(SyncNormal, 11, 2, 3), writes(SyncFull, 12, 2, 3)}},
	{name: "reader, commit, TRUNCATE", setup: notSynced, actors: actors{reads, writes(SyncFull, 11, 2), checkpoints(Truncate)}},
	{name: "reader, commit, RESTART", setup: notSynced, actors: actors{reads, writes(SyncNormal, 11, 2), checkpoints(Restart)}},
	{name: "two checkpoints, commit", bound: 4, setup: notSynced, actors: actors{checkpoints(Passive), checkpoints(Restart), writes(SyncFull, 11, 2)}},
	{name: "upgrade, commit", setup: inLog, actors: actors{upgrades(11, 2), writes(SyncFull, 12, 3)}},
	{name: "two upgrades", setup: inLog, actors: actors{upgrades(11, 2), upgrades(12, 3)}},
	{name: "upgrade, FULL", setup: notSynced, actors: actors{upgrades(11, 2), checkpoints(Full)}},
	{name: "upgrade, TRUNCATE", setup: notSynced, actors: actors{upgrades(11, 2), checkpoints(Truncate)}},
	{name: "contexts end", bound: 4, setup: inLog, actors: actors{givesUp(SyncFull, 11, 2), givesUp(SyncFull, 12, 3), cancelsAll, writes(SyncFull, 13, 2)}},
	{name: "contexts end beside a checkpoint", setup: notSynced, actors: actors{givesUp(SyncFull, 11, 2), cancelsAll, checkpoints(Full)}},
	{name: "log sync fails", bound: 3, setup: notSynced, actors: actors{despite(writes(SyncFull, 11, 2)), despite(writes(SyncFull, 12, 3)), despite(checkpoints(Passive)), breaks("-wal")}},
	{name: "log sync fails under TRUNCATE", setup: notSynced, actors: actors{despite(writes(SyncNormal, 11, 2)), despite(checkpoints(Truncate)), breaks("-wal")}},
	{name: "database sync fails", setup: notSynced, actors: actors{writes(SyncFull, 11, 2), despite(checkpoints(Truncate)), breaks("/db")}},
}

// TestSchedules: see stage_test.go.
func TestSchedules(t *testing.T) {
	for _, pl := range plays {
		t.Run(pl.name, func(t *testing.T) { perform(t, pl) })
	}
}
