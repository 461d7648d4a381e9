// The effects of faults that lie, ranges, delays, capacity, tearing and damage.

package faultdisk

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walnutdb/walnut/disk"
)

// opened returns a disk with the file x of those bytes, durable, open.
func opened(t *testing.T, data []byte) (*Disk, disk.File) {
	t.Helper()
	d := New(1)
	if err := d.WriteFile("x", data); err != nil {
		t.Fatal(err)
	}
	return d, reopen(t, d)
}

func reopen(t *testing.T, d *Disk) disk.File {
	t.Helper()
	f, err := d.Open("x", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func content(t *testing.T, d *Disk) []byte {
	t.Helper()
	b, err := d.ReadFile("x")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t *testing.T, f disk.File, data []byte, off int64) {
	t.Helper()
	if n, err := f.WriteVAt([][]byte{data}, off); err != nil || n != int64(len(data)) {
		t.Fatalf("write: %d, %v", n, err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A sync that lies leaves what it should have covered to the next honest one.
func TestLyingSync(t *testing.T) {
	d, f := opened(t, []byte("old"))
	d.Inject(Fault{Op: OpSync, Effect: Lie})
	put(t, f, []byte("new"), 0)
	check(t, f.SyncData())
	if got := content(t, d.CrashKeepNone()); string(got) != "old" {
		t.Errorf("durable after a lie: %q", got)
	}
	if got := content(t, d.Kill(1)); string(got) != "new" {
		t.Errorf("after the end of the process: %q", got)
	}
	check(t, f.SyncData())
	if got := content(t, d.CrashKeepNone()); string(got) != "new" {
		t.Errorf("durable after an honest sync: %q", got)
	}
}

func TestLyingSyncOfDirectory(t *testing.T) {
	d := New(1)
	lie := d.Inject(Fault{Op: OpSyncDir, Effect: Lie, Sticky: true})
	f, err := d.Open("x", disk.Create)
	check(t, err)
	check(t, f.SyncData())
	check(t, d.SyncDir("/"))
	if left := d.CrashKeepNone().Files(); len(left) > 0 || !lie.Fired() {
		t.Errorf("after a lie there are %q", left)
	}
	lie.Remove()
	check(t, d.SyncDir("/"))
	if left := d.CrashKeepNone().Files(); len(left) != 1 {
		t.Errorf("after an honest sync there are %q", left)
	}
	check(t, f.Close())
}

func TestLyingStartWrite(t *testing.T) {
	d, f := opened(t, []byte("old"))
	d.Inject(Fault{Op: OpStartWrite, Effect: Lie})
	put(t, f, []byte("new"), 0)
	check(t, f.(disk.WriteStarter).StartWrite(0, 3))
	if got := content(t, d.CrashKeepNone()); string(got) != "old" {
		t.Errorf("durable after a lie: %q", got)
	}
}

// A lost write is shown, also to who opens the file anew, until the cache forgets
// it; a sync does not bring it back, and writing it again does.
func TestLostWrite(t *testing.T) {
	d, f := opened(t, bytes.Repeat([]byte("o"), 100))
	d.Inject(Fault{Op: OpWrite, Effect: Lost})
	put(t, f, []byte("new"), 10)
	check(t, f.SyncData())
	check(t, f.Close())
	if got := content(t, d)[10:13]; string(got) != "new" {
		t.Errorf("shown: %q", got)
	}
	f = reopen(t, d)
	if got := content(t, d)[10:13]; string(got) != "new" {
		t.Errorf("shown when opened anew: %q", got)
	}
	if got := content(t, d.CrashKeepAll())[10:13]; string(got) != "ooo" {
		t.Errorf("on the disk: %q", got)
	}
	evicted := false
	for seed := range int64(50) {
		evicted = evicted || string(content(t, d.Kill(seed))[10:13]) == "ooo"
	}
	if !evicted {
		t.Error("no end of the process shows what is on the disk")
	}
	put(t, f, []byte("new"), 10)
	check(t, f.SyncData())
	if got := content(t, d.CrashKeepNone())[10:13]; string(got) != "new" {
		t.Errorf("written again: %q", got)
	}
}

func TestMisdirectedWrite(t *testing.T) {
	old := bytes.Repeat([]byte("o"), 8*disk.SectorSize)
	d, f := opened(t, old)
	d.Inject(Fault{Op: OpWrite, Effect: Misdirected})
	data := bytes.Repeat([]byte("n"), disk.SectorSize)
	put(t, f, data, disk.SectorSize)
	if got := content(t, d)[disk.SectorSize:][:disk.SectorSize]; !bytes.Equal(got, data) {
		t.Error("what was written is not shown")
	}
	left := content(t, d.CrashKeepNone())
	at := bytes.IndexByte(left, 'n')
	if at < 0 || at%disk.SectorSize != 0 || at == disk.SectorSize {
		t.Fatalf("the write landed at byte %d", at)
	}
	want := slices.Clone(old)
	copy(want[at:], data)
	if !bytes.Equal(left, want) {
		t.Error("the disk has more changes than the one that went astray")
	}
	// Reads show the old content of the wrong place until it is evicted.
	if got := content(t, d)[at : at+disk.SectorSize]; !bytes.Equal(got, old[:disk.SectorSize]) {
		t.Error("the wrong place shows the write at once")
	}
	for range 100 {
		d.Evict()
	}
	if !bytes.Equal(content(t, d), want) {
		t.Error("after all was evicted reads show something else than the disk has")
	}
}

func TestMisdirectedWithoutPlace(t *testing.T) {
	d, f := opened(t, []byte("old"))
	d.Inject(Fault{Op: OpWrite, Effect: Misdirected})
	put(t, f, []byte("new"), 0)
	if got := content(t, d.CrashKeepAll()); string(got) != "old" {
		t.Errorf("on the disk: %q", got)
	}
}

// A failed sync of an earlier handle is as lost to one that is opened later.
func TestFailedSyncSurvivesReopening(t *testing.T) {
	d, f := opened(t, []byte("old"))
	put(t, f, []byte("new"), 0)
	d.Inject(Fault{Op: OpSync, Effect: Nothing})
	if err := f.SyncData(); !errors.Is(err, ErrInjected) {
		t.Fatalf("sync: %v", err)
	}
	check(t, f.Close())
	f = reopen(t, d)
	check(t, f.SyncData())
	if got := content(t, d); string(got) != "new" {
		t.Errorf("shown: %q", got)
	}
	if got := content(t, d.CrashKeepAll()); string(got) != "old" {
		t.Errorf("on the disk: %q", got)
	}
}

func TestFaultRange(t *testing.T) {
	for name, c := range map[string]struct {
		op    Op
		do    func(disk.File) error
		fails bool
	}{
		"write before":    {OpWrite, func(f disk.File) error { _, err := f.WriteVAt([][]byte{make([]byte, 10)}, 0); return err }, false},
		"write into":      {OpWrite, func(f disk.File) error { _, err := f.WriteVAt([][]byte{make([]byte, 11)}, 0); return err }, true},
		"write behind":    {OpWrite, func(f disk.File) error { _, err := f.WriteVAt([][]byte{make([]byte, 5)}, 20); return err }, false},
		"read into":       {OpRead, func(f disk.File) error { _, err := f.ReadAt(make([]byte, 1), 19); return err }, true},
		"read behind":     {OpRead, func(f disk.File) error { _, err := f.ReadAt(make([]byte, 1), 20); return err }, false},
		"cut behind":      {OpTruncate, func(f disk.File) error { return f.Truncate(20) }, false},
		"cut into":        {OpTruncate, func(f disk.File) error { return f.Truncate(19) }, true},
		"cut all":         {OpTruncate, func(f disk.File) error { return f.Truncate(0) }, true},
		"grow":            {OpTruncate, func(f disk.File) error { return f.Truncate(40) }, false},
		"a sync is of no": {OpSync, func(f disk.File) error { return f.SyncData() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			d, f := opened(t, make([]byte, 30))
			d.Inject(Fault{Op: c.op, Off: 10, Len: 10})
			if err := c.do(f); errors.Is(err, ErrInjected) != c.fails {
				t.Errorf("the error is %v", err)
			}
		})
	}
	d, f := opened(t, make([]byte, 5))
	d.Inject(Fault{Op: OpTruncate, Off: 10, Len: 10})
	check(t, f.Truncate(10))
	if err := f.Truncate(11); !errors.Is(err, ErrInjected) {
		t.Errorf("growing into the range: %v", err)
	}
}

// A full disk takes what fits, and goes on when there is room.
func TestCapacity(t *testing.T) {
	d, f := opened(t, make([]byte, 100))
	d.SetCapacity(150)
	n, err := f.WriteVAt([][]byte{make([]byte, 100)}, 80)
	if n != 70 || !errors.Is(err, disk.ErrNoSpace) || !errors.Is(err, ErrInjected) {
		t.Fatalf("a write of which 70 bytes fit: %d, %v", n, err)
	}
	if err := f.Truncate(151); !errors.Is(err, disk.ErrNoSpace) {
		t.Errorf("growing a full disk: %v", err)
	}
	put(t, f, make([]byte, 150), 0) // changes no size
	check(t, f.Truncate(50))
	if got := d.Used(); got != 50 {
		t.Errorf("%d bytes are used", got)
	}
	g, err := d.Open("y", disk.Create)
	check(t, err)
	put(t, g, make([]byte, 100), 0)
	if n, err := g.WriteVAt([][]byte{{1}}, 100); n != 0 || !errors.Is(err, disk.ErrNoSpace) {
		t.Errorf("a full disk: %d, %v", n, err)
	}
	// A removed file that is open needs its room.
	check(t, d.Remove("y"))
	if got := d.Used(); got != 150 {
		t.Errorf("%d bytes are used beside an open handle", got)
	}
	check(t, g.Close())
	if got := d.Used(); got != 50 {
		t.Errorf("%d bytes are used in the end", got)
	}
	if left := d.Crash(1); left.capacity != 150 {
		t.Error("an image has another capacity")
	}
}

// A slow operation takes its time, lets others through, and covers what was
// written before it was called.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := opened(t, []byte("old"))
		defer func() { _ = f.Close() }()
		d.Inject(Fault{Op: OpSync, Effect: Slow, Delay: time.Hour})
		put(t, f, []byte("new"), 0)
		begin, done := time.Now(), make(chan error)
		go func() { done <- f.SyncData() }()
		synctest.Wait()
		put(t, f, []byte("N"), 0)
		check(t, <-done)
		if took := time.Since(begin); took != time.Hour {
			t.Errorf("it took %v", took)
		}
		if got := content(t, d.CrashKeepNone()); string(got) != "new" {
			t.Errorf("durable: %q", got)
		}
	})
}

// With TearAnywhere a write is torn inside a sector too, without it never.
func TestTearAnywhere(t *testing.T) {
	for _, anywhere := range []bool{false, true} {
		d, f := opened(t, make([]byte, 4*disk.SectorSize))
		if anywhere {
			d.TearAnywhere()
		}
		put(t, f, bytes.Repeat([]byte{1}, 4*disk.SectorSize), 0)
		inside := false
		for seed := range int64(200) {
			left := content(t, d.Crash(seed))
			for s := 0; s < len(left); s += disk.SectorSize {
				n := bytes.Count(left[s:s+disk.SectorSize], []byte{1})
				inside = inside || n > 0 && n < disk.SectorSize
			}
		}
		if inside != anywhere {
			t.Errorf("torn anywhere %v: a sector is torn %v", anywhere, inside)
		}
	}
}

// A failed write is torn as a crash would.
func TestFailedWriteAnywhere(t *testing.T) {
	inside := false
	for seed := range int64(50) {
		d := New(seed)
		d.TearAnywhere()
		check(t, d.WriteFile("x", make([]byte, disk.SectorSize)))
		f := reopen(t, d)
		d.FailAt(OpWrite, 1)
		if _, err := f.WriteVAt([][]byte{bytes.Repeat([]byte{1}, disk.SectorSize)}, 0); !errors.Is(err, ErrInjected) {
			t.Fatal(err)
		}
		n := bytes.Count(content(t, d), []byte{1})
		inside = inside || n > 0 && n < disk.SectorSize
	}
	if !inside {
		t.Error("no failed write is torn inside a sector")
	}
}

func TestFlipBits(t *testing.T) {
	d, f := opened(t, make([]byte, 1000))
	at, err := d.FlipBits("x", 100, 50, 7)
	check(t, err)
	bits := 0
	for off, b := range content(t, d) {
		for ; b != 0; b &= b - 1 {
			bits++
		}
		if content(t, d)[off] != 0 && !slices.Contains(at, int64(off)) {
			t.Errorf("byte %d changed, which was not said", off)
		}
	}
	if bits != 7 || at[0] < 100 || at[len(at)-1] >= 150 || !slices.IsSorted(at) {
		t.Errorf("%d bits changed, in the bytes %d", bits, at)
	}
	if !bytes.Equal(content(t, d.CrashKeepNone()), content(t, d)) {
		t.Error("the damage is not on the disk")
	}
	if got := make([]byte, 1); true {
		_, err := f.ReadAt(got, at[0])
		check(t, err)
		if got[0] == 0 {
			t.Error("an open handle does not see the damage")
		}
	}
	if _, err := d.FlipBits("x", 0, 1, 9); err == nil {
		t.Error("9 bits of one byte")
	}
	if all, err := d.FlipBits("x", 990, 0, 80); err != nil || len(all) != 10 {
		t.Errorf("all bits to the end: %d, %v", all, err)
	}
}

func TestOverwrite(t *testing.T) {
	d, f := opened(t, []byte("0123456789"))
	put(t, f, []byte("abc"), 0)
	check(t, d.Overwrite("x", 4, []byte("xy")))
	check(t, d.Overwrite("x", 4, nil))
	if got := content(t, d); string(got) != "abc3xy6789" {
		t.Errorf("shown: %q", got)
	}
	if got := content(t, d.CrashKeepNone()); string(got) != "0123xy6789" {
		t.Errorf("on the disk: %q", got)
	}
	for name, err := range map[string]error{
		"behind the end": d.Overwrite("x", 9, []byte("xy")), "before the file": d.Overwrite("x", -1, []byte("xy")), "no file": d.Overwrite("z", 0, []byte("xy")),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The new effects follow from the seed as all else does.
func TestSameSeedSameDamage(t *testing.T) {
	run := func(seed int64) []byte {
		d := New(seed)
		d.TearAnywhere()
		check(t, d.WriteFile("x", make([]byte, 64*disk.SectorSize)))
		f := reopen(t, d)
		d.Inject(Fault{Op: OpWrite, N: 2, Effect: Misdirected})
		for i := range 4 {
			put(t, f, bytes.Repeat([]byte{byte(i + 1)}, 2*disk.SectorSize), int64(5*i)*disk.SectorSize)
		}
		_, err := d.FlipBits("x", 0, 0, 20)
		check(t, err)
		d.Evict()
		return content(t, d.Crash(seed))
	}
	if !bytes.Equal(run(7), run(7)) {
		t.Error("one seed, two outcomes")
	}
	if bytes.Equal(run(7), run(8)) {
		t.Error("two seeds, one outcome")
	}
}
