// The pragmas that are ours. SQLite asks the file of the schema first; an
// answer of ours is a single value, which is all that this way has room for.
// wal_checkpoint answers with three columns, so whoever prepares statements
// for users rewrites it ([RewritePragma]) into a query of a function that
// [Init] registers; unrewritten it answers with the three joined by "|".

package sqlitevfs

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/ext/fts5"
	"github.com/ncruces/go-sqlite3/ext/rtree"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/wal"
)

// Pragma implements [vfs.FilePragma].
func (f *file) Pragma(name, value string) (string, error) {
	switch name {
	case "experimental_pragma_20251114":
		// SQLite is about to open a read and a write transaction at once.
		f.hint = true
	case "journal_mode":
		return "wal", nil
	case "locking_mode":
		return "normal", nil
	case "wal_checkpoint":
		ctx, wait := context.Background(), leastWait
		if f.conn != nil {
			ctx, wait = f.conn.GetInterrupt(), checkpointWait(f.conn)
		}
		r, err := f.checkpoint(ctx, value, wait)
		if err != nil {
			return "", pragmaError(err)
		}
		return fmt.Sprintf("%d|%d|%d", r[0], r[1], r[2]), nil
	case "wal_autocheckpoint":
		if n, err := strconv.Atoi(value); err == nil {
			f.autoCheckpoint = n
		}
		return strconv.Itoa(max(f.autoCheckpoint, 0)), nil
	case "journal_size_limit":
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			f.store.Log().SetSizeLimit(n)
		}
		return strconv.FormatInt(f.store.Log().SizeLimit(), 10), nil
	case "mmap_size":
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			f.store.Log().SetMapLimit(n)
		}
		return strconv.FormatInt(f.store.Log().MapLimit(), 10), nil
	case "synchronous":
		// SQLite keeps its own copy, which decides whether it calls Sync.
		if f.conn == nil || f.conn.GetAutocommit() {
			f.setLevel(value)
		}
	}
	return "", sqlite3.NOTFOUND
}

// setLevel takes SQLite's names and numbers; others change nothing.
func (f *file) setLevel(value string) {
	switch strings.ToLower(value) {
	case "0", "off", "no", "false":
		f.level = wal.SyncOff
	case "1", "normal", "on", "yes", "true":
		f.level = wal.SyncNormal
	case "2", "full", "3", "extra":
		f.level = wal.SyncFull
	}
}

// checkpoint runs a checkpoint in the mode of that name and returns SQLite's
// three columns. wait bounds what it waits for others.
func (f *file) checkpoint(ctx context.Context, mode string, wait time.Duration) (row [3]int64, err error) {
	if f.readOnly {
		return row, sqlite3.READONLY
	}
	if f.tx != nil {
		return row, sqlite3.LOCKED
	}
	m, ok := checkpointModes[strings.ToLower(mode)]
	if !ok {
		return row, fmt.Errorf("wal_checkpoint(%s) is no checkpoint: PASSIVE, FULL, RESTART and TRUNCATE are", mode)
	}
	r, err := f.store.Log().Checkpoint(ctx, m, wal.CheckpointOptions{Wait: wait})
	if err != nil {
		return row, checkpointError{err}
	}
	row = [3]int64{0, int64(r.LogFrames), int64(r.Backfilled)}
	if r.Busy {
		row[0] = 1
	}
	return row, nil
}

// checkpointError is an engine error with the code that SQLite has for it; the
// text is the engine's.
type checkpointError struct{ error }

func (e checkpointError) Unwrap() []error { return []error{e.error, e.code()} }

func (e checkpointError) code() sqlite3.ExtendedErrorCode {
	switch {
	case errors.Is(e.error, context.Canceled):
		return sqlite3.ExtendedErrorCode(sqlite3.INTERRUPT)
	case errors.Is(e.error, disk.ErrNoSpace):
		return sqlite3.ExtendedErrorCode(sqlite3.FULL)
	case errors.Is(e.error, wal.ErrCorrupt):
		return sqlite3.IOERR_DATA
	}
	return sqlite3.ExtendedErrorCode(sqlite3.IOERR)
}

// pragmaError is what Pragma returns for a checkpoint that failed. SQLite shows
// the text of an error only with the code SQLITE_ERROR, which is what the wrapper
// makes of all but bare codes; of an interruption the code says more.
func pragmaError(err error) error {
	if errors.Is(err, context.Canceled) {
		return vfs.SystemError(err, sqlite3.INTERRUPT)
	}
	return err
}

var checkpointModes = map[string]wal.CheckpointMode{
	"": wal.Passive, "passive": wal.Passive, "full": wal.Full, "restart": wal.Restart, "truncate": wal.Truncate,
}

// checkpointFunc is the SQL function behind PRAGMA wal_checkpoint.
const checkpointFunc = "walnut_wal_checkpoint"

// Init prepares a connection: for statements that go through [RewritePragma],
// and with the virtual tables that a C SQLite usually has built in.
func Init(c *sqlite3.Conn) error {
	if err := errors.Join(fts5.Register(c), rtree.Register(c)); err != nil {
		return err
	}
	return c.CreateFunction(checkpointFunc, 2, sqlite3.DIRECTONLY, func(ctx sqlite3.Context, arg ...sqlite3.Value) {
		row, err := checkpointSchemas(c, arg[0].Text(), arg[1].Text())
		if err != nil {
			ctx.ResultError(err)
			return
		}
		ctx.ResultText(fmt.Sprintf("[%d,%d,%d]", row[0], row[1], row[2]))
	})
}

// checkpointSchemas checkpoints one schema, or all if it is "", as SQLite does:
// the counts are those of the first, busy is said for any.
func checkpointSchemas(c *sqlite3.Conn, schema, mode string) (row [3]int64, err error) {
	ctx, wait := c.GetInterrupt(), checkpointWait(c)
	row = [3]int64{0, -1, -1}
	first := true
	for i := 0; c.DBName(i) != ""; i++ {
		name := c.DBName(i)
		if schema != "" && !strings.EqualFold(schema, name) {
			continue
		}
		f := fileOf(c, name)
		if f == nil || f.readOnly && schema == "" && !first {
			first = false
			continue
		}
		r, err := f.checkpoint(ctx, mode, wait)
		if err != nil {
			return row, err
		}
		if first {
			row[1], row[2], first = r[1], r[2], false
		}
		row[0] |= r[0]
	}
	if first {
		return row, fmt.Errorf("unknown database %s", schema)
	}
	return row, nil
}

// fileOf returns the file of a schema; nil if it is not Walnut's.
func fileOf(c *sqlite3.Conn, schema string) *file {
	h := c.Filename(schema).DatabaseFile()
	for {
		switch v := h.(type) {
		case *file:
			return v
		case vfs.FileUnwrap:
			h = v.Unwrap()
		default:
			return nil
		}
	}
}

// leastWait is how long a checkpoint waits for others that is to wait for nobody.
const leastWait = time.Millisecond

// checkpointWait is how long a checkpoint of the connection may wait for others.
func checkpointWait(c *sqlite3.Conn) time.Duration { return max(busyTimeout(c), leastWait) }

// busyTimeout asks the connection how long it may wait.
func busyTimeout(c *sqlite3.Conn) time.Duration {
	s, _, err := c.Prepare("PRAGMA busy_timeout")
	if err != nil {
		return 0
	}
	defer func() { _ = s.Close() }()
	if !s.Step() {
		return 0
	}
	return time.Duration(s.ColumnInt64(0)) * time.Millisecond
}

var checkpointPragma = regexp.MustCompile(`(?is)^(?:\s|;|--[^\n]*(?:\n|$)|/\*.*?\*/)*PRAGMA\s+(?:["'\[` + "`" + `]?(\w+)["'\]` + "`" + `]?\s*\.\s*)?wal_checkpoint\s*(?:=\s*["']?(\w+)["']?|\(\s*["']?(\w*)["']?\s*\))?\s*(?:;|$)`)

// RewritePragma turns a leading PRAGMA wal_checkpoint into a query that answers
// with its three columns. tail is what follows the statement.
func RewritePragma(sql string) (query, tail string, ok bool) {
	if len(sql) > 4096 || !containsFold(sql, "wal_checkpoint") {
		return sql, "", false
	}
	m := checkpointPragma.FindStringSubmatch(sql)
	if m == nil {
		return sql, "", false
	}
	query = fmt.Sprintf("WITH c(v) AS MATERIALIZED (SELECT %s('%s', '%s')) SELECT v->>0 AS busy, v->>1 AS log, v->>2 AS checkpointed FROM c",
		checkpointFunc, m[1], m[2]+m[3])
	return query, sql[len(m[0]):], true
}

func containsFold(s, word string) bool {
	for i := 0; i+len(word) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(word)], word) {
			return true
		}
	}
	return false
}
