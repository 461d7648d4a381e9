// What holds of a log whenever nobody has its mutex (with the build tag
// invariants; the numbers are those of wal.go).

package wal

import (
	"github.com/walnutdb/walnut/internal/invariants"
	"github.com/walnutdb/walnut/internal/walformat"
)

// assertState panics if the state of the log is not one that it may have.
func (l *Log) assertState() {
	if invariants.Enabled {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.checkLocked()
	}
}

// assertLocked is assertState for who holds mu.
func (l *Log) assertLocked() {
	if invariants.Enabled {
		l.checkLocked()
	}
}

func (l *Log) checkLocked() {
	m := &l.mu
	if l.broken.Load() != (m.failed != nil) {
		invariants.Fail("broken says whether the log has failed", l.path, m.failed)
	}
	if m.appended > m.accepted {
		invariants.Fail("appended <= accepted", l.path, m.appended, m.accepted)
	}
	if m.durable > m.appended {
		invariants.Fail("durable <= appended", l.path, m.durable, m.appended)
	}
	if walformat.FrameNo(l.appendedEnd.Load()) != m.appended {
		invariants.Fail("appendedEnd mirrors appended", l.path, l.appendedEnd.Load(), m.appended)
	}
	l.checkPublishedLocked()
	if m.failed != nil {
		if len(m.leadWaiters) != 0 {
			invariants.Fail("nobody waits for the leadership of a failed log", l.path, len(m.leadWaiters))
		}
		return
	}
	if !m.leading && len(m.inflight)+len(m.leadWaiters) > 0 {
		invariants.Fail("no accepted commit is without a leader", l.path, len(m.inflight), len(m.leadWaiters))
	}
	l.checkInflightLocked()
}

// checkPublishedLocked: nBackfill <= published <= appended, in one generation.
// Commits and restarts publish under mu; a backfill, which does not, changes
// nBackfill alone.
func (l *Log) checkPublishedLocked() {
	m, p := &l.mu, l.co.Published()
	if p.Gen != m.gen {
		invariants.Fail("the published generation is the log's", l.path, p.Gen, m.gen)
	}
	if p.MaxFrame > m.appended {
		invariants.Fail("published <= appended", l.path, p.MaxFrame, m.appended)
	}
	if p.NBackfill > p.MaxFrame {
		invariants.Fail("nBackfill <= published", l.path, p.NBackfill, p.MaxFrame)
	}
	if p.NBackfill > m.durable {
		invariants.Fail("the database file has durable frames only", l.path, p.NBackfill, m.durable)
	}
	if p.Seq > m.seq {
		invariants.Fail("published commits were accepted", l.path, p.Seq, m.seq)
	}
}

// checkInflightLocked: the commits in flight follow each other from the
// published end to the accepted one, the appended ones first.
func (l *Log) checkInflightLocked() {
	m, p := &l.mu, l.co.Published()
	if m.nAppended < 0 || m.nAppended > len(m.inflight) {
		invariants.Fail("nAppended counts commits in flight", l.path, m.nAppended, len(m.inflight))
	}
	end, seq, appended, bytes := p.MaxFrame, p.Seq, p.MaxFrame, int64(0)
	for i, c := range m.inflight {
		if c.first != end+1 || c.end < c.first {
			invariants.Fail("commits in flight follow each other", l.path, i, c.first, c.end, end)
		}
		if c.seq != seq+1 {
			invariants.Fail("their sequence numbers too", l.path, i, c.seq, seq)
		}
		end, seq = c.end, c.seq
		if i < m.nAppended {
			appended = c.end
		} else {
			bytes += c.bytes
		}
	}
	if end != m.accepted || seq != m.seq {
		invariants.Fail("the last commit in flight is the accepted end", l.path, end, m.accepted, seq, m.seq)
	}
	if appended != m.appended {
		invariants.Fail("the last appended commit is the appended end", l.path, appended, m.appended)
	}
	if bytes != m.pendingBytes {
		invariants.Fail("pendingBytes is the size of what is to be appended", l.path, bytes, m.pendingBytes)
	}
}
