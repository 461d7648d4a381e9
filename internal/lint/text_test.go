package lint

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// forbidden is what no text of the repository names: it would be true on one
// machine, or for one time, only. The brackets keep the patterns from finding
// themselves.
var forbidden = []struct {
	what    string
	pattern *regexp.Regexp
}{
	{"a path of one machine", regexp.MustCompile(`(?:^|[^\w.])/(?:wor[k]|roo[t]|tm[p]|hom[e]/\w+|User[s]/\w+)(?:/|\b)`)},
	{"a path of one machine", regexp.MustCompile(`(?i)\b[a-z]:\\user[s]\\`)},
	{"a package registry", regexp.MustCompile(`(?i)proxy\.golan[g]|sum\.golan[g]|goprox[y]\.|registry\.npm[j]s|pypi\.or[g]|deb\.debia[n]|crates\.i[o]`)},
	{"an issue tracker", regexp.MustCompile(`(?i)/issue[s]/\d|\bissue #?\d+\b|\bGH-\d+`)},
	{"a line number of a file, which drifts", regexp.MustCompile(`\b[\w/]+\.go:\d+`)},
}

// TestText keeps the text of the repository about the project alone.
func TestText(t *testing.T) {
	walk(t, func(name string) {
		if path.Ext(name) == ".sum" {
			return
		}
		b := read(t, name)
		if bytes.IndexByte(b[:min(len(b), 8000)], 0) >= 0 {
			return // not text
		}
		for i, line := range strings.Split(string(b), "\n") {
			for _, f := range forbidden {
				if found := f.pattern.FindString(line); found != "" {
					t.Errorf("%s:%d names %s: %q", name, i+1, f.what, found)
				}
			}
		}
	})
}

var (
	mdLink   = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)|(?:src|href)="([^"#]+)"`)
	mdQuoted = regexp.MustCompile("`([\\w.-]+(?:/[\\w.-]+)+)`")
)

// TestDocumentsNameWhatIsThere: links lead to files that exist, and a quoted
// path whose first part is a directory here exists.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	exists := func(name string) bool {
		_, err := os.Stat(filepath.Join(root(), filepath.FromSlash(name)))
		return err == nil
	}
	walk(t, func(name string) {
		if path.Ext(name) != ".md" {
			return
		}
		text := string(read(t, name))
		for _, m := range mdLink.FindAllStringSubmatch(text, -1) {
			to := m[1] + m[2]
			if !strings.Contains(to, ":") && !exists(path.Join(path.Dir(name), to)) {
				t.Errorf("%s: the link to %s leads nowhere", name, to)
			}
		}
		for _, m := range mdQuoted.FindAllStringSubmatch(text, -1) {
			first, _, _ := strings.Cut(m[1], "/")
			if first != ".." && exists(first) && !exists(m[1]) {
				t.Errorf("%s names %s, which is not there", name, m[1])
			}
		}
	})
}
