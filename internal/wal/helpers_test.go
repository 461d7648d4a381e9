// What the tests of the log share: a log on a disk whose operations can be held
// up, and transactions on it. Schedules are made with channels alone.

package wal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

const (
	testPage = 512
	dbName   = "/dir/db"
	logName  = dbName + "-wal"
)

// testLog is a log on a faulty disk with one page in the database file.
type testLog struct {
	*Log
	t  *testing.T
	d  *faultdisk.Disk
	db disk.File
	*gate
}

func newLog(t *testing.T) *testLog {
	t.Helper()
	d := faultdisk.New(1)
	if err := d.WriteFile(dbName, walformat.NewPage1(testPage)); err != nil {
		t.Fatal(err)
	}
	return openLog(t, d)
}

// openLog opens what is on the disk, as the pager does.
func openLog(t *testing.T, d *faultdisk.Disk) *testLog {
	t.Helper()
	f, err := d.Open(dbName, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Inspect(d, logName, 0)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	l, err := r.Start(Config{FS: d, DB: f, PageSize: testPage, DBSize: uint32(size / testPage)})
	if err != nil {
		t.Fatal(err)
	}
	x := &testLog{Log: l, t: t, d: d, db: f, gate: &gate{}}
	d.SetHook(x.gate.hook)
	t.Cleanup(func() {
		x.gate.disarm()
		_ = l.Close(true)
		_ = f.Close()
	})
	return x
}

// gate holds up the operations that match while it is armed, and records all
// that change something.
type gate struct {
	mu      sync.Mutex
	op      faultdisk.Op
	suffix  string
	armed   bool
	trace   []string
	entered chan faultdisk.OpInfo
	release chan error
	old     chan error // of the arming before
}

// releaseOld lets an operation go on that was held up before the gate was armed
// again.
func (g *gate) releaseOld(err error) { g.old <- err }

// arm holds up every operation of a kind on the files with that suffix.
func (g *gate) arm(op faultdisk.Op, suffix string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.op, g.suffix, g.armed = op, suffix, true
	g.old = g.release
	g.entered, g.release = make(chan faultdisk.OpInfo), make(chan error)
}

// disarm lets later operations pass. One that is held up goes on by pass.
func (g *gate) disarm() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed = false
}

func (g *gate) hook(i faultdisk.OpInfo) error {
	g.mu.Lock()
	if i.Op&faultdisk.OpMutating != 0 {
		name := "db"
		if strings.HasSuffix(i.Name, "-wal") {
			name = "wal"
		}
		g.trace = append(g.trace, i.Op.String()+" "+name)
	}
	held := g.armed && i.Op&g.op != 0 && strings.HasSuffix(i.Name, g.suffix)
	entered, release := g.entered, g.release
	g.mu.Unlock()
	if !held {
		return nil
	}
	entered <- i
	return <-release
}

// pass waits for an operation to be held up, and calls beside it, and then lets
// it go on with err.
func (g *gate) pass(err error, beside func()) {
	<-g.entered
	if beside != nil {
		beside()
	}
	g.release <- err
}

// takeTrace returns what was recorded since the last call.
func (g *gate) takeTrace() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.trace
	g.trace = nil
	return t
}

// pageData is a page with recognizable content.
func pageData(n walformat.PageNo, version uint32) []byte {
	b := make([]byte, testPage)
	binary.BigEndian.PutUint32(b, uint32(n))
	for i := 4; i+4 <= len(b); i += 4 {
		binary.BigEndian.PutUint32(b[i:], version)
	}
	return b
}

// RequestWrite is RequestWriteInto a request of its own.
func (l *Log) RequestWrite(noRestart bool) (*WriterRequest, error) {
	r := new(WriterRequest)
	return r, l.RequestWriteInto(r, coord.Who{}, AutoActions{NoRestart: noRestart})
}

// Wait waits for the place and begins. The error may be ctx's.
func (r *WriterRequest) Wait(ctx context.Context) (*Writer, error) {
	if err := r.Granted(ctx); err != nil {
		return nil, err
	}
	return r.Begin(ctx)
}

// begin takes the writer's place, which must be free.
func (x *testLog) begin() *Writer {
	x.t.Helper()
	r, err := x.RequestWrite(false)
	if err != nil {
		x.t.Fatal(err)
	}
	if r.Answer() != nil {
		x.t.Fatal("the writer's place is not free")
	}
	w, err := r.Begin(context.Background())
	if err != nil {
		x.t.Fatal(err)
	}
	return w
}

// commitOn commits pages with one version on a writer's base.
func (x *testLog) commitOn(w *Writer, level SyncLevel, version uint32, pages ...walformat.PageNo) (*coord.State, error) {
	frames, size := make([]Frame, len(pages)), max(w.Base.DBSize, 1)
	for i, p := range pages {
		frames[i] = Frame{Page: p, Data: pageData(p, version)}
		size = max(size, uint32(p))
	}
	if err := w.Reserve(len(frames)); err != nil {
		_ = w.Abandon()
		return nil, err
	}
	if _, err := w.Commit(context.Background(), frames, size, CommitOptions{Level: level}); err != nil {
		return nil, err
	}
	return w.Base, nil
}

// acceptedState is the newest accepted state.
func (x *testLog) acceptedState() coord.State {
	x.Log.mu.Lock()
	defer x.Log.mu.Unlock()
	return x.acceptedLocked()
}

// requestUpgrade is RequestWrite for a read transaction on st.
func (x *testLog) requestUpgrade(st coord.State) (*WriterRequest, error) {
	r := new(WriterRequest)
	return r, x.RequestUpgradeInto(r, &st, coord.Who{}, AutoActions{NoRestart: true})
}

// commit is a whole transaction that must work.
func (x *testLog) commit(level SyncLevel, version uint32, pages ...walformat.PageNo) *coord.State {
	x.t.Helper()
	st, err := x.commitOn(x.begin(), level, version, pages...)
	if err != nil {
		x.t.Fatal(err)
	}
	return st
}

// goCommit commits beside the test and returns when it is accepted; the
// outcome comes out of the channel.
func (x *testLog) goCommit(level SyncLevel, version uint32, pages ...walformat.PageNo) <-chan error {
	x.t.Helper()
	w := x.begin()
	base := w.Base.Seq
	done := make(chan error, 1)
	go func() {
		_, err := x.commitOn(w, level, version, pages...)
		if err == nil && x.Coordinator().Published().Seq <= base {
			err = errors.New("a commit returned before it was published")
		}
		done <- err
	}()
	// The place is given up a moment after the acceptance.
	until(func() bool { return x.acceptedState().Seq == base+1 && len(x.Coordinator().ListWriters()) == 0 })
	return done
}

// until yields until cond, which another goroutine brings about.
func until(cond func() bool) {
	for !cond() {
		runtime.Gosched()
	}
}

func (x *testLog) wantDone(done <-chan error, target error) {
	x.t.Helper()
	if err := <-done; !errors.Is(err, target) {
		x.t.Fatalf("outcome %v, want %v", err, target)
	}
}

// wantPage reads a page as a new reader.
func (x *testLog) wantPage(n walformat.PageNo, version uint32) {
	x.t.Helper()
	m, st := x.Coordinator().BeginRead()
	defer x.Coordinator().EndRead(m)
	x.wantPageAt(st, m.InFile(), n, version)
}

func (x *testLog) wantPageAt(st *coord.State, inFile bool, n walformat.PageNo, version uint32) {
	x.t.Helper()
	got := make([]byte, testPage)
	if err := x.ReadPage(st, frameOf(st, inFile, n), n, got); err != nil {
		x.t.Fatalf("page %d: %v", n, err)
	}
	if !bytes.Equal(got, pageData(n, version)) {
		x.t.Fatalf("page %d has version %d, want %d", n, binary.BigEndian.Uint32(got[4:]), version)
	}
}

// frameOf is where a reader of st finds page n: in a frame, or in the file.
func frameOf(st *coord.State, inFile bool, n walformat.PageNo) walformat.FrameNo {
	if inFile {
		return 0
	}
	return st.Index.Lookup(n, st.MaxFrame)
}

func (x *testLog) published() coord.Snapshot { return x.Coordinator().Published().Snapshot }

// checkpoint must do all that its mode promises.
func (x *testLog) checkpoint(mode CheckpointMode) CheckpointResult {
	x.t.Helper()
	r, err := x.Checkpoint(context.Background(), mode, CheckpointOptions{})
	if err != nil || r.Busy || r.WaitedFor != "" {
		x.t.Fatalf("%s: %+v, %v", mode, r, err)
	}
	return r
}

func (x *testLog) read(name string) []byte {
	x.t.Helper()
	b, err := x.d.ReadFile(name)
	if err != nil {
		x.t.Fatal(err)
	}
	return b
}

// wantDB checks page n of the database file itself.
func (x *testLog) wantDB(n walformat.PageNo, version uint32) {
	x.t.Helper()
	b := x.read(dbName)
	if len(b) < int(n)*testPage || !bytes.Equal(b[(int(n)-1)*testPage:int(n)*testPage], pageData(n, version)) {
		x.t.Fatalf("page %d of the database file (%d bytes) is not version %d", n, len(b), version)
	}
}
