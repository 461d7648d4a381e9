package faultdisk

import (
	"errors"
	"fmt"
	"strings"

	"github.com/walnutdb/walnut/disk"
)

// This file describes operations and remembers the last of them, so that a test
// that fails can tell how it came to that.

// OpInfo describes an operation.
type OpInfo struct {
	// Seq numbers the operations of a disk, from 1.
	Seq uint64
	// Op holds the kinds that the operation is of.
	Op Op
	// Name is the file or directory, as a path from the root.
	Name string
	// To is the new name of a rename.
	To string
	// Off is the offset of a read, write or lock, or the size that a
	// truncation sets; negative where there is none.
	Off int64
	// Len is the number of bytes.
	Len int64
	// from is the size before a truncation.
	from int64
	// Err is the outcome. A hook sees nil: the operation is yet to be done.
	Err error
}

// String tells it in a line.
func (i OpInfo) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#%d %v %s", i.Seq, i.Op, i.Name)
	if i.To != "" {
		fmt.Fprintf(&b, " to %s", i.To)
	}
	switch {
	case i.Op&OpTruncate != 0:
		fmt.Fprintf(&b, " size %d", i.Off)
	case i.Off >= 0:
		fmt.Fprintf(&b, " offset %d length %d", i.Off, i.Len)
	}
	if i.Err != nil {
		fmt.Fprintf(&b, ": %v", i.Err)
	}
	return b.String()
}

// Trace is a list of operations, the oldest first.
type Trace []OpInfo

// String tells it, one operation in a line.
func (t Trace) String() string {
	var b strings.Builder
	for _, i := range t {
		b.WriteString(i.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// TraceLength is how many operations [Disk.Trace] goes back.
const TraceLength = 256

// Trace returns the last operations that were done, with their outcomes; those
// refused (closed handle, lost power) are not among them.
func (d *Disk) Trace() Trace {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.trace.list()
}

// Ops returns how many operations of the given kinds were begun so far;
// Ops(OpAny) counts all.
func (d *Disk) Ops(op Op) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for kinds, count := range d.counts {
		if kinds&op != 0 {
			n += count
		}
	}
	return n
}

// ring holds the last TraceLength operations.
type ring struct {
	ops  []OpInfo
	next int // where the next one goes, once ops is full
}

func (r *ring) add(i OpInfo) {
	if len(r.ops) < TraceLength {
		r.ops = append(r.ops, i)
		return
	}
	r.ops[r.next] = i
	r.next = (r.next + 1) % TraceLength
}

func (r *ring) list() Trace {
	return append(append(Trace{}, r.ops[r.next:]...), r.ops[:r.next]...)
}

func isNoSpace(err error) bool { return errors.Is(err, disk.ErrNoSpace) }
