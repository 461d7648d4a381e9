// This file keeps prepared statements for text that is run again.

package driver

import (
	"slices"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/walnutdb/walnut/internal/sqlitevfs"
)

// cacheSize is how many idle statements a connection keeps.
const cacheSize = 32

// prepared is a statement with what the driver knows about it.
type prepared struct {
	*sqlite3.Stmt
	sql     string // the text it was asked for
	keep    bool   // it may go into the cache
	plain   bool   // a plain read: see keeper
	begin   bool   // BEGIN: see runFixed
	nparams int
	params  []string // names, filled by paramNames
	cols    *columns // filled by columnsOf
	vals    []any    // of one row, between two calls of Next nil; as many as cols
}

// stmtCache holds idle statements, the most recently used last. It is searched
// from there: with so few, comparing lengths and pointers beats hashing a long
// text. SQLite itself compiles a statement again when the schema has changed.
type stmtCache struct {
	idle []*prepared
}

// take removes and returns the statement for sql, or nil. A statement in use is
// in no cache, so its text can be run a second time beside it.
func (k *stmtCache) take(sql string) *prepared {
	for i := len(k.idle) - 1; i >= 0; i-- {
		if p := k.idle[i]; p.sql == sql {
			k.idle = slices.Delete(k.idle, i, i+1)
			return p
		}
	}
	return nil
}

// put takes a statement that has been reset.
func (k *stmtCache) put(p *prepared) {
	if !p.keep || slices.ContainsFunc(k.idle, func(q *prepared) bool { return q.sql == p.sql }) {
		_ = p.Close() // reset before, so there is no error left
		return
	}
	if len(k.idle) == cacheSize {
		_ = k.idle[0].Close()
		k.idle = slices.Delete(k.idle, 0, 1)
	}
	k.idle = append(k.idle, p)
}

// prepare returns the first statement of sql, and the text after it from the
// next token on. Text without a statement gives nil.
func (c *conn) prepare(sql string) (p *prepared, tail string, err error) {
	if p := c.cache.take(sql); p != nil {
		if !p.begin || !sqlitevfs.Attached(c.db) {
			return p, "", nil
		}
		_ = p.Close() // it may be older than what is attached
	}
	text := skipBlank(sql)
	if text == "" {
		return nil, "", nil
	}
	c.keeper.Drop() // compiling may read the schema
	keep := keepable(text)
	var flags sqlite3.PrepareFlag
	if keep {
		flags = sqlite3.PREPARE_PERSISTENT
	}
	run, rest, ours := rewritePragma(text)
	s, tail, err := c.db.PrepareFlags(run, flags)
	if err != nil || s == nil {
		return nil, "", err
	}
	if ours {
		tail = rest
	}
	tail = skipBlank(tail)
	p = &prepared{Stmt: s, sql: sql, keep: keep && tail == "", nparams: s.BindCount()}
	p.plain = !ours && plainRead(s, text)
	p.begin = strings.EqualFold(firstWord(text), "BEGIN")
	return p, tail, nil
}

// release gives a statement back after its use. The error is that of a
// statement that was ended early: it may have had something to commit.
func (c *conn) release(p *prepared) error {
	err := p.Reset()
	if p.nparams > 0 {
		// Large arguments would stay in SQLite's memory.
		_ = p.ClearBindings()
	}
	c.cache.put(p)
	return err
}
