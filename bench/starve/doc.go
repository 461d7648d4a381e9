// Command starve shows what readers do to the log, in Walnut and in C SQLite,
// in the same run.
//
//	go run ./starve                        # from bench/: two scenarios, a minute each, for each engine
//	go run ./starve -rounds 3 -json starve.json
//	go run ./starve -for 5s -limit 4 -table 8 -write 64    # short
//
// overlap: readers that hold a read transaction for 50 ms each, and overlap, so
// that there is never a moment without one, beside a writer at full speed.
//
// stay: one reader that is open for the whole time and reads the whole table at
// its beginning and at its end, while random rows of a table of 64 MiB are
// updated, 1 GiB of them; short readers beside it.
//
// Both engines are used through database/sql with the same pragmas. A second
// handle on the database (walnut.Open) sets the log's limit and gives the
// figures of the engine; C SQLite has no such limit. Rounds are interleaved, and
// ratios are taken within a round.
//
// A commit's time is that of BEGIN IMMEDIATE to COMMIT. "Without the hold" is
// that time less what the engine held the writer for, because the log was at its
// limit: with one writer the growth of Stats.WriterHold across a commit is
// that commit's. A reader's time is that of one query inside its transaction, not
// the time that it stays open.
//
// The command fails if a promise is broken, whatever the times are: the log above
// 1.2 × the limit and the largest transaction, a reader that sees something else
// at its end, more images than pages that were changed, a file that C SQLite
// finds damaged.
//
//	main.go    flags, rounds
//	engine.go  the two engines; peer_cgo.go, peer_nocgo.go
//	watch.go   sizes, every 20 ms
//	turn.go    one engine in one scenario
//	load.go    the writer and the readers
//	report.go  ratios, table, JSON
package main
