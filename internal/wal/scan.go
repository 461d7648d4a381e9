package wal

// This file reads a log as recovery does, from the header to the last frame
// that counts. It is self-contained and writes nothing: recovery and the tools
// that only look both use it. What counts is written in package walformat.
//
// Invariants:
//
//  1. Committed <= Intact <= FramesInFile, and Committed is 0 or the number of
//     a valid commit frame: nothing of a transaction without one is reported.
//  2. The callback sees whole committed transactions, in order, each once; so
//     an index filled from it needs no second pass and nothing taken back.
//  3. Damage is a result, never an error. Errors are what the file could not
//     be asked (IO), and a log that must be refused (walformat.ErrVersion).
//  4. Memory is bounded by two read buffers a core and what is kept of the
//     frames of one transaction (12 bytes each).

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/walnutdb/walnut/internal/walformat"
)

// scanReadSize is how many bytes are read at once, rounded to whole frames: so
// that a piece is still in the core's cache when it is summed, and the calls to
// read it do not show. With the log in the page cache and two cores (GB/s, page
// size 4096): 64 KiB 6.5, 128 KiB 8.0, 256 KiB 9.0, 512 KiB 9.0, 1 MiB 8.6,
// 2 MiB 7.7.
const scanReadSize = 256 << 10

// ScanResult is what [Scan] found.
type ScanResult struct {
	FileSize int64 // in bytes, as given to Scan

	// HasHeader is set if the file begins with a log header that was accepted
	// and is longer than it. Otherwise there is no log, HeaderProblem says why
	// ("" for an empty file), and the fields below are zero.
	HasHeader     bool
	Header        walformat.Header // also set with walformat.ErrVersion
	HeaderProblem string

	FramesInFile uint32             // whole frames the file has room for
	Committed    walformat.FrameNo  // last valid commit frame, 0 = none
	Intact       walformat.FrameNo  // last valid frame; past Committed: an unfinished transaction
	Transactions int                // valid commit frames
	DBSize       uint32             // database size in pages in frame Committed, 0 if none
	Sum          walformat.Checksum // stored in frame Committed, or in the header if that is 0
	MaxPage      walformat.PageNo   // greatest page number up to Committed, 0 if none

	// Stop is the check that frame Intact+1 failed: FrameShort for a partial
	// frame at the end of the file, 0 if the file ends with frame Intact, and
	// also 0 without a header.
	Stop       walformat.FrameFault
	StopReason string // why the run of valid frames ends, in one sentence
}

// ScanTx is one committed transaction in the log.
type ScanTx struct {
	First  walformat.FrameNo    // its first frame
	Pages  []walformat.PageNo   // page of each of its frames; reused after the call
	Sums   []walformat.Checksum // stored in each of its frames; reused after the call
	DBSize uint32               // database size in pages after it
}

// Last is the transaction's commit frame.
func (t *ScanTx) Last() walformat.FrameNo {
	return t.First + walformat.FrameNo(len(t.Pages)) - 1
}

// Scan reads a log file of size bytes up to the first frame that is not valid,
// and calls each, which may be nil, for every transaction that is committed.
//
// A file of at most 32 bytes, or one whose header is not right, is no log:
// HasHeader is false and the error nil, as SQLite ignores it. An unknown
// version in a right header is an error that wraps [walformat.ErrVersion]. A
// file shorter than size is an error that wraps [io.ErrUnexpectedEOF]: it was
// changed while it was read.
//
// The result is meaningful with an error too: it holds what was found before.
func Scan(r io.ReaderAt, size int64, each func(ScanTx)) (ScanResult, error) {
	s := scanState{res: ScanResult{FileSize: size}, each: each}
	if err := s.header(r, size); err != nil || !s.res.HasHeader {
		return s.res, err
	}
	s.res.Sum = s.res.Header.Sum
	s.res.FramesInFile = s.res.Header.FramesIn(size)
	err := s.frames(r)
	if err == nil && s.res.StopReason == "" {
		s.endOfFile()
	}
	return s.res, err
}

// scanState is a scan under way.
type scanState struct {
	res  ScanResult
	each func(ScanTx)

	tx   []walformat.PageNo   // pages of the frames (Committed, Intact]
	sums []walformat.Checksum // and their checksums
	max  walformat.PageNo     // greatest page number up to Intact
}

// header decides whether there is a log at all.
func (s *scanState) header(r io.ReaderAt, size int64) error {
	if size <= 0 {
		s.res.StopReason = "the file is empty"
		return nil
	}
	b := make([]byte, min(size, walformat.HeaderSize))
	if err := scanReadAt(r, b, 0); err != nil {
		return err
	}
	h, err := walformat.ParseHeader(b)
	if size <= walformat.HeaderSize {
		// A bare header is no log, whatever its version is: SQLite does not
		// read it. Say what is wrong with it where something is.
		if err == nil {
			err = errors.New("the file ends with the log header")
		}
		s.noHeader(err)
		return nil
	}
	if errors.Is(err, walformat.ErrVersion) {
		s.res.Header = h
		s.noHeader(err)
		return fmt.Errorf("scan log: %w", err)
	}
	if err != nil {
		s.noHeader(err)
		return nil
	}
	s.res.HasHeader, s.res.Header = true, h
	return nil
}

func (s *scanState) noHeader(err error) {
	s.res.HeaderProblem = err.Error()
	s.res.StopReason = err.Error()
}

// frames checks whole frames, in pieces, until one is not valid. A frame needs
// of those before it only the checksum stored in the last, so pieces of a large
// log are checked on all cores at the same time, and accepted in order.
func (s *scanState) frames(r io.ReaderAt) error {
	p := newScanPieces(r, &s.res.Header, int(s.res.FramesInFile))
	pieces := p.count()
	workers := min(runtime.GOMAXPROCS(0), pieces)
	if workers <= 1 {
		piece := p.newPiece()
		for i := range pieces {
			p.check(i, piece)
			if more, err := s.take(piece); !more || err != nil {
				return err
			}
		}
		return nil
	}
	return s.parallel(p, pieces, workers)
}

// parallel runs the workers, with two pieces for each, so that one is checked
// while the other waits for its turn. No worker outlives the call.
func (s *scanState) parallel(p *scanPieces, pieces, workers int) error {
	free := make(chan *scanPiece, 2*workers)
	// Piece i comes out of done[i%len(done)]: there are no more pieces under way
	// than that, and they are those with the lowest numbers.
	done := make([]chan *scanPiece, 2*workers)
	for i := range done {
		free <- p.newPiece()
		done[i] = make(chan *scanPiece, 1)
	}
	quit := make(chan struct{})
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				var piece *scanPiece
				select {
				case piece = <-free:
				case <-quit:
					return
				}
				i := int(next.Add(1) - 1)
				if i >= pieces {
					return
				}
				p.check(i, piece)
				done[i%len(done)] <- piece
			}
		})
	}
	defer wg.Wait()
	defer close(quit)
	for i := range pieces {
		piece := <-done[i%len(done)]
		if more, err := s.take(piece); !more || err != nil {
			return err
		}
		free <- piece
	}
	return nil
}

// take accepts a checked piece; more is false if the run ends in it.
func (s *scanState) take(piece *scanPiece) (more bool, err error) {
	for i := range piece.valid {
		s.accept(&piece.valid[i])
	}
	if piece.err != nil {
		return false, piece.err
	}
	if piece.bad != nil {
		s.stop(piece.bad)
		return false, nil
	}
	return true, nil
}

// scanPieces is a log divided for checking. It is only read.
type scanPieces struct {
	r        io.ReaderAt
	h        *walformat.Header
	frames   int
	perPiece int
}

func newScanPieces(r io.ReaderAt, h *walformat.Header, frames int) *scanPieces {
	return &scanPieces{r: r, h: h, frames: frames, perPiece: max(1, scanReadSize/h.FrameSize())}
}

// count is the number of pieces.
func (p *scanPieces) count() int { return (p.frames + p.perPiece - 1) / p.perPiece }

// scanPiece is one piece with what was found in it.
type scanPiece struct {
	buf   []byte
	data  []byte                  // the part of buf that it fills
	valid []walformat.FrameHeader // of its frames up to the first bad one
	bad   error                   // what is wrong with that
	err   error                   // the file could not be read
}

func (p *scanPieces) newPiece() *scanPiece {
	n := min(p.frames, p.perPiece)
	return &scanPiece{buf: make([]byte, n*p.h.FrameSize()), valid: make([]walformat.FrameHeader, 0, n)}
}

// check reads piece i and verifies its frames, given that the one before it is
// valid.
func (p *scanPieces) check(i int, piece *scanPiece) {
	piece.valid, piece.bad, piece.err = piece.valid[:0], nil, nil
	first := walformat.FrameNo(i * p.perPiece) // the frame before the piece
	size := p.h.FrameSize()
	buf := piece.buf[:min(p.perPiece, p.frames-int(first))*size]
	piece.data = buf
	prev := p.h.Sum
	if first > 0 {
		var head [walformat.FrameHeaderSize]byte
		if piece.err = scanReadAt(p.r, head[:], int64(p.h.FrameOffset(first))); piece.err != nil {
			return
		}
		prev = walformat.ParseFrameHeader(head[:]).Sum
	}
	if piece.err = scanReadAt(p.r, buf, int64(p.h.EndOffset(first))); piece.err != nil {
		return
	}
	for ; len(buf) > 0; buf = buf[size:] {
		f, err := walformat.VerifyFrame(p.h, prev, buf[:walformat.FrameHeaderSize], buf[walformat.FrameHeaderSize:size])
		if err != nil {
			piece.bad = err
			return
		}
		piece.valid = append(piece.valid, f)
		prev = f.Sum
	}
}

// accept takes a valid frame, the one after Intact.
func (s *scanState) accept(f *walformat.FrameHeader) {
	s.res.Intact++
	s.tx = append(s.tx, f.Page)
	s.sums = append(s.sums, f.Sum)
	s.max = max(s.max, f.Page)
	if f.Commit == 0 {
		return
	}
	if s.each != nil {
		s.each(ScanTx{First: s.res.Committed + 1, Pages: s.tx, Sums: s.sums, DBSize: f.Commit})
	}
	s.res.Committed = s.res.Intact
	s.res.Transactions++
	s.res.DBSize = f.Commit
	s.res.Sum = f.Sum
	s.res.MaxPage = s.max
	s.tx, s.sums = s.tx[:0], s.sums[:0]
}

// stop notes why the frame after Intact does not count.
func (s *scanState) stop(err error) {
	var fe *walformat.FrameError
	if errors.As(err, &fe) {
		s.res.Stop = fe.Fault
	}
	s.res.StopReason = fmt.Sprintf("frame %d: %v", s.res.Intact+1, err)
}

// endOfFile notes that every whole frame was valid.
func (s *scanState) endOfFile() {
	h := &s.res.Header
	rest := s.res.FileSize - int64(h.EndOffset(s.res.Intact))
	if rest == 0 {
		s.res.StopReason = "end of file"
		return
	}
	s.res.Stop = walformat.FrameShort
	s.res.StopReason = fmt.Sprintf("frame %d: frame is cut: %d of %d bytes", s.res.Intact+1, rest, h.FrameSize())
}

// scanReadAt fills b from offset off of r. The end of the file inside b is an
// error here: its size was asked before.
func scanReadAt(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("scan log: read %d bytes at offset %d: %w", len(b), off, err)
}
