// Tests of the splitter: a table of cases, each fed whole and byte by byte,
// and a fuzz test against the properties that callers rely on.
package sqlsplit

import (
	"reflect"
	"strings"
	"testing"
)

// split feeds in in pieces of n bytes and returns what came out: complete
// statements, and the rest.
func split(in string, n int) (texts []string, rest string, lines []int) {
	var s Splitter
	for len(in) > 0 {
		k := min(n, len(in))
		s.Write([]byte(in[:k]))
		in = in[k:]
		for {
			st, ok := s.Next()
			if !ok {
				break
			}
			texts, lines = append(texts, st.Text), append(lines, st.Line)
		}
	}
	if st, ok := s.Rest(); ok {
		rest = st.Text
	}
	return texts, rest, lines
}

const trigger = `CREATE TRIGGER t AFTER INSERT ON a BEGIN
  UPDATE a SET x = CASE WHEN new.x > 1 THEN 'a;' ELSE 2 END WHERE id = new.id;
  SELECT 1; -- END;
END;`

var cases = []struct {
	name string
	in   string
	want []string
	rest string
}{
	{"nothing", "", nil, ""},
	{"blank", " \t\r\n\f ", nil, ""},
	{"semicolons", ";; ;\n;", nil, ""},
	{"one", "SELECT 1;", []string{"SELECT 1;"}, ""},
	{"two on a line", "SELECT 1;SELECT 2;", []string{"SELECT 1;", "SELECT 2;"}, ""},
	{"no semicolon", "SELECT 1", nil, "SELECT 1"},
	{"one word", "VACUUM", nil, "VACUUM"},
	{"crlf", "SELECT 1;\r\nSELECT\r\n2;\r\n", []string{"SELECT 1;", "SELECT\r\n2;"}, ""},
	{"string", "SELECT 'a;b''c;';SELECT 2;", []string{"SELECT 'a;b''c;';", "SELECT 2;"}, ""},
	{"quoted names", "SELECT \"a;\"\"b\", [c;d], `e;``f`;x;", []string{"SELECT \"a;\"\"b\", [c;d], `e;``f`;", "x;"}, ""},
	{"open string", "SELECT 'a;\nSELECT 1;\n", nil, "SELECT 'a;\nSELECT 1;\n"},
	{"open name", "SELECT [a;", nil, "SELECT [a;"},
	{"line comment", "-- a;b\nSELECT 1 -- c;d\n;", []string{"SELECT 1 -- c;d\n;"}, ""},
	{"line comment at the end", "SELECT 1; -- done", []string{"SELECT 1;"}, ""},
	{"comment only", "-- nothing;\n/* nothing; */", nil, ""},
	{"block comment", "/* a;* / **/SELECT /*;*/ 1;", []string{"SELECT /*;*/ 1;"}, ""},
	{"slash star slash", "/*/ ; */SELECT 1;", []string{"SELECT 1;"}, ""},
	{"open block comment", "SELECT 1 /* ;", nil, "SELECT 1 /* ;"},
	{"open block comment alone", "/* ;", nil, ""},
	{"minus and divide", "SELECT 1-1/1;SELECT -1;", []string{"SELECT 1-1/1;", "SELECT -1;"}, ""},
	{"begins with minus", "-1;", []string{"-1;"}, ""},
	{"trigger", trigger + "SELECT 1;", []string{trigger, "SELECT 1;"}, ""},
	{"trigger crlf", strings.ReplaceAll(trigger, "\n", "\r\n"), []string{strings.ReplaceAll(trigger, "\n", "\r\n")}, ""},
	{"temp trigger", "create temp trigger t begin select 1; end;x;", []string{"create temp trigger t begin select 1; end;", "x;"}, ""},
	{"temporary trigger", "CREATE TEMPORARY TRIGGER t BEGIN SELECT 1; END; x;", []string{"CREATE TEMPORARY TRIGGER t BEGIN SELECT 1; END;", "x;"}, ""},
	{"trigger with comments", "CREATE/**/TRIGGER t BEGIN SELECT 1;/**/END--\n;x;", []string{"CREATE/**/TRIGGER t BEGIN SELECT 1;/**/END--\n;", "x;"}, ""},
	{"nested case", "CREATE TRIGGER t BEGIN SELECT CASE WHEN 1 THEN CASE 2 WHEN 3 THEN 4 END END; END;x;",
		[]string{"CREATE TRIGGER t BEGIN SELECT CASE WHEN 1 THEN CASE 2 WHEN 3 THEN 4 END END; END;", "x;"}, ""},
	{"explain trigger", "EXPLAIN CREATE TRIGGER t BEGIN SELECT 1; END;x;", []string{"EXPLAIN CREATE TRIGGER t BEGIN SELECT 1; END;", "x;"}, ""},
	{"explain query plan trigger", "EXPLAIN QUERY PLAN CREATE TRIGGER t BEGIN SELECT 1; END;x;", []string{"EXPLAIN QUERY PLAN CREATE TRIGGER t BEGIN SELECT 1; END;", "x;"}, ""},
	{"explain", "EXPLAIN SELECT 1;x;", []string{"EXPLAIN SELECT 1;", "x;"}, ""},
	{"open trigger", "CREATE TRIGGER t BEGIN SELECT 1;", nil, "CREATE TRIGGER t BEGIN SELECT 1;"},
	{"end without semicolon before it", "CREATE TRIGGER t BEGIN SELECT 1 END; END;", []string{"CREATE TRIGGER t BEGIN SELECT 1 END; END;"}, ""},
	{"end and more", "CREATE TRIGGER t BEGIN SELECT 1; END x; END;", []string{"CREATE TRIGGER t BEGIN SELECT 1; END x; END;"}, ""},
	{"table named trigger", "CREATE TABLE trigger(a);x;", []string{"CREATE TABLE trigger(a);", "x;"}, ""},
	{"quoted end", "CREATE TRIGGER t BEGIN SELECT 1; \"END\"; END;", []string{"CREATE TRIGGER t BEGIN SELECT 1; \"END\"; END;"}, ""},
	{"transaction end", "BEGIN;END;", []string{"BEGIN;", "END;"}, ""},
	{"not ascii", "SELECT 'é;', é;ü;", []string{"SELECT 'é;', é;", "ü;"}, ""},
	{"byte-order mark", "\ufeffCREATE TRIGGER t BEGIN SELECT 1; END;", []string{"CREATE TRIGGER t BEGIN SELECT 1; END;"}, ""},
	{"dot line", ".tables\nSELECT 1;\r\n.quit\r\n", []string{".tables", "SELECT 1;", ".quit"}, ""},
	{"dot in a statement", "SELECT 1\n.5;", []string{"SELECT 1\n.5;"}, ""},
	{"dot at the end", ".quit", nil, ".quit"},
	{"a dash at the end", "SELECT 1;-", []string{"SELECT 1;"}, "-"},
	{"zero byte", "SELECT 1\x00;x;", []string{"SELECT 1\x00;", "x;"}, ""},
}

func TestSplit(t *testing.T) {
	for _, c := range cases {
		for _, n := range []int{1, 2, 7, 1 << 20} {
			got, rest, _ := split(c.in, n)
			if !reflect.DeepEqual(got, c.want) || rest != c.rest {
				t.Errorf("%s, in pieces of %d: got %q, rest %q; want %q, rest %q", c.name, n, got, rest, c.want, c.rest)
			}
		}
	}
}

func TestLines(t *testing.T) {
	_, _, lines := split("\n-- c\nSELECT 1;\n\nSELECT\n2; SELECT 3;\n.x\nSELECT 4;", 3)
	if want := []int{3, 5, 6, 7, 8}; !reflect.DeepEqual(lines, want) {
		t.Errorf("lines %v, want %v", lines, want)
	}
}

func TestPending(t *testing.T) {
	for in, want := range map[string]bool{"": false, " ": false, "-- x": false, "SELECT": true, "'": true, "/*": true, "SELECT 1;": false, ";": false} {
		var s Splitter
		s.Write([]byte(in))
		for _, ok := s.Next(); ok; _, ok = s.Next() {
		}
		if s.Pending() != want {
			t.Errorf("%q: pending %v, want %v", in, !want, want)
		}
	}
}

// FuzzSplit: the cut does not depend on how the input arrives, nothing but
// blanks, comments and lone semicolons is lost, and the order stays.
func FuzzSplit(f *testing.F) {
	for _, c := range cases {
		f.Add(c.in, 3)
	}
	f.Fuzz(func(t *testing.T, in string, n int) {
		if n < 1 {
			return
		}
		whole, wholeRest, _ := split(in, len(in)+1)
		parts, partsRest, _ := split(in, n)
		if !reflect.DeepEqual(whole, parts) || wholeRest != partsRest {
			t.Fatalf("whole %q, rest %q; in pieces of %d %q, rest %q", whole, wholeRest, n, parts, partsRest)
		}
		at := 0
		for _, st := range append(whole, wholeRest) {
			i := strings.Index(in[at:], st)
			if i < 0 {
				t.Fatalf("%q is not in the input after byte %d", st, at)
			}
			at += i + len(st)
		}
		for _, st := range whole {
			if !strings.HasPrefix(st, ".") && !strings.HasSuffix(st, ";") {
				t.Fatalf("%q is complete without a semicolon", st)
			}
		}
	})
}
