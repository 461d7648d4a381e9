// This file is what is known about the columns of a result: names, declared
// types, and the values that are converted because of them.

package driver

import (
	"database/sql"
	"reflect"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// kind is how a column's values are converted.
type kind uint8

const (
	kindAny  kind = iota // as stored
	kindTime             // to time.Time
	kindBool             // to bool
)

// columns describes the result of a prepared statement.
type columns struct {
	compiled int // how often SQLite had compiled the statement anew
	names    []string
	types    []string // declared, upper case, without "(…)"; "" for expressions
	kinds    []kind
}

// columnsOf describes the statement's columns. It is called after the first
// step: that is when SQLite compiles anew after a change of the schema.
func (p *prepared) columnsOf() *columns {
	compiled := p.Status(sqlite3.STMTSTATUS_REPREPARE, false)
	if p.cols != nil && p.cols.compiled == compiled {
		return p.cols
	}
	n := p.ColumnCount()
	cols := &columns{
		compiled: compiled,
		names:    make([]string, n),
		types:    make([]string, n),
		kinds:    make([]kind, n),
	}
	for i := range n {
		cols.names[i] = p.ColumnName(i)
		cols.types[i] = typeName(p.ColumnDeclType(i))
		switch cols.types[i] {
		case "DATE", "DATETIME", "TIMESTAMP":
			cols.kinds[i] = kindTime
		case "BOOLEAN":
			cols.kinds[i] = kindBool
		}
	}
	p.cols, p.vals = cols, make([]any, n)
	return cols
}

// typeName makes VARCHAR of "varchar (20)".
func typeName(decl string) string {
	decl, _, _ = strings.Cut(decl, "(")
	return strings.ToUpper(strings.TrimSpace(decl))
}

// convert makes a time or a bool of a stored value. What is neither stays as
// it is: SQLite columns take any value.
func (c *conn) convert(k kind, v any) any {
	switch k {
	case kindBool:
		if i, ok := v.(int64); ok && (i == 0 || i == 1) {
			return i == 1
		}
	case kindTime:
		if t, ok := c.times.decode(v); ok {
			return t
		}
	}
	return v
}

// decode reads a stored time.
func (f timeFormat) decode(v any) (time.Time, bool) {
	read := f.read
	if s, ok := v.(string); ok {
		// What we write by default first: the formats that "auto" tries
		// before it cost more than the whole row.
		if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
			return t, true
		}
		if read != sqlite3.TimeFormatDefault {
			// DEFAULT CURRENT_TIMESTAMP stores text under any _timefmt.
			read = sqlite3.TimeFormatAuto
		}
	}
	switch v.(type) {
	case string, int64, float64:
		t, err := read.Decode(v)
		return t, err == nil
	}
	return time.Time{}, false
}

// ColumnTypeDatabaseTypeName returns the declared type without its length.
func (r *rows) ColumnTypeDatabaseTypeName(i int) string { return r.cols.types[i] }

// ColumnTypeNullable says what is certain. A column that allows NULL may be
// NULL. One declared NOT NULL still is, in an outer join, or beside an
// aggregate of no rows: known is only the plainest of queries.
func (r *rows) ColumnTypeNullable(i int) (nullable, ok bool) {
	if !r.open() {
		return false, false
	}
	table := r.p.ColumnTableName(i)
	if table == "" {
		return false, false
	}
	_, _, notNull, _, _, err := r.c.db.TableColumnMetadata(
		r.p.ColumnDatabaseName(i), table, r.p.ColumnOriginName(i))
	if err != nil {
		return false, false
	}
	if !notNull {
		return true, true
	}
	// A view leads to a table that the text does not name.
	text := strings.ToLower(r.p.SQL())
	plain := strings.Contains(text, strings.ToLower(table)) &&
		!strings.Contains(text, "join") && !strings.Contains(text, "(")
	return false, plain
}

// ColumnTypeScanType returns a type that takes the column's values, by its
// declaration; any where that promises nothing.
func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	nullable, known := r.ColumnTypeNullable(i)
	pick := func(plain, null reflect.Type) reflect.Type {
		if known && !nullable {
			return plain
		}
		return null
	}
	switch decl := r.cols.types[i]; {
	case r.cols.kinds[i] == kindTime:
		return pick(reflect.TypeFor[time.Time](), reflect.TypeFor[sql.NullTime]())
	case r.cols.kinds[i] == kindBool:
		return pick(reflect.TypeFor[bool](), reflect.TypeFor[sql.NullBool]())
	// SQLite's rules of affinity, in its order.
	case strings.Contains(decl, "INT"):
		return pick(reflect.TypeFor[int64](), reflect.TypeFor[sql.NullInt64]())
	case strings.Contains(decl, "CHAR"), strings.Contains(decl, "CLOB"), strings.Contains(decl, "TEXT"):
		return pick(reflect.TypeFor[string](), reflect.TypeFor[sql.NullString]())
	case strings.Contains(decl, "BLOB"):
		return reflect.TypeFor[[]byte]()
	case strings.Contains(decl, "REAL"), strings.Contains(decl, "FLOA"), strings.Contains(decl, "DOUB"):
		return pick(reflect.TypeFor[float64](), reflect.TypeFor[sql.NullFloat64]())
	}
	return reflect.TypeFor[any]()
}

// open says whether the statement can still be asked.
func (r *rows) open() bool { return r.p != nil && r.c.usable() }
