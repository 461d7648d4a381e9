package main

// This file prints the rows of "walnut sql": as sqlite3 prints them in a pipe
// (list, CSV), as JSON, and as a table.

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/ncruces/go-sqlite3"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/tw"
)

// columns is the row that a statement stands on; *sqlite3.Stmt has it. What
// the Raw methods return is valid until the next call.
type columns interface {
	ColumnCount() int
	ColumnType(col int) sqlite3.Datatype
	ColumnInt64(col int) int64
	ColumnFloat(col int) float64
	ColumnRawText(col int) []byte
	ColumnRawBlob(col int) []byte
}

// renderer prints the rows of one statement after the other. Writes go to a
// buffer that keeps its error, so that begin need not report one.
type renderer interface {
	begin(cols []string)
	row(columns) error
	end() error
}

func newRenderer(o sqlOptions, terminal bool, out *bufio.Writer) renderer {
	switch {
	case o.json:
		return &jsonRows{out: out}
	case o.csv:
		return &csvRows{out: out}
	case o.table, terminal:
		return &tableRows{out: out}
	}
	return &listRows{out: out}
}

// raw is a value as its bytes: a blob as it is, everything else as SQLite
// converts it to text; NULL is nothing.
func raw(r columns, col int) []byte {
	switch r.ColumnType(col) {
	case sqlite3.NULL:
		return nil
	case sqlite3.BLOB:
		return r.ColumnRawBlob(col)
	}
	return r.ColumnRawText(col)
}

// listRows prints as sqlite3 does by default.
type listRows struct{ out *bufio.Writer }

func (l *listRows) begin([]string) {}
func (l *listRows) end() error     { return nil }

func (l *listRows) row(r columns) error {
	for i := range r.ColumnCount() {
		if i > 0 {
			l.out.WriteByte('|')
		}
		l.out.Write(raw(r, i))
	}
	return l.out.WriteByte('\n')
}

// csvRows prints as sqlite3 -csv does.
type csvRows struct{ out *bufio.Writer }

func (c *csvRows) begin([]string) {}
func (c *csvRows) end() error     { return nil }

func (c *csvRows) row(r columns) error {
	for i := range r.ColumnCount() {
		if i > 0 {
			c.out.WriteByte(',')
		}
		if r.ColumnType(i) != sqlite3.NULL {
			c.value(raw(r, i))
		}
	}
	return c.out.WriteByte('\n')
}

// value quotes what sqlite3 quotes, which is more than RFC 4180 asks for: the
// empty string too, so that it can be told from NULL.
func (c *csvRows) value(v []byte) {
	quote := len(v) == 0
	for _, b := range v {
		if b <= ' ' || b >= 0x7f || b == '"' || b == '\'' || b == ',' {
			quote = true
			break
		}
	}
	if !quote {
		c.out.Write(v)
		return
	}
	c.out.WriteByte('"')
	for _, b := range v {
		if b == '"' {
			c.out.WriteByte('"')
		}
		c.out.WriteByte(b)
	}
	c.out.WriteByte('"')
}

// jsonRows prints one array of objects for each statement.
type jsonRows struct {
	out  *bufio.Writer
	keys []string // with quotes and colon
	rows int
}

func (j *jsonRows) begin(cols []string) {
	j.rows, j.keys = 0, j.keys[:0]
	for _, c := range cols {
		j.keys = append(j.keys, string(jsonString([]byte(c)))+":")
	}
	j.out.WriteByte('[')
}

func (j *jsonRows) row(r columns) error {
	if j.rows++; j.rows > 1 {
		j.out.WriteString(",\n")
	}
	j.out.WriteByte('{')
	for i := range r.ColumnCount() {
		if i > 0 {
			j.out.WriteByte(',')
		}
		if i < len(j.keys) { // a schema change under the statement may add some
			j.out.WriteString(j.keys[i])
		} else {
			fmt.Fprintf(j.out, `"%d":`, i)
		}
		j.value(r, i)
	}
	return j.out.WriteByte('}')
}

func (j *jsonRows) end() error {
	_, err := j.out.WriteString("]\n")
	return err
}

func (j *jsonRows) value(r columns, col int) {
	switch r.ColumnType(col) {
	case sqlite3.NULL:
		j.out.WriteString("null")
	case sqlite3.INTEGER:
		j.out.WriteString(strconv.FormatInt(r.ColumnInt64(col), 10))
	case sqlite3.FLOAT:
		j.out.WriteString(jsonReal(r.ColumnFloat(col)))
	case sqlite3.BLOB:
		fmt.Fprintf(j.out, `"%s"`, base64.StdEncoding.EncodeToString(r.ColumnRawBlob(col)))
	default:
		j.out.Write(jsonString(r.ColumnRawText(col)))
	}
}

// jsonReal is the shortest number that reads back as f, and always one that
// says it is a real.
func jsonReal(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "1e999" // as sqlite3 does: readers take it for infinity
	case math.IsInf(f, -1):
		return "-1e999"
	case math.IsNaN(f):
		return "null" // SQLite has none
	}
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

// jsonString is text as a JSON string; what is not UTF-8 becomes U+FFFD.
func jsonString(text []byte) []byte {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(string(text)); err != nil {
		return []byte(`""`) // strings always encode
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}

// tableBatch is how many rows go into one table: widths need all of them.
const tableBatch = 2000

// tableRows prints tables.
type tableRows struct {
	out  *bufio.Writer
	cols []string
	rows [][]string
	part bool // a table of this statement has been printed
}

func (t *tableRows) begin(cols []string) {
	t.cols, t.rows, t.part = make([]string, len(cols)), t.rows[:0], false
	for i, c := range cols {
		t.cols[i] = cell(c)
	}
}

func (t *tableRows) row(r columns) error {
	row := make([]string, r.ColumnCount())
	for i := range row {
		row[i] = tableCell(r, i)
	}
	if t.rows = append(t.rows, row); len(t.rows) >= tableBatch {
		return t.flush()
	}
	return nil
}

func (t *tableRows) end() error {
	if t.part && len(t.rows) == 0 {
		return nil
	}
	return t.flush()
}

func (t *tableRows) flush() error {
	err := writeTable(t.out, t.cols, t.rows)
	t.rows, t.part = t.rows[:0], true
	return err
}

func tableCell(r columns, col int) string {
	switch r.ColumnType(col) {
	case sqlite3.NULL:
		return "NULL"
	case sqlite3.BLOB:
		return fmt.Sprintf("x'%x'", r.ColumnRawBlob(col))
	}
	return cell(string(r.ColumnRawText(col)))
}

// cell is text that a terminal may be given: a control character in the data
// must not move the cursor.
func cell(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\n':
			return c
		case c == '\t':
			return ' '
		case unicode.IsControl(c):
			return unicode.ReplacementChar
		}
		return c
	}, s)
}

// writeTable prints a table with a header.
func writeTable(out io.Writer, header []string, rows [][]string) error {
	t := tablewriter.NewTable(out,
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithTrimSpace(tw.Off))
	t.Header(header)
	if err := t.Bulk(rows); err != nil {
		return err
	}
	return t.Render()
}
