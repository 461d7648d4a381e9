package main

// This file opens the engine for the commands that need it.

import (
	"context"
	"errors"
	"strings"
	"time"

	walnutdb "github.com/walnutdb/walnut"
)

// busyPause is the time between two attempts to open a database that another
// process has. There is nothing to wait on: its lock is a byte of a file.
const busyPause = 20 * time.Millisecond

// openEngine opens a database. While another process has it, it tries again
// until timeout has passed.
func openEngine(ctx context.Context, file string, o walnutdb.Options, timeout time.Duration) (*walnutdb.DB, error) {
	o.BusyTimeout = timeout
	if timeout <= 0 {
		o.BusyTimeout = -1 // zero would be the default
	}
	deadline := time.Now().Add(timeout)
	for {
		db, err := walnutdb.Open(file, &o)
		if err == nil {
			return db, nil
		}
		if !errors.Is(err, walnutdb.ErrBusy) || !time.Now().Before(deadline) {
			return nil, withoutPrefix(err)
		}
		select {
		case <-time.After(busyPause):
		case <-ctx.Done():
			return nil, withoutPrefix(err)
		}
	}
}

// withoutPrefix drops the name that the program puts before every error anyway.
func withoutPrefix(err error) error {
	if err == nil || !strings.HasPrefix(err.Error(), walnutPrefix) {
		return err
	}
	return shortError{err}
}

const walnutPrefix = "walnut: "
