package coord

import (
	"testing"

	"github.com/walnutdb/walnut/internal/walformat"
)

// BenchmarkRegistry is what a read transaction pays for being listed.
func BenchmarkRegistry(b *testing.B) {
	c := NewInProcess(State{Index: NewIndex(1, walformat.Checksum{})})
	m, st := c.BeginRead()
	defer c.EndRead(m)
	var r Reader
	for b.Loop() {
		c.Enter(&r, NoMark, st, Who{}, 0)
		c.Leave(&r)
	}
}
