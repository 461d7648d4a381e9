// A log that is not starved: readers that stay are detached, and go on reading
// what they read (Options.MaxLogSize).

package walnut_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/walnutdb/walnut"
)

// small are limits that a test reaches: 64 frames, and readers detached at once.
func small() *walnut.Options {
	return &walnut.Options{MaxLogSize: 64 * 4120, MaxWriterHold: 20 * time.Millisecond, ReaderGrace: -1, Sync: walnut.SyncNormal}
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
	state map[int]int // page: the write that it holds
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
	w := &world{t: t, db: db, state: map[int]int{}, size: 1, rng: rand.New(rand.NewPCG(1, 2))}
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
	err := w.db.Update(context.Background(), func(tx *walnut.Tx) error {
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
