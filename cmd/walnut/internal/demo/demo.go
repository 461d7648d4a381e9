// Package demo is the application of the command "walnut demo": notes over
// database/sql on Walnut's driver, under load from readers and writers that
// overlap, with the page of walnutweb beside it. The limit of the log is small, so
// that what happens at it happens within seconds.
//
// Nothing outlives [Demo.Stop]: no goroutine, no connection, and no file, if the
// directory was not given.
package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/walnutdb/walnut"
	_ "github.com/walnutdb/walnut/driver" // registers "walnut"
)

// Options of [Start].
type Options struct {
	// Addr to listen at, as host:port; port 0 is a free one.
	Addr string
	// Dir keeps the database; "" is a temporary directory, which Stop removes.
	Dir string
}

// MaxLogSize is the limit of the log, in bytes.
const MaxLogSize = 4 << 20

// Demo is an application that runs.
type Demo struct {
	// URL of the application, without a slash at its end; File the database.
	URL, File string
	// DB is beside the application's connections.
	DB *walnut.DB

	dir    string // to be removed, or ""
	sql    *sql.DB
	server *http.Server
	cancel context.CancelFunc
	failed chan error
	wg     sync.WaitGroup // the load, and the server
}

// Start begins to listen and to load the database. The caller calls Stop.
func Start(o Options) (d *Demo, err error) {
	d = &Demo{failed: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Stop())
			d = nil
		}
	}()
	// First, since it is what fails.
	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return d, err
	}
	if err := d.open(o.Dir); err != nil {
		listener.Close()
		return d, err
	}
	if err := d.fill(ctx); err != nil {
		listener.Close()
		return d, err
	}
	d.URL = "http://" + listener.Addr().String()
	d.server = &http.Server{Handler: d.handler(), ReadHeaderTimeout: 10 * time.Second}
	d.wg.Go(func() {
		if err := d.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			d.fail(err)
		}
	})
	d.load(ctx)
	return d, nil
}

// drain waits, for a bounded time, until the last connection is closed: package
// database/sql closes one whose transaction was cancelled when that has been rolled
// back, which may be after Close. Only the last to close the database removes its log.
func drain(db *sql.DB) {
	for range 10_000 {
		if db.Stats().OpenConnections == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// open opens the database in dir, twice: for the application, and for what looks
// at it.
func (d *Demo) open(dir string) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "walnut-demo-"); err != nil {
			return err
		}
		d.dir = dir
	} else if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if d.File, err = filepath.Abs(filepath.Join(dir, "notes.db")); err != nil {
		return err
	}
	if d.DB, err = walnut.Open(d.File, &walnut.Options{MaxLogSize: MaxLogSize}); err != nil {
		return err
	}
	name := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(d.File)}
	d.sql, err = sql.Open("walnut", name.String()+"?_txlock=immediate")
	return err
}

// fail notes the first failure.
func (d *Demo) fail(err error) {
	select {
	case d.failed <- err:
	default:
	}
}

// Failed receives what the server or the load could not do: then the demo is to be
// stopped.
func (d *Demo) Failed() <-chan error { return d.failed }

// Stop ends everything and waits for it.
func (d *Demo) Stop() error {
	var errs []error
	d.cancel()
	if d.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		if d.server.Shutdown(ctx) != nil {
			d.server.Close() // a page that is still being answered
		}
		cancel()
	}
	d.wg.Wait()
	if d.sql != nil {
		errs = append(errs, d.sql.Close())
		drain(d.sql)
	}
	if d.DB != nil {
		errs = append(errs, d.DB.Close())
	}
	if d.dir != "" {
		errs = append(errs, os.RemoveAll(d.dir))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop the demo: %w", err)
	}
	return nil
}
