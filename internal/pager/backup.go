// Copying a snapshot into one file.

package pager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// copyBytes is how much of a snapshot is copied at once.
const copyBytes = 1 << 20

// CopyTo writes all pages of the transaction's snapshot to the empty file f and
// syncs it. It is a database in WAL mode, without a log. The pages do not go
// through the pool. progress may be nil. A size that is damage is refused: the
// copy would be zeros until the disk is full.
func (t *Tx) CopyTo(ctx context.Context, f disk.File, progress func(done, total int)) error {
	ps := t.PageSize()
	size, err := t.s.db.Size()
	if err != nil {
		return err
	}
	// For a detached reader the file may have been cut: what it lacks was saved.
	if !t.reader.IsDetached() {
		if err := impossibleSize(t.size, t.st.MaxFrame, int64(ps), size); err != nil {
			return err
		}
	}
	per := max(1, copyBytes/ps)
	buf := make([]byte, per*ps)
	for first := uint32(1); first <= t.size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := int(min(uint32(per), t.size-first+1))
		if err := t.readRun(walformat.PageNo(first), buf[:n*ps]); err != nil {
			return err
		}
		if first == 1 && t.size > 0 {
			walformat.PutVersions(buf, 2)
			fixChecksum(buf[:ps])
		}
		if _, err := f.WriteVAt([][]byte{buf[:n*ps]}, int64(first-1)*int64(ps)); err != nil {
			return fmt.Errorf("write pages %d to %d of the copy: %w", first, int(first)+n-1, err)
		}
		first += uint32(n)
		if progress != nil {
			progress(int(first-1), int(t.size))
		}
	}
	if err := f.SyncData(); err != nil {
		return fmt.Errorf("sync the copy: %w", err)
	}
	return nil
}

// readRun fills dst with pages from first on: all from the database file with
// one read, and then those over it that the log has.
func (t *Tx) readRun(first walformat.PageNo, dst []byte) error {
	ps := t.PageSize()
	if _, ok := t.reader.Detached(); ok {
		return t.readEach(first, dst, true)
	}
	k, err := t.s.db.ReadAt(dst, int64(first-1)*int64(ps))
	if _, ok := t.reader.Detached(); ok {
		return t.readEach(first, dst, true)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read pages from %d on of %s: %w", first, t.s.path, err)
	}
	clear(dst[k:])
	if t.file {
		return nil
	}
	return t.readEach(first, dst, false)
}

// readEach fills dst with pages from first on, one by one: all of them, or those
// that the log has.
func (t *Tx) readEach(first walformat.PageNo, dst []byte, all bool) error {
	ps := t.PageSize()
	for i := 0; i < len(dst)/ps; i++ {
		n := first + walformat.PageNo(i)
		if f := t.st.Index.Lookup(n, t.st.MaxFrame); all || f != 0 {
			if err := t.fetch(n, f, dst[i*ps:(i+1)*ps]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Backup copies the published state into a file at path, in one step for
// whoever looks at path: written beside, synced, renamed.
func (s *Store) Backup(ctx context.Context, path string, overwrite bool, progress func(done, total int)) (err error) {
	real, err := s.fsys.Resolve(path)
	if err != nil {
		return err
	}
	if err := s.checkTarget(real, overwrite); err != nil {
		return err
	}
	f, err := s.openPart(real + backupSuffix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = s.fsys.Remove(f.Name())
			_ = f.Close()
		}
	}()
	tx := s.BeginRead(coord.Who{Label: cmp.Or(coord.LabelOf(ctx), "backup")})
	err = tx.CopyTo(ctx, f, progress)
	tx.End()
	if err != nil {
		return err
	}
	if err = s.checkTarget(real, overwrite); err != nil {
		return err
	}
	if err = s.refuseInUse(real); err != nil {
		return err
	}
	if err = s.fsys.Rename(f.Name(), real); err != nil {
		return err
	}
	if cerr := f.Close(); cerr != nil {
		return cerr
	}
	return s.fsys.SyncDir(filepath.Dir(real))
}

// backupSuffix is added to the name of a copy until it is whole.
const backupSuffix = ".part"

// openPart opens and empties the file that a copy is written to, and locks it:
// one backup at a time to one path. The lock is worth something only on the
// file that has the name: another backup may have renamed or removed it between
// the opening and the lock.
func (s *Store) openPart(part string) (disk.File, error) {
	for {
		f, err := s.fsys.Open(part, disk.Create)
		if err != nil {
			return nil, err
		}
		if err := f.Lock(0, 1, disk.ExclusiveLock); err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("another backup to this file is running: %w", err)
		}
		mine, err := f.Stat()
		if err == nil {
			var named disk.Info
			if named, err = s.fsys.Stat(part); err == nil && named.ID == mine.ID {
				err = f.Truncate(0)
				if err == nil {
					return f, nil
				}
			}
		}
		_ = f.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// refuseInUse refuses to replace a database that somebody has open: it may have
// no log yet, and would write one beside the copy.
func (s *Store) refuseInUse(path string) error {
	f, err := s.fsys.Open(path, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return coord.Exclude(f)
}

// checkTarget refuses to put a copy where it would destroy something.
func (s *Store) checkTarget(path string, overwrite bool) error {
	for _, suffix := range []string{"-wal", "-journal"} {
		switch _, err := s.fsys.Stat(path + suffix); {
		case err == nil:
			return fmt.Errorf("%s is there, which belongs to another database of that name", path+suffix)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	info, err := s.fsys.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.ID == s.entry.key.id:
		return errors.New("that is the database itself")
	case !overwrite:
		return fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	return nil
}
