package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/walnutdb/walnut"
	_ "github.com/walnutdb/walnut/driver"
)

const pageSize = 4096

// frameSize is what a page takes in the log.
const frameSize = pageSize + 24

// engine is one of the two.
type engine struct {
	name, driver, params string
	// own: it is Walnut, which has a handle beside database/sql.
	own bool
}

func engines() []engine {
	return append([]engine{{name: "walnut", driver: "walnut", params: "_busy_timeout=10m", own: true}}, peers()...)
}

// database is one that is open.
type database struct {
	path string
	sql  *sql.DB
	own  *walnut.DB // nil in C SQLite
}

func dsn(path, params string) string {
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + params
}

// open opens dir/starve.db, with the log's limit if the engine has one.
func (e engine) open(dir string, s setting) (_ *database, err error) {
	d := &database{path: filepath.Join(dir, "starve.db")}
	if e.own {
		d.own, err = walnut.Open(d.path, &walnut.Options{MaxLogSize: s.limit, MaxWriterHold: s.hold, ReaderGrace: s.grace})
		if err != nil {
			return nil, err
		}
	}
	if d.sql, err = sql.Open(e.driver, dsn(d.path, e.params)); err != nil {
		return nil, errors.Join(err, d.close())
	}
	d.sql.SetMaxIdleConns(100)
	return d, nil
}

// conn is a connection with the same pragmas in both engines.
func (d *database) conn(ctx context.Context, sync string) (*sql.Conn, error) {
	c, err := d.sql.Conn(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range []string{"journal_mode=WAL", "synchronous=" + sync, "wal_autocheckpoint=1000", "cache_size=-2000"} {
		if _, err := c.ExecContext(ctx, "PRAGMA "+p); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

func (d *database) close() error {
	var errs []error
	if d.sql != nil {
		errs = append(errs, d.sql.Close())
	}
	if d.own != nil {
		errs = append(errs, d.own.Close())
	}
	return errors.Join(errs...)
}

// fill makes a table with one row on each page, and leaves the log empty.
func (d *database) fill(ctx context.Context, rows int) (err error) {
	c, err := d.conn(ctx, "OFF")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for _, q := range []string{
		"CREATE TABLE page(id INTEGER PRIMARY KEY, n INTEGER NOT NULL, body BLOB NOT NULL)",
		"WITH RECURSIVE i(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM i WHERE x < ?) INSERT INTO page SELECT x, 0, randomblob(3900) FROM i",
	} {
		var args []any
		if q[0] == 'W' {
			args = append(args, rows)
		}
		if _, err := c.ExecContext(ctx, q, args...); err != nil {
			return err
		}
	}
	var busy, log, done int
	err = c.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done)
	if err == nil && busy != 0 {
		err = errors.New("the table cannot be copied into the file: somebody is in the way")
	}
	return err
}

// pageSums are the checksums of the pages of a file at rest.
func pageSums(path string) ([]uint32, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var list []uint32
	for buf := make([]byte, pageSize); ; {
		switch _, err := io.ReadFull(f, buf); {
		case err == io.EOF:
			return list, nil
		case err != nil:
			return nil, err
		}
		list = append(list, crc32.ChecksumIEEE(buf))
	}
}

// differ counts the pages of the first file that are not the same in the second.
func differ(before, after []uint32) (n int) {
	for i, s := range before {
		if i >= len(after) || after[i] != s {
			n++
		}
	}
	return n
}

// integrity asks C SQLite about a file at rest.
func integrity(ctx context.Context, path string) (err error) {
	db, err := sql.Open(judge, dsn(path, ""))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var s string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&s); err != nil {
		return err
	}
	if s != "ok" {
		return fmt.Errorf("integrity_check of %s: %s", path, s)
	}
	return nil
}
