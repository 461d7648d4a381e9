//go:build linux || darwin

package disk

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWriteVectorsShort(t *testing.T) {
	// Whatever the kernel takes at a time, each byte goes to its place once.
	for step := 1; step < 40; step++ {
		var bufs [][]byte
		for i := range 30 {
			bufs = append(bufs, bytes.Repeat([]byte{byte('a' + i)}, i%7))
		}
		want := bytes.Join(bufs, nil)
		var got []byte
		interrupted := false
		n, err := writeVectors(bufs, 100, func(chunk [][]byte, off int64) (int, error) {
			if interrupted = !interrupted; interrupted {
				return -1, unix.EINTR
			}
			if off != int64(100+len(got)) {
				t.Fatalf("a call at offset %d after %d bytes", off, len(got))
			}
			data := bytes.Join(chunk, nil)
			data = data[:min(len(data), step)]
			got = append(got, data...)
			return len(data), nil
		})
		if err != nil || n != int64(len(want)) || !bytes.Equal(got, want) {
			t.Fatalf("step %d: %d bytes, %v", step, n, err)
		}
	}
}

func TestWriteVectorsFails(t *testing.T) {
	bufs := [][]byte{[]byte("abc"), []byte("def")}
	calls := 0
	n, err := writeVectors(bufs, 0, func([][]byte, int64) (int, error) {
		if calls++; calls == 2 {
			return -1, unix.ENOSPC
		}
		return 4, nil
	})
	if n != 4 || err != unix.ENOSPC || calls != 2 {
		t.Errorf("%d, %v after %d calls", n, err, calls)
	}
	n, err = writeVectors(bufs, 0, func([][]byte, int64) (int, error) { return 0, nil })
	if n != 0 || err != io.ErrShortWrite {
		t.Errorf("a call that writes nothing: %d, %v", n, err)
	}
}

func TestNoSpace(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOSPC, unix.EDQUOT, unix.EFBIG} {
		err := opError("write", "x.db", 512, &fs.PathError{Op: "write", Path: "x.db", Err: errno})
		if !errors.Is(err, ErrNoSpace) || !errors.Is(err, errno) {
			t.Errorf("%v does not match", err)
		}
		if want := "write x.db at offset 512: " + errno.Error(); err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
	if errors.Is(opError("write", "x.db", 0, unix.EIO), ErrNoSpace) {
		t.Error("EIO matches ErrNoSpace")
	}
}

func TestOpenUnix(t *testing.T) {
	fsys, dir := OS(), t.TempDir()
	_, err := fsys.Open(dir, ReadOnly)
	if err == nil || !strings.Contains(err.Error(), "a directory") {
		t.Errorf("a directory: %v", err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fsys.Open(pipe, ReadOnly); err == nil { // must not block
		t.Error("a pipe was opened")
	}
	f, err := fsys.Open(filepath.Join(dir, "a"), Create)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Mode.Perm()&^filePerm != 0 {
		t.Errorf("%+v, %v", info, err)
	}
	if err := f.(*osFile).withFD(func(fd uintptr) error {
		flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0)
		if flags&unix.FD_CLOEXEC == 0 {
			t.Error("children inherit the descriptor")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	if info, err := f.Stat(); err != nil || info.Links != 2 {
		t.Errorf("two links: %+v, %v", info, err)
	}
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := fsys.Remove(sub); err == nil {
		t.Error("a directory was removed")
	}
}

func TestSyncDirUnix(t *testing.T) {
	fsys, dir := OS(), t.TempDir()
	if err := fsys.SyncDir(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := fsys.SyncDir(file); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("a file: %v", err)
	}
}

func TestResolveUnix(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(root, name) }
	for _, dir := range []string{"real/sub", "elsewhere"} {
		if err := os.MkdirAll(at(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(at("real/file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"link": "real/file", "dir": at("real/sub"), "dangling": "real/new",
		"elsewhere/chain": "../dangling", "nowhere": "none/new", "loop": "loop",
	} {
		if err := os.Symlink(target, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(root)
	sep := string(filepath.Separator)
	for name, want := range map[string]string{
		"link":                       "real/file",
		at("link"):                   "real/file",
		"dir/new":                    "real/sub/new",
		root + sep + "dir/../file":   "real/file", // not root/file
		"dir/../new":                 "real/new",
		"dangling":                   "real/new",
		"elsewhere/chain":            "real/new",
		"elsewhere/./../real/./file": "real/file",
		"new":                        "new",
	} {
		if got, err := OS().Resolve(name); err != nil || got != at(want) {
			t.Errorf("%s: %s, %v; want %s", name, got, err, want)
		}
	}
	for _, name := range []string{"nowhere", "none/new", "loop", "none/..", "link/new"} {
		if got, err := OS().Resolve(name); err == nil {
			t.Errorf("%s resolves to %s", name, got)
		}
	}
}

// TestForeignLock has another process hold the classic lock that SQLite takes.
func TestForeignLock(t *testing.T) {
	const env = "DISK_TEST_LOCK"
	if name := os.Getenv(env); name != "" {
		holdClassicLock(name)
		return
	}
	name := filepath.Join(t.TempDir(), "a")
	f, err := OS().Open(name, Create)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	child := exec.Command(os.Args[0], "-test.run=^TestForeignLock$")
	child.Env = append(os.Environ(), env+"="+name)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "locked\n" {
		t.Fatalf("the child says %q, %v", line, err)
	}
	err = f.Lock(1<<30, 512, ExclusiveLock)
	var holder *LockedError
	if !errors.Is(err, ErrLocked) || !errors.As(err, &holder) || holder.PID != child.Process.Pid {
		t.Errorf("got %v, want the lock of process %d", err, child.Process.Pid)
	}
	if err := f.Lock(0, 1, ExclusiveLock); err != nil {
		t.Error(err)
	}
	in.Close()
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
	if err := f.Lock(1<<30, 512, ExclusiveLock); err != nil {
		t.Errorf("after the holder's end: %v", err)
	}
}

// holdClassicLock is the child: it holds a lock until its input ends.
func holdClassicLock(name string) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err == nil {
		err = unix.FcntlFlock(f.Fd(), syscall.F_SETLK, newFlock(unix.F_WRLCK, 1<<30, 10))
	}
	if err != nil {
		os.Stdout.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Stdout.WriteString("locked\n")
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// A name below a file that once was a directory leads to nothing.
func TestStatBelowAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OS().Stat(filepath.Join(file, "db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
}
