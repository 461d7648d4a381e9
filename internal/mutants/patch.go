package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mutant is one file of the directory patches.
type mutant struct {
	// name is that of the file, without its extension.
	name string
	// promise is what the patch breaks, rules which of the list in rules.txt.
	promise string
	rules   []string
	// tries are what to run first, likely killers before others.
	tries []try
	files []filePatch
}

// try is one run of a package's tests.
type try struct {
	pkg string // as go test takes it, "./internal/wal"
	run string // a regular expression for -run, or ""
}

func (t try) String() string {
	if t.run == "" {
		return t.pkg
	}
	return t.pkg + " -run " + t.run
}

// filePatch is what a mutant changes in one file.
type filePatch struct {
	path  string // from the repository's root, with slashes
	hunks []hunk
}

// hunk replaces old, whole lines that occur once in the file, by new.
type hunk struct{ old, new string }

// loadMutants reads all patches of a directory, by name.
func loadMutants(dir string) ([]*mutant, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.patch"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var list []*mutant
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		m, err := parseMutant(strings.TrimSuffix(filepath.Base(name), ".patch"), string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
		list = append(list, m)
	}
	return list, nil
}

// parseMutant parses a head of "Key: value" lines and a unified diff.
func parseMutant(name, text string) (*mutant, error) {
	m := &mutant{name: name}
	for n, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		var err error
		switch {
		case strings.HasPrefix(line, "--- "):
		case strings.HasPrefix(line, "+++ "):
			m.files = append(m.files, filePatch{path: strings.TrimPrefix(line[len("+++ "):], "b/")})
		case len(m.files) == 0:
			err = m.head(line)
		default:
			err = m.files[len(m.files)-1].line(line)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	if m.promise == "" || len(m.rules) == 0 || len(m.files) == 0 {
		return nil, fmt.Errorf("a patch needs a promise, a rule and a diff")
	}
	return m, nil
}

// head takes a line of the head.
func (m *mutant) head(line string) error {
	if strings.TrimSpace(line) == "" {
		return nil
	}
	key, value, _ := strings.Cut(line, ": ")
	switch key {
	case "Promise":
		m.promise = value
	case "Rule":
		m.rules = append(m.rules, value)
	case "Try":
		pkg, run, _ := strings.Cut(value, " -run ")
		m.tries = append(m.tries, try{pkg, run})
	default:
		return fmt.Errorf("%q is no part of a head (Promise, Rule, Try)", key)
	}
	return nil
}

// line takes a line of the diff. The numbers behind "@@" are for people and
// other programs: a hunk is found by its text.
func (f *filePatch) line(line string) error {
	if strings.HasPrefix(line, "@@") {
		f.hunks = append(f.hunks, hunk{})
		return nil
	}
	if len(f.hunks) == 0 {
		return fmt.Errorf("%q stands before the first @@", line)
	}
	h := &f.hunks[len(f.hunks)-1]
	mark, text := " ", ""
	if line != "" {
		mark, text = line[:1], line[1:]
	}
	switch mark {
	case " ":
		h.old += text + "\n"
		h.new += text + "\n"
	case "-":
		h.old += text + "\n"
	case "+":
		h.new += text + "\n"
	default:
		return fmt.Errorf("%q is no line of a diff", line)
	}
	return nil
}

// apply returns src as the patch makes it.
func (f *filePatch) apply(src []byte) ([]byte, error) {
	src = append([]byte("\n"), src...)
	for i, h := range f.hunks {
		old := []byte("\n" + h.old)
		if h.old == "" || h.old == h.new {
			return nil, fmt.Errorf("%s: hunk %d changes nothing", f.path, i+1)
		}
		at := bytes.Index(src, old)
		if at < 0 || bytes.LastIndex(src, old) != at {
			return nil, fmt.Errorf("%s: the old text of hunk %d must be there once: write the patch anew", f.path, i+1)
		}
		src = bytes.Replace(src, old, []byte("\n"+h.new), 1)
	}
	return src[1:], nil
}

// mutate returns the changed files by their paths.
func (m *mutant) mutate(root string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, f := range m.files {
		src, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(f.path)))
		if err != nil {
			return nil, err
		}
		if out[f.path], err = f.apply(src); err != nil {
			return nil, err
		}
	}
	return out, nil
}
