// Benchmarks of one point read, by layer: database/sql alone, with the driver
// below it, the driver alone, and SQLite alone. Their differences are what each
// layer costs.

package driver

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/ncruces/go-sqlite3"
)

const (
	benchRows  = 300_000 // 33 MB: more than SQLite's page cache holds
	benchQuery = "SELECT who, note FROM t WHERE id = ?"
)

func benchConn(b *testing.B) *sql.Conn {
	db := openDB(b, "")
	mustExec(b, db, "CREATE TABLE t(id INTEGER PRIMARY KEY, who INTEGER NOT NULL, note TEXT NOT NULL)")
	mustExec(b, db, `INSERT INTO t(who, note) SELECT value, printf('%.98c', 'n') FROM generate_series(1, ?)`, benchRows)
	c := oneConn(b, db)
	var n [3]int
	if err := c.QueryRowContext(b.Context(), "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&n[0], &n[1], &n[2]); err != nil {
		b.Fatal(err)
	}
	return c
}

func randomRow() int64 { return 1 + rand.Int64N(benchRows) }

func readPrepared(b *testing.B, c *sql.Conn) {
	s, err := c.PrepareContext(b.Context(), benchQuery)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		var who int64
		var note string
		if err := s.QueryRowContext(context.Background(), randomRow()).Scan(&who, &note); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadPrepared(b *testing.B) { readPrepared(b, benchConn(b)) }

func BenchmarkReadText(b *testing.B) {
	c := benchConn(b)
	b.ReportAllocs()
	for b.Loop() {
		var who int64
		var note string
		if err := c.QueryRowContext(context.Background(), benchQuery, randomRow()).Scan(&who, &note); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadDriver does what database/sql asks of the driver.
func BenchmarkReadDriver(b *testing.B) {
	rawConn(b, benchConn(b), func(c *conn) {
		s, err := c.PrepareContext(b.Context(), benchQuery)
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		b.ReportAllocs()
		for b.Loop() {
			args := []sqldriver.NamedValue{{Ordinal: 1, Value: randomRow()}}
			r, err := s.(*stmt).QueryContext(context.Background(), args)
			if err != nil {
				b.Fatal(err)
			}
			dest := make([]sqldriver.Value, len(r.Columns()))
			if err := r.Next(dest); err != nil {
				b.Fatal(err)
			}
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkReadSQLite reads with SQLite's own calls, with the keeper if kept.
func BenchmarkReadSQLite(b *testing.B) {
	for _, kept := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "kept"}[kept], func(b *testing.B) {
			rawConn(b, benchConn(b), func(c *conn) {
				s, _, err := c.db.Prepare(benchQuery)
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				b.ReportAllocs()
				for b.Loop() {
					if kept {
						c.keeper.Begin()
					}
					readSQLite(b, s)
					if kept {
						c.keeper.End()
					}
				}
			})
		})
	}
}

func readSQLite(b *testing.B, s *sqlite3.Stmt) {
	if err := s.BindInt64(1, randomRow()); err != nil {
		b.Fatal(err)
	}
	if !s.Step() || s.ColumnInt64(0) == 0 || len(s.ColumnText(1)) != 98 {
		b.Fatal(s.Err())
	}
	if err := s.Reset(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkReadNothing is database/sql on a driver that does nothing.
func BenchmarkReadNothing(b *testing.B) {
	db := sql.OpenDB(nullConnector{})
	defer db.Close()
	readPrepared(b, oneConn(b, db))
}

type (
	nullConnector struct{}
	nullConn      struct{}
	nullStmt      struct{}
	nullRows      struct{ ended bool }
)

var (
	nullNames = []string{"who", "note"}
	nullNote  = string(make([]byte, 98))
)

func (nullConnector) Connect(context.Context) (sqldriver.Conn, error) { return nullConn{}, nil }
func (nullConnector) Driver() sqldriver.Driver                        { return Driver{} }
func (nullConn) Prepare(string) (sqldriver.Stmt, error)               { return nullStmt{}, nil }
func (nullConn) Begin() (sqldriver.Tx, error)                         { return nil, io.EOF }
func (nullConn) Close() error                                         { return nil }
func (nullConn) CheckNamedValue(*sqldriver.NamedValue) error          { return nil }
func (nullStmt) Close() error                                         { return nil }
func (nullStmt) NumInput() int                                        { return -1 }
func (nullStmt) Exec([]sqldriver.Value) (sqldriver.Result, error)     { return nil, io.EOF }
func (nullStmt) Query([]sqldriver.Value) (sqldriver.Rows, error)      { return nil, io.EOF }
func (nullStmt) QueryContext(context.Context, []sqldriver.NamedValue) (sqldriver.Rows, error) {
	return &nullRows{}, nil
}
func (*nullRows) Columns() []string { return nullNames }
func (*nullRows) Close() error      { return nil }
func (r *nullRows) Next(dest []sqldriver.Value) error {
	if r.ended {
		return io.EOF
	}
	r.ended = true
	dest[0], dest[1] = int64(1), nullNote
	return nil
}
