package walnut

import (
	"time"

	"github.com/walnutdb/walnut/internal/wal"
)

// EventKind says what happened.
type EventKind = wal.EventKind

// The kinds of events, and which fields of [Event] they set besides Kind, Time
// and Missed.
const (
	// EventCommit: commits were published in one round. Commits, Frames (of
	// them), CommitSeq, Generation.
	EventCommit = wal.EventCommit
	// EventCheckpoint: a checkpoint ended. Mode, Auto, Pages, Frames (in the
	// log), Backfilled, Duration, WaitedFor (who kept it from copying all), Err.
	EventCheckpoint = wal.EventCheckpoint
	// EventRestart: the log was begun anew. Generation is the new one, Frames
	// how many the old one had; Truncated: the file was cut to zero bytes.
	EventRestart = wal.EventRestart
	// EventRecovery: the database was opened with a log. Frames and Commits
	// that were recovered, Bytes of the log file, Duration.
	EventRecovery = wal.EventRecovery
	// EventHold: a writer was held because the log was at its limit
	// (Options.MaxLogSize). Frames, Duration; WaitedFor and Err, if in vain.
	EventHold = wal.EventHold
	// EventDetach: a reader was detached. Label, SQL, CommitSeq and Frames of its
	// snapshot, Duration is its age.
	EventDetach = wal.EventDetach
	// EventLimit: a transaction larger than the limit was committed. Label,
	// SQL, CommitSeq, Frames.
	EventLimit = wal.EventLimit
	// EventSlowSync: a sync took longer than Options.SlowSync. Duration;
	// Database: of the database file, else of the log.
	EventSlowSync = wal.EventSlowSync
	// EventSlowWriter: a writer waited longer than Options.SlowWriter for its
	// place. Label, SQL, Duration.
	EventSlowWriter = wal.EventSlowWriter
	// EventLogFailed: the log refuses writes from now on. Err.
	EventLogFailed = wal.EventLogFailed
)

// Event is something that happened in the engine. Which fields are set says its
// kind.
type Event struct {
	Kind EventKind
	// Time is when the event was handed over.
	Time                  time.Time
	Label, SQL            string
	Generation, CommitSeq uint64
	Frames, Backfilled    FrameNo
	Commits, Pages        int
	Bytes                 int64
	Duration              time.Duration
	Mode                  CheckpointMode
	Auto                  bool
	Truncated, Database   bool
	WaitedFor             string
	Err                   error
	// Missed is how many events were lost before this one, because the receiver
	// was too slow.
	Missed uint64
}

func newEvent(e wal.Event) Event {
	return Event{Kind: e.Kind, Time: time.Now(), Label: e.Who.Label, SQL: shown(e.Who.SQL), Generation: uint64(e.Generation), CommitSeq: uint64(e.Seq),
		Frames: e.Frames, Backfilled: e.Backfilled, Commits: e.Commits, Pages: e.Pages, Bytes: e.Bytes, Duration: e.Duration,
		Mode: e.Mode, Auto: e.Auto, Truncated: e.Truncated, Database: e.Database, WaitedFor: e.WaitedFor, Err: e.Err, Missed: e.Missed}
}

// watch begins what Options.OnEvent and Options.Logger ask for.
func (db *DB) watch() {
	var ends []func()
	log := db.store.Log()
	if on := db.opt.OnEvent; on != nil {
		ends = append(ends, log.Subscribe(wal.Subscription{On: func(e wal.Event) { on(newEvent(e)) },
			Recovery: true, SlowSync: db.opt.SlowSync, SlowWriter: db.opt.SlowWriter}))
	}
	if db.opt.Logger != nil {
		m := newMonitor(db)
		ends = append(ends, log.Subscribe(wal.Subscription{On: func(e wal.Event) { m.event(newEvent(e)) },
			Recovery: true, SlowSync: db.opt.SlowSync, SlowWriter: db.opt.SlowWriter}), m.stop)
	}
	db.unwatch = func() {
		for _, end := range ends {
			end()
		}
	}
}
