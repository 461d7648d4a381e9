// The public face: transactions, options, waiting, statistics.

package walnut_test

import (
	"context"
	"errors"
	"io/fs"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
)

var ctx = context.Background()

func wantErr(t testing.TB, err, target error, text string) {
	t.Helper()
	switch {
	case err == nil:
		t.Fatalf("no error, want %v %q", target, text)
	case target != nil && !errors.Is(err, target), !strings.Contains(err.Error(), text):
		t.Fatalf("error %q, want %v %q", err, target, text)
	}
}

func page(t testing.TB, db *walnut.DB, n walnut.PageNo) byte {
	t.Helper()
	var v byte
	if err := db.View(ctx, func(tx *walnut.Tx) error {
		p, err := tx.Page(n)
		if err == nil {
			v = p[200]
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestUpdate(t *testing.T) {
	db := openAt(t, disk.NewMem(), walnut.Options{})
	write(t, db, 'a', 1, 2)
	boom := errors.New("boom")
	if err := db.Update(ctx, func(tx *walnut.Tx) error {
		if p, err := tx.Write(2); err == nil {
			p[200] = 'x'
		}
		return boom
	}); !errors.Is(err, boom) {
		t.Error(err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = db.Update(ctx, func(tx *walnut.Tx) error {
			p, _ := tx.Write(2)
			p[200] = 'y'
			panic("in the middle")
		})
	}()
	if v := page(t, db, 2); v != 'a' {
		t.Errorf("page 2 is %c", v)
	}
	write(t, db, 'b', 2) // nothing is left locked
	if s := db.Stats(); s.OpenTransactions != 0 || s.Commits != 2 || s.PageCount != 2 || s.PageSize != walnut.DefaultPageSize {
		t.Errorf("%+v", s)
	}
	if db.Path() != dbPath || db.PageSize() != walnut.DefaultPageSize {
		t.Error(db.Path(), db.PageSize())
	}
}

// TestTxLifeCycle: what ends a transaction, and what it then refuses.
func TestTxLifeCycle(t *testing.T) {
	db := openAt(t, disk.NewMem(), walnut.Options{PageSize: 1024})
	tx, err := db.Begin(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Write(3); err != nil {
		t.Fatal(err)
	}
	if tx.PageCount() != 3 || tx.PageSize() != 1024 {
		t.Errorf("%d pages of %d bytes", tx.PageCount(), tx.PageSize())
	}
	wantErr(t, db.Close(), walnut.ErrTxOpen, "")
	if _, err := tx.Savepoint(); err != nil {
		t.Fatal(err)
	}
	if err := tx.SetPageCount(9); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(tx.RollbackTo(1), tx.Release(1), tx.Commit(ctx)); err != nil {
		t.Fatal(err)
	}
	tx.Rollback() // does nothing
	wantErr(t, tx.Commit(ctx), walnut.ErrTxDone, "")
	if n := db.Stats().PageCount; n != 3 {
		t.Errorf("%d pages", n)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = db.Begin(cancelled, nil)
	wantErr(t, err, context.Canceled, "")
	tx, err = db.Begin(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Write(4); err != nil {
		t.Fatal(err)
	}
	wantErr(t, tx.Commit(cancelled), context.Canceled, "") // rolled back
	write(t, db, 'a', 2)
	if n := db.Stats().PageCount; n != 3 {
		t.Errorf("%d pages", n)
	}
	ro, err := db.Begin(ctx, &walnut.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = ro.Write(1)
	wantErr(t, err, walnut.ErrReadOnly, "")
	wantErr(t, ro.SetPageCount(1), walnut.ErrReadOnly, "")
	ro.Rollback()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	_, err = db.Begin(ctx, nil)
	wantErr(t, err, walnut.ErrClosed, "")
	_, err = db.Checkpoint(ctx, walnut.CheckpointPassive, nil)
	wantErr(t, err, walnut.ErrClosed, "")
}

func TestDeferred(t *testing.T) {
	db := openAt(t, disk.NewMem(), walnut.Options{PageSize: 512})
	write(t, db, 'a', 2)
	deferred := &walnut.TxOptions{Deferred: true}
	tx, err := db.Begin(ctx, deferred)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Page(2); err != nil {
		t.Fatal(err)
	}
	stale, err := db.Begin(ctx, deferred)
	if err != nil {
		t.Fatal(err)
	}
	p, err := tx.Write(2)
	if err != nil {
		t.Fatal(err)
	}
	p[200] = 'b'
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err = stale.Write(3)
		wantErr(t, err, walnut.ErrSnapshotStale, "")
		_, err = stale.Savepoint()
		wantErr(t, err, walnut.ErrSnapshotStale, "")
	}
	if err := stale.Commit(ctx); err != nil {
		t.Errorf("it only read: %v", err)
	}
	if v := page(t, db, 2); v != 'b' {
		t.Errorf("page 2 is %c", v)
	}
}

// TestWaiting: for the writer's place, not at all, until a context ends, or
// until it comes.
func TestWaiting(t *testing.T) {
	m := disk.NewMem()
	db := openAt(t, m, walnut.Options{PageSize: 512})
	hasty := openAt(t, m, walnut.Options{BusyTimeout: -1})
	short := openAt(t, m, walnut.Options{BusyTimeout: 1})
	tx, err := db.Begin(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = hasty.Begin(ctx, nil)
	wantErr(t, err, walnut.ErrBusy, "")
	_, err = short.Begin(ctx, nil)
	wantErr(t, err, walnut.ErrBusy, "waited")
	cancelled, cancel := context.WithCancel(ctx)
	got := make(chan error)
	go func() { _, err := db.Begin(cancelled, nil); got <- err }()
	for db.Stats().QueuedWriters != 1 {
		runtime.Gosched()
	}
	cancel()
	wantErr(t, <-got, context.Canceled, "")
	var order []int
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			if err := db.Update(ctx, func(*walnut.Tx) error { order = append(order, i); return nil }); err != nil {
				t.Error(err)
			}
		})
		for db.Stats().QueuedWriters != i+1 {
			runtime.Gosched()
		}
	}
	tx.Rollback()
	wg.Wait()
	for i, n := range order {
		if i != n {
			t.Fatalf("order %v", order)
		}
	}
	if r, err := hasty.Checkpoint(ctx, walnut.CheckpointTruncate, nil); err != nil || r.Busy {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []walnut.Options{{PageSize: 1000}, {PageSize: 131072}, {Sync: 9}} {
		m := disk.NewMem()
		o.FS = m
		_, err := walnut.Open(dbPath, &o)
		wantErr(t, err, nil, "must be")
		if len(m.Files()) != 0 {
			t.Errorf("%v", m.Files())
		}
	}
	_, err := walnut.Open(dbPath, &walnut.Options{FS: disk.NewMem(), MustExist: true})
	wantErr(t, err, fs.ErrNotExist, dbPath)
	db := openAt(t, disk.NewMem(), walnut.Options{})
	_, err = db.Checkpoint(ctx, walnut.CheckpointMode(77), nil)
	wantErr(t, err, nil, "77")
}

// TestSyncLevels: how many syncs commits take, by the DB's level and their own.
func TestSyncLevels(t *testing.T) {
	db := openAt(t, disk.NewMem(), walnut.Options{Sync: walnut.SyncNormal, PageSize: 512})
	write(t, db, 'a', 1)
	full := walnut.SyncFull
	for _, c := range []struct {
		o     *walnut.TxOptions
		syncs uint64
	}{{nil, 0}, {&walnut.TxOptions{Sync: &full}, 1}, {&walnut.TxOptions{}, 0}} {
		before := db.Stats().LogSyncs
		tx, err := db.Begin(ctx, c.o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Write(1); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		if n := db.Stats().LogSyncs - before; n != c.syncs {
			t.Errorf("%+v: %d syncs, want %d", c.o, n, c.syncs)
		}
	}
}

// TestAutoActions: each can be forbidden, for a DB and for a transaction.
func TestAutoActions(t *testing.T) {
	run := func(o walnut.Options, tx *walnut.TxOptions) walnut.Stats {
		o.PageSize = 512
		// On this disk, an automatic checkpoint ends before its commit returns.
		db := openAt(t, faultdisk.New(1), o)
		for range 20 {
			x, err := db.Begin(ctx, tx)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := x.Write(2); err != nil {
				t.Fatal(err)
			}
			if err := x.Commit(ctx); err != nil {
				t.Fatal(err)
			}
		}
		return db.Stats()
	}
	if s := run(walnut.Options{AutoCheckpoint: 4}, nil); s.Checkpoints == 0 || s.Restarts == 0 {
		t.Errorf("by default: %d checkpoints, %d restarts", s.Checkpoints, s.Restarts)
	}
	for name, s := range map[string]walnut.Stats{
		"DB":          run(walnut.Options{AutoCheckpoint: -1}, nil),
		"transaction": run(walnut.Options{AutoCheckpoint: 4}, &walnut.TxOptions{NoAutoCheckpoint: true}),
	} {
		if s.Checkpoints != 0 {
			t.Errorf("%s without automatic checkpoints: %d", name, s.Checkpoints)
		}
	}
	for name, s := range map[string]walnut.Stats{
		"DB":          run(walnut.Options{AutoCheckpoint: 4, NoAutoRestart: true}, nil),
		"transaction": run(walnut.Options{AutoCheckpoint: 4}, &walnut.TxOptions{NoAutoRestart: true}),
	} {
		if s.Checkpoints == 0 || s.Restarts != 0 {
			t.Errorf("%s without automatic restarts: %d checkpoints, %d restarts", name, s.Checkpoints, s.Restarts)
		}
	}
}

// TestManyWriters through the public face: a counter that each adds to.
func TestManyWriters(t *testing.T) {
	db := openAt(t, disk.NewMem(), walnut.Options{PageSize: 512, AutoCheckpoint: 10})
	write(t, db, 0, 2)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				if err := db.Update(ctx, func(tx *walnut.Tx) error {
					p, err := tx.Write(2)
					if err == nil {
						p[200]++
					}
					return err
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if v := page(t, db, 2); v != 200 {
		t.Errorf("%d additions are there, want 200", v)
	}
	if s := db.Stats(); s.Commits != 201 || s.QueuedWriters+s.OpenTransactions != 0 {
		t.Errorf("%+v", s)
	}
}
