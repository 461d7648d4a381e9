// What the engine says of itself: readers, writers, events, the Logger.

package walnut_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
)

func TestReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openAt(t, disk.NewMem(), walnut.Options{AutoCheckpoint: -1})
		write(t, db, 'a', 1, 2, 3)
		tx, err := db.Begin(walnut.WithLabel(ctx, "report"), &walnut.TxOptions{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		write(t, db, 'b', 2)
		write(t, db, 'c', 2)
		snap, err := db.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		in := make(chan struct{})
		go func() {
			_ = db.View(ctx, func(*walnut.Tx) error { <-in; return nil })
		}()
		synctest.Wait()

		r := db.Readers()
		if len(r) != 3 {
			t.Fatalf("%d readers: %+v", len(r), r)
		}
		if x := r[0]; x.Label != "report" || x.Age != 4*time.Second || x.AtLeast || x.CommitsBehind != 2 || x.CommitSeq != 1 ||
			x.Frame != 3 || x.LogFrames == 0 || x.LogBytes != int64(x.LogFrames)*4120 || x.Mark < 1 || x.Detached || x.InFile {
			t.Errorf("the report: %+v", x)
		}
		if x := r[1]; x.Age != time.Second || x.CommitsBehind != 0 || x.LogFrames != 0 || x.Label != "" {
			t.Errorf("the snapshot: %+v", x)
		}
		// A View without a label counts from when it was first seen.
		if x := r[2]; x.Age != 0 || !x.AtLeast {
			t.Errorf("the view: %+v", x)
		}
		time.Sleep(time.Second)
		if x := db.Readers()[2]; x.Age != time.Second || !x.AtLeast {
			t.Errorf("the view, seen again: %+v", x)
		}
		close(in)
		snap.Close()
		_ = tx.Rollback()
		synctest.Wait()
		if r := db.Readers(); len(r) != 0 {
			t.Errorf("left: %+v", r)
		}
		// All is in the file: readers need it only.
		if _, err := db.Checkpoint(ctx, walnut.CheckpointTruncate, nil); err != nil {
			t.Fatal(err)
		}
		_ = db.View(ctx, func(*walnut.Tx) error {
			write(t, db, 'd', 3)
			if x := db.Readers()[0]; !x.InFile || x.Mark != 0 || x.LogFrames == 0 {
				t.Errorf("in the file: %+v", x)
			}
			if st := db.Stats(); !st.Blocked || st.Marks[0].Readers != 1 {
				t.Errorf("blocked %v, marks %v", st.Blocked, st.Marks)
			}
			return nil
		})
	})
}

func TestWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openAt(t, disk.NewMem(), walnut.Options{})
		write(t, db, 'a', 1, 2)
		if w := db.Writers(); len(w) != 0 {
			t.Fatalf("%+v", w)
		}
		tx, err := db.Begin(walnut.WithLabel(ctx, "import"), nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		var wg sync.WaitGroup
		wg.Go(func() {
			_ = db.Update(walnut.WithLabel(ctx, "user 7"), func(*walnut.Tx) error { return nil })
		})
		synctest.Wait()
		time.Sleep(time.Second)
		wg.Go(func() { _, _ = db.Checkpoint(walnut.WithLabel(ctx, "nightly"), walnut.CheckpointFull, nil) })
		synctest.Wait()
		w := db.Writers()
		if len(w) != 3 {
			t.Fatalf("%+v", w)
		}
		if x := w[0]; x.Label != "import" || x.Waiting || x.Age != 2*time.Second || x.Maintenance {
			t.Errorf("the first: %+v", x)
		}
		if x := w[1]; x.Label != "user 7" || !x.Waiting || x.Age != time.Second {
			t.Errorf("the second: %+v", x)
		}
		if x := w[2]; x.Label != "full checkpoint of nightly" || !x.Waiting || !x.Maintenance {
			t.Errorf("the third: %+v", x)
		}
		_ = tx.Rollback()
		wg.Wait()
		if st := db.Stats(); len(db.Writers()) != 0 || st.WriterWait.Count != 1 || st.WriterWait.Max != uint64(time.Second) {
			t.Errorf("%+v, waits %+v", db.Writers(), st.WriterWait)
		}
	})
}

// TestUpgradeBesideHold: a reader that wants to write is one whom a held writer
// waits for; it is told so at once.
func TestUpgradeBesideHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := small()
		o.FS, o.MaxWriterHold, o.ReaderGrace = disk.NewMem(), time.Second, time.Hour
		w := newWorld(t, o, 20)
		for w.db.Stats().LogFrames < w.db.Stats().LimitFrames {
			w.random(3)
		}
		old := w.read(ctx) // keeps the log, so that the writer is held
		w.db.Stats()
		up, err := w.db.Begin(ctx, &walnut.TxOptions{Deferred: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := up.Page(2); err != nil {
			t.Fatal(err)
		}
		held := make(chan error)
		go func() { held <- w.db.Update(walnut.WithLabel(ctx, "held"), func(*walnut.Tx) error { return nil }) }()
		time.Sleep(100 * time.Millisecond)
		if l := w.db.Writers(); len(l) != 1 || !l[0].Held || l[0].Label != "held" {
			t.Fatalf("%+v", l)
		}
		begin := time.Now()
		if _, err := up.Write(2); !errors.Is(err, walnut.ErrBusy) || time.Since(begin) > 0 {
			t.Errorf("the upgrade: %v after %v", err, time.Since(begin))
		}
		_ = up.Rollback()
		old.end()
		if err := <-held; err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d > 10*time.Millisecond {
			t.Errorf("the writer went on %v after the readers", d)
		}
		if st := w.db.Stats(); st.Restarts != 1 {
			t.Errorf("%d restarts", st.Restarts)
		}
		if err := w.db.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestEvents(t *testing.T) {
	fsys := faultdisk.New(1)
	var mu sync.Mutex
	got := map[walnut.EventKind][]walnut.Event{}
	o := walnut.Options{OnEvent: func(e walnut.Event) {
		mu.Lock()
		got[e.Kind] = append(got[e.Kind], e)
		mu.Unlock()
	}}
	db := openAt(t, fsys, o)
	write(t, db, 'a', 1, 2, 3)
	write(t, db, 'b', 2)
	if _, err := db.Checkpoint(ctx, walnut.CheckpointRestart, nil); err != nil {
		t.Fatal(err)
	}
	write(t, db, 'c', 2)
	in := fsys.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: "-wal"})
	err := db.Update(ctx, func(tx *walnut.Tx) error { _, err := tx.Write(3); return err })
	wantErr(t, err, walnut.ErrCommitUnknown, "")
	in.Remove()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	// Close has waited for the last event.
	mu.Lock()
	defer mu.Unlock()
	if e := got[walnut.EventCommit]; len(e) != 3 || e[0].Frames != 3 || e[0].Commits != 1 || e[1].CommitSeq != 2 || e[2].Generation != 2 || e[0].Time.IsZero() {
		t.Errorf("commits: %+v", e)
	}
	if e := got[walnut.EventCheckpoint]; len(e) != 1 || e[0].Mode != walnut.CheckpointRestart || e[0].Auto || e[0].Pages != 3 || e[0].Backfilled != 4 {
		t.Errorf("checkpoints: %+v", e)
	}
	if e := got[walnut.EventRestart]; len(e) != 1 || e[0].Generation != 2 || e[0].Frames != 4 || e[0].Truncated {
		t.Errorf("restarts: %+v", e)
	}
	if e := got[walnut.EventLogFailed]; len(e) != 1 || !errors.Is(e[0].Err, walnut.ErrLogFailed) {
		t.Errorf("failures: %+v", e)
	}
	if e := got[walnut.EventRecovery]; len(e) != 0 {
		t.Errorf("recoveries of a new database: %+v", e)
	}

	var recovered []walnut.Event
	db = openAt(t, fsys, walnut.Options{OnEvent: func(e walnut.Event) {
		if e.Kind == walnut.EventRecovery {
			recovered = append(recovered, e)
		}
	}})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if len(recovered) != 1 || recovered[0].Frames == 0 || recovered[0].Commits == 0 || recovered[0].Bytes == 0 {
		t.Errorf("recovered: %+v", recovered)
	}
}

// TestSlowReceiver: the engine does not wait for a receiver of events, and tells
// it what it has lost.
func TestSlowReceiver(t *testing.T) {
	gate, told := make(chan struct{}), make(chan struct{}, 10000)
	var missed uint64
	events := 0
	db := openAt(t, disk.NewMem(), walnut.Options{AutoCheckpoint: -1, OnEvent: func(e walnut.Event) {
		<-gate
		events++
		missed += e.Missed
		told <- struct{}{}
	}})
	const n = 3000
	for range n {
		write(t, db, 'x', 2)
	}
	close(gate)
	<-told
	<-told               // so the queue has room again
	write(t, db, 'y', 2) // the one that tells of those that were lost
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if missed == 0 || events+int(missed) < n {
		t.Errorf("%d events, %d missed of %d", events, missed, n)
	}
}

func TestLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return out.Write(p)
		}), nil))
		lines := func(text string) (n int) {
			mu.Lock()
			defer mu.Unlock()
			for l := range strings.Lines(out.String()) {
				if strings.Contains(l, text) {
					n++
				}
			}
			return n
		}
		fsys := faultdisk.New(1)
		db := openAt(t, fsys, walnut.Options{AutoCheckpoint: 5, Logger: log, SlowSync: 100 * time.Millisecond})
		write(t, db, 'a', 1, 2, 3)

		tx, err := db.Begin(walnut.WithLabel(ctx, "nightly report"), &walnut.TxOptions{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		for range 120 {
			write(t, db, 'b', 2, 3)
			time.Sleep(time.Second)
		}
		const reader = `msg="a reader keeps the log`
		if n := lines(reader); n < 2 || n > 6 {
			t.Errorf("%d warnings of a reader of two minutes", n)
		}
		if lines(`label="nightly report"`) == 0 {
			t.Error("the label is not told")
		}
		if n := lines(`msg="checkpoints cannot finish"`); n < 2 || n > 6 {
			t.Errorf("%d warnings of checkpoints", n)
		}
		_ = tx.Rollback()

		held, err := db.Begin(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- db.Update(walnut.WithLabel(ctx, "patient"), func(*walnut.Tx) error { return nil }) }()
		time.Sleep(5 * time.Second)
		_ = held.Rollback()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		fsys.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: "-wal", Effect: faultdisk.Slow, Delay: time.Second})
		write(t, db, 'c', 2)
		fsys.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: "-wal"})
		if err := db.Update(ctx, func(tx *walnut.Tx) error { _, err := tx.Write(3); return err }); err == nil {
			t.Fatal("no error")
		}
		synctest.Wait()
		for text, want := range map[string]int{`msg="a writer waited long`: 1, "label=patient": 1, `msg="a sync was slow`: 1, `level=ERROR msg="the log has failed`: 1} {
			if n := lines(text); n != want {
				t.Errorf("%d lines with %q, want %d", n, text, want)
			}
		}
		_ = db.Close()
		if t.Failed() {
			t.Log(out.String())
		}
	})
}

// lines is a Logger's output.
type lines struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

// with counts the lines that have a text.
func (l *lines) with(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.out.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// TestLoggerOfLimit: what happens to a log at its limit is told, and not too often;
// so is what a crash left, and a checkpoint that fails.
func TestLoggerOfLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lines
		o := small()
		fsys := faultdisk.New(1)
		o.FS, o.MaxWriterHold, o.ReaderGrace, o.SlowWriter = fsys, 20*time.Millisecond, 30*time.Second, time.Hour
		o.Logger = slog.New(slog.NewTextHandler(&out, nil))
		o.AutoCheckpoint = 10
		w := newWorld(t, o, 90) // one transaction, larger than the limit
		s := w.read(walnut.WithLabel(ctx, "stays"))
		for range 60 {
			w.random(3)
			time.Sleep(time.Second)
		}
		s.checkAndEnd(t)
		for st := w.db.Stats(); st.LogFrames == st.Backfilled; st = w.db.Stats() {
			w.random(1)
		}
		in := fsys.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: ".db"})
		if _, err := w.db.Checkpoint(ctx, walnut.CheckpointFull, nil); err == nil {
			t.Fatal("no error")
		}
		in.Remove()
		left := fsys.Kill(1)
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
		o.FS = left
		again, err := walnut.Open(w.db.Path(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		for text, want := range map[string]int{
			`msg="one transaction is larger than MaxLogSize`: 1, `msg="a reader stayed too long`: 1, "label=stays": 2,
			`msg="a checkpoint failed`: 1, `msg="the log was recovered`: 1,
		} {
			if n := out.with(text); n < want || n > want+2 {
				t.Errorf("%d lines with %q, want %d", n, text, want)
			}
		}
		// A hold each second, told every ten.
		if n := out.with(`a writer was held in vain`); n < 2 || n > 5 {
			t.Errorf("%d lines of holds", n)
		}
		if t.Failed() {
			t.Log(out.out.String())
		}
	})
}

func TestEventNames(t *testing.T) {
	for k, want := range map[walnut.EventKind]string{walnut.EventCommit: "commit", walnut.EventLogFailed: "log failed", walnut.EventSlowSync: "slow sync", 0: "unknown", 99: "unknown"} {
		if k.String() != want {
			t.Errorf("%d is %q", k, k.String())
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestCheckpoints(t *testing.T) {
	db := openAt(t, disk.NewMem(), walnut.Options{AutoCheckpoint: -1})
	for i := range 70 {
		write(t, db, byte(i), 2)
		if _, err := db.Checkpoint(ctx, walnut.CheckpointPassive, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Checkpoint(ctx, walnut.CheckpointTruncate, nil); err != nil {
		t.Fatal(err)
	}
	l := db.Checkpoints()
	if len(l) != 64 || l[63].Mode != walnut.CheckpointTruncate || l[62].Mode != walnut.CheckpointPassive || l[62].Pages != 1 || l[62].Auto || l[0].Ago < l[63].Ago {
		t.Errorf("%d checkpoints, the last: %+v", len(l), l[max(0, len(l)-2):])
	}
	if st := db.Stats(); st.CheckpointTime.Count != 71 || st.DatabaseBytes != 4096*71 {
		t.Errorf("%d checkpoints took time, %d bytes", st.CheckpointTime.Count, st.DatabaseBytes)
	}
}

func TestHistograms(t *testing.T) {
	if walnut.SizeBound(3) != 8 || walnut.DurationBound(10) != 1024*time.Microsecond {
		t.Error("bounds")
	}
	db := openAt(t, disk.NewMem(), walnut.Options{})
	for range 10 {
		write(t, db, 'a', 2)
	}
	st := db.Stats()
	for name, h := range map[string]walnut.Histogram{"groups": st.GroupSizes, "log syncs": st.LogSyncTime} {
		sum := uint64(0)
		for _, n := range h.Buckets {
			sum += n
		}
		if sum != h.Count || h.Count < 10 || h.Max > h.Sum {
			t.Errorf("%s: %+v", name, h)
		}
	}
	if st.GroupSizes.Buckets[0] != 10 || st.GroupSizes.Count != st.Groups || st.LogSyncTime.Count != st.LogSyncs {
		t.Errorf("groups %+v of %d, syncs %d of %d", st.GroupSizes, st.Groups, st.LogSyncTime.Count, st.LogSyncs)
	}
}

// TestHoldEndsWithTheContext: a writer whose context has ended is held no longer.
func TestHoldEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := small()
		o.FS, o.MaxWriterHold, o.ReaderGrace = disk.NewMem(), time.Hour, 2*time.Hour
		w := newWorld(t, o, 20)
		for w.db.Stats().LogFrames < w.db.Stats().LimitFrames {
			w.random(3)
		}
		old := w.read(ctx)
		begin := time.Now()
		limited, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		tx, err := w.db.Begin(limited, nil)
		if d := time.Since(begin); d > 2*time.Second {
			t.Errorf("held for %v", d)
		}
		if err == nil {
			err = tx.Commit(limited)
		}
		wantErr(t, err, context.DeadlineExceeded, "")
		old.end()
	})
}

// TestLogBytesAfterRestart: a log that has begun anew is as long as it was.
func TestLogBytesAfterRestart(t *testing.T) {
	db := openAt(t, disk.NewMem(), walnut.Options{})
	write(t, db, 'a', 1, 2, 3)
	before := db.Stats().LogBytes
	if _, err := db.Checkpoint(ctx, walnut.CheckpointRestart, nil); err != nil {
		t.Fatal(err)
	}
	if n := db.Stats().LogBytes; n != before || n == 0 {
		t.Errorf("%d bytes before the restart, %d after", before, n)
	}
	if _, err := db.Checkpoint(ctx, walnut.CheckpointTruncate, nil); err != nil {
		t.Fatal(err)
	}
	if n := db.Stats().LogBytes; n != 0 {
		t.Errorf("%d bytes after it was cut", n)
	}
}

// TestRecoveryEventInOpen: Open may be called with a lock that OnEvent takes.
func TestRecoveryEventInOpen(t *testing.T) {
	d := faultdisk.New(1)
	db := openAt(t, d, walnut.Options{})
	write(t, db, 'a', 1, 2, 3)
	left := d.Kill(1)
	_ = db.Close()
	var mu sync.Mutex
	var got []walnut.EventKind
	mu.Lock()
	again, err := walnut.Open(db.Path(), &walnut.Options{FS: left, OnEvent: func(e walnut.Event) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, e.Kind)
	}})
	mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	write(t, again, 'b', 2)
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if len(got) < 2 || got[0] != walnut.EventRecovery {
		t.Errorf("events: %v", got)
	}
}

// TestLargeTransactionSaysWhose: the event tells whom to ask for less at a time.
func TestLargeTransactionSaysWhose(t *testing.T) {
	o := small()
	told := make(chan walnut.Event, 10)
	o.OnEvent = func(e walnut.Event) {
		if e.Kind == walnut.EventLimit {
			told <- e
		}
	}
	w := newWorld(t, o, 10)
	err := w.db.Update(walnut.WithLabel(ctx, "import"), func(tx *walnut.Tx) error {
		_, err := tx.Write(200)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if e := <-told; e.Label != "import" {
		t.Errorf("%+v", e)
	}
}

// TestBackupSaysWhose: a backup is a reader, with the label of its context.
func TestBackupSaysWhose(t *testing.T) {
	w := newWorld(t, small(), 10)
	for label, bctx := range map[string]context.Context{"backup": ctx, "nightly": walnut.WithLabel(ctx, "nightly")} {
		o := walnut.BackupOptions{Progress: func(int, int) {
			if r := w.db.Readers(); len(r) != 1 || r[0].Label != label {
				t.Errorf("%q: %+v", label, r)
			}
		}}
		if err := w.db.Backup(bctx, filepath.Join(t.TempDir(), "b.db"), &o); err != nil {
			t.Fatal(err)
		}
	}
}
