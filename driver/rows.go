// This file is the rows of a query.

package driver

import (
	"context"
	sqldriver "database/sql/driver"
	"io"
	"slices"
)

// rows is an open result. The zero value is one without columns and rows.
type rows struct {
	c       *conn
	ctx     context.Context
	p       *prepared // nil: closed
	s       *stmt     // whose p this is; nil: the connection's
	cols    *columns
	pending bool // the statement stands on a row that Next has not returned
	ended   bool // the last step found no row; another would run it again
	failed  bool // the last step's error has been returned
}

var (
	_ sqldriver.RowsColumnTypeDatabaseTypeName = (*rows)(nil)
	_ sqldriver.RowsColumnTypeNullable         = (*rows)(nil)
	_ sqldriver.RowsColumnTypeScanType         = (*rows)(nil)
)

// query runs a bound statement, of s or of the connection, to its first row.
// The first step is not left to Next: it shows errors now, and only after it the
// columns of a statement that was kept are sure to be those of today's schema.
func (c *conn) query(ctx context.Context, p *prepared, s *stmt) (*rows, error) {
	r := &rows{c: c, ctx: ctx, p: p, s: s}
	if p.plain {
		c.keeper.Begin()
	} else {
		c.keeper.Drop()
	}
	r.pending = p.Step()
	r.ended = !r.pending
	if err := p.Err(); err != nil {
		_ = r.end(p) // repeats the error
		c.keeper.Drop()
		return nil, err
	}
	r.cols = p.columnsOf()
	return r, nil
}

// end gives the statement back.
func (r *rows) end(p *prepared) error {
	err := r.c.giveBack(p, r.s)
	if p.plain {
		r.c.keeper.End()
	}
	return err
}

// Columns returns the names, a copy since database/sql hands them on.
func (r *rows) Columns() []string {
	if r.cols == nil {
		return nil
	}
	return slices.Clone(r.cols.names)
}

// Next fetches a row. What it returns is the caller's, and stays valid.
func (r *rows) Next(dest []sqldriver.Value) (err error) {
	if r.p == nil {
		return io.EOF
	}
	old, err := r.c.enterRead(r.ctx)
	if err != nil {
		return err
	}
	defer r.c.leave(old, &err)
	if !r.pending && !r.ended {
		r.ended = !r.p.Step()
		if err := r.p.Err(); err != nil {
			r.failed = true
			return err
		}
	}
	r.pending = false
	if r.ended {
		return io.EOF
	}
	return r.read(dest)
}

// read copies the row that the statement stands on.
func (r *rows) read(dest []sqldriver.Value) error {
	vals := r.p.vals
	// What is left in them would be kept alive, and Columns write into a []byte
	// that the caller has.
	defer clear(vals)
	if err := r.p.Stmt.Columns(vals...); err != nil {
		return err
	}
	for i, v := range vals {
		if b, ok := v.([]byte); ok && b == nil {
			v = []byte{} // an empty BLOB is not NULL
		}
		if k := r.cols.kinds[i]; k != kindAny {
			v = r.c.convert(k, v)
		}
		dest[i] = v
	}
	return nil
}

// Close ends the statement. One that has rows left may commit only now (INSERT
// … RETURNING), so its error counts; a context that is done is no reason to
// stop that.
func (r *rows) Close() (err error) {
	p := r.p
	if p == nil {
		return nil
	}
	r.p = nil
	old, err := r.c.enterRead(context.Background())
	if err != nil {
		return nil // the connection is gone, and its statements with it
	}
	defer r.c.leave(old, &err)
	if err := r.end(p); err != nil && !r.failed {
		return err
	}
	return nil
}
