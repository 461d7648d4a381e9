// Command fuzz runs the fuzz targets of this module, one after the other.
//
//	go run ./internal/fuzz                        all, for 90 s together
//	go run ./internal/fuzz -for 1h                all, for an hour together
//	go run ./internal/fuzz -for 5m FuzzDamaged    one, or some
//
// An input that fails is kept in testdata/fuzz of the target's package, and is
// from then on run by go test; the output names the line that runs it alone.
// Interesting inputs are kept in the go command's cache, as go test -fuzz keeps
// them, and are where the next run begins.
//
// It builds by itself, because go test -fuzz instruments all that a test is linked
// with. For those with SQLite in it that takes minutes and finds ways through
// SQLite; here only the packages of this module are instrumented. And it spends
// ten runs at most on making an interesting input shorter, not a minute.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

const (
	module = "github.com/walnutdb/walnut"
	// instrument has the compiler count, as go test -fuzz does, which ways are taken.
	instrument = "-gcflags=" + module + "/...=-d=libfuzzer"
	minimize   = "10x"
)

func main() {
	total := flag.Duration("for", 90*time.Second, "time for all targets together, builds aside")
	workers := flag.Int("parallel", 0, "processes that fuzz at once; 0 is one for each CPU")
	flag.Parse()
	if err := run(*total, *workers, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// target is a function that fuzzes.
type target struct {
	pkg, dir, name string
}

func run(total time.Duration, workers int, names []string) error {
	targets, err := find(names)
	if err != nil {
		return err
	}
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	tmp, err := os.MkdirTemp("", "fuzz")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	each := max(total/time.Duration(len(targets)), time.Second).Round(time.Second)
	binary, built := "", time.Duration(0)
	for i, t := range targets {
		if i == 0 || t.pkg != targets[i-1].pkg {
			binary = filepath.Join(tmp, fmt.Sprintf("%d.test", i))
			begin := time.Now()
			if err := build(t.pkg, binary); err != nil {
				return err
			}
			built += time.Since(begin)
		}
		fmt.Printf("=== %s in %s, for %v\n", t.name, t.pkg, each)
		flags := []string{"-test.run=^$", "-test.fuzz=^" + t.name + "$", "-test.fuzztime=" + each.String(), "-test.fuzzminimizetime=" + minimize,
			"-test.fuzzcachedir=" + filepath.Join(strings.TrimSpace(string(cache)), "fuzz", t.pkg)}
		if workers > 0 {
			flags = append(flags, fmt.Sprintf("-test.parallel=%d", workers))
		}
		if err := fuzz(t, binary, flags); err != nil {
			return err
		}
	}
	fmt.Printf("%d targets, nothing found; the builds took %v\n", len(targets), built.Round(time.Second))
	return nil
}

func build(pkg, binary string) error {
	args := []string{"test", "-c", "-o", binary}
	if runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64" { // elsewhere inputs are random
		args = append(args, instrument)
	}
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building the tests of %s: %w", pkg, err)
	}
	return nil
}

// progress is what the lines that say how far it is have in common.
var progress = regexp.MustCompile(`^fuzz: elapsed: .*execs: `)

// fuzz runs a target. Of the lines that say how far it is one in ten is shown, and
// the last.
func fuzz(t target, binary string, flags []string) error {
	cmd := exec.Command(binary, flags...)
	cmd.Dir = t.dir // testdata is there
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	show(os.Stdout, out)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s in %s: %w; its input is run by: go test -run %s %s", t.name, t.pkg, err, t.name, t.pkg)
	}
	return nil
}

func show(w io.Writer, r io.Reader) {
	n, last := 0, ""
	for s := bufio.NewScanner(r); s.Scan(); {
		line := s.Text()
		if !progress.MatchString(line) {
			if last != "" {
				fmt.Fprintln(w, last)
			}
			last = ""
			fmt.Fprintln(w, line)
			continue
		}
		if n++; n%10 == 0 {
			fmt.Fprintln(w, line)
			line = ""
		}
		last = line
	}
}

var declared = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)

// find returns the targets of those names, or all, by package.
func find(names []string) ([]target, error) {
	out, err := exec.Command("go", "list", "-f", `{{$p := .}}{{range .TestGoFiles}}{{$p.ImportPath}}	{{$p.Dir}}	{{.}}
{{end}}{{range .XTestGoFiles}}{{$p.ImportPath}}	{{$p.Dir}}	{{.}}
{{end}}`, module+"/...").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var targets []target
	missing := slices.Clone(names)
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 3 {
			continue
		}
		source, err := os.ReadFile(filepath.Join(f[1], f[2]))
		if err != nil {
			return nil, err
		}
		for _, m := range declared.FindAllSubmatch(source, -1) {
			name := string(m[1])
			if len(names) > 0 && !slices.Contains(names, name) {
				continue
			}
			missing = slices.DeleteFunc(missing, func(s string) bool { return s == name })
			targets = append(targets, target{f[0], f[1], name})
		}
	}
	if len(missing) > 0 || len(targets) == 0 {
		return nil, fmt.Errorf("no targets of these names: %s", strings.Join(missing, ", "))
	}
	return targets, nil
}
