// What the actors do: the protocol of DESIGN sections 3 to 5 as the log follows
// it, step by step.

package coordtest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// stepped makes a step of each call that the backend does not divide itself.
type stepped struct {
	coord.Coordinator
	w *world
	// divided: the backend divides the calls that use the marks.
	divided bool
}

func (s stepped) Published() *coord.State {
	a, past := s.w.running, s.w.running.past
	a.step("loads the published state", onPublished, 0)
	st := s.Coordinator.Published()
	a.returned(past, s.w.stateIndex(st))
	return st
}

func (s stepped) Publish(update func(*coord.State) bool) bool {
	s.w.running.step("publishes", 0, onPublished)
	return s.Coordinator.Publish(update)
}

// calling names the call that the backend's steps belong to, and returns the
// actor's past at its beginning.
func (s stepped) calling(name string) (*actor, uint64) {
	a, past := s.w.running, s.w.running.past
	a.doing = name
	a.attempt()
	if !s.divided {
		a.step("calls "+name, onPublished|onLog|1, onLog|1)
	}
	return a, past
}

func (s stepped) BeginRead() (coord.Mark, *coord.State) {
	a, past := s.calling("BeginRead")
	m, st := s.Coordinator.BeginRead()
	a.returned(past, m, s.w.stateIndex(st))
	return m, st
}

func (s stepped) Pin(max walformat.FrameNo) coord.Mark {
	a, past := s.calling(fmt.Sprintf("Pin(%d)", max))
	m := s.Coordinator.Pin(max)
	a.returned(past, m)
	return m
}

func (s stepped) EndRead(m coord.Mark) {
	a, past := s.calling("EndRead")
	s.Coordinator.EndRead(m)
	a.returned(past)
}

func (s stepped) SafeFrame(t walformat.FrameNo) (walformat.FrameNo, bool) {
	a, past := s.calling(fmt.Sprintf("SafeFrame(%d)", t))
	f, ok := s.Coordinator.SafeFrame(t)
	a.returned(past, f, ok)
	return f, ok
}

func (s stepped) ClaimMarks() bool {
	a, past := s.calling("ClaimMarks")
	ok := s.Coordinator.ClaimMarks()
	a.returned(past, ok)
	return ok
}

func (s stepped) ReleaseMarks() {
	a, past := s.calling("ReleaseMarks")
	s.Coordinator.ReleaseMarks()
	a.returned(past)
}

// beginRead takes a mark; from then on check looks at what it protects.
func (a *actor) beginRead() view {
	m, st := a.w.c.BeginRead()
	if m.InFile() && st.MaxFrame != st.NBackfill {
		a.w.failf("%s: slot 0 for a snapshot that is not in the file: %+v", a.name, st.Snapshot)
	}
	return a.hold(m, st)
}

func (a *actor) hold(m coord.Mark, st *coord.State) view {
	v := view{a, m, st, nil}
	a.w.views = append(a.w.views, v)
	return v
}

func (a *actor) endRead(v view) {
	a.step("has read", 0, 0)
	a.w.views = slices.DeleteFunc(a.w.views, func(x view) bool { return x == v })
	a.w.c.EndRead(v.mark)
}

// reader reads one snapshot.
func reader(a *actor) {
	v := a.beginRead()
	a.endRead(v)
}

// leaver ends the reads that the setup began, at one moment.
func leaver(a *actor) {
	a.step("old readers leave", 0, onLog|1)
	a.w.running = nil // these calls take no steps
	defer func() { a.w.running = a }()
	for _, v := range slices.Clone(a.w.views) {
		if v.a == nil {
			a.w.views = slices.DeleteFunc(a.w.views, func(x view) bool { return x == v })
			a.w.inner.EndRead(v.mark)
		}
	}
}

// place asks for the writer's place and waits for it; false if it was refused.
func (a *actor) place(kind coord.RequestKind, base coord.CommitSeq) bool {
	r := a.ask(kind, base)
	return r.granted || r.req != nil && a.take(r)
}

// ticket is what came of asking for the writer's place.
type ticket struct {
	req     *coord.Request
	kind    coord.RequestKind
	base    coord.CommitSeq
	granted bool
}

// ask is the first step of place.
func (a *actor) ask(kind coord.RequestKind, base coord.CommitSeq) ticket {
	w, past := a.w, a.past
	a.step("asks for the writer's place", onQueue, onQueue)
	maintained := w.holder != nil && w.kind == coord.MaintenanceRequest
	for _, q := range w.queued {
		maintained = maintained || q.asked == coord.MaintenanceRequest
	}
	req, err := w.c.RequestWriter(kind, base, nil)
	a.returned(past, req != nil, err != nil)
	t := ticket{req: req, kind: kind, base: base}
	switch {
	case kind == coord.UpgradeRequest && base != w.told:
		if !errors.Is(err, coord.ErrSnapshotStale) {
			w.failf("%s asks for an upgrade of commit %d when %d is accepted, and gets %v", a.name, base, w.told, err)
		}
	case kind == coord.UpgradeRequest && maintained:
		if !errors.Is(err, coord.ErrBusy) {
			w.failf("%s asks for an upgrade beside one who waits for readers, and gets %v", a.name, err)
		}
	case err != nil:
		w.failf("%s: %v", a.name, err)
	case req == nil:
		if w.holder != nil {
			w.failf("%s has the writer's place at once, and %s has it too", a.name, w.holder.name)
		}
		t.granted = true
		w.holder, w.kind = a, kind
	default:
		if w.holder == nil {
			w.failf("%s waits for a place that nobody has", a.name)
		}
		a.asked = kind
		w.queued = append(w.queued, a)
	}
	return t
}

// take receives the answer.
func (a *actor) take(t ticket) bool {
	w, past := a.w, a.past
	a.await("looks for its answer", onQueue, onQueue, func() bool { return len(t.req.Answer()) > 0 })
	err := <-t.req.Answer()
	a.returned(past, err == nil)
	switch {
	case err == nil && t.kind == coord.UpgradeRequest && t.base != w.accepted.Seq:
		w.failf("%s is granted an upgrade of commit %d when %d is accepted", a.name, t.base, w.accepted.Seq)
	case err == nil:
		if w.holder != a {
			w.failf("%s is granted the place, and it is not its turn", a.name)
		}
		return true
	case !errors.Is(err, coord.ErrSnapshotStale) || t.kind != coord.UpgradeRequest || t.base == w.accepted.Seq:
		w.failf("%s is refused: %v", a.name, err)
	}
	return false
}

// passOn is what the world expects after a release: the first in the queue has
// the place.
func (w *world) passOn() {
	w.holder = nil
	if len(w.queued) > 0 {
		w.holder, w.kind = w.queued[0], w.queued[0].asked
		w.queued = w.queued[1:]
	}
}

// giveUp releases the place.
func (a *actor) giveUp() {
	past := a.past
	a.step("releases the writer's place", onQueue, onQueue)
	a.returned(past)
	a.w.passOn()
	a.w.c.ReleaseWriter()
	a.w.checkAnswers()
}

// checkAnswers: those still in the queue have no answer, and its first who has
// the place now has one.
func (w *world) checkAnswers() {
	if n := w.inner.Queued(); n != len(w.queued) {
		w.failf("%d requests wait, and there should be %d", n, len(w.queued))
	}
}

// leave cancels a request at any moment: before it is granted, or after.
func (a *actor) leave(t ticket) {
	past := a.past
	a.step("cancels its request", onQueue, onQueue)
	a.returned(past)
	w := a.w
	waits := slices.Contains(w.queued, a)
	if waits {
		w.queued = slices.DeleteFunc(w.queued, func(x *actor) bool { return x == a })
	} else if w.holder == a {
		w.passOn()
	}
	t.req.Cancel()
	w.checkAnswers()
}

// commitOne accepts, passes the place on, appends, and publishes in order.
// REQUIRES the place, which is given up. pin keeps a mark for the commit.
func (a *actor) commitOne(pin bool) *view {
	w := a.w
	past := a.past
	a.step("accepts", onQueue|onDisk, onQueue|onDisk)
	_, page := w.next()
	s := w.accept()
	a.returned(past, s.Seq)
	// Before Accepted, so that no one could have built on it.
	var v *view
	if pin {
		m := w.c.Pin(s.MaxFrame)
		x := a.hold(m, &coord.State{Snapshot: s, Index: w.index})
		v = &x
		w.unread = append(w.unread, x) // its frame is not in the file yet
	}
	a.step("tells the queue", 0, onQueue)
	w.queued = slices.DeleteFunc(w.queued, func(x *actor) bool { return x.asked == coord.UpgradeRequest })
	w.told = s.Seq
	w.c.Accepted(s.Seq)
	w.checkAnswers()
	a.giveUp()
	past = a.past
	a.await("appends", onDisk|onLead, onDisk, func() bool { return w.led == s.Seq-1 })
	a.returned(past)
	w.append(s, page)
	w.unread = slices.DeleteFunc(w.unread, func(x view) bool { return v != nil && x == *v })
	publish(w.c, s)
	a.step("hands the leadership over", 0, onLead)
	w.led = s.Seq
	return v
}

// writer commits once; before that it restarts the log if it can.
func writer(a *actor) {
	if a.place(coord.WriteRequest, 0) {
		a.autoRestart()
		a.commitOne(false)
	}
}

// committer commits once, on the generation that is there.
func committer(a *actor) {
	if a.place(coord.WriteRequest, 0) {
		a.commitOne(false)
	}
}

// keeper commits, and keeps the snapshot of its commit.
func keeper(a *actor) {
	if a.place(coord.WriteRequest, 0) {
		v := a.commitOne(true)
		a.step("reads its own commit", onDisk, 0)
		a.endRead(*v)
	}
}

// impatient asks for the place, and leaves at any moment.
func impatient(a *actor) {
	switch t := a.ask(coord.WriteRequest, 0); {
	case t.granted:
		a.giveUp()
	case t.req != nil:
		a.leave(t)
	}
}

// impatientUpgrade is impatient, as a reader.
func impatientUpgrade(a *actor) {
	v := a.beginRead()
	switch t := a.ask(coord.UpgradeRequest, v.st.Seq); {
	case t.granted:
		a.giveUp()
	case t.req != nil:
		a.leave(t)
	}
	a.endRead(v)
}

// upgrader reads, and then commits on what it has read.
func upgrader(a *actor) {
	v := a.beginRead()
	if a.place(coord.UpgradeRequest, v.st.Seq) {
		a.commitOne(false)
	}
	a.endRead(v)
}

// abandoner takes the place and commits nothing.
func abandoner(a *actor) {
	if a.place(coord.WriteRequest, 0) {
		a.giveUp()
	}
}

func (a *actor) lock() {
	past := a.past
	a.await("locks the checkpoint", onCheckpoint, onCheckpoint, func() bool { return a.w.locker == nil })
	a.returned(past)
	if !a.w.c.TryLockCheckpoint() {
		a.w.failf("%s does not get the checkpoint lock, which is free", a.name)
	}
	a.w.locker = a
}

func (a *actor) tryLock() bool {
	past := a.past
	a.step("tries the checkpoint lock", onCheckpoint, onCheckpoint)
	ok := a.w.c.TryLockCheckpoint()
	a.returned(past, ok)
	if ok != (a.w.locker == nil) {
		a.w.failf("%s: trying the checkpoint lock gives %v", a.name, ok)
	}
	if ok {
		a.w.locker = a
	}
	return ok
}

func (a *actor) unlock() {
	a.step("unlocks the checkpoint", 0, onCheckpoint)
	a.w.locker = nil
	a.w.c.UnlockCheckpoint()
}

// copyFrames backfills what it may; done if that was everything published.
// REQUIRES the checkpoint lock.
func (a *actor) copyFrames() (done bool) {
	w := a.w
	t := w.c.Published()
	if t.MaxFrame == t.NBackfill {
		return true
	}
	safe, ok := w.c.SafeFrame(t.MaxFrame)
	if !ok {
		return false
	}
	if readers := w.c.Detached(); len(readers) > 0 && safe > t.NBackfill {
		a.step("saves images", onRegistry|onDisk, onRegistry)
		for n := walformat.PageNo(1); n <= numPages; n++ {
			if t.Index.Lookup(n, safe) > t.NBackfill {
				w.saveImages(readers, n)
			}
		}
	}
	for n := walformat.PageNo(1); n <= numPages; n++ {
		if f := t.Index.Lookup(n, safe); f > t.NBackfill {
			past := a.past
			a.step(fmt.Sprintf("copies frame %d to page %d", f, n), onDisk, onDisk)
			a.returned(past)
			w.file[n-1] = w.log[f-1].seq
			if a.fails {
				return false
			}
		}
	}
	if safe > t.NBackfill {
		w.c.Publish(func(s *coord.State) bool {
			if s.Gen != t.Gen || s.NBackfill >= safe {
				w.failf("%s: another checkpoint was at work", a.name)
				return false
			}
			s.NBackfill = safe
			return true
		})
		a.step("counts the file's version", 0, onRegistry)
		w.version++
	}
	return safe == t.MaxFrame
}

// passive is a PASSIVE checkpoint.
func passive(a *actor) {
	if a.tryLock() {
		a.copyFrames()
		a.unlock()
	}
}

// restart begins a new generation, if nobody needs this one. REQUIRES the
// checkpoint lock and the place.
func (a *actor) restart() bool {
	w := a.w
	st := w.c.Published()
	if st.MaxFrame == 0 || st.MaxFrame != st.NBackfill || st.Gen != w.accepted.Gen || st.MaxFrame != w.accepted.MaxFrame {
		return false
	}
	if !w.c.ClaimMarks() {
		return false
	}
	past := a.past
	a.step("writes the new header", onDisk|onLead, onDisk|onLead)
	a.returned(past)
	w.index = w.index.Next(st.Gen+1, walformat.Checksum{})
	w.accepted.Gen, w.accepted.MaxFrame, w.appended = st.Gen+1, 0, 0
	clear(w.log) // the old frames do not verify under it
	w.c.Publish(func(s *coord.State) bool {
		s.Gen, s.Index, s.MaxFrame, s.NBackfill = w.accepted.Gen, w.index, 0, 0
		return true
	})
	w.c.ReleaseMarks()
	return true
}

// autoRestart is what a writer tries before it begins.
func (a *actor) autoRestart() {
	if a.tryLock() {
		a.restart()
		a.unlock()
	}
}

// circle backfills, restarts and commits until the log has as many frames as
// before: all but nBackfill and the generation is what it was.
func circle(a *actor) {
	if a.place(coord.WriteRequest, 0) {
		if a.tryLock() {
			if a.copyFrames() {
				a.restart()
			}
			a.unlock()
		}
		a.commitOne(false)
	}
}

// restarter is an automatic restart and no commit.
func restarter(a *actor) {
	if a.place(coord.WriteRequest, 0) {
		a.autoRestart()
		a.giveUp()
	}
}

// truncator is a RESTART or TRUNCATE: it waits, with the place, until
// everything is published and backfilled and no reader needs the log.
func truncator(a *actor) {
	a.lock()
	if a.place(coord.MaintenanceRequest, 0) {
		w := a.w
		a.await("waits for publication", onLead, 0, func() bool { return w.led == w.accepted.Seq })
		for past := a.past; ; {
			a.past = past
			if a.copyFrames() && (a.restart() || w.accepted.MaxFrame == 0) {
				break
			}
			a.retry("waits for readers", onLog|1)
		}
		a.giveUp()
	}
	a.unlock()
}

// full is a FULL checkpoint: it does not restart.
func full(a *actor) {
	a.lock()
	if a.place(coord.MaintenanceRequest, 0) {
		w := a.w
		a.await("waits for publication", onLead, 0, func() bool { return w.led == w.accepted.Seq })
		for past := a.past; !a.copyFrames(); a.past = past {
			a.retry("waits for readers", onLog|1)
		}
		a.giveUp()
	}
	a.unlock()
}
