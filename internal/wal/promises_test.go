// Promises that no schedule and no crash comes across by itself: what was spilled
// is verified, and what is built on a commit that failed fails after it, too.

package wal

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/walformat"
)

// TestSpilledFrameIsVerified: a transaction reads back what it has spilled, or
// hears that it is damaged.
func TestSpilledFrameIsVerified(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	w := x.begin()
	first, err := w.Spill([]Frame{{Page: 3, Data: pageData(3, 2)}, {Page: 4, Data: pageData(4, 2)}})
	if err != nil {
		t.Fatal(err)
	}
	whole, h := x.read(logName), x.hdr.Load()
	got := make([]byte, testPage)
	for i := range walformat.FrameNo(2) {
		off := int(h.FrameOffset(first + i))
		for _, at := range []int{0, 8, 16, walformat.FrameHeaderSize, h.FrameSize() - 1} {
			b := bytes.Clone(whole)
			b[off+at] ^= 4
			if err := x.d.WriteFile(logName, b); err != nil {
				t.Fatal(err)
			}
			if err := w.ReadSpilled(first+i, got); !errors.Is(err, ErrCorrupt) {
				t.Errorf("byte %d of spilled frame %d is wrong: %v", at, i, err)
			}
		}
	}
	if err := x.d.WriteFile(logName, whole); err != nil {
		t.Fatal(err)
	}
	if err := w.ReadSpilled(first+1, got); err != nil || !bytes.Equal(got, pageData(4, 2)) {
		t.Errorf("it is not read back: %v", err)
	}
	if err := w.Abandon(); err != nil {
		t.Fatal(err)
	}
}

// failBase begins a transaction on a commit whose sync then fails.
func failBase(t *testing.T) (*testLog, *Writer) {
	t.Helper()
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	x.arm(faultdisk.OpSync, "-wal")
	lost := x.goCommit(SyncFull, 2, 2)
	<-x.entered
	w := x.begin()
	if err := w.Reserve(1); err != nil {
		t.Fatal(err)
	}
	x.disarm()
	x.release <- errors.New("broken")
	x.wantDone(lost, ErrCommitUnknown)
	return x, w
}

// TestAbandonOnFailedBase: also a transaction that ends after its base has failed
// hears of it.
func TestAbandonOnFailedBase(t *testing.T) {
	_, w := failBase(t)
	if err := w.Abandon(); !errors.Is(err, ErrLogFailed) {
		t.Errorf("it ended with %v", err)
	}
}

// TestCommitOnFailedBase: it is not accepted, and its place is free again.
func TestCommitOnFailedBase(t *testing.T) {
	x, w := failBase(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // what was accepted would wait for a leader for ever
	_, err := w.Commit(ctx, []Frame{{Page: 2, Data: pageData(2, 3)}}, 2, CommitOptions{})
	if !errors.Is(err, ErrLogFailed) || errors.Is(err, ErrCommitUnknown) {
		t.Errorf("it was accepted: %v", err)
	}
	if req, err := x.Coordinator().RequestWriter(0, 0, nil); req != nil || err != nil {
		t.Errorf("the writer's place was kept: %v", err)
	} else {
		x.Coordinator().ReleaseWriter()
	}
}

// TestReserveIsForAllFrames: a commit of which only the beginning fits into what
// is reserved is refused on a full disk, before it is accepted.
func TestReserveIsForAllFrames(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2, 3)
	x.d.Inject(faultdisk.Fault{Op: faultdisk.OpGrow, Sticky: true, Err: disk.ErrNoSpace, Suffix: "-wal"})
	pages := make([]walformat.PageNo, 230) // one chunk has room for half of their frames
	for i := range pages {
		pages[i] = walformat.PageNo(i + 2)
	}
	if _, err := x.commitOn(x.begin(), SyncFull, 2, pages...); !errors.Is(err, disk.ErrNoSpace) || errors.Is(err, ErrCommitUnknown) {
		t.Errorf("a commit that does not fit: %v", err)
	}
	x.commit(SyncFull, 3, 2)
	x.wantPage(2, 3)
}

// TestSpillBehindPending: a transaction spills behind what was accepted and not
// appended when it began to.
func TestSpillBehindPending(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	x.arm(faultdisk.OpSync, "-wal")
	first := x.goCommit(SyncFull, 2, 2)
	<-x.entered
	second := x.goCommit(SyncFull, 3, 3) // waits for the sync of the first
	w := x.begin()
	spilled := make(chan error, 1)
	go func() {
		_, err := w.Spill([]Frame{{Page: 4, Data: pageData(4, 4)}})
		spilled <- err
	}()
	until(func() bool {
		x.Log.mu.Lock()
		defer x.Log.mu.Unlock()
		return len(x.Log.mu.leadWaiters) > 0 || len(spilled) > 0
	})
	x.disarm()
	x.release <- nil
	x.wantDone(first, nil)
	x.wantDone(spilled, nil)
	x.wantDone(second, nil)
	if _, err := w.Commit(context.Background(), []Frame{{Page: 2, Data: pageData(2, 4)}}, 4, CommitOptions{}); err != nil {
		t.Fatal(err)
	}
	y := openLog(t, x.d.CrashKeepNone())
	y.wantPage(2, 4)
	y.wantPage(3, 3)
	y.wantPage(4, 4)
}

// TestAutoCheckpointFails: the commit that begins an automatic checkpoint has
// nothing to do with its failure, nor have those after it.
func TestAutoCheckpointFails(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	x.d.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: dbName, Effect: faultdisk.Nothing})
	for v := uint32(2); v < 4; v++ {
		w := x.begin()
		if err := w.Reserve(1); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Commit(context.Background(), []Frame{{Page: 2, Data: pageData(2, v)}}, 2, CommitOptions{AutoCheckpoint: 1}); err != nil {
			t.Fatal(err)
		}
		x.background.Wait()
	}
	if s := x.Stats(); s.CheckpointErrors != 1 || s.Checkpoints != 1 || s.Failed != nil {
		t.Errorf("%d checkpoints failed, %d did not; %v", s.CheckpointErrors, s.Checkpoints, s.Failed)
	}
	x.wantDB(2, 3)
}

// TestSpillIsCut: what a rolled back transaction has spilled is zeros on the disk
// when the rollback returns.
func TestSpillIsCut(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	w := x.begin()
	if _, err := w.Spill([]Frame{{Page: 3, Data: pageData(3, 2)}, {Page: 4, Data: pageData(4, 2)}}); err != nil {
		t.Fatal(err)
	}
	if err := x.file.SyncData(); err != nil { // the device may write it at any time
		t.Fatal(err)
	}
	if err := w.Abandon(); err != nil {
		t.Fatal(err)
	}
	b, err := x.d.CrashKeepNone().ReadFile(logName)
	if err != nil {
		t.Fatal(err)
	}
	if rest := b[x.hdr.Load().EndOffset(1):]; !bytes.Equal(rest, make([]byte, len(rest))) {
		t.Error("spilled frames are left")
	}
}

// TestExtensionIsSynced before a commit uses it.
func TestExtensionIsSynced(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	w := x.begin()
	x.takeTrace()
	if err := w.Reserve(200); err != nil {
		t.Fatal(err)
	}
	trace := x.takeTrace()
	if n := len(trace); n < 2 || trace[n-1] != "sync wal" || !strings.HasSuffix(trace[n-2], " wal") {
		t.Errorf("reserving does %q", trace)
	}
	if err := w.Abandon(); err != nil {
		t.Fatal(err)
	}
}

// TestExtensionEndsEarly: where the disk is full behind what a commit needs, the
// commit fits.
func TestExtensionEndsEarly(t *testing.T) {
	x := newLog(t)
	pages := make([]walformat.PageNo, 230)
	for i := range pages {
		pages[i] = walformat.PageNo(i + 2)
	}
	x.commit(SyncFull, 1, pages...) // two chunks now, and two more are the next extension
	x.d.Inject(faultdisk.Fault{Op: faultdisk.OpGrow, N: 2, Sticky: true, Err: disk.ErrNoSpace, Suffix: "-wal", Effect: faultdisk.Nothing})
	x.commit(SyncFull, 2, pages[:50]...)
	x.wantPage(51, 2)
	x.wantPage(52, 1)
}

// TestRemovalIsDurable: after a close that has removed the log, a power failure
// does not bring it back.
func TestRemovalIsDurable(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	if err := x.Close(true); err != nil {
		t.Fatal(err)
	}
	if _, err := x.d.CrashKeepNone().ReadFile(logName); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the log: %v", err)
	}
}

// TestPendingIsBounded: while the leader is held up, the next writer begins as
// long as no more than the bound is accepted and not written; a writer that finds
// more waits for the leader, so that a slow device cannot fill the memory.
func TestPendingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newLog(t)
		x.cfg.sizes.pendingBytes = 2 * testPage
		x.commit(SyncFull, 1, 2)
		x.arm(faultdisk.OpSync, "-wal")
		first := x.goCommit(SyncFull, 2, 2) // written, and held up in its sync
		<-x.entered
		x.disarm()
		second := x.goCommit(SyncFull, 3, 2, 3) // the bound, and no more
		third := x.goCommit(SyncFull, 4, 4)
		began := make(chan *Writer, 1)
		go func() { began <- x.begin() }()
		synctest.Wait()
		select {
		case w := <-began:
			t.Error("a writer began though more than the bound is pending")
			began <- w
		default:
		}
		x.release <- nil
		w := <-began
		if st := x.Stats(); st.Appended != w.Base.MaxFrame {
			t.Errorf("it began on frame %d, and %d are written", w.Base.MaxFrame, st.Appended)
		}
		for _, done := range []<-chan error{first, second, third} {
			x.wantDone(done, nil)
		}
		if err := w.Abandon(); err != nil {
			t.Fatal(err)
		}
	})
}
