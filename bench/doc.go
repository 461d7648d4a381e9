// Command bench compares Walnut with C SQLite and with the disk itself, at the
// work that a transaction engine is bought for: many small transactions, each
// of them on disk before it is acknowledged.
//
//	go run . -rounds 5 -seconds 3 -json result.json
//
// It is a module of its own, so that cgo and the peer stay out of Walnut's.
// Without cgo (CGO_ENABLED=0, or no C compiler) it builds too, measures no
// C SQLite, and says so.
//
// # What is measured
//
// One-row INSERT statements in autocommit mode through database/sql, by 1, 16
// and 64 goroutines with a connection each, on a new database of 4096-byte
// pages, in WAL mode at synchronous=FULL, auto-checkpoint after 1000 frames, and
// a busy timeout longer than the run. "raw" is one goroutine that overwrites a
// preallocated file by the size of one frame and calls fdatasync, again and
// again: what the disk allows to an engine that shares no sync.
//
// Runs are interleaved: in each round every engine has its turn at every number
// of writers, in an order that rotates. What is noisy on the machine then
// meets all alike, and ratios are taken within a round.
//
//	main.go      flags and order of the runs
//	engine.go    what is measured, and how one run goes
//	sql.go       engines behind database/sql; peer_cgo.go, peer_nocgo.go C SQLite
//	raw.go       the disk
//	report.go    from runs to figures; output.go table and JSON
package main
