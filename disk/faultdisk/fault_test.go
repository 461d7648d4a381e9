package faultdisk_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
)

// workload does one operation of every kind, and returns the first error.
func workload(d *faultdisk.Disk) error {
	f, err := d.Open("a", disk.Create)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, step := range []func() error{
		func() error { return f.Lock(0, 1, disk.ExclusiveLock) },
		func() error { _, err := f.WriteVAt([][]byte{make([]byte, 2000)}, 0); return err },
		func() error { return f.SyncData() },
		func() error { return d.SyncDir("/") },
		func() error { _, err := f.ReadAt(make([]byte, 2000), 0); return err },
		func() error { return f.Truncate(10) },
		func() error { _, err := f.Size(); return err },
		func() error { return d.Rename("a", "b") },
		func() error { return d.Remove("b") },
		func() error { return f.Unlock(0, 1) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func TestFaultLoop(t *testing.T) {
	var failed []string
	for n := 1; ; n++ {
		d := faultdisk.New(int64(n))
		in := d.FailAt(faultdisk.OpAny, n)
		err := workload(d)
		if !in.Fired() {
			must(t, err)
			break
		}
		var op *disk.OpError
		if !errors.Is(err, faultdisk.ErrInjected) || !errors.As(err, &op) || op.Name == "" {
			t.Fatalf("operation %d: %v", n, err)
		}
		failed = append(failed, op.Op)
		if len(d.Handles()) != 0 || len(d.Locked()) != 0 {
			t.Errorf("handles %v, locks on %v are left", d.Handles(), d.Locked())
		}
	}
	want := []string{"open", "lock", "write", "sync", "sync directory", "read", "truncate", "stat", "rename", "remove"}
	if !slices.Equal(failed, want) {
		t.Errorf("failed were %v", failed)
	}
}

func TestCrashLoop(t *testing.T) {
	want := 0
	for n := 0; ; n++ {
		d := faultdisk.New(1)
		d.CrashAfter(n)
		err := workload(d)
		if !d.Crashed() {
			must(t, err)
			break
		}
		if done := d.Ops(faultdisk.OpMutating); done != n {
			t.Fatalf("%d operations were done, not %d", done, n)
		}
		// The last operation succeeds; what the workload does after it does not.
		if n < 7 && !errors.Is(err, faultdisk.ErrCrashed) {
			t.Fatalf("after operation %d: %v", n, err)
		}
		if _, err := d.Stat("a"); !errors.Is(err, faultdisk.ErrCrashed) {
			t.Fatalf("a dead disk answers: %v", err)
		}
		must(t, workload(d.Crash(int64(n))))
		want++
	}
	if want != 8 { // 0 to 7
		t.Errorf("%d crash points", want)
	}
}

func TestCrashedHandles(t *testing.T) {
	d := faultdisk.New(1)
	f := durableFile(t, d, "x")
	d.CrashAfter(0)
	_, read := f.ReadAt(make([]byte, 1), 0)
	_, written := f.WriteVAt([][]byte{{1}}, 0)
	_, sized := f.Size()
	_, opened := d.Open("a", 0)
	_, resolved := d.Resolve("a")
	for i, err := range []error{read, written, sized, opened, resolved, f.SyncData(), f.Truncate(0),
		f.Lock(0, 1, disk.Shared), f.Unlock(0, 1), d.Remove("a"), d.Rename("a", "b"), d.SyncDir("/"), f.Close()} {
		if !errors.Is(err, faultdisk.ErrCrashed) {
			t.Errorf("call %d after the crash: %v", i, err)
		}
	}
	if got := content(d.Crash(1), "a"); got != "x" {
		t.Error(got)
	}
	d.CrashAfter(-1)
	if !d.Crashed() {
		t.Error("power came back")
	}
}

// TestHookImages: one run with a hook sees as many states as a crash loop.
func TestHookImages(t *testing.T) {
	d := faultdisk.New(1)
	images := 0
	d.SetHook(func(op faultdisk.OpInfo) error {
		if op.Op&faultdisk.OpMutating != 0 {
			images++
			d.Crash(int64(images))
		}
		return nil
	})
	must(t, workload(d))
	if images != 7 {
		t.Errorf("%d images", images)
	}
	mine := errors.New("mine")
	d.SetHook(func(faultdisk.OpInfo) error { return mine })
	if err := workload(d); !errors.Is(err, mine) || !errors.Is(err, faultdisk.ErrInjected) {
		t.Errorf("the hook's error: %v", err)
	}
}

func TestFailedWrite(t *testing.T) {
	seen := map[string]bool{}
	for seed := range int64(300) {
		d := faultdisk.New(seed)
		f := durableFile(t, d, sectors("abc"))
		d.FailAt(faultdisk.OpWrite, 1)
		if n, err := f.WriteVAt([][]byte{[]byte(sectors("XYZ"))}, 0); n != 0 || err == nil {
			t.Fatal(n, err)
		}
		seen[lettersOfA(d)] = true
		must(t, f.SyncData())
		wantOutcomes(t, outcomes(d, lettersOfA)[:1], lettersOfA(d))
	}
	wantOutcomes(t, sorted(seen), "abc", "Xbc", "aYc", "abZ", "XYc", "XbZ", "aYZ", "XYZ")
}

func TestShortWrite(t *testing.T) {
	lengths := map[int64]bool{}
	for seed := range int64(100) {
		d := faultdisk.New(seed)
		f := durableFile(t, d, "")
		d.Inject(faultdisk.Fault{Op: faultdisk.OpWrite, Effect: faultdisk.Prefix})
		data := strings.Repeat("x", 100)
		n, err := f.WriteVAt([][]byte{[]byte(data)}, 0)
		if !errors.Is(err, faultdisk.ErrInjected) || n >= 100 {
			t.Fatal(n, err)
		}
		if got := content(d, "a"); got != data[:n] {
			t.Fatalf("wrote %q and reports %d", got, n)
		}
		lengths[n] = true
	}
	if len(lengths) < 30 {
		t.Errorf("only %d different lengths", len(lengths))
	}
}

func TestDiskFull(t *testing.T) {
	d := faultdisk.New(1)
	f := durableFile(t, d, sectors("ab"))
	full := d.Inject(faultdisk.Fault{Op: faultdisk.OpGrow, Sticky: true, Err: disk.ErrNoSpace})
	write(t, f, 0, sectors("XY")) // needs no space
	must(t, f.Truncate(disk.SectorSize))
	if full.Fired() {
		t.Error("fired too early")
	}
	for range 2 {
		n, err := f.WriteVAt([][]byte{[]byte(sectors("ZZ"))}, 0)
		if !errors.Is(err, disk.ErrNoSpace) || !errors.Is(err, faultdisk.ErrInjected) || n >= 1024 {
			t.Errorf("%d, %v", n, err)
		}
		must(t, f.Truncate(0))
	}
	if err := f.Truncate(1); !errors.Is(err, disk.ErrNoSpace) {
		t.Error(err)
	}
	full.Remove()
	write(t, f, 0, sectors("ZZ"))
}

func TestFaultSelection(t *testing.T) {
	d := faultdisk.New(1)
	db, log := open(t, d, "x.db"), open(t, d, "x.db-wal")
	in := d.Inject(faultdisk.Fault{Op: faultdisk.OpWrite | faultdisk.OpSync, N: 2, Suffix: "-wal"})
	write(t, db, 0, "1")
	must(t, db.SyncData())
	write(t, log, 0, "1")
	if in.Fired() {
		t.Fatal("fired too early")
	}
	if log.SyncData() == nil || !in.Fired() {
		t.Fatal("did not fire")
	}
	must(t, log.SyncData())

	never := d.FailAt(faultdisk.OpRemove, 1)
	never.Remove()
	must(t, d.Remove("x.db"))
	if never.Fired() {
		t.Error("a removed fault fired")
	}

	// A partial read tells the truth as far as it goes.
	write(t, log, 0, "abcdef")
	d.FailAt(faultdisk.OpRead, 1)
	p := make([]byte, 6)
	n, err := log.ReadAt(p, 0)
	if n == 6 || err == nil || err == io.EOF || string(p[:n]) != "abcdef"[:n] {
		t.Errorf("read %q, %v", p[:n], err)
	}
	// All: done, and yet an error.
	d.Inject(faultdisk.Fault{Op: faultdisk.OpRename, Effect: faultdisk.All})
	if d.Rename("x.db-wal", "y") == nil || content(d, "y") != "abcdef" {
		t.Error("the rename was not done, or reports no error")
	}
	// A fault in creating does not create.
	d.FailAt(faultdisk.OpCreate, 1)
	must(t, open(t, d, "y").Close())
	if _, err := d.Open("z", disk.Create); err == nil || content(d, "z") != "absent" {
		t.Errorf("created: %v", err)
	}
}

func TestCountersAndTrace(t *testing.T) {
	d := faultdisk.New(1)
	f := open(t, d, "a")
	write(t, f, 0, "abc")
	write(t, f, 0, "abc")
	must(t, f.SyncData())
	d.FailAt(faultdisk.OpTruncate, 1)
	if f.Truncate(0) == nil {
		t.Fatal("no fault")
	}
	for op, want := range map[faultdisk.Op]int{
		faultdisk.OpAny: 5, faultdisk.OpWrite: 2, faultdisk.OpGrow: 1, faultdisk.OpCreate: 1,
		faultdisk.OpOpen: 1, faultdisk.OpRead: 0, faultdisk.OpMutating: 5, faultdisk.OpWrite | faultdisk.OpGrow: 2,
	} {
		if got := d.Ops(op); got != want {
			t.Errorf("%v: %d, want %d", op, got, want)
		}
	}
	want := "#1 open+create /a\n" +
		"#2 write+grow /a offset 0 length 3\n" +
		"#3 write /a offset 0 length 3\n" +
		"#4 sync /a\n" +
		"#5 truncate /a size 0: injected fault\n"
	if got := d.Trace().String(); got != want {
		t.Errorf("the trace is\n%swant\n%s", got, want)
	}
	for range 2 * faultdisk.TraceLength {
		write(t, f, 0, "x")
	}
	trace := d.Trace()
	if len(trace) != faultdisk.TraceLength || trace[len(trace)-1].Seq != uint64(d.Ops(faultdisk.OpAny)) ||
		trace[0].Seq != trace[len(trace)-1].Seq-faultdisk.TraceLength+1 {
		t.Errorf("the trace goes from %v to %v", trace[0], trace[len(trace)-1])
	}
}

// TestSameSeedSameRun: the seed decides everything.
func TestSameSeedSameRun(t *testing.T) {
	run := func(seed int64) string {
		d := faultdisk.New(seed)
		f := durableFile(t, d, sectors("abcdefgh"))
		for range 3 {
			d.FailAt(faultdisk.OpAny, 1)
			_, _ = f.WriteVAt([][]byte{[]byte(sectors("ABCDEFGH"))}, 0)
		}
		return lettersOfA(d) + lettersOfA(d.Crash(seed)) + lettersOfA(d.Kill(seed))
	}
	seen := map[string]bool{}
	for seed := range int64(50) {
		one, two := run(seed), run(seed)
		if one != two {
			t.Fatalf("seed %d gives two runs", seed)
		}
		seen[one] = true
	}
	if len(seen) < 25 {
		t.Errorf("50 seeds give only %d runs", len(seen))
	}
}

// BenchmarkCrash takes images of a disk as crash loops have it: a database, a
// log grown ahead, a few frames that are not synced.
func BenchmarkCrash(b *testing.B) {
	d := faultdisk.New(1)
	if err := d.WriteFile("x.db", make([]byte, 200<<12)); err != nil {
		b.Fatal(err)
	}
	f, err := d.Open("x.db-wal", disk.Create)
	if err != nil {
		b.Fatal(err)
	}
	frame := make([]byte, 4096+24)
	frame[4000] = 1
	for i := range 20 {
		if _, err := f.WriteVAt([][]byte{frame}, int64(i)*4120); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	seed := int64(0)
	for b.Loop() {
		seed++
		d.Crash(seed)
	}
}
