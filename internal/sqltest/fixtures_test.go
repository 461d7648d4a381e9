// The fixtures: pairs of database file and log, whole and damaged, with what C
// SQLite answers to each (../shared/fixtures/README.md).

package sqltest

import (
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/walnutdb/walnut"
)

const fixtureDir = "../../../shared/fixtures"

// tableHash is a table in expect.json; no hash means that reading it fails.
type tableHash struct {
	Rows   *int    `json:"rows"`
	SHA256 *string `json:"sha256"`
}

// fixture is an expect.json, as far as it is compared.
type fixture struct {
	Opens        bool                 `json:"opens"`
	Unstable     bool                 `json:"unstable"`
	Integrity    string               `json:"integrity_check"`
	PageSize     int                  `json:"page_size"`
	PageCount    int                  `json:"page_count"`
	Schema       *tableHash           `json:"schema"`
	Tables       map[string]tableHash `json:"tables"`
	Busy         int                  `json:"busy"`
	LogFrames    *int                 `json:"log_frames"`
	Checkpointed int                  `json:"checkpointed"`
	Truncated    *string              `json:"db_sha256_after_truncate"`
	Image        *string              `json:"reader_image_sha256"`
	ValidFrames  uint32               `json:"valid_frames"`
	CommitSize   *uint32              `json:"last_commit_db_size"`
	Differs      *string              `json:"log_frames_differs_because"`
}

// orphans are the cases that Walnut refuses and SQLite does not: it deletes the
// log, with all that it holds.
var orphans = map[string]bool{"main_empty_wal_full": true, "main_absent_wal_full": true}

// notEmpty: SQLite takes a file of one byte for an empty one and deletes the
// log; Walnut shows what the log holds.
const notEmpty = "main_one_byte"

func TestFixtures(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(fixtureDir, "*", "expect.json"))
	if err != nil || len(dirs) == 0 {
		t.Skip("the fixtures are not here: ", fixtureDir)
	}
	compared := 0
	for _, d := range dirs {
		dir := filepath.Dir(d)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			b, err := os.ReadFile(d)
			if err != nil {
				t.Fatal(err)
			}
			var e fixture
			if err := json.Unmarshal(b, &e); err != nil {
				t.Fatal(err)
			}
			f := &fixtureTest{T: t, dir: dir, want: e}
			switch {
			case e.Unstable:
				f.anyAnswer()
			case !e.Opens, orphans[filepath.Base(dir)]:
				f.refused()
			default:
				f.opens()
			}
		})
		compared++
	}
	t.Logf("%d fixtures compared", compared)
}

type fixtureTest struct {
	*testing.T
	dir  string
	want fixture
}

// fresh copies the pair.
func (f *fixtureTest) fresh() string {
	path := newFile(f)
	copyPair(f, filepath.Join(f.dir, "in.db"), path)
	return path
}

// anyAnswer: whatever is answered, nothing panics.
func (f *fixtureTest) anyAnswer() {
	db := open(f, f.fresh(), "")
	_, err := lines(db, "SELECT count(*) FROM sqlite_master")
	f.Logf("answer: %v", err)
	_ = db.Close()
	if db, err := walnut.Open(f.fresh(), nil); err == nil {
		_, err = db.Checkpoint(ctx, walnut.CheckpointTruncate, nil)
		f.Logf("checkpoint: %v, close: %v", err, db.Close())
	}
}

// refused: an error that says something, and no byte changed.
func (f *fixtureTest) refused() {
	path := f.fresh()
	before := pairHash(f, path)
	check := func(how string, err error) {
		f.Helper()
		if err == nil {
			f.Errorf("%s: opened, want an error", how)
		} else if len(err.Error()) < 20 || !strings.Contains(err.Error(), "test.db") {
			f.Errorf("%s: the error does not tell the file: %v", how, err)
		}
		if after := pairHash(f, path); after != before {
			f.Errorf("%s: refused, and yet a file changed:\n%s\n%s", how, before, after)
		}
	}
	db := open(f, path, "")
	_, err := lines(db, "SELECT count(*) FROM sqlite_master")
	check("driver", err)
	_ = db.Close()
	check("driver, closed", err)

	w, err := walnut.Open(path, nil)
	if err == nil {
		_ = w.Close()
	}
	check("pages", err)
	if !errors.Is(err, walnut.ErrCorrupt) && !errors.Is(err, walnut.ErrNotDatabase) && !errors.Is(err, walnut.ErrLogVersion) {
		f.Errorf("the error matches none that a caller could decide on: %v", err)
	}
	f.Logf("%v", err)
}

func (f *fixtureTest) opens() {
	f.rows()
	f.pages()
	f.truncate("pages", func(path string) error {
		db, err := walnut.Open(path, nil)
		if err != nil {
			return err
		}
		r, err := db.Checkpoint(ctx, walnut.CheckpointTruncate, nil)
		if err == nil && (r.Busy || r.LogFrames != 0) {
			err = fmt.Errorf("the checkpoint was not done: %+v", r)
		}
		return errors.Join(err, db.Close())
	})
	f.truncate("driver", func(path string) error {
		db := open(f, path, "")
		s, err := lines(db, "PRAGMA wal_checkpoint(TRUNCATE)")
		if err == nil && s != "0|0|0" {
			err = errors.New("wal_checkpoint(TRUNCATE) answers " + s)
		}
		return errors.Join(err, db.Close())
	})
	f.truncate("close", func(path string) error {
		db, err := walnut.Open(path, nil)
		if err != nil {
			return err
		}
		return db.Close()
	})
}

// rows: the driver shows the tables that SQLite shows.
func (f *fixtureTest) rows() {
	path := f.fresh()
	db := open(f, path, "")
	e := &f.want
	if f.isNotEmpty() {
		wantQuery(f, db, "PRAGMA integrity_check", "ok")
		return
	}
	if e.PageCount > 0 { // an empty database has no page size yet
		wantQuery(f, db, "PRAGMA page_size", fmt.Sprint(e.PageSize))
	}
	wantQuery(f, db, "PRAGMA page_count", fmt.Sprint(e.PageCount))
	wantQuery(f, db, "PRAGMA journal_mode", "wal")
	f.table(db, "schema", "SELECT rowid,type,name,tbl_name,rootpage,sql FROM sqlite_master ORDER BY rowid", *e.Schema)
	for name, w := range e.Tables {
		f.table(db, name, fmt.Sprintf(`SELECT rowid,* FROM "%s" NOT INDEXED ORDER BY rowid`, name), w)
	}
	got, err := lines(db, "PRAGMA integrity_check")
	if (got == "ok" && err == nil) != (e.Integrity == "ok") {
		f.Errorf("integrity_check: %q, %v; SQLite: %q", got, err, e.Integrity)
	}
	got, err = lines(db, "PRAGMA wal_checkpoint(PASSIVE)")
	switch {
	case e.LogFrames == nil:
		if err == nil {
			f.Errorf("checkpoint: %s, want an error", got)
		}
	case err != nil:
		f.Errorf("checkpoint: %v", err)
	case e.Differs == nil:
		want(f, "checkpoint", got, fmt.Sprintf("%d|%d|%d", e.Busy, *e.LogFrames, e.Checkpointed))
	}
	if err := db.Close(); err != nil && e.LogFrames != nil {
		f.Errorf("close: %v", err)
	}
}

func (f *fixtureTest) isNotEmpty() bool { return filepath.Base(f.dir) == notEmpty }

func (f *fixtureTest) table(db *sql.DB, name, query string, w tableHash) {
	n, sum, err := hashRows(db, query)
	switch {
	case w.SHA256 == nil:
		if err == nil {
			f.Errorf("table %s: read without an error, SQLite cannot read it", name)
		}
	case err != nil:
		f.Errorf("table %s: %v", name, err)
	case n != *w.Rows || sum != *w.SHA256:
		f.Errorf("table %s: %d rows %s, want %d rows %s", name, n, sum, *w.Rows, *w.SHA256)
	}
}

// hashRows is the row hash of the README.
func hashRows(db *sql.DB, query string) (int, string, error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = rows.Close() }()
	cols, err := rows.Columns()
	if err != nil {
		return 0, "", err
	}
	vals, ptrs := make([]any, len(cols)), make([]any, len(cols))
	for i := range vals {
		ptrs[i] = &vals[i]
	}
	h, n := sha256.New(), 0
	for ; rows.Next(); n++ {
		if err := rows.Scan(ptrs...); err != nil {
			return n, "", err
		}
		fmt.Fprint(h, vals[0])
		for _, v := range vals[1:] {
			hashValue(h, v)
		}
		fmt.Fprint(h, "\n")
	}
	return n, hex.EncodeToString(h.Sum(nil)), rows.Err()
}

func hashValue(h hash.Hash, v any) {
	switch v := v.(type) {
	case nil:
		fmt.Fprint(h, "|N")
	case int64:
		fmt.Fprintf(h, "|I%d", v)
	case float64:
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], math.Float64bits(v))
		fmt.Fprintf(h, "|R%x", b)
	case string:
		fmt.Fprintf(h, "|T%d:%s", len(v), v)
	case []byte:
		fmt.Fprintf(h, "|B%d:%x", len(v), v)
	default:
		panic(fmt.Sprintf("a column came as %T", v))
	}
}

// pages: the page interface counts the same frames, and its pages are the
// database file after all valid frames are copied into it.
func (f *fixtureTest) pages() {
	e := &f.want
	db, err := walnut.Open(f.fresh(), nil)
	if err != nil {
		f.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	st := db.Stats()
	if uint32(st.LogFrames) != e.ValidFrames {
		f.Errorf("%d frames, want %d", st.LogFrames, e.ValidFrames)
	}
	if e.CommitSize != nil && st.PageCount != *e.CommitSize {
		f.Errorf("%d pages, the last commit says %d", st.PageCount, *e.CommitSize)
	}
	if e.Image == nil || e.LogFrames == nil && !f.isNotEmpty() {
		return // too large, or with a page size that does not fit
	}
	h := sha256.New()
	err = db.View(ctx, func(tx *walnut.Tx) error {
		for n := walnut.PageNo(1); uint32(n) <= tx.PageCount(); n++ {
			p, err := tx.Page(n)
			if err != nil {
				return err
			}
			h.Write(p)
		}
		return nil
	})
	if got := hex.EncodeToString(h.Sum(nil)); err != nil || got != *e.Image {
		f.Errorf("pages: %s, %v; want %s", got, err, *e.Image)
	}
}

// truncate: the database file after TRUNCATE is SQLite's, byte for byte.
func (f *fixtureTest) truncate(how string, do func(path string) error) {
	path := f.fresh()
	before := pairHash(f, path)
	err := do(path)
	expected := f.want.Truncated
	if f.isNotEmpty() {
		expected = f.want.Image
	}
	if expected == nil {
		if err == nil && how != "close" {
			f.Errorf("%s: truncated, SQLite cannot", how)
		}
		if after := pairHash(f, path); after != before {
			f.Errorf("%s: failed (%v), and yet a file changed", how, err)
		}
		return
	}
	if err != nil {
		f.Errorf("%s: %v", how, err)
		return
	}
	if got := fileHash(f, path); got != *expected {
		f.Errorf("%s: the database file is %s, want %s", how, got, *expected)
	}
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		f.Errorf("%s: the log is still there: %v", how, err)
	}
}
