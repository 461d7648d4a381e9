package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"time"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/walformat"
)

const (
	frameSize = 24 + 4096 // a frame of a log with 4096-byte pages
	rawSize   = 4 << 20   // about the log that auto-checkpoint leaves
)

// rawEntrant is the disk alone: one write of that many frames and one sync of
// the data, on a file whose blocks are there already, over and over. It counts
// frames.
func rawEntrant(name string, frames int, s setting) entrant {
	return entrant{name, func(ctx context.Context, dir string) (sample, error) {
		f, err := disk.OS().Open(filepath.Join(dir, "raw"), disk.Create)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		if _, err = f.WriteVAt([][]byte{make([]byte, rawSize)}, 0); err != nil {
			return nil, err
		}
		if err := f.SyncData(); err != nil {
			return nil, err
		}
		buf, off := make([]byte, frames*frameSize), int64(0)
		t, err := drive(ctx, s, load{goroutines: 1, each: frames, op: func(context.Context, int) error {
			if off+int64(len(buf)) > rawSize {
				off = 0
			}
			buf[0]++
			if _, err := f.WriteVAt([][]byte{buf}, off); err != nil {
				return err
			}
			off += int64(len(buf))
			return f.SyncData()
		}})
		if err != nil {
			return nil, err
		}
		return commitSample(t[0]), nil
	}}
}

// memoryWorkload measures what the memory, one core and the page cache allow to
// whoever moves and checks a log.
func memoryWorkload(s setting) workload {
	const size = 64 << 20
	// loop repeats f, which handles size bytes, for the measured time.
	loop := func(ctx context.Context, f func() error) (sample, error) {
		if err := f(); err != nil { // touches the memory
			return nil, err
		}
		n, begin := 0, time.Now()
		for n == 0 || time.Since(begin) < s.measure {
			if err := f(); err != nil {
				return nil, err
			}
			n++
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		return sample{"speed": float64(n) * size / (1 << 20) / time.Since(begin).Seconds()}, nil
	}
	// sum is the checksum of a log, page after page.
	sum := func(b []byte) walformat.Checksum {
		var c walformat.Checksum
		for ; len(b) > 0; b = b[4096:] {
			c = walformat.NativeOrder.Sum(c, b[:4096])
		}
		return c
	}
	entrants := []entrant{
		{"copy", func(ctx context.Context, _ string) (sample, error) {
			from, to := make([]byte, size), make([]byte, size)
			return loop(ctx, func() error {
				for i := 0; i < size; i += 4096 {
					copy(to[i:i+4096], from[i:i+4096])
				}
				return nil
			})
		}},
		{"checksum", func(ctx context.Context, _ string) (sample, error) {
			b := make([]byte, size)
			return loop(ctx, func() error { runtime.KeepAlive(sum(b)); return nil })
		}},
	}
	for _, e := range []struct {
		name string
		each func([]byte)
	}{
		{"page cache", func([]byte) {}},
		{"cache+sum", func(b []byte) { runtime.KeepAlive(sum(b)) }},
	} {
		entrants = append(entrants, entrant{e.name, func(ctx context.Context, dir string) (sample, error) {
			f, err := newFile(filepath.Join(dir, "file"), size)
			if err != nil {
				return nil, err
			}
			defer func() { _ = f.Close() }()
			return loop(ctx, func() error { return readAll(f, e.each) })
		}})
	}
	return workload{name: "memory", title: "Memory, one core: copying, the log's checksum (internal/walformat), reading a file from the page cache",
		metrics: []metric{{Name: "speed", Unit: "MiB/s"}}, entrants: entrants}
}

// newFile makes a file of zeros, synced.
func newFile(name string, size int) (disk.File, error) {
	f, err := disk.OS().Open(name, disk.Create)
	if err != nil {
		return nil, err
	}
	if _, err = f.WriteVAt([][]byte{make([]byte, size)}, 0); err == nil {
		err = f.SyncData()
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// readAll reads a file in large pieces and gives each to f.
func readAll(file disk.File, f func([]byte)) error {
	b := make([]byte, 1<<20)
	for off := int64(0); ; off += int64(len(b)) {
		n, err := file.ReadAt(b, off)
		f(b[:n&^4095])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", file.Name(), err)
		}
	}
}

// diskWorkload measures the disk alone, with several frames to a sync.
func diskWorkload(s setting) workload {
	w := workload{name: "disk", title: "The disk alone: frames written to a preallocated file, so many to a sync",
		metrics: []metric{{Name: "rate", Unit: "frames/s"}, {Name: "p99", Unit: "µs for a sync", Lower: true, NoRatio: true}}}
	for _, n := range []int{1, 8, 64} {
		w.entrants = append(w.entrants, rawEntrant(fmt.Sprintf("raw ×%d", n), n, s))
	}
	return w
}
