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
	p       *prepared             // nil: closed
	done    func(*prepared) error // takes p back
	cols    *columns
	vals    []any // reused for each row
	pending bool  // the statement stands on a row that Next has not returned
	ended   bool  // the last step found no row; another would run it again
	failed  bool  // the last step's error has been returned
}

var (
	_ sqldriver.RowsColumnTypeDatabaseTypeName = (*rows)(nil)
	_ sqldriver.RowsColumnTypeNullable         = (*rows)(nil)
	_ sqldriver.RowsColumnTypeScanType         = (*rows)(nil)
)

// query runs a bound statement to its first row; done takes it back, nil is
// c.release. The first step is not left to Next: it shows errors now, and only
// after it the columns of a statement that was kept are sure to be those of
// today's schema.
func (c *conn) query(ctx context.Context, p *prepared, done func(*prepared) error) (*rows, error) {
	if done == nil {
		done = c.release
	}
	r := &rows{c: c, ctx: ctx, p: p, done: done}
	r.pending = p.Step()
	r.ended = !r.pending
	if err := p.Err(); err != nil {
		_ = done(p) // repeats the error
		return nil, err
	}
	r.cols = p.columnsOf()
	r.vals = make([]any, len(r.cols.names))
	return r, nil
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
	old, err := r.c.enter(r.ctx)
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
	clear(r.vals) // else Columns writes into the []byte of the row before
	if err := r.p.Stmt.Columns(r.vals...); err != nil {
		return err
	}
	for i, v := range r.vals {
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
	old, err := r.c.enter(context.Background())
	if err != nil {
		return nil // the connection is gone, and its statements with it
	}
	defer r.c.leave(old, &err)
	if err := r.done(p); err != nil && !r.failed {
		return err
	}
	return nil
}
