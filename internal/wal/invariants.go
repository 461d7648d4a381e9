// What holds of a log whenever nobody has its mutex (with the build tag
// invariants; the numbers are those of wal.go).

package wal

import (
	"math"

	"github.com/walnutdb/walnut/internal/coord"
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
	l.checkHeaderLocked()
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

// checkHeaderLocked: the header, the index and the checksums are of one
// generation. Whoever changes the header does so under mu.
func (l *Log) checkHeaderLocked() {
	m, h := &l.mu, l.hdr.Load()
	switch {
	case h == nil && m.accepted > 0:
		invariants.Fail("frames follow a header", l.path, m.accepted)
	case h != nil && m.idx.Sum(0) != h.Sum:
		invariants.Fail("the index begins with the header's checksum", l.path, m.idx.Sum(0), h.Sum)
	case m.sum != m.idx.Sum(m.appended):
		invariants.Fail("what is appended next continues the last frame", l.path, m.appended, m.sum)
	}
	if p := l.co.Published(); p.MaxFrame > 0 && p.Index == m.idx && p.Sum != m.idx.Sum(p.MaxFrame) {
		invariants.Fail("a snapshot has the checksum of its last frame", l.path, p.MaxFrame, p.Sum)
	}
}

// assertRecovered panics if a log that was just recovered is not the one that
// was read: the salts of its commits are those of the header in memory.
func (l *Log) assertRecovered(scan *ScanResult) {
	if !invariants.Enabled {
		return
	}
	h := l.hdr.Load()
	if scan.Committed > 0 && (h == nil || *h != scan.Header) {
		invariants.Fail("the header of what was recovered is the one that was read", l.path, h, scan.Header)
	}
	if l.mu.accepted != scan.Committed || scan.Committed > 0 && l.mu.sum != scan.Sum {
		invariants.Fail("the log ends with the last commit that was read", l.path, l.mu.accepted, scan.Committed)
	}
	l.assertState()
}

// assertPlace panics if what the holder of the writer's place guards is wrong.
func (w *Writer) assertPlace() {
	if invariants.Enabled {
		w.checkPlace()
	}
}

func (w *Writer) checkPlace() {
	l, h := w.log, w.log.hdr.Load()
	if h != nil && *h != l.lastHdr {
		invariants.Fail("the header in use is the newest one: its salts are never used again", l.path, *h, l.lastHdr)
	}
	if end := w.Spilled(); h != nil && !l.copyOnWrite && l.reserved < h.EndOffset(end) {
		invariants.Fail("everything accepted and spilled lies in reserved space", l.path, l.reserved, end)
	}
	if len(w.spill.pages) != len(w.spill.sums) {
		invariants.Fail("each spilled frame has its checksum", l.path, len(w.spill.pages), len(w.spill.sums))
	}
	if n := len(w.spill.pages); n > 0 && w.spill.tried < w.Spilled() {
		invariants.Fail("what was spilled was tried", l.path, w.spill.tried, w.Spilled())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.gen != w.Base.Gen || l.mu.accepted != w.Base.MaxFrame || l.mu.seq != w.Base.Seq {
		invariants.Fail("nothing is accepted while somebody else has the place", l.path, w.Base.Snapshot, l.mu.gen, l.mu.accepted, l.mu.seq)
	}
}

// closedWatch is what a commit is overwritten with: who finishes it once more
// panics.
var closedWatch = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// overwrite makes a finished commit, which the next transaction uses again,
// useless to whoever still has it: in a list it breaks the order, its pages are
// nobody's, and it cannot be finished.
func (l *Log) overwrite(c *commit) {
	if !invariants.Enabled {
		return
	}
	l.mu.Lock() // the leader may not have left it yet
	defer l.mu.Unlock()
	if len(c.ready) != 0 {
		invariants.Fail("nobody hands the leadership to a finished commit", l.path, c.seq)
	}
	*c = commit{first: ^walformat.FrameNo(0), seq: ^coord.CommitSeq(0), level: ^SyncLevel(0), bytes: -1,
		watchers: closedWatch, ready: c.ready}
}

// assertFree panics if a commit that was overwritten was used since.
func (c *commit) assertFree() {
	if !invariants.Enabled || c.watchers != closedWatch {
		return
	}
	if c.first != ^walformat.FrameNo(0) || c.end != 0 || c.seq != ^coord.CommitSeq(0) || c.level != ^SyncLevel(0) ||
		c.bytes != -1 || c.frames != nil || c.waits || c.err != nil || len(c.ready) != 0 {
		invariants.Fail("nobody uses a commit after it was finished", c.first, c.end, c.seq, c.level, c.bytes, c.waits, c.err, len(c.ready))
	}
}

// The rare paths that are taken by chance. What is asked in the same order in two
// runs is answered alike, and all of these are asked by one at a time.

// appendMost is how many commits the leader may append in its round. By chance it
// is its own only, which is the first of those that are pending, or appended
// already; then the next one leads.
func (l *Log) appendMost(self *commit) int {
	if self != nil && l.shortAppend.OneIn(8) {
		return 1
	}
	return math.MaxInt
}

// batchPages is how many pages make a batch of a backfill that may have n.
func (l *Log) batchPages(n int) int {
	if l.shortBatch.OneIn(4) {
		return min(n, 2)
	}
	return n
}

// copyDepth is how many batches are under way at once: of the short ones that
// chance makes, one, where nothing is to run in the background.
func (l *Log) copyDepth() int {
	if invariants.Enabled && l.sequential && l.cfg.sizes.batchBytes == 0 {
		return 1
	}
	return pipelineDepth
}
