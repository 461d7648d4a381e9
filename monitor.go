// What Options.Logger is told. A goroutine of its own looks at the readers, a few
// times in the period after which one counts as slow; the rest comes by events.
// Whatever lasts is told again after twice the time, so that a state that stays
// for hours fills no disk.

package walnut

import (
	"log/slog"
	"sync"
	"time"
)

// monitor is the observer of one DB with a Logger.
type monitor struct {
	db   *DB
	log  *slog.Logger
	quit chan struct{}
	done chan struct{}

	// mu guards all below.
	mu sync.Mutex
	// told has when each reader that keeps the log is to be told of again.
	told map[readerKey]time.Duration
	// again is how often in a row a checkpoint could not finish, and since when.
	blockedSince, blockedNext time.Time
	// lastHold and lastErr bound how often these are told.
	lastHold, lastErr time.Time
}

// readerKey tells one reader from another between two looks.
type readerKey struct {
	label, sql string
	seq        uint64
}

// repeatAfter is the least time between two warnings of holds, and of errors of
// checkpoints.
const repeatAfter = 10 * time.Second

func newMonitor(db *DB) *monitor {
	m := &monitor{db: db, log: db.opt.Logger.With("database", db.Path()), quit: make(chan struct{}), done: make(chan struct{}),
		told: map[readerKey]time.Duration{}}
	go m.run(max(db.opt.SlowReader/4, time.Millisecond))
	return m
}

func (m *monitor) stop() {
	close(m.quit)
	<-m.done
}

func (m *monitor) run(every time.Duration) {
	defer close(m.done)
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-m.quit:
			return
		case <-t.C:
			m.look()
		}
	}
}

// look warns of readers that keep the log.
func (m *monitor) look() {
	slow := m.db.opt.SlowReader
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := map[readerKey]time.Duration{}
	for _, r := range m.db.Readers() {
		if r.Age < slow || r.LogFrames == 0 || r.Detached {
			continue
		}
		k := readerKey{r.Label, r.SQL, r.CommitSeq}
		next, ok := m.told[k]
		if !ok {
			next = slow
		}
		if r.Age >= next {
			m.log.Warn("a reader keeps the log from being copied and used again; end it, or see MaxLogSize",
				append(who(r.Label, r.SQL), "age", r.Age.Round(time.Millisecond), "log_bytes", r.LogBytes, "commits_behind", r.CommitsBehind)...)
			next = 2 * r.Age
		}
		seen[k] = next
	}
	m.told = seen
}

// who is the attributes that say whose a transaction is.
func who(label, sql string) []any {
	var a []any
	if label != "" {
		a = append(a, "label", label)
	}
	if sql != "" {
		a = append(a, "sql", sql)
	}
	return a
}

// event warns of what is worth it.
func (m *monitor) event(e Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch e.Kind {
	case EventRecovery:
		if e.Frames == 0 {
			return
		}
		m.log.Info("the log was recovered", "frames", e.Frames, "commits", e.Commits, "log_bytes", e.Bytes, "took", e.Duration)
	case EventSlowSync:
		file := "log"
		if e.Database {
			file = "database file"
		}
		m.log.Warn("a sync was slow: commits wait for the device", "file", file, "took", e.Duration)
	case EventSlowWriter:
		m.log.Warn("a writer waited long for its turn", append(who(e.Label, e.SQL), "waited", e.Duration)...)
	case EventDetach:
		m.log.Warn("a reader stayed too long while the log was at its limit: it was detached, and reads on from a temporary file",
			append(who(e.Label, e.SQL), "age", e.Duration)...)
	case EventLimit:
		m.log.Warn("one transaction is larger than MaxLogSize: the log exceeds it", append(who(e.Label, e.SQL), "frames", e.Frames)...)
	case EventLogFailed:
		m.log.Error("the log has failed and refuses writes: close the database everywhere and open it again", "err", e.Err)
	case EventHold:
		m.hold(e)
	case EventCheckpoint:
		m.checkpoint(e)
	}
}

func (m *monitor) hold(e Event) {
	if e.WaitedFor == "" && e.Err == nil || e.Time.Sub(m.lastHold) < repeatAfter {
		return
	}
	m.lastHold = e.Time
	a := []any{"frames", e.Frames, "held", e.Duration, "waited_for", e.WaitedFor}
	if e.Err != nil {
		a = append(a, "err", e.Err)
	}
	m.log.Warn("the log is at MaxLogSize, and a writer was held in vain", a...)
}

func (m *monitor) checkpoint(e Event) {
	switch {
	case e.Err != nil:
		if e.Time.Sub(m.lastErr) >= repeatAfter {
			m.lastErr = e.Time
			m.log.Warn("a checkpoint failed; the log stays until one succeeds", "mode", e.Mode.String(), "err", e.Err)
		}
	case e.WaitedFor == "" || e.Backfilled == e.Frames:
		m.blockedSince = time.Time{}
	case m.blockedSince.IsZero():
		m.blockedSince, m.blockedNext = e.Time, e.Time.Add(m.db.opt.SlowReader)
	case !e.Time.Before(m.blockedNext):
		m.log.Warn("checkpoints cannot finish", "for", e.Time.Sub(m.blockedSince).Round(time.Millisecond), "waited_for", e.WaitedFor,
			"frames", e.Frames, "backfilled", e.Backfilled)
		m.blockedNext = e.Time.Add(2 * e.Time.Sub(m.blockedSince))
	}
}
