// Package walnutweb shows a running database to those who run it: a page to be
// mounted next to pprof.
//
//	mux.Handle("/debug/walnut/", walnutweb.Handler(db))
//
// It shows the log as a picture (what is copied, what a checkpoint could copy,
// what readers keep, the limit), who reads and who writes under which label, how
// many commits share a sync, and the last checkpoints with whom they waited for.
// The same as JSON, for `walnut top` and scripts, is at status.json below it.
//
// The page needs nothing but this handler: no other host, no inline script. It
// asks for the state once a second while it is open, which costs the engine
// about what one [walnut.DB.Stats] and [walnut.DB.Readers] cost; while nobody
// looks, nothing runs.
//
// Who can reach the page sees labels and SQL text. Mount it where pprof would be
// mounted: on a listener of its own, or behind the program's authentication. No
// GET changes anything. [WithActions] adds buttons that run checkpoints, by POST
// from the page itself only.
package walnutweb
