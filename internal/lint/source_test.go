package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// goFile is one parsed Go file.
type goFile struct {
	path  string // from the repository's root, with slashes
	ast   *ast.File
	fset  *token.FileSet
	lines int
}

func (f *goFile) dir() string  { return path.Dir(f.path) }
func (f *goFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// below reports whether the file is in one of the directories, or below.
func (f *goFile) below(dirs ...string) bool {
	for _, d := range dirs {
		if strings.HasPrefix(f.path, d+"/") {
			return true
		}
	}
	return false
}

// at names the place of a node.
func (f *goFile) at(n ast.Node) string {
	return f.path + ":" + strconv.Itoa(f.fset.Position(n.Pos()).Line)
}

// importName is the name under which the file has imported a package; "" if it
// has not.
func (f *goFile) importName(pkg string) string {
	for _, s := range f.ast.Imports {
		if s.Path.Value != strconv.Quote(pkg) {
			continue
		}
		if s.Name != nil {
			return s.Name.Name
		}
		return path.Base(pkg)
	}
	return ""
}

// uses calls fn with every use of a name of package pkg.
func (f *goFile) uses(pkg string, fn func(n ast.Node, name string)) {
	local := f.importName(pkg)
	if local == "" {
		return
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && x.Name == local && x.Obj == nil {
			fn(n, s.Sel.Name)
		}
		return true
	})
}

// argumentsOf lists the calls of a function of a package, with all that is in their
// arguments.
func (f *goFile) argumentsOf(pkg, function string) (list []ast.Node) {
	local := f.importName(pkg)
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok && local != "" {
			if s, ok := c.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == function {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == local {
					list = append(list, c)
				}
			}
		}
		return true
	})
	return list
}

// root is the repository's root directory.
var root = sync.OnceValue(func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			panic("lint: no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
})

// skipped are directories that hold nothing of the repository's own text.
var skipped = map[string]bool{".git": true, "dist": true, "bench/out": true, "testdata": true}

// walk calls fn with every file of the repository.
func walk(t *testing.T, fn func(name string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(root()), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (skipped[name] || skipped[path.Base(name)]):
			return fs.SkipDir
		case d.Type().IsRegular() && name != ".git": // a file in a second work tree
			fn(name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(), filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// goFiles parses all Go files of the repository, those of bench included.
func goFiles(t *testing.T) []*goFile {
	t.Helper()
	fset := token.NewFileSet()
	var list []*goFile
	walk(t, func(name string) {
		if path.Ext(name) != ".go" {
			return
		}
		src := read(t, name)
		f, err := parser.ParseFile(fset, name, src, parser.ParseComments)
		if err != nil {
			t.Error(err)
			return
		}
		list = append(list, &goFile{path: name, ast: f, fset: fset, lines: strings.Count(string(src), "\n")})
	})
	if len(list) == 0 {
		t.Fatal("no Go files were found")
	}
	return list
}
