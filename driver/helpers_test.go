// This file has what the tests share.

package driver

import (
	"context"
	"database/sql"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"
)

// openDB opens a new database with the parameters, in the journal mode that
// Walnut always has.
func openDB(t testing.TB, params string, opts ...Option) *sql.DB {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "test.db"), params, opts...)
}

func openAt(t testing.TB, path, params string, opts ...Option) *sql.DB {
	t.Helper()
	n, err := NewConnector(fileURI(path)+"?_pragma=journal_mode(wal)&"+params, opts...)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(n)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func fileURI(path string) string {
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
}

// oneConn returns a connection of its own, which goes back at the end.
func oneConn(t testing.TB, db *sql.DB) *sql.Conn {
	t.Helper()
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// execer is what sql.DB, sql.Conn and sql.Tx have in common.
type execer interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

func mustExec(t testing.TB, db execer, query string, args ...any) sql.Result {
	t.Helper()
	res, err := db.ExecContext(context.Background(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return res
}

// get returns the only value of a query.
func get[T any](t testing.TB, db execer, query string, args ...any) T {
	t.Helper()
	var v T
	if err := db.QueryRowContext(context.Background(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func want[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// wantError checks that an error says all of parts.
func wantError(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", parts)
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not say %q", err, p)
		}
	}
}

// rawConn runs f with the driver's connection.
func rawConn(t testing.TB, c *sql.Conn, f func(*conn)) {
	t.Helper()
	if err := c.Raw(func(dc any) error { f(dc.(*conn)); return nil }); err != nil {
		t.Fatal(err)
	}
}

// gate is an init option with the SQL function gate(), which tells that it was
// called and waits, so that tests know that a statement is running. Its channel
// is unbuffered: one receive per call.
func gate(entered chan<- struct{}) Option {
	return WithInit(func(c *sqlite3.Conn) error {
		return c.CreateFunction("gate", 0, 0, func(ctx sqlite3.Context, _ ...sqlite3.Value) {
			entered <- struct{}{}
			ctx.ResultInt(1)
		})
	})
}
