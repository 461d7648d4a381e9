// Package differ runs the same SQL on Walnut's driver and on C SQLite and
// compares all they say: tests only, and only where cgo is.
//
// A run follows from its seed: page sizes, encoding, vacuum mode, cache sizes,
// sync level and Walnut's memory bounds; tables, indexes and triggers, some
// written by hand and some made up; then a list of steps: statements on three
// connections, many of which fail in their last row; cursors that stay open
// meanwhile, transactions and savepoints, a second database that comes and goes,
// checkpoints. After each step the two have said the same: the same rows, the
// same extended result code. Now and then
//
//   - each engine opens copies of both sides' files and logs, taken while they
//     are in use, and all four dumps are equal, page counts and schema included;
//   - all connections close, the database files are equal byte for byte but for
//     two counters (unless they have free pages or pointer maps), and the sides
//     exchange them ("exchange");
//   - both sides are copied as a kill would leave them, in the middle of whatever
//     is open, and each goes on with the file and the log of the other ("take
//     over").
//
// Every run ends with all three.
//
//	go test ./differ                                 some hundred seeds
//	go test ./differ -v -timeout 0 -args -seeds 0    without end, with progress
//	go test ./differ -args -from 17 -seeds 1         one of them
//
// A run that differs is made shorter, step by step, as long as it still does, and
// printed as a script with the command that replays it. The test fails too if the
// runs met too little: it names outcomes that must have come up.
//
// # What may differ
//
// known_test.go has the differences that are C SQLite's own, with the reason for
// each; they are counted in the summary. Others are kept from coming up:
//
//   - Checkpoints other than PASSIVE run at quiet moments only, and none is
//     automatic: C SQLite waits for readers where Walnut needs not to.
//   - After SQLITE_BUSY the connection rolls back: C SQLite keeps the snapshot of
//     a first statement that failed, Walnut does not.
//   - There is no ANALYZE: only one of the two is built with STAT4, which has
//     tables and query plans of its own.
//   - Statements do not end by their context: when that strikes C SQLite is
//     chance.
//
// Both are of one version of SQLite; the test says so if they are not.
package differ
