// A log that is not starved: readers that stay are detached, and go on reading
// what they read (Options.MaxLogSize).

package walnut_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk"
)

// small are limits that a test reaches: 64 frames, and readers detached at once.
// A writer is held for as long as the machine needs for that, and no time is too
// long: what a test finds then does not depend on it.
func small() *walnut.Options {
	return &walnut.Options{MaxLogSize: 64 * 4120, MaxWriterHold: time.Hour, ReaderGrace: -1, Sync: walnut.SyncNormal}
}

// content is what page n holds as of write k.
func content(n, k int) []byte {
	b := make([]byte, 4096)
	r := rand.NewChaCha8([32]byte{byte(n), byte(k), byte(k >> 8)})
	_, _ = r.Read(b)
	binary.LittleEndian.PutUint64(b, uint64(n)<<32|uint64(k))
	return b
}

// world is a database of random pages and what each commit made of them.
type world struct {
	t     *testing.T
	db    *walnut.DB
	ctx   context.Context // of what it writes
	state map[int]int     // page: the write that it holds
	size  int
	k     int
	rng   *rand.Rand
}

func newWorld(t *testing.T, o *walnut.Options, pages int) *world {
	t.Helper()
	db, err := walnut.Open(filepath.Join(t.TempDir(), "a.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, db: db, ctx: context.Background(), state: map[int]int{}, size: 1, rng: rand.New(rand.NewPCG(1, 2))}
	list := make([]int, 0, pages)
	for n := 2; n <= pages; n++ {
		list = append(list, n)
	}
	w.write(list...)
	return w
}

// write commits new content for the pages.
func (w *world) write(pages ...int) {
	w.t.Helper()
	w.k++
	err := w.db.Update(w.ctx, func(tx *walnut.Tx) error {
		for _, n := range pages {
			p, err := tx.Write(walnut.PageNo(n))
			if err != nil {
				return err
			}
			copy(p, content(n, w.k))
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, n := range pages {
		w.state[n] = w.k
		w.size = max(w.size, n)
	}
}

// random writes some pages of those that there are.
func (w *world) random(count int) {
	w.t.Helper()
	seen := map[int]bool{}
	var list []int
	for len(list) < count {
		if n := 2 + w.rng.IntN(w.size-1); !seen[n] {
			seen[n] = true
			list = append(list, n)
		}
	}
	w.write(list...)
}

// cut makes the database smaller.
func (w *world) cut(size int) {
	w.t.Helper()
	if err := w.db.Update(context.Background(), func(tx *walnut.Tx) error { return tx.SetPageCount(uint32(size)) }); err != nil {
		w.t.Fatal(err)
	}
	for n := size + 1; n <= w.size; n++ {
		delete(w.state, n)
	}
	w.size = size
}

// pager is what reads pages: a Tx, a Snapshot.
type pager interface {
	Page(walnut.PageNo) ([]byte, error)
	PageCount() uint32
}

// snap is a reader and what it must see.
type snap struct {
	p    pager
	want map[int]int
	end  func()
}

func (w *world) read(ctx context.Context) *snap {
	w.t.Helper()
	tx, err := w.db.Begin(ctx, &walnut.TxOptions{ReadOnly: true})
	if err != nil {
		w.t.Fatal(err)
	}
	s := &snap{p: tx, want: map[int]int{}, end: func() { _ = tx.Rollback() }}
	for n, k := range w.state {
		s.want[n] = k
	}
	return s
}

// check reads all pages of the snapshot.
func (s *snap) check(t *testing.T) {
	t.Helper()
	for n, k := range s.want {
		p, err := s.p.Page(walnut.PageNo(n))
		if err != nil {
			t.Fatalf("page %d: %v", n, err)
		}
		if !bytes.Equal(p, content(n, k)) {
			v := binary.LittleEndian.Uint64(p)
			t.Fatalf("page %d holds write %d of page %d, not %d", n, uint32(v), v>>32, k)
		}
	}
}

func TestReaderIsDetached(t *testing.T) {
	for _, where := range []string{"in the log", "in the file"} {
		t.Run(where, func(t *testing.T) {
			w := newWorld(t, small(), 50)
			if where == "in the file" {
				if _, err := w.db.Checkpoint(context.Background(), walnut.CheckpointFull, nil); err != nil {
					t.Fatal(err)
				}
			}
			s := w.read(walnut.WithLabel(context.Background(), "stays"))
			for range 300 {
				w.random(3)
			}
			st := w.db.Stats()
			if st.Detached != 1 || st.ReadersDetached != 1 || st.Restarts == 0 {
				t.Fatalf("detached %d, now %d, restarts %d", st.Detached, st.ReadersDetached, st.Restarts)
			}
			if most := st.LimitFrames + 10; st.LogFrames > most {
				t.Errorf("the log has %d frames, the limit is %d", st.LogFrames, st.LimitFrames)
			}
			if st.SideImages == 0 || st.SideImages > 50 {
				t.Errorf("%d images are kept of 50 pages", st.SideImages)
			}
			r := w.db.Readers()
			if len(r) != 1 || r[0].Label != "stays" || !r[0].Detached || r[0].Mark != -1 || r[0].LogFrames != 0 || r[0].CommitsBehind != 300 {
				t.Errorf("readers: %+v", r)
			}
			if st.OpenTransactions != 1 {
				t.Errorf("%d transactions are open", st.OpenTransactions)
			}
			s.check(t)
			s.end()
			if st := w.db.Stats(); st.ReadersDetached != 0 || st.SideImages != 0 || st.SideBytes != 0 || st.OpenTransactions != 0 {
				t.Errorf("after its end: %d detached, %d images, %d bytes, %d open", st.ReadersDetached, st.SideImages, st.SideBytes, st.OpenTransactions)
			}
			w.read(context.Background()).checkAndEnd(t)
		})
	}
}

func (s *snap) checkAndEnd(t *testing.T) {
	t.Helper()
	s.check(t)
	s.end()
}

// TestDetachedOnDifferentSnapshots: readers that begin at different times, under
// growth and cuts, each see their own to the end, in whichever order they go.
func TestDetachedOnDifferentSnapshots(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, small(), 40)
			w.rng = rand.New(rand.NewPCG(seed, 3))
			var open []*snap
			for range 400 {
				switch i := w.rng.IntN(20); {
				case i == 0 && len(open) < 6:
					open = append(open, w.read(context.Background()))
				case i == 1 && len(open) > 0:
					k := w.rng.IntN(len(open))
					open[k].checkAndEnd(t)
					open = append(open[:k], open[k+1:]...)
				case i == 2 && len(open) > 0:
					open[w.rng.IntN(len(open))].check(t)
				case i == 3 && w.size > 30:
					w.cut(w.size - 1 - w.rng.IntN(15))
				case i == 4:
					w.write(w.size+1, w.size+2+w.rng.IntN(5))
				default:
					w.random(1 + w.rng.IntN(5))
				}
			}
			if st := w.db.Stats(); st.Detached < 2 || st.Restarts == 0 {
				t.Errorf("%d detached, %d restarts: the test shows little", st.Detached, st.Restarts)
			}
			for _, s := range open {
				s.checkAndEnd(t)
			}
			w.read(context.Background()).checkAndEnd(t)
			if st := w.db.Stats(); st.SideBytes != 0 || st.OpenTransactions != 0 {
				t.Errorf("%d bytes of images, %d open transactions at the end", st.SideBytes, st.OpenTransactions)
			}
		})
	}
}

// TestDetachBesideReads: readers that read all the time, while they are detached
// beneath a read, and writers that overwrite what they read.
func TestDetachBesideReads(t *testing.T) {
	o := small()
	o.PoolBytes = 1 // so that pages are read and not found
	w := newWorld(t, o, 60)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s, err := w.db.Snapshot(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				first := make([]uint64, s.PageCount()+1)
				for round := range 20 {
					for n := 2; n <= int(s.PageCount()); n++ {
						p, err := s.Page(walnut.PageNo(n))
						if err != nil {
							t.Error(err)
							s.Close()
							return
						}
						v := binary.LittleEndian.Uint64(p)
						if round == 0 {
							first[n] = v
						}
						if v>>32 != uint64(n) || v != first[n] || !bytes.Equal(p, content(n, int(uint32(v)))) {
							t.Errorf("page %d: write %d, first %d", n, uint32(v), uint32(first[n]))
							s.Close()
							return
						}
					}
				}
				s.Close()
			}
		})
	}
	for w.db.Stats().Detached < 20 && !t.Failed() {
		w.random(4)
	}
	close(stop)
	wg.Wait()
}

// TestManyAreDetached: more readers than there are marks, on as many snapshots,
// so that some share a mark below their own.
func TestManyAreDetached(t *testing.T) {
	o := small()
	o.MaxSideBytes = 8 * 30 * 4096 // each may need another image of each page
	w := newWorld(t, o, 30)
	var open []*snap
	for range 8 {
		open = append(open, w.read(context.Background()))
		w.random(2)
	}
	for range 200 {
		w.random(3)
	}
	if st := w.db.Stats(); st.ReadersDetached != 8 || st.LogFrames > st.LimitFrames+10 {
		t.Errorf("%d of 8 are detached, the log has %d frames", st.ReadersDetached, st.LogFrames)
	}
	for _, i := range []int{3, 0, 7, 5, 1, 2, 6, 4} {
		open[i].checkAndEnd(t)
		w.random(3)
	}
}

// TestGrace: a reader is detached when it has stayed for so long after the limit
// was reached, and not before; until then each writer is held for a moment, and
// then goes on.
func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []walnut.Event
		o := small()
		o.FS = disk.NewMem()
		o.MaxWriterHold, o.ReaderGrace = 100*time.Millisecond, 450*time.Millisecond
		o.OnEvent = func(e walnut.Event) { events = append(events, e) }
		w := newWorld(t, o, 20)
		s := w.read(walnut.WithLabel(context.Background(), "a report"))
		time.Sleep(time.Hour) // the age before the limit does not count
		for w.db.Stats().LogFrames < w.db.Stats().LimitFrames {
			w.random(3)
		}
		begin := time.Now()
		holds := 0
		for w.db.Stats().Detached == 0 {
			before := time.Now()
			w.random(3)
			holds++
			if d := time.Since(before); d > o.MaxWriterHold {
				t.Errorf("a writer was held for %v", d)
			}
		}
		if d := time.Since(begin); d < 400*time.Millisecond || d > 700*time.Millisecond || holds < 4 {
			t.Errorf("detached after %v and %d holds", d, holds)
		}
		for range 100 {
			w.random(3)
		}
		s.checkAndEnd(t)
		synctest.Wait()
		var held, detached int
		for _, e := range events {
			switch e.Kind {
			case walnut.EventHold:
				if held++; e.Duration > o.MaxWriterHold {
					t.Errorf("held: %+v", e)
				}
			case walnut.EventDetach:
				if detached++; e.Label != "a report" || e.Duration < time.Hour {
					t.Errorf("detached: %+v", e)
				}
			}
		}
		if held < 4 || detached != 1 {
			t.Errorf("%d holds and %d detached in the events", held, detached)
		}
		if st := w.db.Stats(); st.WriterHold.Count != uint64(held) || st.WriterHold.Sum < uint64(400*time.Millisecond) {
			t.Errorf("holds in the figures: %+v", st.WriterHold)
		}
		if err := w.db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestShortReadersAreNotDetached: those that end within the grace stay what they
// are, and the log begins anew.
func TestShortReadersAreNotDetached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := small()
		o.FS = disk.NewMem()
		o.MaxWriterHold, o.ReaderGrace = 200*time.Millisecond, time.Second
		w := newWorld(t, o, 20)
		stop := make(chan struct{})
		var readers sync.WaitGroup
		for i := range 4 {
			readers.Go(func() {
				time.Sleep(time.Duration(i) * 13 * time.Millisecond)
				for {
					select {
					case <-stop:
						return
					default:
					}
					if err := w.db.View(context.Background(), func(tx *walnut.Tx) error {
						time.Sleep(50 * time.Millisecond)
						_, err := tx.Page(3)
						return err
					}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for range 500 {
			w.random(3)
			time.Sleep(time.Millisecond)
			if st := w.db.Stats(); st.LogFrames > st.LimitFrames+10 {
				t.Fatalf("the log has %d frames, the limit is %d", st.LogFrames, st.LimitFrames)
			}
		}
		close(stop)
		readers.Wait()
		if st := w.db.Stats(); st.Detached != 0 || st.Restarts < 5 {
			t.Errorf("%d detached, %d restarts", st.Detached, st.Restarts)
		}
		if err := w.db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestSideFull: what does not fit into the side file stays in the log, which may
// exceed its limit then, and everybody reads on; writers are not held for it all
// the time.
func TestSideFull(t *testing.T) {
	o := small()
	o.MaxSideBytes = 5 * 4096
	told := make(chan struct{})
	tell := sync.OnceFunc(func() { close(told) })
	o.OnEvent = func(e walnut.Event) {
		if e.Kind == walnut.EventHold && strings.Contains(e.WaitedFor, "the side file is full") {
			tell()
		}
	}
	w := newWorld(t, o, 40)
	s := w.read(context.Background())
	for range 150 {
		w.random(3)
	}
	st := w.db.Stats()
	if st.SideBytes > o.MaxSideBytes || st.ReadersDetached != 1 {
		t.Errorf("%d bytes are saved, %d detached", st.SideBytes, st.ReadersDetached)
	}
	if st.LogFrames < 2*st.LimitFrames {
		t.Errorf("the log has only %d frames: what was overwritten?", st.LogFrames)
	}
	if st.WriterHold.Count > 150/3*2 {
		t.Errorf("%d of 150 writers were held, in vain", st.WriterHold.Count)
	}
	s.checkAndEnd(t)
	for range 3 { // nobody is held for a few frames after a hold in vain
		w.random(3)
	}
	if st := w.db.Stats(); st.LogFrames > st.LimitFrames {
		t.Errorf("the reader has gone, and the log has %d frames", st.LogFrames)
	}
	<-told
}

// TestNoThirdFile: the side file has no name, and one that a process left is
// removed.
func TestNoThirdFile(t *testing.T) {
	w := newWorld(t, small(), 20)
	s := w.read(context.Background())
	for range 60 {
		w.random(3)
	}
	if w.db.Stats().SideBytes == 0 {
		t.Fatal("nothing is saved")
	}
	dir := filepath.Dir(w.db.Path())
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if n := e.Name(); n != "a.db" && n != "a.db-wal" {
			t.Errorf("there is a file %s", n)
		}
	}
	s.checkAndEnd(t)

	left := filepath.Join(dir, "b.db-walnut-side")
	if err := os.WriteFile(left, []byte("left"), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := walnut.Open(filepath.Join(dir, "b.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a side file that a process left is still there: %v", err)
	}
}

// TestBackupIsDetached: a backup is a reader as any other.
func TestBackupIsDetached(t *testing.T) {
	w := newWorld(t, small(), 600)
	want := map[int]int{}
	for n, k := range w.state {
		want[n] = k
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	began := false
	err := w.db.Backup(context.Background(), path, &walnut.BackupOptions{Progress: func(done, total int) {
		if began {
			return
		}
		began = true
		for range 100 {
			w.random(3)
		}
		w.cut(400)
		for range 30 {
			w.random(3)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if w.db.Stats().Detached != 1 {
		t.Errorf("%d detached", w.db.Stats().Detached)
	}
	db, err := walnut.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s, err := db.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.PageCount() != 600 {
		t.Errorf("the copy has %d pages", s.PageCount())
	}
	(&snap{p: s, want: want}).check(t)
}

// TestForbiddenActions: who owns the log from outside is not overruled.
func TestForbiddenActions(t *testing.T) {
	for _, o := range []func(*walnut.Options){
		func(o *walnut.Options) { o.NoAutoRestart = true },
		func(o *walnut.Options) { o.AutoCheckpoint = -1 },
		func(o *walnut.Options) { o.MaxLogSize = -1 },
	} {
		opt := small()
		o(opt)
		w := newWorld(t, opt, 20)
		s := w.read(context.Background())
		for range 60 {
			w.random(3)
		}
		if st := w.db.Stats(); st.Detached != 0 || st.WriterHold.Count != 0 || st.Restarts != 0 {
			t.Errorf("%d detached, %d holds, %d restarts", st.Detached, st.WriterHold.Count, st.Restarts)
		}
		s.checkAndEnd(t)
	}
}
