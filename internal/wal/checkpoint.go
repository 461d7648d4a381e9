// Checkpoints: the modes, and whom each waits for (DESIGN section 5). What they
// have in common, copying frames into the database file, is in backfill.go.
//
//	PASSIVE   waits for nobody
//	FULL      waits for the writer and for readers on older marks
//	RESTART   and for all readers of the log, and begins a new generation
//	TRUNCATE  and cuts the log to zero bytes
//
// All but PASSIVE keep the writer's place while they wait, so that the log they
// are to empty does not grow. None keeps new readers out: once everything is
// backfilled, these use the database file.

package wal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// CheckpointMode is one of SQLite's checkpoint modes.
type CheckpointMode uint8

const (
	// Passive copies what it can without waiting for anybody.
	Passive CheckpointMode = iota
	// Full waits for the writer and for readers of older snapshots, and copies
	// everything.
	Full
	// Restart waits for all readers of the log too, and begins a new
	// generation at its start.
	Restart
	// Truncate does as Restart, and cuts the log to zero bytes.
	Truncate
)

func (m CheckpointMode) String() string {
	switch m {
	case Passive:
		return "passive"
	case Full:
		return "full"
	case Restart:
		return "restart"
	case Truncate:
		return "truncate"
	}
	return fmt.Sprintf("CheckpointMode(%d)", uint8(m))
}

// CheckpointOptions change one checkpoint. The zero value changes nothing.
type CheckpointOptions struct {
	// MaxFrame: copy no frame above it; 0 is no limit. The checkpoint ends at
	// the last commit up to there, waits for no reader because of later ones,
	// and leaves the log as it is unless that was all of it.
	MaxFrame walformat.FrameNo
	// Progress is told the pages copied and to copy, after each batch.
	Progress func(done, total int)
	// Wait, if it is greater than 0, bounds the waits for others, but not those
	// for the copying, its own or that of an automatic checkpoint: as SQLite's
	// busy timeout does. One that does not get the writer's place meanwhile copies
	// what PASSIVE would, and is Busy.
	Wait time.Duration
}

// CheckpointResult is what a checkpoint did.
type CheckpointResult struct {
	Mode CheckpointMode
	// LogFrames is the number of frames in the log, and Backfilled how many of
	// them are in the database file, after the copying and before a new
	// generation began; after Truncate both are 0. SQLite's second and third
	// column.
	LogFrames, Backfilled walformat.FrameNo
	// Busy: the checkpoint could not do all that its mode promises. SQLite's
	// first column.
	Busy bool
	// WaitedFor says in words who was in the way in the end, "" if nobody was.
	// A passive checkpoint that copied only a part says here why.
	WaitedFor string
}

// waitStep and waitMax are the steps in which a checkpoint looks again whether
// readers have gone.
const (
	waitStep = time.Millisecond
	waitMax  = 20 * time.Millisecond
)

// Checkpoint runs a checkpoint. Who is in its way makes the result Busy, not an
// error; so does a deadline of ctx, which bounds the waits and the copying. A
// cancellation ends it, between two batches if it copies, and is the error.
func (l *Log) Checkpoint(ctx context.Context, mode CheckpointMode, o CheckpointOptions) (CheckpointResult, error) {
	l.assertState()
	defer l.assertState()
	c := checkpoint{l: l, o: o, r: CheckpointResult{Mode: mode}}
	begin := coord.Now()
	err := c.finish(c.run(ctx))
	c.record(begin, err)
	return c.r, err
}

// checkpoint is one checkpoint under way.
type checkpoint struct {
	l *Log
	o CheckpointOptions
	r CheckpointResult
	// auto: the checkpoint was not asked for.
	auto bool
	// paced: it leaves the device to the commits beside it (see pace.go).
	paced bool
	claim coord.Claim
	// pages were copied.
	pages int
	// sideFull: what detached readers need does not fit into their file.
	sideFull bool
}

// finish makes of run's error what the caller gets.
func (c *checkpoint) finish(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		if c.r.WaitedFor == "" {
			c.r.WaitedFor = "more time: the copying took all that was allowed"
		}
		err = nil
		c.r.Busy = true
	}
	if err != nil {
		c.l.stats.checkpointErrs.Add(1)
		return fmt.Errorf("%s checkpoint of %s: %w", c.r.Mode, c.l.cfg.DB.Name(), err)
	}
	return nil
}

// run sets r. The error may be ctx's, in the middle of a wait or of copying.
func (c *checkpoint) run(ctx context.Context) error {
	if err := c.l.refused(); err != nil {
		return err
	}
	defer c.count()
	waits := ctx
	if c.o.Wait > 0 {
		var cancel context.CancelFunc
		waits, cancel = context.WithTimeout(ctx, c.o.Wait)
		defer cancel()
	}
	c.r.WaitedFor = "another checkpoint"
	if locked, err := c.tryLock(ctx); err != nil {
		return err
	} else if c.r.Mode == Passive {
		if !locked {
			c.r.Busy = true
			return nil
		}
		defer c.l.co.UnlockCheckpoint()
		c.r.WaitedFor = ""
		_, err := c.backfill(ctx)
		return err
	} else if !locked {
		if err := c.l.co.LockCheckpoint(waits); err != nil {
			return err
		}
	}
	c.r.WaitedFor = "a write transaction"
	if err := c.takePlace(waits); err != nil {
		defer c.l.co.UnlockCheckpoint()
		return c.besideWriter(ctx, err)
	}
	// The lock is given up first: the writer who gets the place begins the log
	// anew only if the lock is free.
	defer c.l.co.ReleaseWriter()
	defer c.l.co.UnlockCheckpoint()
	c.r.WaitedFor = ""
	if err := c.l.drain(); err != nil || c.l.file == nil {
		return err
	}
	return c.insist(ctx, waits)
}

// besideWriter ends a checkpoint that did not get the writer's place because of
// err. Where its time for waiting is over, it copies what PASSIVE would, as
// SQLite's does. REQUIRES the checkpoint lock.
func (c *checkpoint) besideWriter(ctx context.Context, err error) error {
	if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if _, cerr := c.backfill(ctx); cerr != nil {
		return cerr
	}
	c.r.WaitedFor = "a write transaction"
	return err
}

// takePlace takes the writer's place.
func (c *checkpoint) takePlace(ctx context.Context) error {
	c.claim.Who.Label = c.r.Mode.String() + " checkpoint"
	if label := coord.LabelOf(ctx); label != "" {
		c.claim.Who.Label += " of " + label
	}
	req, err := c.l.co.RequestWriter(coord.MaintenanceRequest, 0, &c.claim)
	if err != nil || req == nil {
		return err
	}
	return req.Wait(ctx)
}

// tryLock takes the checkpoint lock if nobody has it but an automatic checkpoint,
// which is not in the way of one that was asked for: that waits for it as for its
// own copying, and not for those who wait for the lock as well.
func (c *checkpoint) tryLock(ctx context.Context) (bool, error) {
	l := c.l
	if l.co.TryLockCheckpoint() {
		return true, nil
	}
	if c.auto {
		return false, nil
	}
	l.hurry.Add(1)
	defer l.hurry.Add(-1)
	select {
	case l.auto <- struct{}{}: // which an automatic one holds longer than the lock
		defer func() { <-l.auto }()
		return l.co.TryLockCheckpoint(), nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// count sets the frame counts, unless a restart has set them already.
func (c *checkpoint) count() {
	if c.r.LogFrames == 0 {
		st := c.l.co.Published()
		c.r.LogFrames, c.r.Backfilled = st.MaxFrame, st.NBackfill
	}
	if c.r.Mode == Truncate && !c.r.Busy && c.l.co.Published().MaxFrame == 0 {
		c.r.LogFrames, c.r.Backfilled = 0, 0
	}
}

// insist copies and waits until the mode's promise is kept or one of the contexts
// ends, that of the copying or that of the waits. REQUIRES the checkpoint lock
// and the writer's place.
func (c *checkpoint) insist(ctx, waits context.Context) error {
	pause := waitStep
	for {
		done, err := c.backfill(ctx)
		if err != nil {
			return err
		}
		if done && c.r.Mode > Full {
			if done, err = c.newGeneration(); err != nil {
				return err
			}
		}
		if done {
			c.r.WaitedFor = ""
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			pause = min(2*pause, waitMax)
		case <-waits.Done():
			timer.Stop()
			return waits.Err()
		}
	}
}

// newGeneration restarts or truncates the log, unless a reader needs it or a
// limit left frames in it. REQUIRES the checkpoint lock and the writer's place.
func (c *checkpoint) newGeneration() (bool, error) {
	st := c.l.co.Published()
	if st.NBackfill != st.MaxFrame {
		return true, nil
	}
	if st.MaxFrame == 0 && c.r.Mode == Restart {
		return true, nil // it is at its start
	}
	if err := c.l.takeLead(); err != nil {
		return false, err
	}
	defer c.l.dropLead()
	done, err := c.l.restart(c.r.Mode == Truncate)
	if done {
		c.r.LogFrames, c.r.Backfilled = st.MaxFrame, st.NBackfill
	} else if err == nil {
		_, n := c.l.co.Readers()
		c.r.WaitedFor = readers(n, "of the log")
	}
	return done, err
}

// readers is "1 reader …" or "3 readers …".
func readers(n int, which string) string {
	if n == 1 {
		return "1 reader " + which
	}
	return fmt.Sprintf("%d readers %s", n, which)
}

// drain waits until everything accepted is published. REQUIRES the writer's
// place.
func (l *Log) drain() error {
	l.mu.Lock()
	gen, end := l.mu.gen, l.mu.accepted
	l.mu.Unlock()
	if st := l.co.Published(); st.Gen == gen && st.MaxFrame == end {
		return l.Failed()
	}
	return l.syncTo(gen, end) // what is durable is published
}

// maxThreshold bounds the threshold of automatic checkpoints, so that four times
// as much is still a frame number.
const maxThreshold = 1 << 29

// autoCheckpoint is called after a commit, outside the writer's place. Once
// threshold frames wait for backfilling, it begins a PASSIVE checkpoint in the
// background: the syncs of a checkpoint are no commit's affair. If the one that
// is under way cannot keep up, so that four times as much waits and half the
// limit of the log, it waits for it, or for the end of ctx.
func (l *Log) autoCheckpoint(ctx context.Context, threshold walformat.FrameNo) {
	st := l.co.Published()
	waiting := st.MaxFrame - st.NBackfill
	if waiting < threshold {
		return
	}
	if !l.beginAutoCheckpoint(threshold) && waiting >= max(4*threshold, l.limitFrames()/2) {
		l.hurry.Add(1)
		defer l.hurry.Add(-1)
		select {
		case l.auto <- struct{}{}:
			<-l.auto
		case <-ctx.Done():
		}
	}
}

// beginAutoCheckpoint begins one, unless one is under way.
func (l *Log) beginAutoCheckpoint(threshold walformat.FrameNo) bool {
	select {
	case l.auto <- struct{}{}:
	default:
		return false
	}
	if l.sequential {
		l.runAutoCheckpoint(threshold)
	} else {
		l.background.Go(func() { l.runAutoCheckpoint(threshold) })
	}
	return true
}

// runAutoCheckpoint is an automatic checkpoint. Its errors are counted and no
// more: a commit does not fail for them.
func (l *Log) runAutoCheckpoint(threshold walformat.FrameNo) {
	defer func() { <-l.auto }()
	c := checkpoint{l: l, auto: true, paced: true}
	begin, left := coord.Now(), ^walformat.FrameNo(0)
	if l.isDue(l.co.Published(), threshold) {
		l.readersStay() // it notes who is there now
	}
	var err error
	for again := true; again; {
		c.r = CheckpointResult{Mode: Passive}
		err = c.finish(c.run(context.Background()))
		before := left
		left, again = l.converges(threshold)
		again = again && err == nil && left <= before/4*3
	}
	c.record(begin, err)
	l.outcome.Store(&outcome{err, c.sideFull, c.r.WaitedFor})
	if err != nil {
		return
	}
	// Writers and readers that overlap leave no moment at which everything
	// accepted is backfilled and nobody reads the log, which is what an automatic
	// restart waits for. The next writer makes one, now and then.
	if l.isDue(l.co.Published(), threshold) {
		if left <= l.atOnce(threshold) || !l.readersStay() {
			l.restartDue.Store(uint32(threshold))
		} else {
			l.postpone(threshold)
		}
	}
}
