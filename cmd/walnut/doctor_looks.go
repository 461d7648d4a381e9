package main

// This file has what "walnut doctor" looks at, one function each.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

func (x *patient) damage() error {
	for _, d := range x.info.Damage {
		x.say(isDamaged, "damage", d, "copy both files away before anything else; `walnut verify "+filepath.Base(x.name)+"` says what is lost by it")
	}
	if len(x.info.Damage) == 0 {
		x.say(isFine, "damage", "Header and log are sound as far as they can be read without opening the database.", "")
	}
	return nil
}

func (x *patient) mode() error {
	switch x.info.JournalMode {
	case "wal":
		x.say(isFine, "journal mode", "The database is in WAL mode.", "")
	case "delete":
		x.say(isNote, "journal mode", "The database is in rollback-journal mode. The first commit by Walnut makes it a WAL database, which any SQLite reads.", "")
	}
	return nil
}

const (
	// muchLog is from which size on a log is worth a word, in bytes, and deadLog how
	// many times its live content it is then.
	muchLog = 4 << 20
	deadLog = 4
)

func (x *patient) log() error {
	l := x.info.Log
	if l == nil {
		x.say(isFine, "log", "There is no log: everything is in the database file.", "")
		return nil
	}
	used := int64(l.CommittedFrames) * int64(walformat.FrameHeaderSize+x.info.PageSize)
	live := int64(x.live) * int64(walformat.FrameHeaderSize+x.info.PageSize)
	switch {
	case l.CommittedFrames == 0 && l.Bytes < muchLog:
		x.say(isFine, "log", fmt.Sprintf("The log has %s and no commit.", bytesText(l.Bytes)), "")
	case l.Bytes >= muchLog && used < l.Bytes/deadLog:
		x.say(isNote, "log", fmt.Sprintf("The log file has %s, of which commits use %s: the rest is room that an earlier generation has left. It is used again, and does no harm.", bytesText(l.Bytes), bytesText(used)),
			"`walnut checkpoint --mode truncate` gives the room back; PRAGMA journal_size_limit keeps it small")
	case used >= muchLog && live < used/deadLog:
		x.say(isWarning, "log", fmt.Sprintf("The log has %s in %s commits for %s pages: most of it was overwritten again since it was begun anew. A reader that stayed, or checkpoints that are turned off or fail, keep a log from being begun anew.", bytesText(used), thousands(uint64(l.Transactions)), thousands(uint64(x.live))),
			"end long readers (Rows.Close, contexts with a deadline); see Options.MaxLogSize and wal_autocheckpoint; when it is closed, `walnut checkpoint` copies it")
	default:
		x.say(isFine, "log", fmt.Sprintf("The log has %s frames in %s transactions.", thousands(uint64(l.CommittedFrames)), thousands(uint64(l.Transactions))), "")
	}
	if l.CheckpointSeq != nil && *l.CheckpointSeq == 0 && used > pairLimit {
		x.say(isWarning, "restart", fmt.Sprintf("The log has grown to %s without having been begun anew even once.", bytesText(used)),
			"find out who reads all the time: DB.Readers, the page of walnutweb, `walnut top`")
	}
	if l.IgnoredFrames > 0 && l.CommittedFrames == 0 && l.Transactions == 0 && l.Bytes >= muchLog {
		x.say(isNote, "log", "Nothing in the log counts: it is what was left when it was begun anew, or an end that no commit covers.", "")
	}
	return nil
}

// pairLimit is the default of Options.MaxLogSize.
const pairLimit = 64 << 20

func (x *patient) pages() error {
	if x.info.PageSize > 0 && x.info.PageSize < 4096 {
		x.say(isNote, "page size", fmt.Sprintf("Pages have %d bytes; devices and file systems write 4096 at once.", x.info.PageSize),
			"PRAGMA page_size=4096; VACUUM in rollback mode changes it; small pages cost most with large rows")
	} else {
		x.say(isFine, "page size", fmt.Sprintf("%s pages of %s.", thousands(uint64(x.info.PageCount)), bytesText(int64(x.info.PageSize))), "")
	}
	if len(x.p.page1) >= 40 {
		if free := binary.BigEndian.Uint32(x.p.page1[36:40]); free > x.info.PageCount/4 && free > 100 && free < x.info.PageCount {
			x.say(isNote, "free pages", fmt.Sprintf("%s of %s pages are free.", thousands(uint64(free)), thousands(uint64(x.info.PageCount))), "VACUUM makes the file smaller; it rewrites all of it through the log")
		}
	}
	return nil
}

// locks asks who has SQLite's lock bytes.
func (x *patient) locks() error {
	f, err := disk.OS().Open(x.name, disk.ReadOnly)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	h, ok, err := disk.HolderOf(f, walformat.PendingByte, 2+walformat.SharedSize)
	switch {
	case err != nil:
		x.say(isNote, "locks", "Whether another process has the database open cannot be told: "+err.Error(), "")
	case ok && h.PID > 0:
		x.say(isNote, "locks", fmt.Sprintf("Process %d has the database open. One process at a time can use it with Walnut.", h.PID), "close it there before opening it elsewhere")
	case ok:
		x.say(isNote, "locks", "Another process has the database open: with Walnut, or by a lock that does not name its process.", "`lsof` or `fuser` on the file name it")
	default:
		x.say(isFine, "locks", "No other process has a lock on the database.", "")
	}
	return nil
}

// names looks at links.
func (x *patient) names() error {
	if p, err := disk.Look(x.given); err == nil && p.Symlink {
		x.say(isNote, "name", fmt.Sprintf("%s is a symbolic link to %s; the log lies beside the latter.", x.given, x.name), "")
	}
	info, err := disk.OS().Stat(x.name)
	if err == nil && info.Links > 1 {
		x.say(isProblem, "name", fmt.Sprintf("The file has %d names (hard links): a log belongs to one of them only, and Walnut refuses to open it.", info.Links), "remove the other names; make copies with `walnut backup`")
	}
	return nil
}

// leftovers looks at files beside the database.
func (x *patient) leftovers() error {
	base := filepath.Base(x.name)
	if x.p.orphan {
		x.say(isProblem, "database file", "There is a log, and no database file: what the log holds belongs to a database that is not here.", "put the database file back that belongs to "+base+"-wal, or move the log away")
	}
	for suffix, what := range map[string]struct{ level, text, todo string }{
		"-shm":         {isNote, base + "-shm is there: C SQLite has the database open, or left it when it died.", "Walnut removes it when it opens the database and nobody else has it"},
		wal.SideSuffix: {isNote, base + wal.SideSuffix + " is there: a process died in the moment in which it made its side file. Nothing needs it.", "Walnut removes it when it opens the database"},
		".part":        {isNote, base + ".part is there: a backup to this name is being made, or was cut off.", "remove it if no backup is running"},
	} {
		if _, err := disk.OS().Stat(x.name + suffix); err == nil {
			x.say(what.level, "left behind", what.text, what.todo)
		}
	}
	if info, err := disk.OS().Stat(x.name + "-journal"); err == nil && info.Size > 0 {
		x.say(isProblem, "left behind", base+"-journal is there: a process may have died inside a transaction in rollback mode.",
			"keep the two together; `sqlite3 "+base+" \"PRAGMA schema_version\"` rolls it back if it must be")
	}
	return nil
}

// rights looks at who may do what.
func (x *patient) rights() error {
	dir := filepath.Dir(x.name)
	for _, f := range []struct{ name, what, todo string }{
		{x.name, "the database file", "even reading takes an exclusive lock, and so the right to write: grant it, or open it with mode=ro&immutable=1 if nobody changes it"},
		{x.name + "-wal", "the log", "grant the right to write to it"},
		{dir, "the directory", "the log is made and removed there: grant the right to write to it"},
	} {
		p, err := disk.Look(f.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if !p.Write {
			x.say(isProblem, "rights", fmt.Sprintf("This user may not write to %s (%s).", f.what, f.name), f.todo)
		}
	}
	db, err1 := disk.Look(x.name)
	log, err2 := disk.Look(x.name + "-wal")
	if err1 == nil && err2 == nil && db.UID != log.UID {
		x.say(isWarning, "rights", fmt.Sprintf("The database file belongs to user %d and the log to user %d: whoever made the log may be the only one who can open the database.", db.UID, log.UID), "give both to the user of the program")
	}
	return nil
}

func (x *patient) fileSystem() error {
	k, err := disk.KindOf(filepath.Dir(x.name))
	switch {
	case err != nil || k.Name == "":
		x.say(isNote, "file system", "What file system this is, and what its syncs are worth, cannot be told here.", "")
	case k.Volatile:
		x.say(isWarning, "file system", fmt.Sprintf("The database lies on %s: when the machine stops it is gone, whatever was synced.", k.Name), "put it on a disk, if it is to stay")
	case k.Network:
		x.say(isWarning, "file system", fmt.Sprintf("The database lies on %s, over a network: locks and syncs are what the server makes of them, and another machine may have the file open unseen.", k.Name), "put it on a disk of this machine")
	case k.Layered:
		x.say(isNote, "file system", fmt.Sprintf("The database lies on %s, which passes syncs on to another file system.", k.Name), "put it on a volume, if this is a container; see what lies below")
	default:
		x.say(isFine, "file system", fmt.Sprintf("The database lies on %s.", k.Name), "")
	}
	if k.BlockSize > 0 && int64(x.info.PageSize) > 0 && k.BlockSize%int64(x.info.PageSize) != 0 && int64(x.info.PageSize)%k.BlockSize != 0 {
		x.say(isNote, "page size", fmt.Sprintf("The file system writes %d bytes at once, which is no multiple of a page nor a part of one.", k.BlockSize), "")
	}
	return nil
}
