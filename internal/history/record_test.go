// What is recorded of a run: the events that the checks judge, and the lines
// that a reader of a failure sees.

package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/walnutdb/walnut"
)

// txRec is one transaction.
type txRec struct {
	id, actor int
	level     walnut.SyncLevel
	// base is the head that it read at its beginning, of a database of size
	// pages.
	base tag
	size uint32
	// made is the state that it commits, once it does, over its base; head is
	// its own tag.
	made writes
	head tag
	// repeated: another transaction did the same once more, with the same tags.
	repeated bool
	// epoch in which it was to commit.
	epoch int
}

// writes are what a transaction changes: pages set, in the end, and the size.
type writes struct {
	size uint32
	tags map[walnut.PageNo]tag
}

// over is the state with the changes.
func (w writes) over(s state) state {
	for p, t := range w.tags {
		s.tags[p] = t
	}
	s.size = w.size
	return s
}

// access is one page that a transaction read.
type access struct {
	page walnut.PageNo
	got  tag
	// own is what the transaction itself has put there, if isOwn.
	own   tag
	isOwn bool
}

type eventKind uint8

const (
	evNone       eventKind = iota // nothing to be checked
	evBegin                       // a transaction is asked for
	evBegun                       // and is there
	evSeen                        // it has read its head
	evRead                        // and another page
	evStale                       // it cannot write: ErrSnapshotStale
	evCommit                      // it is to commit
	evCommitted                   // and has
	evRefused                     // and has not
	evUnknown                     // or perhaps
	evEnded                       // it has ended without a commit, and without an error
	evFailed                      // with one
	evCheckpoint                  // a checkpoint is asked for
	evCopied                      // it has copied everything
	evPower                       // the power fails
	evKill                        // the process is killed
	evSyncFault                   // a sync will fail
	evReopen                      // the database is opened, which was open nowhere
	evAllClosed                   // the last connection was closed without an error
	evDetached                    // a page was read while a reader was detached
	evKinds                       // the number of kinds
)

var eventNames = [evKinds]string{"none", "transactions asked for", "transactions begun", "heads read", "pages read",
	"refused as stale", "commits", "committed", "commits refused", "commits unknown", "ended without a commit", "rollbacks with an error",
	"checkpoints", "checkpoints that copied all", "power failures", "kills", "failing syncs", "opened anew", "closed by all", "pages read beside detached readers"}

func (k eventKind) String() string { return eventNames[k] }

// event is something that happened, in a step. Events of one step may have
// happened at the same time, but an event that follows from another comes after
// it.
type event struct {
	kind eventKind
	step int
	tx   *txRec
	// writes: tx had the writer's place then.
	writes bool
	// id names a checkpoint.
	id int
	access
}

// line is something to be read.
type line struct {
	step, rank int
	text       string
}

// record has all of it. Only world writes to it, under its lock.
type record struct {
	events []event
	lines  []line
}

// String is the history, a line for each step, call, result and operation on the
// disk. What happened at the same time is in the order of the connections.
func (r *record) String() string {
	lines := slices.Clone(r.lines)
	slices.SortStableFunc(lines, func(a, b line) int {
		return cmp.Or(cmp.Compare(a.step, b.step), cmp.Compare(a.rank, b.rank))
	})
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%4d  %s\n", l.step, l.text)
	}
	return b.String()
}
