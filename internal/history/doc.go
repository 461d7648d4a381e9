// Package history runs random histories of the whole engine and checks them:
// tests only, no code of the product.
//
// A history has some connections to one database on a disk of package
// faultdisk. They read, write, upgrade, set savepoints and roll back to them,
// resize, commit at every sync level, checkpoint in every mode, back up, hold
// snapshots, close and open again; contexts end; faults are injected; the power
// fails, or the process is killed. One connection goes on at a time, up to its
// next operation on the disk or its next call: which one, is the history's
// choice. So a history is a short list of numbers (a plan), and the same plan
// gives the same run, byte for byte.
//
//	plan_test.go       plans: how they are drawn, written down and read
//	world_test.go      the scheduler: who goes on, and what befalls all
//	end_test.go        crashes, and the end
//	actor_test.go      a connection: its state, and how it waits for its turn
//	commands_test.go   what a connection can be told to do
//	pages_test.go      contents of pages
//	record_test.go     what is recorded of a run, and how it is printed
//	check_test.go      snapshots, lost updates, what crashes may lose
//	linear_test.go     the same as a key-value store, judged by porcupine
//	broken_test.go     histories made by hand that the checks must refuse
//	histories_test.go  the runs: seeds, progress, a summary
//	shrink_test.go     from a failure to a short one
//	replay_test.go     plans replay, and failures shrink
//
// # What is checked
//
// Every transaction that writes puts a tag of its own on page 2 (the head),
// after it has read the one that is there: so the committed versions are a
// chain, and each names the one that it was made from. A read transaction reads
// the head of one version, which is not older than what was acknowledged or
// seen before it began, and all its pages, whenever it reads them, are those of
// that version. Two commits on one version are a lost update. After a power
// failure the versions are the beginning of the chain, with every commit that
// was acknowledged at SyncFull, or seen with such a one; after a kill with all
// that were acknowledged or seen. A transaction may be refused as stale only if
// there was another. Every other error must have a cause in the history.
//
// # Running
//
//	go test ./internal/history            as many as fit into about two minutes
//	go test -short ./internal/history     a few seconds
//
// Without end, or for a time, or so many from a seed on, with progress and a
// summary:
//
//	go test ./internal/history -run TestHistories -v -timeout 0 -args -seeds 0
//	go test ./internal/history -run TestHistories -v -timeout 0 -args -for 1h -from 1000
//
// Each failure is shrunk to a short history, which is printed step by step with
// the line that replays exactly it:
//
//	go test ./internal/history -run TestReplay -v -args -plan ...
package history
