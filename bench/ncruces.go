package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/walnutdb/walnut/internal/sqlitevfs"
)

// ncrucesEngine is plain ncruces/go-sqlite3: the SQLite that Walnut has too, on
// its own files, locks and log.
var ncrucesEngine = sqlEngine{ncrucesName, func(path string) (sqlDB, error) {
	return directDB("file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()), nil
}}

// walnutDirect is SQL on Walnut as ncruces is measured: called directly, without
// database/sql.
var walnutDirect = sqlEngine{directName, func(path string) (sqlDB, error) {
	return directDB("file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?vfs=" + sqlitevfs.Name), nil
}}

type (
	directDB   string
	directConn struct{ c *sqlite3.Conn }
	directStmt struct{ s *sqlite3.Stmt }
)

func (d directDB) conn(ctx context.Context) (sqlConn, error) {
	c, err := sqlite3.OpenContext(ctx, string(d))
	if err != nil {
		return nil, err
	}
	err = c.BusyTimeout(10 * time.Minute)
	if err == nil && strings.HasSuffix(string(d), sqlitevfs.Name) {
		err = sqlitevfs.Init(c)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return directConn{c}, nil
}

func (d directDB) close() error { return nil }

func (c directConn) exec(_ context.Context, query string) error { return c.c.Exec(query) }

func (c directConn) query(_ context.Context, query string, dest ...any) error {
	s, _, err := c.c.Prepare(query)
	if err != nil {
		return err
	}
	if !s.Step() {
		return errors.Join(fmt.Errorf("%s: no row", query), s.Close())
	}
	for i, d := range dest {
		switch d := d.(type) {
		case *int64:
			*d = s.ColumnInt64(i)
		case *string:
			*d = s.ColumnText(i)
		default:
			return errors.Join(fmt.Errorf("%s: no column for a %T", query, d), s.Close())
		}
	}
	return s.Close()
}

func (c directConn) prepare(_ context.Context, query string) (sqlStmt, error) {
	s, _, err := c.c.Prepare(query)
	return directStmt{s}, err
}

func (c directConn) close() error { return c.c.Close() }

func (s directStmt) exec(_ context.Context, who int64, note string) error {
	if err := errors.Join(s.s.BindInt64(1, who), s.s.BindText(2, note)); err != nil {
		return err
	}
	return s.s.Exec()
}

func (s directStmt) row(_ context.Context, id int64, who *int64, note *string) error {
	if err := s.s.BindInt64(1, id); err != nil {
		return err
	}
	if !s.s.Step() {
		return errors.Join(fmt.Errorf("there is no row %d", id), s.s.Reset())
	}
	*who, *note = s.s.ColumnInt64(0), s.s.ColumnText(1)
	return s.s.Reset()
}

func (s directStmt) close() error { return s.s.Close() }
