// Benchmarks of commits, on a disk in memory: what is measured is the engine
// alone, so that what counting and telling cost can be seen. They use nothing
// that is newer than the counting: to compare with the time before it, copy
// this file to a checkout of then, build both test binaries (go test -c), and
// run them in turns.

package walnut_test

import (
	"context"
	"testing"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk"
)

func BenchmarkCommit(b *testing.B) {
	for _, x := range []struct {
		name  string
		level walnut.SyncLevel
	}{{"normal", walnut.SyncNormal}, {"full", walnut.SyncFull}} {
		b.Run(x.name, func(b *testing.B) {
			db, err := walnut.Open("/a.db", &walnut.Options{FS: disk.NewMem(), Sync: x.level})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			ctx, n := context.Background(), 0
			for b.Loop() {
				n++
				if err := db.Update(ctx, func(tx *walnut.Tx) error {
					p, err := tx.Write(walnut.PageNo(2 + n%100))
					if err == nil {
						p[0] = byte(n)
					}
					return err
				}); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			if err := db.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
