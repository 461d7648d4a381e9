// The world around a coordination: a log and a database file of a few pages, as
// small as they can be and still tell a wrong page from a right one, and what
// must hold of them at every instant.

package coordtest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

const numPages = 4

// contents are the pages of one committed state: each holds the number of the
// commit that wrote it last.
type contents [numPages]coord.CommitSeq

// frame is one frame of the log file.
type frame struct {
	gen  coord.Generation
	page walformat.PageNo
	seq  coord.CommitSeq
}

// view is what a reader holds.
type view struct {
	a    *actor
	mark coord.Mark
	st   *coord.State
	// r is its entry, if it has entered.
	r *coord.Reader
}

// world is one run of a scenario.
type world struct {
	t *testing.T
	// c is the coordination as the actors have it, inner without steps.
	c, inner coord.Coordinator

	actors  []*actor
	running *actor
	coarse  bool
	written writes
	// slots: see Backend.Slots. states are the published states so far.
	slots   func(coord.Coordinator) [coord.NumMarks]any
	states  []*coord.State
	failure string
	cut     bool

	// The files. What is beyond the appended frames is of older generations.
	log  []frame
	file contents
	// images are kept for detached readers; version is that of the file. Guarded
	// by the checkpoint lock.
	images  []image
	version coord.FileVersion

	// history has the pages as of each commit.
	history []contents
	// accepted is the newest accepted state, and index the one of its
	// generation. Guarded by the writer's place.
	accepted coord.Snapshot
	index    *coord.Index
	// appended frames are in the log file.
	appended walformat.FrameNo
	// told is the newest commit that the queue was told of, led the newest that
	// is published: the leadership goes to the next.
	told, led coord.CommitSeq

	// holder has the writer's place, locker the checkpoint lock.
	holder, locker *actor
	// kind is what the holder asked for.
	kind coord.RequestKind
	// queued are the requests in their order, for who is next.
	queued []*actor
	views  []view
	// unread are views whose newest frame is not appended yet.
	unread []view
	// last is what was published before, to see that it only ever grows.
	last coord.Snapshot
}

func newWorld(t *testing.T, b Backend) *world {
	w := &world{t: t, slots: b.Slots, index: coord.NewIndex(1, walformat.Checksum{}), history: make([]contents, 1)}
	w.accepted = coord.Snapshot{Gen: 1, DBSize: numPages}
	w.last = w.accepted
	var hook func(Access)
	if b.Steps {
		hook = w.hook
	}
	w.inner = b.New(t, coord.State{Snapshot: w.accepted, Index: w.index}, hook)
	w.c = stepped{w.inner, w, b.Steps}
	return w
}

func (w *world) failf(format string, args ...any) {
	if w.failure == "" {
		w.failure = fmt.Sprintf(format, args...)
	}
}

// next is the state after one more commit, of the pages in turn.
func (w *world) next() (coord.Snapshot, walformat.PageNo) {
	s := w.accepted
	s.MaxFrame++
	s.Seq++
	return s, walformat.PageNo(uint64(s.Seq-1)%numPages + 1)
}

// accept makes one more commit the base of the next. REQUIRES the place.
func (w *world) accept() coord.Snapshot {
	s, page := w.next()
	w.index.Add(page, s.MaxFrame)
	pages := w.history[s.Seq-1]
	pages[page-1] = s.Seq
	w.history = append(w.history, pages)
	w.accepted = s
	return s
}

// append writes the frames up to that of s.
func (w *world) append(s coord.Snapshot, page walformat.PageNo) {
	for len(w.log) < int(s.MaxFrame) {
		w.log = append(w.log, frame{})
	}
	w.log[s.MaxFrame-1] = frame{s.Gen, page, s.Seq}
	w.appended = s.MaxFrame
}

// publish makes a commit visible.
func publish(c coord.Coordinator, s coord.Snapshot) {
	c.Publish(func(p *coord.State) bool {
		p.MaxFrame, p.Seq, p.DBSize = s.MaxFrame, s.Seq, s.DBSize
		return true
	})
}

// commit is a whole commit of the setup.
func (w *world) commit() {
	_, page := w.next()
	s := w.accept()
	w.inner.Accepted(s.Seq)
	w.append(s, page)
	publish(w.inner, s)
	w.told, w.led = s.Seq, s.Seq
	w.last = w.inner.Published().Snapshot
}

// backfill copies everything, for the setup.
func (w *world) backfill() {
	w.file = w.history[w.accepted.Seq]
	w.inner.Publish(func(p *coord.State) bool { p.NBackfill = p.MaxFrame; return true })
	w.last = w.inner.Published().Snapshot
}

// hold takes a read mark for the whole run, in the setup, and makes the end of
// the run give it back.
func (w *world) hold() {
	m, st := w.inner.BeginRead()
	w.views = append(w.views, view{nil, m, st, nil})
}

// stay is hold for a reader that is known, and may be detached.
func (w *world) stay() {
	w.hold()
	v := &w.views[len(w.views)-1]
	v.r = new(coord.Reader)
	w.inner.Enter(v.r, v.mark, v.st, coord.Who{Label: "an old reader"}, 0)
}

// see reads page n as of a snapshot, as the log and the file are now.
func (w *world) see(v view, n walformat.PageNo) (coord.CommitSeq, string) {
	if v.r != nil && v.r.IsDetached() {
		f, _ := v.r.Detached()
		if seq, ok := w.image(f, n); ok {
			return seq, "an image"
		}
		return w.file[n-1], "the database file, detached"
	}
	if v.mark.InFile() {
		return w.file[n-1], "database file"
	}
	f := v.st.Index.Lookup(n, v.st.MaxFrame)
	if f == 0 {
		return w.file[n-1], "database file"
	}
	fr := frame{}
	if int(f) <= len(w.log) {
		fr = w.log[f-1]
	}
	if fr.gen != v.st.Gen || fr.page != n {
		return 0, fmt.Sprintf("frame %d, which is %+v", f, fr)
	}
	return fr.seq, fmt.Sprintf("frame %d", f)
}

// check is what holds at every instant.
func (w *world) check() {
	p := w.inner.Published().Snapshot
	switch {
	case p.Seq < w.last.Seq:
		w.failf("commit %d is taken back: published %+v after %+v", w.last.Seq, p, w.last)
	case p.Gen < w.last.Gen:
		w.failf("generation %d after %d", p.Gen, w.last.Gen)
	case p.Gen == w.last.Gen && p.NBackfill < w.last.NBackfill:
		w.failf("nBackfill %d after %d", p.NBackfill, w.last.NBackfill)
	case p.NBackfill > p.MaxFrame:
		w.failf("nBackfill %d > published %d", p.NBackfill, p.MaxFrame)
	case p.Gen == w.accepted.Gen && (p.MaxFrame > w.appended || w.appended > w.accepted.MaxFrame):
		w.failf("published %d <= appended %d <= accepted %d is broken", p.MaxFrame, w.appended, w.accepted.MaxFrame)
	}
	w.last = p
	for _, v := range w.views {
		if slices.Contains(w.unread, v) {
			continue
		}
		for n := walformat.PageNo(1); n <= numPages; n++ {
			if got, where := w.see(v, n); got != w.history[v.st.Seq][n-1] {
				w.failf("the snapshot of %s (commit %d, slot %d) has changed: page %d is of commit %d in %s, and was of %d",
					v.name(), v.st.Seq, v.mark, n, got, where, w.history[v.st.Seq][n-1])
			}
		}
	}
}

func (v view) name() string {
	if v.a == nil {
		return "an old reader"
	}
	return v.a.name
}

// checkEnd is what holds when everybody has ended: nothing is left behind.
func (w *world) checkEnd() {
	for _, v := range w.views {
		if v.a != nil {
			w.failf("%s still reads", v.a.name)
		}
		if v.r != nil {
			w.inner.Leave(v.r)
		} else {
			w.inner.EndRead(v.mark)
		}
	}
	if n := len(w.inner.ListReaders()) + len(w.inner.Detached()); n != 0 {
		w.failf("%d readers are left", n)
	}
	if f, l := w.inner.Readers(); f != 0 || l != 0 {
		w.failf("%d marks in slot 0 and %d in the others are left", f, l)
	}
	if n := w.inner.Queued(); n != 0 {
		w.failf("%d requests are left in the queue", n)
	}
	if r, err := w.inner.RequestWriter(coord.WriteRequest, 0, nil); r != nil || err != nil {
		w.failf("the writer's place is left (%v)", err)
	}
	if !w.inner.TryLockCheckpoint() {
		w.failf("the checkpoint lock is left")
	}
	if !w.inner.ClaimMarks() {
		w.failf("a claim of the marks is left")
	}
	if p := w.inner.Published(); p.Seq != w.accepted.Seq || p.MaxFrame != w.accepted.MaxFrame || p.Gen != w.accepted.Gen {
		w.failf("accepted %+v is not published %+v", w.accepted, p.Snapshot)
	}
}
