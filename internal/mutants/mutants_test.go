package main

import (
	"bytes"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// loaded returns the repository's root, its mutants and its rules.
func loaded(t *testing.T) (string, []*mutant, []rule) {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	mutants, err := loadMutants("patches")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := loadRules("rules.txt")
	if err != nil {
		t.Fatal(err)
	}
	return root, mutants, rules
}

// TestEveryRuleHasAMutant, or says why it has none, and every mutant a rule.
func TestEveryRuleHasAMutant(t *testing.T) {
	_, mutants, rules := loaded(t)
	if len(mutants) < 50 {
		t.Errorf("there are %d mutants, fewer than 50", len(mutants))
	}
	has := map[string]int{}
	for _, m := range mutants {
		for _, id := range m.rules {
			has[id]++
			if !slices.ContainsFunc(rules, func(r rule) bool { return r.id == id }) {
				t.Errorf("%s: rules.txt has no rule %q", m.name, id)
			}
		}
	}
	seen := map[string]bool{}
	for _, r := range rules {
		switch {
		case seen[r.id]:
			t.Errorf("rule %s is there twice", r.id)
		case r.without == "" && has[r.id] == 0:
			t.Errorf("rule %s has no mutant: %s", r.id, r.text)
		case r.without != "" && has[r.id] > 0:
			t.Errorf("rule %s has a mutant, and a reason to have none", r.id)
		}
		seen[r.id] = true
	}
}

// TestPatchesCompile: every patch applies to the tree as it is, and what it
// makes of it passes the type checker. No two make the same.
func TestPatchesCompile(t *testing.T) {
	root, mutants, _ := loaded(t)
	c := newChecker(t, root)
	made := map[string]string{}
	for _, m := range mutants {
		files, err := m.mutate(root)
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		if err := c.check(files); err != nil {
			t.Errorf("%s does not compile: %v", m.name, err)
		}
		var key strings.Builder
		for _, name := range slices.Sorted(func(yield func(string) bool) {
			for name := range files {
				if !yield(name) {
					return
				}
			}
		}) {
			key.WriteString(name + "\n" + string(files[name]))
		}
		if other := made[key.String()]; other != "" {
			t.Errorf("%s does the same as %s", m.name, other)
		}
		made[key.String()] = m.name
	}
}

// checker type-checks packages with some files replaced.
type checker struct {
	root string
	fset *token.FileSet
	imp  types.Importer
	// files has those of each directory, from the root, with slashes.
	files map[string][]string
}

// newChecker has the go command build what packages import.
func newChecker(t *testing.T, root string) *checker {
	t.Helper()
	c := &checker{root: root, fset: token.NewFileSet(), files: map[string][]string{}}
	cmd := exec.Command("go", "list", "-export", "-deps", "-f", `{{.ImportPath}}|{{.Export}}|{{if not .Standard}}{{join .GoFiles " "}}{{end}}`,
		".", "./disk", "./driver", "./internal/sqlitevfs")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		parts := strings.Split(strings.TrimSuffix(line, "\n"), "|")
		exports[parts[0]] = parts[1]
		if dir, ok := strings.CutPrefix(parts[0], module); ok {
			c.files[strings.TrimPrefix(dir, "/")] = strings.Fields(parts[2])
		}
	}
	c.imp = importer.ForCompiler(c.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	return c
}

// check type-checks each package that has one of the files.
func (c *checker) check(files map[string][]byte) error {
	done := map[string]bool{}
	for name := range files {
		dir := strings.TrimSuffix(filepath.ToSlash(filepath.Dir(name)), ".")
		if done[dir] {
			continue
		}
		done[dir] = true
		var list []*ast.File
		for _, base := range c.files[dir] {
			path := strings.TrimPrefix(dir+"/"+base, "/")
			src, ok := files[path]
			if !ok {
				var err error
				if src, err = os.ReadFile(filepath.Join(c.root, filepath.FromSlash(path))); err != nil {
					return err
				}
			}
			f, err := parser.ParseFile(c.fset, path, src, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			list = append(list, f)
		}
		conf := types.Config{Importer: c.imp}
		if _, err := conf.Check(strings.TrimSuffix(module+"/"+dir, "/"), c.fset, list, nil); err != nil {
			return err
		}
	}
	return nil
}

// TestApply: a hunk is found by its text, once, wherever it is.
func TestApply(t *testing.T) {
	m, err := parseMutant("x", "Promise: p\nRule: r\nTry: ./a -run B\n\n--- a/x.go\n+++ b/x.go\n@@ -70,3 +70,3 @@\n two\n-three\n+drei\n\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := (try{"./a", "B"}); len(m.tries) != 1 || m.tries[0] != want {
		t.Errorf("tries are %v", m.tries)
	}
	got, err := m.files[0].apply([]byte("one\ntwo\nthree\n\nthree\n"))
	if want := "one\ntwo\ndrei\n\nthree\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	for _, src := range []string{"one\nthree\n\n", "two\nthree\n\ntwo\nthree\n\n", "atwo\nthree\n\n"} {
		if got, err := m.files[0].apply([]byte(src)); err == nil {
			t.Errorf("it was applied to %q: %q", src, got)
		}
	}
}

// TestVerdict: whom a run of go test names as the killer.
func TestVerdict(t *testing.T) {
	ev := func(list ...string) []byte { return []byte(strings.Join(list, "\n")) }
	const p = `"Package":"github.com/walnutdb/walnut/internal/wal"`
	for _, c := range []struct {
		out        []byte
		killer, by string
	}{
		{ev(`{"Action":"fail",`+p+`,"Test":"TestA/b"}`, `{"Action":"fail",`+p+`,"Test":"TestA"}`, `{"Action":"fail",`+p+`}`), "internal/wal.TestA/b", ""},
		{ev(`{"Action":"output",`+p+`,"Output":"panic: test timed out after 1s\n"}`, `{"Action":"output",`+p+`,"Output":"\t\tTestB (1s)\n"}`, `{"Action":"fail",`+p+`}`), "internal/wal.TestB", "timeout"},
		{ev(`{"Action":"output",`+p+`,"Test":"TestC","Output":"panic: no\n"}`, `{"Action":"fail",`+p+`,"Test":"TestC"}`), "internal/wal.TestC", "panic"},
		{ev(`{"Action":"fail",` + p + `}`), "internal/wal.TestMain", ""},
	} {
		killer, by, err := verdict(c.out, "")
		if killer != c.killer || by != c.by || err != nil {
			t.Errorf("%s: %q, %q, %v", c.out, killer, by, err)
		}
	}
	if _, _, err := verdict(ev(`{"Action":"build-output","Output":"no such name\n"}`, `{"Action":"build-fail"}`), ""); err == nil {
		t.Error("a mutant that does not build counts as killed")
	}
}

// TestTable: survivors come last, and count.
func TestTable(t *testing.T) {
	tab := table{results: []result{{m: &mutant{name: "a", rules: []string{"5-x"}}}, {m: &mutant{name: "b"}, killer: "wal.TestB", by: "timeout"}},
		rules: []rule{{id: "5-x", text: "the order"}, {id: "5-y", text: "shared memory", without: "not built yet"}}, all: true}
	var b bytes.Buffer
	tab.print(&b)
	text := b.String()
	if tab.bad() != 1 || strings.Index(text, "SURVIVED") < strings.Index(text, "wal.TestB") || !strings.Contains(text, "not built yet") {
		t.Error(text)
	}
	if md := tab.markdown(); !strings.Contains(md, "section 5: the order") {
		t.Error(md)
	}
}

// TestBasis: what must pass before the first mutant has every package that a
// mutant runs, once as a whole where one does.
func TestBasis(t *testing.T) {
	r := &runner{suite: []string{"./a", "./b"}, deps: map[string][]string{"./a": {module + "/a"}, "./b": {module + "/a"}}}
	list := []*mutant{
		{tries: []try{{"./a", "TestX"}, {"./gone", ""}}, files: []filePatch{{path: "a/x.go"}}},
		{tries: []try{{"./b", "TestY"}}, files: []filePatch{{path: "c/y.go"}}},
	}
	if got, want := r.basis(list), []try{{"./a", ""}, {"./b", ""}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	r.first = true
	if got, want := r.basis(list), []try{{"./a", "TestX"}, {"./b", "TestY"}}; !slices.Equal(got, want) {
		t.Errorf("the tries only: got %v, want %v", got, want)
	}
}

// TestLimit: a try may take many times what its tests took without a mutant.
func TestLimit(t *testing.T) {
	r := &runner{timeout: time.Minute, took: map[string]map[string]float64{}}
	if got := r.limit(try{"./a", "TestX"}); got != time.Minute {
		t.Errorf("what is not known may take %v", got)
	}
	r.note("./a", []byte(`{"Action":"pass","Test":"TestX","Elapsed":0.5}
{"Action":"pass","Test":"TestX/y","Elapsed":0.4}
{"Action":"pass","Test":"TestZ","Elapsed":9}
{"Action":"pass","Elapsed":10}
`))
	for run, want := range map[string]time.Duration{"^TestX$": 20 * time.Second, "^TestX$/^y$": 20 * time.Second, "": time.Minute} {
		if got := r.limit(try{"./a", run}); got != want {
			t.Errorf("%q may take %v, not %v", run, got, want)
		}
	}
}
