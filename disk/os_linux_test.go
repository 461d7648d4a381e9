package disk

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCopyOnWrite(t *testing.T) {
	cow := OS().(CopyOnWriter)
	if cow.CopyOnWrite("/proc") || cow.CopyOnWrite("/does/not/exist") {
		t.Error("an unknown file system counts as copying on write")
	}
	_ = cow.CopyOnWrite(t.TempDir()) // depends on the machine
}

// TestTooBig meets the size limit of a process, which is there on every file
// system: a write across it is short, and what is left fails.
func TestTooBig(t *testing.T) {
	const limit = 100_000
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	f, err := OS().Open(t.TempDir()+"/a", Create)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	n, wrote := f.WriteVAt([][]byte{make([]byte, 99_000), make([]byte, 2000), make([]byte, 10)}, 0)
	grew := f.Truncate(limit + 1)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if n != limit {
		t.Errorf("wrote %d bytes, want %d", n, limit)
	}
	for _, err := range []error{wrote, grew} {
		if !errors.Is(err, ErrNoSpace) || !errors.Is(err, unix.EFBIG) {
			t.Errorf("got %v", err)
		}
	}
}
