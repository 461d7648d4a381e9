package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite"

	_ "github.com/walnutdb/walnut/driver"
)

// The schema and the row are the same for all engines.
const (
	createTable = `CREATE TABLE visits(id INTEGER PRIMARY KEY, who INTEGER NOT NULL, note TEXT NOT NULL)`
	insertRow   = `INSERT INTO visits(who, note) VALUES (?, ?)`
	selectRow   = `SELECT who, note FROM visits WHERE id = ?`
	countRows   = `SELECT count(*) FROM visits`
)

var note = strings.Repeat("walnut ", 14)

// Names of the engines.
const (
	walnutName  = "walnut"
	directName  = "walnut raw"
	pagesName   = "pages"
	peerName    = "sqlite" // the one that ratios are taken to
	moderncName = "modernc"
	ncrucesName = "ncruces"
	bboltName   = "bbolt"
)

// sqlEngine is one that is told what to do in SQL.
type sqlEngine struct {
	name string
	open func(path string) (sqlDB, error)
}

// sqlDB is an open database, from which each goroutine gets a connection.
type sqlDB interface {
	conn(ctx context.Context) (sqlConn, error)
	close() error
}

// sqlConn is used by one goroutine at a time.
type sqlConn interface {
	exec(ctx context.Context, query string) error
	// query returns the first row.
	query(ctx context.Context, query string, dest ...any) error
	prepare(ctx context.Context, query string) (sqlStmt, error)
	close() error
}

type sqlStmt interface {
	exec(ctx context.Context, who int64, note string) error
	// row reads the row with that id.
	row(ctx context.Context, id int64, who *int64, note *string) error
	close() error
}

// sqlEngines are those with SQL, Walnut first.
func sqlEngines() []sqlEngine {
	list := []sqlEngine{standard(walnutName, "walnut", "_busy_timeout=10m")}
	list = append(list, peers()...)
	return append(list, standard(moderncName, "sqlite", "_pragma=busy_timeout(600000)"), ncrucesEngine)
}

// standard is an engine behind database/sql.
func standard(name, driver, params string) sqlEngine {
	return sqlEngine{name, func(path string) (sqlDB, error) {
		db, err := sql.Open(driver, "file:"+(&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()+"?"+params)
		if err != nil {
			return nil, err
		}
		db.SetMaxIdleConns(1000)
		return standardDB{db}, nil
	}}
}

type (
	standardDB   struct{ db *sql.DB }
	standardConn struct{ c *sql.Conn }
	standardStmt struct{ s *sql.Stmt }
)

func (d standardDB) conn(ctx context.Context) (sqlConn, error) {
	c, err := d.db.Conn(ctx)
	return standardConn{c}, err
}

func (d standardDB) close() error { return d.db.Close() }

func (c standardConn) exec(ctx context.Context, query string) error {
	_, err := c.c.ExecContext(ctx, query)
	return err
}

func (c standardConn) query(ctx context.Context, query string, dest ...any) error {
	return c.c.QueryRowContext(ctx, query).Scan(dest...)
}

func (c standardConn) prepare(ctx context.Context, query string) (sqlStmt, error) {
	s, err := c.c.PrepareContext(ctx, query)
	return standardStmt{s}, err
}

func (c standardConn) close() error { return c.c.Close() }

func (s standardStmt) exec(ctx context.Context, who int64, note string) error {
	_, err := s.s.ExecContext(ctx, who, note)
	return err
}

func (s standardStmt) row(ctx context.Context, id int64, who *int64, note *string) error {
	return s.s.QueryRowContext(ctx, id).Scan(who, note)
}

func (s standardStmt) close() error { return s.s.Close() }

// session is an open database with a connection, and on it one prepared
// statement, for each goroutine.
type session struct {
	db    sqlDB
	conns []sqlConn
	stmts []sqlStmt
}

// pragmas that differ between workloads.
type pragmas struct {
	synchronous    string
	autocheckpoint int
}

var usual = pragmas{"FULL", 1000}

// openSession opens dir/bench.db, creating the table if create says so, and
// prepares nothing: see connect.
func openSession(ctx context.Context, e sqlEngine, dir string, create bool, p pragmas) (_ *session, err error) {
	db, err := e.open(filepath.Join(dir, "bench.db"))
	if err != nil {
		return nil, err
	}
	s := &session{db: db}
	if err := s.connect(ctx, 1, "", p); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if create {
		if err := s.conns[0].exec(ctx, createTable); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return s, nil
}

// connect makes n connections of the session, all set as p says and, unless
// query is empty, with it prepared.
func (s *session) connect(ctx context.Context, n int, query string, p pragmas) error {
	for len(s.conns) < n {
		c, err := s.db.conn(ctx)
		if err != nil {
			return err
		}
		s.conns = append(s.conns, c)
		if err := set(ctx, c, p); err != nil {
			return err
		}
	}
	for len(s.stmts) < n && query != "" {
		st, err := s.conns[len(s.stmts)].prepare(ctx, query)
		if err != nil {
			return err
		}
		s.stmts = append(s.stmts, st)
	}
	return nil
}

// set makes sure that all engines are given the same task.
func set(ctx context.Context, c sqlConn, p pragmas) error {
	levels := map[string]string{"OFF": "0", "NORMAL": "1", "FULL": "2"}
	for _, x := range []struct{ name, value, want string }{
		{"journal_mode", "WAL", "wal"}, {"synchronous", p.synchronous, levels[p.synchronous]},
		{"wal_autocheckpoint", fmt.Sprint(p.autocheckpoint), fmt.Sprint(p.autocheckpoint)}, {"page_size", "", "4096"},
	} {
		if x.value != "" {
			if err := c.exec(ctx, "PRAGMA "+x.name+"="+x.value); err != nil {
				return err
			}
		}
		var got string
		if err := c.query(ctx, "PRAGMA "+x.name, &got); err != nil {
			return err
		}
		if got != x.want {
			return fmt.Errorf("PRAGMA %s is %s, not %s", x.name, got, x.want)
		}
	}
	return nil
}

// insert adds a row.
func (s *session) insert(ctx context.Context, w int) error {
	return s.stmts[w].exec(ctx, int64(w), note)
}

// check fails if the table has not exactly n rows.
func (s *session) check(ctx context.Context, n int) error {
	var got int64
	if err := s.conns[0].query(ctx, countRows, &got); err != nil {
		return err
	}
	if got != int64(n) {
		return fmt.Errorf("%d rows after %d acknowledged inserts", got, n)
	}
	return nil
}

func (s *session) close() error {
	var errs []error
	for _, st := range s.stmts {
		errs = append(errs, st.close())
	}
	for _, c := range s.conns {
		errs = append(errs, c.close())
	}
	return errors.Join(append(errs, s.db.close())...)
}
