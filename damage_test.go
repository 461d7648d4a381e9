// Damage that a crash or a bad disk leaves in the log: cut at every byte of its
// last transaction, every bit of a frame header flipped. What opens is a
// committed state, page by page, and takes further commits; anything else is a
// clear error.

package walnut_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/walformat"
)

const dbPath = "/dir/app.db"

func openAt(t testing.TB, fsys disk.FS, o walnut.Options) *walnut.DB {
	t.Helper()
	o.FS = fsys
	db, err := walnut.Open(dbPath, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// image is the whole content of a database as a new reader sees it.
func image(db *walnut.DB) ([]byte, error) {
	var b []byte
	err := db.View(ctx, func(tx *walnut.Tx) error {
		for n := walnut.PageNo(1); uint32(n) <= tx.PageCount(); n++ {
			p, err := tx.Page(n)
			if err != nil {
				return err
			}
			b = append(b, p...)
		}
		return nil
	})
	return b, err
}

// write commits pages that are filled with one value.
func write(t testing.TB, db *walnut.DB, value byte, pages ...walnut.PageNo) {
	t.Helper()
	err := db.Update(ctx, func(tx *walnut.Tx) error {
		for _, n := range pages {
			p, err := tx.Write(n)
			if err != nil {
				return err
			}
			copy(p[200:], bytes.Repeat([]byte{value}, len(p)-200))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// history is a pair of files with a log of several transactions, and the images
// after each of them; the last one is states[len-1].
type history struct {
	db, wal []byte
	states  [][]byte
	header  walformat.Header
	// lastTx is where the last transaction begins, end where it ends.
	lastTx, end int
}

func newHistory(t *testing.T) *history {
	t.Helper()
	m := disk.NewMem()
	db := openAt(t, m, walnut.Options{PageSize: 512})
	h := &history{}
	var frames walnut.FrameNo
	for i, pages := range [][]walnut.PageNo{{1, 2, 3}, {2}, {3, 4, 5, 6}, {1, 5}, {2, 7, 8}} {
		frames = db.Stats().LogFrames
		write(t, db, byte('a'+i), pages...)
		img, err := image(db)
		if err != nil {
			t.Fatal(err)
		}
		h.states = append(h.states, img)
	}
	var err error
	if h.db, err = m.ReadFile(dbPath); err != nil {
		t.Fatal(err)
	}
	if h.wal, err = m.ReadFile(dbPath + "-wal"); err != nil {
		t.Fatal(err)
	}
	if h.header, err = walformat.ParseHeader(h.wal); err != nil {
		t.Fatal(err)
	}
	h.lastTx, h.end = int(h.header.EndOffset(frames)), int(h.header.EndOffset(db.Stats().LogFrames))
	return h
}

// open opens the pair with another log, and returns which state it shows: -1
// for a clear error. It also commits to it, and opens it again.
func (h *history) open(t *testing.T, log []byte) int {
	t.Helper()
	m := disk.NewMem()
	if err := errors.Join(m.WriteFile(dbPath, h.db), m.WriteFile(dbPath+"-wal", log)); err != nil {
		t.Fatal(err)
	}
	db, err := walnut.Open(dbPath, &walnut.Options{FS: m, PoolBytes: flipPool})
	if err != nil {
		if !errors.Is(err, walnut.ErrCorrupt) && !errors.Is(err, walnut.ErrNotDatabase) && !errors.Is(err, walnut.ErrLogVersion) {
			t.Errorf("an unclear error: %v", err)
		}
		return -1
	}
	state := h.which(t, db)
	write(t, db, 'z', 2, 9)
	after, err := image(db)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openAt(t, m, walnut.Options{PoolBytes: flipPool})
	if again, err := image(db); err != nil || !bytes.Equal(again, after) {
		t.Errorf("after closing and opening, another state: %v", err)
	}
	_ = db.Close()
	return state
}

// flipPool is a small pool, since thousands are made.
const flipPool = 64 << 10

// which finds the state that a database shows; a page alone of another one
// would make it none.
func (h *history) which(t *testing.T, db *walnut.DB) int {
	t.Helper()
	img, err := image(db)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(img, h.db) {
		return 0 // before the first transaction in the log
	}
	for i, s := range h.states {
		if bytes.Equal(img, s) {
			return i + 1
		}
	}
	t.Fatalf("%d bytes that no transaction left", len(img))
	return -1
}

func TestCutEverywhere(t *testing.T) {
	h := newHistory(t)
	last := len(h.states)
	for n := h.lastTx; n <= h.end; n++ {
		want := last - 1
		if n == h.end {
			want = last
		}
		if got := h.open(t, h.wal[:n]); got != want {
			t.Fatalf("cut at byte %d: state %d, want %d", n, got, want)
		}
	}
	t.Logf("cut at %d places", h.end-h.lastTx+1)
	// Zeros in place of what is cut are the same.
	for n := h.lastTx; n < h.end; n += 13 {
		log := append(bytes.Clone(h.wal[:n]), make([]byte, len(h.wal)-n)...)
		if bytes.Equal(log[:h.end], h.wal[:h.end]) {
			continue // it ends in zeros
		}
		if got := h.open(t, log); got != last-1 {
			t.Fatalf("zeroed from byte %d: state %d, want %d", n, got, last-1)
		}
	}
}

func TestFlipEveryBit(t *testing.T) {
	h := newHistory(t)
	flips := 0
	// The state after each transaction, by its last frame.
	commits := []walnut.FrameNo{0, 3, 4, 9, 11, 15}
	for _, frame := range []walnut.FrameNo{1, 7, 11, 15} {
		want := 0
		for i, c := range commits {
			if c < frame {
				want = i
			}
		}
		off := int(h.header.FrameOffset(frame))
		for bit := range walformat.FrameHeaderSize * 8 {
			log := bytes.Clone(h.wal)
			log[off+bit/8] ^= 1 << (bit % 8)
			if got := h.open(t, log); got != want {
				t.Fatalf("frame %d, bit %d: state %d, want %d", frame, bit, got, want)
			}
			flips++
		}
	}
	for bit := range walformat.HeaderSize * 8 {
		log := bytes.Clone(h.wal)
		log[bit/8] ^= 1 << (bit % 8)
		if got := h.open(t, log); got > 0 {
			t.Fatalf("log header, bit %d: state %d", bit, got)
		}
		flips++
	}
	t.Logf("%d bits flipped", flips)
}

// TestFlipWhileOpen: under an engine that is running. Page reads and checkpoints
// report it, and a snapshot that does not need the frame goes on.
func TestFlipWhileOpen(t *testing.T) {
	m := disk.NewMem()
	db := openAt(t, m, walnut.Options{PageSize: 512, AutoCheckpoint: -1, PoolBytes: 1})
	write(t, db, 'a', 1, 2, 3)
	write(t, db, 'b', 2, 3) // more than so small a pool takes of a commit
	before, err := m.ReadFile(dbPath)
	if err != nil {
		t.Fatal(err)
	}
	f, err := m.Open(dbPath+"-wal", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	log, _ := m.ReadFile(dbPath + "-wal")
	h, err := walformat.ParseHeader(log)
	if err != nil {
		t.Fatal(err)
	}
	off := int64(h.FrameOffset(4)) + 300
	flip := func() {
		var b [1]byte
		if _, err := f.ReadAt(b[:], off); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 0x10
		if _, err := f.WriteVAt([][]byte{b[:]}, off); err != nil {
			t.Fatal(err)
		}
	}
	flip()
	err = db.View(ctx, func(tx *walnut.Tx) error {
		if _, err := tx.Page(3); err != nil {
			t.Errorf("another page: %v", err)
		}
		_, err := tx.Page(2)
		return err
	})
	where := fmt.Sprintf("frame 4 of %s-wal (page 2) at offset %d", dbPath, h.FrameOffset(4))
	wantErr(t, err, walnut.ErrCorrupt, where)
	_, err = db.Checkpoint(ctx, walnut.CheckpointPassive, nil)
	wantErr(t, err, walnut.ErrCorrupt, where)
	_, err = db.Checkpoint(ctx, walnut.CheckpointTruncate, nil)
	wantErr(t, err, walnut.ErrCorrupt, where)
	if after, _ := m.ReadFile(dbPath); !bytes.Equal(before, after) {
		t.Error("the database file has changed")
	}
	wantErr(t, db.Update(ctx, func(tx *walnut.Tx) error { _, err := tx.Write(2); return err }), walnut.ErrCorrupt, where)
	if db.Stats().CheckpointErrors != 2 {
		t.Errorf("%d errors of checkpoints", db.Stats().CheckpointErrors)
	}
	flip() // back
	if _, err := db.Checkpoint(ctx, walnut.CheckpointTruncate, nil); err != nil {
		t.Error(err)
	}
}

// TestBackupOfImpossibleSize: a last commit that counts more pages than file and
// log can hold is not copied, which would write zeros until the disk is full.
func TestBackupOfImpossibleSize(t *testing.T) {
	h := newHistory(t)
	log := bytes.Clone(h.wal[:h.end])
	sum := h.header.Sum
	for at := walformat.HeaderSize; at < len(log); at += h.header.FrameSize() {
		frame := log[at : at+h.header.FrameSize()]
		head := walformat.ParseFrameHeader(frame)
		if at+len(frame) == len(log) {
			head.Commit = 1<<32 - 2
		}
		sum = h.header.EncodeFrame(frame, sum, head.Page, head.Commit, frame[walformat.FrameHeaderSize:])
	}
	m := disk.NewMem()
	for name, b := range map[string][]byte{dbPath: h.db, dbPath + "-wal": log} {
		if err := m.WriteFile(name, b); err != nil {
			t.Fatal(err)
		}
	}
	db := openAt(t, m, walnut.Options{})
	if n := db.Stats().PageCount; n != 1<<32-2 {
		t.Fatalf("%d pages: the log does not say what the test is about", n)
	}
	err := db.Backup(ctx, "/dir/copy.db", &walnut.BackupOptions{Progress: func(done, total int) {
		t.Fatalf("%d of %d pages were copied", done, total)
	}})
	wantErr(t, err, walnut.ErrCorrupt, "more than file and log can hold")
	for _, name := range m.Files() {
		if name != dbPath && name != dbPath+"-wal" {
			t.Errorf("left behind: %s", name)
		}
	}
}
