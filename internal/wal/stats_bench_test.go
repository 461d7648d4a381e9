// What the statistics cost: everything that a commit counts and times.

package wal

import (
	"testing"

	"github.com/walnutdb/walnut/internal/coord"
)

// BenchmarkStatistics does for each operation what one commit of a lone writer
// does for the sake of the statistics alone: at NORMAL and at FULL, whose sync is
// timed.
func BenchmarkStatistics(b *testing.B) {
	for _, full := range []bool{false, true} {
		name := "normal"
		if full {
			name = "full"
		}
		b.Run(name, func(b *testing.B) {
			var l Log
			for b.Loop() {
				begin := coord.Now() // when the transaction began
				l.stats.frames.Add(2)
				l.stats.appendBytes.Add(8240)
				if full {
					l.stats.syncs.Add(1)
					at := coord.Now()
					l.stats.logSyncTime.add(coord.Now().Since(at))
				}
				l.stats.commits.Add(1)
				l.stats.groups.Add(1)
				l.stats.groupSizes.addSize(1)
				if l.subs.Load() != nil {
					b.Fatal(begin)
				}
			}
		})
	}
}
