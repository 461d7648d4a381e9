// The disk beside a naive model of one file, and the determinism of everything.

package faultdisk

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/walnutdb/walnut/disk"
)

// step is a write, or a truncation to size off.
type step struct {
	cut  bool
	off  int
	data []byte
}

// on returns b after the step.
func (s step) on(b []byte) []byte {
	b = bytes.Clone(b)
	end := s.off + len(s.data)
	if s.cut {
		b = b[:min(len(b), s.off)]
	}
	if len(b) < end {
		b = append(b, make([]byte, end-len(b))...)
	}
	copy(b[s.off:], s.data)
	return b
}

// reference is what one file is said to be.
type reference struct {
	visible, durable []byte
	pending          []step
	clean            bool // no sync failed and no write was lost: the cache has nothing to forget
}

func (r *reference) do(s step) {
	r.visible = s.on(r.visible)
	r.pending = append(r.pending, s)
}

// all returns the durable bytes with all that is pending.
func (r *reference) all() []byte {
	b := r.durable
	for _, s := range r.pending {
		b = s.on(b)
	}
	return b
}

// possible reports whether a crash may leave b: each of its bytes was durable
// there, or was to be, or is a hole.
func (r *reference) possible(b []byte) bool {
	for i, c := range b {
		ok := c == 0 || i < len(r.durable) && r.durable[i] == c
		for _, s := range r.pending {
			ok = ok || s.off <= i && i < s.off+len(s.data) && s.data[i-s.off] == c
		}
		if !ok {
			return false
		}
	}
	return true
}

func TestReference(t *testing.T) { rapid.Check(t, checkReference) }

func checkReference(t *rapid.T) {
	d := New(rapid.Int64().Draw(t, "seed"))
	if rapid.Bool().Draw(t, "anywhere") {
		d.TearAnywhere()
	}
	start := bytes.Repeat([]byte{255}, 1200)
	if err := d.WriteFile("x", start); err != nil {
		t.Fatal(err)
	}
	f, err := d.Open("x", 0)
	if err != nil {
		t.Fatal(err)
	}
	r := &reference{visible: start, durable: start, clean: true}
	n := rapid.IntRange(1, 12).Draw(t, "steps")
	for i := range n {
		off := rapid.IntRange(0, 2000).Draw(t, "off")
		s := step{off: off, data: bytes.Repeat([]byte{byte(i + 1)}, rapid.IntRange(1, 1500).Draw(t, "len"))}
		switch rapid.IntRange(0, 9).Draw(t, "what") {
		case 0, 1, 2:
			_, err = f.WriteVAt([][]byte{s.data}, int64(off))
			r.do(s)
		case 3:
			err = f.Truncate(int64(off))
			if off != len(r.visible) {
				r.do(step{cut: true, off: off})
			}
		case 4:
			err = f.SyncData()
			r.durable, r.pending = r.all(), nil
		case 5:
			d.Inject(Fault{Op: OpSync, Effect: Lie})
			err = f.SyncData()
		case 6:
			d.Inject(Fault{Op: OpSync, Effect: Nothing})
			err = expectInjected(f.SyncData())
			r.clean = r.clean && len(r.pending) == 0
			r.pending = nil
		case 7:
			d.Inject(Fault{Op: OpSync, Effect: All})
			err = expectInjected(f.SyncData())
			r.clean = r.clean && len(r.pending) == 0
			r.durable, r.pending = r.all(), nil
		case 8:
			d.Inject(Fault{Op: OpWrite, Effect: Lost})
			_, err = f.WriteVAt([][]byte{s.data}, int64(off))
			r.visible, r.clean = s.on(r.visible), false
		case 9:
			if err = f.Close(); err == nil {
				f, err = d.Open("x", 0)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		compareReference(t, d, r, int64(i))
	}
}

func expectInjected(err error) error {
	if !errors.Is(err, ErrInjected) {
		return fmt.Errorf("the error is %v", err)
	}
	return nil
}

func compareReference(t *rapid.T, d *Disk, r *reference, seed int64) {
	read := func(d *Disk) []byte {
		b, err := d.ReadFile("x")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		name      string
		got, want []byte
	}{
		{"shown", read(d), r.visible},
		{"durable", read(d.CrashKeepNone()), r.durable},
		{"left if everything survives", read(d.CrashKeepAll()), r.all()},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Fatalf("%s are %d bytes, not the %d expected:\n%v", c.name, len(c.got), len(c.want), d.Trace())
		}
	}
	for s := range int64(4) {
		if left := read(d.Crash(4*seed + s)); !r.possible(left) {
			t.Fatalf("crash %d left what was never written:\n%v", 4*seed+s, d.Trace())
		}
		killed := d.Kill(4*seed + s)
		if r.clean && !bytes.Equal(read(killed), r.visible) {
			t.Fatalf("kill %d changed what is shown:\n%v", 4*seed+s, d.Trace())
		}
		if !bytes.Equal(read(killed.CrashKeepNone()), r.durable) {
			t.Fatalf("kill %d changed what is durable:\n%v", 4*seed+s, d.Trace())
		}
	}
}

// record runs every kind of operation and effect, and tells all that can be seen.
func record(t *testing.T, seed int64) string {
	t.Helper()
	var out bytes.Buffer
	d := New(seed)
	d.TearAnywhere()
	d.SetCapacity(40 * disk.SectorSize)
	check(t, d.WriteFile("y", bytes.Repeat([]byte("y"), 8*disk.SectorSize)))
	check(t, d.WriteFile("x", bytes.Repeat([]byte("o"), 8*disk.SectorSize)))
	f := reopen(t, d)
	for i, e := range []Effect{Random, Nothing, Prefix, All, Lie, Lost, Misdirected, LieInPart} {
		in := d.Inject(Fault{Op: OpWrite | OpSync | OpSyncDir | OpRename, N: 2, Effect: e, Sticky: true, Into: []string{"", "y"}[i%2]})
		for k := range 6 {
			n, err := f.WriteVAt([][]byte{bytes.Repeat([]byte{byte(8*i + k)}, 700)}, int64(k)*600)
			fmt.Fprintln(&out, n, err, f.SyncData(), d.Rename("z", "w"), d.SyncDir("/"))
		}
		fmt.Fprintln(&out, in.Fired())
		in.Remove()
		g, err := d.Open(fmt.Sprint("new", i), disk.Create)
		check(t, err)
		check(t, g.Close())
	}
	at, err := d.FlipBits("x", 0, 0, 20)
	fmt.Fprintln(&out, at, err)
	for _, image := range []*Disk{d, d.Crash(seed), d.Kill(seed), d.CrashKeepAll(), d.CrashKeepNone()} {
		image.Evict()
		for _, name := range image.Files() {
			b, err := image.ReadFile(name)
			fmt.Fprintf(&out, "%s %x %v\n", name, b, err)
		}
	}
	return out.String() + d.Trace().String()
}

// The same seed and operations give the same faults, traces, images and damage,
// byte for byte; other seeds give others.
func TestEverythingFollowsFromTheSeed(t *testing.T) {
	seen := map[string]int64{}
	for seed := range int64(20) {
		once := record(t, seed)
		if record(t, seed) != once {
			t.Errorf("seed %d gives two runs", seed)
		}
		if other, ok := seen[once]; ok {
			t.Errorf("seeds %d and %d give one run", other, seed)
		}
		seen[once] = seed
	}
}
