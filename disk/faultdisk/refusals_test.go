// What the disk refuses by itself, without any fault.

package faultdisk

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"slices"
	"testing"

	"github.com/walnutdb/walnut/disk"
)

func TestRefusals(t *testing.T) {
	d, f := opened(t, []byte("0123456789"))
	ro, err := d.Open("x", disk.ReadOnly)
	check(t, err)
	defer ro.Close()
	closed, err := d.Open("x", 0)
	check(t, err)
	check(t, closed.Close())
	start := func(f disk.File, off, n int64) error { return f.(disk.WriteStarter).StartWrite(off, n) }
	writeAt := func(f disk.File, off int64) error { _, err := f.WriteVAt([][]byte{{1}}, off); return err }
	readAt := func(f disk.File, off int64) error { _, err := f.ReadAt(make([]byte, 1), off); return err }
	open := func(name string, flag disk.OpenFlag) error { _, err := d.Open(name, flag); return err }
	stat := func(_ any, err error) error { return err }
	size := func(_ int64, err error) error { return err }
	check(t, ro.Lock(0, 1, disk.Shared))
	for name, c := range map[string]struct{ got, want error }{
		"open what is not there":   {open("none", 0), fs.ErrNotExist},
		"create what is there":     {open("x", disk.Create|disk.Exclusive), fs.ErrExist},
		"stat what is not there":   {stat(d.Stat("none")), fs.ErrNotExist},
		"resolve nothing":          {stat(d.Resolve("")), fs.ErrNotExist},
		"remove what is not there": {d.Remove("none"), fs.ErrNotExist},
		"rename what is not there": {d.Rename("none", "y"), fs.ErrNotExist},
		"read file not there":      {stat(d.ReadFile("none")), fs.ErrNotExist},
		"read closed":              {readAt(closed, 0), fs.ErrClosed},
		"write closed":             {writeAt(closed, 0), fs.ErrClosed},
		"sync closed":              {closed.SyncData(), fs.ErrClosed},
		"truncate closed":          {closed.Truncate(0), fs.ErrClosed},
		"size closed":              {size(closed.Size()), fs.ErrClosed},
		"lock closed":              {closed.Lock(0, 1, disk.Shared), fs.ErrClosed},
		"unlock closed":            {closed.Unlock(0, 1), fs.ErrClosed},
		"close closed":             {closed.Close(), fs.ErrClosed},
		"start closed":             {start(closed, 0, 1), fs.ErrClosed},
		"write read-only":          {writeAt(ro, 0), disk.ErrReadOnly},
		"truncate read-only":       {ro.Truncate(0), disk.ErrReadOnly},
		"lock read-only":           {ro.Lock(0, 1, disk.ExclusiveLock), disk.ErrReadOnly},
		"read before the file":     {readAt(f, -1), fs.ErrInvalid},
		"write before the file":    {writeAt(f, -1), fs.ErrInvalid},
		"write too far to tell":    {writeAt(f, math.MaxInt64), fs.ErrInvalid},
		"write too far":            {writeAt(f, maxSize), disk.ErrNoSpace},
		"truncate below 0":         {f.Truncate(-1), fs.ErrInvalid},
		"truncate too far":         {f.Truncate(maxSize + 1), disk.ErrNoSpace},
		"lock before the file":     {f.Lock(-1, 1, disk.Shared), fs.ErrInvalid},
		"unlock nothing":           {f.Unlock(0, 0), fs.ErrInvalid},
	} {
		if !errors.Is(c.got, c.want) || errors.Is(c.got, ErrInjected) {
			t.Errorf("%s: %v", name, c.got)
		}
	}
	var locked *disk.LockedError
	if err := f.Lock(0, 1, disk.ExclusiveLock); !errors.As(err, &locked) {
		t.Errorf("a lock that another handle has: %v", err)
	}
	check(t, d.WriteFile("new", nil))
	if got := d.Locked(); !slices.Equal(got, []string{"/x"}) {
		t.Errorf("locked: %q", got)
	}
	for name, err := range map[string]error{
		"open": open("/", disk.Create), "open nameless": open("", disk.Create), "write": d.WriteFile("/", nil),
	} {
		if err == nil {
			t.Errorf("%s the root: no error", name)
		}
	}
	if got := content(t, d); string(got) != "0123456789" {
		t.Errorf("after all that was refused: %q", got)
	}
}

// What does nothing succeeds, and leaves nothing that a crash could lose.
func TestNothingToDo(t *testing.T) {
	d, f := opened(t, []byte("x"))
	check(t, d.Rename("x", "x"))
	check(t, f.Truncate(1))
	for _, effect := range []Effect{All, Random, Lost, Misdirected} {
		d.Inject(Fault{Op: OpWrite, Effect: effect})
		if n, err := f.WriteVAt(nil, 5); n != 0 || err != nil != (effect < Slow) {
			t.Errorf("an empty write, effect %d: %d, %v", effect, n, err)
		}
	}
	if len(d.pending)+len(f.(*file).ino.pending)+len(f.(*file).ino.lost) > 0 {
		t.Error("something is pending or lost")
	}
	if got, err := d.Resolve("dir/../x"); got != "/x" || err != nil {
		t.Errorf("resolved: %q, %v", got, err)
	}
}

// A handle that is closed while a hook holds its lock up gets none.
func TestCloseWhileLocking(t *testing.T) {
	d, f := opened(t, nil)
	d.SetHook(func(OpInfo) error { d.SetHook(nil); return f.Close() })
	if err := f.Lock(0, 1, disk.ExclusiveLock); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the error is %v", err)
	}
	if got := d.Locked(); len(got) > 0 {
		t.Errorf("locked: %q", got)
	}
}

func TestSequential(t *testing.T) {
	d := New(1)
	if !d.Sequential() {
		t.Error("a new disk works in the background")
	}
	d.AllowBackground()
	if d.Sequential() {
		t.Error("a disk that may work in the background does not")
	}
}

// Operations that only look fail by faults too, and an Open that fails with all
// done has created the file, and no handle.
func TestFaultsOfLooking(t *testing.T) {
	d := New(1)
	d.Inject(Fault{Op: OpCreate, Effect: All})
	if _, err := d.Open("x", disk.Create); !errors.Is(err, ErrInjected) {
		t.Errorf("open: %v", err)
	}
	if got := d.Files(); !slices.Equal(got, []string{"/x"}) || len(d.Handles()) > 0 {
		t.Errorf("files %q, handles %q", got, d.Handles())
	}
	f := reopen(t, d)
	if n, err := f.ReadAt(make([]byte, 1), 0); n != 0 || err != io.EOF || f.Name() != "x" {
		t.Errorf("read behind the end: %d, %v", n, err)
	}
	d.Inject(Fault{Op: OpStat, Sticky: true})
	_, stat := d.Stat("x")
	_, resolve := d.Resolve("x")
	_, size := f.Size()
	for name, err := range map[string]error{"stat": stat, "resolve": resolve, "size": size} {
		if !errors.Is(err, ErrInjected) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
