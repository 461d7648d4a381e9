package main

import (
	"context"
	"path/filepath"

	"github.com/walnutdb/walnut/disk"
)

const (
	rawFrame = 24 + 4096 // a frame of a log with 4096-byte pages
	rawSize  = 4 << 20   // about the log that auto-checkpoint leaves
)

// rawEngine is the disk alone: one write of a frame and one sync of the data,
// on a file whose blocks are there already, over and over.
var rawEngine = engine{name: "raw", alone: true, open: openRaw}

type rawSession struct {
	file  disk.File
	frame []byte
	off   int64
}

func openRaw(_ context.Context, dir string, _ int) (session, error) {
	f, err := disk.OS().Open(filepath.Join(dir, "raw"), disk.Create)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteVAt([][]byte{make([]byte, rawSize)}, 0)
	if err == nil {
		err = f.SyncData()
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &rawSession{file: f, frame: make([]byte, rawFrame)}, nil
}

func (s *rawSession) commit(context.Context, int) error {
	if s.off+rawFrame > rawSize {
		s.off = 0
	}
	s.frame[0]++
	if _, err := s.file.WriteVAt([][]byte{s.frame}, s.off); err != nil {
		return err
	}
	s.off += rawFrame
	return s.file.SyncData()
}

func (s *rawSession) check(context.Context, int) error { return nil }

func (s *rawSession) close() error { return s.file.Close() }
