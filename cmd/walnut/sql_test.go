package main

// Tests of "walnut sql": what it prints, beside what sqlite3 prints, and what
// it does about errors.

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// values has one of everything. No reals of 16 digits or more: SQLite's own
// versions differ there.
const values = `CREATE TABLE v(a, b);
INSERT INTO v VALUES (1, 'x'), (-9223372036854775808, 'two words'), (1.5, 'it''s'), (1e100, 'a"b'), (3.0, ''), (NULL, NULL),
  ('a|b', 'a,b'), ('é', 'line
feed'), (x'414243', char(9)), (0.1, 'plain'), (-0.0, '<&>'), (9e999, -9e999);`

func TestModesAsSQLite3(t *testing.T) {
	sqlite3 := sqlite3Command(t)
	const query = "SELECT rowid, a, b FROM v ORDER BY rowid; SELECT 1 AS x, 2 AS x; SELECT b FROM v WHERE a IS NULL"
	for _, mode := range [][]string{nil, {"--csv"}} {
		file := filepath.Join(t.TempDir(), "v.db")
		must(t, "sql", file, values)
		got := must(t, append(append([]string{"sql"}, mode...), file, query)...)
		args := []string{":memory:", values, query}
		if mode != nil {
			args = append([]string{"-csv"}, args...)
		}
		want, err := exec.Command(sqlite3, args...).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("mode %v:\n%q\nsqlite3:\n%q", mode, got, want)
		}
	}
}

func TestJSONAsSQLite3(t *testing.T) {
	sqlite3 := sqlite3Command(t)
	const query = "SELECT rowid, a, b FROM v WHERE typeof(a) <> 'blob' AND a IS NOT 9e999 ORDER BY rowid"
	file := filepath.Join(t.TempDir(), "v.db")
	must(t, "sql", file, values)
	want, err := exec.Command(sqlite3, "-json", ":memory:", values, query).Output()
	if err != nil {
		t.Fatal(err)
	}
	parse := func(b string) (v []map[string]any) {
		if err := json.Unmarshal([]byte(b), &v); err != nil {
			t.Fatalf("%v in %s", err, b)
		}
		return v
	}
	got := parse(must(t, "sql", "--json", file, query))
	for i, row := range parse(string(want)) {
		for k, v := range row {
			if got[i][k] != v {
				t.Errorf("row %d, %s: %v, sqlite3 %v", i, k, got[i][k], v)
			}
		}
	}
}

func TestJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "j.db")
	for _, c := range []struct{ sql, want string }{
		{"CREATE TABLE t(a)", ""},
		{"SELECT * FROM t", "[]\n"},
		{"SELECT 9223372036854775807 AS big, 1.0 AS real, 0.1 AS tenth, 1e300 AS huge, 9e999 AS inf, -9e999 AS neg, NULL AS nil",
			`[{"big":9223372036854775807,"real":1.0,"tenth":0.1,"huge":1e+300,"inf":1e999,"neg":-1e999,"nil":null}]` + "\n"},
		{`SELECT 'a"b\' || char(10, 1) AS t, x'00ff' AS b, '<&>' AS h, CAST(x'ff41' AS TEXT) AS bad`,
			`[{"t":"a\"b\\\n\u0001","b":"AP8=","h":"<&>","bad":"` + `\ufffd` + `A"}]` + "\n"},
		{`SELECT 1 AS "q""x"; SELECT 2 AS b UNION ALL SELECT 3`, `[{"q\"x":1}]` + "\n" + `[{"b":2},` + "\n" + `{"b":3}]` + "\n"},
	} {
		if got := must(t, "sql", "--json", file, c.sql); got != c.want {
			t.Errorf("%s:\n%q, want\n%q", c.sql, got, c.want)
		}
	}
}

func TestTable(t *testing.T) {
	got := must(t, "sql", "--table", filepath.Join(t.TempDir(), "t.db"),
		"SELECT 1 AS one, NULL AS none, x'00ff' AS blob, char(27) || '[31m' AS text")
	for _, want := range []string{"one", "none", "NULL", "x'00ff'", "\ufffd[31m"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.ContainsRune(got, 27) {
		t.Error("an escape character reached the terminal")
	}
}

func TestArguments(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a b%20c#?.db")
	if got := must(t, "sql", file, "CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)", "SELECT a FROM t;", "/* nothing */", ";"); got != "1\n2\n" {
		t.Errorf("got %q", got)
	}
	o := walnut(t, "", "sql", file, "SELECT 1; SELECT nonsense; SELECT 2", "SELECT 3")
	if o.status != exitError || o.out != "1\n" || !strings.Contains(o.err, "no such column: nonsense") || !strings.Contains(o.err, "SELECT nonsense;") {
		t.Errorf("%+v", o)
	}
	if got := must(t, "sql", file, "SELECT count(*) FROM t"); got != "2\n" {
		t.Errorf("after reopening: %q", got)
	}
}

func TestStandardInput(t *testing.T) {
	const script = "SELECT 1;\r\nSELECT nonsense; SELECT 2;\nCREATE TABLE t(a);\n" +
		"CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT CASE WHEN 1 THEN 2 END; DELETE FROM t WHERE a = 9; END;\n" +
		"INSERT INTO t VALUES (9), (8);\nSELECT a FROM t\n"
	for _, c := range []struct {
		flags  []string
		in     string
		status int
		out    string
		errHas string
	}{
		{nil, "", exitFine, "", ""},
		{nil, "SELECT 1", exitFine, "1\n", ""},
		{nil, "SELECT 1; -- done", exitFine, "1\n", ""},
		{nil, script, exitError, "1\n2\n8\n", "near line 2: no such column: nonsense"},
		{[]string{"--bail"}, script, exitError, "1\n", "no such column: nonsense"},
		{nil, "SELECT 1; SELECT 'x", exitError, "1\n", "unrecognized token"},
		{nil, "CREATE TABLE t(a);CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1;", exitError, "", "incomplete input"},
		{nil, "SELECT 1;\n.quit\nSELECT 2;", exitFine, "1\n", ""},
		{nil, ".tables\nSELECT 2;", exitError, "2\n", ".tables is not known"},
		{nil, "SELECT 1\x00;SELECT 2;", exitError, "2\n", "zero byte"},
		{[]string{"--json"}, "SELECT 1 AS a; SELECT abs(-9223372036854775808);", exitError, "[{\"a\":1}]\n[]\n", "integer overflow"},
		{nil, "BEGIN; CREATE TABLE u(a);", exitFine, "", ""}, // rolled back, as by sqlite3
		{nil, "SELECT 1 WHERE 0; EXPLAIN SELECT 1;", exitFine, "0|Init|", ""},
	} {
		file := filepath.Join(t.TempDir(), "s.db")
		o := walnut(t, c.in, append(append([]string{"sql"}, c.flags...), file)...)
		if o.status != c.status || !strings.HasPrefix(o.out, c.out) || !strings.HasSuffix(c.out, "|") && o.out != c.out ||
			!strings.Contains(o.err, c.errHas) || c.errHas == "" && o.err != "" {
			t.Errorf("%q: status %d, %q, %q; want %d, %q, %q", c.in, o.status, o.out, o.err, c.status, c.out, c.errHas)
		}
	}
}

// TestAsSoonAsComplete: the row is there while standard input is still open.
func TestAsSoonAsComplete(t *testing.T) {
	inRead, inWrite := io.Pipe()
	outRead, outWrite := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run([]string{"sql", filepath.Join(t.TempDir(), "s.db")}, inRead, outWrite, io.Discard)
		outWrite.Close()
	}()
	buf := make([]byte, 10)
	for _, c := range []struct{ in, out string }{{"SELECT 'a'; SELECT ", "a\n"}, {"'b';", "b\n"}} {
		if _, err := io.WriteString(inWrite, c.in); err != nil {
			t.Fatal(err)
		}
		n, err := outRead.Read(buf)
		if err != nil || string(buf[:n]) != c.out {
			t.Fatalf("%q, %v; want %q", buf[:n], err, c.out)
		}
	}
	inWrite.Close()
	if s := <-status; s != exitFine {
		t.Errorf("status %d", s)
	}
}

// closedPipe is a standard output that nobody reads any more.
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestClosedPipe(t *testing.T) {
	var errOut bytes.Buffer
	file := filepath.Join(t.TempDir(), "p.db")
	in := strings.NewReader("CREATE TABLE t(a); SELECT 1; CREATE TABLE u(a);")
	if s := run([]string{"sql", file}, in, closedPipe{}, &errOut); s != exitError || errOut.Len() != 0 {
		t.Errorf("status %d, %q; want 1 and silence", s, errOut.String())
	}
	if got := must(t, "sql", file, "SELECT name FROM sqlite_schema"); got != "t\n" {
		t.Errorf("tables %q, want only what came before", got)
	}
}

// fullDisk is a standard output that fails otherwise.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk is full") }

func TestOutputFails(t *testing.T) {
	var errOut bytes.Buffer
	s := run([]string{"sql", filepath.Join(t.TempDir(), "p.db"), "SELECT 1"}, nil, fullDisk{}, &errOut)
	if s != exitError || !strings.Contains(errOut.String(), "disk is full") {
		t.Errorf("status %d, %q", s, errOut.String())
	}
}
