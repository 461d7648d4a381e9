package faultdisk

import (
	"io"
	"io/fs"

	"github.com/walnutdb/walnut/disk"
)

// This file is the open file: what a caller of disk.File sees. What the disk
// remembers of the file itself is in inode.go.

// maxSize bounds a file, so that a wild offset is an error and not an
// allocation.
const maxSize = 1 << 40

var (
	_ disk.File         = (*file)(nil)
	_ disk.WriteStarter = (*file)(nil)
)

type file struct {
	d        *Disk
	ino      *inode
	name     string // as given to Open
	key      string // as the disk keeps it
	readOnly bool
	closed   bool // guarded by d.mu
}

// usable refuses what a closed or a read-only handle cannot do. REQUIRES: d.mu.
func (f *file) usable(writes bool) error {
	switch {
	case f.closed:
		return fs.ErrClosed
	case writes && f.readOnly:
		return disk.ErrReadOnly
	}
	return nil
}

// Name implements disk.File.
func (f *file) Name() string { return f.name }

// ReadAt implements disk.File.
func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.d.run(OpInfo{Op: OpRead, Name: f.key, Off: off, Len: int64(len(p))}, func(*OpInfo) error {
		if off < 0 {
			return fs.ErrInvalid
		}
		return f.usable(false)
	}, func(_ OpInfo, x *failure) error {
		if x.cause() != nil {
			if len(p) > 0 && x.effect != Nothing {
				n = f.ino.visible.ReadAt(p[:f.d.rng.IntN(len(p))], off)
			}
			return x.err
		}
		n = f.ino.visible.ReadAt(p, off)
		if n < len(p) {
			return io.EOF
		}
		return nil
	})
	if err == io.EOF {
		return n, io.EOF
	}
	return n, fail("read", f.name, off+int64(n), err)
}

// WriteVAt implements disk.File.
func (f *file) WriteVAt(bufs [][]byte, off int64) (n int64, err error) {
	var size int64
	for _, b := range bufs {
		size += int64(len(b))
	}
	err = f.d.run(OpInfo{Op: OpWrite, Name: f.key, Off: off, Len: size}, func(info *OpInfo) error {
		if err := f.usable(true); err != nil {
			return err
		}
		if off < 0 || off+size < off {
			return fs.ErrInvalid
		}
		if off+size > maxSize {
			return disk.ErrNoSpace
		}
		if off+size > f.ino.visible.Size() && size > 0 {
			info.Op |= OpGrow
		}
		return nil
	}, func(_ OpInfo, x *failure) error {
		if fits := size - f.growth(off+size) + f.d.room(f.growth(off+size)); fits < size {
			n = max(0, fits)
			f.ino.write(newWrite(bufs, off, size).part(span{off, n}))
			return errFull
		}
		switch {
		case x.is(Lost), x.is(Misdirected):
			n = size
			c := newWrite(bufs, off, size)
			if x.is(Misdirected) {
				f.d.strayWrite(f.ino, c, x.into)
			}
			f.ino.loseWrite(c)
			return nil
		case x.whole():
			n = size
			f.ino.write(newWrite(bufs, off, size))
			return x.cause()
		}
		switch x.effect {
		case Prefix:
			if size > 0 {
				n = f.d.rng.Int64N(size)
			}
			f.ino.write(newWrite(bufs, off, size).part(span{off, n}))
		case Random:
			whole := newWrite(bufs, off, size)
			for _, s := range tear(f.d.rng, off, size, f.d.anywhere) {
				f.ino.write(whole.part(s))
			}
		}
		return x.err
	})
	return n, fail("write", f.name, off+n, err)
}

// growth is by how many bytes the file is shorter than end. REQUIRES: d.mu.
func (f *file) growth(end int64) int64 { return max(0, end-f.ino.visible.Size()) }

// SyncData implements disk.File.
func (f *file) SyncData() error {
	var covered uint64
	err := f.d.run(OpInfo{Op: OpSync, Name: f.key, Off: -1}, func(*OpInfo) error {
		covered = f.ino.written
		return f.usable(false)
	}, func(_ OpInfo, x *failure) error {
		switch {
		case x.is(Lie):
			return nil
		case x.is(LieInPart):
			f.ino.startWrite(span{0, maxSize}, covered, f.d.rng)
			return nil
		case x.cause() == nil:
			f.ino.sync(covered)
			return nil
		}
		f.ino.failSync(covered, f.d.rng, x.effect, f.d.anywhere)
		return x.err
	})
	return fail("sync", f.name, -1, err)
}

// StartWrite implements disk.WriteStarter.
func (f *file) StartWrite(off, n int64) error {
	var covered uint64
	err := f.d.run(OpInfo{Op: OpStartWrite, Name: f.key, Off: off, Len: n}, func(*OpInfo) error {
		if off < 0 || n <= 0 || off+n < off {
			return fs.ErrInvalid
		}
		covered = f.ino.written
		return f.usable(false)
	}, func(_ OpInfo, x *failure) error {
		switch {
		case x.is(Lie):
			return nil
		case x.cause() == nil:
			f.ino.startWrite(span{off, n}, covered, f.d.rng)
			return nil
		}
		f.ino.failSync(covered, f.d.rng, x.effect, f.d.anywhere)
		return x.err
	})
	return fail("start writing", f.name, off, err)
}

// Truncate implements disk.File.
func (f *file) Truncate(size int64) error {
	err := f.d.run(OpInfo{Op: OpTruncate, Name: f.key, Off: size}, func(info *OpInfo) error {
		if err := f.usable(true); err != nil {
			return err
		}
		switch {
		case size < 0:
			return fs.ErrInvalid
		case size > maxSize:
			return disk.ErrNoSpace
		case size > f.ino.visible.Size():
			info.Op |= OpGrow
		}
		info.from = f.ino.visible.Size()
		return nil
	}, func(_ OpInfo, x *failure) error {
		if grow := f.growth(size); f.d.room(grow) < grow {
			return errFull
		}
		if x.whole() || x.effect == Random && f.d.rng.IntN(2) == 0 {
			f.ino.truncate(size)
		}
		return x.cause()
	})
	return fail("truncate", f.name, size, err)
}

// Size implements disk.File.
func (f *file) Size() (int64, error) {
	info, err := f.Stat()
	return info.Size, err
}

// Stat implements disk.File.
func (f *file) Stat() (info disk.Info, err error) {
	err = f.d.run(OpInfo{Op: OpStat, Name: f.key, Off: -1}, func(*OpInfo) error {
		return f.usable(false)
	}, func(_ OpInfo, x *failure) error {
		if x.cause() == nil {
			info = f.d.info(f.ino)
		}
		return x.cause()
	})
	return info, fail("stat", f.name, -1, err)
}

// Lock implements disk.File.
func (f *file) Lock(off, n int64, mode disk.LockMode) error {
	exclusive := mode == disk.ExclusiveLock
	err := f.d.run(OpInfo{Op: OpLock, Name: f.key, Off: off, Len: n}, func(*OpInfo) error {
		if off < 0 || n <= 0 || off+n < off {
			return fs.ErrInvalid
		}
		return f.usable(exclusive)
	}, func(_ OpInfo, x *failure) error {
		if x.cause() != nil {
			return x.err
		}
		if f.closed { // meanwhile, while a hook ran: nobody would release it
			return fs.ErrClosed
		}
		if !f.ino.locks.Lock(f, off, n, exclusive) {
			return &disk.LockedError{}
		}
		return nil
	})
	return fail("lock", f.name, off, err)
}

// Unlock implements disk.File. No fault makes it fail, but a crash does.
func (f *file) Unlock(off, n int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.usable(false); err != nil {
		return fail("unlock", f.name, off, err)
	}
	if off < 0 || n <= 0 || off+n < off {
		return fail("unlock", f.name, off, fs.ErrInvalid)
	}
	f.ino.locks.Unlock(f, off, n)
	if f.d.dead {
		return fail("unlock", f.name, off, ErrCrashed)
	}
	return nil
}

// Close implements disk.File. No fault makes it fail; after a crash it closes
// the handle and says [ErrCrashed].
func (f *file) Close() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.closed {
		return fail("close", f.name, -1, fs.ErrClosed)
	}
	f.closed = true
	f.ino.locks.Release(f)
	delete(f.d.handles, f)
	if f.d.dead {
		return fail("close", f.name, -1, ErrCrashed)
	}
	return nil
}
