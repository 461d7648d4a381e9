package disk

import (
	"bytes"
	"runtime"
	"strconv"
	"sync"
	"testing"
)

// mappedFile returns an open file of n units, each full of its number.
func mappedFile(t *testing.T, n int) *osFile {
	t.Helper()
	f, err := OS().Open(t.TempDir()+"/a", Create)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	for i := range n {
		putUnit(t, f, i, byte(i))
	}
	if strconv.IntSize < 64 {
		t.Skip("files are not mapped")
	}
	return f.(*osFile)
}

func putUnit(t *testing.T, f File, i int, b byte) {
	t.Helper()
	if _, err := f.WriteVAt([][]byte{bytes.Repeat([]byte{b}, mapUnit)}, int64(i)*mapUnit); err != nil {
		t.Fatal(err)
	}
}

// wantUnit reads unit i through the mapping.
func wantUnit(t *testing.T, f *osFile, i int, b byte) {
	t.Helper()
	p := make([]byte, mapUnit)
	if !f.ReadMapped(p, int64(i)*mapUnit) {
		t.Fatalf("unit %d is not read", i)
	}
	if !bytes.Equal(p, bytes.Repeat([]byte{b}, mapUnit)) {
		t.Fatalf("unit %d reads %d…, want %d", i, p[0], b)
	}
}

// touch reads the units for the first time, which the mapping refuses.
func touch(t *testing.T, f *osFile, units ...int) {
	t.Helper()
	for _, i := range units {
		if f.ReadMapped(make([]byte, mapUnit), int64(i)*mapUnit) {
			t.Fatalf("unit %d is read through the mapping though nobody has read it before", i)
		}
	}
}

func TestMappedShowsWrites(t *testing.T) {
	f := mappedFile(t, 3)
	touch(t, f, 0, 1, 2)
	for i := range 3 {
		wantUnit(t, f, i, byte(i))
		putUnit(t, f, i, 'x')
		wantUnit(t, f, i, 'x')
	}
	p := make([]byte, 100)
	if !f.ReadMapped(p, mapUnit-50) || !bytes.Equal(p, bytes.Repeat([]byte("x"), 100)) {
		t.Error("a read across two units")
	}
	for _, off := range []int64{-1, 3*mapUnit - 99, 1 << 40} {
		if f.ReadMapped(p, off) {
			t.Errorf("100 bytes at offset %d are read", off)
		}
	}
}

// The file grows beyond the mapping, which is then replaced; who has the old
// one goes on reading from it.
func TestMappedGrows(t *testing.T) {
	f := mappedFile(t, 3)
	touch(t, f, 1)
	wantUnit(t, f, 1, 1)
	first := f.mapped.now.Load()
	for i := 1; i < 5; i++ {
		last := i * len(first.b) / mapUnit
		putUnit(t, f, last, 'z')
		touch(t, f, last)
		wantUnit(t, f, last, 'z')
		wantUnit(t, f, 1, 1) // still known to be there
	}
	if f.mapped.now.Load() == first {
		t.Error("the mapping has not grown")
	}
	p := make([]byte, mapUnit)
	if !copyMapped(p, first.b[mapUnit:2*mapUnit]) || p[0] != 1 {
		t.Error("the first mapping cannot be read any more")
	}
}

// A file that is cut under its mapping gives no data, and no signal that ends
// the program.
func TestMappedFileIsCut(t *testing.T) {
	f := mappedFile(t, 8)
	touch(t, f, 0, 7)
	wantUnit(t, f, 7, 7)
	if err := f.Truncate(mapUnit); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if f.ReadMapped(make([]byte, mapUnit), 7*mapUnit) {
			t.Error("what was cut off is read")
		}
	}
	wantUnit(t, f, 0, 0)
	putUnit(t, f, 7, 'n')
	wantUnit(t, f, 7, 'n')
}

// Close ends the mapping, whatever still refers to it: the lock of the open
// file goes with it.
func TestMappedFileIsClosed(t *testing.T) {
	f := mappedFile(t, 3)
	if err := f.Lock(0, 1, ExclusiveLock); err != nil {
		t.Fatal(err)
	}
	touch(t, f, 2)
	wantUnit(t, f, 2, 2)
	old := f.mapped.now.Load()
	putUnit(t, f, 10*len(old.b)/mapUnit, 'z')
	touch(t, f, 10*len(old.b)/mapUnit)
	now := f.mapped.now.Load()
	if old == now || f.Mappable() == 0 {
		t.Fatal("the mapping has not grown")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, mapUnit)
	if f.Mappable() != 0 || f.ReadMapped(p, 2*mapUnit) || copyMapped(p, now.b[:mapUnit]) || copyMapped(p, old.b[:mapUnit]) {
		t.Error("a closed file is read")
	}
	g, err := OS().Open(f.Name(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if err := g.Lock(0, 1, ExclusiveLock); err != nil {
		t.Errorf("the closed file's lock is still held: %v", err)
	}
	runtime.KeepAlive(old)
	runtime.KeepAlive(now)
}

// Reads beside writes, growth and Close give the right bytes or none.
func TestMappedBesideAll(t *testing.T) {
	for range 20 {
		f := mappedFile(t, 4)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				p := make([]byte, mapUnit)
				for f.Mappable() != 0 {
					if f.ReadMapped(p, int64(i)*mapUnit) && p[mapUnit-1] != byte(i) {
						t.Errorf("unit %d reads %d", i, p[mapUnit-1])
						return
					}
				}
			})
		}
		for i := 4; i < 2000; i += 400 {
			putUnit(t, f, i, 'z')
			_ = f.ReadMapped(make([]byte, mapUnit), int64(i)*mapUnit)
		}
		_ = f.Close()
		wg.Wait()
	}
}

func TestMappedReadAllocatesNothing(t *testing.T) {
	f := mappedFile(t, 3)
	p := make([]byte, mapUnit)
	touch(t, f, 1)
	if n := testing.AllocsPerRun(100, func() { f.ReadMapped(p, mapUnit) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
