//go:build cgo

// This file is one engine at work: its connections, and what they say.

package differ

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/mattn/go-sqlite3"
	nc "github.com/ncruces/go-sqlite3"

	"github.com/walnutdb/walnut"
	_ "github.com/walnutdb/walnut/driver"
)

const connections = 3

// ours and theirs are the names of the drivers.
const ours, theirs = "walnut", "sqlite3"

// side is one engine at work on its files.
type side struct {
	engine string
	path   string // of the main database; the second has a b behind it
	plan   *plan
	held   []*walnut.DB // the engines with the bounds of the plan
	halter halter
	db     *sql.DB
	conns  [connections]*conn
}

type conn struct {
	*sql.Conn
	rows    []*sql.Rows
	cancels []context.CancelFunc // of their contexts
	n       int
	kept    map[string]*sql.Stmt
	version int64
	moved   bool // it may have committed while it had a query open
}

var background = context.Background()

// dsn opens path without automatic checkpoints, which come at moments of their
// own.
func dsn(engine, path string) string {
	if engine == ours {
		return "file:" + path + "?_busy_timeout=0&_pragma=foreign_keys(1)&_pragma=synchronous(off)&_pragma=wal_autocheckpoint(0)"
	}
	return "file:" + path + "?_busy_timeout=0&_synchronous=0&_foreign_keys=1"
}

// create makes the databases and tells what each statement said.
func (s *side) create() (string, error) {
	// With more in its name, a database would have a page size.
	db, err := sql.Open(s.engine, "file:"+s.path)
	if err != nil {
		return "", err
	}
	db.SetMaxOpenConns(1)
	var said strings.Builder
	for _, q := range s.plan.create {
		_, err := db.Exec(strings.ReplaceAll(q, "$F", s.path))
		fmt.Fprintf(&said, "%s: %s\n", q, class(err))
	}
	return said.String(), db.Close()
}

func (s *side) open() (err error) {
	if s.engine == ours {
		for _, path := range []string{s.path, s.path + "b"} {
			db, err := walnut.Open(path, &walnut.Options{MustExist: true, TxBytes: s.plan.txBytes, PoolBytes: s.plan.pool})
			if err != nil {
				return err
			}
			s.held = append(s.held, db)
		}
	}
	if s.db, err = opener(s.engine, dsn(s.engine, s.path), &s.halter); err != nil {
		return err
	}
	s.db.SetMaxIdleConns(-1) // a connection that is closed is closed
	for i := range s.conns {
		if err := s.connect(i); err != nil {
			return err
		}
	}
	return nil
}

func (s *side) connect(i int) error {
	c, err := s.db.Conn(background)
	if err != nil {
		return err
	}
	s.conns[i] = &conn{Conn: c, kept: map[string]*sql.Stmt{}}
	for _, q := range append([]string{"PRAGMA wal_autocheckpoint=0"}, s.plan.connect...) {
		if _, err = c.ExecContext(background, strings.ReplaceAll(q, "$F", s.path)); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return nil
}

func (s *side) close() (err error) {
	for _, c := range s.conns {
		if c != nil {
			err = errors.Join(err, c.end())
		}
	}
	s.conns = [connections]*conn{}
	if s.db != nil {
		err = errors.Join(err, s.db.Close())
	}
	for _, db := range s.held {
		err = errors.Join(err, db.Close())
	}
	s.db, s.held = nil, nil
	return err
}

// quiet ends what the connection has open.
func (c *conn) quiet() {
	for len(c.rows) > 0 {
		c.closeRows(0)
	}
	_, _ = c.ExecContext(background, "ROLLBACK")
}

func (c *conn) end() (err error) {
	c.quiet()
	for _, s := range c.kept {
		err = errors.Join(err, s.Close())
	}
	return errors.Join(err, c.Close())
}

// class is what two engines must agree on in an error: SQLite's extended result
// code.
func class(err error) string {
	var c sqlite3.Error
	var extended nc.ExtendedErrorCode
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, context.Canceled):
		return interrupted
	case errors.As(err, &c):
		return fmt.Sprint("code ", int(c.ExtendedCode))
	case errors.As(err, &extended):
		return fmt.Sprint("code ", int(extended))
	}
	return "error"
}

func (c *conn) exec(q string) string {
	_, err := c.ExecContext(background, q)
	return class(err)
}

// change tells how many rows a statement has changed.
func (c *conn) change(q string) string {
	r, err := c.ExecContext(background, q)
	if err != nil {
		return class(err)
	}
	n, err := r.RowsAffected()
	return fmt.Sprint(n, " rows, ", class(err))
}

// all tells all rows of a query and how it ended.
func (c *conn) all(q string) string {
	r, err := c.QueryContext(background, q)
	return rest(r, err)
}

func rest(r *sql.Rows, err error) string {
	if err != nil {
		return class(err)
	}
	var b strings.Builder
	for r.Next() {
		b.WriteString(row(r))
	}
	err = r.Err()
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	return b.String() + class(err)
}

// prepared is all through a statement that the connection keeps.
func (c *conn) prepared(q string) string {
	s := c.kept[q]
	if s == nil {
		var err error
		if s, err = c.PrepareContext(background, q); err != nil {
			return class(err)
		}
		c.kept[q] = s
	}
	r, err := s.QueryContext(background)
	return rest(r, err)
}

// start begins a query that next goes on with.
func (c *conn) start(q string) string {
	c.n++ // one of the drivers has one cursor for a text
	ctx, cancel := context.WithCancel(background)
	r, err := c.QueryContext(ctx, q+strings.Repeat(" ", c.n))
	if err != nil {
		cancel()
		return class(err)
	}
	c.rows, c.cancels = append(c.rows, r), append(c.cancels, cancel)
	return c.next(len(c.rows) - 1)
}

// next takes a row of the i-th open query; the end closes it.
func (c *conn) next(i int) string {
	if i >= len(c.rows) {
		return "none"
	}
	if c.rows[i].Next() {
		return row(c.rows[i])
	}
	err := c.rows[i].Err()
	return class(err) + ", closed " + c.closeRows(i)
}

func (c *conn) closeRows(i int) string {
	if i >= len(c.rows) {
		return "none"
	}
	err := c.rows[i].Close()
	c.cancels[i]() // only now: it would close them at a moment of its own
	c.rows = append(c.rows[:i:i], c.rows[i+1:]...)
	c.cancels = append(c.cancels[:i:i], c.cancels[i+1:]...)
	return class(err)
}

// cancel ends the context of the i-th open query and asks for one more row. What
// closing says is left out: whether that is told to this call or to database/sql,
// which closes too, is chance.
func (c *conn) cancel(i int) string {
	if i >= len(c.rows) {
		return "none"
	}
	c.cancels[i]()
	said := "a row"
	if !c.rows[i].Next() {
		said = class(c.rows[i].Err())
	}
	c.closeRows(i)
	return said
}

// dataVersion tells whether the database has changed since it was last asked.
func (c *conn) dataVersion() string {
	before := c.version
	if err := c.QueryRowContext(background, "PRAGMA data_version").Scan(&c.version); err != nil {
		return class(err)
	}
	return fmt.Sprint("changed ", c.version != before)
}

// checkpoint tells whether it was kept from copying everything; how many frames
// that were is the engine's affair.
func (c *conn) checkpoint(q string) string {
	var busy, log, copied int
	if err := c.QueryRowContext(background, q).Scan(&busy, &log, &copied); err != nil {
		return class(err)
	}
	return fmt.Sprintf("busy %d, all %t", busy, log == copied)
}

// row tells the present row; the drivers choose different Go types for some.
func row(r *sql.Rows) string {
	cols, err := r.Columns()
	if err != nil {
		return class(err)
	}
	values, to := make([]any, len(cols)), make([]any, len(cols))
	for i := range values {
		to[i] = &values[i]
	}
	if err := r.Scan(to...); err != nil {
		return "scan: " + class(err)
	}
	for i, v := range values {
		if b, ok := v.([]byte); ok {
			v = string(b)
		}
		if s, ok := v.(string); ok {
			v = short(s)
		}
		values[i] = v
	}
	return fmt.Sprint(values) + ";"
}

// short stands for a long text, of which it has a hash.
func short(s string) string {
	if len(s) < 60 {
		return fmt.Sprintf("%q", s)
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return fmt.Sprintf("%q…(%d, %x)", s[:20], len(s), h.Sum64())
}
