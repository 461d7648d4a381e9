//go:build cgo

package differ

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/mattn/go-sqlite3"
	nc "github.com/ncruces/go-sqlite3"

	_ "github.com/walnutdb/walnut/driver"
)

const connections = 3

// side is one engine at work on its files.
type side struct {
	engine string // the driver's name
	path   string // of the main database; the second has a b behind it
	db     *sql.DB
	conns  [connections]*conn
}

type conn struct {
	*sql.Conn
	rows []*sql.Rows
	n    int
}

var background = context.Background()

// dsn opens path without automatic checkpoints, which come at moments of their
// own.
func dsn(engine, path string) string {
	if engine == "walnut" {
		return "file:" + path + "?_busy_timeout=0&_pragma=foreign_keys(1)&_pragma=synchronous(off)&_pragma=wal_autocheckpoint(0)"
	}
	return "file:" + path + "?_busy_timeout=0&_journal_mode=WAL&_synchronous=0&_foreign_keys=1"
}

func (s *side) open() error {
	db, err := sql.Open(s.engine, dsn(s.engine, s.path))
	if err != nil {
		return err
	}
	s.db = db
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
	s.conns[i] = &conn{Conn: c}
	if s.engine != "walnut" {
		_, err = c.ExecContext(background, "PRAGMA wal_autocheckpoint=0")
	}
	return err
}

func (s *side) close() error {
	for _, c := range s.conns {
		if c == nil {
			continue
		}
		c.quiet()
		if err := c.Close(); err != nil {
			return err
		}
	}
	s.conns = [connections]*conn{}
	return s.db.Close()
}

// quiet ends what the connection has open.
func (c *conn) quiet() {
	for len(c.rows) > 0 {
		c.closeRows(0)
	}
	_, _ = c.ExecContext(background, "ROLLBACK")
}

// class is what two engines must agree on in an error: SQLite's result code.
func class(err error) string {
	var c sqlite3.Error
	var n *nc.Error
	var code nc.ErrorCode
	var extended nc.ExtendedErrorCode
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &c):
		return fmt.Sprint("code ", int(c.Code))
	case errors.As(err, &n):
		return fmt.Sprint("code ", int(n.Code()))
	case errors.As(err, &code):
		return fmt.Sprint("code ", int(code))
	case errors.As(err, &extended):
		return fmt.Sprint("code ", int(extended)&255)
	}
	return "error"
}

func (c *conn) exec(q string) string {
	_, err := c.ExecContext(background, q)
	return class(err)
}

// all tells all rows of a query and how it ended.
func (c *conn) all(q string) string {
	r, err := c.QueryContext(background, q)
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

// start begins a query that next goes on with.
func (c *conn) start(q string) string {
	c.n++ // one of the drivers has one cursor for a text
	r, err := c.QueryContext(background, q+strings.Repeat(" ", c.n))
	if err != nil {
		return class(err)
	}
	c.rows = append(c.rows, r)
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
	c.rows = append(c.rows[:i:i], c.rows[i+1:]...)
	return class(err)
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
			values[i] = string(b)
		}
	}
	for i, v := range values {
		values[i] = fmt.Sprint(v)
	}
	return fmt.Sprintf("%q;", values) // each by itself: 'a b' is not 'a', 'b'
}

// dump tells everything in the databases at path and at its sibling.
func dump(engine, path string) (string, error) {
	var b strings.Builder
	for _, path := range []string{path, path + "b"} {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		db, err := sql.Open(engine, dsn(engine, path))
		if err != nil {
			return "", err
		}
		db.SetMaxOpenConns(1)
		err = dumpOne(&b, db)
		if cerr := db.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return "", fmt.Errorf("%s reads %s: %w", engine, path, err)
		}
	}
	return b.String(), nil
}

func dumpOne(b *strings.Builder, db *sql.DB) error {
	c, err := db.Conn(background)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	k := &conn{Conn: c}
	if said := k.all("PRAGMA integrity_check"); !strings.HasSuffix(said, ";ok") || !strings.Contains(said, "ok\"") || strings.Count(said, ";") != 1 {
		return fmt.Errorf("integrity_check: %s", said)
	}
	for _, q := range []string{
		"PRAGMA foreign_key_check", "PRAGMA user_version", "PRAGMA page_size", "PRAGMA encoding",
		"SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1, 2",
	} {
		fmt.Fprintf(b, "%s: %s\n", q, k.all(q))
	}
	rows, err := c.QueryContext(background, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1")
	if err != nil {
		return err
	}
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		tables = append(tables, name)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, name := range tables {
		// quote tells the type too.
		var cols string
		err := c.QueryRowContext(background, `SELECT group_concat('quote("' || name || '")') FROM pragma_table_xinfo(?)`, name).Scan(&cols)
		if err != nil {
			return err
		}
		q := fmt.Sprintf("SELECT %s FROM %q ORDER BY 1, %d", cols, name, strings.Count(cols, ",")+1)
		said := k.all(q)
		if !strings.HasSuffix(said, "ok") {
			return fmt.Errorf("%s: %s", q, said)
		}
		fmt.Fprintf(b, "%s: %s\n", q, said)
	}
	return nil
}
