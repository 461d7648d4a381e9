// The images for detached readers: which are saved, found, kept and dropped.

package wal

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// sideLog is a log whose database file has pages of 512 bytes that begin with
// what page is called.
func sideLog(t *testing.T, pages int) (*Log, func(n int, b byte)) {
	t.Helper()
	fsys := disk.NewMem()
	f, err := fsys.Open("/a.db", disk.Create)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	l := &Log{cfg: Config{FS: fsys, DB: f, Limits: Limits{SideBytes: 64 * 512}}, co: coord.NewInProcess(coord.State{})}
	l.pageSize.Store(512)
	l.limits.Store(&l.cfg.Limits)
	put := func(n int, b byte) {
		if _, err := f.WriteVAt([][]byte{bytes.Repeat([]byte{b}, 512)}, int64(n-1)*512); err != nil {
			t.Fatal(err)
		}
	}
	for n := 1; n <= pages; n++ {
		put(n, byte(n))
	}
	return l, put
}

// detach enters a reader of so many pages and detaches it.
func detach(t *testing.T, l *Log, pages uint32) *coord.Reader {
	t.Helper()
	r := new(coord.Reader)
	m, st := l.co.BeginRead()
	s := *st
	s.DBSize = pages
	l.co.Enter(r, m, &s, coord.Who{}, 0)
	if n := len(l.co.Detach(l.fileVersion, func(i coord.ReaderInfo) bool { return i.State == &s })); n != 1 {
		t.Fatalf("%d readers were detached", n)
	}
	return r
}

func (l *Log) leave(r *coord.Reader) {
	if l.co.Leave(r) {
		l.ReaderLeft()
	}
}

func list(pages ...walformat.PageNo) (l []pageFrame) {
	for _, p := range pages {
		l = append(l, pageFrame(uint64(p)<<32|1))
	}
	return l
}

const keepAll = ^uint32(0)

// sees fails unless version v of page n begins with b, whatever the file says.
func sees(t *testing.T, l *Log, v coord.FileVersion, n walformat.PageNo, b byte) {
	t.Helper()
	p := make([]byte, 512)
	if err := l.ReadDetached(v, n, p); err != nil {
		t.Fatal(err)
	}
	if p[0] != b || p[511] != b {
		t.Errorf("version %d of page %d begins with %d, not %d", v, n, p[0], b)
	}
}

func TestSideVersions(t *testing.T) {
	l, put := sideLog(t, 6)
	save := func(todo []pageFrame, keep uint32) {
		t.Helper()
		if err := l.saveForDetached(todo, keep); err != nil {
			t.Fatal(err)
		}
	}
	save(list(1, 2, 3), keepAll)
	if s := l.side.stats(512); s.images != 0 || l.side.file != nil {
		t.Errorf("nobody is detached, and there are images: %+v", s)
	}

	old := detach(t, l, 5)
	save(list(2, 3, 6), keepAll) // 6 is beyond what the reader has
	put(2, 102)
	put(3, 103)
	// The batch fails and is repeated, with more: what is in the file of it by now
	// must not be saved.
	save(list(2, 3, 4), keepAll)
	if s := l.side.stats(512); s.images != 3 {
		t.Errorf("%+v", s)
	}
	put(4, 104)
	l.fileVersion++

	newer := detach(t, l, 5)
	save(list(2), 4) // and cuts 5 and 6 off
	put(2, 202)
	if err := l.cfg.DB.Truncate(4 * 512); err != nil {
		t.Fatal(err)
	}
	l.fileVersion++
	save(list(3), keepAll)
	put(3, 203)
	put(5, 205)
	l.fileVersion++

	for n, b := range map[walformat.PageNo]byte{1: 1, 2: 2, 3: 3, 4: 4, 5: 5} {
		sees(t, l, 0, n, b)
	}
	for n, b := range map[walformat.PageNo]byte{1: 1, 2: 102, 3: 103, 4: 104, 5: 5} {
		sees(t, l, 1, n, b)
	}
	// Nobody else needs 2 again: the newest reader's image is there.
	save(list(2), keepAll)
	if s := l.side.stats(512); s.images != 6 || s.bytes != 6*512 {
		t.Errorf("%+v", s)
	}

	// The older one goes: its images are dropped, and their places used again.
	l.leave(old)
	if s := l.side.stats(512); s.images != 3 {
		t.Errorf("after the older one has gone: %+v", s)
	}
	for n, b := range map[walformat.PageNo]byte{1: 1, 2: 102, 3: 103, 4: 104, 5: 5} {
		sees(t, l, 1, n, b)
	}
	save(list(1, 4), keepAll)
	put(1, 201)
	put(4, 204)
	if s := l.side.stats(512); s.images != 5 || s.bytes != 6*512 {
		t.Errorf("places are not used again: %+v", s)
	}
	for n, b := range map[walformat.PageNo]byte{1: 1, 2: 102, 3: 103, 4: 104, 5: 5} {
		sees(t, l, 1, n, b)
	}
	l.leave(newer)
	if s := l.side.stats(512); s.images != 0 || s.bytes != 0 || l.side.file != nil {
		t.Errorf("after both have gone: %+v", s)
	}
}

func TestSideBudget(t *testing.T) {
	l, _ := sideLog(t, 6)
	r := detach(t, l, 6)
	defer l.leave(r)
	l.SetLimits(Limits{SideBytes: 3 * 512})
	if err := l.saveForDetached(list(1, 2, 3, 4), keepAll); !errors.Is(err, errSideFull) {
		t.Fatalf("%v", err)
	}
	if s := l.side.stats(512); s.bytes != 0 {
		t.Errorf("%+v", s)
	}
	if err := l.saveForDetached(list(1, 2, 3), keepAll); err != nil {
		t.Fatal(err)
	}
	if err := l.saveForDetached(list(1, 2, 4), keepAll); !errors.Is(err, errSideFull) {
		t.Fatalf("%v", err)
	}
}

func TestSideDamage(t *testing.T) {
	l, put := sideLog(t, 6)
	r := detach(t, l, 6)
	defer l.leave(r)
	if err := l.saveForDetached(list(1, 2, 3), keepAll); err != nil {
		t.Fatal(err)
	}
	put(2, 9)
	if _, err := l.side.file.WriteVAt([][]byte{{77}}, 512+100); err != nil {
		t.Fatal(err)
	}
	sees(t, l, 0, 1, 1)
	if err := l.ReadDetached(0, 2, make([]byte, 512)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a damaged image: %v", err)
	}
}

// hooked is a file that calls hook before each read.
type hooked struct {
	disk.File
	hook func()
}

func (h *hooked) ReadAt(p []byte, off int64) (int, error) {
	h.hook()
	return h.File.ReadAt(p, off)
}

// TestSideOverwrittenBeforeTheRead: a page that is saved and overwritten after the
// look for an image, and before the file is read.
func TestSideOverwrittenBeforeTheRead(t *testing.T) {
	l, put := sideLog(t, 6)
	r := detach(t, l, 6)
	defer l.leave(r)
	file := l.cfg.DB
	overwrite := func() {
		l.cfg.DB = file
		if err := l.saveForDetached(list(2), keepAll); err != nil {
			t.Error(err)
		}
		put(2, 99)
	}
	l.cfg.DB = &hooked{file, overwrite}
	sees(t, l, 0, 2, 2)
}

// TestSideLeftWhileSaving: what a reader leaves behind that ends while images are
// saved for others is forgotten when they are.
func TestSideLeftWhileSaving(t *testing.T) {
	l, put := sideLog(t, 6)
	old := detach(t, l, 6)
	if err := l.saveForDetached(list(2), keepAll); err != nil {
		t.Fatal(err)
	}
	put(2, 102)
	l.fileVersion++
	r := detach(t, l, 6)
	file := l.cfg.DB
	l.cfg.DB = &hooked{file, func() {
		l.cfg.DB = file
		l.leave(old)
	}}
	if err := l.saveForDetached(list(3), keepAll); err != nil {
		t.Fatal(err)
	}
	if s := l.side.stats(512); s.images != 1 {
		t.Errorf("%d images are kept, 1 is needed", s.images)
	}
	put(3, 103)
	sees(t, l, 1, 2, 102)
	sees(t, l, 1, 3, 3)
	l.leave(r)
}

// TestSidePlacesAreUsedAgain: when the reader of the largest database has gone, the
// file may be longer than what is allowed now; places in it that are free serve
// the others all the same.
func TestSidePlacesAreUsedAgain(t *testing.T) {
	l, put := sideLog(t, 6)
	l.limits.Store(new(Limits)) // as much as the largest of their databases
	large := detach(t, l, 6)
	if err := l.saveForDetached(list(1, 2, 3, 4, 5, 6), keepAll); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 6; n++ {
		put(n, byte(100+n))
	}
	l.fileVersion++
	small := detach(t, l, 2)
	l.leave(large)
	if err := l.saveForDetached(list(1, 2), keepAll); err != nil {
		t.Fatal(err)
	}
	put(1, 201)
	sees(t, l, 1, 1, 101)
	sees(t, l, 1, 2, 102)
	l.leave(small)
}

// TestSideTouchesNoOtherFile: a name that leads to somebody else's file is taken
// away, and the file is not.
func TestSideTouchesNoOtherFile(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := disk.OS().Open(filepath.Join(dir, "a.db"), disk.Create)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	name := db.Name() + SideSuffix
	for how, link := range map[string]func(string, string) error{"symlink": os.Symlink, "hard link": os.Link} {
		if err := link(other, name); err != nil {
			t.Skip(err)
		}
		f, err := openSide(disk.OS(), db)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteVAt([][]byte{{1}}, 0); err != nil {
			t.Error(err)
		}
		_ = f.Close()
		if b, err := os.ReadFile(other); err != nil || string(b) != "precious" {
			t.Errorf("%s: the file has %q, %v", how, b, err)
		}
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("%s: the name stays", how)
		}
		_ = os.WriteFile(other, []byte("precious"), 0o600)
	}
}

// TestPermissions: whoever may not read the database finds nothing of it in the
// files beside it.
func TestPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no such permissions")
	}
	for _, perm := range []fs.FileMode{0o600, 0o660} {
		db, err := disk.OS().Open(filepath.Join(t.TempDir(), "a.db"), disk.Create)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := os.Chmod(db.Name(), perm); err != nil {
			t.Fatal(err)
		}
		side, err := openSide(disk.OS(), db)
		if err != nil {
			t.Fatal(err)
		}
		defer side.Close()
		l := &Log{cfg: Config{FS: disk.OS(), DB: db}, path: db.Name() + "-wal"}
		if err := l.identify(); err != nil {
			t.Fatal(err)
		}
		if err := l.openLog(); err != nil {
			t.Fatal(err)
		}
		defer l.file.Close()
		for _, f := range []disk.File{side, l.file} {
			if info, err := f.Stat(); err != nil || info.Mode.Perm() != perm {
				t.Errorf("%s has %v, %v", f.Name(), info.Mode, err)
			}
		}
	}
}
