//go:build linux

package proctest

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk"
	_ "github.com/walnutdb/walnut/driver"
)

// limit sets a soft limit of this process and returns what sets it back.
func limit(resource int, to uint64) (restore func() error, err error) {
	var old unix.Rlimit
	if err := unix.Getrlimit(resource, &old); err != nil {
		return nil, err
	}
	return func() error { return unix.Setrlimit(resource, &old) },
		unix.Setrlimit(resource, &unix.Rlimit{Cur: to, Max: old.Max})
}

func TestFileSizeLimitOfTheLog(t *testing.T) { runChild(t, "log limit", t.TempDir(), nil) }

// logLimit: a log that may not grow refuses the commit that does not fit, alone.
// The signal that comes with the limit does nothing to a Go program.
func logLimit(dir string) error {
	d, err := openIn(dir, 8)
	if err != nil {
		return err
	}
	restore, err := limit(unix.RLIMIT_FSIZE, 1<<20)
	if err != nil {
		return err
	}
	if err := d.commitUntil(100, disk.ErrNoSpace); err != nil {
		return err
	}
	// The log can be emptied, and then there is room again.
	if _, err := d.Checkpoint(ctx, walnut.CheckpointTruncate, nil); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := d.commit(); err != nil {
		return fmt.Errorf("after the checkpoint: %w", err)
	}
	if err := restore(); err != nil {
		return err
	}
	for range 100 {
		if err := d.commit(); err != nil {
			return fmt.Errorf("without the limit: %w", err)
		}
	}
	return errors.Join(d.reopen(), d.Close())
}

func TestFileSizeLimitOfTheDatabase(t *testing.T) { runChild(t, "database limit", t.TempDir(), nil) }

// databaseLimit: a database file that may not grow fails the checkpoint; the log
// stays, and commits go on.
func databaseLimit(dir string) error {
	d, err := openIn(dir, 64)
	if err != nil {
		return err
	}
	for range 10 {
		if err := d.commit(); err != nil {
			return err
		}
	}
	if err := d.reopen(); err != nil {
		return err
	}
	info, err := os.Stat(d.path)
	if err != nil {
		return err
	}
	restore, err := limit(unix.RLIMIT_FSIZE, uint64(info.Size())+10000) // in the middle of a page
	if err != nil {
		return err
	}
	for range 3 {
		if err := d.commit(); err != nil {
			return err
		}
		if _, err := d.Checkpoint(ctx, walnut.CheckpointPassive, nil); !errors.Is(err, disk.ErrNoSpace) {
			return fmt.Errorf("the checkpoint: got %w", err)
		}
	}
	if err := d.Close(); !errors.Is(err, disk.ErrNoSpace) {
		return fmt.Errorf("closing: got %w", err)
	}
	if err := d.open(); err != nil {
		return fmt.Errorf("under the limit: %w", err)
	}
	if err := restore(); err != nil {
		return err
	}
	return errors.Join(d.reopen(), d.commit(), d.Close())
}

func TestNoDescriptors(t *testing.T) {
	t.Log(runChild(t, "descriptors", t.TempDir(), nil))
}

// descriptors: with 0, 1, 2 … descriptors to be had, opening, writing, a backup,
// a temporary file and closing fail with the system's error, lose nothing, and
// work when there are some again.
func descriptors(dir string) error {
	d, err := openIn(dir, 1)
	if err != nil {
		return err
	}
	if err := errors.Join(d.commit(), d.Close()); err != nil {
		return err
	}
	if err := sqlWork(dir); err != nil { // also loads what it needs itself
		return err
	}
	failed := 0
	for n := range uint64(30) {
		free, err := freeDescriptor()
		if err != nil {
			return err
		}
		restore, err := limit(unix.RLIMIT_NOFILE, free+n)
		if err != nil {
			return err
		}
		err = errors.Join(d.use(dir), sqlWork(dir))
		if rerr := restore(); rerr != nil {
			return rerr
		}
		if err == nil {
			if failed < 5 {
				return fmt.Errorf("only %d limits made something fail", failed)
			}
			fmt.Printf("%d limits, the last with everything\n", n+1)
			return nil
		}
		failed++
		if text := err.Error(); !errors.Is(err, unix.EMFILE) && !strings.Contains(text, "unable to open") {
			return fmt.Errorf("with %d descriptors: %w", n, err)
		}
		if after, err := freeDescriptor(); err != nil || after != free {
			return fmt.Errorf("with %d descriptors: one is left open (%d, before %d): %w", n, after, free, err)
		}
		if err := errors.Join(d.use(dir), sqlWork(dir)); err != nil {
			return fmt.Errorf("after %d descriptors: %w", n, err)
		}
	}
	return errors.New("something fails with 30 descriptors")
}

// use opens the database, commits, makes a backup and closes.
func (d *database) use(dir string) error {
	if err := d.open(); err != nil {
		return err
	}
	err := d.commit()
	if err == nil || errors.Is(err, unix.EMFILE) {
		backup := filepath.Join(dir, "backup.db")
		berr := d.Backup(ctx, backup, nil)
		if rerr := os.Remove(backup); rerr != nil && berr == nil {
			berr = rerr
		}
		err = errors.Join(err, berr)
	}
	return errors.Join(err, d.Close())
}

// sqlWork sorts more than fits into SQLite's memory, through the driver.
func sqlWork(dir string) error {
	db, err := sql.Open("walnut", "file:"+filepath.Join(dir, "sql.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, q := range []string{
		"PRAGMA temp_store = FILE", "PRAGMA cache_size = 10",
		"CREATE TABLE IF NOT EXISTS t(x)", "INSERT INTO t VALUES(1)",
		"CREATE TEMP TABLE IF NOT EXISTS big AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 2000) SELECT i, randomblob(500) AS b FROM n ORDER BY b",
		"DROP TABLE big",
	} {
		if _, err := db.Exec(q); err != nil {
			return fmt.Errorf("%.30s: %w", q, err)
		}
	}
	return db.Close()
}

// freeDescriptor is the lowest descriptor that is free.
func freeDescriptor() (uint64, error) {
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	return uint64(fd), unix.Close(fd)
}

// TestFullDisk fills a file system of 4 MiB, which is mounted where only the
// child sees it.
func TestFullDisk(t *testing.T) {
	needs(t, os.Geteuid() == 0, "root, to mount a file system")
	dir := t.TempDir()
	probe := exec.Command("/proc/self/exe", "-test.run=^$")
	probe.SysProcAttr = namespace()
	needs(t, probe.Run() == nil, "the right to make a mount namespace")
	out := runChild(t, "full disk", dir, namespace())
	needs(t, !strings.HasPrefix(out, noMount), "the right to mount a tmpfs: "+out)
	t.Log(out)
}

func namespace() *syscall.SysProcAttr { return &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} }

const noMount = "no mount"

// fullDisk fills the disk by commits, and then by another file, and makes room.
func fullDisk(dir string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		fmt.Println(noMount, err)
		return nil
	}
	d, err := openIn(dir, 8)
	if err != nil {
		return err
	}
	if err := d.commitUntil(1000, disk.ErrNoSpace); err != nil {
		return err
	}
	inLog := d.n
	if err := d.reopenFull(); err != nil {
		return err
	}
	if err := resize(dir, "12m"); err != nil {
		return err
	}
	// What the database file takes leaves less for the log; both run out.
	for range 1000 {
		if err = d.commit(); err != nil {
			break
		}
		if _, err = d.Checkpoint(ctx, walnut.CheckpointTruncate, nil); err != nil {
			break
		}
	}
	if !errors.Is(err, disk.ErrNoSpace) {
		return fmt.Errorf("with checkpoints: got %w", err)
	}
	if err := d.reopenFull(); err != nil {
		return err
	}
	fmt.Printf("%d commits filled the log, %d the disk\n", inLog, d.n)
	if d.n <= inLog {
		return errors.New("more room took no more commits")
	}
	if err := resize(dir, "32m"); err != nil {
		return err
	}
	for range 20 {
		if err := d.commit(); err != nil {
			return fmt.Errorf("with room again: %w", err)
		}
	}
	return errors.Join(d.reopen(), d.Close())
}

// resize gives the file system mounted on dir another size.
func resize(dir, size string) error { return unix.Mount("", dir, "", unix.MS_REMOUNT, "size="+size) }

// reopenFull closes on a full disk, which may keep the log, and opens again.
func (d *database) reopenFull() error {
	if err := d.Close(); err != nil && !errors.Is(err, disk.ErrNoSpace) {
		return err
	}
	return d.open()
}
