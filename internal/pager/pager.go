// Package pager opens databases and runs transactions on their pages.
//
//	store.go     one open database, shared by all connections of the process
//	open.go      from a path to a recovered store: exclusion, refusals, creation
//	tx.go        one transaction: its snapshot and its dirty pages
//	commit.go    commit and rollback
//	spill.go     dirty pages above the bound go to the log
//	savepoint.go nested savepoints
//	pool.go      the buffer pool
//	backup.go    a snapshot as one file
//	page1.go     what the engine keeps on page 1: versions, change counter, size
//
// # Invariants
//
//  1. A transaction reads its own dirty pages, else its snapshot, and nothing
//     newer.
//  2. Every page in (old size, new size] gets a frame in the transaction that
//     grows the database, zeros if nobody wrote it; the lock-byte page never.
//  3. Page 1 in a committed frame says WAL mode, and its change counter is the
//     counter at open plus the commit's sequence number, used once.
//  4. Page 1 is in the database file, synced with its directory, before a log
//     exists.
package pager

import (
	"errors"

	"github.com/walnutdb/walnut/internal/walformat"
)

// ErrHotJournal says that a rollback journal lies beside the database, left by
// a process that died in the middle of a transaction.
var ErrHotJournal = errors.New("hot rollback journal")

// ErrNotDatabase says that the file is no SQLite database that Walnut can use:
// foreign, encrypted, or damaged in its header.
var ErrNotDatabase = walformat.ErrNotDatabase

// ErrReadOnly refuses a write in a transaction that is read-only.
var ErrReadOnly = errors.New("transaction is read-only")

// ErrTxDone refuses the use of a transaction that has ended.
var ErrTxDone = errors.New("transaction has ended")

// ErrTxOpen refuses to close a database while transactions are open.
var ErrTxOpen = errors.New("transactions are still open")

// ErrPageRange refuses a page number that is 0, above the database size, or
// the lock-byte page.
var ErrPageRange = errors.New("page number out of range")
