// Recovery on the disk: what it makes durable, what it cuts, and that nothing is
// written where nothing may be. And reading: damage is reported, not served.

package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/walformat"
)

// appendTail writes frames that chain to what is committed and end no transaction.
func (x *testLog) appendTail(pages ...walformat.PageNo) {
	x.t.Helper()
	b, h := x.read(logName), x.hdr.Load()
	st := x.published()
	sum := st.Sum
	for i, p := range pages {
		off := h.FrameOffset(st.MaxFrame + walformat.FrameNo(i+1))
		sum = h.EncodeFrame(b[off:], sum, p, 0, pageData(p, 99))
		copy(b[off+walformat.FrameHeaderSize:], pageData(p, 99))
	}
	if err := x.d.WriteFile(logName, b); err != nil {
		x.t.Fatal(err)
	}
}

// TestRecoveryCuts: frames behind the last commit are gone, durably, before
// anything is published, so that they can never chain again.
func TestRecoveryCuts(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2, 3)
	x.commit(SyncFull, 2, 2)
	x.appendTail(3, 4)
	y := openLog(t, x.d.CrashKeepAll())
	if st := y.published(); st.MaxFrame != 3 || st.DBSize != 3 {
		t.Fatalf("%+v", st)
	}
	h := y.hdr.Load()
	for name, d := range map[string]*faultdisk.Disk{"shown": y.d, "durable": y.d.CrashKeepNone()} {
		b, err := d.ReadFile(logName)
		if err != nil {
			t.Fatal(err)
		}
		if rest := b[h.EndOffset(3):]; !bytes.Equal(rest, make([]byte, len(rest))) {
			t.Errorf("%s: the tail is still there", name)
		}
	}
	y.wantPage(2, 2)
	y.wantPage(3, 1)
	y.commit(SyncFull, 3, 4)
	z := openLog(t, y.d.CrashKeepNone())
	z.wantPage(4, 3)
	z.wantPage(2, 2)
}

// TestRecoveryRewrites: what the cache shows is written again and synced. A sync
// that failed before has dropped it, and the next one would not write it.
func TestRecoveryRewrites(t *testing.T) {
	shown := 0
	for seed := range int64(20) {
		x := newLog(t)
		x.commit(SyncFull, 1, 2, 3)
		x.d.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: "-wal", Effect: faultdisk.Nothing})
		if _, err := x.commitOn(x.begin(), SyncFull, 2, 2, 3); !errors.Is(err, ErrCommitUnknown) {
			t.Fatal(err)
		}
		y := openLog(t, x.d.Kill(seed))
		version := uint32(1)
		if y.published().MaxFrame == 4 {
			version = 2
			shown++
		}
		y.wantPage(3, version)
		z := openLog(t, y.d.CrashKeepNone())
		z.wantPage(2, version)
		z.wantPage(3, version)
	}
	if shown == 0 {
		t.Error("the cache never showed the commit: nothing was tested")
	}
}

// TestRecoveryTwice gives the same state, and leaves the database file alone.
func TestRecoveryTwice(t *testing.T) {
	x := newLog(t)
	for v := range uint32(5) {
		x.commit(SyncFull, v, 2, walformat.PageNo(3+v))
	}
	d := x.d.CrashKeepAll()
	before, _ := d.ReadFile(dbName)
	for range 3 {
		y := openLog(t, d)
		if st := y.published(); st.MaxFrame != 10 || st.NBackfill != 0 || st.DBSize != 7 {
			t.Fatalf("%+v", st)
		}
		y.wantPage(2, 4)
		d = y.d.CrashKeepAll()
	}
	if after, _ := d.ReadFile(dbName); !bytes.Equal(before, after) {
		t.Error("recovery wrote the database file")
	}
}

// TestRecoveryFreshHeader: a header without a commit is not used again, and the
// fresh one is durable before its frames are cut.
func TestRecoveryFreshHeader(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	x.checkpoint(Passive)
	if err := x.begin().Abandon(); err != nil { // restarts: a new header, old frames
		t.Fatal(err)
	}
	old := *x.hdr.Load()
	y := openLog(t, x.d.CrashKeepAll())
	h := *y.hdr.Load()
	if h.Salt1 != old.Salt1+1 || h.Salt2 == old.Salt2 {
		t.Errorf("header %+v after %+v", h, old)
	}
	var ops []string
	for _, o := range y.d.Trace() {
		if o.Op&faultdisk.OpMutating != 0 && strings.HasSuffix(o.Name, "-wal") {
			ops = append(ops, o.Op.String())
		}
	}
	if got := fmt.Sprint(ops); got != "[write sync write sync]" {
		t.Errorf("recovery does %s", got)
	}
	y.wantDB(2, 1)
	y.commit(SyncFull, 2, 2)
	y.wantPage(2, 2)
}

// TestRecoveryOfDamage: with Config.Damage nothing is written, ever.
func TestRecoveryOfDamage(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	x.appendTail(3)
	d := x.d.CrashKeepAll()
	f, err := d.Open(dbName, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Inspect(d, logName, 0)
	if err != nil {
		t.Fatal(err)
	}
	mutations := d.Ops(faultdisk.OpMutating)
	damage := errors.New("something is wrong")
	l, err := r.Start(Config{FS: d, DB: f, PageSize: testPage, DBSize: 1, Damage: damage})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.RequestWrite(false); !errors.Is(err, damage) {
		t.Errorf("a write: %v", err)
	}
	if _, err := l.Checkpoint(context.Background(), Truncate, CheckpointOptions{}); !errors.Is(err, damage) {
		t.Errorf("a checkpoint: %v", err)
	}
	if err := l.Close(true); err != nil {
		t.Error(err)
	}
	if n := d.Ops(faultdisk.OpMutating); n != mutations {
		t.Errorf("%d operations changed something", n-mutations)
	}
}

// TestDamageWhileOpen: each bit of a frame, flipped under a running log. Reads
// and checkpoints name file, frame, page and offset, and nothing damaged gets
// into the database file.
func TestDamageWhileOpen(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2, 3)
	x.commit(SyncFull, 2, 3, 4)
	whole := x.read(logName)
	h := x.hdr.Load()
	db := x.read(dbName)
	off := int(h.FrameOffset(3)) // page 3, version 2
	for bit := 0; bit < h.FrameSize()*8; bit += 1 + bit/(24*8)*37 {
		b := bytes.Clone(whole)
		b[off+bit/8] ^= 1 << (bit % 8)
		if err := x.d.WriteFile(logName, b); err != nil {
			t.Fatal(err)
		}
		m, st := x.Coordinator().BeginRead()
		got := make([]byte, testPage)
		err := x.ReadPage(st, frameOf(st, m.InFile(), 3), 3, got)
		x.Coordinator().EndRead(m)
		if bit/8 >= 4 && bit/8 < 8 {
			// The size in a frame that ends no transaction.
			if err == nil {
				t.Errorf("bit %d of the commit size: not noticed", bit)
			}
			continue
		}
		for _, part := range []string{logName, "frame 3", "page 3", fmt.Sprintf("offset %d", off)} {
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), part) {
				t.Fatalf("bit %d: %v, which does not say %q", bit, err, part)
			}
		}
		if _, err := x.Checkpoint(context.Background(), Passive, CheckpointOptions{}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "frame 3") {
			t.Fatalf("bit %d: a checkpoint says %v", bit, err)
		}
		if !bytes.Equal(x.read(dbName), db) {
			t.Fatalf("bit %d: the database file has changed", bit)
		}
	}
	// Other pages are read, and after the repair all is well.
	x.wantPage(2, 1)
	x.wantPage(4, 2)
	if err := x.d.WriteFile(logName, whole); err != nil {
		t.Fatal(err)
	}
	x.checkpoint(Passive)
	x.wantDB(3, 2)
}

// TestShortWhileOpen: a log that was cut under us.
func TestShortWhileOpen(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	b := x.read(logName)
	if err := x.d.WriteFile(logName, b[:x.hdr.Load().FrameOffset(1)+100]); err != nil {
		t.Fatal(err)
	}
	m, st := x.Coordinator().BeginRead()
	defer x.Coordinator().EndRead(m)
	err := x.ReadPage(st, frameOf(st, m.InFile(), 2), 2, make([]byte, testPage))
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "ends inside frame 1") {
		t.Errorf("%v", err)
	}
}

// TestClose: the log is removed after a clean close and only then.
func TestClose(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(x *testLog)
		removed bool
		err     error
	}{
		{"clean", func(*testLog) {}, true, nil},
		{"the database file cannot be synced", func(x *testLog) {
			x.d.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: "/db"})
		}, false, faultdisk.ErrInjected},
		{"the log failed", func(x *testLog) { _ = x.poison("test", errors.New("test")) }, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newLog(t)
			x.commit(SyncFull, 1, 2)
			c.prepare(x)
			if err := x.Close(true); !errors.Is(err, c.err) {
				t.Errorf("%v, want %v", err, c.err)
			}
			_, err := x.d.ReadFile(logName)
			if (err != nil) != c.removed {
				t.Errorf("reading the log: %v", err)
			}
			y := openLog(t, x.d.CrashKeepNone())
			y.wantPage(2, 1)
		})
	}
}
