// Keeping SQLite's read transaction from one statement to the next.
//
// A SELECT outside of BEGIN begins and ends a read transaction of SQLite's
// pager, which is a quarter of what a point read costs: SHARED, two looks for
// journals, the counter of page 1, the size, page 1 itself, and all of it back.
// While nobody commits, the next SELECT would get the same snapshot again. So a
// statement of the keeper's own stands on its only row, and with it SQLite
// keeps SHARED and page 1. Our transaction underneath is suspended between the
// statements and holds no mark: an idle connection is in nobody's way.

package sqlitevfs

import (
	"strings"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/walnutdb/walnut/internal/coord"
)

// keepSQL reads nothing but page 1, opens no cursor, and stands on its row
// until it is reset.
const keepSQL = "PRAGMA main.schema_version"

// keepAgain is how many reads must have gained by a keeping for the next one to
// begin at once when the state has changed. Beginning costs about what one read
// gains.
const keepAgain = 2

// Keeper keeps the snapshot of a connection's main database while nothing but
// plain reads runs on the connection and the published state stays the same.
//
//	Begin   before the first step of a plain read (see [Keepable])
//	End     when it has been reset
//	Drop    before anything else that SQLite does for the connection
//
// It keeps nothing while other databases are attached: as long as a statement is
// open, SQLite ends the read transaction of none of them, and those that the
// plain reads begin there would stay, with their marks and their old snapshots.
//
// Invariants:
//
//  1. A read that begins while no other one runs sees the state that is
//     published then.
//  2. Between End and the next Begin no mark is held.
//  3. Whatever is no plain read finds the connection as if there were no
//     keeper.
type Keeper struct {
	conn *sqlite3.Conn
	// main is the database's file; file is it too, as long as it can be kept.
	main, file *file
	stmt       *sqlite3.Stmt
	// on: stmt stands on its row.
	on bool
	// reading counts the plain reads between Begin and End.
	reading int
	// last is what was published when the read before this one began, gained
	// how many reads were spared their transaction since the keeping began.
	last   *coord.State
	gained int
}

// NewKeeper returns a keeper that keeps nothing yet. It works for main
// databases of this package; for others it does nothing.
func NewKeeper(c *sqlite3.Conn) *Keeper {
	f := fileOf(c, "main")
	return &Keeper{conn: c, main: f, file: f}
}

// Running says which statement the connection runs from now on, for reports of its
// transactions.
func (k *Keeper) Running(sql string) {
	if k != nil && k.main != nil {
		k.main.sql = sql
	}
}

// Keepable reports whether a statement, whose text begins with its first word,
// is a plain read: one that a kept transaction cannot change or disturb.
func Keepable(s *sqlite3.Stmt, text string) bool {
	if !s.ReadOnly() || containsFold(text, checkpointFunc) {
		return false
	}
	for _, word := range []string{"SELECT", "WITH", "VALUES"} {
		if len(text) >= len(word) && strings.EqualFold(text[:len(word)], word) {
			return true
		}
	}
	return false
}

// Begin makes the read that is about to begin see the published state.
func (k *Keeper) Begin() {
	k.assertState()
	defer k.assertState()
	if k.reading++; k.reading > 1 || k.file == nil {
		return
	}
	again := false
	if k.on {
		if !Attached(k.conn) && k.file.resume() {
			k.gained++
			return
		}
		again = k.gained >= keepAgain
		k.Drop()
	}
	now := k.file.store.Log().Coordinator().Published()
	if again || k.last == now {
		k.keep()
	}
	k.last = now
}

// Attached reports whether a connection has databases beside main and temp.
func Attached(c *sqlite3.Conn) bool { return c.DBName(2) != "" }

// keep begins a keeping, unless SQLite is in a transaction.
func (k *Keeper) keep() {
	if k.file.lock != vfs.LOCK_NONE || Attached(k.conn) || !k.conn.GetAutocommit() {
		return
	}
	if k.stmt == nil {
		s, _, err := k.conn.PrepareFlags(keepSQL, sqlite3.PREPARE_PERSISTENT)
		if err != nil { // an authorizer may forbid it
			k.file = nil
			return
		}
		k.stmt = s
	}
	k.gained = 0
	if k.on = k.stmt.Step(); !k.on {
		// The read that follows meets the same error, and returns it.
		_ = k.stmt.Reset()
	}
}

// End gives the mark back until the next read.
func (k *Keeper) End() {
	k.assertState()
	defer k.assertIdle()
	if k.reading--; k.reading > 0 || !k.on {
		return
	}
	if !k.file.suspend() {
		k.Drop()
	}
}

// Drop ends the keeping.
func (k *Keeper) Drop() {
	k.assertState()
	defer k.assertState()
	k.last = nil
	if k.on {
		k.on = false
		_ = k.stmt.Reset() // it was not running
	}
}

// suspend gives the mark of a read transaction back, while SQLite goes on
// holding SHARED.
func (f *file) suspend() bool {
	if f.lock != vfs.LOCK_SHARED || f.tx == nil || f.tx.Writing() || f.cause != nil {
		return false
	}
	f.tx.Suspend()
	f.suspended = true
	return true
}

// resume takes the mark again. It fails if something else is published now.
func (f *file) resume() bool {
	if f.suspended && f.tx.Resume(f.who()) {
		f.suspended = false
	}
	return !f.suspended
}
