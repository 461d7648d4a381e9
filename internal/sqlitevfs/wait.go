// Waiting for the writer's place.

package sqlitevfs

import (
	"context"
	"errors"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/pager"
)

// busyTick is how often the busy handler is asked while the place is not
// granted. It is never asked when the place may be: its own sleep would hold
// up all who wait.
const busyTick = 5 * time.Millisecond

// wait waits for the request's answer, the connection's interrupt, or a busy
// handler that gives up; err is what requesting gave. The result is SQLite's
// code.
func (f *file) wait(req *pager.WriteRequest, err error) error {
	if err != nil {
		return f.lockCode(err)
	}
	if answer := req.Answer(); answer != nil {
		if err := f.queue(req, answer); err != nil {
			return err
		}
	}
	ctx := context.Background()
	if f.conn != nil {
		ctx = f.conn.GetInterrupt()
	}
	tx, err := req.Begin(ctx)
	if err != nil {
		return f.lockCode(err)
	}
	if ctx.Err() != nil { // it may have been held, and was let go
		reads := f.tx != nil
		if err := tx.Rollback(reads); err != nil {
			f.tx = nil
			return f.lockCode(err)
		}
		return sqlite3.INTERRUPT
	}
	f.tx = tx
	return nil
}

// lockCode maps an engine error for SQLite, as code, and notes it if it is an
// IO error there.
func (f *file) lockCode(err error) error {
	if err != nil && !errors.Is(err, coord.ErrBusy) && !errors.Is(err, coord.ErrSnapshotStale) {
		f.cause = err
	}
	return code(err, sqlite3.IOERR_LOCK)
}

func (f *file) queue(req *pager.WriteRequest, answer <-chan error) error {
	if !f.patient {
		if f.busy == nil || !f.busy() {
			req.Cancel()
			return sqlite3.BUSY
		}
		f.patient = true
	}
	var interrupted <-chan struct{}
	if f.conn != nil {
		interrupted = f.conn.GetInterrupt().Done()
	}
	if f.timer == nil {
		f.timer = time.NewTimer(busyTick)
	} else {
		f.timer.Reset(busyTick)
	}
	defer f.timer.Stop()
	for {
		select {
		case err := <-answer:
			return f.lockCode(err)
		case <-interrupted:
			req.Cancel()
			return sqlite3.INTERRUPT
		case <-f.timer.C:
			if f.busy == nil || !f.busy() {
				req.Cancel()
				return sqlite3.BUSY
			}
			f.timer.Reset(busyTick)
		}
	}
}
