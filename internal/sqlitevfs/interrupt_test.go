// Checkpoints whose context ends.

package sqlitevfs

import (
	"context"
	"errors"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/walnutdb/walnut/disk/faultdisk"
)

// TestInterruptedCheckpoint: a checkpoint whose context is cancelled while it waits
// for a reader is an interruption, rewritten or not; and the next one succeeds.
// (A deadline makes it busy.)
func TestInterruptedCheckpoint(t *testing.T) {
	rewritten, _, _ := RewritePragma("PRAGMA wal_checkpoint(TRUNCATE)")
	for name, pragma := range map[string]string{"raw": "PRAGMA wal_checkpoint(TRUNCATE)", "rewritten": rewritten} {
		t.Run(name, func(t *testing.T) {
			d, open := onDisk(t)
			c, reader := open(), open()
			if err := Init(c); err != nil {
				t.Fatal(err)
			}
			run(t, c, "PRAGMA busy_timeout=600000; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x)")
			run(t, reader, "BEGIN; SELECT * FROM t")
			run(t, c, "INSERT INTO t VALUES(1)")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			old := c.SetInterrupt(ctx)
			d.SetHook(func(i faultdisk.OpInfo) error {
				if i.Op&faultdisk.OpSync != 0 && i.Name == "/db" { // then it waits
					cancel()
				}
				return nil
			})
			if err := c.Exec(pragma); !errors.Is(err, sqlite3.INTERRUPT) {
				t.Error(err)
			}
			d.SetHook(nil)
			c.SetInterrupt(old)
			run(t, reader, "COMMIT")
			wantQuery(t, c, "PRAGMA wal_checkpoint(TRUNCATE)", "0|0|0")
		})
	}
}
