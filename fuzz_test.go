// Any bytes as a database, its log and its rollback journal. Whatever they are,
// opening them gives a database that keeps its promises, or an error and the
// files as they were.

package walnut_test

import (
	"bytes"
	"errors"
	"maps"
	"runtime"
	"slices"
	"testing"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/walformat"
)

// FuzzOpen: seal corrects the checksums of the log, so that what they protect is
// reached.
func FuzzOpen(f *testing.F) {
	for _, pageSize := range []int{512, 4096} {
		db, log := fuzzPair(f, pageSize)
		big := slices.Clone(log)
		big[3] ^= 1 // the other byte order
		f.Add(db, log, []byte{}, true)
		f.Add(db, big, []byte{}, true)
		f.Add(db, log[:len(log)-pageSize/2], []byte{}, false)
		f.Add(db, []byte{}, []byte{}, false)
		f.Add([]byte{}, log, []byte{}, false)
		f.Add(db[:pageSize], log, []byte{}, false)
		f.Add(db, log[:walformat.HeaderSize], []byte{0}, false)
		f.Add(db, []byte{}, []byte("\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"), false)
		large := slices.Clone(db)
		walformat.PutSizeInPages(large, 1<<32-2)
		f.Add(large, log, []byte{}, false)
	}
	f.Fuzz(func(t *testing.T, db, log, journal []byte, seal bool) {
		if len(db) > 1<<16 || len(log) > 1<<17 || len(journal) > 1<<12 {
			return
		}
		if seal {
			log = slices.Clone(log) // the fuzzer's own are not to be changed
			sealLog(log)
		}
		fuzzOpen(t, db, log, journal)
	})
}

// fuzzPair returns a database and a log with some commits.
func fuzzPair(f *testing.F, pageSize int) (db, log []byte) {
	d := faultdisk.New(1)
	o := walnut.Options{PageSize: pageSize, AutoCheckpoint: -1}
	w := openAt(f, d, o)
	write(f, w, 1, 2, 3)
	if _, err := w.Checkpoint(ctx, walnut.CheckpointPassive, nil); err != nil {
		f.Fatal(err)
	}
	write(f, w, 2, 3)
	write(f, w, 3, 2, 4)
	for name, to := range map[string]*[]byte{dbPath: &db, dbPath + "-wal": &log} {
		b, err := d.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		*to = b
	}
	end := walformat.HeaderSize + 8*(pageSize+walformat.FrameHeaderSize)
	return db, log[:min(len(log), end)]
}

// sealLog gives the header and the frames of a log the checksums of their bytes,
// and the frames the header's salts.
func sealLog(log []byte) {
	if len(log) < walformat.HeaderSize {
		return
	}
	h := walformat.Header{Order: walformat.Order(log[3] & 1), Version: walformat.Version, PageSize: 512 << (log[10] % 8)}
	h.Encode(log)
	for rest := log[walformat.HeaderSize:]; len(rest) >= h.FrameSize(); rest = rest[h.FrameSize():] {
		head := walformat.ParseFrameHeader(rest)
		h.Sum = h.EncodeFrame(rest, h.Sum, head.Page, head.Commit, rest[walformat.FrameHeaderSize:h.FrameSize()])
	}
}

func fuzzOpen(t *testing.T, db, log, journal []byte) {
	d := faultdisk.New(1)
	for name, b := range map[string][]byte{dbPath: db, dbPath + "-wal": log, dbPath + "-journal": journal} {
		if len(b) == 0 {
			continue
		}
		if err := d.WriteFile(name, b); err != nil {
			t.Fatal(err)
		}
	}
	before := filesOf(t, d)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	allocated := m.TotalAlloc
	defer func() {
		runtime.ReadMemStats(&m)
		if used, in := m.TotalAlloc-allocated, len(db)+len(log); used > 64<<20+uint64(1000*in) {
			t.Errorf("%d bytes of input took %d bytes of memory", in, used)
		}
	}()

	w, err := walnut.Open(dbPath, &walnut.Options{FS: d, PoolBytes: 1 << 16, AutoCheckpoint: -1})
	hot := len(journal) > 0 && journal[0] != 0 && len(db) > 0
	if hot != errors.Is(err, walnut.ErrHotJournal) {
		t.Errorf("a journal that begins with % x, %d bytes of database: %v", journal[:min(1, len(journal))], len(db), err)
	}
	if err != nil {
		// Creating the file of a database that is then refused is no change.
		after := filesOf(t, d)
		if len(db) == 0 && len(after[dbPath]) == 0 {
			delete(after, dbPath)
		}
		if !maps.Equal(before, after) {
			t.Errorf("refused with %v, and the files have changed", err)
		}
		return
	}
	first := pagesOf(w)
	again := reopened(t, d.CrashKeepNone(), false)
	if got := pagesOf(again); !slices.Equal(got, first) {
		t.Errorf("recovered again: %.200q, at first %.200q", got, first)
	}
	_ = again.Close()

	// What is committed after the recovery stays.
	err = w.Update(ctx, func(tx *walnut.Tx) error {
		p, err := tx.Write(2)
		if err == nil {
			copy(p, "committed")
		}
		return err
	})
	if err == nil {
		for _, image := range []*faultdisk.Disk{d.CrashKeepNone(), d.CrashKeepAll()} {
			after := reopened(t, image, true)
			_ = after.Close()
		}
		_, err := w.Checkpoint(ctx, walnut.CheckpointTruncate, nil)
		if cerr := w.Close(); err == nil && cerr == nil {
			_ = reopened(t, d, true).Close()
		}
		return
	}
	_ = w.Close()
}

// reopened opens the database of an image.
func reopened(t *testing.T, d *faultdisk.Disk, committed bool) *walnut.DB {
	t.Helper()
	db, err := walnut.Open(dbPath, &walnut.Options{FS: d, PoolBytes: 1 << 16, AutoCheckpoint: -1})
	if err != nil {
		t.Fatalf("what was opened before is refused: %v", err)
	}
	if !committed {
		return db
	}
	if err := db.View(ctx, func(tx *walnut.Tx) error {
		p, err := tx.Page(2)
		if err == nil && !bytes.HasPrefix(p, []byte("committed")) {
			t.Errorf("page 2 begins with %q", p[:9])
		}
		return err
	}); err != nil {
		t.Errorf("page 2 of what was committed: %v", err)
	}
	return db
}

// pagesOf tells some pages, or why they cannot be read.
func pagesOf(db *walnut.DB) (list []string) {
	_ = db.View(ctx, func(tx *walnut.Tx) error {
		count := uint64(tx.PageCount())
		for n := uint64(1); n <= count; n++ {
			if n > 40 && n < count-4 {
				n = count - 4 // a size that is far from the bytes
			}
			p, err := tx.Page(walnut.PageNo(n))
			if err != nil {
				list = append(list, err.Error())
				continue
			}
			list = append(list, string(p))
		}
		return nil
	})
	return list
}

func filesOf(t *testing.T, d *faultdisk.Disk) map[string]string {
	t.Helper()
	m := map[string]string{}
	for _, name := range d.Files() {
		b, err := d.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		m[name] = string(b)
	}
	return m
}
