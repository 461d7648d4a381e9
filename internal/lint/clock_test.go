package lint

import (
	"go/ast"
	"testing"
)

// TestNoWallClock: the engine measures how long something takes, which Go does
// with the monotonic clock, and never asks what time it is: a clock that is set
// forwards or back changes nothing, and no file holds a time.
func TestNoWallClock(t *testing.T) {
	// Where a moment is taken, to be compared with a later one of this process.
	moments := map[string]string{
		"internal/wal/restart.go":    "how long a restart has waited for readers",
		"internal/coord/registry.go": "the epoch of the process's moments",
		"walnutweb/status.go":        "when a status was taken, for people",
		"events.go":                  "when an event is handed over, for its receiver",
	}
	// What makes of a moment a time of the day, or loses its monotonic part.
	wall := map[string]bool{
		"Unix": true, "UnixMilli": true, "UnixMicro": true, "UnixNano": true, "Round": true, "Truncate": true,
		"UTC": true, "Local": true, "In": true, "Format": true, "AppendFormat": true, "MarshalBinary": true, "Date": true, "Clock": true,
	}
	used := map[string]bool{}
	for _, f := range goFiles(t) {
		if f.isTest() || f.below("cmd", "bench", "internal/mutants", "internal/fuzz") {
			continue
		}
		now := false
		f.uses("time", func(n ast.Node, name string) {
			switch name {
			case "Now":
				now = true
				used[f.path] = true
				if moments[f.path] == "" {
					t.Errorf("%s: time.Now: the engine does not depend on the clock", f.at(n))
				}
			case "Unix", "UnixMilli", "UnixMicro":
				t.Errorf("%s: time.%s: a time of the day", f.at(n), name)
			}
		})
		if !now {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && wall[s.Sel.Name] {
				if x, ok := s.X.(*ast.SelectorExpr); !ok || x.Sel.Name != "file" { // File.Truncate
					t.Errorf("%s: .%s makes a time of the day of a moment", f.at(n), s.Sel.Name)
				}
			}
			return true
		})
	}
	for path := range moments {
		if !used[path] {
			t.Errorf("the exception for %s is not needed any more", path)
		}
	}
}
