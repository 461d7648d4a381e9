package wal

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/walformat"
)

// longLog is a log of several pieces (see scanReadSize) as a crash leaves it,
// all of it acknowledged: two transactions, of pages 2 to 1501 each.
func longLog(t *testing.T) *faultdisk.Disk {
	x := newLog(t)
	var pages []walformat.PageNo
	for i := range 1500 {
		pages = append(pages, walformat.PageNo(i+2))
	}
	x.commit(SyncFull, 1, pages...)
	x.commit(SyncFull, 2, pages...)
	return x.d.CrashKeepNone()
}

// recoverLog opens the log on the disk and closes it again, and tells the frames
// that it found. The device is told to begin after each piece.
func recoverLog(t *testing.T, d *faultdisk.Disk) (walformat.FrameNo, error) {
	t.Helper()
	db, err := d.Open(dbName, 0)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	r, err := Inspect(d, logName, 0)
	if err != nil {
		return 0, err
	}
	l, err := r.Start(Config{FS: d, DB: db, PageSize: testPage, DBSize: 1, sizes: copySizes{writeOutBytes: scanReadSize / 2}})
	if err != nil {
		return 0, err
	}
	defer l.file.Close()
	return l.Coordinator().Published().MaxFrame, nil
}

// TestRewriteFaults makes each operation of a recovery fail, one after the
// other: it fails as a whole, leaves no goroutine and no open file, and the
// next one finds everything.
func TestRewriteFaults(t *testing.T) {
	before := longLog(t)
	for _, op := range []faultdisk.Op{faultdisk.OpRead, faultdisk.OpWrite, faultdisk.OpStartWrite, faultdisk.OpSync} {
		n := 1
		for fired := true; fired; n++ {
			synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left
				d := before.CrashKeepAll()
				in := d.Inject(faultdisk.Fault{Op: op, N: n, Suffix: "-wal"})
				_, err := recoverLog(t, d)
				if fired = in.Fired(); fired != (err != nil) || fired && !errors.Is(err, faultdisk.ErrInjected) {
					t.Fatalf("%v %d: %v", op, n, err)
				}
				if open := d.Handles(); len(open) > 0 {
					t.Fatalf("%v %d: left open: %q", op, n, open)
				}
				// A crash in between changes nothing: what was durable stays so.
				for _, d := range []*faultdisk.Disk{d.Kill(int64(n)), d.Crash(int64(n)), d.CrashKeepNone()} {
					if got, err := recoverLog(t, d); err != nil || got != 3000 {
						t.Fatalf("after %v %d: %d frames, %v", op, n, got, err)
					}
				}
			})
		}
		if least := map[faultdisk.Op]int{faultdisk.OpRead: 10, faultdisk.OpWrite: 7, faultdisk.OpStartWrite: 6, faultdisk.OpSync: 1}[op]; n-2 < least {
			t.Errorf("%v: only %d operations", op, n-2)
		}
	}
}

// TestRewriteVerifies: a frame that is another one when it is written again, as
// when its page has left the cache since the scan and the device never had it,
// is not published.
func TestRewriteVerifies(t *testing.T) {
	for _, at := range []walformat.FrameNo{1, 489, 490, 1500, 2999, 3000} {
		d := longLog(t)
		log, err := d.ReadFile(logName)
		if err != nil {
			t.Fatal(err)
		}
		h, err := walformat.ParseHeader(log)
		if err != nil {
			t.Fatal(err)
		}
		d.SetHook(func(i faultdisk.OpInfo) error {
			if i.Op&faultdisk.OpWrite != 0 {
				d.SetHook(nil)
				clear(log[h.FrameOffset(at):h.EndOffset(at)])
				return d.WriteFile(logName, log)
			}
			return nil
		})
		if got, err := recoverLog(t, d); !errors.Is(err, ErrCorrupt) {
			t.Errorf("frame %d: %d frames, %v", at, got, err)
		}
		want := walformat.FrameNo(1500) // what is there, when it is looked at again
		if at <= 1500 {
			want = 0
		}
		if got, err := recoverLog(t, d); err != nil || got != want {
			t.Errorf("frame %d, opened again: %d frames, %v", at, got, err)
		}
	}
}

// TestStartWriteIsOptional: a file without the power is written and synced.
func TestStartWriteIsOptional(t *testing.T) {
	m := disk.NewMem()
	f, err := m.Open("f", disk.Create)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := writeOut{file: f, every: 1}
	if err := w.wrote(0, 10); err != nil {
		t.Fatal(err)
	}
}
