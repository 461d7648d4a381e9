package faultdisk

import (
	"strings"
	"time"

	"github.com/walnutdb/walnut/disk"
)

// This file decides which operations fail, and counts and records all of them.
//
// Invariants:
//   - Every operation passes through Disk.run once: it is counted, recorded,
//     shown to the hook and then done, in this order, all but the hook under
//     Disk.mu.
//   - All faults count every operation they match, also when another one fires.

// Op is a set of kinds of operations. An operation can be of several kinds: a
// write that extends its file is an OpWrite and an OpGrow.
type Op uint16

const (
	// OpOpen is FS.Open.
	OpOpen Op = 1 << iota
	// OpCreate is an FS.Open that creates the file.
	OpCreate
	// OpRead is File.ReadAt.
	OpRead
	// OpWrite is File.WriteVAt.
	OpWrite
	// OpTruncate is File.Truncate.
	OpTruncate
	// OpGrow is a File.WriteVAt or File.Truncate that extends the file: what
	// fails on a full disk.
	OpGrow
	// OpSync is File.SyncData.
	OpSync
	// OpSyncDir is FS.SyncDir.
	OpSyncDir
	// OpRemove is FS.Remove.
	OpRemove
	// OpRename is FS.Rename.
	OpRename
	// OpStat is FS.Stat, FS.Resolve, File.Stat and File.Size.
	OpStat
	// OpLock is File.Lock. Unlock and Close are no operations here: they never
	// fail by a fault and are not counted.
	OpLock
	// OpStartWrite is File.StartWrite.
	OpStartWrite

	// OpAny is every operation.
	OpAny Op = 1<<iota - 1
	// OpMutating is every operation that changes what a reader or a crash can
	// see.
	OpMutating = OpCreate | OpWrite | OpTruncate | OpSync | OpStartWrite | OpSyncDir | OpRemove | OpRename
)

var opNames = []string{"open", "create", "read", "write", "truncate", "grow",
	"sync", "syncdir", "remove", "rename", "stat", "lock", "startwrite"}

// String names the kinds in the set.
func (o Op) String() string {
	var names []string
	for i, name := range opNames {
		if o&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "+")
}

// Effect is what a failing operation nevertheless does.
type Effect uint8

const (
	// Random: a write leaves any of its sectors and reports 0 bytes; a
	// truncation is done or not; a sync makes any part of its data durable and
	// drops the rest, often all, and so does a StartWrite; a read fills a part.
	// Any other operation does nothing.
	Random Effect = iota
	// Nothing: the operation does nothing, but a sync or a StartWrite drops all
	// that it should have made durable.
	Nothing
	// Prefix: a write leaves a prefix of its bytes and reports its length, as
	// on a full disk. Otherwise like Random.
	Prefix
	// All: the operation does everything, and yet reports the error.
	All
	// Slow: the operation does everything and reports no error, after the
	// fault's delay.
	Slow
	// Lie: a SyncData, StartWrite or SyncDir does nothing and reports no error.
	// What it should have made durable is covered by the next one that does not
	// lie. Any other operation is as with Slow.
	Lie
	// Lost: a write reports no error, and never reaches the disk. Reads show it
	// until something evicts it (see [Disk.Kill], [Disk.Evict]); syncs do not
	// bring it back, only writing the bytes again does. Any other operation is
	// as with Slow.
	Lost
	// Misdirected: as Lost, and the bytes are durable at once in another place
	// of the file, a whole number of sectors away, or in the file Fault.Into. In
	// a file that has no other place it is Lost.
	Misdirected
	// LieInPart: as Lie, but any of the writes or of the changes of entries are
	// durable at once: a device that was about to write them anyway.
	LieInPart
)

// silent: the operation reports no error.
func (e Effect) silent() bool { return e >= Slow }

// Fault says which operation fails, and how.
type Fault struct {
	// Op are the kinds of operations that count; 0 means OpAny.
	Op Op
	// N is which of them fails, counted from now; 0 and 1 mean the next one.
	N int
	// Sticky makes every later one fail too.
	Sticky bool
	// Suffix restricts the fault to files whose name ends so ("-wal"). For a
	// rename either name counts, for SyncDir the directory's.
	Suffix string
	// Off and Len, if Len is not 0, restrict the fault to reads, writes and
	// locks of any of the Len bytes from Off on, and to truncations that cut or
	// add any of them.
	Off, Len int64
	// Delay is how long the operation takes, by the clock of package time (which
	// testing/synctest replaces). The disk is free for others meanwhile, and what
	// they write is not covered by a sync that was called before.
	Delay time.Duration
	// Jitter is how much longer it may take: from 0 to less than Jitter, by the
	// disk's seed.
	Jitter time.Duration
	// Into is the file in which a Misdirected write lands; empty means the file
	// itself. If it is not there, or too short, the write is Lost.
	Into string
	// Effect is what is done nevertheless. With the error disk.ErrNoSpace,
	// Random means Prefix.
	Effect Effect
	// Err is the cause; nil means ErrInjected. Whatever it is, the error also
	// matches ErrInjected.
	Err error
}

// Injection is a fault in a disk.
type Injection struct {
	d     *Disk
	fault Fault
	seen  int // guarded by d.mu
	fired int // guarded by d.mu
}

// Inject adds a fault. A disk that is full from now on, until the injection is
// removed:
//
//	full := d.Inject(faultdisk.Fault{Op: faultdisk.OpGrow, Sticky: true, Err: disk.ErrNoSpace})
func (d *Disk) Inject(f Fault) *Injection {
	if f.Op == 0 {
		f.Op = OpAny
	}
	f.N = max(f.N, 1)
	if f.Effect == Random && isNoSpace(f.Err) {
		f.Effect = Prefix
	}
	in := &Injection{d: d, fault: f}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.injections = append(d.injections, in)
	return in
}

// FailAt makes the n-th operation of a kind from now on fail with ErrInjected.
func (d *Disk) FailAt(op Op, n int) *Injection { return d.Inject(Fault{Op: op, N: n}) }

// Fired reports whether the fault has made an operation fail.
func (in *Injection) Fired() bool {
	in.d.mu.Lock()
	defer in.d.mu.Unlock()
	return in.fired > 0
}

// Remove takes the fault out of the disk.
func (in *Injection) Remove() {
	in.d.mu.Lock()
	defer in.d.mu.Unlock()
	in.d.drop(in)
}

// drop removes a fault from the list. REQUIRES: d.mu.
func (d *Disk) drop(in *Injection) {
	for i, other := range d.injections {
		if other == in {
			// A new list, as run may be going through the old one.
			d.injections = append(d.injections[:i:i], d.injections[i+1:]...)
			return
		}
	}
}

// SetHook has fn called before every operation, on its goroutine, with the disk
// unlocked: fn may take images, use the disk (its operations call fn again), or
// wait, to hold the operation up. An error from fn makes the operation fail as
// an injected one. A nil fn removes the hook.
func (d *Disk) SetHook(fn func(OpInfo) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hook = fn
}

// failure is how an operation fails. A nil failure is none.
type failure struct {
	err    error // nil if the effect is silent
	effect Effect
	into   string
	delay  time.Duration
}

// is reports whether the effect is e; a nil failure has none.
func (f *failure) is(e Effect) bool { return f != nil && f.effect == e }

// whole reports whether the operation does everything.
func (f *failure) whole() bool { return f == nil || f.effect == All || f.effect >= Slow }

// cause returns the error, nil for a nil failure.
func (f *failure) cause() error {
	if f == nil {
		return nil
	}
	return f.err
}

// injectedError is a chosen cause that also matches ErrInjected.
type injectedError struct{ error }

func (e injectedError) Is(target error) bool { return target == ErrInjected }
func (e injectedError) Unwrap() error        { return e.error }

// run does one operation: prepare, which may be nil, refuses it or completes
// its description; act does it, or what the failure it is given leaves of it.
// Both run under d.mu.
func (d *Disk) run(info OpInfo, prepare func(*OpInfo) error, act func(OpInfo, *failure) error) (err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return ErrCrashed
	}
	if prepare != nil {
		if err := prepare(&info); err != nil {
			return err
		}
	}
	d.seq++
	info.Seq = d.seq
	d.counts[info.Op]++
	f := d.match(info)
	if f != nil && f.delay > 0 {
		_ = d.unlocked(func() error { time.Sleep(f.delay); return nil })
		if d.dead {
			return ErrCrashed
		}
	}
	if hook := d.hook; hook != nil {
		if err := d.unlocked(func() error { return hook(info) }); err != nil && f.cause() == nil {
			f = &failure{err: injectedError{err}}
		}
		if d.dead {
			return ErrCrashed
		}
	}
	info.Err = act(info, f)
	d.trace.add(info)
	if info.Op&OpMutating != 0 && d.countdown > 0 {
		d.countdown--
		d.dead = d.countdown == 0
	}
	return info.Err
}

// unlocked calls fn without d.mu, and takes it again however fn ends.
func (d *Disk) unlocked(fn func() error) error {
	d.mu.Unlock()
	defer d.mu.Lock()
	return fn()
}

// match counts the operation for every fault and returns the failure of the
// first that fires. One that is only Slow stands in no other's way: the delays
// add up, so that a loop of faults works on a slow disk. REQUIRES: d.mu.
func (d *Disk) match(info OpInfo) (f *failure) {
	for _, in := range d.injections {
		if !in.matches(info) {
			continue
		}
		in.seen++
		taken := f != nil && f.effect != Slow && in.fault.Effect != Slow
		if taken || in.seen < in.fault.N {
			continue
		}
		in.fired++
		next := in.failure()
		switch {
		case f == nil:
			f = next
		case f.effect == Slow:
			next.delay += f.delay
			f = next
		default:
			f.delay += next.delay
		}
		if !in.fault.Sticky {
			d.drop(in)
		}
	}
	return f
}

// failure returns what the fault makes of an operation. REQUIRES: d.mu.
func (in *Injection) failure() *failure {
	f := &failure{effect: in.fault.Effect, delay: in.fault.Delay, into: in.fault.Into}
	if in.fault.Jitter > 0 {
		f.delay += time.Duration(in.d.rng.Int64N(int64(in.fault.Jitter)))
	}
	switch {
	case f.effect.silent():
	case in.fault.Err == nil:
		f.err = ErrInjected
	default:
		f.err = injectedError{in.fault.Err}
	}
	return f
}

func (in *Injection) matches(info OpInfo) bool {
	s := in.fault.Suffix
	return in.fault.Op&info.Op != 0 && in.inRange(info) &&
		(strings.HasSuffix(info.Name, s) || info.To != "" && strings.HasSuffix(info.To, s))
}

// inRange reports whether the operation touches the fault's bytes.
func (in *Injection) inRange(info OpInfo) bool {
	from, to := in.fault.Off, in.fault.Off+in.fault.Len
	switch {
	case in.fault.Len == 0:
		return true
	case info.Op&OpTruncate != 0:
		return info.from < to && from < max(info.Off, info.from) || info.Off < to && from < info.from
	case info.Off < 0:
		return false
	}
	return info.Off < to && from < info.Off+info.Len
}

// SetCapacity bounds the bytes that all files of the disk have together, by
// their sizes as readers see them; a negative number, the default, is no bound.
// A write that would exceed it writes what fits, as a prefix, and fails with
// disk.ErrNoSpace, and so does a truncation, which does nothing. Removing and
// cutting files makes room; a removed file needs its room until its last handle
// is closed. Holes count as bytes. Images have the same bound, and may exceed it
// if a removal or a truncation is lost; then nothing fits.
//
// Being full comes before a fault that fires at the same operation: the fault
// counts as fired, and its delay is taken, but not its effect. A full disk
// refuses a write before it can lose or tear it.
func (d *Disk) SetCapacity(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = bytes
}

// Used returns the bytes that count for SetCapacity.
func (d *Disk) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used()
}

// used: see Used. REQUIRES: d.mu.
func (d *Disk) used() (n int64) {
	seen := map[*inode]bool{}
	add := func(ino *inode) {
		if !seen[ino] {
			seen[ino] = true
			n += ino.visible.Size()
		}
	}
	for _, ino := range d.names {
		add(ino)
	}
	for f := range d.handles {
		add(f.ino)
	}
	return n
}

// room returns how many of the n bytes by which a file is to grow fit.
// REQUIRES: d.mu.
func (d *Disk) room(n int64) int64 {
	if d.capacity < 0 || n <= 0 {
		return n
	}
	return min(n, max(0, d.capacity-d.used()))
}

// errFull is the error of a disk whose capacity is exhausted.
var errFull = injectedError{disk.ErrNoSpace}
