package faultdisk_test

import (
	"errors"
	"testing"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
)

// startWrite asks a file of the disk, which has that power, to begin writing.
func startWrite(f disk.File, off, n int64) error {
	return f.(disk.WriteStarter).StartWrite(off, n)
}

// TestStartWrite: any of the writes in the range may be durable at once, a
// write outside is not, and no older write comes back over a younger one.
func TestStartWrite(t *testing.T) {
	durable := map[string]bool{}
	for seed := range int64(80) {
		d := faultdisk.New(seed)
		f := durableFile(t, d, sectors("abcd"))
		write(t, f, 0, sectors("X"))
		write(t, f, 512, sectors("Y"))
		write(t, f, 1536, sectors("Z"))
		must(t, startWrite(f, 0, 1024))
		if got := lettersOfA(d); got != "XYcZ" {
			t.Fatalf("reads show %s", got)
		}
		durable[lettersOfA(d.CrashKeepNone())] = true
		must(t, f.SyncData())
		wantOutcomes(t, outcomes(d, lettersOfA), "XYcZ")

		write(t, f, 0, sectors("1"))
		write(t, f, 0, sectors("2"))
		must(t, startWrite(f, 0, 1024))
		for _, got := range outcomes(d, lettersOfA) {
			if got == "1YcZ" && lettersOfA(d.CrashKeepNone()) == "2YcZ" {
				t.Fatal("the older write came back")
			}
		}
	}
	wantOutcomes(t, sorted(durable), "abcd", "Xbcd", "aYcd", "XYcd")
}

// TestStartWriteBehindTruncate: a truncation that is not durable is not
// overtaken by the write behind it.
func TestStartWriteBehindTruncate(t *testing.T) {
	for seed := range int64(20) {
		d := faultdisk.New(seed)
		f := durableFile(t, d, sectors("ab"))
		must(t, f.Truncate(0))
		write(t, f, 512, sectors("X"))
		must(t, startWrite(f, 0, 4096))
		if got := lettersOfA(d.CrashKeepNone()); got != "ab" {
			t.Fatalf("durable is %s", got)
		}
		if got := lettersOfA(d.CrashKeepAll()); got != ".X" {
			t.Fatalf("everything survives, and it is %s", got)
		}
	}
}

// TestFailedStartWrite: its error is one of a sync, and it drops as much.
func TestFailedStartWrite(t *testing.T) {
	d := faultdisk.New(1)
	f := durableFile(t, d, sectors("ab"))
	write(t, f, 0, sectors("XY"))
	d.Inject(faultdisk.Fault{Op: faultdisk.OpStartWrite, Effect: faultdisk.Nothing})
	if err := startWrite(f, 0, 512); !errors.Is(err, faultdisk.ErrInjected) {
		t.Fatal(err)
	}
	must(t, f.SyncData()) // which promises nothing
	wantOutcomes(t, outcomes(d, lettersOfA), "ab")
	if got := lettersOfA(d); got != "XY" {
		t.Fatalf("reads show %s", got)
	}
	if err := startWrite(f, -1, 512); err == nil {
		t.Error("a negative offset")
	}
}
