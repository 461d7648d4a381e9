// A Store is one open database: the files, the log, and what all connections
// of this process share. Opening a file that is open already gives the same
// Store, whatever path led to it.

package pager

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/wal"
)

// Options of [Open].
type Options struct {
	// FS is where the files are; nil is the operating system's.
	FS disk.FS
	// PageSize of a database that is created, in bytes; 0 is 4096.
	PageSize int
	// MustExist refuses to create a database.
	MustExist bool
	// ReadOnly opens for reading: the database must exist, and this Open does
	// not make the last Close copy and remove the log. Others may still write.
	ReadOnly bool
	// Immutable, with ReadOnly, opens without any lock and writes nothing at
	// all, for files that nobody can change while they are open.
	Immutable bool
	// TxBytes bounds the dirty pages of one transaction in memory, of a store
	// that is not open yet; what is more is spilled to the log. 0 is
	// DefaultTxBytes.
	TxBytes int64
	// PoolBytes bounds the buffer pool of a store that is not open yet; 0 is
	// DefaultPoolBytes.
	PoolBytes int64
	// Limits of the log. A zero field is its default, or what another Open has set,
	// a negative one none.
	Limits wal.Limits
}

// Defaults of Options.Limits.
const (
	DefaultMaxLogBytes = 64 << 20
	DefaultWriterHold  = 200 * time.Millisecond
	DefaultReaderGrace = time.Second
)

func withDefaultLimits(l wal.Limits) wal.Limits {
	if l.LogBytes == 0 {
		l.LogBytes = DefaultMaxLogBytes
	}
	if l.WriterHold == 0 {
		l.WriterHold = DefaultWriterHold
	}
	if l.ReaderGrace == 0 {
		l.ReaderGrace = DefaultReaderGrace
	}
	return l
}

// DefaultPageSize of a new database, in bytes, as SQLite's.
const DefaultPageSize = 4096

// Store is an open database. It is safe for concurrent use. Each successful
// Open must be matched by one Close.
type Store struct {
	path string
	fsys disk.FS
	db   disk.File
	log  *wal.Log
	// entry in the registry.
	entry *entry

	// baseCounter is the change counter on page 1 when the store was opened. It
	// changes under the writer's place while the database is empty (countFrom).
	baseCounter uint32
	// convert: page 1 says rollback mode; the next commit changes that.
	// Guarded by the writer's place.
	convert bool

	// written: somebody opened the store for writing. Guarded by registry.mu.
	written bool
	// txBytes: see Options.TxBytes.
	txBytes int64
	// poolBytes is the bound of the buffer pool, which is made when the page
	// size is known for good.
	poolBytes int64
	buffers   atomic.Pointer[pool]
	// unmarked counts the transactions that hold no read mark: writers.
	unmarked atomic.Int64
	counts   poolCounts
}

// Path is the database's absolute path, without symbolic links.
func (s *Store) Path() string { return s.path }

// Log gives the log for checkpoints and statistics.
func (s *Store) Log() *wal.Log { return s.log }

// PageSize in bytes.
func (s *Store) PageSize() int { return s.log.PageSize() }

// pool returns the buffer pool. The database is not empty, or about to cease to
// be: its page size does not change any more.
func (s *Store) pool() *pool {
	if p := s.buffers.Load(); p != nil {
		return p
	}
	s.buffers.CompareAndSwap(nil, newPool(s.poolBytes, s.PageSize()))
	return s.buffers.Load()
}

// OpenTransactions counts transactions that have not ended.
func (s *Store) OpenTransactions() int {
	c := s.log.Coordinator()
	inFile, inLog := c.Readers()
	return int(s.unmarked.Load()) + inFile + inLog + len(c.Detached())
}

type storeKey struct {
	fsys      disk.FS
	id        disk.FileID
	immutable bool
}

// entry is a store in the registry, from before it is open until after it is
// closed.
type entry struct {
	key storeKey
	// path of the database, without symbolic links.
	path string
	// ready is closed when store and err are set.
	ready chan struct{}
	store *Store
	err   error
	// refs counts Opens; 0 means that it is closing. Guarded by registry.mu.
	refs int
	// unstableIDs: see [wal.StableIDs]. Other opens find the entry by its path.
	unstableIDs bool
	// gone is closed when the files are closed.
	gone chan struct{}
}

// registry has the open databases of this process. Its mutex is taken before
// all other locks, and held over no IO but opening and creating a file (and
// reading the log that may lie where a database is to be created).
var registry = struct {
	mu sync.Mutex
	m  map[storeKey]*entry
}{m: map[storeKey]*entry{}}

// Open opens the database at path, creating it if it is not there. It fails
// with coord.ErrBusy if another process uses the file, and with ErrNotDatabase,
// wal.ErrCorrupt or ErrHotJournal if it must be refused; then nothing on disk
// has changed.
func Open(path string, o Options) (*Store, error) {
	if o.FS == nil {
		o.FS = disk.OS()
	}
	if o.PoolBytes <= 0 {
		o.PoolBytes = DefaultPoolBytes
	}
	if o.TxBytes <= 0 {
		o.TxBytes = DefaultTxBytes
	}
	o.MustExist = o.MustExist || o.ReadOnly
	o.Immutable = o.Immutable && o.ReadOnly
	real, err := o.FS.Resolve(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	for {
		e, mine, err := lookup(real, o)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", path, err)
		}
		if e == nil {
			continue
		}
		if mine != nil {
			e.store, e.err = openStore(o, real, mine, e.unstableIDs)
			if e.err != nil {
				registry.mu.Lock()
				delete(registry.m, e.key)
				registry.mu.Unlock()
				close(e.gone)
			} else {
				e.store.entry = e
			}
			close(e.ready)
		}
		<-e.ready
		if e.err == nil && mine == nil && o.Limits != (wal.Limits{}) {
			e.store.log.SetLimits(o.Limits)
		}
		if e.err == nil && !o.ReadOnly {
			registry.mu.Lock()
			e.store.written = true
			registry.mu.Unlock()
		}
		return e.store, e.err
	}
}

// lookup returns the entry of the file, with one more reference. If the file
// was not open, it returns the file opened, for the caller to go on with. All
// nil means: try again.
func lookup(real string, o Options) (*entry, disk.File, error) {
	registry.mu.Lock()
	info, err := o.FS.Stat(real)
	e := namesake(o.FS, real)
	if e != nil && e.unstableIDs && err == nil && !o.Immutable {
		info.ID = e.key.id
	}
	if e != nil && (err == nil && e.key.id != info.ID || errors.Is(err, fs.ErrNotExist)) {
		closing := e.refs == 0
		registry.mu.Unlock()
		if closing { // and removing the file, maybe
			<-e.gone
			return nil, nil, nil
		}
		return nil, nil, fmt.Errorf("%w: it is still open here, and its log would be used for another file: close it first", wal.ErrMoved)
	}
	if err == nil {
		if e := registry.m[storeKey{o.FS, info.ID, o.Immutable}]; e != nil {
			closing := e.refs == 0
			if !closing {
				if err := e.stillNamed(real, o); err != nil {
					registry.mu.Unlock()
					return nil, nil, err
				}
				e.refs++
			}
			registry.mu.Unlock()
			if closing {
				<-e.gone
				return nil, nil, nil
			}
			return e, nil, nil
		}
	}
	defer registry.mu.Unlock()
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) || o.MustExist {
			return nil, nil, err
		}
		if err := refuseOrphanLog(o.FS, real); err != nil {
			return nil, nil, err
		}
	}
	f, err := o.FS.Open(real, openFlag(o))
	if o.ReadOnly && errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: even reading needs an exclusive lock, which takes the right to write; open it as immutable if nobody changes it", err)
	}
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	e = &entry{key: storeKey{o.FS, info.ID, o.Immutable}, path: real, unstableIDs: !wal.StableIDs(o.FS, real, f), ready: make(chan struct{}), gone: make(chan struct{}), refs: 1}
	registry.m[e.key] = e
	return e, f, nil
}

// namesake returns the entry of a file that was opened under this name, and may
// have another by now, if it uses the log. REQUIRES registry.mu.
func namesake(fsys disk.FS, path string) *entry {
	for key, e := range registry.m {
		if key.fsys == fsys && !key.immutable && e.path == path {
			return e
		}
	}
	return nil
}

// stillNamed refuses an entry that is to be opened under another name, because
// it was renamed: the log has its old name.
func (e *entry) stillNamed(path string, o Options) error {
	if path == e.path {
		return nil
	}
	if info, err := o.FS.Stat(e.path); errors.Is(err, fs.ErrNotExist) || err == nil && info.ID != e.key.id {
		return fmt.Errorf("%w: it is still open here as %s: close it first, and rename the log with it", wal.ErrMoved, e.path)
	}
	return nil
}

func openFlag(o Options) disk.OpenFlag {
	switch {
	case o.Immutable:
		return disk.ReadOnly
	case o.MustExist:
		return 0
	}
	return disk.Create
}

// Close gives up one Open. The last one copies the log into the database file
// and removes it; it is refused with ErrTxOpen while transactions are open.
// After any other error the files are closed all the same, and the next Open
// recovers what the log still has.
func (s *Store) Close() error { return s.close(false) }

// CloseAndRemove is Close; the last one of the store removes the database too.
func (s *Store) CloseAndRemove() error { return s.close(true) }

func (s *Store) close(remove bool) error {
	e := s.entry
	registry.mu.Lock()
	if e.refs == 1 {
		if n := s.OpenTransactions(); n > 0 {
			registry.mu.Unlock()
			return fmt.Errorf("close %s: %w (%d)", s.path, ErrTxOpen, n)
		}
	}
	e.refs--
	last, written := e.refs == 0, s.written
	registry.mu.Unlock()
	if !last {
		return nil
	}
	s.assertPool()
	err := s.log.Close(written)
	if remove && err == nil {
		err = s.log.CheckDB() // what is there now may be somebody else's
	}
	if cerr := s.db.Close(); err == nil {
		err = cerr
	}
	if remove && err == nil {
		err = s.fsys.Remove(s.path)
	}
	registry.mu.Lock()
	delete(registry.m, e.key)
	registry.mu.Unlock()
	close(e.gone)
	if err != nil {
		return fmt.Errorf("close %s: %w", s.path, err)
	}
	return nil
}

// Published is the newest state that new transactions see.
func (s *Store) Published() coord.Snapshot { return s.log.Coordinator().Published().Snapshot }
