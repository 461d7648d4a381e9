package walnut

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/pager"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

// SyncLevel says when a commit returns: see the constants.
type SyncLevel = wal.SyncLevel

const (
	// SyncFull, the default: a commit is on disk before it returns.
	SyncFull = wal.SyncFull
	// SyncNormal: a commit is written before it returns, and synced by a later
	// full commit or checkpoint. A power failure may lose the last commits, in
	// order and each as a whole; a crash of the process loses none.
	SyncNormal = wal.SyncNormal
	// SyncOff promises what SyncNormal does.
	SyncOff = wal.SyncOff
)

// CheckpointMode is one of SQLite's checkpoint modes.
type CheckpointMode = wal.CheckpointMode

const (
	// CheckpointPassive copies what it can and waits for nobody.
	CheckpointPassive = wal.Passive
	// CheckpointFull waits for the writer and for readers of older snapshots,
	// and copies everything.
	CheckpointFull = wal.Full
	// CheckpointRestart waits for all readers of the log too, and begins it
	// anew.
	CheckpointRestart = wal.Restart
	// CheckpointTruncate does as CheckpointRestart, and cuts the log to zero
	// bytes.
	CheckpointTruncate = wal.Truncate
)

// CheckpointResult is what a checkpoint did.
type CheckpointResult = wal.CheckpointResult

// PageNo is a page number, from 1.
type PageNo = walformat.PageNo

// FrameNo is the number of a frame in the log, from 1.
type FrameNo = walformat.FrameNo

// Defaults of [Options].
const (
	DefaultPageSize       = 4096
	DefaultBusyTimeout    = time.Minute
	DefaultAutoCheckpoint = 1000
	DefaultMaxLogSize     = pager.DefaultMaxLogBytes
	DefaultMaxWriterHold  = pager.DefaultWriterHold
	DefaultReaderGrace    = pager.DefaultReaderGrace
	DefaultSlowReader     = 10 * time.Second
	DefaultSlowWriter     = time.Second
	DefaultSlowSync       = 500 * time.Millisecond
)

// Options of [Open]. The zero value, and nil, are the defaults.
type Options struct {
	// FS is where the files are; nil is the operating system's file system.
	FS disk.FS
	// PageSize of a database that is created, in bytes: a power of two from
	// 512 to 65536; 0 is DefaultPageSize. It does not change a database that
	// is there.
	PageSize int
	// MustExist refuses to create the database.
	MustExist bool
	// ReadOnly opens a database that exists for reading. It takes the same lock
	// as others do, and recovers what a crash left; write transactions and
	// checkpoints are refused with ErrReadOnly.
	ReadOnly bool
	// Immutable, with ReadOnly, takes no lock and writes nothing at all. It is
	// for files that nobody can change while they are open: read-only media, a
	// file without write permission.
	Immutable bool
	// TxBytes bounds the changed pages that one transaction keeps in memory;
	// what is more is written to the log before it commits. The first Open of a
	// database in this process decides. 0 is 64 MiB.
	TxBytes int64
	// PoolBytes bounds the buffer pool, which all who have the database open
	// in this process share: the first Open decides. 0 is 64 MiB.
	PoolBytes int64
	// Sync is the level of commits that do not say their own.
	Sync SyncLevel
	// BusyTimeout is how long a write transaction waits for the writer's place
	// if its context does not end before: 0 is DefaultBusyTimeout, a negative
	// value does not wait.
	BusyTimeout time.Duration
	// AutoCheckpoint begins a passive checkpoint, in the background, after a
	// commit that leaves that many frames or more in the log alone; a commit
	// that leaves four times as many, and half of MaxLogSize, waits for the one
	// that runs. 0 is
	// DefaultAutoCheckpoint, a negative value turns it off.
	AutoCheckpoint int
	// MaxLogSize is how large the log may grow, in bytes, before readers that stay
	// are no longer waited for; 0 is DefaultMaxLogSize, a negative value sets no
	// limit. Above it the next writer is held for a moment, up to MaxWriterHold,
	// while short readers end; one that stays for ReaderGrace after the limit was
	// reached is detached: it goes on reading its snapshot with the help of a
	// temporary file, and the log is begun anew without it. What a reader sees
	// does not change. One transaction that is larger than the limit exceeds it,
	// and so does the log of a temporary file that is full (MaxSideBytes).
	//
	// It does nothing where automatic checkpoints or restarts are forbidden
	// (AutoCheckpoint below 0, NoAutoRestart, PRAGMA wal_autocheckpoint=0): then
	// the log is somebody else's.
	//
	// These four are of all who have the database open in this process: the last
	// Open that sets one decides over it.
	MaxLogSize int64
	// MaxWriterHold is how long one writer is held at a time, if its context does
	// not end before; 0 is DefaultMaxWriterHold, a negative value does not hold
	// writers.
	MaxWriterHold time.Duration
	// ReaderGrace is how long a reader may stay once the limit is reached; 0 is
	// DefaultReaderGrace, with a negative value readers are detached at once.
	ReaderGrace time.Duration
	// MaxSideBytes bounds the temporary file for detached readers; 0 is the size
	// of the database for each of them, which is what they need at most: so that
	// readers that stay and overlap cannot make the log grow either.
	MaxSideBytes int64
	// Logger gets warnings, with the transaction's label (WithLabel): a reader
	// keeps the log longer than SlowReader, a writer waits longer than SlowWriter,
	// a checkpoint cannot finish, a sync takes longer than SlowSync, the log is at
	// its limit or has failed. nil: nobody looks.
	Logger *slog.Logger
	// SlowReader, SlowWriter and SlowSync are what the Logger takes for long; 0 is
	// DefaultSlowReader, DefaultSlowWriter, DefaultSlowSync.
	SlowReader, SlowWriter, SlowSync time.Duration
	// OnEvent is called with what happens in the engine, in order, one call at a
	// time, on a goroutine of its own. It must not close the DB. One that is too
	// slow loses events (Event.Missed).
	OnEvent func(Event)
	// NoAutoRestart forbids this DB's writers to restart a log that is fully
	// backfilled, and to copy the rest of a long one for that.
	NoAutoRestart bool
}

func (o *Options) withDefaults() (Options, error) {
	var r Options
	if o != nil {
		r = *o
	}
	if r.FS == nil {
		r.FS = disk.OS()
	}
	if r.PageSize == 0 {
		r.PageSize = DefaultPageSize
	}
	if r.BusyTimeout == 0 {
		r.BusyTimeout = DefaultBusyTimeout
	}
	if r.AutoCheckpoint == 0 {
		r.AutoCheckpoint = DefaultAutoCheckpoint
	}
	for _, d := range []struct {
		d   *time.Duration
		def time.Duration
	}{{&r.SlowReader, DefaultSlowReader}, {&r.SlowWriter, DefaultSlowWriter}, {&r.SlowSync, DefaultSlowSync}} {
		if *d.d <= 0 {
			*d.d = d.def
		}
	}
	if !walformat.ValidPageSize(r.PageSize) {
		return r, fmt.Errorf("walnut: Options.PageSize is %d: it must be a power of two from 512 to 65536", r.PageSize)
	}
	if r.Immutable && !r.ReadOnly {
		return r, errors.New("walnut: Options.Immutable needs ReadOnly: what is written changes")
	}
	if r.Sync > SyncOff {
		return r, fmt.Errorf("walnut: Options.Sync is %s: it must be SyncFull, SyncNormal or SyncOff", r.Sync)
	}
	return r, nil
}

// TxOptions of [DB.Begin]. The zero value, and nil, begin a write transaction.
type TxOptions struct {
	// ReadOnly begins a read transaction that cannot write.
	ReadOnly bool
	// Deferred begins by reading, and asks for the writer's place at the first
	// Write, which fails with ErrSnapshotStale if another transaction has
	// committed since.
	Deferred bool
	// Sync is the level of the commit; nil is the DB's.
	Sync *SyncLevel
	// NoAutoCheckpoint: the commit is not followed by a checkpoint.
	NoAutoCheckpoint bool
	// NoAutoRestart: the transaction does not restart the log, nor copies the
	// rest of a long one for that.
	NoAutoRestart bool
}

// CheckpointOptions of [DB.Checkpoint].
type CheckpointOptions = wal.CheckpointOptions
