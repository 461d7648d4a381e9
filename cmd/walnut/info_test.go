package main

// Tests of "walnut info": every fixture beside what C SQLite says of it, and
// that it changes nothing.

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/walnutdb/walnut/cmd/walnut/internal/atrest"
)

const fixtures = "../../../shared/fixtures"

// expected is what the tests need of a fixture's expect.json.
type expected struct {
	Opens       *bool
	PageSize    *int    `json:"page_size"`
	PageCount   *uint32 `json:"page_count"`
	JournalMode *string `json:"journal_mode"`
	Integrity   *string `json:"integrity_check"`
	Valid       *uint32 `json:"valid_frames"`
	Intact      *uint32 `json:"intact_frames"`
	CommitPages *uint32 `json:"last_commit_db_size"`
	Commits     int
	FileFrames  uint32  `json:"file_frames"`
	Differs     *string `json:"log_frames_differs_because"`
	Unstable    bool
}

// damaged are the fixtures in which info finds damage although C SQLite opens
// them: commits that cannot be reached, a header that no crash explains, sizes
// that no checkpoint would accept.
var damaged = []string{
	"appended_foreign_salts_patched", "be_flip_page_middle", "be_magic_le_checksums",
	"commit_flip_page", "commit_size_cleared", "commit_size_huge31_last", "commit_size_huge_last",
	"commit_size_limit_plus_1_last", "commit_size_million_last", "first_frame_missing",
	"frame_first_flip_*", "frame_middle_*", "frames_swapped_*",
	"hdr_flip_*", "hdr_zeroed", "magic_unknown", "main_absent_wal_full", "main_empty_wal_full", "main_one_byte",
	"page_size_invalid_*", "page_size_*_padded", "page_size_*_padded_all", "pgno_zero_*", "wal_all_garbage",
	"version_unknown_main_empty", "fuzz_*",
}

func TestInfoOnFixtures(t *testing.T) {
	fine, found := 0, 0
	eachFixture(t, func(t *testing.T, name, db string, e *expected) {
		switch status := infoOnFixture(t, name, db, e); status {
		case exitFine:
			fine++
		case exitDamage:
			found++
		}
	})
	t.Logf("%d fine, %d damaged", fine, found)
}

// eachFixture runs a test on a copy of each fixture.
func eachFixture(t *testing.T, test func(t *testing.T, name, db string, e *expected)) {
	t.Helper()
	cases, err := filepath.Glob(fixtures + "/*/expect.json")
	if err != nil || len(cases) == 0 {
		t.Skip("no fixtures here")
	}
	for _, c := range cases {
		from := filepath.Dir(c)
		t.Run(filepath.Base(from), func(t *testing.T) {
			var e expected
			b, err := os.ReadFile(c)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(b, &e); err != nil {
				t.Fatal(err)
			}
			db := filepath.Join(t.TempDir(), "in.db")
			for _, f := range []string{"in.db", "in.db-wal"} {
				if b, err := os.ReadFile(filepath.Join(from, f)); err == nil {
					if err := os.WriteFile(filepath.Join(filepath.Dir(db), f), b, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			test(t, filepath.Base(from), db, &e)
		})
	}
}

func infoOnFixture(t *testing.T, name, db string, e *expected) (status int) {
	before := contents(t, filepath.Dir(db))
	o := walnut(t, "", "info", "--json", db)
	if !maps.Equal(before, contents(t, filepath.Dir(db))) {
		t.Error("info changed a file")
	}
	if name == "main_absent_wal_full" {
		if o.status != exitError || !strings.Contains(o.err, "in.db-wal is there") {
			t.Errorf("%+v", o)
		}
		return o.status
	}
	var r atrest.Report
	if err := json.Unmarshal([]byte(o.out), &r); err != nil {
		t.Fatalf("%v: %+v", err, o)
	}
	checkInfo(t, name, e, &r, o)
	return o.status
}

func checkInfo(t *testing.T, name string, e *expected, r *atrest.Report, o outcome) {
	mayBeDamaged := slices.ContainsFunc(damaged, func(p string) bool {
		ok, err := filepath.Match(p, name)
		return ok && err == nil
	})
	if e.Unstable {
		return
	}
	refused := e.Opens != nil && !*e.Opens
	if (o.status == exitDamage) != (len(r.Damage) > 0) || o.status == exitError {
		t.Errorf("status %d with damage %q", o.status, r.Damage)
	}
	if refused && o.status != exitDamage {
		t.Error("C SQLite refuses it, and info finds nothing")
	}
	if !refused && o.status == exitDamage && !mayBeDamaged {
		t.Errorf("C SQLite opens it, and info says %q", r.Damage)
	}
	if r.Log != nil && e.Valid != nil {
		if r.Log.CommittedFrames != *e.Valid || r.Log.Transactions != e.Commits || r.Log.FramesInFile != e.FileFrames ||
			r.Log.IgnoredFrames != e.FileFrames-*e.Valid || r.Log.StopReason == "" {
			t.Errorf("log %+v, want %d of %d frames, %d commits", *r.Log, *e.Valid, e.FileFrames, e.Commits)
		}
		if e.CommitPages != nil && r.Log.LastCommitPages != *e.CommitPages {
			t.Errorf("last commit %d pages, want %d", r.Log.LastCommitPages, *e.CommitPages)
		}
	}
	if refused || e.Differs != nil && strings.Contains(*e.Differs, "empty") || name == "main_one_byte" {
		return // C SQLite would throw the log away, or tells nothing
	}
	if r.PageSize != *e.PageSize || r.PageCount != *e.PageCount || r.JournalMode != *e.JournalMode {
		t.Errorf("page size %d, %d pages, mode %s; C SQLite %d, %d, %s", r.PageSize, r.PageCount, r.JournalMode, *e.PageSize, *e.PageCount, *e.JournalMode)
	}
}

// contents is every file of a directory.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(b)
	}
	return all
}

// TestInfoKeys: the keys are a contract, to the letter.
func TestInfoKeys(t *testing.T) {
	order, n := "little", uint32(7)
	r := atrest.Report{PageSize: 4096, PageCount: 3, JournalMode: "wal", Log: &atrest.Log{
		Bytes: 1, ByteOrder: &order, CheckpointSeq: &n, Salt1: &n, Salt2: &n, FramesInFile: 2, CommittedFrames: 3,
		Transactions: 4, LastCommitPages: 5, IgnoredFrames: 6, StopReason: "end of file"}}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"page_size":4096,"page_count":3,"journal_mode":"wal","log":{"bytes":1,"byte_order":"little",` +
		`"checkpoint_seq":7,"salt1":7,"salt2":7,"frames_in_file":2,"committed_frames":3,"transactions":4,` +
		`"last_commit_pages":5,"ignored_frames":6,"stop_reason":"end of file"}}`
	if string(b) != want {
		t.Errorf("%s\nwant\n%s", b, want)
	}
	b, err = json.Marshal(atrest.Report{})
	if err != nil || string(b) != `{"page_size":0,"page_count":0,"journal_mode":"","log":null}` {
		t.Errorf("without a log: %s, %v", b, err)
	}
}

func TestInfoDamagedDatabase(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		contents []byte
		status   int
	}{
		"empty.db":   {nil, exitFine},
		"short.db":   {[]byte("SQLite format 3\x00"), exitDamage},
		"garbage.db": {bytes.Repeat([]byte("no database "), 500), exitDamage},
		"zeros.db":   {make([]byte, 4096), exitDamage},
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, c.contents, 0o600); err != nil {
			t.Fatal(err)
		}
		if o := walnut(t, "", "info", "--json", file); o.status != c.status || c.status == exitDamage && !strings.Contains(o.err, "damage: ") {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

// TestInfoBesideWriter: a log that grows while it is read is no damage.
func TestInfoBesideWriter(t *testing.T) {
	file := filepath.Join(t.TempDir(), "w.db")
	must(t, "sql", file, "CREATE TABLE t(a)")
	in, write := io.Pipe()
	done := make(chan int)
	go func() { done <- run([]string{"sql", file}, in, io.Discard, io.Discard) }()
	rounds := 300
	if testing.Short() {
		rounds = 50
	}
	stop := make(chan struct{})
	go func() {
		defer write.Close()
		for {
			select {
			case <-stop:
				return
			default:
				io.WriteString(write, "INSERT INTO t VALUES (randomblob(3000));")
			}
		}
	}()
	for range rounds {
		if o := walnut(t, "", "info", "--json", file); o.status != exitFine {
			t.Errorf("%+v", o)
		}
	}
	close(stop)
	if status := <-done; status != exitFine {
		t.Errorf("the writer ended with %d", status)
	}
}

// TestInfoCutDatabase: a file that lost its last page says so.
func TestInfoCutDatabase(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.db")
	must(t, "sql", file, "CREATE TABLE t(a); CREATE TABLE u(a)")
	must(t, "info", file)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, info.Size()-4096); err != nil {
		t.Fatal(err)
	}
	if o := walnut(t, "", "info", file); o.status != exitDamage || !strings.Contains(o.err, "is cut: 2 of 3 pages") {
		t.Errorf("%+v", o)
	}
}
