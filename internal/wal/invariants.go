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
	invariants.Check(l.broken.Load() == (m.failed != nil), "broken says whether the log has failed", l.path, m.failed)
	invariants.Check(m.appended <= m.accepted, "appended <= accepted", l.path, m.appended, m.accepted)
	invariants.Check(m.durable <= m.appended, "durable <= appended", l.path, m.durable, m.appended)
	invariants.Check(walformat.FrameNo(l.appendedEnd.Load()) == m.appended, "appendedEnd mirrors appended", l.path, l.appendedEnd.Load(), m.appended)
	l.checkPublishedLocked()
	if m.failed != nil {
		invariants.Check(len(m.leadWaiters) == 0, "nobody waits for the leadership of a failed log", l.path, len(m.leadWaiters))
		return
	}
	invariants.Check(m.leading || len(m.inflight) == 0 && len(m.leadWaiters) == 0,
		"no accepted commit is without a leader", l.path, len(m.inflight), len(m.leadWaiters))
	l.checkInflightLocked()
}

// checkPublishedLocked: nBackfill <= published <= appended, in one generation.
// Commits and restarts publish under mu; a backfill, which does not, changes
// nBackfill alone.
func (l *Log) checkPublishedLocked() {
	m, p := &l.mu, l.co.Published()
	invariants.Check(p.Gen == m.gen, "the published generation is the log's", l.path, p.Gen, m.gen)
	invariants.Check(p.MaxFrame <= m.appended, "published <= appended", l.path, p.MaxFrame, m.appended)
	invariants.Check(p.NBackfill <= p.MaxFrame, "nBackfill <= published", l.path, p.NBackfill, p.MaxFrame)
	invariants.Check(p.NBackfill <= m.durable, "the database file has durable frames only", l.path, p.NBackfill, m.durable)
	invariants.Check(p.Seq <= m.seq, "published commits were accepted", l.path, p.Seq, m.seq)
}

// checkInflightLocked: the commits in flight follow each other from the
// published end to the accepted one, the appended ones first.
func (l *Log) checkInflightLocked() {
	m, p := &l.mu, l.co.Published()
	invariants.Check(m.nAppended >= 0 && m.nAppended <= len(m.inflight), "nAppended counts commits in flight", l.path, m.nAppended, len(m.inflight))
	end, seq, appended, bytes := p.MaxFrame, p.Seq, p.MaxFrame, int64(0)
	for i, c := range m.inflight {
		invariants.Check(c.first == end+1 && c.end >= c.first, "commits in flight follow each other", l.path, i, c.first, c.end, end)
		invariants.Check(c.seq == seq+1, "their sequence numbers too", l.path, i, c.seq, seq)
		end, seq = c.end, c.seq
		if i < m.nAppended {
			appended = c.end
		} else {
			bytes += c.bytes
		}
	}
	invariants.Check(end == m.accepted && seq == m.seq, "the last commit in flight is the accepted end", l.path, end, m.accepted, seq, m.seq)
	invariants.Check(appended == m.appended, "the last appended commit is the appended end", l.path, appended, m.appended)
	invariants.Check(bytes == m.pendingBytes, "pendingBytes is the size of what is to be appended", l.path, bytes, m.pendingBytes)
}
