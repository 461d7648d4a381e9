package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// childFlag makes this program the process whose memory is measured.
const childFlag = "memory-child"

// connections that the child opens.
const connections = 17

// memoryConnWorkload asks what a connection costs, in a process of its own for
// each engine: what is resident after each connection has read enough to fill
// its cache.
func memoryConnWorkload(t *table) workload {
	w := workload{name: "connections", title: fmt.Sprintf("Memory of %d connections that have each read the table in part, default caches", connections),
		metrics: []metric{{Name: "each", Unit: "MiB for each connection more", Lower: true}, {Name: "first", Unit: "MiB for the first", Lower: true, NoRatio: true}}}
	for _, e := range sqlEngines() {
		w.entrants = append(w.entrants, entrant{e.name, func(ctx context.Context, dir string) (sample, error) {
			if err := t.copyTo(ctx, dir); err != nil {
				return nil, err
			}
			self, err := os.Executable()
			if err != nil {
				return nil, err
			}
			cmd := exec.CommandContext(ctx, self, "-"+childFlag, e.name, "-dir", dir, "-rows", strconv.Itoa(t.rows))
			cmd.Env = append(os.Environ(), childEnv+"=1")
			var out, errOut bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errOut
			if err := cmd.Run(); err != nil {
				return nil, fmt.Errorf("%w: %s", err, errOut.String())
			}
			var r sample
			err = json.Unmarshal(out.Bytes(), &r)
			return r, err
		}})
	}
	return w
}

// childEnv tells the test binary that it is to be the program.
const childEnv = "WALNUT_BENCH_CHILD"

// memoryChild is the child: it measures and prints a sample.
func memoryChild(ctx context.Context, name, dir string, rows int) (_ sample, err error) {
	t := &table{rows: rows}
	for _, e := range sqlEngines() {
		if e.name != name {
			continue
		}
		base, err := resident()
		if err != nil {
			return nil, err
		}
		ses, err := openSession(ctx, e, dir, false, usual)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, ses.close()) }()
		read := func(n int) (float64, error) {
			if err := ses.connect(ctx, n, selectRow, usual); err != nil {
				return 0, err
			}
			for w := range n {
				for range min(5000, rows) {
					if err := t.readAny(ctx, ses, w); err != nil {
						return 0, err
					}
				}
			}
			return resident()
		}
		one, err := read(1)
		if err != nil {
			return nil, err
		}
		// The shared pool is filled by the second, so that it does not count.
		two, err := read(2)
		if err != nil {
			return nil, err
		}
		for range 12 {
			if two, err = read(2); err != nil {
				return nil, err
			}
		}
		many, err := read(connections)
		if err != nil {
			return nil, err
		}
		return sample{"first": one - base, "each": (many - two) / (connections - 2)}, nil
	}
	return nil, fmt.Errorf("there is no engine %q", name)
}

// resident is the memory of this process in MiB, after garbage is given back.
func resident() (float64, error) {
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/status")
	if errors.Is(err, os.ErrNotExist) { // not Linux: what Go knows of, without C's
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.Sys-m.HeapReleased) / (1 << 20), nil
	}
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(f[1], 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("the system does not tell how much memory is resident")
}
