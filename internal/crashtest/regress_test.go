// Single cases that the loops have found, or that need an order of goroutines
// which they seldom meet.

package crashtest

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/pager"
	"github.com/walnutdb/walnut/internal/walformat"
)

func mustSession(t *testing.T, s *session, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v\n%s", err, lastOps(s.disk))
	}
}

// The sync after an extension of the log fails, and drops commits at SyncNormal
// that a checkpoint is about to sync. The checkpoint's own sync then returns
// nil; it must not take that for the truth and copy frames that are nowhere.
func TestFailedExtensionBesideCheckpoint(t *testing.T) {
	w := workload{opt: page(512)}
	s := w.begin(1)
	mustSession(t, s, s.open())
	mustSession(t, s, commit(full, 3, 4).do(s))
	mustSession(t, s, commit(normal, 3, 4).do(s))
	s.disk.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: "-wal", Effect: faultdisk.Nothing})
	done := make(chan error, 1)
	s.disk.SetHook(func(op faultdisk.OpInfo) error {
		if op.Op&faultdisk.OpSync == 0 || !strings.HasSuffix(op.Name, "-wal") {
			return nil
		}
		s.disk.SetHook(nil)
		go func() { done <- s.checkpoint(passive) }()
		for waiting := 0; waiting < 2; runtime.Gosched() {
			buf := make([]byte, 1<<20)
			waiting = strings.Count(string(buf[:runtime.Stack(buf, true)]), "wal.(*Log).syncFile(")
		}
		return nil
	})
	if err := bulk(5, 300).do(s); !errors.Is(err, walnut.ErrLogFailed) {
		t.Errorf("the commit whose extension failed: %v", err)
	}
	if err := <-done; !errors.Is(err, walnut.ErrLogFailed) {
		t.Errorf("the checkpoint beside it: %v", err)
	}
	mustSession(t, s, s.close())
	s = newSession(s.disk.CrashKeepNone(), s.opt, &history{versions: s.h.versions, full: 1, acked: 1})
	mustSession(t, s, s.open())
	mustSession(t, s, s.close())
}

// A truncation of the database file that a failed sync has dropped is made
// again, though the size already shows; also by the next process.
func TestDroppedTruncation(t *testing.T) {
	for _, next := range []string{"retried", "killed"} {
		t.Run(next, func(t *testing.T) {
			w := workload{opt: page(512)}
			s := w.begin(1)
			mustSession(t, s, s.open())
			mustSession(t, s, bulk(3, 40).do(s))
			mustSession(t, s, s.checkpoint(passive))
			mustSession(t, s, resize(5, 3).do(s))
			s.disk.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: "app.db", Effect: faultdisk.Nothing})
			if err := s.checkpoint(passive); !errors.Is(err, faultdisk.ErrInjected) {
				t.Fatalf("checkpoint: %v", err)
			}
			if next == "killed" {
				s.loose = true
				old := s.db
				s = newSession(s.disk.Kill(1), s.opt, s.h)
				t.Cleanup(func() { _ = old.Close() })
				mustSession(t, s, s.open())
			}
			mustSession(t, s, s.checkpoint(passive))
			mustSession(t, s, s.close())
			s = newSession(s.disk.CrashKeepNone(), s.opt, s.h)
			mustSession(t, s, s.open())
			mustSession(t, s, s.close())
		})
	}
}

// What an interrupted creation leaves is an empty database, also if the size
// of the first write has survived without its bytes, or a part of them.
func TestInterruptedCreation(t *testing.T) {
	page1 := walformat.NewPage1(4096)
	hole := append([]byte(nil), page1[:512]...)
	clear(hole[16:30])
	for name, data := range map[string][]byte{
		"size without bytes": make([]byte, 512), "74 bytes": page1[:74], "105 bytes": page1[:105], "one zero": {0},
		"a sector with a hole": hole,
	} {
		t.Run(name, func(t *testing.T) {
			w := workload{opt: page(4096)}
			s := w.begin(1)
			if err := s.disk.WriteFile(dbPath, data); err != nil {
				t.Fatal(err)
			}
			mustSession(t, s, s.open())
			mustSession(t, s, commit(full, 3).do(s))
			mustSession(t, s, s.reopen())
			mustSession(t, s, s.close())
		})
	}
	d := faultdisk.New(1)
	if err := d.WriteFile(dbPath, []byte("no database")); err != nil {
		t.Fatal(err)
	}
	if _, err := walnut.Open(dbPath, &walnut.Options{FS: d}); !errors.Is(err, pager.ErrNotDatabase) {
		t.Errorf("a short file of another kind: %v", err)
	}
}

// A connection whose creation of the database failed, and was tried again,
// counts its page cache's version ahead of the engine. What another connection
// commits then must not look like what the first has in its cache.
func TestCacheAfterFailedCreation(t *testing.T) {
	w := &sqlWorkload{name: "x", setup: small, conns: 2, steps: []sqlStep{
		do(create), do(insert(1, 5, 20)), do(insert(6, 6, 900)),
	}}
	for failures := range 4 {
		s := w.begin(t, 1)
		if err := s.open(); err != nil {
			t.Fatal(err)
		}
		for range failures {
			s.disk.Inject(faultdisk.Fault{Op: faultdisk.OpWrite})
			if err := s.step(1); err == nil {
				t.Fatal("the creation did not fail")
			}
		}
		for i := 1; i <= 3; i++ {
			if err := s.step(i); err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.find(i, i); err != nil {
				t.Errorf("after %d failures, step %d: %v", failures, i, err)
			}
		}
		s.end()
	}
}

// What a killed process left unsynced in a directory, the next one's SyncDir
// makes durable (this is faultdisk's own business, found by the loop).
func TestKillKeepsDirectoryChanges(t *testing.T) {
	d := faultdisk.New(1)
	db, err := walnut.Open(dbPath, &walnut.Options{FS: d})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	k := d.Kill(1)
	if err := k.SyncDir("/data"); err != nil {
		t.Fatal(err)
	}
	if files := k.CrashKeepNone().Files(); len(files) != 1 {
		t.Errorf("after SyncDir and a power failure: %v", files)
	}
	if err := db.View(context.Background(), func(*walnut.Tx) error { return nil }); err != nil {
		t.Error(err)
	}
}
