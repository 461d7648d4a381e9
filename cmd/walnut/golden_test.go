package main

// This file compares output with files in testdata; -update writes them anew.

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/walnutdb/walnut/internal/walformat"
)

var update = flag.Bool("update", false, "write the golden files of testdata")

// golden compares what a run printed with a file. The directory of the test
// reads as DIR.
func golden(t *testing.T, name, dir string, o outcome) {
	t.Helper()
	got := strings.ReplaceAll(o.out+"-- standard error\n"+o.err, dir+string(filepath.Separator), "DIR/")
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

// testLog is a log in the making, with salts that are always the same.
type testLog struct {
	h   walformat.Header
	sum walformat.Checksum
	b   []byte
}

func newTestLog(pageSize int) *testLog {
	l := &testLog{h: walformat.Header{Version: walformat.Version, PageSize: pageSize, CheckpointSeq: 5, Salt1: 0x1000, Salt2: 0xabcdef01}}
	l.b = make([]byte, walformat.HeaderSize)
	l.h.Encode(l.b)
	l.sum = l.h.Sum
	return l
}

// add appends a frame whose page is filled with one byte, or is page 1 of a
// database of that many pages.
func (l *testLog) add(page walformat.PageNo, commit uint32) *testLog {
	data := make([]byte, l.h.PageSize)
	for i := range data {
		data[i] = byte(page)
	}
	return l.addPage(page, commit, data)
}

func (l *testLog) addPage(page walformat.PageNo, commit uint32, data []byte) *testLog {
	head := make([]byte, walformat.FrameHeaderSize)
	l.sum = l.h.EncodeFrame(head, l.sum, page, commit, data)
	l.b = append(append(l.b, head...), data...)
	return l
}

// old appends a frame of the generation before, or of another log.
func (l *testLog) old(page walformat.PageNo, salt1 uint32) *testLog {
	keep := l.h
	l.h.Salt1, l.h.Salt2 = salt1, 0x01020304
	l.add(page, 0)
	l.h = keep
	return l
}

// zeros appends bytes that are zero.
func (l *testLog) zeros(n int) *testLog {
	l.b = append(l.b, make([]byte, n)...)
	return l
}

// flip damages byte at of frame f, header included.
func (l *testLog) flip(f walformat.FrameNo, at int) *testLog {
	l.b[int(l.h.FrameOffset(f))+at] ^= 1
	return l
}
