// A stage: a log whose actors go one step at a time, each step up to the next
// operation on the disk or call to the coordination, in every order. After each
// step the invariants are checked, and a crash at that moment is recovered.

package wal

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/schedule"
	"github.com/walnutdb/walnut/internal/walformat"
)

// stagePages are the pages that actors write, from 2 on.
const stagePages = 2

// versions are the pages of one committed state.
type versions [stagePages]uint32

// stage is one run.
type stage struct {
	*testLog
	search  *schedule.Search
	crashes int
	players []*player
	failure string

	mu sync.Mutex
	// byID finds the player by its goroutine; test is the test's own.
	byID map[uint64]*player
	test uint64

	// plan has what the holder of the writer's place is about to commit, by the
	// number that the commit will have; history the pages of each commit.
	plan    map[coord.CommitSeq]func(*versions)
	history []versions
	// acked is the newest commit that returned at SyncFull, returned at any
	// level.
	acked, returned coord.CommitSeq
	readers         []*stageReader
	cancels         []context.CancelFunc
	last            coord.Snapshot
}

type stageReader struct {
	mark coord.Mark
	st   *coord.State
}

// player is an actor.
type player struct {
	*stage
	id   int
	name string
	run  func(p *player) error

	// at is what it waits for its turn to do; "" if it waits for others. Both
	// are guarded by stage.mu.
	at   string
	done bool
	turn chan struct{}
	// unbidden: the log started it, to see an abandoned commit through. It is
	// not known when it ends.
	unbidden bool
}

// step waits for the player's turn.
func (p *player) step(at string) {
	p.stage.mu.Lock()
	p.at = at
	p.stage.mu.Unlock()
	<-p.turn
}

// goID is the number of this goroutine.
func goID() (id uint64) {
	var b [64]byte
	_, _ = fmt.Sscanf(string(b[:runtime.Stack(b[:], false)]), "goroutine %d ", &id)
	return id
}

// me is the player whose goroutine this is; nil for the test's own.
func (s *stage) me() *player {
	id := goID()
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == s.test {
		return nil
	}
	if s.byID[id] == nil {
		p := &player{stage: s, id: len(s.players), name: "a commit without its caller", turn: make(chan struct{}), unbidden: true}
		s.byID[id] = p
		s.players = append(s.players, p)
	}
	return s.byID[id]
}

// onDisk makes a step of each operation that changes something.
func (s *stage) onDisk(i faultdisk.OpInfo) error {
	if i.Op&faultdisk.OpMutating == 0 {
		return nil
	}
	if p := s.me(); p != nil {
		p.step(fmt.Sprintf("%s %s at %d", i.Op, i.Name, i.Off))
	}
	return nil
}

// onCoord makes a step of the calls at which the log meets others.
type onCoord struct {
	coord.Coordinator
	s *stage
}

func (c onCoord) step(at string) {
	if p := c.s.me(); p != nil {
		p.step(at)
	}
}

func (c onCoord) SafeFrame(t walformat.FrameNo) (walformat.FrameNo, bool) {
	c.step("look for the safe frame")
	defer c.step("has found the safe frame")
	return c.Coordinator.SafeFrame(t)
}

func (c onCoord) ClaimMarks() bool {
	c.step("claim the marks")
	return c.Coordinator.ClaimMarks()
}

func (c onCoord) RequestWriter(kind coord.RequestKind, base coord.CommitSeq, claim *coord.Claim) (*coord.Request, error) {
	c.step("ask for the writer's place")
	return c.Coordinator.RequestWriter(kind, base, claim)
}

// play is a scenario: setup brings about the beginning, and the actors go on
// from there.
type play struct {
	name string
	// bound on the preemptions of one schedule, as in schedule.Search.
	bound int
	// crashes is how many power failures are drawn after each step; 0 is 4.
	crashes int
	setup   func(s *stage)
	actors  []func(p *player) error
}

// perform runs every schedule of a play.
func perform(t *testing.T, pl play) {
	search := schedule.Search{Preemptions: pl.bound}
	switch {
	case schedule.RaceDetector:
		search.Preemptions = 2
	case testing.Short():
		search.Preemptions = 3
	}
	for search.Next() && !t.Failed() {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, &search)
			s.crashes = cmp.Or(pl.crashes, 4)
			if pl.setup != nil {
				pl.setup(s)
			}
			s.begin(pl.actors)
			s.play()
			s.finish()
			if s.failure != "" {
				t.Errorf("%s\nafter %d schedules, in this one:\n%s%s", s.failure, search.Runs-1, search.String(), s.where())
			}
		})
	}
	t.Logf("%d schedules, %d steps checked", search.Runs, search.Visited)
}

func newStage(t *testing.T, search *schedule.Search) *stage {
	s := &stage{testLog: newLog(t), search: search, byID: map[uint64]*player{}, test: goID(),
		plan: map[coord.CommitSeq]func(*versions){}, history: make([]versions, 1)}
	s.Log.co = onCoord{s.Log.co, s}
	s.d.SetHook(s.onDisk)
	return s
}

func (s *stage) begin(actors []func(p *player) error) {
	s.last = s.published()
	for i, run := range actors {
		p := &player{stage: s, id: i, name: fmt.Sprint("actor ", i), run: run, turn: make(chan struct{})}
		s.players = append(s.players, p)
		go func() {
			s.mu.Lock()
			s.byID[goID()] = p
			s.mu.Unlock()
			err := run(p)
			s.mu.Lock()
			defer s.mu.Unlock()
			p.done, p.at = true, ""
			if err != nil {
				s.failf("%s: %v", p.name, err)
			}
		}()
		synctest.Wait()
	}
}

// failf notes the first failure. REQUIRES mu, or that nobody else runs.
func (s *stage) failf(format string, args ...any) {
	if s.failure == "" {
		s.failure = fmt.Sprintf(format, args...)
	}
}

// play makes the choices.
func (s *stage) play() {
	defer func() {
		if x := recover(); x != nil { // the search found the run to differ from the last
			s.failf("%v", x)
		}
	}()
	idle := false
	for s.failure == "" {
		steps, left := s.steps()
		switch {
		case left == 0 && len(steps) == 0:
			return
		case len(steps) == 0 && idle:
			s.failf("all who are left wait for each other")
			return
		case len(steps) == 0:
			// A checkpoint that waits for readers looks again now and then.
			idle = true
			s.letTimePass()
			continue
		}
		if s.take(s.players[steps[s.search.Pick(steps, nil)].Actor]) {
			// Those who look again now and then do so; unless it is one of
			// them that has just looked.
			idle = false
			s.letTimePass()
		}
		if s.search.New() {
			s.check()
		}
	}
}

// steps are what those would do who can go on; left counts those who have not
// ended.
func (s *stage) steps() (steps []schedule.Step, left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.players {
		if !p.done && !p.unbidden {
			left++
		}
		if p.at != "" {
			steps = append(steps, schedule.Step{Actor: p.id, Name: p.at, Writes: schedule.All})
		}
	}
	return steps, left
}

// take lets a player do its step; false if it waits for others after that.
func (s *stage) take(p *player) bool {
	s.mu.Lock()
	p.at = ""
	s.mu.Unlock()
	p.turn <- struct{}{}
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.at != "" || p.done || p.unbidden
}

// letTimePass lets the clock, which stands still otherwise, run until all who
// look again now and then have done so.
func (s *stage) letTimePass() {
	<-time.After(2 * waitMax)
	synctest.Wait()
}

// finish lets everybody run to the end, and checks that nothing is left behind.
func (s *stage) finish() {
	s.d.SetHook(nil)
	s.co = s.co.(onCoord).Coordinator
	for _, r := range s.readers {
		s.co.EndRead(r.mark)
	}
	s.mu.Lock()
	for _, p := range s.players {
		if p.at != "" {
			close(p.turn)
		}
	}
	s.mu.Unlock()
	s.letTimePass()
	if s.failure != "" {
		return
	}
	s.Log.mu.Lock()
	leading, waiting, inflight := s.Log.mu.leading, len(s.Log.mu.leadWaiters), len(s.Log.mu.inflight)
	s.Log.mu.Unlock()
	inFile, inLog := s.co.Readers()
	if leading && s.Failed() == nil || waiting+inflight+inFile+inLog+s.co.Queued() != 0 {
		s.failf("left behind: leading %v, %d wait to lead, %d commits in flight, %d and %d marks, %d requests",
			leading, waiting, inflight, inFile, inLog, s.co.Queued())
	}
	if s.Failed() == nil && s.last.Seq != s.acceptedState().Seq {
		s.failf("commit %d is not published", s.acceptedState().Seq)
	}
}

func (s *stage) where() string {
	var b strings.Builder
	for _, p := range s.players {
		fmt.Fprintf(&b, "%s: at %q, ended %v\n", p.name, p.at, p.done)
	}
	st := s.Stats()
	fmt.Fprintf(&b, "published %+v, accepted %d, appended %d, durable %d\n", st.Published, st.Accepted, st.Appended, st.Durable)
	return b.String()
}

// check is what holds at every instant.
func (s *stage) check() {
	p := s.published()
	s.Log.mu.Lock()
	gen, accepted, appended, durable, seq := s.Log.mu.gen, s.Log.mu.accepted, s.Log.mu.appended, s.Log.mu.durable, s.Log.mu.seq
	s.Log.mu.Unlock()
	for len(s.history) <= int(seq) {
		next := s.history[len(s.history)-1]
		s.plan[coord.CommitSeq(len(s.history))](&next)
		s.history = append(s.history, next)
	}
	switch {
	case p.Gen != gen:
		s.failf("published generation %d, the log's is %d", p.Gen, gen)
	case p.NBackfill > p.MaxFrame || p.MaxFrame > appended || appended > accepted || durable > appended || p.NBackfill > durable:
		s.failf("nBackfill %d <= published %d <= appended %d <= accepted %d, or nBackfill <= durable %d <= appended is broken",
			p.NBackfill, p.MaxFrame, appended, accepted, durable)
	case p.Seq < s.last.Seq || p.Gen < s.last.Gen || p.Gen == s.last.Gen && p.NBackfill < s.last.NBackfill:
		s.failf("published %+v after %+v", p, s.last)
	case p.Seq < s.returned:
		s.failf("commit %d has returned, published is %d", s.returned, p.Seq)
	}
	s.last = p
	for _, r := range s.readers {
		s.checkReader(r)
	}
	s.checkCrashes(p.Seq)
}

func (s *stage) checkReader(r *stageReader) {
	got := make([]byte, testPage)
	for i, want := range s.history[r.st.Seq] {
		n := walformat.PageNo(i + 2)
		if want == 0 {
			continue
		}
		if err := s.ReadPage(r.st, frameOf(r.st, r.mark.InFile(), n), n, got); err != nil {
			s.failf("a reader of commit %d: page %d: %v", r.st.Seq, n, err)
		} else if !bytes.Equal(got, pageData(n, want)) {
			s.failf("a reader of commit %d: page %d has version %d, want %d", r.st.Seq, n, binary.BigEndian.Uint32(got[4:]), want)
		}
	}
}

// checkCrashes opens what a killed process and power failures leave. What is
// there must be a committed state with everything that anybody was told of: a
// commit at SyncFull survives all, one at SyncNormal a killed process.
func (s *stage) checkCrashes(published coord.CommitSeq) {
	cached := max(published, s.returned)
	if s.Failed() != nil {
		cached = s.acked // the failed sync may have dropped what was in the cache
	}
	type crash struct {
		what  string
		d     *faultdisk.Disk
		least coord.CommitSeq
	}
	crashes := []crash{
		{"a killed process", s.d.Kill(1), cached},
		{"a power failure that keeps nothing", s.d.CrashKeepNone(), s.acked},
		{"a power failure that keeps all", s.d.CrashKeepAll(), s.acked},
	}
	for i := range s.crashes {
		crashes = append(crashes, crash{"a power failure", s.d.Crash(int64(s.crashes*s.search.Visited + i)), s.acked})
	}
	for _, c := range crashes {
		got, err := recovered(c.d)
		if err != nil {
			s.failf("after %s: %v", c.what, err)
			continue
		}
		newest := -1
		for seq, want := range s.history {
			if got == want {
				newest = seq
			}
		}
		if newest < int(c.least) {
			s.failf("after %s the pages are %v, and commit %d was %v (all: %v)", c.what, got, c.least, s.history[c.least], s.history)
		}
	}
}

// recovered are the pages that the next process finds.
func recovered(d *faultdisk.Disk) (v versions, err error) {
	db, err := d.Open(dbName, 0)
	if err != nil {
		return v, err
	}
	size, err := db.Size()
	if err != nil {
		return v, err
	}
	r, err := Inspect(d, logName, 0)
	if err != nil {
		return v, err
	}
	l, err := r.Start(Config{FS: d, DB: db, PageSize: testPage, DBSize: uint32(size / testPage)})
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, l.Close(false), db.Close()) }()
	m, st := l.co.BeginRead()
	defer l.co.EndRead(m)
	page := make([]byte, testPage)
	for i := range v {
		n := walformat.PageNo(i + 2)
		if uint32(n) > st.DBSize {
			continue
		}
		if err := l.ReadPage(st, frameOf(st, m.InFile(), n), n, page); err != nil {
			return v, err
		}
		v[i] = binary.BigEndian.Uint32(page[4:])
		if v[i] != 0 && !bytes.Equal(page, pageData(n, v[i])) {
			return v, fmt.Errorf("page %d is torn", n)
		}
	}
	return v, nil
}
