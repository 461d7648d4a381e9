package atrest

// This file reads a log frame by frame, with the memory of one frame.

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/walformat"
)

// Frame is a frame of a log, or a run of zeros, and the JSON of "walnut frames":
// a contract, see its help.
type Frame struct {
	Frame       walformat.FrameNo `json:"frame"`
	LastFrame   walformat.FrameNo `json:"last_frame,omitempty"` // of a run of zeros
	Offset      int64             `json:"offset"`
	Page        walformat.PageNo  `json:"page"`
	Commit      uint32            `json:"commit"`
	Transaction *int              `json:"transaction"` // nil behind the last commit
	Verdict     string            `json:"verdict"`
	Detail      string            `json:"detail,omitempty"`
}

// The verdicts on frames; the help of "walnut frames" says what they mean.
const (
	VerdictValid    = "valid"
	VerdictZeros    = "zeros"
	VerdictOld      = "old generation"
	VerdictForeign  = "other salts"
	VerdictPageZero = "page 0"
	VerdictChecksum = "checksum"
	VerdictShort    = "short"
	VerdictAfter    = "after an invalid frame"
)

// OpenForFrames opens a database and its log, or whichever of the two is there:
// a log by its own name stands alone.
func OpenForFrames(fsys disk.FS, file string) (*Pair, error) {
	resolved, err := fsys.Resolve(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	name, isLog := strings.CutSuffix(resolved, "-wal")
	p := &Pair{fsys: fsys, Name: name, stamp: &stamp{}}
	if !isLog {
		err = p.openDB()
	}
	if logErr := p.openLog(); err == nil {
		err = logErr
	} else if errors.Is(err, fs.ErrNotExist) && p.Log != nil {
		err, p.Orphan = logErr, true // a log whose database is gone can still be read
	}
	if err == nil && isLog && p.Log == nil {
		_, err = fsys.Open(resolved, disk.ReadOnly) // says it best
	}
	if err == nil && p.Log != nil {
		if info, serr := p.Log.Stat(); serr == nil && info.Mode.IsDir() {
			err = fmt.Errorf("%s is a directory, not a log", p.LogName())
		}
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// lister lists the frames of a log.
type lister struct {
	p     *Pair
	write func(Frame) error

	buf         []byte             // a frame
	prev        walformat.Checksum // stored in the frame before
	transaction int                // of the next frame
	broken      bool               // a frame before did not verify
	zeros       *Frame             // a run of zeros that may go on
}

// List writes all frames of the log.
func (p *Pair) List(write func(Frame) error, progress func(done, total int64)) error {
	if !p.scan.HasHeader {
		return nil
	}
	h := &p.scan.Header
	l := &lister{p: p, write: write, buf: make([]byte, h.FrameSize()), prev: h.Sum, transaction: 1}
	end := walformat.FrameNo(p.scan.FramesInFile)
	for f := walformat.FrameNo(1); f <= end; f++ {
		row, err := l.frame(f)
		if err == nil {
			err = l.put(row)
		}
		if errors.Is(err, io.EOF) { // the log was cut meanwhile
			p.Changed = true
			return l.flush()
		}
		if err != nil {
			return err
		}
		progress(int64(f), int64(end))
	}
	if rest := p.stamp.logSize - int64(h.EndOffset(end)); rest > 0 {
		if err := l.short(end+1, rest); err != nil {
			return err
		}
	}
	return l.flush()
}

// frame reads frame f. Of those that the scan found valid only the header is
// read again.
func (l *lister) frame(f walformat.FrameNo) (Frame, error) {
	h, scan := &l.p.scan.Header, &l.p.scan
	off := int64(h.FrameOffset(f))
	raw, page := l.buf[:walformat.FrameHeaderSize], l.buf[walformat.FrameHeaderSize:]
	verified := f <= scan.Intact
	read := l.buf
	if verified {
		read = raw
	}
	if _, err := l.p.Log.ReadAt(read, off); err != nil {
		return Frame{}, err
	}
	head := walformat.ParseFrameHeader(raw)
	row := Frame{Frame: f, Offset: off, Page: head.Page, Commit: head.Commit, Verdict: VerdictValid}
	if f <= scan.Committed {
		n := l.transaction
		row.Transaction = &n
	}
	if head.Commit != 0 {
		l.transaction++
	}
	if !verified {
		_, err := walformat.VerifyFrame(h, l.prev, raw, page)
		l.judge(&row, &head, err)
	}
	l.prev = head.Sum
	return row, nil
}

// judge sets the verdict on a frame that the scan did not find valid.
func (l *lister) judge(row *Frame, head *walformat.FrameHeader, err error) {
	h := &l.p.scan.Header
	var fault *walformat.FrameError
	switch {
	case errors.As(err, &fault):
		l.broken = true
		row.Detail = fault.Detail
	case l.broken:
		row.Verdict = VerdictAfter
		return
	default:
		return // written since
	}
	switch fault.Fault {
	case walformat.FrameZeros:
		row.Verdict = VerdictZeros
		if zeros(l.buf) {
			row.Detail = ""
		}
	case walformat.FrameSalts:
		row.Verdict = VerdictForeign
		row.Detail = fmt.Sprintf("%08x %08x, not %08x %08x", head.Salt1, head.Salt2, h.Salt1, h.Salt2)
		// Each generation adds one to the first salt, which may wrap around.
		if back := int32(h.Salt1 - head.Salt1); back > 0 {
			row.Verdict = VerdictOld
			row.Detail = fmt.Sprintf("%d before: %s", back, row.Detail)
		}
	case walformat.FramePageZero:
		row.Verdict, row.Detail = VerdictPageZero, ""
	case walformat.FrameChecksum:
		row.Verdict = VerdictChecksum
		row.Detail = strings.TrimPrefix(row.Detail, "checksum mismatch: ")
	}
}

// short writes what of a frame is left at the end of the file.
func (l *lister) short(f walformat.FrameNo, rest int64) error {
	h := &l.p.scan.Header
	row := Frame{Frame: f, Offset: int64(h.FrameOffset(f)), Verdict: VerdictShort,
		Detail: fmt.Sprintf("%d of %d bytes", rest, h.FrameSize())}
	b := l.buf[:rest]
	if _, err := l.p.Log.ReadAt(b, row.Offset); errors.Is(err, io.EOF) {
		l.p.Changed = true
		return nil
	} else if err != nil {
		return err
	}
	switch {
	case zeros(b):
		row.Detail += ", all zeros"
	case rest >= walformat.FrameHeaderSize:
		head := walformat.ParseFrameHeader(b)
		row.Page, row.Commit = head.Page, head.Commit
	}
	return l.put(row)
}

// put writes a row; zeros it keeps back until it is known how many there are.
func (l *lister) put(r Frame) error {
	if r.Verdict == VerdictZeros && r.Detail == "" {
		if l.zeros == nil {
			l.zeros = &r
		} else {
			l.zeros.LastFrame = r.Frame
		}
		return nil
	}
	if err := l.flush(); err != nil {
		return err
	}
	return l.write(r)
}

// flush writes the zeros that were kept back.
func (l *lister) flush() error {
	if l.zeros == nil {
		return nil
	}
	r := *l.zeros
	l.zeros = nil
	return l.write(r)
}
