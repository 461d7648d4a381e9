// Package coord decides who may read, write and checkpoint one database, and
// what is published to new readers.
//
// It owns the published snapshot, the frame index of the current generation,
// the five read marks, the writer's place with its queue, and the checkpoint
// lock. It knows no file formats and does no IO, except for the lock bytes by
// which one process keeps others out ([Exclude]).
//
// # Order of locks
//
// checkpoint lock, then writer's place, then the log's own mutex, then the
// publication lock. The queue's mutex, the mutexes of the registry and the marks
// are leaves: nothing is taken while they are held.
package coord

import (
	"context"
	"errors"

	"github.com/walnutdb/walnut/internal/walformat"
)

// ErrBusy says that a lock was not to be had: another process has the
// database, another checkpoint runs, or the wait for the writer's place was
// longer than allowed. Trying again later is right.
var ErrBusy = errors.New("database is busy")

// ErrSnapshotStale says that a read transaction that wants to write reads an
// older state than the newest one: writing on it would undo another commit.
// The transaction must end and start again; waiting does not help.
var ErrSnapshotStale = errors.New("snapshot is stale: another transaction has committed since it was taken")

// Generation counts the lives of one log within this process: it grows by one
// with every restart and truncation, and never goes back.
type Generation uint64

// CommitSeq counts the commits of this engine since it was opened. It is never
// reused and outlives generations.
type CommitSeq uint64

// Snapshot is what one reader sees: the log up to MaxFrame over the database
// file. DESIGN section 1 names its parts.
type Snapshot struct {
	Gen Generation
	// MaxFrame is the commit frame that ends the snapshot; 0 when the log of
	// this generation has no commit.
	MaxFrame walformat.FrameNo
	// NBackfill: frames up to this one are in the database file, and synced.
	NBackfill walformat.FrameNo
	// DBSize is the database size in pages; 0 for an empty database.
	DBSize uint32
	// Sum is the stored checksum of frame MaxFrame (of the WAL header, if 0).
	Sum walformat.Checksum
	// Seq is the newest commit that the snapshot holds.
	Seq CommitSeq
}

// State is a snapshot with the index of its generation. Published states are
// immutable; each publication makes a new one, so that comparing two pointers
// compares whole snapshots, nBackfill included.
type State struct {
	Snapshot
	Index *Index
}

// Coordinator is the coordination between the connections of one database.
// All methods may be called concurrently; "REQUIRES" names what the caller
// must hold.
type Coordinator interface {
	// EarlyRelease says whether the writer's place may be passed on as soon
	// as a transaction is accepted. Where it may not (another process would
	// append after the published end), it is kept until publication.
	EarlyRelease() bool

	// Published is the state that a new reader sees.
	Published() *State
	// Publish replaces the published state by what update makes of a copy of
	// it, under the publication lock. update returning false changes nothing;
	// Publish returns that value.
	Publish(update func(*State) bool) bool

	// BeginRead takes a read mark for the published state and returns both.
	BeginRead() (Mark, *State)
	// Pin takes a read mark that protects the frames up to max of the current
	// generation. REQUIRES the writer's place, and max not below the accepted
	// end: then nothing newer can have been published or backfilled.
	Pin(max walformat.FrameNo) Mark
	// EndRead gives the mark back.
	EndRead(Mark)
	// SafeFrame is the lowest of t and the held marks of slots 1 to 4. ok is
	// false if a reader is in slot 0: then nothing may be backfilled.
	SafeFrame(t walformat.FrameNo) (safe walformat.FrameNo, ok bool)
	// ClaimMarks takes slots 1 to 4 exclusively and forgets their values, or
	// does nothing and returns false if one is held. REQUIRES the writer's
	// place.
	ClaimMarks() bool
	// ReleaseMarks gives up what ClaimMarks took.
	ReleaseMarks()
	// Readers counts the held marks: of slot 0, and of slots 1 to 4.
	Readers() (inFile, inLog int)

	// Marks describes the five read marks.
	Marks() [NumMarks]MarkInfo

	// Enter makes a read transaction known that holds m for st. began is when
	// it began, 0 if that was not noted.
	Enter(r *Reader, m Mark, st *State, who Who, began Moment)
	// Leave ends it and gives its mark back, if it still has one: detached says
	// that it had none any more.
	Leave(r *Reader) (detached bool)
	// ListReaders describes those that have entered.
	ListReaders() []ReaderInfo
	// Detach takes their marks from the readers whose snapshot equals the
	// database file, which is of version v, and which want is true for; it
	// returns them. want must not block. REQUIRES the checkpoint lock.
	Detach(v FileVersion, want func(ReaderInfo) bool) []ReaderInfo
	// RaiseMarks gives readers that share a mark below their own snapshot a
	// higher one, where there is one. REQUIRES the checkpoint lock.
	RaiseMarks()
	// Detached lists the detached readers. Who holds the checkpoint lock finds
	// all; others may leave at any time.
	Detached() []DetachedReader

	// RequestWriter asks for the writer's place. A nil Request means that it
	// is granted; otherwise the caller waits in the queue. base is the commit
	// that an Upgrade reads; the other kinds ignore it. claim, which may be nil,
	// says in reports who asks; it must stay until the place is given up, or the
	// wait has ended.
	RequestWriter(kind RequestKind, base CommitSeq, claim *Claim) (*Request, error)
	// Hold says that the holder of the place waits for readers, until Unhold:
	// upgrades, which are readers, are turned away with ErrBusy. REQUIRES the
	// writer's place.
	Hold()
	// Unhold ends it.
	Unhold()
	// ListWriters describes who has the writer's place, first, if somebody has,
	// and who waits for it, in order.
	ListWriters() []WriterInfo
	// Accepted tells that commit seq is the new base of later writers, and
	// turns away the upgrades that wait on an older one. REQUIRES the
	// writer's place.
	Accepted(seq CommitSeq)
	// ReleaseWriter passes the place to the first in the queue.
	ReleaseWriter()
	// Queued counts the requests that wait.
	Queued() int
	// MaintenanceQueued reports whether one of them is of a checkpoint or close.
	MaintenanceQueued() bool

	// LockCheckpoint waits for the checkpoint lock. The error is ctx's.
	LockCheckpoint(ctx context.Context) error
	// TryLockCheckpoint takes it if it is free.
	TryLockCheckpoint() bool
	// UnlockCheckpoint gives it up.
	UnlockCheckpoint()
}
