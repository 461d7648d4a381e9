// What is left behind after errors, and what a close may remove.

package wal

import (
	"context"
	"errors"
	"testing"

	"github.com/walnutdb/walnut/disk/faultdisk"
)

// TestFailedCutPoisons: spilled frames that could not be cut may chain again, so
// nothing is appended behind them.
func TestFailedCutPoisons(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	w := x.begin()
	if _, err := w.Spill([]Frame{{Page: 3, Data: pageData(3, 2)}}); err != nil {
		t.Fatal(err)
	}
	x.d.Inject(faultdisk.Fault{Op: faultdisk.OpWrite, Suffix: "-wal", Effect: faultdisk.Nothing})
	if err := w.Abandon(); !errors.Is(err, ErrLogFailed) {
		t.Errorf("it ended with %v", err)
	}
	if !errors.Is(x.Failed(), ErrLogFailed) {
		t.Errorf("the log takes writes: %v", x.Failed())
	}
}

// TestFailedSpillIsCut: so is a spill that failed half-way.
func TestFailedSpillIsCut(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	w := x.begin()
	x.d.Inject(faultdisk.Fault{Op: faultdisk.OpWrite, Suffix: "-wal", Effect: faultdisk.All})
	if _, err := w.Spill([]Frame{{Page: 3, Data: pageData(3, 2)}}); err == nil {
		t.Fatal("no error")
	}
	if err := w.Abandon(); err != nil {
		t.Fatal(err)
	}
	for _, c := range x.read(logName)[x.hdr.Load().EndOffset(1):] {
		if c != 0 {
			t.Fatal("what was spilled is left")
		}
	}
}

// TestFailedCommitLeavesNoMark: the mark that a commit took for the state it was
// to make is given back.
func TestFailedCommitLeavesNoMark(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	w := x.begin()
	if err := w.Reserve(1); err != nil {
		t.Fatal(err)
	}
	x.d.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: "-wal", Effect: faultdisk.Nothing})
	_, err := w.Commit(context.Background(), []Frame{{Page: 2, Data: pageData(2, 2)}}, 2, CommitOptions{Pin: true})
	if !errors.Is(err, ErrCommitUnknown) {
		t.Fatal(err)
	}
	if inFile, inLog := x.Coordinator().Readers(); inFile != 0 || inLog != 0 {
		t.Errorf("%d marks in the file and %d in the log are left", inFile, inLog)
	}
}

// TestCloseKeepsWhatIsRead: a log that somebody reads is not removed.
func TestCloseKeepsWhatIsRead(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2)
	m, _ := x.Coordinator().BeginRead()
	defer x.Coordinator().EndRead(m)
	_ = x.Close(true)
	if _, err := x.d.ReadFile(logName); err != nil {
		t.Errorf("the log: %v", err)
	}
}

// TestShrunkAtSafe: which pages are left out is decided by the size at the safe
// frame, not by the newest one.
func TestShrunkAtSafe(t *testing.T) {
	x := newLog(t)
	x.commit(SyncFull, 1, 2, 3, 4, 5)
	w := x.begin()
	if err := w.Reserve(1); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(context.Background(), []Frame{{Page: 2, Data: pageData(2, 2)}}, 3, CommitOptions{}); err != nil {
		t.Fatal(err)
	}
	m, _ := x.Coordinator().BeginRead()
	x.commit(SyncFull, 3, 4, 5)
	if _, err := x.Checkpoint(context.Background(), Passive, CheckpointOptions{}); err != nil {
		t.Fatal(err)
	}
	x.wantDB(2, 2)
	if n := len(x.read(dbName)); n != 3*testPage {
		t.Errorf("the database file has %d bytes: pages of a larger database were copied", n)
	}
	x.Coordinator().EndRead(m)
	x.checkpoint(Passive)
	x.wantDB(5, 3)
}
