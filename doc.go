// Package walnut is a transaction engine on SQLite's file formats: a
// write-ahead log, a pager and a transaction manager, written in Go.
//
// A database is a file X and, while it is in use, a log X-wal. Both are
// SQLite's own: any SQLite opens them before, after, and at every point at
// which a crash may have left them.
//
// This package gives the engine's own interface, pages and transactions, to
// those who build storage on it, and checkpoints and statistics to those who
// operate it. For SQL import github.com/walnutdb/walnut/driver, which
// registers the database/sql driver "walnut"; both may use one database in one
// process at the same time.
//
//	db, err := walnut.Open("app.db", nil)
//	...
//	err = db.Update(ctx, func(tx *walnut.Tx) error {
//		page, err := tx.Write(2)
//		if err != nil {
//			return err
//		}
//		copy(page, "hello")
//		return nil
//	})
//
// # What is promised
//
// Readers never wait for the writer, nor the writer for readers. A transaction
// reads one snapshot. Update and Commit return, at [SyncFull], after the commit
// is on disk; commits that wait at the same time share a sync. A crash leaves
// each transaction as a whole or not at all. A failed sync is never retried:
// see [ErrLogFailed].
//
// One process at a time uses a database; others get [ErrBusy].
package walnut
