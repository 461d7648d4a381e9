package walnut_test

// File systems whose identities do not last: a healthy database is not taken for
// one that was replaced.

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
)

// unstable makes identities up.
type unstable struct {
	*faultdisk.Disk
	last *atomic.Uint64
	// byName: only looks at names do so; else every handle has one of its own as
	// well, which lasts.
	byName bool
}

func (u unstable) Stat(name string) (disk.Info, error) {
	info, err := u.Disk.Stat(name)
	info.ID.Index = 1000 + u.last.Add(1)
	return info, err
}

func (u unstable) Open(name string, flag disk.OpenFlag) (disk.File, error) {
	f, err := u.Disk.Open(name, flag)
	if err != nil || u.byName {
		return f, err
	}
	return unstableFile{f, 1000 + u.last.Add(1)}, nil
}

type unstableFile struct {
	disk.File
	index uint64
}

func (f unstableFile) Stat() (disk.Info, error) {
	info, err := f.File.Stat()
	info.ID.Index = f.index
	return info, err
}

func TestUnstableIdentities(t *testing.T) {
	for _, byName := range []bool{true, false} {
		d := unstable{faultdisk.New(1), new(atomic.Uint64), byName}
		open := func() *walnut.DB {
			db, err := walnut.Open(movedDB, &walnut.Options{FS: d, AutoCheckpoint: -1})
			if err != nil {
				t.Fatal(err)
			}
			return db
		}
		db := open()
		for v := range byte(3) {
			other := open() // the same one
			if err := errors.Join(commitByte(db, walnut.SyncFull, v), commitByte(other, walnut.SyncFull, v), copied(db), other.Close()); err != nil {
				t.Errorf("by name alone: %v: %v", byName, err)
			}
			if _, err := db.Checkpoint(context.Background(), walnut.CheckpointTruncate, nil); err != nil {
				t.Error(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if got := names(t, d.Disk); got != movedDB {
			t.Errorf("there is %s", got)
		}
		// One that is gone is noticed also here.
		db = open()
		if err := errors.Join(commitByte(db, walnut.SyncFull, 1), d.Remove(movedDB)); err != nil {
			t.Fatal(err)
		}
		if err := commitByte(db, walnut.SyncFull, 2); !errors.Is(err, walnut.ErrMoved) {
			t.Errorf("removed: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if open := d.Handles(); len(open) > 0 {
			t.Errorf("open: %v", open)
		}
	}
}
