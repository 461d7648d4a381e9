// Package crashtest is the crash loop and the fault loop of the engine: tests
// only, no code of the product.
//
// Scripted workloads run on a disk of package faultdisk, through the page API
// and through SQLite. The crash loop takes images of the disk before every
// operation that changes it, reopens each and compares with what the
// acknowledged history allows; the fault loop makes the first, second, third
// operation of each kind fail until a run meets none; the context loop has the
// callers' context end at each operation.
//
//	model_test.go      page contents, the history, what a crash may leave
//	session_test.go    one process on one disk: open, transactions, checkpoints
//	workload_test.go   the scripts on pages
//	crash_test.go      images before every operation, and what is done to each
//	fault_test.go      one fault at a time, and what must hold after it
//	context_test.go    the same with contexts that end
//	lie_test.go        a device that acknowledges syncs and does nothing
//	shell_test.go      images given to the sqlite3 command
//	sql_*_test.go      the same on SQL
//	regress_test.go    single cases that the loops have found, or that need an
//	                   order of goroutines which they seldom meet
//
// # What is allowed
//
// Every transaction counts up a number on page 2, read inside it; so the
// transactions in a state are the first k in commit order, or something is
// wrong. k must be at least the last commit acknowledged at SyncFull (after
// the end of the process only: at any level), at most the last one begun, none
// that was refused, and every page must be what the model has after k.
//
// # Running
//
//	go test ./internal/crashtest                     some minutes
//	go test -short ./internal/crashtest              a sample, as under -race
//	WALNUT_CRASH_SEEDS=20 go test -timeout 2h ...    more images of each moment,
//	                                                 and from 5 on nothing is sampled
//
// A failure prints the workload, the operation and the seed with the command
// that replays just it: WALNUT_CRASH_AT narrows a loop to one point.
package crashtest
