// This file runs SQL text: Exec and Query without a prepared statement.

package driver

import (
	"context"
	sqldriver "database/sql/driver"
)

// ExecContext runs all statements of the text.
func (c *conn) ExecContext(ctx context.Context, query string, args []sqldriver.NamedValue) (_ sqldriver.Result, err error) {
	old, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer c.leave(old, &err)
	p, err := c.runToLast(query, args)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return result{}, nil
	}
	res, err := c.exec(p)
	if err2 := c.release(p); err == nil {
		err = err2
	}
	return res, err
}

// QueryContext runs all statements of the text and returns the rows of the last.
func (c *conn) QueryContext(ctx context.Context, query string, args []sqldriver.NamedValue) (_ sqldriver.Rows, err error) {
	old, err := c.enterRead(ctx)
	if err != nil {
		return nil, err
	}
	defer c.leave(old, &err)
	p, err := c.runToLast(query, args)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return &rows{}, nil
	}
	return c.query(ctx, p, nil)
}

// runToLast runs all statements of the text but the last, which it returns with
// its arguments bound. It returns nil if the text has no statement.
func (c *conn) runToLast(query string, args []sqldriver.NamedValue) (*prepared, error) {
	a, err := newArguments(args)
	if err != nil {
		return nil, err
	}
	p, tail, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	only := tail == ""
	if !only {
		c.keeper.Drop()
		if err := a.checkNames(query); err != nil {
			return nil, c.discard(p, err)
		}
	}
	for {
		if p == nil {
			return nil, a.refuseAll()
		}
		last := tail == ""
		if err := c.bind(p, &a, last, only); err != nil {
			return nil, c.discard(p, err)
		}
		if last {
			return p, nil
		}
		if err := p.Exec(); err != nil {
			return nil, c.discard(p, err)
		}
		if err := c.release(p); err != nil {
			return nil, err
		}
		if p, tail, err = c.prepare(tail); err != nil {
			return nil, err
		}
	}
}

// discard releases p after the error that it returns.
func (c *conn) discard(p *prepared, err error) error {
	_ = c.release(p) // repeats err, or was not run
	return err
}

// result is the outcome of one statement.
type result struct{ id, rows int64 }

func (r result) LastInsertId() (int64, error) { return r.id, nil }
func (r result) RowsAffected() (int64, error) { return r.rows, nil }

// exec runs a bound statement to its end.
//
// SQLite's counters keep the figures of earlier statements, so a statement that
// changed nothing, such as CREATE TABLE, would report those of the one before.
// The total says whether this one changed anything. (It is not set to 0 first,
// nor is the last rowid: SQL may still ask for it.)
func (c *conn) exec(p *prepared) (result, error) {
	before := c.db.TotalChanges()
	if err := p.Exec(); err != nil {
		return result{}, err
	}
	if c.db.TotalChanges() == before {
		return result{}, nil
	}
	n := c.db.Changes()
	if n == 0 { // all of it was done by triggers
		return result{}, nil
	}
	return result{id: c.db.LastInsertRowID(), rows: n}, nil
}
