package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// module is this one's path.
const module = "github.com/walnutdb/walnut"

// result is how one mutant ended.
type result struct {
	m *mutant
	// killer is the test that failed, "" if all passed; by says how, if it is
	// no failed assertion.
	killer, by string
	seconds    float64
	// err: it could not be run.
	err error
}

// runner runs mutants.
type runner struct {
	root string
	// first: no more than the tries of each mutant.
	first   bool
	timeout time.Duration
	// took is how long each package's tests took without a mutant, in seconds,
	// by package and test. Written by baseline, and only read after it.
	took map[string]map[string]float64
	// suite has the packages with tests, and deps what the tests of each
	// depend on.
	suite []string
	deps  map[string][]string
}

// order puts the packages of the quick suite that find most first. Others
// follow as go list has them.
var order = []string{"./internal/wal", "./internal/coord", "./internal/pager", "./internal/walformat", ".",
	"./internal/sqlitevfs", "./driver", "./internal/history", "./internal/crashtest", "./internal/sqltest"}

// leftOut are packages whose tests look at the text of the repository.
var leftOut = []string{"./internal/lint", "./internal/mutants"}

// newRunner asks the go command for the packages.
func newRunner(ctx context.Context, root string) (*runner, error) {
	r := &runner{root: root, took: map[string]map[string]float64{}, deps: map[string][]string{}}
	cmd := exec.CommandContext(ctx, "go", "list", "-test", "-f", `{{.ImportPath}} {{join .Deps " "}}`, "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		pkg, isTest := strings.CutSuffix(words[0], ".test")
		if !isTest {
			continue
		}
		dir := "." + strings.TrimPrefix(pkg, module)
		if slices.Contains(leftOut, dir) {
			continue
		}
		r.suite = append(r.suite, dir)
		r.deps[dir] = words[1:]
	}
	rank := func(dir string) int {
		if i := slices.Index(order, dir); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortStableFunc(r.suite, func(a, b string) int { return rank(a) - rank(b) })
	return r, nil
}

// plan lists what is run for m: its tries, the packages that it changes, and
// the rest of the quick suite. A package that is not there kills nothing.
func (r *runner) plan(m *mutant) []try {
	list := slices.DeleteFunc(slices.Clone(m.tries), func(t try) bool { return !slices.Contains(r.suite, t.pkg) })
	add := func(dir string) {
		if t := (try{pkg: dir}); !slices.Contains(list, t) && slices.Contains(r.suite, dir) {
			list = append(list, t)
		}
	}
	var changed []string
	for _, f := range m.files {
		dir := filepath.ToSlash(filepath.Dir(f.path))
		if dir != "." {
			dir = "./" + dir
		}
		changed = append(changed, module+strings.TrimPrefix(dir, "."))
		if !r.first {
			add(dir)
		}
	}
	if r.first {
		return list
	}
	for _, dir := range r.suite {
		if slices.ContainsFunc(changed, func(pkg string) bool { return slices.Contains(r.deps[dir], pkg) }) {
			add(dir)
		}
	}
	return list
}

// run runs the tests with m until one fails.
func (r *runner) run(ctx context.Context, m *mutant, say func(try)) (res result) {
	res.m = m
	begin := time.Now()
	defer func() { res.seconds = time.Since(begin).Seconds() }()
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return result{m: m, err: err}
	}
	defer func() { _ = os.RemoveAll(dir) }()
	overlay, err := writeOverlay(r.root, dir, m)
	if err != nil {
		return result{m: m, err: err}
	}
	for _, t := range r.plan(m) {
		say(t)
		res.killer, res.by, res.err = r.tryIt(ctx, overlay, t)
		if res.killer != "" || res.err != nil {
			return res
		}
	}
	return res
}

// tryIt runs one try with the mutant of the overlay. Was a test that ran out of
// time stopped by the mutant, or by a busy machine? The test alone will tell; if
// it passes, the whole try is made once more, with all the time there is.
func (r *runner) tryIt(ctx context.Context, overlay string, t try) (killer, by string, err error) {
	out, err := r.goTest(ctx, overlay, t, r.limit(t))
	if err != nil {
		return "", "", err
	}
	if killer, by, err = out.verdict(); by != "timeout" || err != nil {
		return killer, by, err
	}
	_, name, _ := strings.Cut(killer, ".")
	top, _, _ := strings.Cut(name, "/")
	alone := try{t.pkg, "^" + top + "$"}
	for _, again := range []struct {
		try
		limit time.Duration
	}{{alone, r.limit(alone)}, {t, r.timeout}} {
		out, err := r.goTest(ctx, overlay, again.try, again.limit)
		if err != nil {
			return "", "", err
		}
		if killer, by, err = out.verdict(); killer != "" || err != nil {
			return killer, by, err
		}
	}
	return "", "", nil
}

// limit is how long a try may take: many times what it took without a mutant,
// so that a mutant that hangs is soon seen to, but no more than r.timeout.
func (r *runner) limit(t try) time.Duration {
	first, _, _ := strings.Cut(t.run, "/")
	pattern, err := regexp.Compile(first)
	if err != nil || len(r.took[t.pkg]) == 0 {
		return r.timeout
	}
	var seconds float64
	for name, s := range r.took[t.pkg] {
		if pattern.MatchString(name) {
			seconds += s
		}
	}
	return min(r.timeout, 15*time.Second+time.Duration(10*seconds*float64(time.Second)))
}

// writeOverlay writes the changed files of m to dir, with the list of them that
// the go command takes for -overlay, and returns its name. The tree stays as it
// is.
func writeOverlay(root, dir string, m *mutant) (string, error) {
	files, err := m.mutate(root)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for path, text := range files {
		name := filepath.Join(dir, fmt.Sprintf("%d-%s", len(replace), filepath.Base(path)))
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, filepath.FromSlash(path))] = name
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, list, 0o600)
}

// output is what a run of go test has said. All tests have passed if failed is
// false.
type output struct {
	events []byte // go test -json
	errors string
	failed bool
}

// verdict names the test that failed, if any did.
func (o output) verdict() (killer, by string, err error) {
	if !o.failed {
		return "", "", nil
	}
	return verdict(o.events, o.errors)
}

// goTest runs one try, with the files of an overlay, or, if that is "", on the
// tree as it is.
func (r *runner) goTest(ctx context.Context, overlay string, t try, limit time.Duration) (output, error) {
	args := []string{"test", "-json", "-short", "-count=1", "-failfast", "-vet=off", "-timeout", limit.String()}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	if t.run != "" {
		args = append(args, "-run", t.run)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, t.pkg)...)
	cmd.Dir = r.root
	// A property that a mutant breaks must not leave its failure in the sources.
	cmd.Env = append(os.Environ(), "RAPID_NOFAILFILE=1")
	cmd.WaitDelay = 10 * time.Second
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return output{}, ctx.Err()
	case err == nil && bytes.Contains(out, []byte("no tests to run")):
		return output{}, fmt.Errorf("%s: no tests to run", t)
	case err != nil && !errors.As(err, &exit):
		return output{}, err
	}
	return output{events: out, errors: errOut.String(), failed: err != nil}, nil
}

// event is a line of go test -json.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64 // seconds
}

var runningTest = regexp.MustCompile(`^\s+(Test\S+|Fuzz\S+|Example\S+) \(`)

// verdict says which test failed, by the output of go test -json. The innermost
// one that failed first is it; if the process ended, the one that ran.
func verdict(out []byte, errOut string) (killer, by string, err error) {
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 64<<20)
	pkg, begun, running, failed := "", "", "", ""
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		if e.Package != "" {
			pkg = strings.TrimPrefix(strings.TrimPrefix(e.Package, module), "/")
		}
		switch {
		case e.Action == "build-fail":
			return "", "", fmt.Errorf("it does not build: %s %s", buildOutput(out), errOut)
		case strings.HasPrefix(e.Output, "panic: test timed out"):
			by = "timeout"
		case strings.HasPrefix(e.Output, "panic: ") && by == "":
			by = "panic"
		case strings.HasPrefix(e.Output, "WARNING: DATA RACE"):
			by = "data race"
		case by == "timeout" && running == "":
			if m := runningTest.FindStringSubmatch(e.Output); m != nil {
				running = m[1]
			}
		}
		if e.Action == "run" {
			begun = e.Test
		}
		if e.Action == "fail" && e.Test != "" && failed == "" {
			failed = e.Test
		}
	}
	if pkg == "" {
		pkg = "walnut"
	}
	switch {
	case running != "":
		failed = running
	case failed == "" && by == "" && !bytes.Contains(out, []byte(`"Action":"fail"`)):
		return "", "", fmt.Errorf("go test failed: %s", errOut)
	case failed == "" && by == "panic" && begun != "":
		failed = begun // a goroutine of it, or of one before it
	case failed == "":
		failed = "TestMain" // what it checks after all tests, or the process died
	}
	return pkg + "." + failed, by, nil
}

// buildOutput is what the compiler said.
func buildOutput(out []byte) string {
	var all strings.Builder
	for line := range bytes.Lines(out) {
		var e event
		if json.Unmarshal(line, &e) == nil && e.Action == "build-output" {
			all.WriteString(e.Output)
		}
	}
	return all.String()
}
