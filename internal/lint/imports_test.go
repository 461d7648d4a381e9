package lint

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/walnutdb/walnut"

// mayImport says, for each package, which others of this module and which
// foreign modules its code (not its tests) may import: the layers of
// docs/architecture.md, from the top down. A package that is not here may import
// the standard library only.
var mayImport = map[string][]string{
	"cmd/walnut":                  {".", "cmd/walnut/internal/atrest", "cmd/walnut/internal/demo", "cmd/walnut/internal/figures", "cmd/walnut/internal/frozen", "cmd/walnut/internal/sqlsplit", "cmd/walnut/internal/torture", "disk", "internal/sqlitevfs", "internal/wal", "internal/walformat", "walnutweb", sqliteModule, "charm.land/bubbletea/v2", "charm.land/lipgloss/v2", "github.com/spf13/cobra", "github.com/mattn/go-isatty", "github.com/olekukonko/tablewriter", "github.com/schollz/progressbar/v3", "golang.org/x/term"},
	"cmd/walnut/internal/atrest":  {"cmd/walnut/internal/figures", "disk", "internal/wal", "internal/walformat"},
	"cmd/walnut/internal/demo":    {".", "driver", "walnutweb"},
	"cmd/walnut/internal/frozen":  {"disk"},
	"cmd/walnut/internal/torture": {".", "driver", sqliteModule},
	"walnutweb":                   {"."},
	"walnutprom":                  {".", "github.com/prometheus/client_golang"},
	"driver":                      {"internal/sqlitevfs", sqliteModule},
	"internal/sqlitevfs":          {"disk", "internal/coord", "internal/invariants", "internal/pager", "internal/wal", "internal/walformat", sqliteModule},
	".":                           {"disk", "internal/coord", "internal/pager", "internal/wal", "internal/walformat"},
	"internal/pager":              {"disk", "internal/coord", "internal/invariants", "internal/wal", "internal/walformat"},
	"internal/wal":                {"disk", "internal/coord", "internal/invariants", "internal/walformat"},
	"internal/coord":              {"disk", "internal/invariants", "internal/walformat"},
	"internal/walformat":          {"golang.org/x/sys"},
	"internal/coord/coordtest":    {"internal/coord", "internal/schedule", "internal/walformat"},
	"disk":                        {"disk/internal/paged", "disk/internal/rangelock", "golang.org/x/sys"},
	"disk/faultdisk":              {"disk", "disk/internal/paged", "disk/internal/rangelock"},
	"disk/disktest":               {"disk"},
}

const sqliteModule = "github.com/ncruces/go-sqlite3"

// TestImportsPointDown holds the packages to their layers.
func TestImportsPointDown(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range goFiles(t) {
		if f.isTest() || f.below("bench") {
			continue
		}
		seen[f.dir()] = true
		for _, s := range f.ast.Imports {
			name, err := strconv.Unquote(s.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !importAllowed(name, mayImport[f.dir()]) {
				t.Errorf("%s: %s may not import %s (see the table mayImport)", f.at(s), f.dir(), name)
			}
		}
	}
	for dir := range mayImport {
		if !seen[dir] {
			t.Errorf("the table mayImport has %s, which is not there", dir)
		}
	}
}

// importAllowed reports whether an import is in the list, or of the standard
// library.
func importAllowed(name string, allowed []string) bool {
	if name == "C" {
		return false // no cgo in this module
	}
	if name == module {
		return slices.Contains(allowed, ".")
	}
	if rest, ok := strings.CutPrefix(name, module+"/"); ok {
		return slices.Contains(allowed, rest)
	}
	if host, _, _ := strings.Cut(name, "/"); !strings.Contains(host, ".") {
		return true
	}
	for p := name; p != "."; p = path.Dir(p) {
		if slices.Contains(allowed, p) {
			return true
		}
	}
	return false
}

// TestModuleFiles keeps cgo, peers and the Prometheus client out of the main module.
func TestModuleFiles(t *testing.T) {
	mod := string(read(t, "go.mod"))
	for _, peer := range []string{"mattn/go-sqlite3", "modernc.org/sqlite", "prometheus/client_golang", "replace "} {
		if strings.Contains(mod, peer) {
			t.Errorf("go.mod names %q: peers and replacements belong in bench, the Prometheus client in walnutprom", peer)
		}
	}
}
