// Command bench compares Walnut with C SQLite, with SQLite in Go, with bbolt,
// and with what the disk and the memory allow at all.
//
//	go run . -json result.json -svg plot.svg       # a few minutes
//	go run . -quick                                # under a minute, rough
//	go run . -only commit,reads -rounds 5          # some workloads
//	go run . -from result.json -fill ../docs/performance.md
//
// From the top of the repository it is "go -C bench run .": it is a module of
// its own, so that cgo and the peers stay out of Walnut's. Without cgo
// (CGO_ENABLED=0, or no C compiler) it builds too, measures no C SQLite, and
// says so.
//
// What readers do to the log over a minute is measured by ./starve.
//
// # What is compared
//
//   - walnut: SQL through database/sql and Walnut's driver.
//   - pages: Walnut's page transactions, without SQL.
//   - sqlite: C SQLite through database/sql and mattn/go-sqlite3 (cgo).
//   - modernc: modernc.org/sqlite, SQLite translated from C to Go, through
//     database/sql.
//   - ncruces: ncruces/go-sqlite3 with its own WAL and locks, called directly:
//     its database/sql driver claims the name that mattn's has. It spares
//     itself what database/sql costs the other three. "walnut raw" is Walnut
//     called in the same way, for point reads, where that is much.
//   - bbolt: go.etcd.io/bbolt, a key-value store of B+tree pages in a mapped
//     file, with Update (and Batch, where many write).
//   - raw: a preallocated file, written and synced by one goroutine; and loops
//     over memory. Nobody can be faster; they are called the limit.
//
// All SQLite engines have the same schema, pages of 4096 bytes, WAL mode, a
// busy timeout longer than the run, auto-checkpoint after 1000 frames and
// synchronous=FULL, unless the workload says otherwise.
//
// # How
//
// Runs are interleaved: in each round every engine has its turn at every
// workload, in an order that rotates. What is noisy on the machine then meets
// all alike, and ratios are taken within a round. Each turn checks that what
// was acknowledged is there. Statements get a context that cannot be cancelled,
// unless -cancellable is given: otherwise database/sql starts a goroutine for
// each query, and mattn's driver another one.
//
//	main.go      flags, and what is done with the figures
//	workload.go  what a workload is; the order of the turns
//	drive.go     goroutines that do one thing until the time is over
//	sql.go       engines with SQL; ncruces.go, peer_cgo.go, peer_nocgo.go
//	commits.go   many small transactions; pages.go without SQL
//	reads.go     point reads, page reads, snapshots, readers beside a writer
//	bulk.go      one large transaction, checkpoints, opening after a crash
//	limits.go    the disk alone, the memory alone
//	memory.go    what a connection costs in memory, in a process of its own
//	report.go    from turns to figures; output.go table and JSON; plot.go SVG
package main
