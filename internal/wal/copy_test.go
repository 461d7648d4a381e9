package wal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/walformat"
)

// smallBatches makes a checkpoint of a small log one of many batches of four
// pages, with the device told to begin after each six.
func (x *testLog) smallBatches() {
	x.cfg.sizes = copySizes{batchBytes: 4 * (testPage + walformat.FrameHeaderSize), writeOutBytes: 6 * testPage}
}

// manyPages are pages 2 to 41, out of order: frames 1, 11, 21, 31, 2, 12, …
func manyPages() []walformat.PageNo {
	var pages []walformat.PageNo
	for i := range 40 {
		pages = append(pages, walformat.PageNo(2+i/4+i%4*10))
	}
	return pages
}

// copyNow copies with a PASSIVE checkpoint, or with an automatic one, which syncs
// each of its slices.
func (x *testLog) copyNow(auto bool) error {
	if !auto {
		_, err := x.Checkpoint(context.Background(), Passive, CheckpointOptions{})
		return err
	}
	if !x.beginAutoCheckpoint(1) {
		x.t.Error("an automatic checkpoint is under way")
	}
	return x.outcome.Load().err
}

// versionInDB is the version that page n of the database file has; 0: none.
func versionInDB(x *testLog, n walformat.PageNo) uint32 {
	b := x.read(dbName)
	if off := int(n-1) * testPage; off+testPage <= len(b) {
		return binary.BigEndian.Uint32(b[off+4:])
	}
	return 0
}

// TestCopyStopsAtDamage: nothing of the batch with the damaged frame is
// written, nor of those behind it, and everything before it is.
func TestCopyStopsAtDamage(t *testing.T) {
	for _, damaged := range manyPages() {
		synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left
			x := newLog(t)
			x.smallBatches()
			st := x.commit(SyncFull, 1, manyPages()...)
			log := x.read(logName)
			off := x.hdr.Load().FrameOffset(st.Index.Lookup(damaged, st.MaxFrame))
			log[int(off)+walformat.FrameHeaderSize+100] ^= 1
			if err := x.d.WriteFile(logName, log); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the lock is free again, and nothing else is left
				_, err := x.Checkpoint(context.Background(), Passive, CheckpointOptions{})
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), fmt.Sprintf("(page %d)", damaged)) {
					t.Fatalf("page %d is damaged: %v", damaged, err)
				}
			}
			first := 2 + (damaged-2)/4*4
			if damaged == 41 { // the commit frame, which is looked at before
				first = 2
			}
			for n := walformat.PageNo(2); n <= 41; n++ {
				if got := versionInDB(x, n); got == 1 != (n < first) {
					t.Errorf("page %d is damaged: page %d of the database file has version %d", damaged, n, got)
				}
			}
			if st := x.published(); st.NBackfill != 0 {
				t.Errorf("%d backfilled", st.NBackfill)
			}
		})
	}
}

// TestCopyFaults makes each operation of a copy fail, one after the other. The
// checkpoint fails, nothing is backfilled, no goroutine is left, and the next
// one writes everything again.
func TestCopyFaults(t *testing.T) {
	for _, c := range []struct {
		f     faultdisk.Fault
		auto  bool
		least int
	}{
		{faultdisk.Fault{Op: faultdisk.OpRead, Suffix: "-wal"}, false, 5},
		{faultdisk.Fault{Op: faultdisk.OpWrite, Suffix: "/db"}, false, 5},
		{faultdisk.Fault{Op: faultdisk.OpStartWrite}, false, 5},
		{faultdisk.Fault{Op: faultdisk.OpStartWrite, Effect: faultdisk.Nothing}, false, 5},
		{faultdisk.Fault{Op: faultdisk.OpSync, Suffix: "/db", Effect: faultdisk.Nothing}, false, 1},
		{faultdisk.Fault{Op: faultdisk.OpWrite, Suffix: "/db"}, true, 10},
		{faultdisk.Fault{Op: faultdisk.OpSync, Suffix: "/db", Effect: faultdisk.Nothing}, true, 10},
	} {
		f := c.f
		n := 1
		for fired := true; fired; n++ {
			synctest.Test(t, func(t *testing.T) {
				x := newLog(t)
				x.smallBatches()
				x.commit(SyncFull, 1, manyPages()...)
				f.N = n
				in := x.d.Inject(f)
				err := x.copyNow(c.auto)
				if fired = in.Fired(); !fired {
					in.Remove()
					return
				}
				if !errors.Is(err, faultdisk.ErrInjected) || x.published().NBackfill != 0 {
					t.Fatalf("%v %d: %v, %d backfilled", f.Op, n, err, x.published().NBackfill)
				}
				x.checkpoint(Passive)
				left := openLog(t, x.d.CrashKeepNone())
				for _, p := range manyPages() {
					left.wantDB(p, 1)
				}
			})
		}
		// The last n fired nothing.
		if ops := n - 2; ops < c.least {
			t.Errorf("%v, automatic %v: only %d operations", f.Op, c.auto, ops)
		}
	}
}

// TestCopyOrder: the log is synced first, the database file is written in page
// order, the device is told to begin in between, and the sync comes last. No
// frame beyond the safe one is read.
func TestCopyOrder(t *testing.T) {
	x := newLog(t)
	x.smallBatches()
	x.commit(SyncNormal, 1, manyPages()...)
	m, st := x.Coordinator().BeginRead()
	defer x.Coordinator().EndRead(m)
	x.commit(SyncNormal, 2, manyPages()...)
	end, hook := int64(x.hdr.Load().EndOffset(st.MaxFrame)), x.gate.hook
	x.takeTrace()
	x.d.SetHook(func(i faultdisk.OpInfo) error {
		if i.Op&faultdisk.OpRead != 0 && i.Off+i.Len > end {
			t.Errorf("read up to byte %d, the safe frame ends at %d", i.Off+i.Len, end)
		}
		return hook(i)
	})
	if _, err := x.Checkpoint(context.Background(), Passive, CheckpointOptions{}); err != nil {
		t.Fatal(err)
	}
	x.d.SetHook(nil)
	trace := x.takeTrace()
	if n := len(trace); trace[0] != "sync wal" || trace[n-1] != "sync db" {
		t.Error(trace)
	}
	count := map[string]int{}
	for _, op := range trace {
		count[strings.ReplaceAll(op, "+grow", "")]++
	}
	if count["write db"] != 10 || count["startwrite db"] != 5 || len(count) != 4 {
		t.Error(count)
	}
	for _, p := range manyPages() {
		x.wantDB(p, 1)
		x.wantPage(p, 2)
	}
}

// TestCopyCrash loses power before every change that a checkpoint makes, with
// the writes that the device began early durable or not. Nothing committed is
// lost, and the next checkpoint finds its way.
func TestCopyCrash(t *testing.T) {
	for _, auto := range []bool{false, true} {
		copyCrash(t, auto)
	}
}

func copyCrash(t *testing.T, auto bool) {
	x := newLog(t)
	x.smallBatches()
	x.commit(SyncFull, 1, manyPages()...)
	x.checkpoint(Passive)
	x.commit(SyncFull, 2, manyPages()...)
	var images []*faultdisk.Disk
	x.d.SetHook(func(i faultdisk.OpInfo) error {
		if i.Op&faultdisk.OpMutating != 0 {
			for seed := range int64(8) {
				images = append(images, x.d.Crash(seed+int64(len(images))))
			}
			images = append(images, x.d.CrashKeepNone(), x.d.CrashKeepAll())
		}
		return nil
	})
	if err := x.copyNow(auto); err != nil || x.published().NBackfill != x.published().MaxFrame {
		t.Errorf("%+v, %v", x.published(), err)
	}
	x.d.SetHook(nil)
	if len(images) < 150 {
		t.Errorf("only %d images", len(images))
	}
	for _, d := range images {
		left := openLog(t, d)
		left.smallBatches()
		for _, p := range manyPages() {
			left.wantPage(p, 2)
		}
		left.checkpoint(Truncate)
		for _, p := range manyPages() {
			left.wantDB(p, 2)
		}
	}
}

// TestCopyWaitsForItsLoader: a checkpoint that is given up in the middle
// returns after the read that is under way.
func TestCopyWaitsForItsLoader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newLog(t)
		x.smallBatches()
		x.commit(SyncFull, 1, manyPages()...)
		ctx, cancel := context.WithCancel(context.Background())
		var reads atomic.Int32
		var ended atomic.Bool
		x.d.SetHook(func(i faultdisk.OpInfo) error {
			if i.Op&faultdisk.OpRead != 0 && reads.Add(1) == 9 { // in the second batch
				cancel()
				<-time.After(time.Hour) // of the bubble's clock: when nothing else goes on
				ended.Store(true)
			}
			return nil
		})
		var progress []int
		_, err := x.Checkpoint(ctx, Passive, CheckpointOptions{Progress: func(done, _ int) { progress = append(progress, done) }})
		if !errors.Is(err, context.Canceled) || !ended.Load() {
			t.Errorf("%v, the loader has ended: %v", err, ended.Load())
		}
		if len(progress) > 1 || len(progress) == 1 && !slices.Equal(progress, []int{4}) {
			t.Errorf("progress %v", progress)
		}
		x.d.SetHook(nil)
		x.checkpoint(Passive)
		x.wantDB(41, 1)
	})
}
