//go:build cgo

// This file ends statements by their context, at a point that the statement
// chooses and not the clock: the SQL function halt() counts its calls, and the
// one that the step names cancels the context. A goroutine that is told of it
// would interrupt the statement at some later moment; so
//
//   - on C SQLite halt() stays in its call until a statement of its own on the
//     same connection fails with SQLITE_INTERRUPT: from there on nothing on that
//     connection goes on;
//   - on Walnut, which looks at the context every thousand instructions, the
//     statement goes on with work that has more of them ($B).
//
// A step may leave out that work on Walnut: then the statement may end before
// anybody looks, and the peer is made to do what Walnut did.
//
// SQLite rolls back the whole transaction when a statement that writes is
// interrupted, and nothing when it only reads. Both sides must do so.

package differ

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"

	"github.com/mattn/go-sqlite3"
	nc "github.com/ncruces/go-sqlite3"

	walnutdriver "github.com/walnutdb/walnut/driver"
)

// interrupted is what a statement says that its context ended.
const interrupted = "interrupted"

// halter is what halt() of a side's connections is to do.
type halter struct {
	after  int // calls until it cancels; 0: it does nothing
	cancel context.CancelFunc
}

// call reports whether this call is the one.
func (h *halter) call() bool {
	if h.after == 0 {
		return false
	}
	h.after--
	if h.after > 0 {
		return false
	}
	h.cancel()
	return true
}

// opener opens connections that have halt().
func opener(engine, name string, h *halter) (*sql.DB, error) {
	if engine == ours {
		c, err := walnutdriver.NewConnector(name, walnutdriver.WithInit(func(c *nc.Conn) error {
			return c.CreateFunction("halt", 0, nc.DIRECTONLY, func(ctx nc.Context, _ ...nc.Value) {
				ctx.ResultBool(h.call())
			})
		}))
		if err != nil {
			return nil, err
		}
		return sql.OpenDB(c), nil
	}
	return sql.OpenDB(&peerConnector{name: name, halter: h}), nil
}

type peerConnector struct {
	name   string
	halter *halter
}

func (p *peerConnector) Driver() driver.Driver {
	return &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error {
		return c.RegisterFunc("halt", func() (bool, error) {
			if !p.halter.call() {
				return false, nil
			}
			return true, untilInterrupted(c)
		}, false)
	}}
}

func (p *peerConnector) Connect(context.Context) (driver.Conn, error) { return p.Driver().Open(p.name) }

// untilInterrupted returns when the connection has been interrupted. Its own
// statement sees that as any other does: the flag stays while one is under way.
func untilInterrupted(c *sqlite3.SQLiteConn) error {
	for {
		_, err := c.Exec("SELECT count(*) FROM (VALUES (1), (2))", nil)
		var code sqlite3.Error
		if errors.As(err, &code) && code.Code == sqlite3.ErrInterrupt {
			return nil
		}
		if err != nil {
			return err
		}
		runtime.Gosched()
	}
}

// much work has some thousand instructions.
const much, little = "900", "1"

// halted is NULL in all rows; it calls halt(). Much work or little, its text has
// one shape: SQLite deletes in another way where a condition has a subquery, which
// shows in the unused bytes of pages.
const halted = "CASE WHEN halt() THEN nullif(0, 0 * (WITH RECURSIVE z(j) AS (SELECT 1 UNION ALL SELECT j+1 FROM z WHERE j < $B) SELECT count(*) FROM z)) END"

// interruptAt runs the step's statement, which its context ends at the step's
// call of halt(), if it has so many. What the connection had open is closed then:
// C SQLite goes on interrupting until all is, Walnut does not.
func (s *side) interruptAt(st step, after int, work string) string {
	c := s.conns[st.conn]
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	s.halter = halter{after: after, cancel: cancel}
	_, err := c.ExecContext(ctx, strings.ReplaceAll(st.text, "$B", work))
	s.halter = halter{}
	for len(c.rows) > 0 {
		c.closeRows(0)
	}
	return class(err)
}

// interruptBoth runs the step on both sides.
func (p *pair) interruptBoth(st step) (said [2]string) {
	if !st.late {
		for i, s := range p.sides {
			said[i] = s.interruptAt(st, st.n, much)
		}
		return said
	}
	said[0] = p.sides[0].interruptAt(st, st.n, little)
	after := 0
	if said[0] == interrupted {
		after = st.n
	}
	said[1] = p.sides[1].interruptAt(st, after, much)
	return said
}

// drawInterrupt draws a statement that may be interrupted, and where.
func (p *plan) drawInterrupt(rng *rand.Rand, s step, one table) step {
	s.kind = interrupt
	rows := []int{2, 5, 40, 220}[rng.IntN(4)]
	s.n = 1 + rng.IntN(rows+1)
	or := conflicts[rng.IntN(len(conflicts))]
	c := one.cols[rng.IntN(len(one.cols))]
	m := rng.IntN(100)
	late := rng.IntN(3) == 0
	switch rng.IntN(10) {
	case 0, 1:
		s.text = one.insertFrom(rng, or, rows, " WHERE "+halted+" IS NULL")
	case 2, 3: // large enough to be spilled
		s.text = fmt.Sprintf("%sINSERT%s INTO t(v, w) SELECT i, hex(zeroblob(%d)) || i || '-%d' FROM r WHERE %s IS NULL", rowsOf(rows), or, 100+10*m, m, halted)
	case 4:
		s.text = fmt.Sprintf("UPDATE%s t SET w = coalesce(%s, hex(zeroblob(%d)) || id), v = v + 1", or, halted, 20*m)
	case 5:
		s.text = fmt.Sprintf("UPDATE%s %s SET %s = coalesce(%s, %s)", or, one.name, c.name, halted, c.good("id", 1+m%9))
	case 6:
		s.text = fmt.Sprintf("UPDATE%s %s SET id = id + 1 WHERE %s IS NULL", or, one.name, halted)
	case 7:
		s.text = fmt.Sprintf("DELETE FROM %s WHERE %s IS NULL", one.name, halted)
	case 8:
		s.text = fmt.Sprintf("SELECT count(%s) FROM %s", halted, one.name)
	case 9:
		s.text = fmt.Sprintf("%sCREATE TABLE x AS SELECT i AS a, zeroblob(9 * i) AS b, %s AS c FROM r", "", halted)
		s.text = strings.Replace(s.text, " FROM r", " FROM ("+rowsOf(rows)+"SELECT i FROM r)", 1)
	}
	// The last row inserted, and what triggers have changed, is told even of a
	// statement that failed; and one that ends late fails in another row.
	s.late = late && (strings.HasPrefix(s.text, "SELECT") || strings.HasPrefix(s.text, "UPDATE"+or+" t "))
	return s
}
