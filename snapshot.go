package walnut

import (
	"context"
	"fmt"
	"sync"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/pager"
)

// Snapshot is one state of the database, to be read by any number of
// goroutines until it is closed. While it is open, what is newer stays in the log,
// up to Options.MaxLogSize, and then in a temporary file: close it when it is no
// longer needed.
type Snapshot struct {
	// mu is held shared by readers, and exclusively to close.
	mu sync.RWMutex
	p  *pager.Tx
}

// Snapshot opens a snapshot of the newest published state.
func (db *DB) Snapshot(ctx context.Context) (*Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if db.closed.Load() {
		return nil, ErrClosed
	}
	p := db.store.BeginRead(coord.Who{Label: coord.LabelOf(ctx)})
	p.SetConcurrent()
	return &Snapshot{p: p}, nil
}

// PageSize is the size of a page in bytes.
func (s *Snapshot) PageSize() int { return s.p.PageSize() }

// PageCount is the database size in pages.
func (s *Snapshot) PageCount() uint32 { return s.p.PageCount() }

// CommitSeq is the number of the newest commit in the snapshot, counted since
// the database was opened.
func (s *Snapshot) CommitSeq() uint64 { return uint64(s.p.Seq()) }

// Page returns page n; it must not be changed, and stays valid after Close.
func (s *Snapshot) Page(n PageNo) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.p.Page(n)
}

// Close gives the snapshot up. Closing again does nothing.
func (s *Snapshot) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.p.End()
}

// BackupOptions of [DB.Backup].
type BackupOptions struct {
	// Overwrite replaces a file that is there.
	Overwrite bool
	// Progress is called with the pages copied and to copy.
	Progress func(done, total int)
}

// Backup copies the newest published state of the database, while others read
// and write it, into a new single file at path: a database in WAL mode without
// a log. The copy is written beside path, synced, and renamed, so that path
// names the whole copy or what it named before. A path beside which a log or a
// rollback journal lies is refused: they belong to another database. So is, with
// ErrBusy, a database that is open somewhere.
func (db *DB) Backup(ctx context.Context, path string, o *BackupOptions) error {
	if o == nil {
		o = &BackupOptions{}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if db.closed.Load() {
		return ErrClosed
	}
	if err := db.store.Backup(ctx, path, o.Overwrite, o.Progress); err != nil {
		return fmt.Errorf("walnut: backup of %s to %s: %w", db.Path(), path, err)
	}
	return nil
}
