package atrest

// Any bytes as a database, its log and a rollback journal, in front of those who
// only look.

import (
	"bytes"
	"context"
	"encoding/json"
	"runtime"
	"slices"
	"testing"

	engine "github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/walformat"
)

// file is the database, in memory.
const file = "/app.db"

func write(t *testing.T, fsys disk.FS, name string, b []byte) {
	t.Helper()
	f, err := fsys.Open(name, disk.Create)
	if err == nil {
		_, err = f.WriteVAt([][]byte{b}, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
}

func read(t *testing.T, fsys disk.FS, name string) []byte {
	t.Helper()
	f, err := fsys.Open(name, disk.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && size > 0 {
		t.Fatal(err)
	}
	return b
}

// made returns the files of a small database in use.
func made(f *testing.F, pageSize int) (db, log []byte) {
	f.Helper()
	d := faultdisk.New(1)
	e, err := engine.Open("/app.db", &engine.Options{FS: d, PageSize: pageSize})
	if err != nil {
		f.Fatal(err)
	}
	defer e.Close()
	for n := engine.PageNo(2); n < 5; n++ {
		if err := e.Update(context.Background(), func(tx *engine.Tx) error { _, err := tx.Write(n); return err }); err != nil {
			f.Fatal(err)
		}
	}
	if db, err = d.ReadFile("/app.db"); err != nil {
		f.Fatal(err)
	}
	if log, err = d.ReadFile("/app.db-wal"); err != nil {
		f.Fatal(err)
	}
	return db, log[:walformat.HeaderSize+4*(pageSize+walformat.FrameHeaderSize)]
}

// FuzzLookers: info, frames, top and doctor tell something about any three files,
// or what is wrong with them, in memory in proportion, and change none. What they
// tell fits together. (What verify reads beside the same, SQLite reads for it.)
func FuzzLookers(f *testing.F) {
	db, log := made(f, 512)
	f.Add(db, log, []byte{})
	f.Add(db, log[:len(log)-100], []byte{0})
	f.Add(db[:256], log, []byte{})
	damaged := slices.Clone(log)
	damaged[walformat.HeaderSize+walformat.FrameHeaderSize+512+30] ^= 1 // in frame 2 of 4
	f.Add(db, damaged, []byte("\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"))
	db, log = made(f, 4096)
	f.Add(db, log, []byte{})
	header := append([]byte("SQLite format 3\x00\x10\x00\x02\x02\x00\x40\x20\x20"), make([]byte, 76)...)
	f.Add(header, []byte{}, []byte{})
	f.Add(header, []byte("\x37\x7f\x06\x82\x00\x2d\xe2\x18\x00\x00\x10\x00\x00\x00\x00\x00"), []byte{})
	f.Add([]byte{}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, db, log, journal []byte) {
		if len(db) > 1<<17 || len(log) > 1<<17 {
			return
		}
		fsys := disk.NewMem()
		files := map[string][]byte{file: db, file + "-wal": log, file + "-journal": journal}
		for name, b := range files {
			write(t, fsys, name, b)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		before := m.TotalAlloc
		info := lookAtAll(t, fsys)
		runtime.ReadMemStats(&m)
		if used, in := m.TotalAlloc-before, len(db)+len(log)+len(journal); used > 64<<20+uint64(1000*in) {
			t.Errorf("%d bytes of input took %d bytes of memory", in, used)
		}
		if info.Changed {
			t.Error("nobody changes the files, and they are said to change")
		}
		for name, b := range files {
			if !bytes.Equal(read(t, fsys, name), b) {
				t.Errorf("%s has changed", name)
			}
		}
	})
}

// lookAtAll looks in all ways, and compares what they say.
func lookAtAll(t *testing.T, fsys disk.FS) *Report {
	silent := func(_, _ int64) {}
	live := map[walformat.PageNo]walformat.FrameNo{}
	pair, changed, err := ReadPair(fsys, file, live, silent)
	if err != nil {
		t.Fatal(err) // there is nothing that keeps files from being read
	}
	info := pair.Report()
	info.Changed = changed
	if _, err := json.Marshal(info); err != nil {
		t.Error(err)
	}
	for page, frame := range live {
		if page == 0 || frame == 0 || uint32(frame) > info.Log.CommittedFrames {
			t.Errorf("page %d is in frame %d, of %d", page, frame, info.Log.CommittedFrames)
		}
	}
	checkRows(t, fsys, info)
	list, err := Examine(fsys, file, silent)
	if err != nil {
		t.Fatal(err)
	}
	bad := slices.ContainsFunc(list, func(a Advice) bool { return a.Level == Damaged })
	if bad != (len(info.Damage) > 0) {
		t.Errorf("info finds %q, the doctor %+v", info.Damage, list)
	}
	return info
}

// checkRows lists the frames: as many as info says, each once.
func checkRows(t *testing.T, fsys disk.FS, info *Report) {
	p, err := OpenForFrames(fsys, file)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Read(func(_, _ int64) {}); err != nil {
		t.Fatal(err)
	}
	next, counted := walformat.FrameNo(1), uint32(0)
	err = p.List(func(r Frame) error {
		if r.Frame != next || r.LastFrame != 0 && r.LastFrame <= r.Frame {
			t.Errorf("frame %d to %d where %d comes next", r.Frame, r.LastFrame, next)
		}
		next = max(r.Frame, r.LastFrame) + 1
		if r.Verdict == VerdictShort {
			next = r.Frame
		}
		if r.Transaction != nil {
			counted++
			if r.Verdict != VerdictValid || *r.Transaction < 1 || *r.Transaction > info.Log.Transactions {
				t.Errorf("in a transaction of %d: %+v", info.Log.Transactions, r)
			}
		}
		return nil
	}, func(_, _ int64) {})
	if err != nil {
		t.Fatal(err)
	}
	if p.LogEmpty() == "" && (uint32(next-1) != info.Log.FramesInFile || counted != info.Log.CommittedFrames) {
		t.Errorf("%d frames are listed, %d of them counted; info has %+v", next-1, counted, *info.Log)
	}
}
