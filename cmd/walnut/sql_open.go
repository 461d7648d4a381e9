package main

// This file opens the connection of the shell: one SQLite connection on
// Walnut's VFS, without database/sql in between, since a shell wants one
// connection and each statement as SQLite sees it.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	walnutdb "github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/sqlitevfs"
)

// database is an open database and the connection to it.
type database struct {
	*sqlite3.Conn
	engine *walnutdb.DB
}

// maxMemory is the most that SQLite can address: the undo journal of a large
// transaction is in there.
const maxMemory = 4 << 30

// openSQL opens file, creating it if it is not there. Others are waited for up
// to timeout.
func openSQL(ctx context.Context, file string, timeout time.Duration) (*database, error) {
	if err := checkPlace(file); err != nil {
		return nil, err
	}
	// SQLite would open the engine by itself, but pass on neither its words
	// when it refuses nor its error when it closes.
	engine, err := openEngine(ctx, file, walnutdb.Options{}, timeout)
	if err != nil {
		return nil, err
	}
	d := &database{engine: engine}
	d.Conn, err = sqlite3.OpenContext(sqlite3.WithMaxMemory(ctx, maxMemory), sqlURI(file))
	if err == nil {
		err = d.BusyTimeout(max(timeout, 0))
	}
	if err == nil {
		err = sqlitevfs.Init(d.Conn)
	}
	if err == nil {
		err = registerQuote(d.Conn)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", file, plainError(err)), d.Close())
	}
	return d, nil
}

// Close closes the connection, and then the engine, which moves the log into
// the database file.
func (d *database) Close() error {
	var err error
	if d.Conn != nil {
		err = d.Conn.Close()
	}
	return errors.Join(err, d.engine.Close())
}

// checkPlace says what is wrong with the place of a file, where SQLite would
// say "unable to open database file".
func checkPlace(file string) error {
	if file == "" {
		return errors.New("FILE is empty")
	}
	if strings.HasPrefix(file, "file:") || file == ":memory:" {
		return fmt.Errorf("FILE is a path, and %s would be a strange one: data source names are for the Go driver (if you mean it, write ./%s)", file, file)
	}
	if info, err := disk.OS().Stat(file); err == nil {
		if info.Mode.IsDir() {
			return fmt.Errorf("%s is a directory, not a database", file)
		}
		return nil
	}
	dir := filepath.Dir(file)
	info, err := disk.OS().Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: there is no directory %s (walnut creates the file, not its directory)", file, dir)
	case err == nil && !info.Mode.IsDir():
		return fmt.Errorf("%s: %s is not a directory", file, dir)
	}
	return nil // anything else is said better by the one who opens it
}

// sqlURI is the file as a URI for SQLite, which undoes the escaping.
func sqlURI(file string) string {
	p := filepath.ToSlash(filepath.Clean(file))
	if vol := filepath.VolumeName(file); vol != "" {
		p = "/" + p
	}
	return "file:" + (&url.URL{Path: p}).EscapedPath() + "?mode=rw&vfs=" + sqlitevfs.Name
}

// plainError is err without SQLite's package name in front.
func plainError(err error) error {
	if strings.HasPrefix(err.Error(), sqlitePrefix) {
		return shortError{err}
	}
	return err
}

const sqlitePrefix = "sqlite3: "

// shortError is an error with a shorter text.
type shortError struct{ error }

func (e shortError) Error() string {
	s := strings.TrimPrefix(strings.TrimPrefix(e.error.Error(), walnutPrefix), sqlitePrefix)
	return strings.TrimPrefix(s, "SQL logic error: ") // which says only that there is more to come
}

func (e shortError) Unwrap() error { return e.error }
