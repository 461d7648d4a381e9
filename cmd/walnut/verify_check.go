package main

// This file does what "walnut verify" promises.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"

	walnutdb "github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/cmd/walnut/internal/atrest"
	"github.com/walnutdb/walnut/cmd/walnut/internal/frozen"
	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/sqlitevfs"
)

// verifyFile checks file and its log. What it finds in files that change counts
// only if it finds it in files that do not.
func verifyFile(ctx context.Context, file string, errOut io.Writer) (*verifyReport, error) {
	name, err := disk.OS().Resolve(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for try := 1; ; try++ {
		r, err := verifyOnce(ctx, name, errOut)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case r == nil || !r.Changed:
			return r, err
		case err == nil && r.whole && len(r.Problems) == 0:
			r.OK = true // a snapshot that is no longer the newest
			return r, nil
		case try == atrest.Tries:
			r.OK, r.Problems, r.IntegrityCheck = false, []problem{}, nil
			return r, nil
		}
	}
}

// verifyOnce checks a pair as it is now. The report is nil if nothing could be
// read.
func verifyOnce(ctx context.Context, name string, errOut io.Writer) (*verifyReport, error) {
	p, err := atrest.OpenPair(disk.OS(), name)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	bar := newProgress(errOut, "reading the log")
	err = p.Read(bar.set)
	bar.close()
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	p.Changed = p.Changed || err != nil
	r := newVerifyReport(p)
	if p.Changed {
		r.Changed = true
		return r, nil
	}
	r.whole = true
	var checkErr error
	// integrity_check takes a bit for each page of the size it sees, 512 MB at
	// most. A size that cannot be is a problem already.
	if !p.Impossible(r.Database.PageCount) {
		checkErr = r.check(ctx, p, errOut)
	}
	moved, err := p.Moved()
	if err != nil {
		return nil, err
	}
	r.Changed = moved
	r.OK = checkErr == nil && len(r.Problems) == 0
	return r, checkErr
}

// newVerifyReport has all but the integrity check.
func newVerifyReport(p *atrest.Pair) *verifyReport {
	i := p.Report()
	r := &verifyReport{
		Log: i.Log,
		Database: verifyDatabase{
			Bytes: p.DBSize(), PageSize: i.PageSize, PageCount: i.PageCount, JournalMode: i.JournalMode,
		},
		Problems: []problem{},
	}
	for _, f := range p.Damage() {
		r.Problems = append(r.Problems, problem{f.Where, f.Beside(), f.Lost})
	}
	return r
}

// check runs integrity_check on what a reader would see. The error is what kept
// it from running, if that is no damage.
func (r *verifyReport) check(ctx context.Context, p *atrest.Pair, errOut io.Writer) error {
	bar := &pageBar{progress: newProgress(errOut, "checking pages")}
	defer bar.close()
	rows, err := integrityCheck(ctx, p, bar)
	if len(rows) > 0 {
		r.IntegrityCheck = rows
	}
	switch {
	case err == nil:
	case !isDamage(err):
		return fmt.Errorf("%s: integrity_check: %w", p.Name, withoutPrefix(plainError(err)))
	case len(rows) == 0 && len(r.Problems) > 0:
		// It says again why the database cannot be opened.
	case len(rows) == 0:
		r.Problems = append(r.Problems, problem{"database", plainError(withoutPrefix(err)).Error(), "it cannot be read"})
	default:
		r.IntegrityCheck = append(r.IntegrityCheck, "error: "+plainError(err).Error())
	}
	for _, row := range r.IntegrityCheck {
		if row != "ok" {
			r.Problems = append(r.Problems, checkProblems(row)...)
		}
	}
	return nil
}

// isDamage reports whether an error says what is wrong with the files, rather
// than what kept us from looking.
func isDamage(err error) bool {
	if errors.Is(err, walnutdb.ErrHotJournal) {
		return false // SQLite would roll it back, and find a database
	}
	for _, e := range []error{
		walnutdb.ErrCorrupt, walnutdb.ErrNotDatabase, walnutdb.ErrLogVersion,
		sqlite3.CORRUPT, sqlite3.NOTADB, sqlite3.IOERR_DATA, sqlite3.IOERR_SHORT_READ,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

var (
	checkHeading = regexp.MustCompile(`^\*\*\* in database \w+ \*\*\*$`)
	checkPage    = regexp.MustCompile(`(?i)^(?:tree \d+ |on tree )?page (\d+)\b`)
)

// checkProblems makes problems of a row of integrity_check, which may have
// several lines.
func checkProblems(row string) []problem {
	var all []problem
	for line := range strings.Lines(row) {
		line = strings.TrimSpace(line)
		if line == "" || checkHeading.MatchString(line) {
			continue
		}
		p := problem{"database", "integrity_check: " + line, "what SQL reads there may be wrong"}
		m := checkPage.FindStringSubmatch(line)
		if m != nil {
			p.Where, p.Lost = "page "+m[1], "rows or index entries on that page"
		}
		switch {
		case strings.HasSuffix(line, ": never used"):
			p.Lost = "nothing but its space"
		case m == nil && strings.Contains(line, " index "):
			p.Lost = "queries that use the index may be wrong; REINDEX makes it anew from the rows"
		}
		all = append(all, p)
	}
	return all
}

// verifications numbers the VFSs of integrityCheck.
var verifications atomic.Int64

// integrityCheck runs SQLite on the pair as it was when it was opened.
func integrityCheck(ctx context.Context, p *atrest.Pair, bar *pageBar) (rows []string, err error) {
	fsys := frozen.New(disk.OS())
	fsys.Freeze(p.Name, p.DB, p.DBSize(), bar.read)
	if p.Log == nil {
		fsys.Freeze(p.LogName(), nil, 0, nil)
	} else {
		fsys.Freeze(p.LogName(), p.Log, p.LogSize(), bar.read)
	}
	vfs := fmt.Sprintf("%s-verify-%d", sqlitevfs.Name, verifications.Add(1))
	sqlitevfs.Register(vfs, fsys)
	defer sqlitevfs.Unregister(vfs)

	// SQLite would open the engine by itself, but not pass on its words.
	engine, err := walnutdb.Open(p.Name, &walnutdb.Options{FS: fsys, ReadOnly: true, Immutable: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	db, err := sqlite3.OpenContext(sqlite3.WithMaxMemory(ctx, maxMemory), frozenURI(p.Name, vfs))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	s, _, err := db.Prepare("PRAGMA integrity_check")
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }() // it only repeats the error of the last step
	bar.begin(int64(engine.Stats().PageCount) * int64(engine.PageSize()))
	for s.Step() {
		rows = append(rows, s.ColumnText(0))
	}
	return rows, s.Err()
}

// pageBar is a progress bar that moves by what is read, by whomever.
type pageBar struct {
	*progress
	mu struct {
		sync.Mutex
		done, total int64
	}
}

// begin starts the bar: what was read before does not count.
func (b *pageBar) begin(total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.done, b.mu.total = 0, total
}

func (b *pageBar) read(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.done += int64(n)
	b.set(min(b.mu.done, b.mu.total), b.mu.total)
}

// frozenURI is the file as a URI for SQLite, on the VFS that changes nothing.
func frozenURI(file, vfs string) string {
	p := filepath.ToSlash(file)
	if filepath.VolumeName(file) != "" {
		p = "/" + p
	}
	return "file:" + (&url.URL{Path: p}).EscapedPath() + "?mode=ro&immutable=1&vfs=" + vfs
}
