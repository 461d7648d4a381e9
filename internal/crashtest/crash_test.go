// The crash loop: images of the disk before every operation that changes it,
// each reopened, compared with the history, worked with, and crashed again.

package crashtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/walformat"
)

// seedCount is how many random images are taken of each moment.
func seedCount() int64 {
	if n, err := strconv.ParseInt(os.Getenv("WALNUT_CRASH_SEEDS"), 10, 64); err == nil && n > 0 {
		return n
	}
	if sampled() {
		return 1
	}
	return 2
}

// sampled reports whether to look at a sample only: with -short, and under the
// race detector.
func sampled() bool { return testing.Short() || raceEnabled }

// sampling is how many moments or faults to go on by, where all would take n
// times as long.
func sampling(n int) int {
	switch {
	case onlyAt() > 0 || !sampled():
		return 1
	case raceEnabled:
		return 4 * n
	}
	return n
}

// onlyAt is the one operation to look at, 0 for all.
func onlyAt() int {
	n, _ := strconv.Atoi(os.Getenv("WALNUT_CRASH_AT"))
	return n
}

// shot is a disk as a crash left it.
type shot struct {
	disk *faultdisk.Disk
	// at numbers the operation before which it was taken, op is that operation,
	// what says which kind of image it is.
	at   int
	op   faultdisk.OpInfo
	what string
	// killed: only the process ended. Then more may have to be there than what
	// is durable.
	killed bool
	pick   int // chooses what is done after reopening
}

// camera takes images of a disk.
type camera struct {
	disk  *faultdisk.Disk
	seeds int64
	// few takes one image of each moment instead of all.
	few bool
	// every takes images of every n-th moment only, only of that one, last of
	// none after it.
	every, only, last int
	// syncs takes images before syncs only, when the most is undecided.
	syncs bool
	// salt makes the same moments of different workloads be treated differently.
	salt   int
	moment atomic.Int64
	// keep has the image taken, and notes with it what it may hold: what was
	// acknowledged before it is taken must be in it, what was begun until after
	// it may be.
	keep func(sh *shot, take func() *faultdisk.Disk)

	mu  sync.Mutex
	ops []faultdisk.OpInfo
}

func (c *camera) start() { c.disk.SetHook(c.hook) }

// stop ends it with images of the last moment.
func (c *camera) stop() {
	c.disk.SetHook(nil)
	c.take(int(c.moment.Add(1)), faultdisk.OpInfo{})
}

func (c *camera) hook(op faultdisk.OpInfo) error {
	c.mu.Lock()
	c.ops = append(c.ops, op)
	c.mu.Unlock()
	if op.Op&faultdisk.OpMutating != 0 {
		c.take(int(c.moment.Add(1)), op)
	}
	return nil
}

func (c *camera) take(at int, op faultdisk.OpInfo) {
	if c.every > 1 && at%c.every != 0 || c.only > 0 && at != c.only || c.last > 0 && at > c.last ||
		c.syncs && op.Op&faultdisk.OpSync == 0 {
		return
	}
	n := 0
	add := func(what string, killed bool, take func() *faultdisk.Disk) {
		if !c.few || (at+n)%3 == 0 {
			c.keep(&shot{at: at, op: op, what: what, killed: killed, pick: c.salt + at + n}, take)
		}
		n++
	}
	add("power failure, nothing unsynced survives", false, c.disk.CrashKeepNone)
	add("power failure, everything survives", false, c.disk.CrashKeepAll)
	add(fmt.Sprintf("process killed, seed %d", at), true, func() *faultdisk.Disk { return c.disk.Kill(int64(at)) })
	for i := range c.seeds {
		seed := i*1_000_003 + int64(at)
		add(fmt.Sprintf("power failure, seed %d", seed), false, func() *faultdisk.Disk { return c.disk.Crash(seed) })
	}
}

// image is a shot of a session, and what it may hold.
type image struct {
	shot
	allowed
	opt     walnut.Options
	durable int
	// copied is the transaction of the last backup that returned.
	copied int
	// nested: taken while another image was reopened and used.
	nested bool
}

// album collects images of a session. Its mutex guards the list.
type album struct {
	s      *session
	mu     sync.Mutex
	images []*image
}

func (a *album) keep(sh *shot, take func() *faultdisk.Disk) {
	full, acked := a.s.h.floors()
	copied := int(a.s.copied.Load())
	sh.disk = take()
	im := &image{shot: *sh, opt: a.s.opt, durable: full, copied: copied, allowed: allowed{full, a.s.h.begun()}}
	if im.killed && !a.s.loose {
		im.floor = acked
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.images = append(a.images, im)
}

// tail tells the last operations before the n-th moment.
func (c *camera) tail(at int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	end, seen := len(c.ops), 0
	for i, op := range c.ops {
		if op.Op&faultdisk.OpMutating != 0 {
			if seen++; seen == at {
				end = i
				break
			}
		}
	}
	return faultdisk.Trace(c.ops[max(0, end-24):end]).String()
}

// figures of a crash loop.
type figures struct {
	moments, images, nested, shell atomic.Int64
}

func (f *figures) String() string {
	return fmt.Sprintf("%d crash points, %d images, %d of crashes during recovery and after it, %d given to sqlite3",
		f.moments.Load(), f.images.Load(), f.nested.Load(), f.shell.Load())
}

// total sums up all crash loops of the run.
var total figures

func TestCrash(t *testing.T) {
	for i := range workloads {
		w := &workloads[i]
		t.Run(w.name, func(t *testing.T) { crashLoop(t, w) })
	}
	t.Logf("pages, in all: %s", &total)
}

func crashLoop(t *testing.T, w *workload) {
	s := w.begin(1)
	al := &album{s: s}
	c := &camera{disk: s.disk, seeds: seedCount(), only: onlyAt(), keep: al.keep, salt: len(w.name) * len(w.steps)}
	c.every = sampling(3)
	switch {
	case c.seeds >= 5:
	case w.heavy:
		c.every *= 3
	case w.anywhere:
		c.every *= 2
	}
	c.start()
	if err := w.run(s); err != nil {
		t.Fatalf("without any crash: %v\n%s", err, c.tail(1<<30))
	}
	c.stop()
	fig := &figures{}
	fig.moments.Store(c.moment.Load())
	each(al.images, func(i int, im *image) {
		fig.images.Add(1)
		nest := i%7 == 0 && (!w.heavy || c.seeds >= 5) || c.only > 0
		shell := i%29 == 3 || c.only > 0
		if err := im.check(t, fig, nest, shell); err != nil {
			t.Errorf("%s: crash before operation %d (%v), %s: %v\nlast operations:\n%s"+
				"replay: WALNUT_CRASH_AT=%d WALNUT_CRASH_SEEDS=%d go test ./internal/crashtest -run '%s'",
				w.name, im.at, im.op, im.what, err, c.tail(im.at), im.at, c.seeds, replayName(t))
		}
	})
	t.Log(fig)
	total.moments.Add(fig.moments.Load())
	total.images.Add(fig.images.Load())
	total.nested.Add(fig.nested.Load())
	total.shell.Add(fig.shell.Load())
}

// replayName is the test's name as -run takes it.
func replayName(t testing.TB) string {
	return "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
}

// run does all steps from opening to closing.
func (w *workload) run(s *session) error {
	if err := s.open(); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	for i, st := range w.steps {
		if err := st.do(s); err != nil {
			return fmt.Errorf("step %d, %s: %w", i+1, st.name, err)
		}
		if err := s.verify(); err != nil {
			return fmt.Errorf("after step %d, %s: %w", i+1, st.name, err)
		}
	}
	return s.close()
}

// each calls fn for every element, a few at a time. It lets go of the elements.
func each[T any](list []T, fn func(i int, x T)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(list) {
					return
				}
				fn(i, list[i])
				var none T
				list[i] = none
			}
		})
	}
	wg.Wait()
}

// check reopens the image, compares, works on, crashes again. With nest, the same
// is done to images that are taken while it does so.
func (im *image) check(t *testing.T, fig *figures, nest, shell bool) error {
	var copied *shellCopy
	if shell {
		copied = copyFiles(t, im.disk)
	}
	h := &history{versions: im.versions, full: im.durable, acked: im.floor}
	s := newSession(im.disk, im.opt, h)
	al := &album{s: s}
	c := &camera{disk: im.disk, seeds: 1, few: true, keep: al.keep, salt: im.pick}
	if im.killed && !im.nested && headerInDoubt(im.disk) {
		nest, c.few, c.seeds, c.last, c.syncs = true, false, 60, 8, true
	}
	if nest {
		c.start()
	}
	if im.pick%5 == 3 {
		if err := s.failedOpen(im.pick); err != nil {
			return err
		}
	}
	if err := s.open(); err != nil {
		return fmt.Errorf("reopen: %w", err)
	}
	k, _ := h.floors()
	if err := im.checkBackup(s); err != nil {
		return err
	}
	if copied != nil {
		fig.shell.Add(1)
		if err := copied.checkPages(im.versions[k].st, im.opt.PageSize); err != nil {
			return errors.Join(fmt.Errorf("Walnut finds transaction %d: %w", k, err), s.close())
		}
	}
	if !im.killed && im.pick%5 != 3 {
		// What survived a power failure is on the disk: recovery finds the same
		// however often it is cut short.
		for _, n := range al.images {
			n.floor, n.durable, n.versions = k, k, n.versions[:min(k+1, len(n.versions))]
		}
	}
	if err := im.workOn(s, k); err != nil {
		return fmt.Errorf("reopened at transaction %d: %w", k, err)
	}
	if !nest {
		return nil
	}
	im.disk.SetHook(nil)
	for _, n := range al.images {
		n.nested = true
		fig.nested.Add(1)
		if err := n.check(t, fig, false, false); err != nil {
			return fmt.Errorf("second crash before operation %d (%v), %s: %w\noperations before it:\n%s",
				n.at, n.op, n.what, err, c.tail(n.at))
		}
	}
	return nil
}

// checkBackup: a copy that is there is a whole one, of no older moment than the
// last backup that returned; and then it is there.
func (im *image) checkBackup(s *session) error {
	if _, err := im.disk.Stat(copyPath); err != nil {
		if im.copied > 0 {
			return fmt.Errorf("LOST: the copy of transaction %d is not there: %w", im.copied, err)
		}
		return nil
	}
	_, err := s.checkCopy(allowed{im.copied, im.versions})
	return err
}

// headerInDoubt reports whether the log begins on the disk with another header
// than the one that is shown: a restart was cut short, and the frames of the
// old generation are still valid under the old header.
func headerInDoubt(d *faultdisk.Disk) bool {
	shown, err := d.ReadFile(dbPath + "-wal")
	if err != nil || len(shown) < walformat.HeaderSize {
		return false
	}
	durable, err := d.CrashKeepNone().ReadFile(dbPath + "-wal")
	return err == nil && len(durable) > walformat.HeaderSize &&
		!bytes.Equal(shown[:walformat.HeaderSize], durable[:walformat.HeaderSize])
}

// workOn repeats the transaction that comes next in the history, crashes or
// closes in one of several ways, and checks each time. The disk that is under
// a nested camera is only closed.
func (im *image) workOn(s *session, k int) error {
	repeat := func() error {
		if k+1 < len(im.versions) {
			k++
			return s.replay(im.versions[k])
		}
		return s.update(full, func(w *writer) { w.put(3, 200); w.put(6, 201) })
	}
	after := func(next *faultdisk.Disk) func() error {
		return func() error {
			s.dropAll()
			db := s.db
			s.db = nil
			s.disk.SetHook(nil)
			defer func() { _ = db.Close() }()
			s = newSession(next, im.opt, s.h)
			return s.open()
		}
	}
	crash := func() error { return after(s.disk.Crash(int64(im.pick)))() }
	lose := func() error { return after(s.disk.CrashKeepNone())() }
	kill := func() error { return after(s.disk.Kill(int64(im.pick)))() }
	check := func(mode walnut.CheckpointMode) func() error {
		return func() error { return s.checkpoint(mode) }
	}
	var script []func() error
	switch im.pick % 5 {
	case 0:
		script = []func() error{repeat, lose, repeat, crash}
	case 1:
		script = []func() error{repeat, s.reopen, repeat}
	case 2:
		script = []func() error{repeat, kill, check(passive), repeat, crash}
	case 3:
		script = []func() error{check(truncate), repeat, crash, repeat}
	case 4:
		script = []func() error{check(passive), repeat, lose, check(passive), repeat, repeat}
	}
	for i, do := range script {
		err := do()
		if err == nil {
			err = s.verify()
		}
		if err != nil {
			if s.db != nil {
				_ = s.db.Close()
			}
			return fmt.Errorf("action %d of script %d: %w", i+1, im.pick%5, err)
		}
	}
	if err := s.close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return leftOpen(s.disk)
}

// leftOpen reports handles and locks that are left on the disk.
func leftOpen(d *faultdisk.Disk) error {
	if h, l := d.Handles(), d.Locked(); len(h)+len(l) > 0 {
		return fmt.Errorf("after closing: open files %v, locked files %v", h, l)
	}
	return nil
}
