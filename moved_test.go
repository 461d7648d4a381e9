package walnut_test

// The database or its log, removed, renamed or replaced while it is open: it is
// noticed before a commit at full is acknowledged, before a checkpoint or a new
// generation writes, and on closing; and what lies there by then stays as it is.

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk/faultdisk"
)

const movedDB, movedLog = "/data/app.db", "/data/app.db-wal"

// foreign is what somebody else puts in the place of a file.
const foreign = "somebody else's file, not to be touched"

// moves are what may happen to the files of an open database.
var moves = []struct {
	name string
	do   func(d *faultdisk.Disk) error
}{
	{"database removed", func(d *faultdisk.Disk) error { return d.Remove(movedDB) }},
	{"database renamed", func(d *faultdisk.Disk) error { return d.Rename(movedDB, "/data/old.db") }},
	{"database replaced", func(d *faultdisk.Disk) error { return replaced(d, movedDB) }},
	{"log removed", func(d *faultdisk.Disk) error { return d.Remove(movedLog) }},
	{"log replaced", func(d *faultdisk.Disk) error { return replaced(d, movedLog) }},
	{"both replaced", func(d *faultdisk.Disk) error { return errors.Join(replaced(d, movedDB), replaced(d, movedLog)) }},
}

func replaced(d *faultdisk.Disk, name string) error {
	if err := d.WriteFile("/data/new", []byte(foreign)); err != nil {
		return err
	}
	return d.Rename("/data/new", name)
}

func openMoved(t *testing.T, d *faultdisk.Disk) *walnut.DB {
	t.Helper()
	db, err := walnut.Open(movedDB, &walnut.Options{FS: d, AutoCheckpoint: -1})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// commitByte commits one page.
func commitByte(db *walnut.DB, level walnut.SyncLevel, v byte) error {
	tx, err := db.Begin(context.Background(), &walnut.TxOptions{Sync: &level})
	if err != nil {
		return err
	}
	p, err := tx.Write(2)
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	p[0] = v
	return tx.Commit(context.Background())
}

// names is what lies on the disk, with the content of what is foreign.
func names(t *testing.T, d *faultdisk.Disk) string {
	t.Helper()
	var list []string
	for _, name := range d.Files() {
		b, err := d.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if string(b) == foreign {
			name += " (foreign)"
		}
		list = append(list, name)
	}
	return strings.Join(list, ", ")
}

func TestMoved(t *testing.T) {
	ctx := context.Background()
	notices := []struct {
		name   string
		before func(db *walnut.DB) error // the files are moved
		notice func(db *walnut.DB) error
		unsure bool // the error is also ErrCommitUnknown
	}{
		{"commit", nil, func(db *walnut.DB) error { return commitByte(db, walnut.SyncFull, 2) }, true},
		{"commit after unsynced ones", nil, func(db *walnut.DB) error {
			return errors.Join(commitByte(db, walnut.SyncNormal, 2), commitByte(db, walnut.SyncOff, 3), commitByte(db, walnut.SyncFull, 4))
		}, true},
		{"checkpoint of what is synced", nil, func(db *walnut.DB) error {
			_, err := db.Checkpoint(ctx, walnut.CheckpointPassive, nil)
			return err
		}, false},
		{"restart by a checkpoint", copied, func(db *walnut.DB) error {
			_, err := db.Checkpoint(ctx, walnut.CheckpointRestart, nil)
			return err
		}, false},
		{"truncation", copied, func(db *walnut.DB) error {
			_, err := db.Checkpoint(ctx, walnut.CheckpointTruncate, nil)
			return err
		}, false},
		{"restart by a writer", copied, func(db *walnut.DB) error { return commitByte(db, walnut.SyncOff, 2) }, false},
	}
	for _, m := range moves {
		for _, n := range notices {
			t.Run(m.name+"/"+n.name, func(t *testing.T) {
				d := faultdisk.New(1)
				db := openMoved(t, d)
				if err := commitByte(db, walnut.SyncFull, 1); err != nil {
					t.Fatal(err)
				}
				reader, err := db.Begin(ctx, &walnut.TxOptions{ReadOnly: true})
				if err != nil {
					t.Fatal(err)
				}
				if n.before != nil { // a reader would keep the log from being begun anew
					if err := errors.Join(reader.Rollback(), n.before(db)); err != nil {
						t.Fatal(err)
					}
					if reader, err = db.Begin(ctx, &walnut.TxOptions{ReadOnly: true}); err != nil {
						t.Fatal(err)
					}
				}
				if err := m.do(d); err != nil {
					t.Fatal(err)
				}
				before := names(t, d)
				err = n.notice(db)
				if !errors.Is(err, walnut.ErrMoved) || errors.Is(err, walnut.ErrCommitUnknown) != n.unsure {
					t.Errorf("%v", err)
				}
				wantRefused(t, db)
				if p, err := reader.Page(2); err != nil || p[0] != 1 {
					t.Errorf("a reader of a published snapshot: %v", err)
				}
				if err := errors.Join(reader.Rollback(), db.Close()); err != nil {
					t.Errorf("close: %v", err)
				}
				if after := names(t, d); after != before {
					t.Errorf("there was %s, now there is %s", before, after)
				}
			})
		}
	}
}

func copied(db *walnut.DB) error {
	_, err := db.Checkpoint(context.Background(), walnut.CheckpointPassive, nil)
	return err
}

// wantRefused: nothing is written any more.
func wantRefused(t *testing.T, db *walnut.DB) {
	t.Helper()
	_, cerr := db.Checkpoint(context.Background(), walnut.CheckpointPassive, nil)
	for _, err := range []error{commitByte(db, walnut.SyncOff, 9), cerr, db.Stats().Failed} {
		if !errors.Is(err, walnut.ErrLogFailed) || !errors.Is(err, walnut.ErrMoved) {
			t.Errorf("afterwards: %v", err)
		}
	}
}

// TestMovedUnnoticedUntilClose: closing removes nothing, and says so, whether
// there is something to copy or not.
func TestMovedUnnoticedUntilClose(t *testing.T) {
	for _, m := range moves {
		for _, before := range []func(*walnut.DB) error{
			func(*walnut.DB) error { return nil },
			func(db *walnut.DB) error { return commitByte(db, walnut.SyncOff, 2) },
			copied,
		} {
			d := faultdisk.New(1)
			db := openMoved(t, d)
			if err := errors.Join(commitByte(db, walnut.SyncFull, 1), before(db), m.do(d)); err != nil {
				t.Fatal(err)
			}
			there := names(t, d)
			if err := db.Close(); !errors.Is(err, walnut.ErrMoved) {
				t.Errorf("%s: %v", m.name, err)
			}
			if after := names(t, d); after != there {
				t.Errorf("%s: there was %s, now there is %s", m.name, there, after)
			}
			if open := d.Handles(); len(open) > 0 {
				t.Errorf("%s: open: %v", m.name, open)
			}
		}
	}
}

// TestMovedAndPutBack: what was acknowledged is there again with the file.
func TestMovedAndPutBack(t *testing.T) {
	d := faultdisk.New(1)
	db := openMoved(t, d)
	if err := errors.Join(commitByte(db, walnut.SyncFull, 7), d.Rename(movedDB, "/data/old.db")); err != nil {
		t.Fatal(err)
	}
	if err := commitByte(db, walnut.SyncFull, 8); !errors.Is(err, walnut.ErrMoved) {
		t.Fatal(err)
	}
	if err := d.Rename("/data/old.db", movedDB); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, db) // until it is opened again
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openMoved(t, d)
	defer db.Close()
	if err := db.View(context.Background(), func(tx *walnut.Tx) error {
		p, err := tx.Page(2)
		if err == nil && p[0] < 7 {
			err = fmt.Errorf("page 2 has %d", p[0])
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if err := commitByte(db, walnut.SyncFull, 9); err != nil {
		t.Error(err)
	}
}

// TestLogCreatedBesideAnotherFile: a database that had no log yet makes none
// beside a file that is not its own, nor over one that has appeared.
func TestLogCreatedBesideAnotherFile(t *testing.T) {
	for name, move := range map[string]func(d *faultdisk.Disk) error{
		"removed":  func(d *faultdisk.Disk) error { return d.Remove(movedDB) },
		"replaced": func(d *faultdisk.Disk) error { return replaced(d, movedDB) },
		"log":      func(d *faultdisk.Disk) error { return d.WriteFile(movedLog, []byte(foreign)) },
	} {
		d := faultdisk.New(1)
		db := openMoved(t, d)
		if err := errors.Join(commitByte(db, walnut.SyncFull, 1), db.Close()); err != nil {
			t.Fatal(err)
		}
		db = openMoved(t, d)
		if err := move(d); err != nil {
			t.Fatal(err)
		}
		before := names(t, d)
		if err := commitByte(db, walnut.SyncOff, 2); !errors.Is(err, walnut.ErrMoved) || errors.Is(err, walnut.ErrCommitUnknown) {
			t.Errorf("%s: %v", name, err)
		}
		wantRefused(t, db)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if after := names(t, d); after != before {
			t.Errorf("%s: there was %s, now there is %s", name, before, after)
		}
	}
}

// TestOpenInThePlaceOfAnOpenOne: two engines never share the name of a log.
func TestOpenInThePlaceOfAnOpenOne(t *testing.T) {
	for name, c := range map[string]struct {
		move func(d *faultdisk.Disk) error
		open string
	}{
		"removed":          {func(d *faultdisk.Disk) error { return d.Remove(movedDB) }, movedDB},
		"replaced":         {func(d *faultdisk.Disk) error { return replaced(d, movedDB) }, movedDB},
		"by its new name":  {func(d *faultdisk.Disk) error { return d.Rename(movedDB, "/data/old.db") }, "/data/old.db"},
		"in its old place": {func(d *faultdisk.Disk) error { return d.Rename(movedDB, "/data/old.db") }, movedDB},
		"under the old one": {func(d *faultdisk.Disk) error {
			return errors.Join(d.Rename(movedDB, "/data/old.db"), replaced(d, movedDB))
		}, "/data/old.db"},
	} {
		d := faultdisk.New(1)
		db := openMoved(t, d)
		if err := errors.Join(commitByte(db, walnut.SyncFull, 1), c.move(d)); err != nil {
			t.Fatal(err)
		}
		before := names(t, d)
		other, err := walnut.Open(c.open, &walnut.Options{FS: d})
		if !errors.Is(err, walnut.ErrMoved) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			_ = other.Close()
		}
		if after := names(t, d); after != before {
			t.Errorf("%s: there was %s, now there is %s", name, before, after)
		}
		if err := db.Close(); !errors.Is(err, walnut.ErrMoved) {
			t.Errorf("%s: close: %v", name, err)
		}
		// The place is free now; what lies there is judged as any other file.
		if other, err = walnut.Open(c.open, &walnut.Options{FS: d}); errors.Is(err, walnut.ErrMoved) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			_ = other.Close()
		}
	}
}

// TestLookupFails: a lookup that fails says nothing of the file. Commits go on,
// but no name is acted on: closing keeps the log.
func TestLookupFails(t *testing.T) {
	d := faultdisk.New(1)
	db := openMoved(t, d)
	if err := commitByte(db, walnut.SyncFull, 1); err != nil {
		t.Fatal(err)
	}
	in := d.Inject(faultdisk.Fault{Op: faultdisk.OpStat, Sticky: true})
	if err := errors.Join(commitByte(db, walnut.SyncFull, 2), copied(db)); err != nil && !errors.Is(err, faultdisk.ErrInjected) {
		t.Error(err)
	}
	if err := commitByte(db, walnut.SyncFull, 3); err != nil {
		t.Error(err)
	}
	if err := db.Close(); !errors.Is(err, faultdisk.ErrInjected) {
		t.Errorf("close: %v", err)
	}
	if got := names(t, d); got != movedDB+", "+movedLog {
		t.Errorf("there is %s", got)
	}
	in.Remove()
	db = openMoved(t, d)
	if err := db.Close(); err != nil || names(t, d) != movedDB {
		t.Errorf("%v, %s", err, names(t, d))
	}
}

// TestMovedBesideACheckpoint: a checkpoint writes nothing into a database that
// was moved before it, and does not count what it wrote into one that was moved
// while it wrote.
func TestMovedBesideACheckpoint(t *testing.T) {
	for _, at := range []faultdisk.Op{0, faultdisk.OpSync} {
		d := faultdisk.New(1)
		db := openMoved(t, d)
		if err := commitByte(db, walnut.SyncFull, 1); err != nil {
			t.Fatal(err)
		}
		before, err := d.ReadFile(movedDB)
		if err != nil {
			t.Fatal(err)
		}
		move := func() error { return d.Rename(movedDB, "/data/old.db") }
		if at == 0 {
			if err := move(); err != nil {
				t.Fatal(err)
			}
		} else {
			d.SetHook(func(i faultdisk.OpInfo) error {
				if i.Op&at != 0 && i.Name == movedDB {
					d.SetHook(nil)
					return move()
				}
				return nil
			})
		}
		if err := copied(db); !errors.Is(err, walnut.ErrMoved) {
			t.Errorf("%v", err)
		}
		if after, err := d.ReadFile("/data/old.db"); err != nil || at == 0 && string(after) != string(before) {
			t.Errorf("the moved database was written: %v", err)
		}
		if st := db.Stats(); st.Backfilled != 0 {
			t.Errorf("%d frames count as copied", st.Backfilled)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
