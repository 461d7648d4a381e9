// Contexts that have ended, databases that are closed, options that are none.

package walnut_test

import (
	"context"
	"errors"
	"testing"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk"
)

func TestEndedAndClosed(t *testing.T) {
	m := disk.NewMem()
	db := openAt(t, m, walnut.Options{})
	write(t, db, 1, 2)
	calls := map[string]func(context.Context) error{
		"view":     func(ctx context.Context) error { return db.View(ctx, func(*walnut.Tx) error { return nil }) },
		"update":   func(ctx context.Context) error { return db.Update(ctx, func(*walnut.Tx) error { return nil }) },
		"snapshot": func(ctx context.Context) error { _, err := db.Snapshot(ctx); return err },
		"backup":   func(ctx context.Context) error { return db.Backup(ctx, "/dir/copy.db", nil) },
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for name, call := range calls {
		if err := call(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a context that has ended: %v", name, err)
		}
	}
	tx, err := db.Begin(ctx, &walnut.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.SetPageCount(9); !errors.Is(err, walnut.ErrReadOnly) {
		t.Errorf("a reader sets the size: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	calls["checkpoint"] = func(ctx context.Context) error {
		_, err := db.Checkpoint(ctx, walnut.CheckpointPassive, nil)
		return err
	}
	for name, call := range calls {
		if err := call(ctx); !errors.Is(err, walnut.ErrClosed) {
			t.Errorf("%s of a closed database: %v", name, err)
		}
	}
	if _, err := m.ReadFile("/dir/copy.db"); err == nil {
		t.Error("there is a copy")
	}
}

func TestNoSuchMode(t *testing.T) {
	db := openAt(t, disk.NewMem(), walnut.Options{})
	if _, err := db.Checkpoint(ctx, walnut.CheckpointTruncate+1, nil); err == nil {
		t.Error("a mode that is none")
	}
	for name, o := range map[string]walnut.Options{
		"page size": {PageSize: 1000}, "immutable and writable": {Immutable: true}, "sync level": {Sync: walnut.SyncOff + 1},
	} {
		o.FS = disk.NewMem()
		if _, err := walnut.Open(dbPath, &o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A snapshot says what it is of, whatever is committed beside it.
func TestSnapshotOf(t *testing.T) {
	m := disk.NewMem()
	db := openAt(t, m, walnut.Options{PageSize: 1024})
	write(t, db, 1, 3)
	s, err := db.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	write(t, db, 2, 5)
	if s.PageSize() != 1024 || s.PageCount() != 3 || s.CommitSeq() != 1 {
		t.Errorf("pages of %d bytes, %d of them, commit %d", s.PageSize(), s.PageCount(), s.CommitSeq())
	}
	s.Close()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	only := openAt(t, m, walnut.Options{ReadOnly: true})
	if _, err := only.Checkpoint(ctx, walnut.CheckpointPassive, nil); !errors.Is(err, walnut.ErrReadOnly) {
		t.Errorf("a checkpoint of a database that is open for reading: %v", err)
	}
}
