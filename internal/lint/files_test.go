package lint

import (
	"go/ast"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFilesOnlyThroughDisk: package disk is the only way to a file, so that a
// test can put a faulty one under everything.
func TestFilesOnlyThroughDisk(t *testing.T) {
	// Uses of package os that are right outside disk, cmd, bench, and the commands
	// that run the go command.
	allowed := map[string]string{
		"driver os.Stat":                "Connector.checkPath words the likely mistakes of a path better than SQLite; it opens nothing",
		"internal/invariants os.Getenv": "the seed of the choices; it is no way to a file",
	}
	// Names of package os that are no way to a file.
	harmless := map[string]bool{"ErrNotExist": true, "ErrExist": true, "ErrPermission": true}
	used := map[string]bool{}
	for _, f := range goFiles(t) {
		if f.isTest() || f.below("disk", "cmd", "bench", "internal/mutants", "internal/coverage", "internal/fuzz") {
			continue
		}
		f.uses("os", func(n ast.Node, name string) {
			key := f.dir() + " os." + name
			used[key] = true
			if !harmless[name] && allowed[key] == "" {
				t.Errorf("%s: os.%s: files are reached through package disk", f.at(n), name)
			}
		})
		for _, p := range []string{"io/ioutil", "os/exec", "syscall", "golang.org/x/sys/unix", "golang.org/x/sys/windows"} {
			if f.importName(p) != "" {
				t.Errorf("%s imports %s: only disk and commands may", f.path, p)
			}
		}
		f.uses("path/filepath", func(n ast.Node, name string) {
			switch name {
			case "EvalSymlinks", "Glob", "Walk", "WalkDir":
				t.Errorf("%s: filepath.%s: files are reached through package disk", f.at(n), name)
			}
		})
	}
	for key := range allowed {
		if !used[key] {
			t.Errorf("the exception %q is not needed any more", key)
		}
	}
}

// maxLines is how long a Go file may be.
const maxLines = 600

func TestFileLength(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.lines > maxLines {
			t.Errorf("%s has %d lines, more than %d: split it by what it does", f.path, f.lines, maxLines)
		}
	}
}

// TestNoSleepInTests: a test waits for what it waits for, not for a time; but in
// synctest, where that is the same.
func TestNoSleepInTests(t *testing.T) {
	for _, f := range goFiles(t) {
		if !f.isTest() {
			continue
		}
		bubbles := f.argumentsOf("testing/synctest", "Test")
		f.uses("time", func(n ast.Node, name string) {
			if name == "Sleep" && !slices.ContainsFunc(bubbles, func(b ast.Node) bool { return b.Pos() <= n.Pos() && n.End() <= b.End() }) {
				t.Errorf("%s: time.Sleep in a test: wait for the event (a channel, testing/synctest)", f.at(n))
			}
		})
	}
}

// TestPackageComments: every package says what it is.
func TestPackageComments(t *testing.T) {
	has, first := map[string]bool{}, map[string]string{}
	for _, f := range goFiles(t) {
		if f.isTest() {
			continue
		}
		first[f.dir()] = f.path
		doc := f.ast.Doc.Text()
		if strings.HasPrefix(doc, "Package ") || strings.HasPrefix(doc, "Command ") || f.ast.Name.Name == "main" && doc != "" {
			has[f.dir()] = true
		}
	}
	for dir, file := range first {
		if !has[dir] {
			t.Errorf("package %s (%s) has no package comment", dir, filepath.Base(file))
		}
	}
}

// TestErrorsAreWrapped: an error that becomes part of another one's text
// becomes part of its chain.
func TestErrorsAreWrapped(t *testing.T) {
	for _, f := range goFiles(t) {
		local := f.importName("fmt")
		if f.isTest() || local == "" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !isSelector(call.Fun, local, "Errorf") || len(call.Args) < 2 {
				return true
			}
			format, ok := call.Args[0].(*ast.BasicLit)
			if !ok || strings.Contains(format.Value, "%w") {
				return true
			}
			for _, a := range call.Args[1:] {
				if x, ok := a.(*ast.Ident); ok && (x.Name == "err" || x.Name == "cerr") {
					t.Errorf("%s: fmt.Errorf without %%w takes %s out of the chain", f.at(n), x.Name)
				}
			}
			return true
		})
	}
}

func isSelector(e ast.Expr, pkg, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == pkg
}

// TestNoRapidFailures: what a property test leaves when it fails is for the next
// run of the one who looks for the cause. Once that is found it becomes a test
// that can be read, and the file goes: it says nothing when the test changes.
func TestNoRapidFailures(t *testing.T) {
	err := fs.WalkDir(os.DirFS(root()), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".git":
			return fs.SkipDir
		case strayFailure(name):
			t.Errorf("%s: a failure of a property test: make it a test of its own, and remove the file", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"disk/testdata/rapid/TestX/TestX-2026.fail": true, "testdata/rapid/TestX.fail": true,
		"disk/testdata/fuzz/FuzzX/0.fail": false, "rapid/x.fail": false, "disk/testdata/rapid/TestX": false,
	} {
		if strayFailure(name) != want {
			t.Errorf("%s counts as a stray failure: %v", name, !want)
		}
	}
}

func strayFailure(name string) bool {
	return path.Ext(name) == ".fail" && strings.Contains("/"+name, "/testdata/rapid/")
}
