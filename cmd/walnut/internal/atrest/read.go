package atrest

// This file reads a database and its log. It looks twice, and says so if the
// files changed in between.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

// Tries bounds how often files that change are read again.
const Tries = 3

// emptyPageSize is the page size that an empty database would get.
const emptyPageSize = 4096

// Inspect reads file and its log.
func Inspect(fsys disk.FS, file string, progress func(done, total int64)) (*Report, error) {
	p, changed, err := ReadPair(fsys, file, nil, progress)
	if err != nil {
		return nil, err
	}
	r := p.Report()
	if changed {
		r.Changed, r.Damage = true, nil // what is read in pieces proves nothing
	}
	return r, nil
}

// ReadPair reads file and its log, again if they change meanwhile; changed
// says that they did so each time. The pages of the committed frames, and
// the newest frame of each, are entered into live, unless it is nil. The pair is closed.
func ReadPair(fsys disk.FS, file string, live map[walformat.PageNo]walformat.FrameNo, progress func(done, total int64)) (p *Pair, changed bool, err error) {
	name, err := fsys.Resolve(file)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", file, err)
	}
	for try := 1; ; try++ {
		p, err := OpenPair(fsys, name)
		if err != nil {
			return nil, false, err
		}
		clear(live)
		p.live = live
		err = p.Read(progress)
		p.Close()
		changed := errors.Is(err, io.ErrUnexpectedEOF) || p.Changed
		if err != nil && !changed {
			return nil, false, err
		}
		if !changed {
			again, err := OpenPair(fsys, name)
			if err != nil {
				return nil, false, err
			}
			again.Close()
			changed = !p.stamp.equal(again.stamp)
		}
		if !changed || try == Tries {
			return p, changed, nil
		}
	}
}

// stamp is what must stay the same while a pair is read.
type stamp struct {
	hasLog          bool
	dbSize, logSize int64
	db, log         []byte // headers
}

func (s *stamp) equal(o *stamp) bool {
	return s.hasLog == o.hasLog && s.dbSize == o.dbSize && s.logSize == o.logSize &&
		bytes.Equal(s.db, o.db) && bytes.Equal(s.log, o.log)
}

// Pair is a database and its log, and what was read of them. It is not safe for
// concurrent use.
type Pair struct {
	Name    string    // resolved
	DB, Log disk.File // nil where there is none
	Changed bool      // somebody changed the files while they were read
	Orphan  bool      // the log has no database file

	fsys    disk.FS
	stamp   *stamp
	scan    wal.ScanResult
	scanErr error                                  // walformat.ErrVersion
	page1At walformat.FrameNo                      // newest committed frame of page 1, 0 = none
	page1   []byte                                 // the newest page 1, its first 100 bytes or fewer
	later   lost                                   // see findLater
	logHead []byte                                 // start of the log: header and one frame header
	live    map[walformat.PageNo]walformat.FrameNo // see ReadPair; nil if nobody asks
}

// lost are commits in the log that cannot be reached: alone they verify, but
// what leads to them does not.
type lost struct {
	first, last  walformat.FrameNo // good commit frames; 0 = there is none
	transactions int               // up to last
	atLeast      bool              // frames between may have been commits too
	page         walformat.PageNo  // of the frame where the log stops, 0 = not known
}

// OpenPair opens the database of a resolved name, and its log if there is one.
func OpenPair(fsys disk.FS, name string) (*Pair, error) {
	p := &Pair{fsys: fsys, Name: name, stamp: &stamp{}}
	err := p.openDB()
	if err == nil {
		err = p.openLog()
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// LogName is the name of the log, whether there is one or not.
func (p *Pair) LogName() string { return p.Name + "-wal" }

// DBSize is the size of the database file in bytes, when it was opened.
func (p *Pair) DBSize() int64 { return p.stamp.dbSize }

// LogSize is the size of the log in bytes, when it was opened.
func (p *Pair) LogSize() int64 { return p.stamp.logSize }

// LogEmpty says why nothing in the log counts or could be listed: it has no
// header that is accepted. It is "" if it has one.
func (p *Pair) LogEmpty() string {
	if p.scan.HasHeader {
		return ""
	}
	return p.scan.StopReason
}

// NotDatabase says why the database file cannot be one, by its first bytes.
// An empty file can.
func (p *Pair) NotDatabase() error {
	if p.stamp.dbSize < 2 {
		return nil
	}
	_, err := walformat.ParseDBHeader(p.stamp.db)
	return err
}

func (p *Pair) openDB() error {
	db, err := p.fsys.Open(p.Name, disk.ReadOnly)
	if errors.Is(err, fs.ErrNotExist) {
		if _, logErr := p.fsys.Stat(p.LogName()); logErr == nil {
			return fmt.Errorf("%w (its log %s is there)", err, p.LogName())
		}
	}
	if err != nil {
		return err
	}
	p.DB = db
	if info, err := db.Stat(); err == nil && info.Mode.IsDir() {
		return fmt.Errorf("%s is a directory, not a database", p.Name)
	}
	p.stamp.dbSize, p.stamp.db, err = sizeAndHead(db, walformat.DBHeaderSize)
	return err
}

func (p *Pair) openLog() error {
	log, err := p.fsys.Open(p.LogName(), disk.ReadOnly)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	p.Log, p.stamp.hasLog = log, true
	p.stamp.logSize, p.stamp.log, err = sizeAndHead(log, walformat.HeaderSize)
	return err
}

// Close closes the files. What was read of them stays.
func (p *Pair) Close() {
	for _, f := range []disk.File{p.DB, p.Log} {
		if f != nil {
			_ = f.Close() // it was only read
		}
	}
}

// sizeAndHead returns the size of a file and its first n bytes, fewer if it is
// shorter.
func sizeAndHead(f disk.File, n int) (int64, []byte, error) {
	size, err := f.Size()
	if err != nil {
		return 0, nil, err
	}
	b := make([]byte, n)
	got, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, nil, err
	}
	return size, b[:got], nil
}

// Read reads what [Pair.Report] and [Pair.List] need. The error is
// [io.ErrUnexpectedEOF] if the files became shorter meanwhile.
func (p *Pair) Read(progress func(done, total int64)) error {
	p.page1 = p.stamp.db
	if p.Log == nil {
		return nil
	}
	var err error
	if _, p.logHead, err = sizeAndHead(p.Log, walformat.HeaderSize+walformat.FrameHeaderSize); err != nil {
		return err
	}
	p.scan, err = wal.Scan(progressReader{p.Log, p.stamp.logSize, progress}, p.stamp.logSize, func(tx wal.ScanTx) {
		for i, page := range tx.Pages {
			if page == 1 {
				p.page1At = tx.First + walformat.FrameNo(i)
			}
			if p.live != nil {
				p.live[page] = tx.First + walformat.FrameNo(i)
			}
		}
	})
	if errors.Is(err, walformat.ErrVersion) {
		p.scanErr, err = err, nil
	}
	if err != nil {
		return err
	}
	if err := p.readPage1(); err != nil {
		return err
	}
	if err := p.findLater(); err != nil || p.later.first == 0 {
		return err
	}
	// A writer may have appended what lies between since the scan stopped there.
	again, err := wal.Scan(p.Log, p.stamp.logSize, nil)
	p.Changed = err == nil && again.Intact != p.scan.Intact
	return err
}

// readPage1 takes page 1 from the log, where the log has it.
func (p *Pair) readPage1() error {
	if p.page1At == 0 {
		return nil
	}
	b := make([]byte, walformat.DBHeaderSize)
	off := int64(p.scan.Header.FrameOffset(p.page1At)) + walformat.FrameHeaderSize
	if _, err := p.Log.ReadAt(b, off); err != nil {
		return shortRead(err)
	}
	p.page1 = b
	return nil
}

// findLater looks for commit frames of this generation after the frame where
// the log stops that verify alone.
func (p *Pair) findLater() error {
	h, end := &p.scan.Header, walformat.FrameNo(p.scan.FramesInFile)
	if !p.scan.HasHeader {
		return nil
	}
	raw := make([]byte, walformat.FrameHeaderSize)
	page := make([]byte, h.PageSize)
	prev := walformat.Checksum{}
	commits, unclear := 0, false // since the last good one
	for f := p.scan.Intact + 1; f <= end; f++ {
		if _, err := p.Log.ReadAt(raw, int64(h.FrameOffset(f))); err != nil {
			return shortRead(err)
		}
		head, err := walformat.CheckFrameHeader(h, raw)
		if err == nil && f == p.scan.Intact+1 {
			p.later.page = head.Page
		}
		switch {
		case err != nil:
			unclear = true
		case head.Commit != 0:
			commits++
			if f == p.scan.Intact+1 {
				break // it is the one that does not verify
			}
			if _, err := p.Log.ReadAt(page, int64(h.FrameOffset(f))+walformat.FrameHeaderSize); err != nil {
				return shortRead(err)
			}
			if _, err := walformat.VerifyFrame(h, prev, raw, page); err == nil {
				p.later.add(f, commits, unclear)
				commits, unclear = 0, false
			}
		}
		prev = walformat.ParseFrameHeader(raw).Sum
	}
	return nil
}

// add counts a good commit frame and the commits before it.
func (l *lost) add(f walformat.FrameNo, commits int, unclear bool) {
	if l.first == 0 {
		l.first = f
	}
	l.last = f
	l.transactions += commits
	l.atLeast = l.atLeast || unclear
}

// Moved reports whether the files have changed since they were read. Checkpoints
// alone may do that too; then what was read still fits together.
func (p *Pair) Moved() (bool, error) {
	again := &Pair{fsys: p.fsys, Name: p.Name, stamp: &stamp{}}
	defer again.Close()
	if p.DB != nil {
		if err := again.openDB(); errors.Is(err, fs.ErrNotExist) {
			return true, nil
		} else if err != nil {
			return false, err
		}
	}
	if err := again.openLog(); err != nil {
		return false, err
	}
	if !p.stamp.equal(again.stamp) {
		return true, nil
	}
	if p.Log == nil || p.scanErr != nil {
		return false, nil
	}
	scan, err := wal.Scan(again.Log, again.stamp.logSize, nil)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return true, nil
	}
	return scan.Intact != p.scan.Intact || scan.Committed != p.scan.Committed || scan.Sum != p.scan.Sum, err
}

// shortRead makes the end of a file an error that says "it was longer before".
func shortRead(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Report puts together what was read.
func (p *Pair) Report() *Report {
	r := &Report{PageSize: emptyPageSize, JournalMode: "delete"}
	header, headerErr := walformat.ParseDBHeader(p.page1)
	if headerErr == nil {
		r.PageSize = header.PageSize
	} else if p.scan.Committed > 0 {
		r.PageSize = p.scan.Header.PageSize
	}
	if p.scan.Committed > 0 || headerErr == nil && header.WALMode() {
		r.JournalMode = "wal"
	}
	r.PageCount = p.pagesOutside(r.PageSize)
	if headerErr == nil && header.SizeValid() {
		r.PageCount = header.SizeInPages
	}
	r.Log = p.logReport()
	for _, f := range p.findings(header, headerErr) {
		r.Damage = append(r.Damage, f.What)
	}
	return r
}

// pagesOutside is the database size that something else than page 1 tells: the
// last commit, else the size of the file.
func (p *Pair) pagesOutside(pageSize int) uint32 {
	if p.scan.Committed > 0 {
		return p.scan.DBSize
	}
	return uint32((p.stamp.dbSize + int64(pageSize) - 1) / int64(pageSize))
}

func (p *Pair) logReport() *Log {
	if p.Log == nil {
		return nil
	}
	l := &Log{
		Bytes:           p.stamp.logSize,
		FramesInFile:    p.scan.FramesInFile,
		CommittedFrames: uint32(p.scan.Committed),
		Transactions:    p.scan.Transactions,
		LastCommitPages: p.scan.DBSize,
		IgnoredFrames:   p.scan.FramesInFile - uint32(p.scan.Committed),
		StopReason:      p.scan.StopReason,
	}
	if p.scan.HasHeader {
		h, order := p.scan.Header, "little"
		if h.Order == walformat.BigEndian {
			order = "big"
		}
		l.ByteOrder, l.CheckpointSeq, l.Salt1, l.Salt2 = &order, &h.CheckpointSeq, &h.Salt1, &h.Salt2
	}
	return l
}

// progressReader tells how far a file has been read.
type progressReader struct {
	r        io.ReaderAt
	size     int64
	progress func(done, total int64)
}

func (r progressReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.r.ReadAt(p, off)
	r.progress(off+int64(n), r.size)
	return n, err
}
