// Where a misdirected write lands, what an eviction shows of a lost write, and
// a full disk beside another fault.

package faultdisk

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/internal/paged"
)

// Every place but the right one is taken, the last included, and in another file
// the last as well.
func TestMisdirectedTakesEveryPlace(t *testing.T) {
	const sectors = 4
	old := bytes.Repeat([]byte("o"), sectors*disk.SectorSize)
	for _, c := range []struct {
		into    string
		off, n  int64
		want    string // the sectors at which it begins
		comment string
	}{
		{"", disk.SectorSize, disk.SectorSize, "023", "one sector"},
		{"", 0, 3 * disk.SectorSize, "1", "the only other place is the last"},
		{"", disk.SectorSize + 10, 20, "023", "within a sector"},
		{"", disk.SectorSize + 10, disk.SectorSize, "02", "over two sectors: at the third it would reach beyond the end"},
		{"", sectors * disk.SectorSize, disk.SectorSize, "0123", "one that grows the file"},
		{"y", disk.SectorSize, disk.SectorSize, "0123", "another file: the same place is as wrong"},
		{"y", 0, sectors * disk.SectorSize, "0", "as long as the other file"},
	} {
		var seen [sectors + 1]bool
		for seed := range int64(100) {
			d := New(seed)
			check(t, d.WriteFile("x", old))
			check(t, d.WriteFile("y", old))
			f := reopen(t, d)
			d.Inject(Fault{Op: OpWrite, Effect: Misdirected, Into: c.into})
			put(t, f, bytes.Repeat([]byte("n"), int(c.n)), c.off)
			in := "x"
			if c.into != "" {
				in = c.into
			}
			left, err := d.CrashKeepAll().ReadFile(in)
			check(t, err)
			at := bytes.IndexByte(left, 'n')
			if at < 0 || len(left) != len(old) || int64(bytes.Count(left, []byte("n"))) != c.n || int64(at)%disk.SectorSize != c.off%disk.SectorSize {
				t.Fatalf("%s, seed %d: it is at byte %d of %d", c.comment, seed, at, len(left))
			}
			seen[at/disk.SectorSize] = true
		}
		got := ""
		for k, s := range seen {
			if s {
				got += string(rune('0' + k))
			}
		}
		if got != c.want {
			t.Errorf("%s: places %s, want %s", c.comment, got, c.want)
		}
	}
}

// An eviction replays no older write over a lost one that the cache keeps: each
// page shows either what it showed or what is on the disk under the writes that
// are on their way, whichever came first.
func TestEvictBesideOlderWrites(t *testing.T) {
	const page = paged.PageSize
	fill := func(c string, n int) []byte { return bytes.Repeat([]byte(c), n) }
	seen := map[string]bool{}
	for seed := range int64(100) {
		d := New(seed)
		check(t, d.WriteFile("x", fill("0", 2*page)))
		f := reopen(t, d)
		put(t, f, fill("1", 2*page), 0) // on its way
		d.Inject(Fault{Op: OpWrite, Effect: Lost})
		put(t, f, fill("2", 2*page), 0)
		put(t, f, fill("3", 100), 0) // on its way, over the lost one
		d.Evict()
		got := content(t, d)
		if !bytes.Equal(got[:100], fill("3", 100)) {
			t.Fatalf("seed %d: the last write is gone", seed)
		}
		shown := ""
		for p := range 2 {
			rest := got[p*page+100 : (p+1)*page]
			if !bytes.Equal(rest, fill(string(rest[0]), len(rest))) {
				t.Fatalf("seed %d: page %d is mixed", seed, p)
			}
			shown += string(rest[0])
		}
		seen[shown] = true
		check(t, f.SyncData())
		want := append(fill("3", 100), fill("1", 2*page-100)...)
		if !bytes.Equal(content(t, d.CrashKeepNone()), want) {
			t.Fatalf("seed %d: a sync leaves something else than what was not lost", seed)
		}
	}
	for _, want := range []string{"11", "12", "21", "22"} {
		if !seen[want] {
			t.Errorf("never shown: %s", want)
		}
	}
	if len(seen) != 4 {
		t.Errorf("shown: %v", seen)
	}
}

// A truncation that is older than a lost growth does not cut it off while the
// cache keeps the size.
func TestEvictBesideOlderTruncation(t *testing.T) {
	seen := map[string]bool{}
	for seed := range int64(100) {
		d := New(seed)
		check(t, d.WriteFile("x", []byte("0123456789")))
		f := reopen(t, d)
		check(t, f.Truncate(2)) // on its way
		d.Inject(Fault{Op: OpWrite, Effect: Lost})
		put(t, f, []byte("new"), 4)
		d.Evict()
		seen[string(content(t, d))] = true
	}
	// Kept; the page forgotten and the size kept; the size forgotten.
	for _, want := range []string{"01\x00\x00new", "01\x00\x00\x00\x00\x00", "01"} {
		if !seen[want] {
			t.Errorf("never shown: %q", want)
		}
	}
	if len(seen) != 3 {
		t.Errorf("shown: %v", seen)
	}
}

// A full disk refuses a write before it can be lost, and the fault has fired.
func TestFullBeforeFault(t *testing.T) {
	for _, e := range []Effect{Random, Nothing, All, Slow, Lost, Misdirected} {
		d, f := opened(t, []byte("0123456789"))
		d.SetCapacity(12)
		in := d.Inject(Fault{Op: OpWrite, Effect: e, Delay: time.Nanosecond})
		n, err := f.WriteVAt([][]byte{[]byte("abcdef")}, 10)
		if n != 2 || !errors.Is(err, disk.ErrNoSpace) || !in.Fired() {
			t.Errorf("effect %d: %d bytes, %v, fired: %v", e, n, err, in.Fired())
		}
		if got := content(t, d.CrashKeepAll()); string(got) != "0123456789ab" {
			t.Errorf("effect %d leaves %q", e, got)
		}
	}
}
