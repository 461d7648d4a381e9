package walnut_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/walnutdb/walnut"
)

func TestBackupAndSnapshot(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	db, err := walnut.Open(filepath.Join(dir, "a.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	put := func(n walnut.PageNo, text string) {
		t.Helper()
		if err := db.Update(ctx, func(tx *walnut.Tx) error {
			p, err := tx.Write(n)
			if err == nil {
				copy(p, text)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	put(2, "two")
	put(600, "last")
	snap, err := db.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	put(2, "TWO")
	steps := 0
	if err := db.Backup(ctx, filepath.Join(dir, "copy.db"), &walnut.BackupOptions{Progress: func(done, total int) {
		steps++
		put(3, fmt.Sprint(done))
	}}); err != nil {
		t.Fatal(err)
	}
	if steps < 2 {
		t.Fatalf("%d steps", steps)
	}
	if err := db.Backup(ctx, filepath.Join(dir, "copy.db"), nil); err == nil {
		t.Fatal("a backup replaced a file")
	}
	if err := db.Backup(ctx, filepath.Join(dir, "a.db"), &walnut.BackupOptions{Overwrite: true}); err == nil {
		t.Fatal("a backup replaced its database")
	}
	c, err := walnut.Open(filepath.Join(dir, "copy.db"), &walnut.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.View(ctx, func(tx *walnut.Tx) error {
		two, _ := tx.Page(2)
		three, _ := tx.Page(3)
		last, err := tx.Page(600)
		if string(two[:3]) != "TWO" || three[0] != 0 || string(last[:4]) != "last" || tx.PageCount() != 600 {
			return fmt.Errorf("%q %q %q %d", two[:3], three[:3], last[:4], tx.PageCount())
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := c.Update(ctx, func(*walnut.Tx) error { return nil }); !errors.Is(err, walnut.ErrReadOnly) {
		t.Fatal(err)
	}
	if p, err := snap.Page(2); err != nil || string(p[:3]) != "two" {
		t.Fatalf("%q %v", p[:3], err)
	}
}
