// What a connection can be told to do.

package history

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/walnutdb/walnut"
)

// command is one of the things that a connection can do next.
type command struct {
	name string
	run  func(a *actor, arg byte)
}

// list of commands, each as often as it is to come among the others.
type weighted []command

func (l *weighted) add(n int, name string, run func(a *actor, arg byte)) {
	for range n {
		*l = append(*l, command{name, run})
	}
}

// commands are what a free connection can do. The first is the simplest.
func (a *actor) commands() (l weighted) {
	w := a.w
	switch {
	case a.db == nil && w.mayOpen():
		l.add(1, "open", (*actor).open)
	case a.db == nil:
	case a.tx == nil && a.snap == nil:
		l.add(3, "view", (*actor).view)
		if w.mayClose() {
			l.add(1, "close", func(a *actor, _ byte) { a.close() })
			if w.poisoned {
				l.add(6, "close", func(a *actor, _ byte) { a.close() })
				return l
			}
		}
		l.add(6, "update", (*actor).update)
		l.add(2, "repeat", (*actor).repeat)
		l.add(2, "begin to read", (*actor).beginRead)
		l.add(1, "snapshot", (*actor).snapshot)
		l.add(2, "begin to write", (*actor).beginWrite)
		l.add(3, "begin deferred", (*actor).beginDeferred)
		l.add(4, "checkpoint", (*actor).checkpoint)
		l.add(1, "backup", (*actor).backup)
	case a.writing:
		l.add(2, "roll back", func(a *actor, _ byte) { a.end() })
		if a.stuck {
			return l
		}
		l.add(6, "commit", func(a *actor, _ byte) { a.commit() })
		l.add(6, "write", (*actor).write)
		l.add(2, "read", (*actor).read)
		l.add(2, "savepoint", (*actor).savepoint)
		if len(a.saves) > 0 {
			l.add(3, "roll back to", (*actor).rollbackTo)
			l.add(1, "release", (*actor).release)
		}
		l.add(1, "resize", (*actor).resize)
	default:
		l.add(2, "end", func(a *actor, _ byte) { a.end() })
		l.add(2, "read", (*actor).read)
		l.add(1, "read all", func(a *actor, _ byte) { a.readAll() })
		if a.deferred && !a.stuck {
			l.add(5, "upgrade", (*actor).upgrade)
		}
	}
	return l
}

const dbPath = "/data/app.db"

func (a *actor) open(byte) {
	a.opening, a.locked = true, false
	_ = a.call("open", event{}, func() (string, error) {
		db, err := walnut.Open(dbPath, a.w.options(a))
		if err == nil {
			a.db = db
		}
		return "ok", err
	})
	a.opening = false
	if a.db != nil {
		a.view(0)
	}
}

func (a *actor) close() {
	a.closing = true
	err := a.call("close", event{}, func() (string, error) { return "ok", a.db.Close() })
	if err == nil || !errors.Is(err, walnut.ErrTxOpen) {
		a.db = nil
	}
	if err == nil {
		a.w.closed(a)
	}
}

// begin begins a transaction of any kind, and reads its head.
func (a *actor) begin(what string, level walnut.SyncLevel, writes bool, fn func() error) bool {
	a.stop("begin", false, false) // numbers are given in order
	a.w.mu.Lock()
	a.w.txs++
	a.rec = &txRec{id: a.w.txs, actor: a.id, level: level}
	a.w.mu.Unlock()
	what = fmt.Sprintf("%s t%d", what, a.rec.id)
	a.deferred, a.stuck, a.writing, a.own, a.saves, a.tags, a.repeats = false, false, writes, nil, nil, 0, nil
	err := a.call(what, event{kind: evBegin, tx: a.rec}, func() (string, error) { return "ok", fn() })
	if err != nil {
		a.rec, a.tx, a.snap, a.writing = nil, nil, nil, false
		return false
	}
	a.w.note(a, event{kind: evBegun, tx: a.rec}, "")
	a.size = a.pageCount()
	a.rec.size = a.size
	if a.size >= headPage {
		p, err := a.page(headPage)
		if err != nil {
			a.end()
			return false
		}
		a.rec.base = tagOf(p, headPage)
	}
	a.w.note(a, event{kind: evSeen, tx: a.rec, writes: writes}, "    t%d is on version %v of %d pages", a.rec.id, a.rec.base, a.size)
	return true
}

func (a *actor) pageCount() uint32 {
	if a.snap != nil {
		return a.snap.PageCount()
	}
	return a.tx.PageCount()
}

// page reads a page of the transaction that is open.
func (a *actor) page(n walnut.PageNo) (p []byte, err error) {
	err = a.call(fmt.Sprintf("read page %d", n), event{}, func() (string, error) {
		if a.snap != nil {
			p, err = a.snap.Page(n)
		} else {
			p, err = a.tx.Page(n)
		}
		if err != nil {
			return "", err
		}
		return tagOf(p, n).String(), nil
	})
	return p, err
}

// look reads a page and records what it is.
func (a *actor) look(n walnut.PageNo) error {
	if got := a.pageCount(); got != a.size {
		a.w.fail("%s: the transaction has %d pages, and should have %d", a.name, got, a.size)
	}
	if uint32(n) > a.size {
		return nil
	}
	p, err := a.page(n)
	if err == nil && a.db.Stats().ReadersDetached > 0 {
		a.w.note(a, event{kind: evDetached}, "")
	}
	if err == nil {
		own, isOwn := a.own[n]
		a.w.note(a, event{kind: evRead, tx: a.rec, access: access{page: n, got: tagOf(p, n), own: own, isOwn: isOwn}}, "")
	}
	return err
}

func keyOf(arg byte) walnut.PageNo { return headPage + walnut.PageNo(arg)%(lastPage-headPage+1) }

func levelOf(arg byte) walnut.SyncLevel {
	return [...]walnut.SyncLevel{walnut.SyncFull, walnut.SyncNormal, walnut.SyncFull, walnut.SyncOff}[arg%4]
}

func (a *actor) read(arg byte) { _ = a.look(keyOf(arg)) }

func (a *actor) readAll() {
	for n := walnut.PageNo(headPage); n <= lastPage; n++ {
		if a.look(n) != nil {
			return
		}
	}
}

func (a *actor) beginRead(byte) {
	a.begin("begin to read", 0, false, func() (err error) {
		a.tx, err = a.db.Begin(a.ctx, &walnut.TxOptions{ReadOnly: true})
		return err
	})
}

func (a *actor) snapshot(byte) {
	a.begin("snapshot", 0, false, func() (err error) {
		a.snap, err = a.db.Snapshot(a.ctx)
		return err
	})
}

// view reads everything in a transaction of its own.
func (a *actor) view(byte) {
	if a.beginRead(0); a.rec != nil {
		a.readAll()
		a.end()
	}
}

func (a *actor) beginDeferred(arg byte) {
	level := levelOf(arg)
	if a.begin("begin deferred, sync "+level.String()+",", level, false, func() (err error) {
		a.tx, err = a.db.Begin(a.ctx, &walnut.TxOptions{Deferred: true, Sync: &level})
		return err
	}) {
		a.deferred = true
	}
}

func (a *actor) beginWrite(arg byte) {
	level := levelOf(arg)
	a.begin("begin to write, sync "+level.String()+",", level, true, func() (err error) {
		a.tx, err = a.db.Begin(a.ctx, &walnut.TxOptions{Sync: &level})
		return err
	})
}

// upgrade makes a deferred transaction a writing one.
func (a *actor) upgrade(arg byte) {
	err := a.call("upgrade", event{}, func() (string, error) {
		if _, err := a.tx.Savepoint(); err != nil {
			return "", err
		}
		return "ok", a.tx.Release(1)
	})
	switch {
	case err == nil:
		a.writing = true
		a.write(arg)
	default:
		a.stuck = true
		if errors.Is(err, walnut.ErrSnapshotStale) {
			a.w.note(a, event{kind: evStale, tx: a.rec}, "")
		}
	}
}

// write writes one to six pages.
func (a *actor) write(arg byte) {
	for i := range 1 + int(arg>>5)*6/7 {
		n := keyOf(arg&31 + byte(i)*3)
		if n == headPage {
			n++
		}
		if !a.put(n) {
			return
		}
	}
}

// put writes one page, after it has looked at it.
func (a *actor) put(n walnut.PageNo) bool {
	a.tags++
	return a.putTag(n, makeTag(a.rec.id, a.tags))
}

func (a *actor) putTag(n walnut.PageNo, t tag) bool {
	if a.look(n) != nil {
		return false
	}
	err := a.call(fmt.Sprintf("write page %d", n), event{}, func() (string, error) {
		if err := a.pool(n); err != nil {
			return "", err
		}
		p, err := a.tx.Write(n)
		if err != nil {
			return "", err
		}
		fill(p, n, t)
		return t.String(), nil
	})
	if err != nil {
		a.stuck = true
		return false
	}
	if a.own == nil {
		a.own = map[walnut.PageNo]tag{}
	}
	// Pages between the old end and the new are zero.
	for p := walnut.PageNo(a.size) + 1; p < n; p++ {
		if p >= headPage {
			a.own[p] = 0
		}
	}
	a.own[n], a.size = t, max(a.size, uint32(n))
	return true
}

// pool has a page that is about to be written, and page 1 with those that
// change the size, in the pool first: whether a Write brings it there is a
// matter of chance, which no history can have. The large pool never is full, and
// takes all.
func (a *actor) pool(n walnut.PageNo) error {
	if a.w.spills() {
		return nil
	}
	if uint32(n) > a.size {
		if a.size > 0 {
			if _, err := a.tx.Page(1); err != nil {
				return err
			}
		}
		_, err := a.tx.Write(1)
		return err
	}
	_, err := a.tx.Page(n)
	return err
}

func (a *actor) resize(arg byte) {
	n := uint32(headPage) + uint32(arg)%(lastPage-headPage+1)
	err := a.call(fmt.Sprintf("resize to %d", n), event{}, func() (string, error) {
		if err := a.pool(lastPage + 1); err != nil {
			return "", err
		}
		return "ok", a.tx.SetPageCount(n)
	})
	if err != nil {
		a.stuck = true
		return
	}
	if a.own == nil {
		a.own = map[walnut.PageNo]tag{}
	}
	for p := walnut.PageNo(min(n, max(a.size, 1))) + 1; p <= lastPage; p++ {
		a.own[p] = 0
	}
	a.size = n
}

func (a *actor) savepoint(byte) {
	if a.call("savepoint", event{}, func() (string, error) {
		n, err := a.tx.Savepoint()
		return fmt.Sprint(n), err
	}) == nil {
		a.saves = append(a.saves, saved{maps.Clone(a.own), a.size})
	}
}

func (a *actor) rollbackTo(arg byte) {
	n := 1 + int(arg)%len(a.saves)
	if a.call(fmt.Sprintf("roll back to %d", n), event{}, func() (string, error) { return "ok", a.tx.RollbackTo(n) }) == nil {
		s := a.saves[n-1]
		a.own, a.size, a.saves = maps.Clone(s.own), s.size, a.saves[:n]
	}
}

func (a *actor) release(arg byte) {
	n := 1 + int(arg)%len(a.saves)
	if a.call(fmt.Sprintf("release %d", n), event{}, func() (string, error) { return "ok", a.tx.Release(n) }) == nil {
		a.saves = a.saves[:n-1]
	}
}

// commit commits what was written, with a head, if anything was.
func (a *actor) commit() {
	if len(a.own) == 0 {
		a.end()
		return
	}
	if a.repeats == nil && !a.put(headPage) || a.repeats != nil && !a.putTag(headPage, a.repeats.head) {
		return
	}
	a.rec.head = a.own[headPage]
	a.rec.made = writes{size: a.size, tags: a.own}
	rec := a.rec
	a.w.commits(rec)
	before := event{kind: evCommit, tx: rec}
	after := event{tx: rec, writes: true}
	err := a.call(fmt.Sprintf("commit t%d as version %v of %d pages", rec.id, rec.head, a.size), before, func() (string, error) {
		err := a.tx.Commit(a.ctx)
		switch {
		case err == nil:
			after.kind = evCommitted
		case errors.Is(err, walnut.ErrCommitUnknown):
			after.kind = evUnknown
		default:
			after.kind = evRefused
		}
		a.w.note(a, after, "")
		return "ok", err
	})
	_ = err // call has judged it, and after says what it means
	a.tx, a.rec, a.writing = nil, nil, false
}

// end ends a transaction without a commit.
func (a *actor) end() {
	rec := a.rec
	after := event{kind: evEnded, tx: rec, writes: a.writing}
	_ = a.call(fmt.Sprintf("end t%d", rec.id), event{}, func() (string, error) {
		if a.snap != nil {
			a.snap.Close()
			return "ok", nil
		}
		err := a.tx.Rollback()
		if err != nil {
			after.kind = evFailed
		}
		return "ok", err
	})
	a.w.note(a, after, "")
	a.tx, a.snap, a.rec, a.writing = nil, nil, nil, false
}

// update is a whole write transaction.
func (a *actor) update(arg byte) {
	if a.beginWrite(arg); a.rec == nil {
		return
	}
	if a.write(arg); a.stuck {
		a.end()
		return
	}
	if a.commit(); a.rec != nil {
		a.end()
	}
}

// repeat does once more, byte for byte, what a transaction did on the version
// that is the newest now: so it was lost. Frames of others that were lost with
// it may follow in the log, and must not count again.
func (a *actor) repeat(byte) {
	if a.beginWrite(0); a.rec == nil {
		return
	}
	old := a.w.lost(a.rec.base)
	if old == nil {
		a.end()
		return
	}
	a.w.note(a, event{}, "    t%d is t%d once more", a.rec.id, old.id)
	a.repeats = old
	for _, n := range slices.Sorted(maps.Keys(old.made.tags)) {
		if t := old.made.tags[n]; n != headPage && t != 0 && !a.putTag(n, t) {
			a.end()
			return
		}
	}
	old.repeated = true
	if a.commit(); a.rec != nil {
		a.end()
	}
}

func (a *actor) checkpoint(arg byte) {
	mode := walnut.CheckpointMode(arg % 4)
	a.w.mu.Lock()
	a.w.checkpoints++
	id := a.w.checkpoints
	a.w.mu.Unlock()
	var r walnut.CheckpointResult
	err := a.call("checkpoint "+mode.String(), event{kind: evCheckpoint, id: id}, func() (string, error) {
		var err error
		r, err = a.db.Checkpoint(a.ctx, mode, nil)
		return fmt.Sprintf("%d of %d frames, waited for %q", r.Backfilled, r.LogFrames, r.WaitedFor), err
	})
	if err == nil && !r.Busy && r.WaitedFor == "" {
		a.w.note(a, event{kind: evCopied, id: id}, "")
	}
}

// backup is a read transaction whose pages are those of the copy.
func (a *actor) backup(byte) {
	path := fmt.Sprintf("/data/copy%d.db", a.id)
	a.w.mu.Lock()
	a.w.txs++
	rec := &txRec{id: a.w.txs, actor: a.id}
	a.w.mu.Unlock()
	var copied []byte
	err := a.call(fmt.Sprintf("backup t%d", rec.id), event{kind: evBegin, tx: rec}, func() (string, error) {
		err := a.db.Backup(a.ctx, path, &walnut.BackupOptions{Overwrite: true})
		if err != nil {
			return "", err
		}
		copied, err = a.w.d.ReadFile(path)
		return fmt.Sprintf("%d bytes", len(copied)), err
	})
	if err != nil {
		return
	}
	rec.size = uint32(len(copied) / pageSize)
	page := func(n int) tag { return tagOf(copied[(n-1)*pageSize:n*pageSize], walnut.PageNo(n)) }
	a.w.note(a, event{kind: evBegun, tx: rec}, "")
	if rec.size >= headPage {
		rec.base = page(headPage)
	}
	a.w.note(a, event{kind: evSeen, tx: rec}, "    t%d is on version %v of %d pages", rec.id, rec.base, rec.size)
	for n := headPage; n <= min(lastPage, int(rec.size)); n++ {
		a.w.note(a, event{kind: evRead, tx: rec, access: access{page: walnut.PageNo(n), got: page(n)}}, "")
	}
}

// letGo ends everything that the connection has, without a record.
func (a *actor) letGo() {
	if a.tx != nil {
		_ = a.tx.Rollback()
	}
	if a.snap != nil {
		a.snap.Close()
	}
	if a.db != nil {
		_ = a.db.Close()
	}
	a.db, a.tx, a.snap, a.rec, a.writing = nil, nil, nil, nil, false
	a.ctx, a.cancelled = context.Background(), false
}
