// The crash loop in SQL.

package crashtest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/walnutdb/walnut/disk/faultdisk"
)

var sqlTotal figures

func TestCrashSQL(t *testing.T) {
	for _, w := range sqlWorkloads {
		t.Run(w.name, func(t *testing.T) { sqlCrashLoop(t, w) })
	}
	t.Logf("SQL, in all: %s", &sqlTotal)
}

// sqlImage is a shot of a SQL session, and the steps that it may hold.
type sqlImage struct {
	shot
	w                   *sqlWorkload
	floor, durable, top int
}

// sqlAlbum collects images. Its mutex guards the list.
type sqlAlbum struct {
	s      *sqlSession
	mu     sync.Mutex
	images []*sqlImage
}

func (a *sqlAlbum) keep(sh *shot, take func() *faultdisk.Disk) {
	s := a.s
	s.mu.Lock()
	full, acked := s.full, s.acked
	s.mu.Unlock()
	sh.disk = take()
	im := &sqlImage{shot: *sh, w: s.w, floor: full, durable: full}
	s.mu.Lock()
	im.top = s.begun
	s.mu.Unlock()
	if im.killed {
		im.floor = acked
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.images = append(a.images, im)
}

func sqlCrashLoop(t *testing.T, w *sqlWorkload) {
	s := w.begin(t, 1)
	defer s.end()
	al := &sqlAlbum{s: s}
	c := &camera{disk: s.disk, seeds: seedCount(), only: onlyAt(), keep: al.keep, salt: len(w.name) * len(w.steps)}
	c.every = sampling(4)
	c.start()
	err := s.open()
	for i := 1; i <= len(w.steps) && err == nil; i++ {
		err = s.step(i)
	}
	if err = errors.Join(err, s.close()); err != nil {
		t.Fatalf("without any crash: %v\n%s", err, c.tail(1<<30))
	}
	c.stop()
	fig := &figures{}
	fig.moments.Store(c.moment.Load())
	each(al.images, func(i int, im *sqlImage) {
		fig.images.Add(1)
		if err := im.check(t, fig, i%9 == 0 || c.only > 0, i%31 == 3); err != nil {
			t.Errorf("%s: crash before operation %d (%v), %s: %v\nlast operations:\n%s"+
				"replay: WALNUT_CRASH_AT=%d WALNUT_CRASH_SEEDS=%d go test ./internal/crashtest -run '%s'",
				w.name, im.at, im.op, im.what, err, c.tail(im.at), im.at, c.seeds, replayName(t))
		}
	})
	t.Log(fig)
	sqlTotal.moments.Add(fig.moments.Load())
	sqlTotal.images.Add(fig.images.Load())
	sqlTotal.nested.Add(fig.nested.Load())
	sqlTotal.shell.Add(fig.shell.Load())
}

// check is image.check in SQL.
func (im *sqlImage) check(t *testing.T, fig *figures, nest, shell bool) error {
	var copied *shellCopy
	if shell {
		copied = copyFiles(t, im.disk)
	}
	s := newSQLSession(t, im.w, im.disk)
	defer s.end()
	s.full, s.acked, s.begun, s.small = im.durable, im.floor, im.top, true
	al := &sqlAlbum{s: s}
	c := &camera{disk: im.disk, seeds: 1, few: true, keep: al.keep, salt: im.pick}
	if nest {
		c.start()
	}
	if err := s.open(); err != nil {
		return fmt.Errorf("reopen: %w", err)
	}
	k, b, err := s.find(im.floor, im.top)
	if err != nil {
		return fmt.Errorf("reopen: %w", err)
	}
	if copied != nil {
		fig.shell.Add(1)
		if err := copied.checkSQL(im.states(t), k, b, im.w.attach); err != nil {
			return err
		}
	}
	if im.w.attach && k != b {
		// Each file is atomic by itself: the script cannot go on from here.
		err = s.close()
	} else {
		err = im.workOn(t, s, k)
	}
	im.disk.SetHook(nil)
	if err != nil {
		return fmt.Errorf("reopened after step %d: %w", k, err)
	}
	for _, n := range al.images {
		fig.nested.Add(1)
		if err := n.check(t, fig, false, false); err != nil {
			return fmt.Errorf("second crash before operation %d (%v), %s: %w\noperations before it:\n%s",
				n.at, n.op, n.what, err, c.tail(n.at))
		}
	}
	return nil
}

func (im *sqlImage) states(t testing.TB) []sqlState { return im.w.oracle(t) }

// workOn runs the next steps of the script, crashes again, and closes.
func (im *sqlImage) workOn(t *testing.T, s *sqlSession, k int) error {
	s.full, s.acked, s.begun = k, k, k
	for range 1 + im.pick%2 {
		if k < len(im.w.steps) {
			k++
			if err := s.step(k); err != nil {
				return fmt.Errorf("step %d: %w", k, err)
			}
		}
	}
	if im.pick%3 > 0 {
		floor := s.full
		next := im.disk.Crash(int64(im.pick))
		if im.pick%3 == 2 {
			next, floor = im.disk.Kill(int64(im.pick)), s.acked
		}
		after := newSQLSession(t, im.w, next)
		defer after.end()
		after.small = true
		if err := after.open(); err != nil {
			return fmt.Errorf("after step %d and another crash: %w", k, err)
		}
		if _, _, err := after.find(floor, k); err != nil {
			return fmt.Errorf("after step %d and another crash: %w", k, err)
		}
	}
	if _, _, err := s.find(k, k); err != nil {
		return fmt.Errorf("after step %d: %w", k, err)
	}
	if err := s.close(); err != nil {
		return err
	}
	if err := leftOpen(im.disk); err != nil {
		return err
	}
	if _, _, err := s.find(k, k); err != nil {
		return fmt.Errorf("after step %d and closing: %w", k, err)
	}
	return nil
}

// checkSQL has C SQLite check and close the copy, and compares what is in it
// then.
func (c *shellCopy) checkSQL(states []sqlState, main, b int, attached bool) error {
	files := []struct{ name, want string }{{c.path, states[main].main}}
	if attached {
		files = append(files, struct{ name, want string }{siblingOf(c.path), states[b].b})
	}
	for _, f := range files {
		one := &shellCopy{path: f.name}
		out, err := one.run("PRAGMA integrity_check")
		if err != nil {
			return err
		}
		if out != "ok" {
			return fmt.Errorf("sqlite3: integrity_check of %s: %s", f.name, out)
		}
		db, err := sqlite3.OpenFlags("file:"+f.name+"?vfs=os&immutable=1", sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE|sqlite3.OPEN_URI)
		if err != nil {
			return err
		}
		got, err := dump(db, "main")
		if err = errors.Join(err, db.Close()); err != nil {
			return err
		}
		if got != f.want {
			return fmt.Errorf("sqlite3 left other rows than step %d has: %.300q", main, got)
		}
	}
	return nil
}
