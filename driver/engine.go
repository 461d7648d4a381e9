// This file is the seam between the driver and Walnut's VFS: the only place
// that names internal/sqlitevfs.

package driver

import (
	"github.com/ncruces/go-sqlite3"

	"github.com/walnutdb/walnut/internal/sqlitevfs"
)

// vfsName is the registered name of the VFS that opens database files.
const vfsName = sqlitevfs.Name

// memoryVFSName is that of the VFS that has memory databases.
const memoryVFSName = sqlitevfs.MemoryName

// memoryRoot is where their names begin.
const memoryRoot = sqlitevfs.MemoryRoot

// limits are those of the log: see the package comment.
type limits = sqlitevfs.Limits

// holdEngine opens the database's engine and keeps it open until release.
func holdEngine(d *dsn) (release func() error, err error) {
	return sqlitevfs.Hold(d.path, sqlitevfs.HoldOptions{
		MustExist: d.noCreate, ReadOnly: d.readOnly, Immutable: d.immutable, Memory: d.memory, Limits: d.limits,
	})
}

// initConn registers the functions behind rewritten pragmas.
func initConn(db *sqlite3.Conn) error { return sqlitevfs.Init(db) }

// keeper keeps the snapshot of a connection from one plain read to the next.
type keeper = sqlitevfs.Keeper

func newKeeper(db *sqlite3.Conn) *keeper { return sqlitevfs.NewKeeper(db) }

// plainRead reports whether the keeper's snapshot may be kept beside s, whose
// text is given from its first word on.
func plainRead(s *sqlite3.Stmt, text string) bool { return sqlitevfs.Keepable(s, text) }

// rewritePragma turns a leading PRAGMA wal_checkpoint into a query with its
// three columns; tail is the text after it.
func rewritePragma(sql string) (query, tail string, ours bool) { return sqlitevfs.RewritePragma(sql) }
