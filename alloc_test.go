package walnut_test

import (
	"context"
	"testing"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk"
)

func openPages(tb testing.TB, n int) *walnut.DB {
	tb.Helper()
	db, err := walnut.Open("/a.db", &walnut.Options{FS: disk.NewMem()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	if err := db.Update(context.Background(), func(tx *walnut.Tx) error {
		for i := range n {
			p, err := tx.Write(walnut.PageNo(2 + i))
			if err != nil {
				return err
			}
			p[0] = byte(i)
		}
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	return db
}

// Beginning and ending a snapshot, and reading pages that the pool has,
// allocate nothing, with readers of the log and of the database file.
func TestReadsDoNotAllocate(t *testing.T) {
	db := openPages(t, 100)
	ctx := context.Background()
	sum := 0
	read := func(tx *walnut.Tx) error {
		for n := walnut.PageNo(1); n <= 101; n++ {
			p, err := tx.Page(n)
			if err != nil {
				return err
			}
			sum += int(p[0])
		}
		return nil
	}
	for _, where := range []string{"log", "database file"} {
		if n := testing.AllocsPerRun(100, func() {
			if err := db.View(ctx, read); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v allocations for a view of the %s", n, where)
		}
		if _, err := db.Checkpoint(ctx, walnut.CheckpointPassive, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkView(b *testing.B) {
	db := openPages(b, 100)
	ctx := context.Background()
	nothing := func(*walnut.Tx) error { return nil }
	run := func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := db.View(ctx, nothing); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("log", run)
	if _, err := db.Checkpoint(ctx, walnut.CheckpointPassive, nil); err != nil {
		b.Fatal(err)
	}
	b.Run("file", run)
}

func BenchmarkPage(b *testing.B) {
	db := openPages(b, 1000)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		_ = db.View(context.Background(), func(tx *walnut.Tx) error {
			for n := walnut.PageNo(2); pb.Next(); n++ {
				if n > 1000 {
					n = 2
				}
				if _, err := tx.Page(n); err != nil {
					b.Fatal(err)
				}
			}
			return nil
		})
	})
}
