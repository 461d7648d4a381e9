package walnut

import (
	"time"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

// Histogram counts values by their size: Count of them with the sum Sum and the
// largest Max. Buckets[i] has those that are at most the bound of bucket i and
// above the bound of the one before; the last bucket all that are larger. For
// durations, Sum and Max are nanoseconds and the bounds [DurationBound]'s; for
// numbers the bounds are [SizeBound]'s.
type Histogram = wal.Histogram

// SizeBound is the bound of bucket i in a histogram of numbers: 2^i.
func SizeBound(i int) uint64 { return wal.SizeBound(i) }

// DurationBound is the bound of bucket i in a histogram of durations: 2^i µs.
func DurationBound(i int) time.Duration { return wal.DurationBound(i) }

// MarkInfo is one of the five read marks: the frame up to which its readers
// need the log, and how many there are. Mark 0 is that of readers who need the
// database file only.
type MarkInfo = coord.MarkInfo

// Stats tells the state of the engine and what it has done since it was
// opened. The figures are read one by one, not at one instant.
type Stats struct {
	// PageSize in bytes.
	PageSize int
	// PageCount is the database size in pages, as a new reader sees it.
	PageCount uint32
	// Generation of the log: it grows by one with every restart.
	Generation uint64
	// LogFrames is the number of published frames in the log; Backfilled of
	// them are in the database file, and synced.
	LogFrames, Backfilled FrameNo
	// SafeFrame is up to where a checkpoint could copy now, for the readers;
	// Blocked says that it could not copy at all, for readers of the database
	// file.
	SafeFrame FrameNo
	Blocked   bool
	// AcceptedFrames, AppendedFrames and DurableFrames are the ends of the log
	// for transactions on their way.
	AcceptedFrames, AppendedFrames, DurableFrames FrameNo
	// LogBytes is the size of the log file, with the part filled ahead.
	// FrameBytes is the size of one frame.
	LogBytes   int64
	FrameBytes int
	// LimitFrames is Options.MaxLogSize in frames; 0 if there is no limit.
	LimitFrames FrameNo
	// Marks are the read marks.
	Marks [5]MarkInfo
	// CommitSeq is the number of the newest published commit since the
	// database was opened.
	CommitSeq uint64
	// ReadersInFile and ReadersInLog count read transactions by what they
	// need, ReadersDetached those that have been detached; QueuedWriters those
	// who wait for the writer's place; OpenTransactions all that have not ended.
	ReadersInFile, ReadersInLog, ReadersDetached, QueuedWriters, OpenTransactions int
	// Commits were published in Groups rounds, the largest of MaxGroup;
	// GroupSizes counts the rounds by their commits.
	Commits, Groups, MaxGroup uint64
	GroupSizes                Histogram
	// LogSyncs and DatabaseSyncs count syncs of the two files, LogSyncTime and
	// DatabaseSyncTime how long they took.
	LogSyncs, DatabaseSyncs       uint64
	LogSyncTime, DatabaseSyncTime Histogram
	// FramesWritten and BytesAppended went to the log, DatabaseBytes to the
	// database file. BytesAppended/Commits is what a commit writes.
	FramesWritten, BytesAppended, DatabaseBytes uint64
	// WriterWait is how long writers waited for their place, of those that found
	// it taken; WriterHold how long they were held for a log at its limit.
	WriterWait, WriterHold Histogram
	// Spills are the times that a transaction outgrew its memory bound
	// (Options.TxBytes) and wrote pages to the log before its end;
	// SpilledFrames are the frames of them, which FramesWritten counts too.
	Spills, SpilledFrames uint64
	// Checkpoints copied PagesBackfilled pages; CheckpointErrors failed.
	// CheckpointTime is how long all took, those that copied nothing too.
	Checkpoints, PagesBackfilled, CheckpointErrors uint64
	CheckpointTime                                 Histogram
	// Restarts of the log; LogExtensions are the times it was filled ahead.
	Restarts, LogExtensions uint64
	// Detached counts the readers that were ever detached; SideImages pages, in
	// SideBytes bytes of a temporary file, are kept for those that are now.
	Detached              uint64
	SideImages, SideBytes int64
	// PoolHits and PoolMisses count pages that were found in the buffer pool, and
	// those that had to be read. Pages of the database file that are read from a
	// mapping are neither.
	PoolHits, PoolMisses uint64
	// Failed is what made the log refuse writes, or nil.
	Failed error
}

// Stats returns the present figures.
func (db *DB) Stats() Stats {
	s := db.store.Log().Stats()
	hits, misses := db.store.PoolCounts()
	return Stats{
		PageSize: db.store.PageSize(), PageCount: s.Published.DBSize,
		Generation: uint64(s.Published.Gen), LogFrames: s.Published.MaxFrame, Backfilled: s.Published.NBackfill,
		SafeFrame: s.SafeFrame, Blocked: !s.SafeOK,
		AcceptedFrames: s.Accepted, AppendedFrames: s.Appended, DurableFrames: s.Durable,
		LogBytes: s.LogBytes, FrameBytes: walformat.FrameHeaderSize + db.store.PageSize(), LimitFrames: s.Limit, Marks: s.Marks,
		CommitSeq:     uint64(s.Published.Seq),
		ReadersInFile: s.ReadersInFile, ReadersInLog: s.ReadersInLog, ReadersDetached: s.ReadersDetached,
		QueuedWriters: s.QueuedWriters, OpenTransactions: db.store.OpenTransactions(),
		Commits: s.Commits, Groups: s.Groups, MaxGroup: s.MaxGroup, GroupSizes: s.GroupSizes,
		LogSyncs: s.LogSyncs, DatabaseSyncs: s.DBSyncs, LogSyncTime: s.LogSyncTime, DatabaseSyncTime: s.DBSyncTime,
		FramesWritten: s.Frames, BytesAppended: s.AppendBytes, DatabaseBytes: s.DatabaseBytes,
		WriterWait: s.WaitTime, WriterHold: s.HoldTime,
		Spills: s.Spills, SpilledFrames: s.SpilledFrames,
		Checkpoints: s.Checkpoints, PagesBackfilled: s.BackfilledPages, CheckpointErrors: s.CheckpointErrors, CheckpointTime: s.CheckpointTime,
		Restarts: s.Restarts, LogExtensions: s.Extensions,
		Detached: s.Detached, SideImages: s.SideImages, SideBytes: s.SideBytes,
		PoolHits: hits, PoolMisses: misses, Failed: s.Failed,
	}
}

// CheckpointRecord is a checkpoint that has ended.
type CheckpointRecord struct {
	CheckpointResult
	// Auto: nobody asked for it. Times is how many there were in a row that copied
	// nothing; the rest is of the last.
	Auto  bool
	Times int
	// Ago is how long ago it ended, Duration how long it took, waits included.
	Ago, Duration time.Duration
	// Pages were copied.
	Pages int
	// Err is why it failed, or nil.
	Err error
}

// Checkpoints returns the last checkpoints, the oldest first: at most 64.
func (db *DB) Checkpoints() []CheckpointRecord {
	now := coord.Now()
	var list []CheckpointRecord
	for _, r := range db.store.Log().Checkpoints() {
		list = append(list, CheckpointRecord{CheckpointResult: r.CheckpointResult, Auto: r.Auto, Times: r.Times,
			Ago: now.Since(r.Ended), Duration: r.Duration, Pages: r.Pages, Err: r.Err})
	}
	return list
}
