// This file registers the driver and opens connections.

package driver

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"
)

// Name is the name that the driver is registered under.
const Name = "walnut"

func init() { sql.Register(Name, Driver{}) }

// Driver is the registered [sqldriver.Driver].
type Driver struct{}

var (
	_ sqldriver.DriverContext = Driver{}
	_ sqldriver.Connector     = (*Connector)(nil)
	_ io.Closer               = (*Connector)(nil)
)

// OpenConnector parses the data source name. It opens no file.
func (Driver) OpenConnector(name string) (sqldriver.Connector, error) {
	return NewConnector(name)
}

// Open opens a single connection. [database/sql] uses OpenConnector instead.
func (Driver) Open(name string) (sqldriver.Conn, error) {
	n, err := NewConnector(name)
	if err != nil {
		return nil, err
	}
	c, err := n.open(context.Background())
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	c.onClose = n.Close
	return c, nil
}

// Option changes how a [Connector] opens connections.
type Option func(*Connector)

// WithInit has f called on each new connection, after the pragmas of the data
// source name, for functions, collations, hooks, or settings. If it fails the
// connection is closed and the error returned. It may be given several times.
func WithInit(f func(*sqlite3.Conn) error) Option {
	return func(n *Connector) { n.inits = append(n.inits, f) }
}

// The default limits of a connection's SQLite heap. On 64 bits it is all that
// SQLite's 32-bit addresses reach: only addresses are reserved, and a lower
// limit would fail large transactions, whose undo journal is in the heap.
const (
	defaultMaxMemory64 int64 = 4 << 30
	defaultMaxMemory32 int64 = 128 << 20
)

// WithMaxMemory limits the SQLite heap of each connection, which holds its page
// cache, the undo journal of its transaction, sorters, and in-memory databases.
// The default is 4 GiB, which is also the most (128 MiB on 32-bit systems).
func WithMaxMemory(bytes int64) Option {
	return func(n *Connector) { n.maxMemory = bytes }
}

var errClosed = errors.New("walnut: the connector is closed")

// Connector opens connections to one database, for [sql.OpenDB]. From its first
// connection until Close it keeps the database's engine open, so that a pool
// may drop its last idle connection without closing the log.
type Connector struct {
	dsn       dsn
	uri       string // what SQLite opens
	inits     []func(*sqlite3.Conn) error
	maxMemory int64

	mu      sync.Mutex
	closed  bool
	release func() error // nil: the engine is not held
}

// NewConnector returns a connector for a data source name, whose form the
// package comment describes. It opens no file.
func NewConnector(name string, opts ...Option) (*Connector, error) {
	d, err := parseDSN(name)
	if err != nil {
		return nil, err
	}
	if d.memory {
		d.path = memoryPath(d.path)
	} else if d.path, err = filepath.Abs(d.path); err != nil {
		// A later chdir must not send half of a pool to another file.
		return nil, fmt.Errorf("walnut: %w", err)
	}
	n := &Connector{dsn: d, uri: sqliteURI(d), maxMemory: defaultMaxMemory64}
	if strconv.IntSize < 64 {
		n.maxMemory = defaultMaxMemory32
	}
	for _, o := range opts {
		o(n)
	}
	if n.maxMemory <= 0 || n.maxMemory > defaultMaxMemory64 {
		return nil, fmt.Errorf("walnut: WithMaxMemory(%d): allowed are 1 byte to 4 GiB", n.maxMemory)
	}
	return n, nil
}

// sqliteURI spells the name for SQLite, with nothing in it but what it needs:
// the wrapper would run _pragma itself, before our busy timeout is set.
func sqliteURI(d dsn) string {
	name := strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(filepath.ToSlash(d.path))
	if strings.HasPrefix(name, "//") { // else read as a host
		name = "//" + name
	}
	mode, vfs := "rwc", vfsName
	switch {
	case d.memory:
		vfs = memoryVFSName
	case d.readOnly:
		mode = "ro"
	case d.noCreate:
		mode = "rw"
	}
	uri := "file:" + name + "?mode=" + mode + "&vfs=" + vfs
	if d.immutable {
		uri += "&immutable=1"
	}
	return uri
}

// unnamed counts memory databases without a name.
var unnamed atomic.Int64

// memoryPath is the path of a memory database: the one that all who give the
// same name share, or a new one that only this connector's pool has.
func memoryPath(name string) string {
	if name == "" {
		return fmt.Sprintf("%sunnamed/%d", memoryRoot, unnamed.Add(1))
	}
	return path.Join(memoryRoot, "named", path.Join("/", filepath.ToSlash(name)))
}

// Driver returns the driver; database/sql asks for it.
func (n *Connector) Driver() sqldriver.Driver { return Driver{} }

// Connect opens a connection. The first one opens the database's engine and
// recovers its log.
func (n *Connector) Connect(ctx context.Context) (sqldriver.Conn, error) {
	c, err := n.open(ctx)
	if err != nil {
		return nil, err // not a nil *conn in an interface
	}
	return c, nil
}

// Close lets the engine go; it closes with its last connection. The error of
// that close, if this is the last use, is returned. [sql.DB.Close] calls it.
func (n *Connector) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	release := n.release
	n.release = nil
	if release == nil {
		return nil
	}
	return release()
}

// hold keeps the engine open for all connections. It is called beside an open
// connection, so it has nothing to recover, and what is wrong with a file was
// reported through SQLite, with its code.
func (n *Connector) hold() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return errClosed
	}
	if n.release != nil {
		return nil
	}
	release, err := holdEngine(&n.dsn)
	if err != nil {
		return fmt.Errorf("walnut: cannot open %s: %w", n.dsn.path, err)
	}
	n.release = release
	return nil
}

// check refuses what need not be tried.
func (n *Connector) check() error {
	n.mu.Lock()
	closed := n.closed
	n.mu.Unlock()
	if closed {
		return errClosed
	}
	if n.dsn.memory {
		return nil
	}
	return n.checkPath()
}

// checkPath turns the likely mistakes into errors that name them; SQLite says
// "unable to open database file" to all.
func (n *Connector) checkPath() error {
	dir := filepath.Dir(n.dsn.path)
	switch info, err := os.Stat(dir); {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("walnut: the directory %s does not exist: %w", dir, os.ErrNotExist)
	case err != nil:
		return fmt.Errorf("walnut: %w", err)
	case !info.IsDir():
		return fmt.Errorf("walnut: %s is not a directory", dir)
	}
	switch info, err := os.Stat(n.dsn.path); {
	case err == nil && info.IsDir():
		return fmt.Errorf("walnut: %s is a directory, not a database", n.dsn.path)
	case n.dsn.noCreate && errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("walnut: %s does not exist, and mode=%s does not create it: %w", n.dsn.path, map[bool]string{false: "rw", true: "ro"}[n.dsn.readOnly], os.ErrNotExist)
	}
	return nil
}

// open opens and prepares one connection, or leaves nothing behind.
func (n *Connector) open(ctx context.Context) (_ *conn, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := n.check(); err != nil {
		return nil, err
	}
	c := &conn{txLock: n.dsn.txLock, times: n.dsn.times}
	c.tx.c = c
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	defer c.rescue(&err)
	c.db, err = sqlite3.OpenContext(sqlite3.WithMaxMemory(ctx, n.maxMemory), n.uri)
	if err != nil {
		return nil, wrapError(ctx, fmt.Errorf("walnut: cannot open %s: %w", n.dsn.display(), err))
	}
	c.keeper = newKeeper(c.db)
	if err := n.hold(); err != nil {
		return nil, err
	}
	defer c.db.SetInterrupt(c.db.SetInterrupt(ctx))
	return c, wrapError(ctx, n.setup(c))
}

// display is the database's name in errors.
func (d dsn) display() string {
	if d.memory {
		return "a memory database"
	}
	return d.path
}

// setup sets what the data source name and the options say.
func (n *Connector) setup(c *conn) error {
	if err := c.db.BusyTimeout(n.dsn.busy); err != nil {
		return err
	}
	if err := initConn(c.db); err != nil {
		return err
	}
	if err := n.runPragmas(c.db); err != nil {
		return err
	}
	for _, f := range n.inits {
		if err := f(c.db); err != nil {
			return fmt.Errorf("walnut: initializing the connection: %w", err)
		}
	}
	return nil
}

func (n *Connector) runPragmas(db *sqlite3.Conn) error {
	if len(n.dsn.pragmas) == 0 {
		return nil
	}
	known, err := knownPragmas(db)
	if err != nil {
		return err
	}
	for _, p := range n.dsn.pragmas {
		// SQLite ignores a pragma it does not know, and a typo with it.
		if name := pragmaName(p); !known[name] && !strings.HasPrefix(name, "walnut_") {
			return fmt.Errorf("walnut: parameter _pragma=%s: SQLite has no pragma %s", p, name)
		}
		if err := db.Exec("PRAGMA " + p); err != nil {
			return fmt.Errorf("walnut: parameter _pragma=%s: %w", p, err)
		}
	}
	return nil
}

// knownPragmas asks SQLite for the pragmas it has.
func knownPragmas(db *sqlite3.Conn) (map[string]bool, error) {
	s, _, err := db.Prepare("PRAGMA pragma_list")
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool)
	for s.Step() {
		known[s.ColumnText(0)] = true
	}
	return known, errors.Join(s.Err(), s.Close())
}
