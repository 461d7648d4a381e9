// Any bytes as a database and its log, in front of those who only look.

package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	engine "github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk/faultdisk"
)

// FuzzLookers: info and frames tell something about any two files, or what is
// wrong with them, in bounded memory, and change neither. (What verify reads
// beside the same, SQLite reads for it.)
func FuzzLookers(f *testing.F) {
	for _, pageSize := range []int{512, 4096} {
		d := faultdisk.New(1)
		db, err := engine.Open("/app.db", &engine.Options{FS: d, PageSize: pageSize})
		if err != nil {
			f.Fatal(err)
		}
		for n := engine.PageNo(2); n < 5; n++ {
			if err := db.Update(context.Background(), func(tx *engine.Tx) error { _, err := tx.Write(n); return err }); err != nil {
				f.Fatal(err)
			}
		}
		file, err := d.ReadFile("/app.db")
		if err != nil {
			f.Fatal(err)
		}
		log, err := d.ReadFile("/app.db-wal")
		if err != nil {
			f.Fatal(err)
		}
		log = log[:32+4*(pageSize+24)]
		f.Add(file, log)
		f.Add(file, log[:len(log)-100])
		f.Add(file[:pageSize/2], log)
		if err := db.Close(); err != nil {
			f.Fatal(err)
		}
	}
	header := append([]byte("SQLite format 3\x00\x10\x00\x02\x02\x00\x40\x20\x20"), make([]byte, 4072)...)
	f.Add(header, []byte{})
	f.Add(header, []byte("\x37\x7f\x06\x82\x00\x2d\xe2\x18\x00\x00\x10\x00\x00\x00\x00\x00"))
	f.Add([]byte{}, []byte{})
	dir := f.TempDir()
	file := filepath.Join(dir, "app.db")
	f.Fuzz(func(t *testing.T, db, log []byte) {
		if len(db) > 1<<17 || len(log) > 1<<17 {
			return
		}
		files := map[string][]byte{file: db, file + "-wal": log}
		for name, b := range files {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		before := m.TotalAlloc
		if report, err := inspect(file, func(_, _ int64) {}); err == nil {
			_ = report.write(io.Discard, io.Discard, false)
		}
		_ = runFrames(file, true, io.Discard, io.Discard)
		runtime.ReadMemStats(&m)
		if used, in := m.TotalAlloc-before, len(db)+len(log); used > 64<<20+uint64(1000*in) {
			t.Errorf("%d bytes of input took %d bytes of memory", in, used)
		}
		for name, b := range files {
			if after, err := os.ReadFile(name); err != nil || !bytes.Equal(after, b) {
				t.Errorf("%s has changed (%v)", filepath.Base(name), err)
			}
		}
	})
}
