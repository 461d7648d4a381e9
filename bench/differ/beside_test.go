//go:build cgo

// This file runs checkpoints of all modes beside open readers and writers. The
// busy timeout is 0 on both sides, so that nothing waits.
//
// What they say is compared as long as both sides have copied the same part of
// their logs. In these ways they come apart, until a checkpoint at a quiet moment:
//
//   - A connection that commits while it has a query open keeps its read mark in
//     C SQLite, where it keeps checkpoints from copying; Walnut's takes a new one.
//   - After a take over each has the log of the other.
//
// What open queries read is compared always.

package differ

import (
	"fmt"
	"strings"
)

// besideBoth runs the step on both sides.
func (p *pair) besideBoth(st step) (said [2]string) {
	p.checkpointed()
	for i, s := range p.sides {
		said[i] = s.beside(st)
		if p.apart {
			_, rows, _ := strings.Cut(said[i], ";")
			said[i] = "apart;" + rows
		}
	}
	return said
}

// checkpointed notes that a checkpoint has run that may have come less far on one
// side.
func (p *pair) checkpointed() {
	for _, c := range p.sides[0].conns {
		p.apart = p.apart || c.moved && len(c.rows) > 0
	}
}

// after notes what a step may have changed in what the sides have copied.
func (p *pair) after(st step) {
	switch {
	case st.kind == takeover:
		p.apart = true // what was copied is forgotten, and one of the logs may have begun anew
	case st.kind == exchange || st.kind == checkpoint && !strings.Contains(st.text, "PASSIVE"):
		p.apart = false
	case strings.Contains(st.text, "wal_checkpoint"):
		p.checkpointed()
	}
	for _, s := range p.sides {
		c := s.conns[st.conn]
		reads := strings.HasPrefix(st.text, "SELECT") || st.kind == version
		c.moved = len(c.rows) > 0 && (c.moved || !reads)
	}
}

// beside runs a checkpoint beside what the connections have open, and then takes
// a row of each open query: none may see that anything was copied. After a TRUNCATE
// that was not busy the counts are zero, for whichever schema they are.
func (s *side) beside(st step) string {
	var b strings.Builder
	var busy, log, copied int
	err := s.conns[st.conn].QueryRowContext(background, st.text).Scan(&busy, &log, &copied)
	switch {
	case err != nil:
		b.WriteString(class(err))
	case busy == 0 && strings.Contains(st.text, "TRUNCATE"):
		fmt.Fprintf(&b, "busy 0, log %d, copied %d", log, copied)
	default:
		fmt.Fprintf(&b, "busy %d, all %t", busy, log == copied)
	}
	for i, c := range s.conns {
		for n := len(c.rows) - 1; n >= 0; n-- {
			fmt.Fprintf(&b, "; %d %d: %s", i, n, c.next(n))
		}
	}
	return b.String()
}
