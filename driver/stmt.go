// This file is the statement that a program prepares itself.

package driver

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
)

// stmt is a prepared statement of database/sql. Its p is out of the
// connection's cache until Close.
type stmt struct {
	c      *conn
	p      *prepared // nil: the text has no statement, or closed
	inUse  bool      // p belongs to open rows
	closed bool
}

var (
	_ sqldriver.StmtExecContext   = (*stmt)(nil)
	_ sqldriver.StmtQueryContext  = (*stmt)(nil)
	_ sqldriver.NamedValueChecker = (*stmt)(nil)
)

// Prepare is the form without a context, which database/sql does not use.
func (c *conn) Prepare(query string) (sqldriver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext prepares a single statement.
func (c *conn) PrepareContext(ctx context.Context, query string) (_ sqldriver.Stmt, err error) {
	old, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer c.leave(old, &err)
	p, tail, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	if tail != "" {
		return nil, c.discard(p, errors.New("walnut: Prepare takes one statement, the text has more: "+
			"run it with Exec or Query"))
	}
	return &stmt{c: c, p: p}, nil
}

// CheckNamedValue is the connection's.
func (s *stmt) CheckNamedValue(arg *sqldriver.NamedValue) error { return s.c.CheckNamedValue(arg) }

// NumInput leaves the check to bind, whose errors say more.
func (s *stmt) NumInput() int { return -1 }

// Close gives the statement back to the connection, after its rows.
func (s *stmt) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	if s.p == nil || s.inUse || !s.c.usable() {
		return nil
	}
	s.c.cache.put(s.p)
	s.p = nil
	return nil
}

// ExecContext runs the statement.
func (s *stmt) ExecContext(ctx context.Context, args []sqldriver.NamedValue) (_ sqldriver.Result, err error) {
	old, err := s.c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer s.c.leave(old, &err)
	p, of, err := s.bound(args)
	if err != nil || p == nil {
		return result{}, err
	}
	res, err := s.c.exec(p)
	if err2 := s.c.giveBack(p, of); err == nil {
		err = err2
	}
	return res, err
}

// QueryContext runs the statement to its first row.
func (s *stmt) QueryContext(ctx context.Context, args []sqldriver.NamedValue) (_ sqldriver.Rows, err error) {
	old, err := s.c.enterRead(ctx)
	if err != nil {
		return nil, err
	}
	defer s.c.leave(old, &err)
	p, of, err := s.bound(args)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return &rows{}, nil
	}
	return s.c.query(ctx, p, of)
}

// bound returns the statement with its arguments, and whose it is. While rows of
// s are open, in a transaction, it is another copy, and the connection's.
func (s *stmt) bound(args []sqldriver.NamedValue) (p *prepared, of *stmt, err error) {
	if s.closed {
		return nil, nil, errors.New("walnut: the statement is closed")
	}
	a, err := newArguments(args)
	if err != nil {
		return nil, nil, err
	}
	if s.p == nil {
		return nil, nil, a.refuseAll()
	}
	p, of = s.p, s
	if s.inUse {
		if p, _, err = s.c.prepare(s.p.sql); err != nil {
			return nil, nil, err
		}
		of = nil
	} else {
		s.inUse = true
	}
	if err := s.c.bind(p, &a, true, true); err != nil {
		_ = s.c.giveBack(p, of) // nothing has run
		return nil, nil, err
	}
	return p, of, nil
}

// giveBack ends the use of a statement that is of's, or else the connection's.
func (c *conn) giveBack(p *prepared, of *stmt) error {
	if of != nil {
		return of.done(p)
	}
	return c.release(p)
}

// done ends a use of s.p.
func (s *stmt) done(p *prepared) error {
	s.inUse = false
	if s.closed {
		s.p = nil
		return s.c.release(p)
	}
	err := p.Reset()
	if p.nparams > 0 {
		_ = p.ClearBindings()
	}
	return err
}

// Exec is the form without a context, which database/sql does not use.
func (s *stmt) Exec(args []sqldriver.Value) (sqldriver.Result, error) {
	return s.ExecContext(context.Background(), namedValues(args))
}

// Query is the form without a context, which database/sql does not use.
func (s *stmt) Query(args []sqldriver.Value) (sqldriver.Rows, error) {
	return s.QueryContext(context.Background(), namedValues(args))
}

func namedValues(args []sqldriver.Value) []sqldriver.NamedValue {
	named := make([]sqldriver.NamedValue, len(args))
	for i, v := range args {
		named[i] = sqldriver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return named
}
