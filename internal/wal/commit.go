// Group commit: accept, append, sync, publish, finalize (DESIGN section 4).
//
// The leadership is a token: mu.leading is true while somebody has it. Its
// holder is the only one who appends frames, syncs them and publishes commits.
// It is taken by whoever is accepted while nobody leads, and handed, under mu,
// to a commit that is not covered yet or to a waiting checkpoint; so that no
// accepted commit is ever without a leader.

package wal

import (
	"context"
	"fmt"
	"slices"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// commit is an accepted transaction until it is published. It lies in its
// Writer, which is used again only after a commit that did not fail and was not
// given up: then no list has it any more, and ready is empty.
type commit struct {
	first, end walformat.FrameNo
	seq        coord.CommitSeq
	level      SyncLevel
	dbSize     uint32
	// frames are those still to be written; the spilled ones before them are in
	// the file.
	frames []Frame
	bytes  int64
	spill  spill

	// waits: the committer did not lead from the start, and is woken through
	// ready: true makes it the leader, false says that it is finished. At most
	// one of each is sent, and it has room for both.
	waits bool
	ready chan bool
	// Guarded by Log.mu until finished.
	watchers chan struct{}
	err      error
}

// watch returns a channel that is closed when the commit is finished.
// REQUIRES mu.
func (c *commit) watch() <-chan struct{} {
	if c.watchers == nil {
		c.watchers = make(chan struct{})
	}
	return c.watchers
}

// finish tells the committer and all watchers. REQUIRES mu.
func (c *commit) finish(err error) {
	c.err = err
	if c.waits {
		c.ready <- false
	}
	if c.watchers != nil {
		close(c.watchers)
	}
}

// CommitOptions change one commit.
type CommitOptions struct {
	Level SyncLevel
	// AutoCheckpoint begins a PASSIVE checkpoint after the commit if that many
	// frames or more are not backfilled; 0 or less: never. The commit waits for
	// one only if it is four times as many and one is under way already, and
	// not longer than its context lasts.
	AutoCheckpoint int
	// Pin takes a read mark for the committed state before anybody can build
	// on it.
	Pin bool
}

// Commit commits the frames, the last of them as the commit frame, with the
// database size dbSize in pages, and gives the writer's place up. It returns
// when the commit is published; w.Base is then the state that it made, and the
// mark, if asked for, protects it. frames must not be empty and must have been
// reserved.
//
// An error from before the acceptance means that nothing happened. After it,
// the error is ErrCommitUnknown. If ctx ends while the commit waits for another
// one's sync, it is that too, together with ctx's error; the commit goes on.
func (w *Writer) Commit(ctx context.Context, frames []Frame, dbSize uint32, o CommitOptions) (coord.Mark, error) {
	l, c := w.log, &w.commit
	l.assertState()
	w.assertPlace()
	c.assertFree()
	*c = commit{level: o.Level, dbSize: dbSize, frames: frames, spill: w.spill, ready: c.ready}
	leads, err := l.accept(w.Base, c)
	if err != nil {
		l.co.ReleaseWriter()
		return coord.NoMark, err
	}
	mark := coord.NoMark
	if o.Pin {
		mark = l.co.Pin(c.end)
	}
	l.co.Accepted(c.seq)
	l.tooLarge(c, w.who)
	early := l.co.EarlyRelease()
	if early {
		l.co.ReleaseWriter()
	}
	err = l.finish(ctx, c, leads)
	if !early {
		l.co.ReleaseWriter()
	}
	if err != nil {
		l.co.EndRead(mark)
		return coord.NoMark, err
	}
	w.base.MaxFrame, w.base.DBSize, w.base.Seq = c.end, dbSize, c.seq
	l.overwrite(c)
	if o.AutoCheckpoint > 0 {
		l.autoCheckpoint(ctx, walformat.FrameNo(min(o.AutoCheckpoint, maxThreshold)))
	}
	return mark, nil
}

// finish sees an accepted commit through and returns its outcome.
func (l *Log) finish(ctx context.Context, c *commit, leads bool) error {
	if !leads {
		select {
		case leads = <-c.ready:
		case <-ctx.Done():
			// It may be handed the leadership yet: somebody must be there.
			l.background.Go(func() {
				if <-c.ready {
					l.lead(c, false)
				}
			})
			return fmt.Errorf("%w: the wait for its sync was given up (%w); it is durable if that sync succeeds, and its changes are the base of later transactions",
				ErrCommitUnknown, ctx.Err())
		}
	}
	if leads {
		l.lead(c, false)
		if c.waits {
			<-c.ready // that it is finished
		}
	}
	return c.err
}

// accept numbers the transaction, enters it into the index and the pending
// list, and says whether the caller leads. REQUIRES the writer's place.
func (l *Log) accept(base *coord.State, c *commit) (leads bool, err error) {
	f := base.MaxFrame
	for i, page := range c.spill.pages {
		f++
		base.Index.Add(page, f)
		base.Index.SetSum(f, c.spill.sums[i])
	}
	for i := range c.frames {
		f++
		base.Index.Add(c.frames[i].Page, f)
		c.bytes += int64(len(c.frames[i].Data))
	}
	c.first, c.end, c.seq = base.MaxFrame+1, f, base.Seq+1

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed != nil {
		return false, l.mu.failed
	}
	l.mu.accepted, l.mu.seq, l.mu.dbSize = c.end, c.seq, c.dbSize
	l.mu.inflight = append(l.mu.inflight, c)
	l.mu.pendingBytes += c.bytes
	if !l.mu.leading {
		l.mu.leading = true
		return true, nil
	}
	c.waits = true
	if c.ready == nil {
		c.ready = make(chan bool, 2)
	}
	return false, nil
}

// lead is one round as the leader: append what is pending, sync if self or
// mustSync needs it, publish what is covered, hand the leadership on. self is
// finished when it returns; it is nil for a checkpoint. REQUIRES leadership.
func (l *Log) lead(self *commit, mustSync bool) {
	if err := l.appendPending(l.appendMost(self)); err != nil {
		l.poison("append to", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if mustSync || l.needsSyncLocked(self) {
		// The end is noted before the sync: it covers no more than that. What it
		// covers becomes durable and published in one step.
		end := l.mu.appended
		l.mu.Unlock()
		err := l.syncFile("sync of")
		l.mu.Lock()
		if err != nil {
			return
		}
		l.mu.durable = max(l.mu.durable, end)
		l.out.pending = 0
	}
	if l.mu.failed != nil {
		return
	}
	l.publishLocked()
	l.handOverLocked()
	l.assertLocked()
}

// appendPending writes the accepted frames that are not in the file yet, of most
// commits or fewer, with as few vectored writes as possible. REQUIRES leadership.
func (l *Log) appendPending(most int) error {
	l.mu.Lock()
	if l.mu.failed != nil {
		defer l.mu.Unlock()
		return l.mu.failed
	}
	// A copy: acceptances may move the slice meanwhile.
	pending := l.mu.inflight[l.mu.nAppended:]
	list := append(l.list[:0], pending[:min(most, len(pending))]...)
	l.list = list
	sum, start, idx := l.mu.sum, l.mu.appended, l.mu.idx
	l.mu.Unlock()
	if len(list) == 0 {
		return nil
	}

	// Only the first can have spilled: before it did, all others were appended.
	if sp := list[0].spill; len(sp.pages) > 0 {
		start += walformat.FrameNo(len(sp.pages))
		sum = sp.sums[len(sp.sums)-1]
	}
	h := l.hdr.Load()
	last := list[len(list)-1]
	end, unsynced := last.end, last.level != SyncFull
	vec, bytes := l.startFrames(h, list, start)
	sum = seal(h, sum, vec, func(i int, s walformat.Checksum) { idx.SetSum(start+walformat.FrameNo(i+1), s) })
	written, err := l.file.WriteVAt(vec, int64(h.FrameOffset(start+1)))
	clear(vec)
	clear(list)
	l.vec = vec
	if err != nil {
		return err
	}
	l.stats.frames.Add(uint64(end - start))
	l.stats.appendBytes.Add(uint64(written))
	if unsynced {
		l.out.file, l.out.every = l.file, appendOutBytes
		if err := l.out.wrote(int64(h.FrameOffset(start+1)), written); err != nil {
			return err
		}
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed != nil {
		return l.mu.failed
	}
	l.mu.appended, l.mu.sum = end, sum
	l.mu.nAppended += len(list)
	l.mu.pendingBytes -= bytes
	l.appendedEnd.Store(uint32(end))
	return nil
}

// startFrames returns the headers, without checksums, and the pages of the
// commits' frames, which follow frame start, and the size of the pages. REQUIRES
// leadership.
func (l *Log) startFrames(h *walformat.Header, list []*commit, start walformat.FrameNo) (vec [][]byte, bytes int64) {
	n := int(list[len(list)-1].end - start)
	if cap(l.heads) < n*walformat.FrameHeaderSize {
		l.heads = make([]byte, n*walformat.FrameHeaderSize)
	}
	vec, heads, f := l.vec[:0], l.heads[:n*walformat.FrameHeaderSize], start
	for _, c := range list {
		for i := range c.frames {
			f++
			size := uint32(0)
			if f == c.end {
				size = c.dbSize
			}
			head := heads[:walformat.FrameHeaderSize]
			heads = heads[walformat.FrameHeaderSize:]
			h.StartFrame(head, c.frames[i].Page, size)
			vec = append(vec, head, c.frames[i].Data)
		}
		bytes += c.bytes
	}
	return vec, bytes
}

// needsSyncLocked reports whether a commit at SyncFull up to self is not
// durable. REQUIRES mu.
func (l *Log) needsSyncLocked(self *commit) bool {
	for _, c := range l.mu.inflight[:l.mu.nAppended] {
		if c.level == SyncFull && c.end > l.mu.durable {
			return true
		}
		if c == self {
			break
		}
	}
	return false
}

// publishLocked publishes, in log order, what is durable, or appended and not
// at SyncFull, in one step, and finishes those commits. REQUIRES mu and
// leadership.
func (l *Log) publishLocked() {
	n := 0
	for n < l.mu.nAppended {
		if c := l.mu.inflight[n]; c.level == SyncFull && c.end > l.mu.durable {
			break
		}
		n++
	}
	if n == 0 {
		return
	}
	last := l.mu.inflight[n-1]
	l.co.Publish(func(s *coord.State) bool {
		s.Gen, s.Index = l.mu.gen, l.mu.idx
		s.MaxFrame, s.Sum = last.end, l.mu.idx.Sum(last.end)
		s.DBSize, s.Seq = last.dbSize, last.seq
		return true
	})
	l.stats.commits.Add(uint64(n))
	l.stats.groups.Add(1)
	l.stats.groupSizes.addSize(uint64(n))
	if l.subs.Load() != nil {
		l.emit(Event{Kind: EventCommit, Commits: n, Frames: last.end - l.mu.inflight[0].first + 1, Seq: last.seq, Generation: l.mu.gen})
	}
	for _, c := range l.mu.inflight[:n] {
		c.finish(nil)
	}
	l.mu.inflight = slices.Delete(l.mu.inflight, 0, n)
	l.mu.nAppended -= n
}

// handOverLocked gives the leadership to a waiting checkpoint, to a commit that
// is not covered, or up. The checkpoint comes first: it needs one round, while
// commits never end under load. REQUIRES mu and leadership.
func (l *Log) handOverLocked() {
	switch {
	case len(l.mu.leadWaiters) > 0:
		w := l.mu.leadWaiters[0]
		l.mu.leadWaiters = l.mu.leadWaiters[1:]
		w <- true
	case len(l.mu.inflight) > 0:
		l.mu.inflight[0].ready <- true
	default:
		l.mu.leading = false
	}
}

// takeLead waits for the leadership; it fails only if the log did.
func (l *Log) takeLead() error {
	l.mu.Lock()
	if err := l.mu.failed; err != nil {
		l.mu.Unlock()
		return err
	}
	if !l.mu.leading {
		l.mu.leading = true
		l.mu.Unlock()
		return nil
	}
	w := make(chan bool, 1)
	l.mu.leadWaiters = append(l.mu.leadWaiters, w)
	l.mu.Unlock()
	if <-w {
		return nil
	}
	return l.Failed()
}

// tryLead takes the leadership if nobody has it.
func (l *Log) tryLead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed != nil || l.mu.leading {
		return false
	}
	l.mu.leading = true
	return true
}

// dropLead hands the leadership on. REQUIRES leadership.
func (l *Log) dropLead() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed == nil {
		l.handOverLocked()
	}
}

// syncTo returns once the frames of generation gen up to f are durable, by
// leading a sync of its own or because one covered them.
func (l *Log) syncTo(gen coord.Generation, f walformat.FrameNo) error {
	if done, err := l.covered(gen, f); done || err != nil {
		return err
	}
	if err := l.takeLead(); err != nil {
		return err
	}
	if done, _ := l.covered(gen, f); done {
		l.dropLead()
		return nil
	}
	l.lead(nil, true)
	done, err := l.covered(gen, f)
	if err == nil && !done {
		err = fmt.Errorf("wal: a sync did not cover frame %d", f)
	}
	return err
}

// covered reports whether frame f of generation gen is durable: tickets of an
// older generation are, since a restart requires it.
func (l *Log) covered(gen coord.Generation, f walformat.FrameNo) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.gen > gen || l.mu.durable >= f {
		return true, nil
	}
	return false, l.mu.failed
}
