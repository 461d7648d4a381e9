// Keeping others out, on a disk in memory; package sqltest does it with a real
// SQLite in another process.

package coord

import (
	"errors"
	"testing"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/walformat"
)

func TestExclude(t *testing.T) {
	m := disk.NewMem()
	open := func() disk.File {
		f, err := m.Open("db", disk.Create)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	ours, theirs := open(), open()
	// SQLite's shared lock: one byte of the shared range.
	if err := theirs.Lock(walformat.PendingByte+2+17, 1, disk.Shared); err != nil {
		t.Fatal(err)
	}
	if err := Exclude(ours); !errors.Is(err, ErrBusy) {
		t.Fatalf("beside a reader: %v", err)
	}
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Exclude(ours); err != nil {
		t.Fatal(err)
	}
	later := open()
	for _, off := range []int64{0, 1, 2, 2 + walformat.SharedSize - 1} {
		if err := later.Lock(walformat.PendingByte+off, 1, disk.Shared); !errors.Is(err, disk.ErrLocked) {
			t.Errorf("lock byte %d is free: %v", off, err)
		}
	}
	if err := ours.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Exclude(later); err != nil {
		t.Errorf("after the close: %v", err)
	}
}
