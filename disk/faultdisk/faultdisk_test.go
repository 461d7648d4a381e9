package faultdisk_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
)

// seeds is how many images a test takes to see every outcome. The seeds are
// fixed, so that a test that passes once passes always.
const seeds = 400

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, d *faultdisk.Disk, name string) disk.File {
	t.Helper()
	f, err := d.Open(name, disk.Create)
	must(t, err)
	return f
}

func write(t *testing.T, f disk.File, off int64, data string) {
	t.Helper()
	_, err := f.WriteVAt([][]byte{[]byte(data)}, off)
	must(t, err)
}

// content returns a file's content, or "absent".
func content(d *faultdisk.Disk, name string) string {
	data, err := d.ReadFile(name)
	if err != nil {
		return "absent"
	}
	return string(data)
}

// sectors returns a sector of each letter.
func sectors(letters string) string {
	var b strings.Builder
	for _, c := range letters {
		b.WriteString(strings.Repeat(string(c), disk.SectorSize))
	}
	return b.String()
}

// letters is the inverse of sectors; a sector of zeros is '.', a mixed one '?'.
func letters(data string) string {
	var b strings.Builder
	for ; data != ""; data = data[min(len(data), disk.SectorSize):] {
		s := data[:min(len(data), disk.SectorSize)]
		switch c := s[0]; {
		case strings.Count(s, s[:1]) != len(s):
			b.WriteByte('?')
		case c == 0:
			b.WriteByte('.')
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// outcomes returns what the images of d by many seeds look like, sorted.
func outcomes(d *faultdisk.Disk, look func(*faultdisk.Disk) string) []string {
	seen := map[string]bool{}
	for seed := range int64(seeds) {
		seen[look(d.Crash(seed))] = true
	}
	return sorted(seen)
}

func sorted(set map[string]bool) []string {
	var list []string
	for s := range set {
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}

func wantOutcomes(t *testing.T, got []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("outcomes are %q, want %q", got, want)
	}
}

// durableFile makes a file whose entry and content are durable.
func durableFile(t *testing.T, d *faultdisk.Disk, data string) disk.File {
	t.Helper()
	must(t, d.WriteFile("a", []byte(data)))
	return open(t, d, "a")
}

func lettersOfA(d *faultdisk.Disk) string { return letters(content(d, "a")) }

func TestCrashEverySubsetOfWrites(t *testing.T) {
	d := faultdisk.New(1)
	f := durableFile(t, d, sectors("abc"))
	write(t, f, 0, sectors("X"))
	write(t, f, 2*disk.SectorSize, sectors("Y"))
	must(t, f.SyncData())
	wantOutcomes(t, outcomes(d, lettersOfA), "XbY")

	write(t, f, 0, sectors("1"))
	write(t, f, disk.SectorSize, sectors("2"))
	write(t, f, 2*disk.SectorSize, sectors("3"))
	var want []string
	for i := range 8 {
		s := []byte("XbY")
		for bit := range 3 {
			if i&(1<<bit) != 0 {
				s[bit] = "123"[bit]
			}
		}
		want = append(want, string(s))
	}
	wantOutcomes(t, outcomes(d, lettersOfA), want...)
	if got := lettersOfA(d.CrashKeepAll()); got != "123" {
		t.Error(got)
	}
	if got := lettersOfA(d.CrashKeepNone()); got != "XbY" {
		t.Error(got)
	}
	if got := lettersOfA(d); got != "123" {
		t.Errorf("the crashes changed the original: %s", got)
	}
}

func TestCrashTearsWrites(t *testing.T) {
	d := faultdisk.New(1)
	f := durableFile(t, d, sectors("abc"))
	write(t, f, 0, sectors("XYZ"))
	wantOutcomes(t, outcomes(d, lettersOfA), "abc", "Xbc", "aYc", "abZ", "XYc", "XbZ", "aYZ", "XYZ")

	// Sectors are aligned in the file, not in the write.
	d = faultdisk.New(1)
	f = durableFile(t, d, sectors("abc"))
	write(t, f, 500, strings.Repeat("X", 512))
	for _, data := range outcomes(d, func(d *faultdisk.Disk) string { return content(d, "a") }) {
		first, second := data[500:512], data[512:1012]
		for _, part := range []string{first, second} {
			if strings.Count(part, part[:1]) != len(part) {
				t.Fatal("a sector is torn")
			}
		}
	}

	// An append may leave the size and not the bytes, or later bytes only.
	d = faultdisk.New(1)
	f = durableFile(t, d, "")
	write(t, f, 0, sectors("XY"))
	wantOutcomes(t, outcomes(d, lettersOfA), "", "X", "X.", ".Y", "..", "XY")
}

func TestCrashTruncate(t *testing.T) {
	d := faultdisk.New(1)
	f := durableFile(t, d, sectors("abc"))
	must(t, f.Truncate(disk.SectorSize))
	must(t, f.Truncate(2*disk.SectorSize))
	wantOutcomes(t, outcomes(d, lettersOfA), "abc", "a", "ab", "a.")
	must(t, f.SyncData())
	wantOutcomes(t, outcomes(d, lettersOfA), "a.")
}

// TestCrashZeros: zeros written ahead are writes like others.
func TestCrashZeros(t *testing.T) {
	d := faultdisk.New(1)
	f := durableFile(t, d, sectors("ab"))
	write(t, f, 0, strings.Repeat("\x00", 2*disk.SectorSize))
	wantOutcomes(t, outcomes(d, lettersOfA), "ab", ".b", "a.", "..")
}

func TestCrashEntries(t *testing.T) {
	look := func(d *faultdisk.Disk) string {
		var s []string
		for _, name := range d.Files() {
			s = append(s, name+"="+content(d, name))
		}
		return strings.Join(s, " ")
	}
	t.Run("create", func(t *testing.T) {
		d := faultdisk.New(1)
		f := open(t, d, "dir/a")
		write(t, f, 0, "x")
		must(t, f.SyncData())
		must(t, d.SyncDir("/")) // another directory
		wantOutcomes(t, outcomes(d, look), "", "/dir/a=x")
		must(t, d.SyncDir("dir"))
		wantOutcomes(t, outcomes(d, look), "/dir/a=x")
	})
	t.Run("content is not synced with the entry", func(t *testing.T) {
		d := faultdisk.New(1)
		write(t, open(t, d, "a"), 0, "x")
		must(t, d.SyncDir("/"))
		wantOutcomes(t, outcomes(d, look), "/a=", "/a=\x00", "/a=x")
	})
	t.Run("remove", func(t *testing.T) {
		d := faultdisk.New(1)
		f := durableFile(t, d, "old")
		write(t, f, 0, "NEW")
		must(t, f.Close())
		must(t, d.Remove("a"))
		wantOutcomes(t, outcomes(d, look), "", "/a=old", "/a=NEW")
		must(t, d.SyncDir("/"))
		wantOutcomes(t, outcomes(d, look), "")
	})
	t.Run("remove and create", func(t *testing.T) {
		d := faultdisk.New(1)
		durableFile(t, d, "old")
		must(t, d.Remove("a"))
		f := open(t, d, "a")
		write(t, f, 0, "new")
		must(t, f.SyncData())
		wantOutcomes(t, outcomes(d, look), "", "/a=old", "/a=new")
		must(t, d.SyncDir("/"))
		wantOutcomes(t, outcomes(d, look), "/a=new")
	})
	t.Run("rename", func(t *testing.T) {
		d := faultdisk.New(1)
		must(t, d.WriteFile("a", []byte("old")))
		must(t, d.WriteFile("b", []byte("new")))
		must(t, d.Rename("b", "a"))
		wantOutcomes(t, outcomes(d, look), "/a=old /b=new", "/a=new")
		must(t, d.SyncDir("/"))
		wantOutcomes(t, outcomes(d, look), "/a=new")
	})
	t.Run("rename to another directory", func(t *testing.T) {
		d := faultdisk.New(1)
		must(t, d.WriteFile("1/a", []byte("x")))
		must(t, d.Rename("1/a", "2/a"))
		wantOutcomes(t, outcomes(d, look), "", "/1/a=x", "/2/a=x", "/1/a=x /2/a=x")
		must(t, d.SyncDir("2"))
		wantOutcomes(t, outcomes(d, look), "/2/a=x", "/1/a=x /2/a=x")
	})
	t.Run("WriteFile is durable", func(t *testing.T) {
		d := faultdisk.New(1)
		durableFile(t, d, "old")
		must(t, d.Remove("a"))
		must(t, d.WriteFile("a", []byte("fixture")))
		wantOutcomes(t, outcomes(d, look), "/a=fixture")
	})
}

func TestCrashTwice(t *testing.T) {
	d := faultdisk.New(1)
	f := durableFile(t, d, sectors("ab"))
	write(t, f, 0, sectors("XY"))
	for seed := range int64(20) {
		image := d.Crash(seed)
		if want, got := lettersOfA(image), lettersOfA(d.Crash(seed)); got != want {
			t.Fatalf("seed %d gives %s, then %s", seed, want, got)
		}
		// What a crash left is durable, and the image is a disk of its own.
		wantOutcomes(t, outcomes(image, lettersOfA), lettersOfA(image))
		g := open(t, image, "a")
		write(t, g, 0, sectors("Q"))
		must(t, g.SyncData())
	}
	if got := lettersOfA(d.CrashKeepNone()); got != "ab" {
		t.Errorf("an image changed the original: %s", got)
	}
	// The original goes on, and syncs what was pending.
	must(t, f.SyncData())
	wantOutcomes(t, outcomes(d, lettersOfA), "XY")
}

func TestImagesAreOtherVolumes(t *testing.T) {
	d := faultdisk.New(1)
	durableFile(t, d, "x")
	one, err := d.Stat("a")
	must(t, err)
	two, err := d.Crash(1).Stat("a")
	must(t, err)
	if one.ID == two.ID {
		t.Error("a file and its image have one identity")
	}
}

// TestWriteDuringSync: a hook holds the sync up, and a write slips in.
func TestWriteDuringSync(t *testing.T) {
	d := faultdisk.New(1)
	f := durableFile(t, d, sectors("ab"))
	write(t, f, 0, sectors("X"))
	d.SetHook(func(op faultdisk.OpInfo) error {
		if op.Op == faultdisk.OpSync {
			d.SetHook(nil)
			write(t, f, disk.SectorSize, sectors("Y"))
			_, err := d.Open("b", disk.Create)
			return err
		}
		return nil
	})
	must(t, f.SyncData())
	wantOutcomes(t, outcomes(d, lettersOfA), "Xb", "XY")
}

func TestFailedSync(t *testing.T) {
	for _, effect := range []faultdisk.Effect{faultdisk.Nothing, faultdisk.Random, faultdisk.All} {
		t.Run(fmt.Sprint(effect), func(t *testing.T) {
			durable, evicted := map[string]bool{}, map[string]bool{}
			for seed := range int64(80) {
				d := faultdisk.New(seed)
				f := durableFile(t, d, sectors("ab"))
				write(t, f, 0, sectors("XY"))
				in := d.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Effect: effect})
				if err := f.SyncData(); !errors.Is(err, faultdisk.ErrInjected) || !in.Fired() {
					t.Fatal(err)
				}
				must(t, f.SyncData()) // which promises nothing
				if got := lettersOfA(d); got != "XY" {
					t.Fatalf("reads show %s", got)
				}
				left := outcomes(d, lettersOfA)
				if len(left) != 1 {
					t.Fatalf("after the second sync a crash leaves one of %q", left)
				}
				durable[left[0]] = true
				killed := d.Kill(seed)
				evicted[lettersOfA(killed)] = true
				wantOutcomes(t, outcomes(killed, lettersOfA), left[0])

				// Only writing again helps, and only for what is written.
				write(t, f, 0, sectors("X"))
				must(t, f.SyncData())
				if got := lettersOfA(d.CrashKeepNone()); got != "X"+left[0][1:] {
					t.Fatalf("written again: %s after %s", got, left[0])
				}
			}
			switch effect {
			case faultdisk.Nothing:
				wantOutcomes(t, sorted(durable), "ab")
				wantOutcomes(t, sorted(evicted), "ab", "XY") // one page of the cache
			case faultdisk.Random:
				wantOutcomes(t, sorted(durable), "ab", "Xb", "aY", "XY")
			case faultdisk.All:
				wantOutcomes(t, sorted(durable), "XY")
			}
		})
	}
}

func TestKill(t *testing.T) {
	d := faultdisk.New(1)
	f := durableFile(t, d, sectors("ab"))
	must(t, f.Lock(0, 1, disk.ExclusiveLock))
	write(t, f, 0, sectors("X"))
	g := open(t, d, "new")
	write(t, g, 0, "n")
	for seed := range int64(20) {
		k := d.Kill(seed)
		if got := lettersOfA(k) + content(k, "new"); got != "Xbn" {
			t.Fatalf("the cache shows %q", got)
		}
		// Nothing became durable by it.
		wantOutcomes(t, outcomes(k, lettersOfA), "ab", "Xb")
		wantOutcomes(t, outcomes(k, func(d *faultdisk.Disk) string { return content(d, "new") }),
			"absent", "", "\x00", "n")
		must(t, open(t, k, "a").Lock(0, 1, disk.ExclusiveLock))
	}
}

// TestKillAfterFailedTruncate: a cut that a failed sync dropped comes back.
func TestKillAfterFailedTruncate(t *testing.T) {
	d := faultdisk.New(1)
	f := durableFile(t, d, sectors("abc"))
	must(t, f.Truncate(disk.SectorSize))
	d.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Effect: faultdisk.Nothing})
	if f.SyncData() == nil {
		t.Fatal("the sync did not fail")
	}
	write(t, f, disk.SectorSize, sectors("X"))
	seen := map[string]bool{}
	for seed := range int64(seeds) {
		seen[lettersOfA(d.Kill(seed))] = true
	}
	wantOutcomes(t, sorted(seen), "aX", "aXc")
	must(t, f.SyncData())
	wantOutcomes(t, outcomes(d, lettersOfA), "aXc")
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	d := faultdisk.New(1)
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			f, err := d.Open("a", disk.Create)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			own, err := d.Open(fmt.Sprint("w", w), disk.Create)
			if err != nil {
				t.Error(err)
				return
			}
			defer own.Close()
			for i := range 50 {
				data := [][]byte{bytes.Repeat([]byte{byte(w)}, 5000)}
				_, err1 := f.WriteVAt(data, int64(w*5000))
				_, err2 := own.WriteVAt(data, int64(i*10))
				if err := errors.Join(err1, err2, f.SyncData(), d.SyncDir("/")); err != nil {
					t.Error(err)
				}
				image := d.Crash(int64(i))
				if g, err := image.Open("a", disk.Create); err == nil {
					if _, err := g.WriteVAt(data, 3); err != nil {
						t.Error(err)
					}
				}
				_ = d.Trace()
				_ = d.Kill(int64(i))
			}
		})
	}
	group.Wait()
}
