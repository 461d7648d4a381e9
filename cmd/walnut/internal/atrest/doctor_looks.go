package atrest

// This file has what "walnut doctor" looks at, one function each.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/walnutdb/walnut/cmd/walnut/internal/figures"
	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

func (x *patient) damage() error {
	for _, d := range x.info.Damage {
		x.say(Damaged, "damage", d, "copy both files away before anything else; `walnut verify "+shellWord(filepath.Base(x.name))+"` says what is lost by it")
	}
	if len(x.info.Damage) == 0 && !x.changed {
		x.say(Fine, "damage", "Header and log are sound as far as they can be read without opening the database.", "")
	}
	return nil
}

func (x *patient) mode() error {
	switch x.info.JournalMode {
	case "wal":
		x.say(Fine, "journal mode", "The database is in WAL mode.", "")
	case "delete":
		x.say(Note, "journal mode", "The database is in rollback-journal mode. The first commit by Walnut makes it a WAL database, which any SQLite reads.", "")
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
		x.say(Fine, "log", "There is no log: everything is in the database file.", "")
		return nil
	}
	used := int64(l.CommittedFrames) * int64(walformat.FrameHeaderSize+x.info.PageSize)
	live := int64(len(x.live)) * int64(walformat.FrameHeaderSize+x.info.PageSize)
	switch {
	case l.CommittedFrames == 0 && l.Bytes < muchLog:
		x.say(Fine, "log", fmt.Sprintf("The log has %s and no commit.", figures.Bytes(l.Bytes)), "")
	case l.Bytes >= muchLog && used < l.Bytes/deadLog:
		x.say(Note, "log", fmt.Sprintf("The log file has %s, of which commits use %s: the rest is room that an earlier generation has left. It is used again, and does no harm.", figures.Bytes(l.Bytes), figures.Bytes(used)),
			x.checkpointLine()+" gives the room back when it is closed; PRAGMA journal_size_limit keeps it small")
	case used >= muchLog && live < used/deadLog:
		why := "A reader that stayed, or checkpoints that are turned off or fail, keep a log from being begun anew."
		if used > pairLimit {
			why = fmt.Sprintf("It is beyond %s, Options.MaxLogSize as long as nothing else is set: so another limit is set, or none, and a reader stayed; or one transaction is larger; or the side file of detached readers is full; or checkpoints are turned off or fail.", figures.Bytes(pairLimit))
		}
		todo := x.checkpointLine() + " empties it; then set Options.MaxLogSize, wal_autocheckpoint, and an end to long readers (Rows.Close, contexts with a deadline)"
		if x.inUse {
			todo = "DB.Readers, the page of walnutweb and `walnut top URL` name who reads; end that (Rows.Close, contexts with a deadline), then PRAGMA wal_checkpoint(TRUNCATE) in the program; see Options.MaxLogSize and wal_autocheckpoint"
		}
		x.say(Warning, "log", fmt.Sprintf("The log has %s in %s commits, and its live pages are %s (%s): most of it was overwritten again since it was begun anew. %s", figures.Bytes(used), figures.Thousands(uint64(l.Transactions)), figures.Thousands(uint64(len(x.live))), figures.Bytes(live), why), todo)
	default:
		x.say(Fine, "log", fmt.Sprintf("The log has %s frames in %s transactions.", figures.Thousands(uint64(l.CommittedFrames)), figures.Thousands(uint64(l.Transactions))), "")
	}
	if used >= muchLog {
		x.copied(l, used)
	}
	if l.IgnoredFrames > 0 && l.CommittedFrames == 0 && l.Transactions == 0 && l.Bytes >= muchLog {
		x.say(Note, "log", "Nothing in the log counts: it is what was left when it was begun anew, or an end that no commit covers.", "")
	}
	return nil
}

// checkpointLine is the command that empties the log of a database at rest.
func (x *patient) checkpointLine() string {
	return "`walnut checkpoint --mode truncate " + shellWord(filepath.Base(x.name)) + "`"
}

// copied says how much of a long log is in the database file too, and how often
// the log was begun anew: the one that was never has had a reader all the time.
func (x *patient) copied(l *Log, used int64) {
	restarts, never := "", l.CheckpointSeq == nil || *l.CheckpointSeq == 0
	switch {
	case !never:
		restarts = fmt.Sprintf(" It was begun anew before: its checkpoint sequence is %s.", figures.Thousands(uint64(*l.CheckpointSeq)))
	case used <= pairLimit: // else it is said below
		restarts = " It was never begun anew."
	}
	missing, err := x.uncopied()
	switch {
	case err != nil: // somebody changes the files; that is said elsewhere
	case missing == 0:
		todo := "while it is open, end long readers"
		if !x.inUse {
			todo = x.checkpointLine() + " empties it"
		}
		x.say(Note, "restart", fmt.Sprintf("All of the log, %s, is in the database file too, and yet the log goes on.%s A reader that stayed kept it from being begun anew, or nobody has written since.", figures.Bytes(used), restarts), todo)
	default:
		x.say(Note, "restart", fmt.Sprintf("Of the pages in the log, %s of %s are not in the database file yet.%s", figures.Thousands(uint64(missing)), figures.Thousands(uint64(len(x.live))), restarts),
			"never move or delete the log: it holds commits that are nowhere else; a checkpoint copies them")
	}
	if never && used > pairLimit {
		x.say(Warning, "restart", fmt.Sprintf("The log has grown to %s without having been begun anew even once: somebody has read it all the time, or checkpoints are off.", figures.Bytes(used)),
			"find out who reads all the time: DB.Readers, the page of walnutweb, `walnut top URL`")
	}
	if !x.inUse && used > pairLimit {
		x.say(Note, "recovery", fmt.Sprintf("The next one to open the database reads the log, writes it again and syncs it, %s, before anything else.", figures.Bytes(used)),
			"let it run to its end: a start that is given up begins it again; "+x.checkpointLine()+" does it now")
	}
}

// errMoved: the files are not those any more that were examined.
var errMoved = errors.New("the files changed")

// uncopied counts the pages whose newest content in the log is not that of the
// database file.
func (x *patient) uncopied() (n int, err error) {
	p, err := OpenPair(x.fsys, x.name)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	if x.changed || !x.p.stamp.equal(p.stamp) || p.Log == nil {
		return 0, errMoved
	}
	h := &x.p.scan.Header
	inLog, inFile := make([]byte, h.PageSize), make([]byte, h.PageSize)
	for page, frame := range x.live {
		if uint32(page) > x.p.scan.DBSize {
			continue // cut off by a later commit
		}
		if _, err := p.Log.ReadAt(inLog, int64(h.FrameOffset(frame))+walformat.FrameHeaderSize); err != nil {
			return 0, err
		}
		_, err := p.DB.ReadAt(inFile, int64(page-1)*int64(h.PageSize))
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if err != nil || !bytes.Equal(inLog, inFile) {
			n++
		}
	}
	return n, nil
}

// pairLimit is the default of Options.MaxLogSize.
const pairLimit = 64 << 20

func (x *patient) pages() error {
	if x.info.PageSize > 0 && x.info.PageSize < 4096 {
		x.say(Note, "page size", fmt.Sprintf("Pages have %d bytes; devices and file systems write 4096 at once.", x.info.PageSize),
			"PRAGMA page_size=4096; VACUUM in rollback mode changes it; small pages cost most with large rows")
	} else {
		x.say(Fine, "page size", fmt.Sprintf("%s pages of %s.", figures.Thousands(uint64(x.info.PageCount)), figures.Bytes(int64(x.info.PageSize))), "")
	}
	if h, err := walformat.ParseDBHeader(x.p.page1); err == nil {
		if free := h.FreelistCount; free > x.info.PageCount/4 && free > 100 && free < x.info.PageCount {
			x.say(Note, "free pages", fmt.Sprintf("%s of %s pages are free.", figures.Thousands(uint64(free)), figures.Thousands(uint64(x.info.PageCount))), "VACUUM makes the file smaller; it rewrites all of it through the log")
		}
	}
	return nil
}

// locks asks who has SQLite's lock bytes.
func (x *patient) locks() error {
	f, err := x.fsys.Open(x.name, disk.ReadOnly)
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
		x.say(Note, "locks", "Whether another process has the database open cannot be told: "+err.Error(), "")
	case ok && h.PID > 0:
		x.inUse = true
		x.say(Note, "locks", fmt.Sprintf("Process %d has the database open. One process at a time can use it with Walnut.", h.PID), "close it there before opening it elsewhere")
	case ok:
		x.inUse = true
		x.say(Note, "locks", "Another process has the database open: with Walnut, or by a lock that does not name its process.", "`lsof` or `fuser` on the file name it")
	default:
		x.say(Fine, "locks", "No other process has a lock on the database.", "")
	}
	return nil
}

// holderText names who holds a lock.
func holderText(h disk.Holder) string {
	if h.PID > 0 {
		return fmt.Sprintf("process %d", h.PID)
	}
	return "another process"
}

// names looks at links.
func (x *patient) names() error {
	if p, err := disk.Look(x.given); err == nil && p.Symlink {
		x.say(Note, "name", fmt.Sprintf("%s is a symbolic link to %s; the log lies beside the latter.", x.given, x.name), "")
	}
	info, err := x.fsys.Stat(x.name)
	if err == nil && info.Links > 1 {
		x.say(Problem, "name", fmt.Sprintf("The file has %d names (hard links): a log belongs to one of them only, and Walnut refuses to open it.", info.Links), "remove the other names; make copies with `walnut backup`")
	}
	return nil
}

// leftovers looks at files beside the database.
func (x *patient) leftovers() error {
	base := filepath.Base(x.name)
	for _, f := range []struct{ suffix, text, todo string }{
		{wal.SideSuffix, "a process died in the moment in which it made its side file. Nothing needs it.", "Walnut removes it when it opens the database"},
		{".part", "a backup to this name is being made, or was cut off.", "remove it if no backup is running"},
	} {
		if _, err := x.fsys.Stat(x.name + f.suffix); err == nil {
			x.say(Note, "left behind", base+f.suffix+" is there: "+f.text, f.todo)
		}
	}
	x.sharedMemory(base)
	return x.journal(base)
}

// shmLive is the byte of X-shm that every C SQLite holds which has the database
// open in WAL mode.
const shmLive = 128

func (x *patient) sharedMemory(base string) {
	f, err := x.fsys.Open(x.name+"-shm", disk.ReadOnly)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	where := base + "-shm is there"
	if err != nil {
		x.say(Note, "left behind", where+", and cannot be read: "+err.Error(), "")
		return
	}
	defer f.Close()
	h, held, err := disk.HolderOf(f, shmLive, 1)
	switch {
	case err != nil:
		x.say(Note, "left behind", where+": C SQLite has the database open, or left it when it died.", "Walnut removes it when it opens the database and nobody else has it")
	case held:
		x.say(Note, "locks", where+", and "+holderText(h)+" has it: C SQLite has the database open in WAL mode.", "close it there before opening it with Walnut")
	default:
		x.say(Note, "left behind", where+", and nobody has it: C SQLite left it when it died.", "Walnut removes it when it opens the database; so does the last C SQLite that closes it")
	}
}

// journal judges a rollback journal as Walnut does on opening: one that begins
// with a zero byte, or lies beside an empty database, is none.
func (x *patient) journal(base string) error {
	f, err := x.fsys.Open(x.name+"-journal", disk.ReadOnly)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		x.say(Warning, "journal", base+"-journal is there, and cannot be read: "+err.Error(), "grant the right to read it: Walnut does not open the database before it knows what the journal is")
		return nil
	}
	defer f.Close()
	var first [1]byte
	if _, err := f.ReadAt(first[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch { // a transaction that runs may not have written its first byte yet
	case x.inUse:
		x.say(Note, "journal", base+"-journal is there: whoever has the database open writes in rollback mode.", "close it there before opening it with Walnut")
	case first[0] == 0 || x.p.stamp.dbSize == 0:
		x.say(Fine, "journal", base+"-journal is there, with nothing to roll back.", "")
	default:
		x.say(Problem, "journal", base+"-journal is there, and nobody has the database open: a process died inside a transaction in rollback mode. Walnut refuses to open the database (ErrHotJournal).",
			"keep the two together; `sqlite3 "+shellWord(base)+" \"PRAGMA schema_version\"` rolls it back")
	}
	return nil
}

// shellWord is a file's name as one word of a shell's line, whatever is in it.
func shellWord(s string) string {
	if strings.HasPrefix(s, "-") {
		s = "./" + s // no option
	}
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/"
	if strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
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
			x.say(Problem, "rights", fmt.Sprintf("This user may not write to %s (%s).", f.what, f.name), f.todo)
		}
	}
	db, dbErr := disk.Look(x.name)
	if dbErr != nil {
		return nil
	}
	log, logErr := disk.Look(x.name + "-wal")
	if logErr != nil {
		log = db // there is none
	}
	x.owners(db.UID, log.UID, disk.EffectiveUser())
	return nil
}

// owners compares the users of the database file, its log, and this process; -1
// is one that is not known.
func (x *patient) owners(db, log, me int) {
	switch {
	case db != log:
		x.say(Warning, "rights", fmt.Sprintf("The database file belongs to user %d and the log to user %d: whoever made the log may be the only one who can open the database.", db, log), "give both to the user of the program")
	case db >= 0 && me >= 0 && db != me:
		x.say(Note, "rights", fmt.Sprintf("The database belongs to user %d, and this is user %d: a log that this user makes is not that user's.", db, me), "run what opens the database as the user of the program")
	}
}

func (x *patient) fileSystem() error {
	k, err := disk.KindOf(filepath.Dir(x.name))
	if err != nil {
		k = disk.Kind{}
	}
	x.kind(k)
	return nil
}

// kind judges a file system.
func (x *patient) kind(k disk.Kind) {
	switch {
	case k.Name == "":
		x.say(Note, "file system", "What file system this is, and what its syncs are worth, cannot be told here.", "")
	case k.Volatile:
		x.say(Warning, "file system", fmt.Sprintf("The database lies on %s: when the machine stops it is gone, whatever was synced.", k.Name), "put it on a disk, if it is to stay")
	case k.Network:
		x.say(Warning, "file system", fmt.Sprintf("The database lies on %s, over a network: locks and syncs are what the server makes of them, and another machine may have the file open unseen.", k.Name), "put it on a disk of this machine")
	case k.Layered:
		x.say(Note, "file system", fmt.Sprintf("The database lies on %s, which passes syncs on to another file system.", k.Name), "put it on a volume, if this is a container; see what lies below")
	default:
		x.say(Fine, "file system", fmt.Sprintf("The database lies on %s.", k.Name), "")
	}
	if page := int64(x.info.PageSize); k.BlockSize > 0 && page > 0 && k.BlockSize%page != 0 && page%k.BlockSize != 0 {
		x.say(Note, "page size", fmt.Sprintf("The file system writes %d bytes at once, which is no multiple of a page nor a part of one.", k.BlockSize), "")
	}
}
