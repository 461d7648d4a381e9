// Package lint holds the rules of this repository that no other tool checks,
// as tests: what may import what, who may reach a file, how long a file may
// be, and what its text may not name. It has no code besides.
//
// A rule that has an exception names it in its table, with the reason. An
// exception that nobody needs any more fails too.
package lint
