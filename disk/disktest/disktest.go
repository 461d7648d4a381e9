// Package disktest checks that a [disk.FS] does what the interface promises to
// a program that neither crashes nor meets a fault. Whoever brings a file system
// of their own runs it in a test:
//
//	disktest.Run(t, func(t *testing.T) (disk.FS, string) { return disk.NewMem(), "/" })
//
// What survives a power failure cannot be asked of a running system; package
// faultdisk is where that is tested.
package disktest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/walnutdb/walnut/disk"
)

// Run checks the file systems that open returns, with a directory on each in
// which the check may work.
func Run(t *testing.T, open func(t *testing.T) (fsys disk.FS, dir string)) {
	for _, c := range []struct {
		name  string
		check func(*suite)
	}{
		{"open", (*suite).open},
		{"read and write", (*suite).readWrite},
		{"many buffers", (*suite).manyBuffers},
		{"truncate", (*suite).truncate},
		{"read-only", (*suite).readOnly},
		{"remove", (*suite).remove},
		{"rename", (*suite).rename},
		{"stat", (*suite).stat},
		{"resolve", (*suite).resolve},
		{"sync", (*suite).sync},
		{"start writing", (*suite).startWrite},
		{"close", (*suite).close},
		{"lock conflicts", (*suite).lockConflicts},
		{"lock conversion", (*suite).lockConversion},
		{"lock release", (*suite).lockRelease},
		{"bad arguments", (*suite).badArguments},
		{"random operations", (*suite).random},
		{"concurrent use", (*suite).concurrent},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys, dir := open(t)
			c.check(&suite{T: t, fs: fsys, dir: dir})
		})
	}
}

type suite struct {
	*testing.T
	fs  disk.FS
	dir string
}

func (s *suite) path(name string) string { return filepath.Join(s.dir, name) }

// file opens a file that must open; it is closed at the end.
func (s *suite) file(name string, flag disk.OpenFlag) disk.File {
	s.Helper()
	f, err := s.fs.Open(s.path(name), flag)
	s.must(err)
	s.Cleanup(func() { f.Close() })
	return f
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// is checks that err matches target and names the file.
func (s *suite) is(err, target error, name string) {
	s.Helper()
	if !errors.Is(err, target) {
		s.Fatalf("got error %v, want one that matches %v", err, target)
	}
	if !strings.Contains(err.Error(), name) {
		s.Errorf("the error %q does not name %s", err, name)
	}
}

func (s *suite) write(f disk.File, off int64, data string) {
	s.Helper()
	if n, err := f.WriteVAt([][]byte{[]byte(data)}, off); err != nil || n != int64(len(data)) {
		s.Fatalf("write at %d: %d, %v", off, n, err)
	}
}

// content checks the whole file.
func (s *suite) content(f disk.File, want string) {
	s.Helper()
	size, err := f.Size()
	s.must(err)
	if size != int64(len(want)) {
		s.Fatalf("size is %d, want %d", size, len(want))
	}
	got := make([]byte, size)
	n, err := f.ReadAt(got, 0)
	if n != len(got) || err != nil && err != io.EOF {
		s.Fatalf("read: %d, %v", n, err)
	}
	if string(got) != want {
		s.Fatalf("content differs at byte %d", firstDifference(got, []byte(want)))
	}
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

func (s *suite) open() {
	_, err := s.fs.Open(s.path("a"), 0)
	s.is(err, fs.ErrNotExist, "a")
	_, err = s.fs.Open(s.path("a"), disk.ReadOnly)
	s.is(err, fs.ErrNotExist, "a")
	f := s.file("a", disk.Create|disk.Exclusive)
	if f.Name() != s.path("a") {
		s.Errorf("the name is %q", f.Name())
	}
	s.content(f, "")
	s.write(f, 0, "x")
	_, err = s.fs.Open(s.path("a"), disk.Create|disk.Exclusive)
	s.is(err, fs.ErrExist, "a")
	s.content(s.file("a", disk.Create), "x")
	s.content(s.file("a", 0), "x")
	s.content(s.file("a", disk.ReadOnly), "x")
	if _, err := s.fs.Open(s.dir, 0); err == nil {
		s.Error("a directory was opened for writing")
	}
	if _, err := s.fs.Open(s.dir, disk.ReadOnly); err == nil {
		s.Error("a directory was opened for reading")
	}
}

func (s *suite) readWrite() {
	f := s.file("a", disk.Create)
	s.write(f, 3, "abc")
	s.content(f, "\x00\x00\x00abc")
	s.write(f, 5000, "z")
	s.content(f, "\x00\x00\x00abc"+strings.Repeat("\x00", 4994)+"z")
	s.write(f, 4, "BB")

	for _, c := range []struct {
		off    int64
		length int
		want   string
		err    error
	}{
		{3, 3, "aBB", nil},
		{5000, 1, "z", nil},
		{4999, 4, "\x00z", io.EOF},
		{5001, 1, "", io.EOF},
		{1 << 40, 1, "", io.EOF},
		{0, 0, "", nil},
	} {
		p := bytes.Repeat([]byte{0xff}, c.length)
		n, err := f.ReadAt(p, c.off)
		if n == len(p) && err == io.EOF {
			err = nil // io.ReaderAt allows both
		}
		if string(p[:n]) != c.want || err != c.err {
			s.Errorf("read of %d at %d: %q, %v; want %q, %v", c.length, c.off, p[:n], err, c.want, c.err)
		}
	}
	if n, err := f.WriteVAt(nil, 9000); n != 0 || err != nil {
		s.Errorf("writing nothing: %d, %v", n, err)
	}
	if size, _ := f.Size(); size != 5001 {
		s.Errorf("writing nothing made the size %d", size)
	}
}

func (s *suite) manyBuffers() {
	f := s.file("a", disk.Create)
	var bufs [][]byte
	for i := range 2*disk.MaxVectors + 7 {
		bufs = append(bufs, bytes.Repeat([]byte{byte(i + 1)}, i%9)) // some are empty
	}
	all := bytes.Join(bufs, nil)
	want := append(make([]byte, 700), all...)
	n, err := f.WriteVAt(bufs, 700)
	s.must(err)
	if n != int64(len(all)) {
		s.Fatalf("wrote %d bytes of %d", n, len(all))
	}
	if !bytes.Equal(bytes.Join(bufs, nil), all) {
		s.Fatal("the buffers were changed")
	}
	for _, b := range bufs { // nor are they kept
		clear(b)
	}
	s.content(f, string(want))
	if n, err := f.WriteVAt([][]byte{nil, {}, nil}, 0); n != 0 || err != nil {
		s.Errorf("writing empty buffers: %d, %v", n, err)
	}
	s.content(f, string(want))
}

func (s *suite) truncate() {
	f := s.file("a", disk.Create)
	text := strings.Repeat("abcdefg", 2000)
	s.write(f, 0, text)
	s.must(f.Truncate(5000))
	s.content(f, text[:5000])
	s.must(f.Truncate(9000))
	s.content(f, text[:5000]+strings.Repeat("\x00", 4000))
	s.must(f.Truncate(0))
	s.write(f, 2, "x")
	s.content(f, "\x00\x00x")
	s.must(f.Truncate(3))
	s.content(f, "\x00\x00x")
	s.must(f.Truncate(1 << 32)) // sparse
	if size, err := f.Size(); size != 1<<32 || err != nil {
		s.Errorf("size %d, %v", size, err)
	}
}

func (s *suite) readOnly() {
	s.write(s.file("a", disk.Create), 0, "abc")
	f := s.file("a", disk.ReadOnly)
	if n, err := f.WriteVAt([][]byte{{1}}, 0); n != 0 || err == nil {
		s.Errorf("write: %d, %v", n, err)
	} else {
		s.is(err, fs.ErrPermission, "a")
	}
	s.is(f.Truncate(0), fs.ErrPermission, "a")
	s.is(f.Lock(0, 1, disk.ExclusiveLock), fs.ErrPermission, "a")
	s.must(f.Lock(0, 1, disk.Shared))
	s.must(f.SyncData())
	s.content(f, "abc")
}

func (s *suite) remove() {
	s.is(s.fs.Remove(s.path("a")), fs.ErrNotExist, "a")
	f := s.file("a", disk.Create)
	s.write(f, 0, "old")
	s.must(s.fs.Remove(s.path("a")))
	_, err := s.fs.Stat(s.path("a"))
	s.is(err, fs.ErrNotExist, "a")
	_, err = s.fs.Open(s.path("a"), 0)
	s.is(err, fs.ErrNotExist, "a")
	s.content(f, "old")
	s.write(f, 3, "er")
	s.content(f, "older")
	info, err := f.Stat()
	s.must(err)
	if info.Links != 0 {
		s.Errorf("a removed file has %d links", info.Links)
	}
	g := s.file("a", disk.Create)
	s.content(g, "")
	other, err := g.Stat()
	s.must(err)
	if info.ID == other.ID {
		s.Error("two files have one identity")
	}
}

func (s *suite) rename() {
	s.is(s.fs.Rename(s.path("a"), s.path("b")), fs.ErrNotExist, "a")
	a, b := s.file("a", disk.Create), s.file("b", disk.Create)
	s.write(a, 0, "from a")
	s.write(b, 0, "from b")
	s.must(s.fs.Rename(s.path("a"), s.path("b")))
	_, err := s.fs.Stat(s.path("a"))
	s.is(err, fs.ErrNotExist, "a")
	s.content(s.file("b", 0), "from a")
	s.write(a, 0, "FROM")
	s.content(s.file("b", 0), "FROM a")
	s.content(b, "from b")
	s.must(s.fs.Rename(s.path("b"), s.path("b")))
	s.content(s.file("b", 0), "FROM a")
}

func (s *suite) stat() {
	_, err := s.fs.Stat(s.path("a"))
	s.is(err, fs.ErrNotExist, "a")
	f, g, other := s.file("a", disk.Create), s.file("a", 0), s.file("b", disk.Create)
	s.write(f, 0, "12345")
	var infos []disk.Info
	for _, stat := range []func() (disk.Info, error){
		f.Stat, g.Stat, func() (disk.Info, error) { return s.fs.Stat(s.path("a")) },
	} {
		info, err := stat()
		s.must(err)
		infos = append(infos, info)
		if info.Size != 5 || info.Links != 1 || !info.Mode.IsRegular() || info.Mode.Perm()&0o400 == 0 {
			s.Errorf("%+v", info)
		}
		if info.ID != infos[0].ID {
			s.Errorf("one file has the identities %v and %v", info.ID, infos[0].ID)
		}
	}
	info, err := other.Stat()
	s.must(err)
	if info.ID == infos[0].ID || info.ID.Volume != infos[0].ID.Volume {
		s.Errorf("two files of one volume have the identities %v and %v", info.ID, infos[0].ID)
	}
}

func (s *suite) resolve() {
	s.file("a", disk.Create)
	for _, name := range []string{"a", "not there"} {
		path, err := s.fs.Resolve(s.path(name))
		s.must(err)
		again, err := s.fs.Resolve(path)
		s.must(err)
		if again != path || filepath.Base(path) != name {
			s.Errorf("%s resolves to %s, that to %s", s.path(name), path, again)
		}
	}
	path, err := s.fs.Resolve(s.path("a"))
	s.must(err)
	one, err := s.fs.Stat(path)
	s.must(err)
	two, err := s.fs.Stat(s.path("a"))
	s.must(err)
	if one.ID != two.ID {
		s.Error("the resolved path leads to another file")
	}
	if _, err := s.fs.Resolve(""); err == nil {
		s.Error("the empty name was resolved")
	}
}

func (s *suite) sync() {
	f := s.file("a", disk.Create)
	s.write(f, 0, "abc")
	s.must(f.SyncData())
	s.must(s.fs.SyncDir(s.dir))
	s.content(f, "abc")
}

// startWrite asks for the optional power, which must change nothing that is
// seen.
func (s *suite) startWrite() {
	f := s.file("a", disk.Create)
	s.write(f, 0, "abc")
	s.must(disk.StartWrite(f, 0, 3))
	s.must(disk.StartWrite(f, 1, 1<<20)) // beyond the end too
	s.content(f, "abc")
	w, ok := f.(disk.WriteStarter)
	if !ok {
		return
	}
	for _, r := range [][2]int64{{-1, 1}, {0, 0}, {0, -1}, {1, 1<<63 - 1}} {
		s.is(w.StartWrite(r[0], r[1]), fs.ErrInvalid, "a")
	}
	s.must(f.Close())
	s.is(w.StartWrite(0, 1), fs.ErrClosed, "a")
}

func (s *suite) close() {
	f := s.file("a", disk.Create)
	s.must(f.Close())
	_, read := f.ReadAt(make([]byte, 1), 0)
	_, written := f.WriteVAt([][]byte{{1}}, 0)
	_, sized := f.Size()
	_, stat := f.Stat()
	for i, err := range []error{read, written, sized, stat, f.SyncData(), f.Truncate(0),
		f.Lock(0, 1, disk.Shared), f.Unlock(0, 1), f.Close()} {
		if !errors.Is(err, fs.ErrClosed) {
			s.Errorf("call %d on a closed file: %v", i, err)
		}
	}
}

func (s *suite) badArguments() {
	f := s.file("a", disk.Create)
	if _, err := f.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
		s.Errorf("read before the beginning: %v", err)
	}
	if _, err := f.WriteVAt([][]byte{{1}}, -1); err == nil {
		s.Error("write before the beginning")
	}
	if f.Truncate(-1) == nil {
		s.Error("truncate to a negative size")
	}
	for _, r := range [][2]int64{{-1, 1}, {0, 0}, {0, -1}, {1 << 62, 1 << 62}} {
		if f.Lock(r[0], r[1], disk.Shared) == nil {
			s.Errorf("lock of %v", r)
		}
		if f.Unlock(r[0], r[1]) == nil {
			s.Errorf("unlock of %v", r)
		}
	}
	s.content(f, "")
}

// random compares with a slice of bytes.
func (s *suite) random() {
	const seed = 1
	rng := rand.New(rand.NewPCG(seed, seed))
	f := s.file("a", disk.Create)
	var model []byte
	for range 400 {
		off := rng.Int64N(30000)
		switch rng.IntN(5) {
		case 0:
			s.must(f.Truncate(off))
			model = append(model, make([]byte, max(0, off-int64(len(model))))...)[:off]
		case 1:
			p := make([]byte, rng.IntN(9000))
			n, err := f.ReadAt(p, off)
			var want []byte
			if off < int64(len(model)) {
				want = model[off:min(int64(len(model)), off+int64(len(p)))]
			}
			if !bytes.Equal(p[:n], want) || n < len(p) && err != io.EOF {
				s.Fatalf("read of %d at %d: %d bytes, %v; want %d", len(p), off, n, err, len(want))
			}
		default:
			var bufs [][]byte
			for range rng.IntN(5) {
				b := make([]byte, rng.IntN(5000))
				if rng.IntN(3) > 0 {
					for i := range b {
						b[i] = byte(rng.Uint32())
					}
				}
				bufs = append(bufs, b)
			}
			data := bytes.Join(bufs, nil)
			_, err := f.WriteVAt(bufs, off)
			s.must(err)
			if end := off + int64(len(data)); len(data) > 0 {
				model = append(model, make([]byte, max(0, end-int64(len(model))))...)
				copy(model[off:], data)
			}
		}
	}
	s.content(f, string(model))
}

func (s *suite) concurrent() {
	const workers, block = 4, 3000
	var group sync.WaitGroup
	errs := make(chan error, workers)
	for w := range workers {
		group.Go(func() { errs <- s.worker(w*block, block, byte(w+1)) })
	}
	group.Wait()
	for range workers {
		s.must(<-errs)
	}
	var want []byte
	for w := range workers {
		want = append(want, bytes.Repeat([]byte{byte(w + 1)}, block)...)
	}
	s.content(s.file("shared", 0), string(want))
}

// worker writes and reads its own part of one file, through its own handle.
func (s *suite) worker(off, n int, b byte) (err error) {
	f, err := s.fs.Open(s.path("shared"), disk.Create)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	want, got := bytes.Repeat([]byte{b}, n), make([]byte, n)
	for range 20 {
		if _, err := f.WriteVAt([][]byte{want[:n/2], want[n/2:]}, int64(off)); err != nil {
			return err
		}
		if _, err := f.ReadAt(got, int64(off)); err != nil && err != io.EOF {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("worker %d read something else than it wrote", b)
		}
		if err := f.Lock(int64(off), int64(n), disk.ExclusiveLock); err != nil {
			return err
		}
		if err := f.SyncData(); err != nil {
			return err
		}
		if err := f.Unlock(int64(off), int64(n)); err != nil {
			return err
		}
	}
	return nil
}
