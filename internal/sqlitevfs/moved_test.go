// The database or the log removed under SQLite's connections: which codes they
// get. They are those of a log that failed: SQLite's wrapper keeps the engine's
// error, which says what happened to which file, for IO errors only, and not for
// SQLITE_READONLY_DBMOVED.

package sqlitevfs

import (
	"errors"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/walnutdb/walnut/internal/wal"
)

func TestErrorsOfMovedFiles(t *testing.T) {
	for _, name := range []string{"/db", "/db-wal"} {
		t.Run(name, func(t *testing.T) {
			d, open := onDisk(t)
			c, other := open(), open()
			run(t, c, "CREATE TABLE t(x); INSERT INTO t VALUES(1)")
			wantQuery(t, other, "SELECT count(*) FROM t", "1")
			if err := d.Remove(name); err != nil {
				t.Fatal(err)
			}
			err := c.Exec("INSERT INTO t VALUES(2)")
			if !errors.Is(err, sqlite3.IOERR_FSYNC) || !errors.Is(err, wal.ErrCommitUnknown) || !errors.Is(err, wal.ErrMoved) {
				t.Errorf("the commit that noticed: %v", err)
			}
			for _, x := range []*sqlite3.Conn{c, other} {
				wantQuery(t, x, "SELECT count(*) FROM t", "1")
				if err := x.Exec("INSERT INTO t VALUES(3)"); !errors.Is(err, sqlite3.IOERR_LOCK) || !errors.Is(err, wal.ErrMoved) {
					t.Errorf("a later one: %v", err)
				}
				if err := x.Exec("PRAGMA wal_checkpoint"); err == nil || !strings.Contains(err.Error(), wal.ErrMoved.Error()) {
					t.Errorf("a checkpoint: %v", err)
				}
			}
		})
	}
}
