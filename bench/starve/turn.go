package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/walnutdb/walnut"
)

// setting is what all turns have in common.
type setting struct {
	scenario string
	sync     string
	// duration of a turn; readers, each open for stay.
	duration, stay time.Duration
	readers        int
	// rows of the table, one on a page; pages changed by a transaction; bytes
	// of pages that are written beside the reader that stays.
	rows, pages int
	bytes       int64
	// limit, hold, grace: of Walnut's log.
	limit       int64
	hold, grace time.Duration
}

// largest is the most that one transaction adds to the log, with pages that are
// not the table's leaves.
func (s setting) largest() int64 { return int64(s.pages+8) * frameSize }

// turn is what one engine did in one scenario.
type turn struct {
	Round    int    `json:"round"`
	Scenario string `json:"scenario"`
	Sync     string `json:"sync"`
	Engine   string `json:"engine"`
	// Seconds that the writer wrote; Commits that it made.
	Seconds float64 `json:"seconds"`
	Commits int     `json:"commits"`
	// LogBytes is the largest size of the log file, FrameBytes that of what is
	// in it.
	LogBytes   int64 `json:"log_bytes"`
	FrameBytes int64 `json:"frame_bytes,omitempty"`
	// SideBytes, SideImages: the largest of Walnut's side file. PagesChanged of
	// the pages that the file had.
	SideBytes    int64 `json:"side_bytes"`
	SideImages   int64 `json:"side_images"`
	PagesChanged int   `json:"pages_changed"`
	// Detached readers at a time, at most, and in all.
	DetachedAtOnce int    `json:"detached_at_once"`
	Detached       uint64 `json:"detached"`
	// Times in microseconds. Apart: without what the engine held the writer for.
	Commit      quantiles `json:"commit_us"`
	CommitApart quantiles `json:"commit_without_hold_us"`
	Query       quantiles `json:"query_us"`
	// Holds of the writer and how long they were together and at most.
	Holds         uint64  `json:"holds"`
	HoldSeconds   float64 `json:"hold_seconds"`
	LongestHoldUS float64 `json:"longest_hold_us"`
	Restarts      uint64  `json:"restarts"`
	// Broken promises, in words.
	Broken []string `json:"broken,omitempty"`
}

type quantiles struct {
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
	Count int     `json:"count"`
}

func newQuantiles(t times) quantiles {
	return quantiles{t.quantile(0.5), t.quantile(0.99), t.quantile(0.999), t.quantile(1), len(t)}
}

// take has a turn in an empty directory.
func take(ctx context.Context, e engine, dir string, s setting) (_ turn, err error) {
	t := turn{Scenario: s.scenario, Sync: s.sync, Engine: e.name}
	d, err := e.open(dir, s)
	if err != nil {
		return t, err
	}
	before, err := d.prepare(ctx, s)
	if err == nil {
		err = t.measure(ctx, d, s)
	}
	if err := errors.Join(err, d.close()); err != nil {
		return t, fmt.Errorf("%s, %s: %w", s.scenario, e.name, err)
	}
	path := filepath.Join(dir, "starve.db")
	if err := integrity(ctx, path); err != nil {
		t.Broken = append(t.Broken, err.Error())
	}
	after, err := pageSums(path)
	t.PagesChanged = differ(before, after)
	if e.own {
		t.judge(s)
	}
	return t, err
}

// prepare fills the table and returns the checksums of its pages.
func (d *database) prepare(ctx context.Context, s setting) ([]uint32, error) {
	if err := d.fill(ctx, s.rows); err != nil {
		return nil, err
	}
	return pageSums(d.path)
}

// judge compares with what is promised. Each reader that is detached may need an
// image of its own of each page.
func (t *turn) judge(s setting) {
	if most := s.limit + s.limit/5 + s.largest(); t.LogBytes > most {
		t.Broken = append(t.Broken, fmt.Sprintf("the log had %d bytes, more than %d", t.LogBytes, most))
	}
	if most := int64(t.PagesChanged) * int64(t.DetachedAtOnce); t.SideImages > most || t.SideBytes > most*pageSize {
		t.Broken = append(t.Broken, fmt.Sprintf("%d images in %d bytes of %d changed pages for %d readers", t.SideImages, t.SideBytes, t.PagesChanged, t.DetachedAtOnce))
	}
}

// measure runs the scenario.
func (t *turn) measure(ctx context.Context, d *database, s setting) (err error) {
	w, err := newWriter(ctx, d, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	var readers []*reader
	defer func() {
		for _, r := range readers {
			err = errors.Join(err, r.close())
		}
	}()
	for i := range s.readers {
		r, err := newReader(ctx, d, s, uint64(i))
		if err != nil {
			return err
		}
		readers = append(readers, r)
	}
	var from walnut.Stats
	if d.own != nil {
		from = d.own.Stats()
	}
	stop := d.watch()
	if s.scenario == "stay" {
		err = t.beside(ctx, d, s, w, readers)
	} else {
		err = t.load(ctx, s, w, readers, 0)
	}
	p := stop()
	t.LogBytes, t.FrameBytes, t.SideBytes, t.SideImages, t.DetachedAtOnce = p.logFile, p.logFrames, p.sideBytes, p.images, p.detached
	t.Commits = len(w.commits)
	t.Commit, t.CommitApart = newQuantiles(sorted(w.commits)), newQuantiles(sorted(w.apart))
	var queries []times
	for _, r := range readers {
		queries = append(queries, r.queries)
	}
	t.Query = newQuantiles(sorted(queries...))
	if d.own != nil {
		to := d.own.Stats()
		t.Holds, t.HoldSeconds = to.WriterHold.Count-from.WriterHold.Count, time.Duration(to.WriterHold.Sum-from.WriterHold.Sum).Seconds()
		t.LongestHoldUS = float64(to.WriterHold.Max) / 1e3
		t.Restarts, t.Detached = to.Restarts-from.Restarts, to.Detached-from.Detached
	}
	return err
}

// load runs the writer and the readers beside it until the time is over, and the
// bytes are written.
func (t *turn) load(ctx context.Context, s setting, w *writer, readers []*reader, bytes int64) error {
	done := make(chan struct{})
	errs := make([]error, len(readers))
	var wg sync.WaitGroup
	for i, r := range readers {
		wg.Go(func() { errs[i] = r.run(ctx, s.stay*time.Duration(i)/time.Duration(len(readers)), s.stay, done) })
	}
	begin := time.Now()
	err := w.run(ctx, begin.Add(s.duration), bytes)
	t.Seconds = time.Since(begin).Seconds()
	close(done)
	wg.Wait()
	return errors.Join(append(errs, err)...)
}

// beside is load beside a reader that stays, and reads all at the beginning and
// at the end of the turn.
func (t *turn) beside(ctx context.Context, d *database, s setting, w *writer, readers []*reader) (err error) {
	c, err := d.conn(ctx, s.sync)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	begin := time.Now()
	if _, err := c.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	first, err := checksum(ctx, c)
	if err != nil {
		return err
	}
	if err := t.load(ctx, s, w, readers, s.bytes); err != nil {
		return err
	}
	select { // it stays for the whole time, also when all has been written
	case <-time.After(s.duration - time.Since(begin)):
	case <-ctx.Done():
		return ctx.Err()
	}
	last, err := checksum(ctx, c)
	if err != nil {
		return err
	}
	if first != last {
		t.Broken = append(t.Broken, fmt.Sprintf("the reader saw %x at its beginning and %x at its end", first, last))
	}
	_, err = c.ExecContext(ctx, "COMMIT")
	return err
}
