// Package differ runs the same SQL on Walnut's driver and on C SQLite and
// compares all they say: tests only, and only where cgo is.
//
// A run is a list of steps that follows from its seed: statements on three
// connections, cursors that stay open meanwhile, transactions and savepoints, a
// second database that comes and goes, checkpoints. After each step the two
// have said the same: the same rows, the same result code. Now and then a copy
// of each side's files, taken while they are in use, is opened by the other
// engine; or all connections close and the two sides exchange their files.
// The end is a dump of everything, by both engines, of both sides.
//
//	go test ./differ                              some hundred seeds
//	go test ./differ -v -timeout 0 -args -seeds 0        without end, with progress
//	go test ./differ -args -from 17 -seeds 1             one of them
//
// A run that differs is made shorter, step by step, as long as it still does, and
// printed as a script.
//
// # What may differ
//
// The two are not of the same version of SQLite, so rows are always ordered. A
// checkpoint is run at quiet moments only: C SQLite waits for readers where
// Walnut needs not to. After SQLITE_BUSY the connection rolls back: C SQLite
// keeps the snapshot of a first statement that failed, Walnut does not.
package differ
