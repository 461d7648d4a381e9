package walnut

import (
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/pager"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

// Errors that a caller decides on. What is returned wraps them with what
// happened to which file, frame, page and offset: use errors.Is.
var (
	// ErrBusy says that a lock was not to be had in time: another process has
	// the database, or a writer or checkpoint was in the way. Trying again
	// later is right.
	ErrBusy = coord.ErrBusy
	// ErrSnapshotStale says that a transaction that began by reading cannot
	// write any more, because another one has committed since. It must be
	// rolled back and begun again.
	ErrSnapshotStale = coord.ErrSnapshotStale
	// ErrLogFailed says that an earlier append or sync of the log failed. Reads
	// go on; writes are refused until the database is closed and opened again.
	ErrLogFailed = wal.ErrLogFailed
	// ErrCommitUnknown says that a commit was accepted, and its outcome is not
	// known: its append or sync failed, and whether it survives is decided when
	// the database is opened again; or its context ended while it waited, and
	// it goes on.
	ErrCommitUnknown = wal.ErrCommitUnknown
	// ErrMoved says that the database file or its log was removed, renamed or
	// replaced while it was open, or that it is to be opened in the place of one
	// that is still open here. Where the file system's identities of files (inode
	// numbers) do not last, a file that was replaced is not noticed. An error of a commit or write that matches it
	// matches ErrCommitUnknown or ErrLogFailed too.
	ErrMoved = wal.ErrMoved
	// ErrCorrupt marks damage that was found in log or database file.
	ErrCorrupt = wal.ErrCorrupt
	// ErrNotDatabase says that a file is no SQLite database, or one that is
	// encrypted or damaged in its header.
	ErrNotDatabase = pager.ErrNotDatabase
	// ErrHotJournal says that a rollback journal lies beside the database that
	// SQLite must roll back first.
	ErrHotJournal = pager.ErrHotJournal
	// ErrLogVersion says that the log has a format version that is not known.
	ErrLogVersion = walformat.ErrVersion
	// ErrReadOnly refuses a write in a read-only transaction.
	ErrReadOnly = pager.ErrReadOnly
	// ErrTxDone refuses the use of a transaction that has ended.
	ErrTxDone = pager.ErrTxDone
	// ErrTxOpen refuses to close a database while transactions are open.
	ErrTxOpen = pager.ErrTxOpen
	// ErrPageRange refuses a page number outside the database.
	ErrPageRange = pager.ErrPageRange
	// ErrNoSavepoint refuses a savepoint that is gone.
	ErrNoSavepoint = pager.ErrNoSavepoint
)
