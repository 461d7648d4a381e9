// Checkpoint and restart: the order of the steps on the disk, who holds them up,
// and that a new generation never begins under anybody.

package wal

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// TestCheckpointOrder: log synced, pages written, size set, database synced.
func TestCheckpointOrder(t *testing.T) {
	x := newLog(t)
	x.commit(SyncNormal, 1, 2, 3, 7)
	x.commit(SyncNormal, 2, 3)
	x.takeTrace()
	r := x.checkpoint(Passive)
	// Pages 2 and 3 are neighbours: one write; 7 is another.
	if got := fmt.Sprint(x.takeTrace()); got != "[sync wal write db write+grow db sync db]" && got != "[sync wal write+grow db write+grow db sync db]" {
		t.Errorf("a checkpoint does %s", got)
	}
	if r.LogFrames != 4 || r.Backfilled != 4 {
		t.Errorf("%+v", r)
	}
	x.wantDB(2, 1)
	x.wantDB(3, 2)
	x.wantDB(7, 1)
	// Nothing is left to do.
	x.checkpoint(Passive)
	if got := x.takeTrace(); len(got) != 0 {
		t.Errorf("a checkpoint of nothing does %v", got)
	}
}

// TestRestartOrder: the header of the new generation is durable before its
// first frame is written.
func TestRestartOrder(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2, 3)
	x.checkpoint(Passive)
	h := *x.hdr.Load()
	x.takeTrace()
	x.commit(SyncFull, 2, 2)
	if got := fmt.Sprint(x.takeTrace()); got != "[write wal sync wal write wal sync wal]" {
		t.Errorf("the first commit of a generation does %s", got)
	}
	n := *x.hdr.Load()
	if n.Salt1 != h.Salt1+1 || n.CheckpointSeq != h.CheckpointSeq+1 || n.Salt2 == h.Salt2 {
		t.Errorf("header %+v after %+v", n, h)
	}
	if st := x.published(); st.Gen != 2 || st.MaxFrame != 1 || st.NBackfill != 0 || st.Seq != 2 {
		t.Errorf("%+v", st)
	}
	x.wantPage(2, 2)
	x.wantPage(3, 1)
}

// TestRestartConditions: each of them alone keeps the generation.
func TestRestartConditions(t *testing.T) {
	for _, c := range []struct {
		name  string
		block func(x *testLog) (unblock func())
	}{
		{"not all is backfilled", func(x *testLog) func() {
			m, _ := x.Coordinator().BeginRead() // slot 0
			x.commit(SyncFull, 5, 5)
			x.Coordinator().EndRead(m)
			return func() { x.checkpoint(Passive) }
		}},
		{"a reader is in the log", func(x *testLog) func() {
			m := x.co.Pin(x.published().MaxFrame + 1) // a slot from 1 to 4
			return func() { x.Coordinator().EndRead(m) }
		}},
		{"a checkpoint runs", func(x *testLog) func() {
			x.Coordinator().TryLockCheckpoint()
			return x.Coordinator().UnlockCheckpoint
		}},
		{"somebody leads", func(x *testLog) func() {
			if !x.tryLead() {
				x.t.Fatal("no leadership")
			}
			return x.dropLead
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newLog(t)
			x.commit(SyncFull, 1, 2)
			x.checkpoint(Passive)
			unblock := c.block(x)
			gen := x.published().Gen
			w := x.begin()
			if w.Base.Gen != gen {
				t.Error("restarted")
			}
			if err := w.Abandon(); err != nil {
				t.Fatal(err)
			}
			unblock()
			if r, _ := x.RequestWrite(true); true { // noRestart
				if w, err := r.Begin(context.Background()); err != nil || w.Base.Gen != gen {
					t.Errorf("restarted although it is forbidden: %v", err)
				}
				x.co.ReleaseWriter()
			}
			w = x.begin()
			if w.Base.Gen != gen+1 {
				t.Errorf("generation %d with nothing in the way", w.Base.Gen)
			}
			if err := w.Abandon(); err != nil {
				t.Fatal(err)
			}
			x.wantPage(2, 1)
		})
	}
}

// TestRestartNotPublished: accepted is not published: no restart.
func TestRestartNotPublished(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	x.checkpoint(Passive)
	r, err := x.RequestWrite(true)
	if err != nil {
		t.Fatal(err)
	}
	w, err := r.Begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	x.arm(faultdisk.OpSync, "-wal")
	done := make(chan error, 1)
	go func() { _, err := x.commitOn(w, SyncFull, 2, 2); done <- err }()
	<-x.entered
	w = x.begin()
	if w.Base.Gen != 1 || w.Base.MaxFrame != 2 {
		t.Errorf("base %+v", w.Base.Snapshot)
	}
	x.disarm()
	x.release <- nil
	x.wantDone(done, nil)
	if err := w.Abandon(); err != nil {
		t.Fatal(err)
	}
}

// TestReadersHoldBack: a reader of an older snapshot bounds a checkpoint, and a
// reader of the database file stops it.
func TestReadersHoldBack(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2, 3)
	old, oldState := x.Coordinator().BeginRead()
	x.commit(SyncFull, 2, 2, 3, 4)
	r, err := x.Checkpoint(context.Background(), Passive, CheckpointOptions{})
	if err != nil || r.Backfilled != 2 || r.LogFrames != 5 || r.Busy || r.WaitedFor == "" {
		t.Errorf("beside a reader of frame 2: %+v, %v", r, err)
	}
	x.wantDB(2, 1)
	if n := len(x.read(dbName)); n != 3*testPage {
		t.Errorf("the database file has %d bytes: more than the safe frame's", n)
	}
	x.wantPageAt(oldState, old.InFile(), 2, 1)
	x.Coordinator().EndRead(old)
	x.checkpoint(Passive)
	x.wantDB(4, 2)

	file, fileState := x.Coordinator().BeginRead()
	if !file.InFile() {
		t.Fatal("not in the file")
	}
	x.commit(SyncFull, 3, 2)
	r, err = x.Checkpoint(context.Background(), Passive, CheckpointOptions{})
	if err != nil || r.Backfilled != 0 && fileState.Gen != x.published().Gen || r.WaitedFor == "" {
		t.Errorf("beside a reader of the file: %+v, %v", r, err)
	}
	x.wantDB(2, 2)
	x.wantPageAt(fileState, true, 2, 2)
	x.Coordinator().EndRead(file)
	x.checkpoint(Passive)
	x.wantDB(2, 3)
}

// TestShrink: pages above the size at the safe frame are not written, and the
// file is cut when everything is copied.
func TestShrink(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2, 3, 4, 5)
	x.checkpoint(Passive)
	r, _ := x.RequestWrite(true)
	w, err := r.Begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	frames := []Frame{{Page: 2, Data: pageData(2, 9)}, {Page: 5, Data: pageData(5, 9)}}
	if err := w.Reserve(2); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(context.Background(), frames, 3, CommitOptions{}); err != nil {
		t.Fatal(err)
	}
	x.takeTrace()
	x.checkpoint(Passive)
	if got := fmt.Sprint(x.takeTrace()); got != "[write db truncate db sync db]" {
		t.Errorf("a checkpoint does %s: page 5 is above the size", got)
	}
	if n := len(x.read(dbName)); n != 3*testPage {
		t.Errorf("the database file has %d bytes", n)
	}
	x.wantDB(2, 9)
}

// TestTruncate: nothing is left in the log, and a later commit starts it anew.
func TestTruncate(t *testing.T) {
	x := newLog(t)
	x.checkpoint(Truncate) // of no log at all
	x.commit(SyncFull, 1, 2)
	r := x.checkpoint(Truncate)
	if r.LogFrames != 0 || r.Backfilled != 0 || len(x.read(logName)) != 0 {
		t.Errorf("%+v, %d bytes", r, len(x.read(logName)))
	}
	gen := x.published().Gen
	x.wantPage(2, 1)
	x.commit(SyncFull, 2, 2)
	if g := x.published().Gen; g != gen {
		t.Errorf("generation %d after %d", g, gen)
	}
	x.wantPage(2, 2)
	x.checkpoint(Truncate)
	if g := x.published().Gen; g <= gen {
		t.Errorf("generation %d: a ticket of an older one could be taken for one of this", g)
	}
	x.checkpoint(Truncate)
	x.wantDB(2, 2)
}

// TestTruncateWaits: TRUNCATE waits for the readers that need the log, and lets
// new ones begin and writers queue meanwhile.
func TestTruncateWaits(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	old, st := x.Coordinator().BeginRead()
	x.commit(SyncFull, 2, 2)
	done := make(chan error, 1)
	go func() {
		r, err := x.Checkpoint(context.Background(), Truncate, CheckpointOptions{})
		if err == nil && (r.Busy || r.LogFrames != 0) {
			err = fmt.Errorf("not done: %+v", r)
		}
		done <- err
	}()
	// It has the writer's place when an upgrade is told so.
	until(func() bool {
		r, err := x.requestUpgrade(x.acceptedState())
		if err == nil {
			release(x, r)
		}
		return errors.Is(err, coord.ErrBusy)
	})
	x.wantPage(2, 2) // a new reader
	x.wantPageAt(st, old.InFile(), 2, 1)
	w, err := x.RequestWrite(false)
	if err != nil || w.Answer() == nil {
		t.Fatal("a writer got the place beside TRUNCATE")
	}
	x.Coordinator().EndRead(old)
	x.wantDone(done, nil)
	wr, err := w.Wait(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.commitOn(wr, SyncFull, 3, 3); err != nil {
		t.Fatal(err)
	}
	x.wantPage(3, 3)
}

// TestTruncateGivesUp: a bounded wait ends in "busy", with whom it waited for,
// and leaves everything usable; a cancellation is an error.
func TestTruncateGivesUp(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	expired, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()
	old, _ := x.Coordinator().BeginRead()
	x.commit(SyncFull, 2, 2)
	r, err := x.Checkpoint(expired, Truncate, CheckpointOptions{})
	if err != nil || !r.Busy || r.WaitedFor == "" {
		t.Errorf("beside a reader: %+v, %v", r, err)
	}
	x.Coordinator().EndRead(old)
	w := x.begin()
	r, err = x.Checkpoint(expired, Truncate, CheckpointOptions{})
	if err != nil || !r.Busy || r.WaitedFor != "a write transaction" {
		t.Errorf("beside a writer: %+v, %v", r, err)
	}
	cancelled, cancel2 := context.WithCancel(context.Background())
	cancel2()
	if _, err := x.Checkpoint(cancelled, Truncate, CheckpointOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := w.Abandon(); err != nil {
		t.Fatal(err)
	}
	x.Coordinator().TryLockCheckpoint()
	r, err = x.Checkpoint(context.Background(), Passive, CheckpointOptions{})
	if err != nil || !r.Busy || r.WaitedFor != "another checkpoint" {
		t.Errorf("beside a checkpoint: %+v, %v", r, err)
	}
	x.Coordinator().UnlockCheckpoint()
	x.checkpoint(Truncate)
}

// TestGenerationTickets: a ticket of an older generation is covered, whatever
// its frame; one of this generation is not.
func TestGenerationTickets(t *testing.T) {
	x := newLog(t)
	for range 5 {
		x.commit(SyncFull, 1, 2, 3)
	}
	x.checkpoint(Truncate)
	x.commit(SyncNormal, 2, 2)
	gen := x.published().Gen
	syncs := x.Stats().LogSyncs
	if err := x.syncTo(gen-1, 10); err != nil {
		t.Fatal(err)
	}
	if n := x.Stats().LogSyncs; n != syncs {
		t.Errorf("%d syncs for a ticket of an older generation", n-syncs)
	}
	if done, _ := x.covered(gen, 1); done {
		t.Error("a commit at NORMAL counts as durable")
	}
	if err := x.syncTo(gen, 1); err != nil {
		t.Fatal(err)
	}
	if n := x.Stats().LogSyncs; n != syncs+1 {
		t.Errorf("%d syncs for a ticket of this generation", n-syncs)
	}
}

// TestCheckpointBesideCommits: a checkpoint that is stuck in the database file
// holds up no commit, and publishes no less than they did.
func TestCheckpointBesideCommits(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	x.arm(faultdisk.OpSync, "/db")
	done := make(chan error, 1)
	go func() { _, err := x.Checkpoint(context.Background(), Passive, CheckpointOptions{}); done <- err }()
	<-x.entered
	for v := uint32(2); v < 6; v++ {
		x.commit(SyncFull, v, 2)
	}
	if st := x.published(); st.NBackfill != 0 {
		t.Errorf("%d backfilled before the sync", st.NBackfill)
	}
	x.disarm()
	x.release <- nil
	x.wantDone(done, nil)
	if st := x.published(); st.MaxFrame != 5 || st.NBackfill != 1 || st.Seq != 5 {
		t.Errorf("%+v", st)
	}
	x.wantPage(2, 5)
}

// TestCheckpointSyncFails: nBackfill stays, and the next checkpoint writes every
// page again, for the failed sync may have dropped them.
func TestCheckpointSyncFails(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2, 3)
	x.d.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: "/db", Effect: faultdisk.Nothing})
	if _, err := x.Checkpoint(context.Background(), Passive, CheckpointOptions{}); !errors.Is(err, faultdisk.ErrInjected) {
		t.Fatal(err)
	}
	if st := x.published(); st.NBackfill != 0 {
		t.Errorf("%d backfilled", st.NBackfill)
	}
	x.commit(SyncFull, 2, 4) // the log goes on
	x.checkpoint(Passive)
	crashed := openLog(t, x.d.CrashKeepNone())
	crashed.wantDB(2, 1)
	crashed.wantDB(3, 1)
}

// TestDatabaseFull: the checkpoint fails, commits go on.
func TestDatabaseFull(t *testing.T) {
	x := newLog(t)
	full := x.d.Inject(faultdisk.Fault{Op: faultdisk.OpGrow, Suffix: "/db", Sticky: true, Err: disk.ErrNoSpace})
	x.commit(SyncFull, 1, 2)
	if _, err := x.Checkpoint(context.Background(), Passive, CheckpointOptions{}); !errors.Is(err, disk.ErrNoSpace) {
		t.Fatal(err)
	}
	w := x.begin()
	frames := []Frame{{Page: 3, Data: pageData(3, 2)}}
	if err := w.Reserve(1); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(context.Background(), frames, 3, CommitOptions{AutoCheckpoint: 1}); err != nil {
		t.Fatalf("the error of an automatic checkpoint fails the commit: %v", err)
	}
	if s := x.Stats(); s.CheckpointErrors != 2 || s.Failed != nil {
		t.Errorf("%d errors of checkpoints, failed %v", s.CheckpointErrors, s.Failed)
	}
	full.Remove()
	x.checkpoint(Truncate)
	x.wantDB(3, 2)
}

// TestProgress and a cancelled copy.
func TestProgress(t *testing.T) {
	x := newLog(t)
	var pages []walformat.PageNo
	for i := range 3000 {
		pages = append(pages, walformat.PageNo(i+2))
	}
	x.commit(SyncNormal, 1, pages...)
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := x.Checkpoint(ctx, Passive, CheckpointOptions{Progress: func(done, total int) { cancel() }}); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled between two batches: %v", err)
	}
	last, calls := 0, 0
	if _, err := x.Checkpoint(context.Background(), Passive, CheckpointOptions{Progress: func(done, total int) {
		if done <= last || total != 3000 {
			t.Errorf("%d of %d after %d", done, total, last)
		}
		last = done
		calls++
	}}); err != nil || last != 3000 || calls < 2 {
		t.Errorf("%d pages in %d calls, %v", last, calls, err)
	}
	x.wantDB(3001, 1)
}

// TestAutoCheckpoint: at the threshold, and restarts follow.
func TestAutoCheckpoint(t *testing.T) {
	x := newLog(t)
	for i := range 100 {
		w := x.begin()
		if err := w.Reserve(1); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Commit(context.Background(), []Frame{{Page: 2, Data: pageData(2, uint32(i))}}, 2, CommitOptions{AutoCheckpoint: 10}); err != nil {
			t.Fatal(err)
		}
		if st := x.published(); st.MaxFrame > 10 {
			t.Fatalf("%d frames", st.MaxFrame)
		}
	}
	if s := x.Stats(); s.Checkpoints != 10 || s.Restarts != 9 {
		t.Errorf("%d checkpoints, %d restarts", s.Checkpoints, s.Restarts)
	}
	x.wantPage(2, 99)
}

// TestAutoCheckpointWaitsForNobody: the commit that triggers it returns, though
// another writer holds the place as long as it likes. (Its holder may be waiting
// for this very commit to return.)
func TestAutoCheckpointWaitsForNobody(t *testing.T) {
	x := newLog(t)
	for range 8 {
		x.commit(SyncNormal, 1, 2)
	}
	w := x.begin()
	if err := w.Reserve(1); err != nil {
		t.Fatal(err)
	}
	next, err := x.RequestWrite(true)
	if err != nil {
		t.Fatal(err)
	}
	granted := make(chan *Writer)
	go func() {
		w, err := next.Wait(context.Background())
		if err != nil {
			t.Error(err)
		}
		granted <- w
	}()
	if _, err := w.Commit(context.Background(), []Frame{{Page: 2, Data: pageData(2, 9)}}, 2, CommitOptions{Level: SyncNormal, AutoCheckpoint: 2}); err != nil {
		t.Fatal(err)
	}
	if err := (<-granted).Abandon(); err != nil {
		t.Fatal(err)
	}
	// The next writer restarts the log, which has become long.
	if err := x.begin().Abandon(); err != nil {
		t.Fatal(err)
	}
	if st := x.published(); st.Gen != 2 || st.MaxFrame != 0 {
		t.Errorf("%+v: not restarted", st)
	}
	x.wantPage(2, 9)
	x.wantDB(2, 9)
}

// TestModesBesideAWriter: a checkpoint that waits for the writer's place in vain has
// copied what there was to copy, if only its time for waiting is over.
func TestModesBesideAWriter(t *testing.T) {
	for _, mode := range []CheckpointMode{Full, Restart, Truncate} {
		synctest.Test(t, func(t *testing.T) {
			x := newLog(t)
			x.commit(SyncFull, 1, 2, 3)
			w := x.begin()
			short, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			for _, c := range []struct {
				ctx    context.Context
				wait   time.Duration
				copied walformat.FrameNo
			}{{short, 0, 0}, {context.Background(), time.Second, 2}} {
				r, err := x.Checkpoint(c.ctx, mode, CheckpointOptions{Wait: c.wait})
				if err != nil || !r.Busy || r.WaitedFor != "a write transaction" || r.LogFrames != 2 || r.Backfilled != c.copied {
					t.Errorf("%s: %+v, %v", mode, r, err)
				}
			}
			if err := w.Abandon(); err != nil {
				t.Fatal(err)
			}
			x.checkpoint(mode) // nothing is left of the other two
		})
	}
}
