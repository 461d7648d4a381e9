//go:build cgo

// This file has the differences that are not Walnut's fault.

package differ

import "errors"

// errKnown ends a run that cannot go on because of a known difference.
var errKnown = errors.New("the engines differ as is known")

// knownDifference is one of them, told by what the sides have said.
type knownDifference struct {
	is   func(st step, walnut, c string) bool
	ends bool // the sides are in different states from there on
	why  string
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
