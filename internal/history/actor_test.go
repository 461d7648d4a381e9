// A connection: what it holds, and how it waits for its turn.
//
// A connection is a goroutine that does one command after another, as world
// says. It stops before each call of the engine and each operation on the disk,
// until it is told to go on; so at any time at most one of them does something,
// and those that it has woken, each up to its own next stop.

package history

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
)

// actor is a connection, or a goroutine of the engine's that sees a commit
// through whose caller has given up.
type actor struct {
	w    *world
	id   int
	name string
	do   chan func()
	turn chan struct{}

	// Guarded by w.mu: at is what it stops before, "" if it runs, waits for
	// others, or is free; free is for connections only. beforeSync and inSync:
	// see world.ready.
	at                 string
	free               bool
	beforeSync, inSync bool

	// What follows is the connection's own, and world's while it is free.
	db   *walnut.DB
	tx   *walnut.Tx
	snap *walnut.Snapshot
	rec  *txRec
	// opening and closing: it is inside walnut.Open, or DB.Close. locked: it has
	// come to the locks of the database file.
	opening, closing, locked bool
	ctx                      context.Context
	cancel                   context.CancelFunc
	cancelled                bool

	// writing: the transaction has the writer's place. stuck: it can only read
	// on, or only be rolled back.
	deferred, writing, stuck bool
	own                      map[walnut.PageNo]tag
	size                     uint32
	saves                    []saved
	tags                     int
	// repeats is a transaction that is done once more.
	repeats *txRec
}

// saved is the model of a savepoint.
type saved struct {
	own  map[walnut.PageNo]tag
	size uint32
}

// loop does what it is told. A panic of the engine is a failure of the history.
func (a *actor) loop() {
	a.w.mu.Lock()
	a.w.byID[goID()] = a
	a.w.mu.Unlock()
	for f := range a.do {
		func() {
			defer func() {
				if x := recover(); x != nil {
					a.w.fail("%s: panic: %v\n%s", a.name, x, debug.Stack())
				}
			}()
			f()
		}()
		a.w.mu.Lock()
		a.free, a.opening, a.closing = true, false, false
		a.w.mu.Unlock()
	}
}

// stop waits for the actor's turn, before what at says.
func (a *actor) stop(at string, beforeSync, inSync bool) {
	w := a.w
	w.mu.Lock()
	if w.dying {
		w.mu.Unlock()
		return
	}
	a.at, a.beforeSync, a.inSync = at, beforeSync, inSync
	w.mu.Unlock()
	<-a.turn
}

// call is one call of the engine: it stops before it, and records it and its
// result. It returns fn's error, after it was found to have a cause.
func (a *actor) call(what string, before event, fn func() (result string, err error)) error {
	a.stop(what, false, false)
	a.w.note(a, before, "%s", what)
	result, err := fn()
	if err != nil {
		result = shorten(err)
	}
	a.w.note(a, event{}, "    %s: %s", what, result)
	if err != nil && !a.excused(err) {
		a.w.fail("%s: %s: an error without a cause: %v", a.name, what, err)
	}
	return err
}

// excused reports whether something in the history is the cause of an error.
func (a *actor) excused(err error) bool {
	w := a.w
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.dying:
		return true
	case errors.Is(err, walnut.ErrBusy):
		return true
	case errors.Is(err, walnut.ErrSnapshotStale):
		return a.deferred
	case errors.Is(err, context.Canceled):
		return a.cancelled
	case errors.Is(err, walnut.ErrLogFailed), errors.Is(err, walnut.ErrCommitUnknown):
		w.poisoned = w.faulty
		return w.faulty
	}
	return w.faulty && (errors.Is(err, faultdisk.ErrInjected) || errors.Is(err, faultdisk.ErrCrashed) || errors.Is(err, disk.ErrNoSpace))
}

// shorten makes one line of an error.
func shorten(err error) string {
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

// goID is the number of this goroutine.
func goID() (id uint64) {
	var b [64]byte
	_, _ = fmt.Sscanf(string(b[:runtime.Stack(b[:], false)]), "goroutine %d ", &id)
	return id
}

// below reports whether one of the functions, methods of the log, is among the
// callers.
func below(names ...string) bool {
	var pcs [48]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		f, more := frames.Next()
		for _, name := range names {
			if strings.HasSuffix(f.Function, "internal/wal.(*Log)."+name) {
				return true
			}
		}
		if !more {
			return false
		}
	}
}

// prepare gives the connection a context for its next command.
func (a *actor) prepare() {
	if a.cancel != nil {
		a.cancel()
	}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.cancelled = false
}
