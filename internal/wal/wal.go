// Package wal is the write-ahead log of one database: recovery, reading,
// group commit, checkpoint and restart.
//
// # The parts
//
//	scan.go        reads a log up to its last valid commit
//	recover.go     makes what was recovered durable, cuts the tail, publishes
//	read.go        a page as of a snapshot, verified
//	write.go       the writer's place, the base of a transaction, log space
//	commit.go      accept, append, sync, publish, finalize
//	checkpoint.go  the modes; backfill.go and copy.go copy into the file
//	restart.go     a new generation
//	hold.go        a log at its limit: held writers, detached readers
//	side.go        pages that were overwritten, for detached readers
//	events.go      what happened, for those who asked
//	moved.go       the files, removed or replaced while they are open
//
// # A commit
//
// The holder of the writer's place prepares its frames and reserves log space
// for them ([Writer.Reserve]), then [Writer.Commit] accepts the transaction:
// frame numbers and a commit sequence are given, later writers build on it,
// and the place passes on. Nothing was written yet. One of the committers
// that wait, the leader, appends everything that is pending with one vectored
// write, syncs, publishes what is covered, wakes those who are, and hands the
// leadership to one who is not. Nobody else writes frames or syncs the log
// for commits.
//
// # Invariants
//
//  1. nBackfill <= safe <= published <= appended <= accepted, in one
//     generation; published <= durable for commits at SyncFull.
//  2. Frames beyond the last commit never verify after a restart of the
//     process: recovery cuts them, durably, before it publishes.
//  3. The database file is written only up to frames that are durable in the
//     log; the log is reused only after the database file is synced, and
//     frames of a new generation are written only after its header is synced.
//  4. After a failed append or sync the log is poisoned: every accepted and
//     unpublished commit gets ErrCommitUnknown, all further writes
//     ErrLogFailed, until it is closed and recovered. Nothing is retried.
//
// Locks are taken in the order of package coord; [Log.mu] comes after the
// writer's place, [Log.syncMu] before mu.
package wal

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/invariants"
	"github.com/walnutdb/walnut/internal/walformat"
)

// ErrLogFailed says that an earlier append or sync of the log failed: the
// device did not keep what it was given. Reads of published snapshots go on;
// every write is refused until the database is closed by all and opened
// again, which recovers the log.
var ErrLogFailed = errors.New("log failed: close the database and open it again to recover")

// errClosed is what a log that was closed gives to those who come too late.
var errClosed = errors.New("log is closed")

// ErrCommitUnknown says that a commit was accepted, and its outcome is not
// known. Either its append or sync failed: then whether the transaction
// survives is decided when the database is opened again; it survives as a whole
// or not at all. Or the wait for its sync was given up: then it goes on.
var ErrCommitUnknown = errors.New("outcome of the commit is not known")

// ErrCorrupt marks damage in the log or the database file. The text names the
// file, the frame or page, and the offset.
var ErrCorrupt = errors.New("database is damaged")

// SyncLevel says when a commit returns.
type SyncLevel uint8

const (
	// SyncFull: the commit is on disk before it returns.
	SyncFull SyncLevel = iota
	// SyncNormal: the commit is written to the log file, and synced by a later
	// SyncFull commit or checkpoint. A power failure may lose it, but never
	// a part of it nor one before it only.
	SyncNormal
	// SyncOff writes as SyncNormal does.
	SyncOff
)

func (l SyncLevel) String() string {
	switch l {
	case SyncFull:
		return "full"
	case SyncNormal:
		return "normal"
	case SyncOff:
		return "off"
	}
	return fmt.Sprintf("SyncLevel(%d)", uint8(l))
}

// Config is what a [Log] needs of its surroundings.
type Config struct {
	FS disk.FS
	// DB is the database file, exclusively locked.
	DB disk.File
	// PageSize of the database in bytes. It may be changed by SetPageSize
	// while the database is empty.
	PageSize int
	// DBSize in pages, of the database file, used if the log has no commit.
	DBSize uint32
	// Damage, if not nil, refuses writes and checkpoints with this error:
	// something is wrong that reading survives.
	Damage error
	// Limits of the log.
	Limits Limits
	// UnstableIDs: the file system has no identities that last (see [StableIDs]),
	// so that files which were replaced are not noticed.
	UnstableIDs bool

	// sizes are for tests.
	sizes copySizes
}

// Log is the write-ahead log of one open database. It is safe for concurrent
// use, as each method says.
type Log struct {
	cfg Config
	dir string
	// path of the log file.
	path string
	co   coord.Coordinator

	// mapped is the database file, if it has that power; else nil. Its first
	// mapLimit bytes are read through it.
	mapped   disk.Mapper
	mapLimit atomic.Int64

	// pageSize of the database. Changes only while the database is empty,
	// under the writer's place.
	pageSize atomic.Int32
	// hdr is the header of the current generation; nil before the log has one.
	// Changes under the writer's place and the leadership, with no mark held.
	hdr atomic.Pointer[walformat.Header]
	// lastHdr is the newest header ever written or read, for the next salts.
	// Guarded by the writer's place.
	lastHdr walformat.Header
	// file is the log; nil until it is created, under the writer's place.
	// Readers meet it only after a frame was published.
	file disk.File
	// dbID and logID are the database file and file: see moved.go. logID goes
	// with file.
	dbID, logID disk.FileID
	// reserved is the end of the zero-filled log. Guarded by the place.
	reserved walformat.Offset
	// sizeLimit is what a restart cuts the log file to, in bytes; negative: it
	// does not.
	sizeLimit atomic.Int64
	// settled: page 1 of the database file is known to be durable. Guarded by
	// the writer's place.
	settled bool
	// restartDue: an automatic checkpoint found the log long, and the next
	// writer is to restart it.
	restartDue atomic.Uint32
	// notDue: below this many frames a restart was tried already.
	notDue atomic.Uint32
	// copyOnWrite: filling ahead gains nothing here.
	copyOnWrite bool
	// sequential: nothing is to run in the background.
	sequential bool
	// over: see hold.go. Guarded by the writer's place.
	over overLimit

	// limits are Config.Limits, or what SetLimits has made of them.
	limits atomic.Pointer[Limits]
	// side has the pages that detached readers need. fileVersion is the version of
	// the database file: it is counted up with every backfill that is published.
	// Guarded by the checkpoint lock.
	side        sideIndex
	fileVersion coord.FileVersion

	// sizeInDoubt: the database file's size on disk may be another than the one
	// that is shown, after an unclean end or a failed sync. Guarded by the
	// checkpoint lock.
	sizeInDoubt bool

	// syncMu is held around every sync of the log file, until its failure has
	// poisoned the log: a failure is reported to one caller only, and no other
	// may take its own success for the truth.
	syncMu sync.Mutex

	// appendedEnd mirrors mu.appended for readers without the lock.
	appendedEnd atomic.Uint32

	mu struct {
		sync.Mutex
		gen coord.Generation
		// idx is the index of gen.
		idx *coord.Index
		// accepted state: changed under the writer's place too.
		accepted walformat.FrameNo
		seq      coord.CommitSeq
		dbSize   uint32
		// appended: written to the file; sum is the checksum there.
		appended walformat.FrameNo
		sum      walformat.Checksum
		// durable: covered by a sync, in gen.
		durable walformat.FrameNo
		// inflight holds the commits accepted and not published, in order; the
		// first nAppended of them are appended.
		inflight     []*commit
		nAppended    int
		pendingBytes int64
		// leading: somebody is the leader.
		leading bool
		// leadWaiters want the leadership for a sync or a restart: true is
		// sent to one that has it now, false if the log failed.
		leadWaiters []chan bool
		failed      error
	}
	// broken says that mu.failed is set, for those who do not hold mu.
	broken atomic.Bool

	// background has the goroutines that nobody waits for but Close: automatic
	// checkpoints, and those that see commits through whose callers have given
	// up waiting. Each is added before the commit returns.
	background sync.WaitGroup
	// outcome is that of the last automatic checkpoint.
	outcome atomic.Pointer[outcome]
	// auto is full while an automatic checkpoint is under way. hurry counts those
	// who wait for its end, or need it to end.
	auto  chan struct{}
	hurry atomic.Int32

	// Owned by the leader.
	list  []*commit
	heads []byte
	vec   [][]byte
	// out is for commits that nobody syncs.
	out writeOut
	// shortAppend is asked by the leader, shortBatch under the checkpoint lock:
	// with assertions on, rare paths are taken.
	shortAppend, shortBatch invariants.Chance

	stats counters
	// subs has the subscribers to events, nil if there are none; it is changed
	// under subMu. recovery tells what was found on opening.
	subs     atomic.Pointer[subscribers]
	subMu    sync.Mutex
	recovery Event
}

// counters behind Stats.
type counters struct {
	commits, groups, syncs, frames, appendBytes atomic.Uint64
	checkpoints, backfilledPages, restarts      atomic.Uint64
	checkpointErrs, extensions, dbSync          atomic.Uint64
	spills, spilledFrames, detached, dbBytes    atomic.Uint64
	groupSizes, logSyncTime, dbSyncTime         histogram
	checkpointTime, holds, waits                histogram
	history                                     history
}

// Stats are counts since the log was opened, and its present state.
type Stats struct {
	Published coord.Snapshot
	// Accepted, Appended and Durable are the ends of the log, as frames.
	Accepted, Appended, Durable walformat.FrameNo
	// LogBytes is the size of the log file, zero-filled part included.
	LogBytes int64
	// ReadersInFile and ReadersInLog count the held read marks.
	ReadersInFile, ReadersInLog int
	QueuedWriters               int
	// Commits were published; Groups are the rounds that published them.
	Commits, Groups, MaxGroup uint64
	// LogSyncs, DBSyncs count syncs of the two files.
	LogSyncs, DBSyncs uint64
	// Frames and AppendBytes went to the log.
	Frames, AppendBytes uint64
	// Spills wrote SpilledFrames of the Frames before their transaction was
	// committed, or rolled back.
	Spills, SpilledFrames uint64
	// Checkpoints moved BackfilledPages pages; CheckpointErrors failed.
	Checkpoints, BackfilledPages, CheckpointErrors uint64
	Restarts, Extensions                           uint64
	// DatabaseBytes were written to the database file by checkpoints.
	DatabaseBytes uint64
	// GroupSizes are commits a round. The others are durations: of syncs, of
	// checkpoints, of holds because of the limit, and of waits for the writer's
	// place, without those that waited for nobody.
	GroupSizes, LogSyncTime, DBSyncTime, CheckpointTime, HoldTime, WaitTime Histogram
	// Detached counts the readers that were detached, ReadersDetached those that
	// are now; SideImages and SideBytes are what is saved for them.
	Detached              uint64
	ReadersDetached       int
	SideImages, SideBytes int64
	// Limit is the limit of the log in frames, 0 if there is none; OverLimit says
	// that it is reached.
	Limit walformat.FrameNo
	// SafeFrame is up to where a checkpoint could copy now; SafeOK is false if
	// it could not at all, for a reader of the database file.
	SafeFrame walformat.FrameNo
	SafeOK    bool
	// Marks are the read marks.
	Marks [coord.NumMarks]coord.MarkInfo
	// Failed is what poisoned the log, or nil.
	Failed error
}

// Stats returns the counts. They are read one by one, not at one instant.
func (l *Log) Stats() Stats {
	c := &l.stats
	s := Stats{
		Published: l.co.Published().Snapshot,
		Commits:   c.commits.Load(), Groups: c.groups.Load(), MaxGroup: c.groupSizes.max.Load(),
		LogSyncs: c.syncs.Load(), DBSyncs: c.dbSync.Load(), Frames: c.frames.Load(), AppendBytes: c.appendBytes.Load(),
		Spills: c.spills.Load(), SpilledFrames: c.spilledFrames.Load(),
		Checkpoints: c.checkpoints.Load(), BackfilledPages: c.backfilledPages.Load(),
		CheckpointErrors: c.checkpointErrs.Load(), Restarts: c.restarts.Load(), Extensions: c.extensions.Load(),
	}
	s.QueuedWriters = l.co.Queued()
	s.ReadersInFile, s.ReadersInLog = l.co.Readers()
	s.ReadersDetached = len(l.co.Detached())
	s.SafeFrame, s.SafeOK = l.co.SafeFrame(s.Published.MaxFrame)
	s.Marks = l.co.Marks()
	s.Limit, s.Detached, s.DatabaseBytes = l.limitFrames(), c.detached.Load(), c.dbBytes.Load()
	s.GroupSizes, s.LogSyncTime, s.DBSyncTime = c.groupSizes.load(), c.logSyncTime.load(), c.dbSyncTime.load()
	s.CheckpointTime, s.HoldTime, s.WaitTime = c.checkpointTime.load(), c.holds.load(), c.waits.load()
	side := l.side.stats(l.PageSize())
	s.SideImages, s.SideBytes = side.images, side.bytes
	l.mu.Lock()
	s.Accepted, s.Appended, s.Durable, s.Failed = l.mu.accepted, l.mu.appended, l.mu.durable, l.mu.failed
	l.mu.Unlock()
	if l.hdr.Load() != nil { // then there is a file
		s.LogBytes, _ = l.file.Size()
	}
	return s
}

// Coordinator returns the coordination of this database.
func (l *Log) Coordinator() coord.Coordinator { return l.co }

// SizeLimit is the size in bytes that a restart cuts the log file to if it is
// larger; negative if it does not.
func (l *Log) SizeLimit() int64 { return l.sizeLimit.Load() }

// SetSizeLimit sets it, for all connections.
func (l *Log) SetSizeLimit(bytes int64) { l.sizeLimit.Store(max(bytes, -1)) }

// DefaultMapLimit is how much of a database file is read from a mapping, where
// files can be mapped: all of it, as far as SQLite's databases go in practice.
const DefaultMapLimit = 1 << 40

// MapLimit is how many bytes of the database file, from its beginning, may be
// read from a mapping; 0 if none.
func (l *Log) MapLimit() int64 {
	if l.mapped == nil {
		return 0
	}
	return l.mapLimit.Load()
}

// SetMapLimit sets it, for all connections; a negative value is the default.
func (l *Log) SetMapLimit(bytes int64) {
	if bytes < 0 {
		bytes = DefaultMapLimit
	}
	l.mapLimit.Store(bytes)
}

// PageSize of the database in bytes.
func (l *Log) PageSize() int { return int(l.pageSize.Load()) }

// Failed returns what poisoned the log, or nil.
func (l *Log) Failed() error {
	if !l.broken.Load() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.failed
}

// refused returns the error that a write or a checkpoint gets, if any.
func (l *Log) refused() error {
	if l.cfg.Damage != nil {
		return l.cfg.Damage
	}
	return l.Failed()
}

// poison marks the log as failed and releases everybody who waits for it.
// What cause was is kept; later causes change nothing.
func (l *Log) poison(what string, cause error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.poisonLocked(what, cause)
}

func (l *Log) poisonLocked(what string, cause error) error {
	if l.mu.failed == nil {
		l.mu.failed = fmt.Errorf("%w (%s %s: %w)", ErrLogFailed, what, filepath.Base(l.path), cause)
		l.broken.Store(true)
		l.emit(Event{Kind: EventLogFailed, Err: l.mu.failed, Seq: l.mu.seq})
	}
	for _, c := range l.mu.inflight {
		c.finish(fmt.Errorf("%w until the database is opened again (%s %s: %w)", ErrCommitUnknown, what, filepath.Base(l.path), cause))
	}
	l.mu.inflight, l.mu.nAppended, l.mu.pendingBytes = nil, 0, 0
	for _, w := range l.mu.leadWaiters {
		w <- false
	}
	l.mu.leadWaiters = nil
	return l.mu.failed
}

// syncFile syncs the log file. A failure poisons the log before anybody else
// may sync it, and whoever waited for that does not: the failed sync may have
// dropped what the next one would claim to have covered.
func (l *Log) syncFile(what string) error {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	if err := l.Failed(); err != nil {
		return err
	}
	l.stats.syncs.Add(1)
	begin := coord.Now()
	err := l.file.SyncData()
	took := coord.Now().Since(begin)
	l.stats.logSyncTime.add(took)
	l.slow(EventSlowSync, took, Event{})
	if err != nil {
		return l.poison(what, err)
	}
	// What was synced counts only if it is found again.
	return l.unmoved()
}
