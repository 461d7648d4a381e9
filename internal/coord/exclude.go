// The lock bytes of a database file, as SQLite uses them in rollback mode
// (os_unix.c; "File Locking And Concurrency In SQLite Version 3").

package coord

import (
	"errors"
	"fmt"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/walformat"
)

// lockBytes covers the pending byte, the reserved byte and the shared range.
const lockBytes = 2 + walformat.SharedSize

// Exclude takes all of SQLite's lock bytes on the database file exclusively,
// for as long as f stays open. A foreign SQLite that wants to read or write
// then gets "database is locked"; one that is inside, be it idle in WAL mode
// (it holds a shared lock all the time), makes Exclude fail with an [ErrBusy]
// that names the process.
//
// It must come before journal, header or log are looked at: even a foreign
// reader may delete a live log when it leaves.
func Exclude(f disk.File) error {
	err := f.Lock(walformat.PendingByte, lockBytes, disk.ExclusiveLock)
	if err == nil {
		return nil
	}
	var held *disk.LockedError
	switch {
	case errors.As(err, &held) && held.PID > 0:
		return fmt.Errorf("%w: %s is in use by process %d: close it there first", ErrBusy, f.Name(), held.PID)
	case errors.Is(err, disk.ErrLocked):
		return fmt.Errorf("%w: %s is in use by another process: close it there first", ErrBusy, f.Name())
	}
	return fmt.Errorf("lock %s: %w", f.Name(), err)
}
