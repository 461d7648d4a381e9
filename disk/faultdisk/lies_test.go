// Lies in part, writes that reach another file, delays beside other faults, and
// damage under what is not synced.

package faultdisk

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walnutdb/walnut/disk"
)

// A sync that lies in part leaves any of the writes, and an honest one the rest.
func TestLyingSyncInPart(t *testing.T) {
	seen := map[string]bool{}
	for seed := range int64(100) {
		d := New(seed)
		check(t, d.WriteFile("x", []byte("abc")))
		f := reopen(t, d)
		d.Inject(Fault{Op: OpSync, Effect: LieInPart})
		for k := range 3 {
			put(t, f, []byte{"ABC"[k]}, int64(k))
		}
		check(t, f.SyncData())
		seen[string(content(t, d.CrashKeepNone()))] = true
		check(t, f.SyncData())
		if got := content(t, d.CrashKeepNone()); string(got) != "ABC" {
			t.Fatalf("durable after an honest sync: %q", got)
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d subsets of 3 writes are durable after a lie: %v", len(seen), seen)
	}
}

// What is written while a sync that lies in part is held up is not covered by it.
func TestLyingSyncInPartCovers(t *testing.T) {
	for seed := range int64(50) {
		d := New(seed)
		check(t, d.WriteFile("x", []byte("ab")))
		f := reopen(t, d)
		d.Inject(Fault{Op: OpSync, Effect: LieInPart})
		put(t, f, []byte("A"), 0)
		d.SetHook(func(OpInfo) error {
			d.SetHook(nil)
			put(t, f, []byte("B"), 1)
			return nil
		})
		check(t, f.SyncData())
		if got := content(t, d.CrashKeepNone()); got[1] != 'b' {
			t.Fatalf("durable: %q", got)
		}
	}
}

// A sync of a directory that lies in part leaves the first of its changes, and
// none of another directory.
func TestLyingSyncOfDirectoryInPart(t *testing.T) {
	seen := map[string]bool{}
	for seed := range int64(60) {
		d := New(seed)
		for _, name := range []string{"a", "other/b", "c"} {
			f, err := d.Open(name, disk.Create)
			check(t, err)
			check(t, f.Close())
		}
		d.Inject(Fault{Op: OpSyncDir, Effect: LieInPart})
		check(t, d.SyncDir("/"))
		seen[fmt.Sprint(d.CrashKeepNone().Files())] = true
	}
	for _, want := range []string{"[]", "[/a]", "[/a /c]"} {
		if !seen[want] {
			t.Errorf("never left: %s", want)
		}
	}
	if len(seen) != 3 {
		t.Errorf("left were %v", seen)
	}
}

// A write that reaches another file damages that one, and is lost to its own.
func TestMisdirectedIntoAnotherFile(t *testing.T) {
	old := bytes.Repeat([]byte("o"), 8*disk.SectorSize)
	data := bytes.Repeat([]byte("n"), disk.SectorSize)
	for seed := range int64(20) {
		d := New(seed)
		check(t, d.WriteFile("x", old))
		check(t, d.WriteFile("y", old))
		f := reopen(t, d)
		d.Inject(Fault{Op: OpWrite, Effect: Misdirected, Into: "y"})
		put(t, f, data, disk.SectorSize)
		check(t, f.SyncData())
		left := d.CrashKeepAll()
		y, err := left.ReadFile("y")
		check(t, err)
		at := bytes.Index(y, data)
		if at < 0 || at%disk.SectorSize != 0 || bytes.Count(y, []byte("n")) != len(data) {
			t.Fatalf("in the other file it is at byte %d", at)
		}
		if !bytes.Equal(content(t, left), old) {
			t.Fatal("the right place has it too")
		}
		if y, err := d.ReadFile("y"); err != nil || !bytes.Equal(y, old) {
			t.Fatalf("the other file's cache shows it: %v", err)
		}
	}
	for _, into := range []string{"none", "short"} {
		d, f := opened(t, old)
		check(t, d.WriteFile("short", []byte("s")))
		d.Inject(Fault{Op: OpWrite, Effect: Misdirected, Into: into})
		put(t, f, data, 0)
		left := d.CrashKeepAll()
		if short, err := left.ReadFile("short"); err != nil || string(short) != "s" || !bytes.Equal(content(t, left), old) {
			t.Errorf("into %q: it is not simply lost", into)
		}
	}
}

// The only other place of a short file is taken, never the right one.
func TestMisdirectedNeverLandsRight(t *testing.T) {
	for sectors := range 4 {
		for seed := range int64(30) {
			d := New(seed)
			old := bytes.Repeat([]byte("o"), (1+sectors)*disk.SectorSize)
			check(t, d.WriteFile("x", old))
			f := reopen(t, d)
			d.Inject(Fault{Op: OpWrite, Effect: Misdirected})
			put(t, f, bytes.Repeat([]byte("n"), disk.SectorSize), 0)
			if left := content(t, d.CrashKeepAll()); left[0] == 'n' || len(left) != len(old) {
				t.Fatalf("%d sectors, seed %d: it landed where it should", 1+sectors, seed)
			}
		}
	}
}

// A slow disk hides no other fault, delays add up, and the seed says how long.
func TestSlowBesideFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, slowFirst := range []bool{true, false} {
			d, f := opened(t, []byte("old"))
			slow := func() { d.Inject(Fault{Effect: Slow, Delay: time.Minute, Sticky: true}) }
			if slowFirst {
				slow()
			}
			in := d.Inject(Fault{Op: OpSync, N: 2, Delay: time.Hour})
			if !slowFirst {
				slow()
			}
			begin := time.Now()
			check(t, f.SyncData())
			if err := f.SyncData(); !errors.Is(err, ErrInjected) || !in.Fired() {
				t.Errorf("the fault did not fire: %v", err)
			}
			if took := time.Since(begin); took != time.Hour+2*time.Minute {
				t.Errorf("it took %v", took)
			}
			check(t, f.Close())
		}
	})
}

func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := func(seed int64) (took []time.Duration) {
			d := New(seed)
			d.Inject(Fault{Op: OpStat, Effect: Slow, Delay: time.Second, Jitter: time.Second, Sticky: true})
			for range 5 {
				begin := time.Now()
				_, _ = d.Stat("x")
				took = append(took, time.Since(begin))
			}
			return took
		}
		one := run(1)
		if !slices.Equal(one, run(1)) || slices.Equal(one, run(2)) {
			t.Error("the delays do not follow from the seed")
		}
		if slices.Min(one) < time.Second || slices.Max(one) >= 2*time.Second || slices.Min(one) == slices.Max(one) {
			t.Errorf("the delays are %v", one)
		}
	})
}

// The error of a hook counts also where a fault that reports none fires.
func TestHookErrorBesideSilentFault(t *testing.T) {
	d, f := opened(t, []byte("old"))
	mine := errors.New("mine")
	d.Inject(Fault{Op: OpSync, Effect: Slow, Sticky: true})
	d.SetHook(func(OpInfo) error { return mine })
	if err := f.SyncData(); !errors.Is(err, mine) {
		t.Errorf("the error is %v", err)
	}
	d.SetHook(nil)
}

// A disk that loses power while an operation waits does not do it.
func TestCrashWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := opened(t, []byte("old"))
		d.Inject(Fault{Op: OpWrite, Effect: Slow, Delay: time.Hour})
		done := make(chan error)
		go func() { _, err := f.WriteVAt([][]byte{[]byte("new")}, 0); done <- err }()
		synctest.Wait()
		d.CrashAfter(0)
		if err := <-done; !errors.Is(err, ErrCrashed) {
			t.Errorf("the error is %v", err)
		}
		if got := content(t, d.CrashKeepAll()); string(got) != "old" {
			t.Errorf("left: %q", got)
		}
	})
	d, f := opened(t, []byte("old"))
	d.SetHook(func(OpInfo) error { d.CrashAfter(0); return nil })
	if err := f.SyncData(); !errors.Is(err, ErrCrashed) {
		t.Errorf("a hook that ends the power: %v", err)
	}
}

// Damage is done to what is durable: what was written over it is shown, and a
// sync puts it there.
func TestDamageUnderUnsyncedWrites(t *testing.T) {
	d, f := opened(t, []byte("0123456789"))
	put(t, f, []byte("abc"), 0)
	check(t, d.Overwrite("x", 2, []byte("XY")))
	if got := content(t, d); string(got) != "abcY456789" {
		t.Errorf("shown: %q", got)
	}
	if got := content(t, d.CrashKeepNone()); string(got) != "01XY456789" {
		t.Errorf("durable: %q", got)
	}
	check(t, f.SyncData())
	if got := content(t, d.CrashKeepNone()); !bytes.Equal(got, content(t, d)) {
		t.Errorf("a sync leaves %q", got)
	}
	put(t, f, []byte("longer"), 10)
	if _, err := d.FlipBits("x", 10, 1, 1); err == nil {
		t.Error("damage to what is on no disk")
	}
	check(t, f.Truncate(4)) // a cut that is not durable: what it cut can be damaged
	check(t, d.Overwrite("x", 8, []byte("Z")))
	if got := content(t, d); string(got) != "abcY" {
		t.Errorf("shown: %q", got)
	}
	if got := content(t, d.CrashKeepNone()); string(got) != "abcY4567Z9" {
		t.Errorf("durable: %q", got)
	}
}

// Damage to a page that the cache had and the disk did not: the disk's is shown.
func TestDamageAfterFailedSync(t *testing.T) {
	d, f := opened(t, []byte("old"))
	put(t, f, []byte("new"), 0)
	d.Inject(Fault{Op: OpSync, Effect: Nothing})
	check(t, expectInjected(f.SyncData()))
	check(t, d.Overwrite("x", 0, []byte("olX")))
	if got := content(t, d); string(got) != "olX" {
		t.Errorf("shown: %q", got)
	}
}

// A failed sync and a lost write are as lost for who opens the disk of a Kill.
func TestLostAcrossKill(t *testing.T) {
	for name, effect := range map[string]Fault{
		"failed sync": {Op: OpSync, Effect: Nothing}, "lost write": {Op: OpWrite, Effect: Lost},
	} {
		t.Run(name, func(t *testing.T) {
			shown := map[string]bool{}
			for seed := range int64(50) {
				d, f := opened(t, []byte("old"))
				d.Inject(effect)
				put(t, f, []byte("new"), 0)
				_ = f.SyncData()
				k := d.Kill(seed)
				g := reopen(t, k)
				shown[string(content(t, k))] = true
				check(t, g.SyncData())
				if got := content(t, k.CrashKeepAll()); string(got) != "old" {
					t.Fatalf("on the disk: %q", got)
				}
				put(t, g, []byte("new"), 0)
				check(t, g.SyncData())
				if got := content(t, k.CrashKeepNone()); string(got) != "new" {
					t.Fatalf("written again: %q", got)
				}
			}
			if len(shown) != 2 {
				t.Errorf("the next processes see %v", shown)
			}
		})
	}
}
