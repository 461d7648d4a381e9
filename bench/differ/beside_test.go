//go:build cgo

// This file runs checkpoints of all modes beside open readers and writers. The
// busy timeout is 0 on both sides, so that nothing waits.

package differ

import (
	"errors"
	"fmt"
	"strings"

	nc "github.com/ncruces/go-sqlite3"

	walnutdriver "github.com/walnutdb/walnut/driver"
)

// besideBoth runs the step on both sides.
func (p *pair) besideBoth(st step) (said [2]string, err error) {
	writer, err := p.sides[0].writing()
	for i, s := range p.sides {
		said[i] = s.beside(st, writer)
	}
	return said, err
}

// beside runs a checkpoint beside what the connections have open, and then takes
// a row of each open query: none may see that anything was copied. A writer makes
// C SQLite's checkpoint a passive one and ends Walnut's, so the counts are
// compared only if there is none; and after a TRUNCATE that was not busy they are
// zero, for whichever schema they are.
func (s *side) beside(st step, writer bool) string {
	var b strings.Builder
	var busy, log, copied int
	err := s.conns[st.conn].QueryRowContext(background, st.text).Scan(&busy, &log, &copied)
	switch {
	case err != nil:
		b.WriteString(class(err))
	case busy == 1 && writer:
		b.WriteString("busy 1, a writer")
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

// writing reports whether a connection of Walnut's side has a write transaction.
func (s *side) writing() (found bool, err error) {
	for _, c := range s.conns {
		err = errors.Join(err, c.Raw(func(c any) error {
			found = found || c.(walnutdriver.Conn).Raw().TxnState("") == nc.TXN_WRITE
			return nil
		}))
	}
	return found, err
}
