// Group commit: who shares a sync, who leads, in which order commits are
// published, and what everybody is told when the device fails.

package wal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// TestGroup: all commits that are accepted while a sync runs share the next.
func TestGroup(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	before := x.Stats()
	x.arm(faultdisk.OpSync, "-wal")
	first := x.goCommit(SyncFull, 2, 2)
	var others []<-chan error
	x.pass(nil, func() {
		for i := range 10 {
			others = append(others, x.goCommit(SyncFull, uint32(10+i), walformat.PageNo(3+i)))
		}
		if n := x.published().Seq; n != 1 {
			t.Errorf("commit %d is published before its sync", n)
		}
	})
	x.wantDone(first, nil)
	x.pass(nil, func() {
		if n := x.published().Seq; n != 2 {
			t.Errorf("commit %d is published while the second sync runs", n)
		}
	})
	for _, o := range others {
		x.wantDone(o, nil)
	}
	s := x.Stats()
	if s.LogSyncs-before.LogSyncs != 2 || s.Groups-before.Groups != 2 || s.MaxGroup != 10 || s.Commits-before.Commits != 11 {
		t.Errorf("%d syncs, %d groups, the largest of %d, %d commits", s.LogSyncs-before.LogSyncs, s.Groups-before.Groups, s.MaxGroup, s.Commits-before.Commits)
	}
	for i := range 10 {
		x.wantPage(walformat.PageNo(3+i), uint32(10+i))
	}
}

// TestGroupWrites: a group is appended with one write, its frames one chain.
func TestGroupWrites(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	x.arm(faultdisk.OpSync, "-wal")
	first := x.goCommit(SyncFull, 2, 2)
	var others []<-chan error
	x.pass(nil, func() {
		for i := range 5 {
			others = append(others, x.goCommit(SyncFull, uint32(10+i), 3, 4, 5))
		}
		x.takeTrace()
	})
	x.pass(nil, nil)
	x.wantDone(first, nil)
	for _, o := range others {
		x.wantDone(o, nil)
	}
	if got := fmt.Sprint(x.takeTrace()); got != "[write wal sync wal]" {
		t.Errorf("five commits took %s", got)
	}
	r, err := Scan(mustOpen(t, x.d), int64(len(x.read(logName))), nil)
	if err != nil || r.Transactions != 7 || r.Committed != 17 {
		t.Errorf("the log has %d transactions, %d frames, %v", r.Transactions, r.Committed, err)
	}
}

func mustOpen(t *testing.T, d *faultdisk.Disk) disk.File {
	t.Helper()
	f, err := d.Open(logName, disk.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestNormalBehindFull: a commit at NORMAL is not published before the FULL one
// that it follows is durable.
func TestNormalBehindFull(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	x.arm(faultdisk.OpSync, "-wal")
	full := x.goCommit(SyncFull, 2, 2)
	<-x.entered
	normal := x.goCommit(SyncNormal, 3, 3)
	if n := x.published().Seq; n != 1 {
		t.Fatalf("commit %d is published", n)
	}
	x.disarm()
	x.release <- nil
	x.wantDone(full, nil)
	x.wantDone(normal, nil)
	x.wantPage(3, 3)
	// It took no sync of its own.
	if s := x.Stats(); s.Durable != 2 || s.Appended != 3 {
		t.Errorf("durable to %d, appended to %d", s.Durable, s.Appended)
	}
}

// TestFullBehindNormal: a leader at NORMAL publishes its own commit without a
// sync; the FULL one that was accepted behind it leads and syncs both.
func TestFullBehindNormal(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	x.arm(faultdisk.OpWrite, "-wal")
	normal := x.goCommit(SyncNormal, 2, 2)
	<-x.entered
	full := x.goCommit(SyncFull, 3, 3)
	x.arm(faultdisk.OpSync, "-wal") // a new pair of channels
	x.releaseOld(nil)
	x.wantDone(normal, nil)
	x.pass(nil, func() {
		if n := x.published().Seq; n != 2 {
			t.Errorf("commit %d is published before the sync", n)
		}
	})
	x.wantDone(full, nil)
	if s := x.Stats(); s.Durable != 3 {
		t.Errorf("durable to %d", s.Durable)
	}
}

// TestNormalBeforeFull: a leader at NORMAL appends a FULL commit with its own,
// and publishes its own alone: the other is not durable.
func TestNormalBeforeFull(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	x.arm(faultdisk.OpSync, "-wal")
	first := x.goCommit(SyncFull, 2, 2)
	var normal, full <-chan error
	x.pass(nil, func() {
		normal, full = x.goCommit(SyncNormal, 3, 3), x.goCommit(SyncFull, 4, 4)
	})
	x.wantDone(first, nil)
	x.pass(nil, func() {
		x.wantDone(normal, nil)
		if s := x.Stats(); s.Published.Seq != 3 || s.Appended != 4 {
			t.Errorf("commit %d is published, frame %d appended", s.Published.Seq, s.Appended)
		}
	})
	x.wantDone(full, nil)
}

// TestPublicationOrder: every commit returns after its own publication, and
// what is published only ever grows.
func TestPublicationOrder(t *testing.T) {
	x := newLog(t)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		var last coord.Snapshot
		for {
			select {
			case <-stop:
				return
			default:
			}
			st := x.published()
			if st.Seq < last.Seq || st.Gen == last.Gen && st.MaxFrame < last.MaxFrame {
				t.Errorf("published %+v after %+v", st, last)
				return
			}
			last = st
		}
	})
	for g := range 6 {
		wg.Go(func() {
			for i := range 150 {
				r, err := x.RequestWrite(i%7 == 0)
				if err != nil {
					t.Error(err)
					return
				}
				w, err := r.Wait(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				st, err := x.commitOn(w, SyncLevel((g+i)%3), uint32(i), walformat.PageNo(2+g))
				if err != nil {
					t.Error(err)
					return
				}
				if x.published().Seq < st.Seq {
					t.Errorf("commit %d returned before its publication", st.Seq)
				}
				if i%40 == 0 {
					if _, err := x.Checkpoint(context.Background(), CheckpointMode(g%4), CheckpointOptions{}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	watcher.Wait()
	if n := x.published().Seq; n != 900 {
		t.Errorf("%d commits", n)
	}
	for g := range 6 {
		x.wantPage(walformat.PageNo(2+g), 149)
	}
}

// TestLeadToCheckpoint: a checkpoint that waits for the leadership gets it when
// the round ends, and the commit behind it is not forgotten.
func TestLeadToCheckpoint(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	x.commit(SyncNormal, 2, 2) // published, not durable: the checkpoint needs a sync
	x.arm(faultdisk.OpSync, "-wal")
	full := x.goCommit(SyncFull, 3, 3)
	<-x.entered
	behind := x.goCommit(SyncFull, 4, 4)
	ckpt := make(chan error, 1)
	go func() {
		_, err := x.Checkpoint(context.Background(), Passive, CheckpointOptions{})
		ckpt <- err
	}()
	until(func() bool { x.Log.mu.Lock(); defer x.Log.mu.Unlock(); return len(x.Log.mu.leadWaiters) == 1 })
	x.disarm()
	x.release <- nil
	for _, done := range []<-chan error{full, behind, ckpt} {
		x.wantDone(done, nil)
	}
	if x.Log.mu.leading {
		t.Error("somebody still leads")
	}
	x.wantDB(2, 2)
	x.commit(SyncFull, 5, 5)
}

// TestPoison: a failed sync, and a failed append. Each of those concerned gets
// the right error, nobody is left waiting, and readers go on.
func TestPoison(t *testing.T) {
	for _, op := range []faultdisk.Op{faultdisk.OpSync, faultdisk.OpWrite} {
		t.Run(op.String(), func(t *testing.T) {
			x := newLog(t)
			x.commit(SyncFull, 1, 2)
			mark, st := x.Coordinator().BeginRead()
			x.arm(op, "-wal")
			first := x.goCommit(SyncFull, 2, 2)
			<-x.entered
			second, third := x.goCommit(SyncFull, 3, 3), x.goCommit(SyncNormal, 4, 4)
			built := x.begin() // on the third, which will not be
			ckpt := make(chan error, 1)
			go func() { ckpt <- x.syncTo(st.Gen, 3) }()
			until(func() bool { x.Log.mu.Lock(); defer x.Log.mu.Unlock(); return len(x.Log.mu.leadWaiters) == 1 })
			queued, err := x.RequestWrite(false)
			if err != nil || queued.Answer() == nil {
				t.Fatal("not queued")
			}
			x.disarm()
			cause := errors.New("the device broke")
			x.release <- cause
			for _, done := range []<-chan error{first, second, third} {
				err := <-done
				if !errors.Is(err, ErrCommitUnknown) || !errors.Is(err, cause) || errors.Is(err, ErrLogFailed) {
					t.Errorf("an accepted commit gets %v", err)
				}
			}
			x.wantDone(ckpt, ErrLogFailed)
			if _, err := x.commitOn(built, SyncFull, 5, 5); !errors.Is(err, ErrLogFailed) || errors.Is(err, ErrCommitUnknown) {
				t.Errorf("a transaction built on a lost one gets %v", err)
			}
			if _, err := queued.Wait(context.Background()); !errors.Is(err, ErrLogFailed) {
				t.Errorf("the next writer gets %v", err)
			}
			if _, err := x.RequestWrite(false); !errors.Is(err, ErrLogFailed) {
				t.Errorf("a later writer gets %v", err)
			}
			if _, err := x.Checkpoint(context.Background(), Truncate, CheckpointOptions{}); !errors.Is(err, ErrLogFailed) {
				t.Errorf("a checkpoint gets %v", err)
			}
			// The published snapshot, old and new readers.
			x.wantPageAt(st, mark.InFile(), 2, 1)
			x.Coordinator().EndRead(mark)
			x.wantPage(2, 1)
			if err := x.Failed(); !errors.Is(err, ErrLogFailed) || !errors.Is(err, cause) {
				t.Errorf("Failed is %v", err)
			}
			if n := x.Coordinator().Queued(); n != 0 {
				t.Errorf("%d still in the queue", n)
			}
		})
	}
}

// TestAbandonAfterPoison: what a transaction has read of a lost one must not
// look like the truth.
func TestAbandonAfterPoison(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	x.arm(faultdisk.OpSync, "-wal")
	lost := x.goCommit(SyncFull, 2, 2)
	<-x.entered
	w := x.begin()
	x.wantPageAt(w.Base, false, 2, 2)
	abandoned := make(chan error, 1)
	go func() { abandoned <- w.Abandon() }()
	x.disarm()
	x.release <- errors.New("broken")
	x.wantDone(lost, ErrCommitUnknown)
	x.wantDone(abandoned, ErrLogFailed)
}

// TestAbandonWaits: a transaction that only read on an accepted state ends after
// that is published.
func TestAbandonWaits(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	x.arm(faultdisk.OpSync, "-wal")
	done := x.goCommit(SyncFull, 2, 2)
	<-x.entered
	w := x.begin()
	abandoned := make(chan error, 1)
	go func() {
		err := w.Abandon()
		if err == nil && x.published().Seq < w.Base.Seq {
			err = errors.New("it ended before its base was published")
		}
		abandoned <- err
	}()
	// The place is free at once: the next writer does not wait for the sync.
	until(func() bool { r, err := x.RequestWrite(true); return err == nil && release(x, r) })
	x.disarm()
	x.release <- nil
	x.wantDone(done, nil)
	x.wantDone(abandoned, nil)
}

// release gives the place of a request back, if it was granted at once.
func release(x *testLog, r *WriterRequest) bool {
	if r.Answer() != nil {
		r.Cancel()
		return false
	}
	x.co.ReleaseWriter()
	return true
}

// TestPendingPages: pages that are accepted and not written yet are there for
// the next writer, and for nobody else.
func TestPendingPages(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	x.arm(faultdisk.OpWrite, "-wal")
	done := x.goCommit(SyncFull, 2, 2, 3)
	<-x.entered
	w := x.begin()
	x.wantPageAt(w.Base, false, 2, 2)
	x.wantPageAt(w.Base, false, 3, 2)
	x.wantPage(2, 1)
	if w.Base.DBSize != 3 || x.published().DBSize != 2 {
		t.Errorf("sizes: base %d, published %d", w.Base.DBSize, x.published().DBSize)
	}
	x.disarm()
	x.release <- nil
	x.wantDone(done, nil)
	if err := w.Abandon(); err != nil {
		t.Fatal(err)
	}
}

// TestNoSpace: a full disk fails the commit that finds it, and nothing else.
func TestNoSpace(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	full := x.d.Inject(faultdisk.Fault{Op: faultdisk.OpGrow, Sticky: true, Err: disk.ErrNoSpace, Suffix: "-wal"})
	big := make([]walformat.PageNo, 1000)
	for i := range big {
		big[i] = walformat.PageNo(i + 2)
	}
	if _, err := x.commitOn(x.begin(), SyncFull, 2, big...); !errors.Is(err, disk.ErrNoSpace) {
		t.Fatalf("a large commit on a full disk: %v", err)
	}
	x.commit(SyncFull, 3, 2) // fits in what is reserved
	x.wantPage(2, 3)
	full.Remove()
	x.commit(SyncFull, 4, big...)
	x.wantPage(1001, 4)
	if x.Failed() != nil {
		t.Error(x.Failed())
	}
}

// TestExtensionIsOptional: filling ahead may fail where the commit itself fits.
func TestExtensionIsOptional(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	x.wantPage(2, 1)
	used := int64(walformat.HeaderSize) + walformat.FrameHeaderSize + testPage
	if got := int64(len(x.read(logName))); got <= used || got%minChunk != 0 {
		t.Errorf("the log has %d bytes: not filled ahead", got)
	}
	if s := x.Stats(); s.Extensions != 1 {
		t.Errorf("%d extensions", s.Extensions)
	}
	x.commit(SyncFull, 2, 2)
	if s := x.Stats(); s.Extensions != 1 {
		t.Errorf("%d extensions for commits that fit", s.Extensions)
	}
}

// TestRequestCancelled: a cancelled wait leaves the
// place to others.
func TestRequestCancelled(t *testing.T) {
	x := newLog(t)
	w := x.begin()
	r, err := x.RequestWrite(false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := w.Abandon(); err != nil {
		t.Fatal(err)
	}
	x.commit(SyncFull, 1, 2)
}

// TestSetPageSize: only while the database is empty.
func TestSetPageSize(t *testing.T) {
	x := newLog(t)
	w := x.begin()
	if err := w.SetPageSize(1024); err == nil {
		t.Error("the page size of a database with pages changed")
	}
	w.Base.DBSize = 0
	if err := w.SetPageSize(1000); err == nil {
		t.Error("1000 is no page size")
	}
	if err := w.Abandon(); err != nil {
		t.Fatal(err)
	}
}

// TestUnsyncedCommitsAreWrittenOut: the device is told to begin after each 256
// KiB of commits that nobody syncs, and a failure of that is one of a sync.
func TestUnsyncedCommitsAreWrittenOut(t *testing.T) {
	x := newLog(t)
	const commits = 3 * appendOutBytes / (testPage + walformat.FrameHeaderSize)
	for i := range uint32(commits) {
		x.commit(SyncNormal, i, 2)
	}
	if n := x.d.Ops(faultdisk.OpStartWrite); n != 2 {
		t.Errorf("%d times in %d commits", n, commits)
	}
	x.d.FailAt(faultdisk.OpStartWrite, 1)
	for i := range uint32(commits) {
		_, err := x.commitOn(x.begin(), SyncNormal, i, 2)
		if err == nil {
			continue
		}
		if !errors.Is(err, ErrCommitUnknown) || !errors.Is(x.Failed(), ErrLogFailed) {
			t.Errorf("%v; the log: %v", err, x.Failed())
		}
		return
	}
	t.Error("the failure reached nobody")
}

// TestExtensionKeepsTheLimit: what is filled ahead is a small part of the limit,
// also of one that was set after the database was opened.
func TestExtensionKeepsTheLimit(t *testing.T) {
	x := newLog(t)
	x.SetLimits(Limits{LogBytes: 1 << 20})
	w := x.begin()
	for n := 1; n <= 1800; n += 30 {
		if err := w.Reserve(n); err != nil {
			t.Fatal(err)
		}
		size, err := x.Log.file.Size()
		if err != nil {
			t.Fatal(err)
		}
		if need := int64(x.hdr.Load().EndOffset(walformat.FrameNo(n))); size-need > minChunk {
			t.Fatalf("%d bytes are filled ahead of %d", size-need, need)
		}
	}
	if err := w.Abandon(); err != nil {
		t.Fatal(err)
	}
}
