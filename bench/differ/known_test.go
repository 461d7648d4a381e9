//go:build cgo

// This file has the differences that are not Walnut's fault.

package differ

import (
	"errors"
	"strings"
)

// errKnown ends a run that cannot go on because of a known difference.
var errKnown = errors.New("the engines differ as is known")

// knownDifference is one of them, told by what the sides have said.
type knownDifference struct {
	is   func(st step, walnut, c string) bool
	ends bool // the sides are in different states from there on
	// the sides have copied different parts of their logs from there on
	apart bool
	why   string
}

var knownDifferences = []*knownDifference{
	{
		is: func(st step, walnut, c string) bool {
			return st.kind == version && walnut == "changed false" && c == "changed true"
		},
		why: "data_version of C SQLite changes when the log begins anew, though nothing else has changed",
	},
	{
		is:  func(_ step, walnut, c string) bool { return walnut == "code 517" && c == "code 5" },
		why: "a stale snapshot while another connection writes: C SQLite looks for the writer first, Walnut at the snapshot",
	},
	{
		is: func(st step, walnut, c string) bool {
			return c == "code 517" && !busy(walnut) && (st.kind <= start || st.kind == interrupt)
		},
		ends: true,
		why:  "C SQLite began its log anew, for a transaction that was rolled back or by TRUNCATE, and calls the snapshots before it stale",
	},
	{
		is: func(st step, walnut, c string) bool {
			said, rows, _ := strings.Cut(c, ";")
			_, same, _ := strings.Cut(walnut, ";")
			return strings.HasPrefix(st.text, "PRAGMA wal_checkpoint") && said == "code 6" && !strings.HasPrefix(walnut, "code ") && rows == same
		},
		apart: true,
		why:   "a checkpoint of all databases while the connection writes to its temporary one: C SQLite refuses it there (SQLITE_LOCKED), Walnut passes over it",
	},
}

// known is the entry that covers what the sides have said, if there is one.
func known(st step, walnut, c string) *knownDifference {
	for _, k := range knownDifferences {
		if k.is(st, walnut, c) {
			return k
		}
	}
	return nil
}
