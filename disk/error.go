package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// This file holds the one error type of the file systems in this module.
// Invariant: every error that leaves an FS or a File says what was tried, on
// which file and, where there is one, at which offset; only io.EOF comes bare,
// because io.ReaderAt asks for it.

// OpError tells which operation on which file failed, and where. Its cause is
// reached with [errors.Is] and [errors.As].
type OpError struct {
	// Op is what was tried, as a verb: "write", "sync directory".
	Op string
	// Name is the file's path, as the caller gave it.
	Name string
	// Off is the byte offset in the file; negative where none applies.
	Off int64
	// Err is the cause.
	Err error
}

func (e *OpError) Error() string {
	if e.Off < 0 {
		return fmt.Sprintf("%s %s: %v", e.Op, e.Name, e.Err)
	}
	return fmt.Sprintf("%s %s at offset %d: %v", e.Op, e.Name, e.Off, e.Err)
}

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }

// ErrReadOnly is the cause when a handle opened with [ReadOnly] is asked to
// write, to change the size or to lock exclusively. It matches
// [fs.ErrPermission].
var ErrReadOnly error = readOnlyError{}

type readOnlyError struct{}

func (readOnlyError) Error() string        { return "the file was opened for reading only" }
func (readOnlyError) Is(target error) bool { return target == fs.ErrPermission }

// errNotRegular is the cause when a directory, a device or a pipe is opened.
var errNotRegular = errors.New("not a regular file")

// noSpaceError makes an operating system's error match ErrNoSpace without
// hiding which one it was (full disk, quota, file size limit).
type noSpaceError struct{ error }

func (e noSpaceError) Is(target error) bool { return target == ErrNoSpace }
func (e noSpaceError) Unwrap() error        { return e.error }

// opError wraps err, unless it is nil or io.EOF. The path that package os puts
// around an error is taken off, so that it is not told twice.
func opError(op, name string, off int64, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	if isNoSpace(err) {
		err = noSpaceError{err}
	}
	return &OpError{Op: op, Name: name, Off: off, Err: err}
}

// validRange reports whether n bytes from off on can be locked.
func validRange(off, n int64) bool {
	return off >= 0 && n > 0 && off+n > off
}

// total returns the number of bytes in bufs.
func total(bufs [][]byte) int64 {
	var n int64
	for _, b := range bufs {
		n += int64(len(b))
	}
	return n
}
