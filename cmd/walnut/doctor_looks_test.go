package main

// Tests of what "walnut doctor" sees around a database: locks of other
// processes, owners, file systems; and of its words as a whole.

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/walnutdb/walnut/cmd/walnut/internal/atrest"
	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/walformat"
)

// says fails unless the doctor says text of db, with that level.
func says(t *testing.T, db, level, text string) {
	t.Helper()
	list, err := atrest.Examine(disk.OS(), db, func(int64, int64) {})
	if err != nil {
		t.Fatal(err)
	}
	hasAdvice(t, list, level, text)
}

func hasAdvice(t *testing.T, list []atrest.Advice, level, text string) {
	t.Helper()
	for _, a := range list {
		if a.Level == level && strings.Contains(a.Text, text) {
			return
		}
	}
	t.Errorf("no %s with %q in %+v", level, text, list)
}

// emptyWAL is a database in WAL mode with one empty table page.
func emptyWAL(t *testing.T) string {
	t.Helper()
	db := filepath.Join(t.TempDir(), "a.db")
	write(t, db, append(testPage1(4096, 3), make([]byte, 2*4096)...))
	return db
}

func TestDoctorOutput(t *testing.T) {
	db := emptyWAL(t)
	log := newTestLog(4096)
	for range 2000 {
		log.add(2, 3)
	}
	write(t, db+"-wal", log.b)
	write(t, db+"-shm", []byte("x"))
	o := walnut(t, "", "doctor", db)
	var kept []string // all but what is true of this machine only
	elsewhere := false
	for l := range strings.Lines(o.out) {
		elsewhere = strings.Contains(l, " file system: ") || elsewhere && strings.HasPrefix(l, " ")
		if !elsewhere {
			kept = append(kept, l)
		}
	}
	o.out = strings.Join(kept, "")
	golden(t, "doctor", filepath.Dir(db), o)
}

// TestDoctorCopied: a log that is in the database file as a whole, in part.
func TestDoctorCopied(t *testing.T) {
	db := emptyWAL(t)
	log := newTestLog(4096)
	for range 1000 {
		log.add(3, 3).add(2, 3)
	}
	write(t, db+"-wal", log.b)
	says(t, db, atrest.Note, "Of the pages in the log, 2 of 2 are not in the database file yet")
	file := testPage1(4096, 3)
	file = append(file, []byte(strings.Repeat("\x02", 4096))...)
	write(t, db, append(file, make([]byte, 4096)...))
	says(t, db, atrest.Note, "Of the pages in the log, 1 of 2 are")
	write(t, db, append(file, []byte(strings.Repeat("\x03", 4096))...))
	says(t, db, atrest.Note, "is in the database file too, and yet the log goes on. It was begun anew before: its checkpoint sequence is 5.")
}

// TestDoctorBeyondLimit: a log that is longer than the default limit, at rest; what
// is said first of one in use.
func TestDoctorBeyondLimit(t *testing.T) {
	const size = 65536
	db := filepath.Join(t.TempDir(), "a.db")
	write(t, db, append(testPage1(size, 3), make([]byte, 2*size)...))
	log := newTestLog(size)
	for range 1100 {
		log.add(2, 3)
	}
	write(t, db+"-wal", log.b)
	says(t, db, atrest.Warning, "It is beyond 64.0 MiB, Options.MaxLogSize")
	says(t, db, atrest.Note, "The next one to open the database reads the log")
	list, err := atrest.Examine(disk.OS(), db, func(int64, int64) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if a.Topic == "log" && !strings.Contains(a.Todo, "walnut checkpoint --mode truncate a.db") {
			t.Errorf("%+v", a)
		}
	}
	f, err := disk.OS().Open(db, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Lock(walformat.PendingByte+2, walformat.SharedSize, disk.Shared); err != nil {
		t.Fatal(err)
	}
	if list, err = atrest.Examine(disk.OS(), db, func(int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if a.Topic == "recovery" || strings.Contains(a.Todo, "walnut checkpoint") || a.Topic == "log" && !strings.Contains(a.Todo, "walnut top URL") {
			t.Errorf("in use: %+v", a)
		}
	}
}

func TestDoctorOrphanLog(t *testing.T) {
	db := emptyWAL(t)
	write(t, db+"-wal", newTestLog(4096).add(2, 3).b)
	if err := os.Remove(db); err != nil {
		t.Fatal(err)
	}
	if o := walnut(t, "", "doctor", db); o.status != exitDamage || !strings.Contains(o.out, "no database file") {
		t.Errorf("%+v", o)
	}
}

func TestDoctorJournal(t *testing.T) {
	db := emptyWAL(t)
	write(t, db+"-journal", []byte("\xd9\xd5\x05\xf9"))
	says(t, db, atrest.Problem, "ErrHotJournal")
	for _, none := range []string{"", "\x00\x00"} {
		write(t, db+"-journal", []byte(none))
		says(t, db, atrest.Fine, "nothing to roll back")
	}
}

func TestDoctorFreePages(t *testing.T) {
	db := emptyWAL(t)
	page1 := testPage1(4096, 1000)
	page1[38], page1[39] = 2, 0 // 512 pages
	write(t, db, append(page1, make([]byte, 999*4096)...))
	says(t, db, atrest.Note, "512 of 1,000 pages are free")
}

// TestDoctorNamesHolders: the process of a C SQLite is named, in both modes; that
// of a Walnut is not, but it is seen.
func TestDoctorNamesHolders(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("this system does not tell of locks")
	}
	t.Run("walnut", func(t *testing.T) {
		db := filepath.Join(t.TempDir(), "a.db")
		holdElsewhere(t, db, "CREATE TABLE x(a);")
		says(t, db, atrest.Note, "Another process has the database open")
	})
	for mode, statements := range map[string]string{
		"wal":    "PRAGMA journal_mode=wal; CREATE TABLE x(a);",
		"delete": "CREATE TABLE x(a); BEGIN EXCLUSIVE; INSERT INTO x VALUES(1);",
	} {
		t.Run("sqlite3 "+mode, func(t *testing.T) {
			db := filepath.Join(t.TempDir(), "a.db")
			cmd := exec.Command(sqlite3Command(t), db)
			hold(t, cmd, statements)
			process := "rocess " + strconv.Itoa(cmd.Process.Pid)
			says(t, db, atrest.Note, process+" has the database open")
			if mode == "wal" {
				says(t, db, atrest.Note, "a.db-shm is there, and p"+process+" has it")
			} else {
				says(t, db, atrest.Note, "writes in rollback mode")
			}
		})
	}
	t.Run("nobody", func(t *testing.T) {
		db := emptyWAL(t)
		write(t, db+"-shm", []byte("x"))
		says(t, db, atrest.Note, "nobody has it")
		says(t, db, atrest.Fine, "No other process has a lock")
	})
}

func TestDoctorRights(t *testing.T) {
	if disk.EffectiveUser() <= 0 {
		t.Skip("to this user nothing is forbidden")
	}
	db := emptyWAL(t)
	write(t, db+"-wal", newTestLog(4096).b)
	for _, f := range []struct {
		name, what string
		mode       os.FileMode
	}{{db, "the database file", 0o400}, {db + "-wal", "the log", 0o400}, {filepath.Dir(db), "the directory", 0o500}} {
		if err := os.Chmod(f.name, f.mode); err != nil {
			t.Fatal(err)
		}
		says(t, db, atrest.Problem, "may not write to "+f.what)
		if err := os.Chmod(f.name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}
