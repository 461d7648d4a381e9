// This file parses data source names. It is pure: it looks at no file.

package driver

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
)

const defaultBusyTimeout = time.Minute

// dsn is a parsed data source name.
type dsn struct {
	path      string // as given, decoded; the name of a memory database, or empty
	memory    bool
	noCreate  bool // mode=rw, mode=ro
	readOnly  bool // mode=ro
	immutable bool // immutable=1
	txLock    txLock
	busy      time.Duration
	pragmas   []string // "name(value)", checked for form only
	times     timeFormat
	limits    limits
}

// txLock is how a transaction begins.
type txLock int

const (
	lockDeferred txLock = iota
	lockImmediate
	lockExclusive
)

var txLocks = map[string]txLock{
	"deferred":  lockDeferred,
	"immediate": lockImmediate,
	"exclusive": lockExclusive,
}

// timeFormat is how times are bound, and how they are read back.
type timeFormat struct {
	write, read sqlite3.TimeFormat
}

var timeFormats = map[string]timeFormat{
	"auto":            {sqlite3.TimeFormatDefault, sqlite3.TimeFormatAuto},
	"rfc3339":         {sqlite3.TimeFormatDefault, sqlite3.TimeFormatDefault},
	"sqlite":          {sqlite3.TimeFormat4, sqlite3.TimeFormatAuto},
	"julianday":       {sqlite3.TimeFormatJulianDay, sqlite3.TimeFormatJulianDay},
	"unixepoch":       {sqlite3.TimeFormatUnix, sqlite3.TimeFormatUnix},
	"unixepoch_frac":  {sqlite3.TimeFormatUnixFrac, sqlite3.TimeFormatUnixFrac},
	"unixepoch_milli": {sqlite3.TimeFormatUnixMilli, sqlite3.TimeFormatUnixMilli},
	"unixepoch_micro": {sqlite3.TimeFormatUnixMicro, sqlite3.TimeFormatUnixMicro},
	"unixepoch_nano":  {sqlite3.TimeFormatUnixNano, sqlite3.TimeFormatUnixNano},
}

// parseDSN parses a data source name; the package comment has the grammar.
func parseDSN(name string) (dsn, error) {
	d := dsn{busy: defaultBusyTimeout, times: timeFormats["auto"]}
	path, query, err := splitDSN(name)
	if err != nil {
		return dsn{}, err
	}
	if err := d.setParams(query); err != nil {
		return dsn{}, err
	}
	switch {
	case strings.ContainsRune(path, 0):
		return dsn{}, errors.New("walnut: the path contains a NUL")
	case path == ":memory:":
		d.memory = true
	case path == "" && !d.memory:
		return dsn{}, errors.New("walnut: the data source name has no path")
	default:
		d.path = path
	}
	if d.immutable && !d.readOnly {
		return dsn{}, errors.New("walnut: immutable=1 needs mode=ro: what is written changes")
	}
	return d, nil
}

// splitDSN returns the decoded path and the undecoded parameters.
func splitDSN(name string) (path, query string, err error) {
	uri, ok := strings.CutPrefix(name, "file:")
	if !ok {
		path, query, _ = strings.Cut(name, "?")
		return path, query, nil
	}
	uri, _, _ = strings.Cut(uri, "#") // SQLite ignores a fragment
	path, query, _ = strings.Cut(uri, "?")
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		host, _, _ := strings.Cut(rest, "/")
		if host != "" && host != "localhost" {
			return "", "", fmt.Errorf("walnut: file://%s…: the host must be empty or localhost"+
				" (an absolute path is file:///path, a relative one file:path)", host)
		}
		path = rest[len(host):]
	}
	path, err = url.PathUnescape(path)
	if err != nil {
		return "", "", fmt.Errorf("walnut: bad path in the data source name: %w", err)
	}
	return trimDriveSlash(path), query, nil
}

// trimDriveSlash makes C:/app.db of /C:/app.db, which is how a URI spells it.
func trimDriveSlash(path string) string {
	if runtime.GOOS == "windows" && len(path) > 2 && path[0] == '/' && path[2] == ':' {
		return path[1:]
	}
	return path
}

// setParams takes the parameters in order, as _pragma needs it.
func (d *dsn) setParams(query string) error {
	var seen []string
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		key, err1 := url.QueryUnescape(k)
		value, err2 := url.QueryUnescape(v)
		if err := errors.Join(err1, err2); err != nil {
			return fmt.Errorf("walnut: bad parameter %q in the data source name: %w", part, err)
		}
		if key != "_pragma" && slices.Contains(seen, key) {
			return fmt.Errorf("walnut: parameter %s is given twice", key)
		}
		seen = append(seen, key)
		if err := d.setParam(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (d *dsn) setParam(key, value string) error {
	var ok bool
	switch key {
	case "mode":
		return d.setMode(value)
	case "_txlock":
		if d.txLock, ok = txLocks[value]; !ok {
			return badValue(key, value, "deferred, immediate, exclusive")
		}
	case "_max_log_size", "_max_side_bytes":
		n, ok := parseSize(value)
		if !ok {
			return badValue(key, value, "a number of bytes, KiB, MiB or GiB, such as 64MiB; 0 is no limit")
		}
		if key == "_max_log_size" {
			d.limits.LogBytes = orNone(n)
		} else {
			d.limits.SideBytes = n
		}
	case "_max_writer_hold", "_reader_grace":
		t, ok := parseTimeout(value)
		if !ok {
			return badValue(key, value, "a duration such as 200ms, or milliseconds; at most 2147483647 ms")
		}
		if key == "_max_writer_hold" {
			d.limits.WriterHold = orNone(t)
		} else {
			d.limits.ReaderGrace = orNone(t)
		}
	case "_timefmt":
		if d.times, ok = timeFormats[value]; !ok {
			return badValue(key, value, "auto, rfc3339, sqlite, julianday, unixepoch,"+
				" unixepoch_frac, unixepoch_milli, unixepoch_micro, unixepoch_nano")
		}
	case "_busy_timeout":
		if d.busy, ok = parseTimeout(value); !ok {
			return badValue(key, value, "a duration such as 5s, or milliseconds; at most 2147483647 ms")
		}
	case "_pragma":
		if !pragmaForm.MatchString(value) {
			return badValue(key, value, "name(value), name=value, and name")
		}
		d.pragmas = append(d.pragmas, value)
	case "immutable":
		if value != "0" && value != "1" {
			return badValue(key, value, "0, 1")
		}
		d.immutable = value == "1"
	case "vfs", "cache", "nolock":
		return checkFixed(key, value)
	default:
		return unknownParam(key)
	}
	return nil
}

func (d *dsn) setMode(value string) error {
	switch value {
	case "rwc":
	case "rw":
		d.noCreate = true
	case "memory":
		d.memory = true
	case "ro":
		d.noCreate, d.readOnly = true, true
	default:
		return badValue("mode", value, "rwc, rw, ro, memory")
	}
	return nil
}

// fixedParams are SQLite's URI parameters that Walnut knows but has only one
// value for: the allowed values, and why not another.
var fixedParams = map[string]struct{ allowed, reason string }{
	"vfs":    {"walnut", "Walnut is its own VFS"},
	"cache":  {"private", "connections share Walnut's page cache anyway, and a memory database"},
	"nolock": {"0", "without locks another process could delete the live log"},
}

func checkFixed(key, value string) error {
	if f := fixedParams[key]; value != f.allowed {
		return fmt.Errorf("walnut: parameter %s=%s is refused: %s (allowed: %s)", key, value, f.reason, f.allowed)
	}
	return nil
}

func badValue(key, value, allowed string) error {
	return fmt.Errorf("walnut: parameter %s=%q: allowed are %s", key, value, allowed)
}

// mattnPragmas are parameters of github.com/mattn/go-sqlite3 that are pragmas
// here; an error that says so saves a search.
var mattnPragmas = map[string]string{
	"_auto_vacuum": "auto_vacuum", "_vacuum": "auto_vacuum",
	"_timeout":      "busy_timeout",
	"_cslike":       "case_sensitive_like",
	"_foreign_keys": "foreign_keys", "_fk": "foreign_keys",
	"_defer_foreign_keys": "defer_foreign_keys", "_defer_fk": "defer_foreign_keys",
	"_journal_mode": "journal_mode", "_journal": "journal_mode",
	"_locking_mode": "locking_mode", "_locking": "locking_mode",
	"_query_only":         "query_only",
	"_recursive_triggers": "recursive_triggers", "_rt": "recursive_triggers",
	"_secure_delete": "secure_delete",
	"_synchronous":   "synchronous", "_sync": "synchronous",
	"_cache_size":      "cache_size",
	"_writable_schema": "writable_schema",
}

func unknownParam(key string) error {
	if p, ok := mattnPragmas[key]; ok {
		return fmt.Errorf("walnut: unknown parameter %s: write _pragma=%s(value)", key, p)
	}
	return fmt.Errorf("walnut: unknown parameter %s: allowed are mode, immutable, cache, vfs,"+
		" _txlock, _busy_timeout, _pragma, _timefmt, _max_log_size, _max_writer_hold, _reader_grace, _max_side_bytes", key)
}

// pragmaForm keeps a pragma to one statement; SQLite checks the rest.
var pragmaForm = regexp.MustCompile(`^([A-Za-z]\w*\.)?[A-Za-z]\w*(\([^;()]*\)|=[^;()]+)?$`)

// pragmaName returns the lower-case name of a pragma without its schema.
func pragmaName(pragma string) string {
	name := pragma
	if i := strings.IndexAny(name, "(="); i >= 0 {
		name = name[:i]
	}
	return strings.ToLower(name[strings.IndexByte(name, '.')+1:])
}

// orNone makes of 0, which is none here, what is none in the engine, where 0 is the
// default.
func orNone[T ~int64](n T) T {
	if n == 0 {
		return -1
	}
	return n
}

// parseSize reads "1048576", "1024KiB" or "1MiB".
func parseSize(value string) (int64, bool) {
	unit := int64(1)
	for suffix, n := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if rest, ok := strings.CutSuffix(value, suffix); ok {
			value, unit = rest, n
			break
		}
	}
	n, err := strconv.ParseInt(value, 10, 64)
	return n * unit, err == nil && n >= 0 && n <= math.MaxInt64/unit
}

// parseTimeout reads "5s" or "5000".
func parseTimeout(value string) (time.Duration, bool) {
	const limit = math.MaxInt32 * time.Millisecond // SQLite's
	if ms, err := strconv.ParseInt(value, 10, 32); err == nil {
		return time.Duration(ms) * time.Millisecond, ms >= 0
	}
	d, err := time.ParseDuration(value)
	return d, err == nil && 0 <= d && d <= limit
}
