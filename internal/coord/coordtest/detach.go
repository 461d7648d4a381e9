// Detached readers (DESIGN section 5): who stays is detached, and reads the
// database file with the images that a checkpoint saves before it overwrites a
// page. The actors follow the log and the pager, step by step.

package coordtest

import (
	"fmt"
	"slices"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// image is a page of the database file before it was overwritten.
type image struct {
	page    walformat.PageNo
	version coord.FileVersion
	seq     coord.CommitSeq
}

func (s stepped) Enter(r *coord.Reader, m coord.Mark, st *coord.State, who coord.Who, began coord.Moment) {
	s.w.running.step("enters", 0, onRegistry)
	s.Coordinator.Enter(r, m, st, who, began)
}

func (s stepped) Leave(r *coord.Reader) bool {
	a, past := s.calling("Leave")
	a.step("leaves", onRegistry, onRegistry)
	detached := s.Coordinator.Leave(r)
	a.returned(past)
	return detached
}

func (s stepped) Detached() []coord.DetachedReader {
	a, past := s.w.running, s.w.running.past
	a.step("asks who is detached", onRegistry, 0)
	list := s.Coordinator.Detached()
	a.returned(past, list)
	return list
}

func (s stepped) Detach(v coord.FileVersion, want func(coord.ReaderInfo) bool) []coord.ReaderInfo {
	a, past := s.calling("Detach")
	a.step("detaches", onRegistry|onPublished, onRegistry)
	list := s.Coordinator.Detach(v, want)
	a.returned(past, len(list))
	return list
}

func (s stepped) RaiseMarks() {
	a, past := s.calling("RaiseMarks")
	a.step("looks for low marks", onRegistry|onLog, onRegistry)
	s.Coordinator.RaiseMarks()
	a.returned(past)
}

// registered describes the readers that have entered, for the state of a run.
func (w *world) registered() any {
	var list []string
	for _, r := range w.inner.ListReaders() {
		list = append(list, fmt.Sprint(r.Who.Label, r.Mark, r.Detached, r.File))
	}
	slices.Sort(list)
	return []any{list, w.images, w.version}
}

// image is what a reader of that version of the file finds of page n.
func (w *world) image(v coord.FileVersion, n walformat.PageNo) (coord.CommitSeq, bool) {
	for _, i := range w.images { // in order of their versions
		if i.page == n && i.version >= v {
			return i.seq, true
		}
	}
	return 0, false
}

// saveImages saves page n if a detached reader would find no image of it.
func (w *world) saveImages(readers []coord.DetachedReader, n walformat.PageNo) {
	var newest coord.FileVersion
	for _, r := range readers {
		newest = max(newest, r.File)
	}
	if _, ok := w.image(newest, n); !ok {
		w.images = append(w.images, image{n, w.version, w.file[n-1]})
	}
}

// enter makes a view known.
func (a *actor) enter(v view) view {
	v.r = new(coord.Reader)
	a.w.c.Enter(v.r, v.mark, v.st, coord.Who{Label: a.name}, 0)
	for i := range a.w.views {
		if a.w.views[i].a == a && a.w.views[i].mark == v.mark && a.w.views[i].r == nil {
			a.w.views[i] = v
		}
	}
	return v
}

// fetcher reads two pages as the pager does, while it may be detached at any
// moment; secondPage only one.
func fetcher(a *actor) { a.fetchAll(1, 2) }

func secondPage(a *actor) { a.fetchAll(2) }

func (a *actor) fetchAll(pages ...walformat.PageNo) {
	v := a.enter(a.beginRead())
	for _, n := range pages {
		a.fetch(v, n)
	}
	a.w.views = slices.DeleteFunc(a.w.views, func(x view) bool { return x == v })
	a.w.c.Leave(v.r)
}

func (a *actor) fetch(v view, n walformat.PageNo) {
	w, past := a.w, a.past
	a.step(fmt.Sprintf("looks whether it is detached, for page %d", n), onRegistry, 0)
	if f, ok := v.r.Detached(); ok {
		a.returned(past, f)
		a.fetchDetached(v, f, n)
		return
	}
	a.step("reads the page", onDisk, 0)
	got, where := w.see(view{a, v.mark, v.st, nil}, n)
	a.step("looks whether it was detached", onRegistry, 0)
	if f, ok := v.r.Detached(); ok {
		a.returned(past, f)
		a.fetchDetached(v, f, n)
		return
	}
	a.returned(past)
	w.compare(v, n, got, where)
}

func (a *actor) fetchDetached(v view, f coord.FileVersion, n walformat.PageNo) {
	w, past := a.w, a.past
	a.step("looks for an image", onRegistry, 0)
	got, ok := w.image(f, n)
	where := "an image"
	if !ok {
		a.step("reads the file", onDisk, 0)
		got, where = w.file[n-1], "the file"
		a.step("looks for an image again", onRegistry, 0)
		if i, ok := w.image(f, n); ok {
			got, where = i, "an image, after all"
		}
	}
	a.returned(past)
	w.compare(v, n, got, where)
}

func (w *world) compare(v view, n walformat.PageNo, got coord.CommitSeq, where string) {
	if want := w.history[v.st.Seq][n-1]; got != want {
		w.failf("%s (commit %d) reads page %d of commit %d in %s; it was of %d", v.name(), v.st.Seq, n, got, where, want)
	}
}

// holder is a writer that finds the log at its limit: it copies, detaches whoever
// reads the file as it is, copies on, begins the log anew if it may, and commits.
func holder(a *actor) {
	if !a.place(coord.WriteRequest, 0) {
		return
	}
	a.await("waits for publication", onLead, 0, func() bool { return a.w.led == a.w.accepted.Seq })
	if a.tryLock() {
		a.w.c.RaiseMarks()
		for range 3 {
			if a.copyFrames() {
				a.restart()
			}
			if len(a.w.c.Detach(a.w.version, func(coord.ReaderInfo) bool { return true })) == 0 {
				break
			}
		}
		a.unlock()
	}
	a.commitOne(false)
}

// failing is a checkpoint that fails after its first page.
func failing(a *actor) {
	if a.tryLock() {
		a.fails = true
		a.copyFrames()
		a.unlock()
	}
}
