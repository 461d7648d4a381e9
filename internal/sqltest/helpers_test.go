// What the tests of this package share: databases through the driver, copies
// of a pair of files, and the sqlite3 command as the oracle.

package sqltest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/walnutdb/walnut"
	_ "github.com/walnutdb/walnut/driver"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 takes the fixed default ones")

// ctx is for calls that nothing interrupts.
var ctx = context.Background()

// open opens a pool on a database through the driver; params follow the "?".
func open(t testing.TB, path, params string) *sql.DB {
	t.Helper()
	db, err := sql.Open("walnut", "file:"+filepath.ToSlash(path)+"?"+params)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// conn takes one connection of its own out of the pool.
func conn(t testing.TB, db *sql.DB) *sql.Conn {
	t.Helper()
	c, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// newFile is a path for a database in a directory of its own.
func newFile(t testing.TB) string { return filepath.Join(t.TempDir(), "test.db") }

// execer is what sql.DB, sql.Conn and sql.Tx have in common.
type execer interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}

func exec1(t testing.TB, db execer, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(ctx, query, args...); err != nil {
		t.Fatalf("%.200s: %v", query, err)
	}
}

// lines returns the rows of a query, the columns joined by "|" as sqlite3 does.
func lines(db execer, query string, args ...any) (string, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return "", err
	}
	defer func() { _ = rows.Close() }()
	cols, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	vals, ptrs := make([]any, len(cols)), make([]any, len(cols))
	for i := range vals {
		ptrs[i] = &vals[i]
	}
	for rows.Next() {
		if err := rows.Scan(ptrs...); err != nil {
			return "", err
		}
		for i, v := range vals {
			if i > 0 {
				b.WriteByte('|')
			}
			switch v := v.(type) {
			case nil:
			case []byte:
				b.Write(v)
			default:
				fmt.Fprint(&b, v)
			}
		}
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n"), rows.Err()
}

// get is lines for queries that must work.
func get(t testing.TB, db execer, query string, args ...any) string {
	t.Helper()
	s, err := lines(db, query, args...)
	if err != nil {
		t.Fatalf("%.200s: %v", query, err)
	}
	return s
}

func want(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %.400q, want %.400q", what, got, want)
	}
}

// wantQuery checks the answer of a query.
func wantQuery(t testing.TB, db execer, query, answer string) {
	t.Helper()
	want(t, query, get(t, db, query), answer)
}

// wantErr checks that an error matches target, or says text where target is nil.
func wantErr(t testing.TB, err, target error, text string) {
	t.Helper()
	switch {
	case err == nil:
		t.Fatalf("no error, want %v %q", target, text)
	case target != nil && !errors.Is(err, target):
		t.Fatalf("error %q is not %q", err, target)
	case !strings.Contains(err.Error(), text):
		t.Fatalf("error %q does not say %q", err, text)
	}
}

// sqlite3Path finds the command, or skips the test; in CI it must be there.
func sqlite3Path(t testing.TB) string {
	t.Helper()
	p, err := exec.LookPath("sqlite3")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI is set, and there is no sqlite3 command")
		}
		t.Skip("no sqlite3 command")
	}
	return p
}

// sqlite3 runs a script and returns its output.
func sqlite3(t testing.TB, path, script string) string {
	t.Helper()
	out, err := trySqlite3(t, path, script)
	if err != nil {
		t.Fatalf("sqlite3 %s: %v: %s\n%.1000s", filepath.Base(path), err, out, script)
	}
	return out
}

// trySqlite3 is sqlite3 for scripts that may fail.
func trySqlite3(t testing.TB, path, script string) (string, error) {
	t.Helper()
	cmd := exec.Command(sqlite3Path(t), "-batch", "-bail", path)
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	return strings.TrimSuffix(string(out), "\n"), err
}

// copyPair copies a database file and its log, where they are there.
func copyPair(t testing.TB, from, to string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(from + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(to+suffix, b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// freeze copies a pair into a directory of its own.
func freeze(t testing.TB, path string) string {
	t.Helper()
	to := newFile(t)
	copyPair(t, path, to)
	return to
}

// fileHash is the SHA-256 of a file, "none" if it is not there.
func fileHash(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "none"
	}
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// pairHash is the state of a pair's directory: all names with their contents.
func pairHash(t testing.TB, path string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, n := range names {
		fmt.Fprintln(&b, filepath.Base(n), fileHash(t, n))
	}
	return b.String()
}

// newRand makes the random source of a test and tells how to get it again.
func newRand(t testing.TB, seed uint64) *rand.Rand {
	t.Helper()
	if *seedFlag != 0 {
		seed = *seedFlag
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again with: go test -run '^%s$' ./internal/sqltest -args -seed %d", t.Name(), seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0x5741_4c4e))
}

// engineOf opens the page interface on a database that the driver has open: it
// is the same engine.
func engineOf(t testing.TB, path string) *walnut.DB {
	t.Helper()
	db, err := walnut.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// waitUntil yields until another goroutine has come as far as cond says.
func waitUntil(t testing.TB, cond func() bool) {
	t.Helper()
	for !cond() {
		if t.Context().Err() != nil {
			t.Fatal("the test ended while it waited")
		}
		runtime.Gosched()
	}
}
