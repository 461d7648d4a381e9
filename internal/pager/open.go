// From an open file to a store: keep others out, look at everything, refuse
// what must be refused without having changed a byte, and only then recover.

package pager

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

// refuseOrphanLog refuses to create a database beside a log with commits: they
// would be lost.
func refuseOrphanLog(fsys disk.FS, path string) error {
	rec, err := wal.Inspect(fsys, path+"-wal", disk.ReadOnly)
	if rec != nil {
		defer func() { _ = rec.Close() }()
	}
	if err != nil {
		return err
	}
	if rec.Scan.Committed > 0 {
		return orphanLog(path, "is missing", rec)
	}
	return nil
}

func orphanLog(path, what string, rec *wal.Recovered) error {
	return fmt.Errorf("%w: %s %s, but its log %s-wal holds %d committed transactions of a database of %d pages; put the database file back, or move the log away to begin anew",
		wal.ErrCorrupt, filepath.Base(path), what, filepath.Base(path), rec.Scan.Transactions, rec.Scan.DBSize)
}

// openStore opens the store of an open file, which it closes on an error.
func openStore(o Options, path string, db disk.File, unstableIDs bool) (*Store, error) {
	s, err := openLocked(o, path, db, unstableIDs)
	if err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return s, nil
}

func openLocked(o Options, path string, db disk.File, unstableIDs bool) (*Store, error) {
	info, err := db.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode.IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if info.Links > 1 {
		return nil, fmt.Errorf("the file has %d names (hard links), and its log would belong to one of them only: remove the others", info.Links)
	}
	if !o.Immutable {
		if err := coord.Exclude(db); err != nil {
			return nil, err
		}
	}
	// The size may have changed until the lock was there.
	size, err := db.Size()
	if err != nil {
		return nil, err
	}
	if err := refuseHotJournal(o.FS, path, size); err != nil {
		return nil, err
	}
	rec, err := wal.Inspect(o.FS, path+"-wal", openFlag(o)&disk.ReadOnly)
	if err != nil && !(size == 0 && errors.Is(err, walformat.ErrVersion)) {
		if rec != nil {
			_ = rec.Close()
		}
		return nil, err
	}
	found, err := examine(path, db, size, rec, o)
	if err != nil {
		_ = rec.Close()
		return nil, err
	}
	if o.Immutable {
		found.damage = errImmutable
	} else if err := removeStale(o.FS, path); err != nil {
		_ = rec.Close()
		return nil, err
	}
	log, err := rec.Start(wal.Config{FS: o.FS, DB: db, PageSize: found.pageSize, DBSize: found.dbSize, Damage: found.damage, UnstableIDs: unstableIDs, Limits: withDefaultLimits(o.Limits)})
	if err != nil {
		return nil, err
	}
	return &Store{path: path, fsys: o.FS, db: db, log: log, txBytes: o.TxBytes, poolBytes: o.PoolBytes, baseCounter: found.counter, convert: found.convert}, nil
}

// errImmutable refuses to write a database that was opened as immutable.
var errImmutable = fmt.Errorf("%w: the database was opened as immutable", ErrReadOnly)

// refuseHotJournal refuses a database whose last rollback-mode transaction
// must be undone first. A journal that begins with a zero byte, or lies beside
// an empty database, is none (SQLite's "Atomic Commit", section 4.2).
func refuseHotJournal(fsys disk.FS, path string, dbSize int64) error {
	name := path + "-journal"
	f, err := fsys.Open(name, disk.ReadOnly)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for a rollback journal: %w", err)
	}
	defer func() { _ = f.Close() }()
	var first [1]byte
	switch _, err := f.ReadAt(first[:], 0); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return fmt.Errorf("read the rollback journal %s: %w", name, err)
	}
	if first[0] == 0 || dbSize == 0 {
		return nil
	}
	base := filepath.Base(path)
	return fmt.Errorf("%w: a process died inside a transaction on %s and left %s; run `sqlite3 %s \"PRAGMA schema_version\"` once to roll it back, and keep the two files together until then",
		ErrHotJournal, base, filepath.Base(name), base)
}

// removeStale removes what nobody uses any more, since all processes are kept
// out: a shared-memory file, which a later C SQLite could trust, and a side file,
// whose process died before it had taken its name.
func removeStale(fsys disk.FS, path string) error {
	for _, suffix := range []string{"-shm", wal.SideSuffix} {
		if err := fsys.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the stale %s%s: %w", filepath.Base(path), suffix, err)
		}
	}
	return nil
}

// examined is what the files say about the database.
type examined struct {
	pageSize int
	dbSize   uint32
	counter  uint32
	convert  bool
	damage   error
}

// examine decides whether the pair is a database that can be used, from page 1
// as a reader would see it.
func examine(path string, db disk.File, size int64, rec *wal.Recovered, o Options) (examined, error) {
	empty := size == 0
	if !empty && rec.Scan.Committed == 0 {
		var err error
		if empty, err = unfinished(db, size); err != nil {
			return examined{}, err
		}
	}
	if empty {
		if rec.Scan.Committed > 0 {
			return examined{}, orphanLog(path, "is empty", rec)
		}
		e := examined{pageSize: o.PageSize}
		if e.pageSize == 0 {
			e.pageSize = DefaultPageSize
		}
		if !walformat.ValidPageSize(e.pageSize) {
			return examined{}, fmt.Errorf("%d is no page size: it must be a power of two from 512 to 65536", e.pageSize)
		}
		return e, nil
	}
	head := make([]byte, walformat.DBHeaderSize)
	inLog, err := rec.ReadPage(1, head)
	if err != nil {
		return examined{}, err
	}
	where := filepath.Base(path) + "-wal"
	if !inLog {
		where = filepath.Base(path)
		n, err := db.ReadAt(head, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			return examined{}, err
		}
		head = head[:n]
	}
	h, err := walformat.ParseDBHeader(head)
	if err != nil {
		return examined{}, fmt.Errorf("page 1 in %s: %w", where, err)
	}
	e := examined{pageSize: h.PageSize, counter: h.ChangeCounter, convert: h.ReadVersion != 2 || h.WriteVersion != 2}
	return e, e.sizes(&h, size, rec)
}

// unfinished reports whether the file is what a power failure may leave of
// [Store.create]: the size of its first write, with some of the bytes but not
// with all, wherever the device has torn it.
func unfinished(db disk.File, size int64) (bool, error) {
	if size > disk.SectorSize {
		return false, nil
	}
	b := make([]byte, size)
	if _, err := db.ReadAt(b, 0); err != nil {
		return false, err
	}
	for ps := walformat.MinPageSize; ps <= walformat.MaxPageSize; ps *= 2 {
		page1, same := walformat.NewPage1(ps), 0
		for same < len(b) && (b[same] == page1[same] || b[same] == 0) {
			same++
		}
		if same == len(b) && !bytes.Equal(b, page1[:disk.SectorSize]) {
			return true, nil
		}
	}
	return false, nil
}

// impossibleSize is an error if the file and that many frames cannot hold the
// pages that the last commit counts. SQLite allows as much more.
func impossibleSize(pages uint32, frames walformat.FrameNo, pageSize, fileSize int64) error {
	if int64(pages)*pageSize <= fileSize+65536+int64(frames)*pageSize {
		return nil
	}
	return fmt.Errorf("%w: the last commit in the log says %d pages, more than file and log can hold", wal.ErrCorrupt, pages)
}

// sizes compares the sizes that the header, the log and the file tell.
func (e *examined) sizes(h *walformat.DBHeader, size int64, rec *wal.Recovered) error {
	ps := int64(h.PageSize)
	e.dbSize = uint32((size + ps - 1) / ps)
	if rec.Scan.Committed > 0 {
		e.dbSize = rec.Scan.DBSize
		logPS := int64(rec.Scan.Header.PageSize)
		switch {
		case logPS < ps:
			return fmt.Errorf("%w: the log has pages of %d bytes, page 1 says %d", wal.ErrCorrupt, logPS, ps)
		case logPS > ps:
			e.damage = fmt.Errorf("%w: the log has pages of %d bytes, page 1 says %d: it can be read, not written", wal.ErrCorrupt, logPS, ps)
		default:
			if err := impossibleSize(e.dbSize, rec.Scan.Committed, ps, size); err != nil {
				e.damage = fmt.Errorf("%w: it can be read, not written", err)
			}
		}
	}
	if h.SizeValid() && h.SizeInPages > e.dbSize {
		return fmt.Errorf("%w: page 1 counts %d pages, the database has %d", wal.ErrCorrupt, h.SizeInPages, e.dbSize)
	}
	return nil
}

// create writes page 1 of an empty database to the database file, durable with
// its name, before its log exists. The first sector has all that counts and
// survives or not as a whole; the file is then extended to a page. REQUIRES
// the writer's place.
func (s *Store) create() error {
	if err := s.removeOldJournal(); err != nil {
		return fmt.Errorf("create %s: %w", s.path, err)
	}
	page := walformat.NewPage1(s.log.PageSize())
	err := s.writeFirst(page)
	if err != nil {
		// What was written must not be taken for a database. If this fails
		// too, the file holds one empty page, or is refused as no database.
		_ = s.db.Truncate(0)
		return fmt.Errorf("create %s: %w", s.path, err)
	}
	return nil
}

// removeOldJournal removes, durably, a rollback journal that lay beside the empty
// file, as SQLite does: beside the new database it would be a hot one.
func (s *Store) removeOldJournal() error {
	_, err := s.fsys.Stat(s.path + "-journal")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.fsys.Remove(s.path + "-journal")
	}
	if err != nil {
		return fmt.Errorf("remove the journal of an empty database: %w", err)
	}
	return s.fsys.SyncDir(filepath.Dir(s.path))
}

func (s *Store) writeFirst(page []byte) error {
	if _, err := s.db.WriteVAt([][]byte{page[:disk.SectorSize]}, 0); err != nil {
		return err
	}
	if err := s.db.SyncData(); err != nil {
		return err
	}
	if len(page) > disk.SectorSize {
		if err := s.db.Truncate(int64(len(page))); err != nil {
			return err
		}
		if err := s.db.SyncData(); err != nil {
			return err
		}
	}
	return s.fsys.SyncDir(filepath.Dir(s.path))
}
