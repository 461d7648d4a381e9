// The scripts on pages. Each is a list of steps that can run in any state that
// the steps before leave, also after one of them has failed.

package crashtest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/walformat"
)

const (
	full   = walnut.SyncFull
	normal = walnut.SyncNormal
	off    = walnut.SyncOff

	passive  = walnut.CheckpointPassive
	fullMode = walnut.CheckpointFull
	restart  = walnut.CheckpointRestart
	truncate = walnut.CheckpointTruncate
)

type workload struct {
	name string
	opt  walnut.Options
	// base puts a database on the empty disk; nil: there is none.
	base  func(*faultdisk.Disk) *state
	steps []step
	// heavy workloads have images taken of a sample of their moments.
	heavy bool
	// anywhere: writes are torn between any two bytes.
	anywhere bool
	// background: automatic checkpoints run beside the steps.
	background bool
}

type step struct {
	name string
	do   func(*session) error
}

// begin returns a session on a fresh disk.
func (w *workload) begin(seed int64) *session {
	d := faultdisk.New(seed)
	if w.background {
		d.AllowBackground()
	}
	if w.anywhere {
		d.TearAnywhere()
	}
	st := &state{}
	if w.base != nil {
		st = w.base(d)
	}
	opt := w.opt
	if opt.AutoCheckpoint == 0 {
		opt.AutoCheckpoint = -1
	}
	return newSession(d, opt, newHistory(st))
}

func commit(level walnut.SyncLevel, pages ...walnut.PageNo) step {
	return step{fmt.Sprintf("commit %v at %v", pages, level), func(s *session) error {
		return s.update(level, func(w *writer) {
			for _, n := range pages {
				w.put(n, 1)
			}
		})
	}}
}

// bulk writes the pages from the first to the last.
func bulk(first, last walnut.PageNo) step {
	return step{fmt.Sprintf("commit pages %d to %d", first, last), func(s *session) error {
		return s.update(full, func(w *writer) {
			for n := first; n <= last; n++ {
				w.put(n, 2)
			}
		})
	}}
}

func resize(n uint32, pages ...walnut.PageNo) step {
	return step{fmt.Sprintf("set the size to %d pages", n), func(s *session) error {
		return s.update(full, func(w *writer) {
			w.resize(n)
			for _, n := range pages {
				w.put(n, 3)
			}
		})
	}}
}

func rollback(pages ...walnut.PageNo) step {
	return step{"rollback", func(s *session) error {
		return s.update(full, func(w *writer) {
			for _, n := range pages {
				w.put(n, 4)
			}
			w.check()
			w.undo = true
		})
	}}
}

func checkpoint(mode walnut.CheckpointMode) step {
	return step{mode.String(), func(s *session) error { return s.checkpoint(mode) }}
}

// readers runs the steps while a reader of the state before them stays.
func readers(steps ...step) step {
	return step{"beside a reader", func(s *session) error {
		if err := s.hold(); err != nil {
			return err
		}
		for _, st := range steps {
			if err := st.do(s); err != nil {
				s.dropAll()
				return fmt.Errorf("%s: %w", st.name, err)
			}
		}
		return s.drop()
	}}
}

var (
	reopen = step{"reopen", (*session).reopen}
	backup = step{"backup", (*session).backup}
)

// concurrent has writers that commit at the same time, each its own pages.
func concurrent(writers, commits int, levels ...walnut.SyncLevel) step {
	return step{fmt.Sprintf("%d writers", writers), func(s *session) error {
		errs := make([]error, writers)
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				for j := 0; j < commits && errs[i] == nil; j++ {
					errs[i] = s.update(levels[(i+j)%len(levels)], func(w *writer) {
						w.put(walnut.PageNo(10+i), uint8(i))
						w.put(walnut.PageNo(30+(i*commits+j)%13), uint8(j))
					})
				}
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	}}
}

var savepoints = step{"savepoints", func(s *session) error {
	return s.update(full, func(w *writer) {
		w.put(3, 1)
		w.savepoint() // 1
		w.put(3, 2)
		w.put(9, 2)
		w.savepoint() // 2
		w.put(9, 3)
		w.resize(5)
		w.savepoint() // 3
		w.put(12, 4)
		w.check()
		w.rollbackTo(2)
		w.check()
		w.put(4, 5)
		w.savepoint() // 3
		w.put(4, 6)
		w.put(10, 6)
		w.release(3)
		w.check()
		w.savepoint() // 3
		w.resize(4)
		w.put(7, 7)
		w.rollbackTo(3)
		w.check()
		w.release(2)
		w.savepoint() // 2
		w.put(5, 8)
		w.rollbackTo(1)
		w.check()
		w.put(6, 9)
	})
}}

// rollbackMode puts a database of n pages in rollback-journal mode on the disk.
func rollbackMode(pageSize int, n uint32) func(*faultdisk.Disk) *state {
	return func(d *faultdisk.Disk) *state {
		st := &state{}
		st.resize(n)
		data := make([]byte, int(n)*pageSize)
		copy(data, walformat.NewPage1(pageSize))
		walformat.PutVersions(data, 1)
		walformat.PutSizeInPages(data, n)
		for i := uint32(3); i <= n; i++ {
			st.tags[i-1] = tagOf(0, uint8(i))
			fill(data[int(i-1)*pageSize:int(i)*pageSize], walnut.PageNo(i), st.tags[i-1])
		}
		if err := d.WriteFile(dbPath, data); err != nil {
			panic(err)
		}
		return st
	}
}

func page(n int) walnut.Options { return walnut.Options{PageSize: n} }

// largePage is the largest page size, or one that the race detector can stand.
func largePage() int {
	if raceEnabled {
		return 8192
	}
	return walformat.MaxPageSize
}

// spilling bounds a transaction's memory to a few pages.
func spilling(pageSize, pages int) walnut.Options {
	return walnut.Options{PageSize: pageSize, TxBytes: int64(pages * pageSize), AutoCheckpoint: 25}
}

func auto(pageSize, threshold int) walnut.Options {
	return walnut.Options{PageSize: pageSize, AutoCheckpoint: threshold}
}

// limited lets the log have so many frames before readers are detached at once,
// and saves as many pages for them; 0 is as many as there are.
func limited(pageSize, frames, side int) walnut.Options {
	return walnut.Options{PageSize: pageSize, MaxLogSize: int64(frames * (pageSize + walformat.FrameHeaderSize)),
		MaxWriterHold: -1, ReaderGrace: -1, MaxSideBytes: int64(side * pageSize), AutoCheckpoint: 1 << 20}
}

// look compares what the readers that stay see with what they saw.
var look = step{"look", (*session).look}

// workloads are what both loops run.
var workloads = []workload{
	{name: "creation", opt: page(4096), steps: []step{
		commit(full, 3), commit(full, 3), reopen, commit(full, 4),
	}},
	{name: "creation of large pages", opt: page(largePage()), steps: []step{
		commit(normal, 3), commit(full, 4, 5), checkpoint(passive), commit(full, 3), reopen,
	}},
	{name: "nothing", opt: page(512), steps: []step{reopen, rollback(3), checkpoint(truncate), reopen}},
	{name: "conversion", opt: page(1024), base: rollbackMode(1024, 7), steps: []step{
		commit(full, 3), commit(full, 9), checkpoint(passive), commit(normal, 4), reopen, commit(full, 5),
	}},
	{name: "conversion by shrinking", opt: page(512), base: rollbackMode(512, 40), steps: []step{
		resize(5, 3), checkpoint(truncate), commit(full, 8), reopen,
	}},
	{name: "commits", opt: page(512), steps: []step{
		commit(full, 3), commit(normal, 4), commit(normal, 5), rollback(3, 60), commit(full, 1, 4),
		commit(off, 6), commit(full, 3), savepoints, commit(normal, 3), reopen, commit(normal, 3),
	}},
	{name: "generations", opt: page(512), steps: []step{
		bulk(3, 20), checkpoint(passive), commit(full, 3), commit(full, 3, 4, 5), checkpoint(passive),
		commit(normal, 7), commit(full, 8, 9), commit(full, 3), checkpoint(passive), commit(full, 3),
		checkpoint(passive), commit(normal, 4), commit(full, 4), bulk(5, 9), reopen, commit(full, 4),
		checkpoint(passive), commit(full, 4), commit(normal, 4),
	}},
	{name: "truncation", opt: page(512), steps: []step{
		bulk(3, 20), checkpoint(truncate), commit(full, 3), commit(normal, 4), checkpoint(truncate),
		commit(normal, 5), checkpoint(truncate), checkpoint(truncate), reopen, commit(full, 3),
		checkpoint(truncate), commit(normal, 3),
	}},
	{name: "spills", opt: spilling(512, 6), heavy: true, steps: []step{
		bulk(3, 20), rollback(3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13), commit(full, 3, 4, 5, 6, 7, 8, 9, 10, 11),
		savepoints, bulk(3, 17), rollback(3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13), checkpoint(passive),
		bulk(5, 19), resize(9, 3, 4, 5, 6, 7, 8, 9), savepoints, commit(normal, 3), reopen,
		rollback(3, 4, 5, 6, 7, 8, 9, 10, 11, 12), bulk(3, 14), commit(full, 3),
	}},
	{name: "spills in an empty database", opt: spilling(512, 5), steps: []step{
		rollback(3, 4, 5, 6, 7, 8, 9, 10), reopen, bulk(3, 18), savepoints, reopen, commit(full, 3),
	}},
	{name: "checkpoints of all modes", opt: page(512), steps: []step{
		bulk(3, 12), checkpoint(fullMode), commit(full, 3), checkpoint(restart), commit(full, 3, 4),
		commit(normal, 5), checkpoint(fullMode), checkpoint(restart), checkpoint(restart), commit(normal, 6),
		checkpoint(restart), commit(full, 3), checkpoint(truncate), checkpoint(restart), commit(full, 4), reopen,
		commit(full, 3), checkpoint(fullMode), commit(full, 3),
	}},
	{name: "growth and shrink", opt: page(512), steps: []step{
		commit(full, 40), checkpoint(passive), resize(10), checkpoint(passive), commit(full, 12),
		resize(30, 29), resize(5, 3), checkpoint(passive), resize(25), commit(normal, 8), resize(6),
		checkpoint(truncate), commit(full, 9), reopen, resize(3), reopen,
	}},
	{name: "partial checkpoints", opt: page(512), steps: []step{
		bulk(3, 12), readers(commit(full, 3), commit(full, 20), checkpoint(passive),
			readers(resize(6, 4), checkpoint(passive)), commit(full, 7)), checkpoint(passive),
		readers(commit(full, 3), checkpoint(passive)), commit(normal, 5), checkpoint(passive),
		readers(commit(normal, 5), commit(normal, 14)), checkpoint(passive), commit(full, 3),
	}},
	{name: "auto-checkpoints", opt: auto(512, 8), steps: []step{
		bulk(3, 12), commit(full, 3), commit(full, 4, 5, 6), commit(normal, 7), bulk(3, 9), commit(full, 3),
		commit(normal, 4), commit(normal, 5), resize(8, 3), commit(full, 3), commit(normal, 4), reopen,
		commit(full, 3),
	}},
	{name: "concurrent commits", opt: page(512), steps: []step{
		bulk(3, 40), concurrent(4, 4, full), checkpoint(passive), concurrent(4, 3, full, normal),
		checkpoint(truncate), concurrent(3, 3, normal, off, full),
	}},
	{name: "concurrent commits with auto-checkpoints", opt: auto(512, 10), steps: []step{
		bulk(3, 40), concurrent(4, 6, full, full, normal), readers(concurrent(4, 3, full)), concurrent(3, 5, full),
	}},
	{name: "auto-checkpoints in the background", opt: auto(512, 6), background: true, steps: []step{
		bulk(3, 12), commit(full, 3), commit(full, 4, 5, 6), commit(normal, 7), bulk(3, 9), commit(full, 3),
		commit(normal, 4), resize(8, 3), commit(normal, 5), commit(full, 3), concurrent(3, 6, full, normal),
		checkpoint(passive), commit(full, 3), reopen, commit(full, 3), bulk(3, 30), checkpoint(truncate), commit(full, 3),
	}},
	{name: "backups", opt: page(512), steps: []step{
		bulk(3, 12), backup, commit(full, 3), commit(normal, 4), readers(commit(full, 20), backup, checkpoint(passive)),
		commit(full, 3), backup, checkpoint(truncate), commit(full, 5), backup, reopen, backup,
	}},
	// Readers that stay are detached, on different snapshots, while the database
	// grows, shrinks and grows again beneath them, and a reader of before reads on.
	{name: "detached readers", opt: limited(512, 10, 0), steps: []step{
		bulk(3, 12), readers(commit(full, 3, 4, 5), commit(normal, 3, 6, 7, 8), commit(full, 3, 9), commit(full, 4, 10, 11),
			readers(commit(full, 3, 4), resize(6, 3), commit(normal, 5, 14), bulk(3, 12), look, commit(full, 7)),
			commit(full, 3, 20), look, bulk(3, 9)), commit(full, 3), bulk(3, 12), checkpoint(truncate),
		readers(bulk(3, 12), commit(full, 3), commit(full, 4), checkpoint(restart), commit(normal, 5), commit(full, 3)),
		commit(full, 3), reopen,
	}},
	{name: "detached readers with too small a side file", opt: limited(512, 10, 4), steps: []step{
		bulk(3, 12), readers(commit(full, 3, 4, 5), bulk(3, 12), commit(full, 3), bulk(3, 12), look, commit(full, 4)),
		commit(full, 3), bulk(3, 9), readers(commit(full, 3), commit(full, 3), commit(full, 3), bulk(3, 6), look, commit(full, 3)),
		commit(full, 3), reopen,
	}},
	// More than a checkpoint and a recovery read and write at once, and more than
	// they leave to the sync.
	{name: "large checkpoints", opt: page(largePage()), heavy: true, steps: []step{
		commit(full, 3), bulk(3, 90), commit(full, 4), checkpoint(passive), bulk(3, 80), commit(normal, 3), reopen,
		checkpoint(truncate), commit(full, 3),
	}},
	{name: "large transactions", opt: page(512), heavy: true, steps: []step{
		commit(full, 3), bulk(3, 2000), commit(full, 4), checkpoint(passive), bulk(5, 1500), resize(100, 50),
		checkpoint(truncate), bulk(3, 2002), reopen,
	}},
}

// init has those workloads run once more on a disk that tears writes anywhere in
// which the log or the database file is written again in place.
func init() {
	for _, w := range workloads {
		switch w.name {
		case "creation", "conversion", "commits", "generations", "truncation", "spills", "checkpoints of all modes", "growth and shrink":
			w.name, w.anywhere = w.name+" torn anywhere", true
			workloads = append(workloads, w)
		}
	}
}
