package walnut_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk"
)

// A transaction with nested savepoints, rolled back in any order with spills
// between, has at every step, and after the commit, the pages of a model that
// knows nothing of spills.
func TestSpillAndSavepoints(t *testing.T) {
	for seed := range uint64(150) {
		spillHistory(t, seed)
	}
}

type model struct {
	pages map[walnut.PageNo]byte
	size  uint32
}

func (m model) clone() model {
	c := model{pages: make(map[walnut.PageNo]byte, len(m.pages)), size: m.size}
	for k, v := range m.pages {
		c.pages[k] = v
	}
	return c
}

func spillHistory(t *testing.T, seed uint64) {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(seed, 1))
	fsys := disk.NewMem()
	o := &walnut.Options{FS: fsys, PageSize: 512, TxBytes: 512 * int64(4+r.IntN(12)), AutoCheckpoint: 1 + r.IntN(50)}
	db, err := walnut.Open("/a.db", o)
	if err != nil {
		t.Fatal(err)
	}
	committed := model{pages: map[walnut.PageNo]byte{}}
	for txn := range 6 {
		if txn == 3 && r.IntN(2) == 0 {
			if err := db.Close(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if db, err = walnut.Open("/a.db", o); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if committed.size == 0 {
				// A spill has created the file, with an empty first page.
				committed.size = db.Stats().PageCount
			}
		}
		tx, err := db.Begin(ctx, nil)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		cur := committed.clone()
		var saves []model
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("seed %d, transaction %d: %v", seed, txn, err)
			}
		}
		check := func() {
			t.Helper()
			if tx.PageCount() != cur.size {
				t.Fatalf("seed %d, transaction %d: %d pages, want %d", seed, txn, tx.PageCount(), cur.size)
			}
			for n := walnut.PageNo(2); uint32(n) <= cur.size; n++ {
				p, err := tx.Page(n)
				must(err)
				if v := cur.pages[n]; !bytes.Equal(p, bytes.Repeat([]byte{v}, 512)) {
					t.Fatalf("seed %d, transaction %d: page %d begins with %d, want %d", seed, txn, n, p[0], v)
				}
			}
		}
		for range 40 + r.IntN(60) {
			switch k := r.IntN(20); {
			case k < 13:
				n := walnut.PageNo(2 + r.IntN(40))
				p, err := tx.Write(n)
				must(err)
				v := byte(r.IntN(256))
				for i := range p {
					p[i] = v
				}
				cur.pages[n], cur.size = v, max(cur.size, uint32(n))
			case k < 15:
				_, err := tx.Savepoint()
				must(err)
				saves = append(saves, cur.clone())
			case k < 17 && len(saves) > 0:
				d := 1 + r.IntN(len(saves))
				must(tx.RollbackTo(d))
				cur = saves[d-1].clone()
				saves = saves[:d]
			case k == 17 && len(saves) > 0:
				d := 1 + r.IntN(len(saves))
				must(tx.Release(d))
				saves = saves[:d-1]
			case k == 18 && cur.size > 0:
				n := uint32(1 + r.IntN(45))
				must(tx.SetPageCount(n))
				for p := range cur.pages {
					if uint32(p) > n {
						delete(cur.pages, p)
					}
				}
				cur.size = n
			}
			if r.IntN(8) == 0 {
				check()
			}
		}
		check()
		if r.IntN(4) == 0 {
			tx.Rollback()
		} else {
			must(tx.Commit(ctx))
			committed = cur
		}
		tx, err = db.Begin(ctx, &walnut.TxOptions{ReadOnly: true})
		must(err)
		cur = committed
		check()
		tx.Rollback()
	}
	if err := db.Close(); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
}

// TestSpillStats: a transaction within its bound spills nothing; a larger one is
// counted, whether it commits or not.
func TestSpillStats(t *testing.T) {
	ctx := context.Background()
	const bound = 8 // pages
	db, err := walnut.Open("/a.db", &walnut.Options{FS: disk.NewMem(), PageSize: 512, TxBytes: 512 * bound})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	write := func(pages int, end func(tx *walnut.Tx) error) walnut.Stats {
		t.Helper()
		before := db.Stats()
		tx, err := db.Begin(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		for n := range pages {
			if _, err := tx.Write(walnut.PageNo(n + 2)); err != nil {
				t.Fatal(err)
			}
		}
		if err := end(tx); err != nil {
			t.Fatal(err)
		}
		s := db.Stats()
		s.Spills, s.SpilledFrames, s.FramesWritten = s.Spills-before.Spills, s.SpilledFrames-before.SpilledFrames, s.FramesWritten-before.FramesWritten
		return s
	}
	commit := func(tx *walnut.Tx) error { return tx.Commit(ctx) }
	rollback := func(tx *walnut.Tx) error { return tx.Rollback() }
	if s := write(bound-1, commit); s.Spills != 0 || s.SpilledFrames != 0 {
		t.Errorf("%d spills of %d frames within the bound", s.Spills, s.SpilledFrames)
	}
	for _, end := range []func(*walnut.Tx) error{commit, rollback} {
		// Each spill takes as many pages as the bound allows, but never page 1.
		s := write(4*bound, end)
		if s.Spills < 3 || s.SpilledFrames > s.FramesWritten || s.SpilledFrames < 3*(bound-1) || s.SpilledFrames > 4*bound {
			t.Errorf("%d spills of %d frames, %d frames written, for %d pages with a bound of %d", s.Spills, s.SpilledFrames, s.FramesWritten, 4*bound, bound)
		}
	}
}
