// Package differ runs the same SQL on Walnut's driver and on C SQLite and
// compares all they say: tests only, and only where cgo is.
//
// A run follows from its seed: page sizes, encoding, vacuum mode, cache sizes,
// sync level and Walnut's memory bounds; tables, indexes and triggers, some
// written by hand and some made up; then a list of steps: statements on three
// connections, many of which fail in their last row; cursors that stay open
// meanwhile, transactions and savepoints, a second database that comes and goes,
// checkpoints of every mode at quiet moments and beside open readers and writers,
// statements that their context ends midway. After each step the two have said the same: the same rows, the
// same extended result code. Now and then
//
//   - each engine opens copies of both sides' files and logs, taken while they
//     are in use, and all four dumps are equal, page counts and schema included;
//   - all connections close, the database files are equal page by page, and the
//     sides exchange them ("exchange");
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
// # Interrupted statements
//
// The SQL function halt() cancels the context of the statement in which it is
// called for the n-th time; interrupt_test.go says how both engines are made to
// notice at that call. In SQLite an interrupted write rolls back its whole
// transaction, BEGIN and savepoints with it, and an interrupted read nothing.
// Through database/sql both drivers do just that, and return the context's error.
// A statement that ends "late" need not be interrupted on Walnut; the peer then
// does what Walnut did. A query whose context ends between two rows ends, and one
// that has written ("RETURNING") has written.
//
// # Files
//
// Compared are: which pages are free, and how the trunks of the freelist list them;
// each pointer map's entry, type and parent, for every page that there is, a free
// one too; all other pages byte for byte, but for two counters of page 1. Left out
// are what a free page holds otherwise (where it has a rollback journal SQLite
// leaves out writes of pages that are freed), and what a pointer map holds behind
// the entry of the last page: those were entries of pages that the file had before
// it was made smaller. integrity_check does not look at them.
//
// # What may differ
//
// known_test.go has the differences that are C SQLite's own, with the reason for
// each; they are counted in the summary. Others are kept from coming up:
//
//   - No checkpoint is automatic: when Walnut's runs is chance.
//   - What a checkpoint says is not compared after one that met a connection that
//     has committed while it had a query open, nor after a take over, until one at
//     a quiet moment: C SQLite keeps the connection's old read mark, where Walnut
//     takes a new one. What open queries read is compared all the same.
//   - After SQLITE_BUSY the connection rolls back: C SQLite keeps the snapshot of
//     a first statement that failed, Walnut does not.
//   - There is no ANALYZE: only one of the two is built with STAT4, which has
//     tables and query plans of its own.
//   - Each table WITHOUT ROWID has an index. Without one, REPLACE overwrites the
//     row in a SQLite that is built without the preupdate hook, as the peer is by
//     default, and deletes and inserts it in one that has the hook, as Walnut's:
//     overflow pages then change places, which shows in cells and pointer maps.
//   - When a statement was interrupted, the queries that its connection has open
//     are closed: until then C SQLite interrupts all that the connection does.
//
// Both are of one version of SQLite; the test says so if they are not.
package differ
