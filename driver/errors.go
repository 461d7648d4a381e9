// This file has the errors that the driver makes of SQLite's. SQLite's own (a
// *sqlite3.Error, or the bare code where SQLite has no text) stays in the chain.

package driver

import (
	"context"
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"
)

// errTxGone is the error of a Commit that finds no transaction.
var errTxGone = errors.New("walnut: nothing to commit: the transaction is no longer active" +
	" (an earlier error rolled it back, or COMMIT or ROLLBACK was run as SQL)")

// wrapError adds to an error of SQLite what the caller cannot see in it: that
// its own context was the cause, or what "database is locked" stands for.
func wrapError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var code sqlite3.ExtendedErrorCode
	if !errors.As(err, &code) {
		return err
	}
	switch {
	case code == sqlite3.BUSY_SNAPSHOT:
		return &staleError{err}
	case code.Code() == sqlite3.INTERRUPT, code.Code() == sqlite3.BUSY:
		// A cancelled wait for a lock is BUSY to SQLite: the busy handler
		// gave up because of the context.
		if ctx.Err() != nil {
			return &interruptError{sqlite: err, ctx: ctx.Err(), cause: context.Cause(ctx)}
		}
	}
	return err
}

// interruptError is a statement that its context ended. It matches
// sqlite3.INTERRUPT, the context's error and its cause.
type interruptError struct {
	sqlite, ctx, cause error
}

func (e *interruptError) Error() string {
	what := "interrupted"
	if errors.Is(e.sqlite, sqlite3.BUSY) {
		what = "interrupted while waiting for a lock"
	}
	return fmt.Sprintf("walnut: %s: %v", what, e.cause)
}

func (e *interruptError) Unwrap() []error { return []error{e.sqlite, e.ctx, e.cause} }

func (e *interruptError) Is(target error) bool { return target == sqlite3.INTERRUPT }

// staleError is BUSY_SNAPSHOT, which SQLite words as "database is locked".
type staleError struct{ err error }

func (e *staleError) Error() string {
	return "walnut: the transaction's snapshot is stale: another connection has committed since it first read;" +
		" roll it back and run it again (or begin with BEGIN IMMEDIATE, _txlock=immediate)"
}

func (e *staleError) Unwrap() error { return e.err }

// memoryError is an allocation that failed in a connection's SQLite heap. It
// matches sqlite3.NOMEM.
type memoryError struct{ err error }

func (e *memoryError) Error() string {
	return "walnut: SQLite's memory for this connection is used up (see driver.WithMaxMemory);" +
		" the connection is not used again: " + e.err.Error()
}

func (e *memoryError) Unwrap() error { return e.err }

func (e *memoryError) Is(target error) bool { return target == sqlite3.NOMEM }
