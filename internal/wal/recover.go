// Recovery: from the files that a crash left to a log that takes commits.
//
// [Inspect] reads and changes nothing, so that a pair that must be refused is
// left as it is. [Recovered.Start] then makes what was recovered durable,
// whatever the page cache says of it: an earlier process may have met a failed
// sync, after which reads show what the disk never got. Then it cuts the tail
// by writing zeros (a truncation to a size that the cache already shows writes
// nothing), syncs, and only then publishes. Recovering twice gives the same
// state; the database file is not written.

package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// firstGeneration is the number of the generation that recovery finds.
const firstGeneration coord.Generation = 1

// Recovered is a log that was read and not changed.
type Recovered struct {
	// Scan is what was found. Its zero value stands for "no log file".
	Scan ScanResult

	fsys disk.FS
	path string
	file disk.File
	idx  *coord.Index
}

// Inspect reads the log at path, if there is one; flag may be disk.ReadOnly for
// one that will not be written. An unknown format version is an error that wraps
// walformat.ErrVersion; it comes with a Recovered without commits, for a caller
// to whom that does not matter. Otherwise there is either a Recovered, to be
// started or closed, or an error.
func Inspect(fsys disk.FS, path string, flag disk.OpenFlag) (*Recovered, error) {
	r := &Recovered{fsys: fsys, path: path, idx: coord.NewIndex(firstGeneration, walformat.Checksum{})}
	f, err := fsys.Open(path, flag)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	r.file = f
	size, err := f.Size()
	if err == nil {
		r.Scan, err = Scan(f, size, r.enter)
	}
	if err != nil {
		err = fmt.Errorf("read the log %s: %w", path, err)
		if !errors.Is(err, walformat.ErrVersion) {
			_ = f.Close()
			return nil, err
		}
		return r, err
	}
	r.idx.SetBase(r.Scan.Header.Sum)
	return r, nil
}

// enter puts one committed transaction into the index.
func (r *Recovered) enter(t ScanTx) {
	for i, p := range t.Pages {
		f := t.First + walformat.FrameNo(i)
		r.idx.Add(p, f)
		r.idx.SetSum(f, t.Sums[i])
	}
}

// Close closes a log that is not started.
func (r *Recovered) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// ReadPage fills dst with the beginning of page n as the log has it; false if
// no committed frame holds it.
func (r *Recovered) ReadPage(n walformat.PageNo, dst []byte) (bool, error) {
	f := r.idx.Lookup(n, r.Scan.Committed)
	if f == 0 {
		return false, nil
	}
	off := int64(r.Scan.Header.FrameOffset(f)) + walformat.FrameHeaderSize
	if _, err := r.file.ReadAt(dst, off); err != nil {
		return false, fmt.Errorf("read frame %d of %s at offset %d: %w", f, r.path, off, err)
	}
	return true, nil
}

// Start makes the recovered state durable and publishes it. On an error the
// log file is closed. With Config.Damage set, nothing is written.
func (r *Recovered) Start(cfg Config) (*Log, error) {
	l := &Log{cfg: cfg, path: r.path, dir: filepath.Dir(r.path), file: r.file, lastHdr: r.Scan.Header,
		auto: make(chan struct{}, 1)}
	begin := coord.Now()
	l.pageSize.Store(int32(cfg.PageSize))
	l.sizeLimit.Store(-1)
	l.limits.Store(&cfg.Limits)
	l.outcome.Store(new(outcome))
	l.mapped, _ = cfg.DB.(disk.Mapper)
	l.SetMapLimit(DefaultMapLimit)
	if cow, ok := cfg.FS.(disk.CopyOnWriter); ok {
		l.copyOnWrite = cow.CopyOnWrite(l.dir)
	}
	if seq, ok := cfg.FS.(disk.Sequencer); ok {
		l.sequential = seq.Sequential()
	}
	if err := l.identify(); err != nil {
		_ = r.Close()
		return nil, err
	}
	end := r.Scan.Committed
	if end > 0 {
		h := r.Scan.Header
		l.hdr.Store(&h)
		l.sizeInDoubt = true
	}
	if cfg.Damage == nil && r.Scan.FileSize > 0 {
		if err := l.settle(r); err != nil {
			_ = r.file.Close()
			return nil, fmt.Errorf("recover %s: %w", r.path, err)
		}
	}
	st := coord.State{Index: r.idx, Snapshot: coord.Snapshot{
		Gen: firstGeneration, MaxFrame: end, DBSize: cfg.DBSize, Sum: r.idx.Sum(end),
	}}
	if end > 0 {
		st.DBSize = r.Scan.DBSize
	}
	l.mu.gen, l.mu.idx, l.mu.dbSize = st.Gen, r.idx, st.DBSize
	l.mu.accepted, l.mu.appended, l.mu.durable, l.mu.sum = end, end, end, st.Sum
	l.appendedEnd.Store(uint32(end))
	l.co = coord.NewInProcess(st)
	l.recovery = Event{Kind: EventRecovery, Frames: end, Commits: r.Scan.Transactions, Bytes: r.Scan.FileSize, Duration: coord.Now().Since(begin)}
	l.assertRecovered(&r.Scan)
	return l, nil
}

// settle makes the recovered frames durable and cuts everything behind them.
func (l *Log) settle(r *Recovered) error {
	var end walformat.Offset
	if r.Scan.Committed > 0 {
		end = r.Scan.Header.EndOffset(r.Scan.Committed)
		if err := l.rewrite(r); err != nil {
			return err
		}
	} else {
		// The header on disk may still be an older one than the one that was
		// read, whose frames may follow it. A fresh one comes first, and only
		// under it are they cut.
		h := l.nextHeader()
		buf := make([]byte, walformat.HeaderSize)
		h.Encode(buf)
		if _, err := l.file.WriteVAt([][]byte{buf}, 0); err != nil {
			return fmt.Errorf("write a fresh header: %w", err)
		}
		if err := l.syncFile("sync the fresh header of"); err != nil {
			return err
		}
		l.lastHdr = h
		l.hdr.Store(&h)
		r.idx.SetBase(h.Sum)
		end = walformat.HeaderSize
	}
	size := walformat.Offset(r.Scan.FileSize)
	if size > end {
		if _, err := l.zeroFill(end, size); err != nil {
			return fmt.Errorf("cut the log at byte %d: %w", end, err)
		}
	}
	if err := l.syncFile("sync the recovered frames of"); err != nil {
		return err
	}
	// A process may have been killed before it synced the directory.
	if err := l.cfg.FS.SyncDir(l.dir); err != nil {
		return fmt.Errorf("sync the directory %s: %w", l.dir, err)
	}
	l.reserved = max(size, end)
	return nil
}

// rewrite writes the log up to the last commit over itself, while the device
// begins with it and the next piece is read. Each frame is verified once more:
// a page that a failed sync dropped may leave the cache after it was scanned,
// and what the device has in its place must not be made durable as the commit.
func (l *Log) rewrite(r *Recovered) error {
	h := r.Scan.Header
	head := make([]byte, walformat.HeaderSize)
	h.Encode(head)
	out := writeOut{file: l.file, every: l.cfg.sizes.writeOut()}
	write := func(b []byte, off walformat.Offset) error {
		n, err := l.file.WriteVAt([][]byte{b}, int64(off))
		if err == nil {
			err = out.wrote(int64(off), n)
		}
		if err != nil {
			return fmt.Errorf("write recovered frames again at offset %d: %w", off, err)
		}
		return nil
	}
	if err := write(head, 0); err != nil {
		return err
	}
	p := newScanPieces(l.file, &h, int(r.Scan.Committed))
	n := p.count()
	pieces := make([]*scanPiece, min(n, pipelineDepth))
	for i := range pieces {
		pieces[i] = p.newPiece()
	}
	first := func(i int) walformat.FrameNo { return walformat.FrameNo(i*p.perPiece) + 1 }
	return pipeline(n, pieces, func(i int, piece *scanPiece) error {
		p.check(i, piece)
		return r.unchanged(first(i), piece)
	}, func(i int, piece *scanPiece) error {
		return write(piece.data, h.FrameOffset(first(i)))
	})
}

// unchanged reports in what a piece, whose first frame is f, is not what was
// scanned.
func (r *Recovered) unchanged(f walformat.FrameNo, piece *scanPiece) error {
	if piece.err != nil {
		return piece.err
	}
	for i := range piece.valid {
		if piece.valid[i].Sum != r.idx.Sum(f) {
			return fmt.Errorf("%w: frame %d changed after it was recovered", ErrCorrupt, f)
		}
		f++
	}
	if piece.bad != nil {
		return fmt.Errorf("%w: frame %d changed after it was recovered: %w", ErrCorrupt, f, piece.bad)
	}
	return nil
}
