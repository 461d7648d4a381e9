package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	_ "github.com/walnutdb/walnut/driver"
)

// The schema and the row are the same for all engines.
const (
	createTable = `CREATE TABLE visits(id INTEGER PRIMARY KEY, who INTEGER NOT NULL, note TEXT NOT NULL)`
	insertRow   = `INSERT INTO visits(who, note) VALUES (?, ?)`
	countRows   = `SELECT count(*) FROM visits`
)

var note = strings.Repeat("walnut ", 14)

// walnutEngine is Walnut through its driver. Its journal mode is WAL always.
var walnutEngine = engine{name: "walnut", open: func(ctx context.Context, dir string, writers int) (session, error) {
	return openSQL(ctx, "walnut", dataSource(dir, "_busy_timeout=10m", "_pragma=synchronous(full)"), writers)
}}

func dataSource(dir string, params ...string) string {
	path := (&url.URL{Path: filepath.ToSlash(filepath.Join(dir, "bench.db"))}).EscapedPath()
	return "file:" + path + "?" + strings.Join(params, "&")
}

// sqlSession has a connection, with a prepared statement, for each writer.
type sqlSession struct {
	db    *sql.DB
	conns []*sql.Conn
	stmts []*sql.Stmt
}

func openSQL(ctx context.Context, driver, name string, writers int) (_ session, err error) {
	db, err := sql.Open(driver, name)
	if err != nil {
		return nil, err
	}
	s := &sqlSession{db: db}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	db.SetMaxOpenConns(writers)
	db.SetMaxIdleConns(writers)
	if _, err := db.ExecContext(ctx, createTable); err != nil {
		return nil, err
	}
	if err := s.checkSettings(ctx); err != nil {
		return nil, err
	}
	for range writers {
		conn, err := db.Conn(ctx)
		if err != nil {
			return nil, err
		}
		s.conns = append(s.conns, conn)
		stmt, err := conn.PrepareContext(ctx, insertRow)
		if err != nil {
			return nil, err
		}
		s.stmts = append(s.stmts, stmt)
	}
	return s, nil
}

// checkSettings makes sure that all engines are measured at the same task.
func (s *sqlSession) checkSettings(ctx context.Context) error {
	for _, p := range []struct{ pragma, want string }{
		{"journal_mode", "wal"}, {"synchronous", "2"}, {"page_size", "4096"}, {"wal_autocheckpoint", "1000"},
	} {
		var got string
		if err := s.db.QueryRowContext(ctx, "PRAGMA "+p.pragma).Scan(&got); err != nil {
			return err
		}
		if got != p.want {
			return fmt.Errorf("PRAGMA %s is %s, not %s", p.pragma, got, p.want)
		}
	}
	return nil
}

func (s *sqlSession) commit(ctx context.Context, w int) error {
	_, err := s.stmts[w].ExecContext(ctx, w, note)
	return err
}

func (s *sqlSession) check(ctx context.Context, n int) error {
	var got int
	if err := s.conns[0].QueryRowContext(ctx, countRows).Scan(&got); err != nil {
		return err
	}
	if got != n {
		return fmt.Errorf("%d rows after %d acknowledged inserts", got, n)
	}
	return nil
}

func (s *sqlSession) close() error {
	var errs []error
	for _, st := range s.stmts {
		errs = append(errs, st.Close())
	}
	for _, c := range s.conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, s.db.Close())...)
}
