// Closing: the last connection copies everything into the database file and
// removes the log, as SQLite does, so that a clean start finds none.

package wal

import (
	"context"
	"fmt"

	"github.com/walnutdb/walnut/internal/coord"
)

// Close ends the log. No transaction may be open. If everything could be
// copied into the database file, the log file is removed; otherwise it stays,
// for the next open to recover, and the error says why. A log that is
// poisoned or damaged is closed as it is; so is any if empty is false.
func (l *Log) Close(empty bool) error {
	// A write that is under way when its file is closed could still reach the
	// log after somebody else has recovered it.
	l.hurry.Add(1) // for ever: nothing is to be paced any more
	l.background.Wait()
	l.assertState()
	if l.refused() != nil || !empty {
		l.refuse(errClosed)
		return l.closeFile()
	}
	emptied, err := l.empty()
	if err == nil && emptied && l.file != nil {
		if err = l.checkNames(); err != nil {
			err = fmt.Errorf("the log is not removed: %w", err)
		}
	}
	if cerr := l.closeFile(); err == nil {
		err = cerr
	}
	if err != nil || !emptied || l.file == nil {
		return err
	}
	if err := l.cfg.FS.Remove(l.path); err != nil {
		return fmt.Errorf("remove the log after its last checkpoint: %w", err)
	}
	if err := l.cfg.FS.SyncDir(l.dir); err != nil {
		return fmt.Errorf("sync the directory %s: %w", l.dir, err)
	}
	return nil
}

func (l *Log) closeFile() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// empty backfills the whole log and reports whether nobody needs it any more.
// After it every write and checkpoint is refused.
func (l *Log) empty() (bool, error) {
	// With no transaction open, nothing keeps a checkpoint that is running.
	if err := l.co.LockCheckpoint(context.Background()); err != nil {
		return false, err
	}
	defer l.co.UnlockCheckpoint()
	req, err := l.co.RequestWriter(coord.MaintenanceRequest, 0, nil)
	if err != nil {
		return false, err
	}
	if req != nil {
		req.Cancel()
		return false, fmt.Errorf("%w: a write transaction is open", coord.ErrBusy)
	}
	defer l.co.ReleaseWriter()
	defer l.refuse(errClosed)
	if err := l.drain(); err != nil {
		return false, err
	}
	c := checkpoint{l: l}
	if done, err := c.backfill(context.Background()); err != nil {
		return false, fmt.Errorf("last checkpoint of %s: %w", l.cfg.DB.Name(), err)
	} else if !done {
		return false, fmt.Errorf("%w: the log waits for %s", coord.ErrBusy, c.r.WaitedFor)
	}
	return l.co.ClaimMarks(), nil
}

// refuse makes the log refuse all writes with err from now on.
func (l *Log) refuse(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.failed == nil {
		l.mu.failed = err
		l.broken.Store(true)
	}
}
