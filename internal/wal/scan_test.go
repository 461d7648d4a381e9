package wal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/walformat"
)

// scanTxSpec is one transaction of a log made for a test: a frame for each page.
// size is what its last frame says, 0 for a transaction that never ends.
type scanTxSpec struct {
	pages []walformat.PageNo
	size  uint32
}

// scanMakeLog writes a log.
func scanMakeLog(order walformat.Order, pageSize int, txs ...scanTxSpec) []byte {
	r := rand.New(rand.NewPCG(11, uint64(pageSize)))
	h := walformat.Header{Order: order, Version: walformat.Version, PageSize: pageSize, Salt1: r.Uint32(), Salt2: r.Uint32()}
	log := make([]byte, walformat.HeaderSize)
	h.Encode(log)
	sum := h.Sum
	for _, tx := range txs {
		for i, p := range tx.pages {
			frame := make([]byte, h.FrameSize())
			for j := walformat.FrameHeaderSize; j < len(frame); j++ {
				frame[j] = byte(r.Uint32())
			}
			var commit uint32
			if i == len(tx.pages)-1 {
				commit = tx.size
			}
			sum = h.EncodeFrame(frame, sum, p, commit, frame[walformat.FrameHeaderSize:])
			log = append(log, frame...)
		}
	}
	return log
}

// scanCheck scans log and checks what holds for every input.
func scanCheck(t testing.TB, log []byte) ScanResult {
	t.Helper()
	var (
		next    = walformat.FrameNo(1)
		txs     int
		last    ScanTx
		lastSum walformat.Checksum // tx.Sums is reused
		maxPage walformat.PageNo
	)
	res, err := Scan(bytes.NewReader(log), int64(len(log)), func(tx ScanTx) {
		if tx.First != next || len(tx.Pages) == 0 || tx.DBSize == 0 {
			t.Fatalf("transaction %+v, expected one from frame %d", tx, next)
		}
		next, last, lastSum = tx.Last()+1, tx, tx.Sums[len(tx.Sums)-1]
		txs++
		for _, p := range tx.Pages {
			maxPage = max(maxPage, p)
		}
	})
	if err != nil && !errors.Is(err, walformat.ErrVersion) {
		t.Fatalf("error for bytes in memory: %v", err)
	}
	switch {
	case res.Committed != next-1 || res.Transactions != txs || res.MaxPage != maxPage || res.DBSize != last.DBSize:
		t.Fatalf("%+v does not agree with the callbacks: %d transactions up to frame %d, last %+v", res, txs, next-1, last)
	case txs > 0 && res.Sum != lastSum, txs == 0 && res.Sum != res.Header.Sum && res.HasHeader:
		t.Fatalf("checksum %08x is not that of frame %d", res.Sum, res.Committed)
	case res.Committed > res.Intact || res.Intact > walformat.FrameNo(res.FramesInFile):
		t.Fatalf("%+v: committed, intact and frames in the file are out of order", res)
	case res.StopReason == "" || res.FileSize != int64(len(log)):
		t.Fatalf("%+v: no stop reason, or a wrong size", res)
	case !res.HasHeader && (res.FramesInFile != 0 || (res.HeaderProblem == "") != (len(log) == 0)):
		t.Fatalf("%+v: header problem and frames do not agree", res)
	}
	return res
}

// TestScanFixtures compares every case with what an independent reader found.
func TestScanFixtures(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "fixtures")
	cases, err := filepath.Glob(filepath.Join(dir, "*", "expect.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		if _, err := os.Stat(filepath.Dir(dir)); err == nil && os.Getenv("CI") != "" {
			t.Fatal("../shared is there and CI is set, but ../shared/fixtures holds no case")
		}
		t.Skip("no cases: ../shared/fixtures beside the repository holds them")
	}
	for _, file := range cases {
		name := filepath.Base(filepath.Dir(file))
		t.Run(name, func(t *testing.T) { scanFixture(t, filepath.Dir(file)) })
	}
	t.Logf("%d cases", len(cases))
}

func scanFixture(t *testing.T, dir string) {
	var want struct {
		Valid   walformat.FrameNo `json:"valid_frames"`
		Intact  walformat.FrameNo `json:"intact_frames"`
		Commits int               `json:"commits"`
		DBSize  *uint32           `json:"last_commit_db_size"`
		InFile  uint32            `json:"file_frames"`
		Stopped string            `json:"reader_stopped"`
	}
	b, err := os.ReadFile(filepath.Join(dir, "expect.json"))
	if err == nil {
		err = json.Unmarshal(b, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(dir, "in.db-wal"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	res := scanCheck(t, log)
	var size uint32
	if want.DBSize != nil {
		size = *want.DBSize
	}
	if res.Committed != want.Valid || res.Intact != want.Intact || res.Transactions != want.Commits ||
		res.DBSize != size || res.FramesInFile != want.InFile {
		t.Errorf("%+v, want %+v with size %d", res, want, size)
	}
	if s := scanStopAsFixture(res); !strings.HasPrefix(want.Stopped, s) {
		t.Errorf("stops with %q (%q), want %q", res.StopReason, s, want.Stopped)
	}
	_, err = Scan(bytes.NewReader(log), int64(len(log)), nil)
	if refused := strings.HasPrefix(want.Stopped, "unknown version"); errors.Is(err, walformat.ErrVersion) != refused {
		t.Errorf("error %v, want a refusal: %v", err, refused)
	}
}

// scanStopAsFixture words the stop as the fixtures do.
func scanStopAsFixture(res ScanResult) string {
	switch {
	case res.FileSize <= walformat.HeaderSize:
		return "file is not longer than the 32-byte header"
	case !res.HasHeader:
		for part, s := range map[string]string{
			"magic": "bad magic", "page size": "bad page size",
			"checksum is": "header checksum does not match", "version": "unknown version",
		} {
			if strings.Contains(res.HeaderProblem, "header has "+part) || strings.Contains(res.HeaderProblem, "header's "+part) {
				return s
			}
		}
		return "?"
	}
	why := map[walformat.FrameFault]string{
		walformat.FrameSalts: "salts differ", walformat.FrameZeros: "salts differ",
		walformat.FramePageZero: "page number 0", walformat.FrameChecksum: "checksum differs",
	}
	if s, ok := why[res.Stop]; ok {
		return fmt.Sprintf("frame %d: %s", res.Intact+1, s)
	}
	return "end of file"
}

// scanSmallLog has five transactions and an unfinished one.
func scanSmallLog(order walformat.Order) (log []byte, commits []walformat.FrameNo) {
	log = scanMakeLog(order, 512,
		scanTxSpec{[]walformat.PageNo{1, 2}, 2}, scanTxSpec{[]walformat.PageNo{2}, 2},
		scanTxSpec{[]walformat.PageNo{3, 4, 1}, 4}, scanTxSpec{[]walformat.PageNo{1}, 3},
		scanTxSpec{[]walformat.PageNo{2, 3}, 3}, scanTxSpec{[]walformat.PageNo{1, 9}, 0})
	return log, []walformat.FrameNo{0, 2, 3, 6, 7, 9}
}

func TestScanTruncatedAtEveryByte(t *testing.T) {
	for _, order := range []walformat.Order{walformat.LittleEndian, walformat.BigEndian} {
		log, commits := scanSmallLog(order)
		for n := range len(log) + 1 {
			res := scanCheck(t, log[:n])
			whole := walformat.FrameNo(max(0, n-walformat.HeaderSize) / (512 + walformat.FrameHeaderSize))
			want := walformat.FrameNo(0)
			for _, c := range commits {
				if c <= whole {
					want = c
				}
			}
			if res.Committed != want || res.Intact != whole {
				t.Fatalf("cut to %d bytes: committed %d, intact %d; want %d and %d", n, res.Committed, res.Intact, want, whole)
			}
			partial := n > walformat.HeaderSize && (n-walformat.HeaderSize)%(512+walformat.FrameHeaderSize) != 0
			if (res.Stop == walformat.FrameShort) != partial {
				t.Fatalf("cut to %d bytes: stop %d (%s), a partial frame: %v", n, res.Stop, res.StopReason, partial)
			}
		}
	}
}

// TestScanEveryBitFlip flips each bit of the whole log; the issue asks for
// those of one frame header.
func TestScanEveryBitFlip(t *testing.T) {
	log, commits := scanSmallLog(walformat.NativeOrder)
	for bit := range len(log) * 8 {
		log[bit/8] ^= 1 << (bit % 8)
		res := scanCheck(t, log)
		log[bit/8] ^= 1 << (bit % 8)

		intact := walformat.FrameNo(0) // frames before the flipped bit
		if off := bit/8 - walformat.HeaderSize; off > 0 {
			intact = walformat.FrameNo(off / (512 + walformat.FrameHeaderSize))
		}
		want := walformat.FrameNo(0)
		for _, c := range commits {
			if c <= intact {
				want = c
			}
		}
		if res.Committed != want || res.Intact != intact {
			t.Fatalf("bit %d: committed %d, intact %d; want %d and %d", bit, res.Committed, res.Intact, want, intact)
		}
	}
}

// TestScanAcrossReads has logs of several read buffers, with transactions
// that cross their ends, and zeros grown ahead.
func TestScanAcrossReads(t *testing.T) {
	for _, pageSize := range []int{512, 4096, 65536} {
		perRead := scanReadSize / (pageSize + walformat.FrameHeaderSize)
		var (
			txs    []scanTxSpec
			frames int
		)
		for n := 1; frames < 3*perRead; n++ {
			tx := scanTxSpec{size: uint32(n)}
			for i := range n%7 + 1 {
				tx.pages = append(tx.pages, walformat.PageNo(i+n))
			}
			frames += len(tx.pages)
			txs = append(txs, tx)
		}
		log := append(scanMakeLog(walformat.NativeOrder, pageSize, txs...), make([]byte, 3*(pageSize+24)+5)...)
		res := scanCheck(t, log)
		if int(res.Committed) != frames || res.Intact != res.Committed || res.Transactions != len(txs) ||
			res.DBSize != uint32(len(txs)) || res.FramesInFile != uint32(frames+3) || res.Stop != walformat.FrameZeros {
			t.Errorf("page size %d: %+v, want %d frames in %d transactions", pageSize, res, frames, len(txs))
		}
	}
}

// scanFailingReader fails reads that touch byte at or later.
type scanFailingReader struct {
	*bytes.Reader
	at  int64
	err error
}

func (r scanFailingReader) ReadAt(b []byte, off int64) (int, error) {
	if off+int64(len(b)) > r.at {
		return 0, r.err
	}
	return r.Reader.ReadAt(b, off)
}

func TestScanErrors(t *testing.T) {
	var txs []scanTxSpec
	for range 2 * scanReadSize / 65536 {
		txs = append(txs, scanTxSpec{[]walformat.PageNo{1}, 1})
	}
	log := scanMakeLog(walformat.NativeOrder, 65536, txs...)
	broken := errors.New("device is gone")
	for _, at := range []int64{0, 40, scanReadSize + 65536} {
		_, err := Scan(scanFailingReader{bytes.NewReader(log), at, broken}, int64(len(log)), nil)
		if !errors.Is(err, broken) {
			t.Errorf("reads fail from byte %d: %v", at, err)
		}
	}
	// What was read before the error is reported.
	res, err := Scan(scanFailingReader{bytes.NewReader(log), scanReadSize + 65536, broken}, int64(len(log)), nil)
	if want := walformat.FrameNo(scanReadSize / (65536 + 24)); res.Committed != want {
		t.Errorf("committed %d before the error, want %d (%v)", res.Committed, want, err)
	}
	// A file that shrinks while it is read.
	for _, size := range []int{0, 10, 40, len(log) - 1} {
		if _, err := Scan(bytes.NewReader(log[:size]), int64(len(log)), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("file of %d bytes in place of %d: %v", size, len(log), err)
		}
	}
	// The size counts, not what lies behind it.
	if res, err := Scan(bytes.NewReader(log), 32+65536+24, nil); err != nil || res.Committed != 1 || res.StopReason != "end of file" {
		t.Errorf("size of one frame: %+v, %v", res, err)
	}
}

func FuzzScan(f *testing.F) {
	for _, order := range []walformat.Order{walformat.LittleEndian, walformat.BigEndian} {
		log, _ := scanSmallLog(order)
		f.Add(log)
		f.Add(append(log[:2000:2000], make([]byte, 600)...))
	}
	f.Fuzz(func(t *testing.T, log []byte) { scanCheck(t, log) })
}

func BenchmarkScan(b *testing.B) {
	for _, pageSize := range []int{512, 4096, 65536} {
		b.Run(fmt.Sprint(pageSize), func(b *testing.B) {
			var txs []scanTxSpec
			for range (64 << 20) / (pageSize * 4) {
				txs = append(txs, scanTxSpec{[]walformat.PageNo{1, 2, 3, 4}, 4})
			}
			file, err := os.Create(filepath.Join(b.TempDir(), "log"))
			if err != nil {
				b.Fatal(err)
			}
			defer file.Close()
			log := scanMakeLog(walformat.NativeOrder, pageSize, txs...)
			if _, err := file.Write(log); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(log)))
			b.ReportAllocs()
			for b.Loop() {
				if res, err := Scan(file, int64(len(log)), func(ScanTx) {}); err != nil || res.Transactions != len(txs) {
					b.Fatal(res, err)
				}
			}
		})
	}
}

// BenchmarkInspect scans and indexes a log of 256 MiB of as many pages, in
// transactions of 1000 frames.
func BenchmarkInspect(b *testing.B) {
	var txs []scanTxSpec
	for n := range (256 << 20) / 4096 / 1000 {
		tx := scanTxSpec{size: uint32(1000*n + 1000)}
		for i := range 1000 {
			tx.pages = append(tx.pages, walformat.PageNo(1000*n+i+1))
		}
		txs = append(txs, tx)
	}
	name := filepath.Join(b.TempDir(), "log")
	log := scanMakeLog(walformat.NativeOrder, 4096, txs...)
	if err := os.WriteFile(name, log, 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := Inspect(disk.OS(), name, disk.ReadOnly)
		if err != nil || r.Scan.Transactions != len(txs) {
			b.Fatal(r, err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
