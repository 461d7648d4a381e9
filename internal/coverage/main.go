// Command coverage measures which statements of the core the quick suite runs:
// all tests together, whichever package they stand in. It prints a line for each
// package, and ends with 1 if one has less than the least share.
//
//	go run ./internal/coverage          the table
//	go run ./internal/coverage -missed  and what is not run, by file and lines
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/walnutdb/walnut"

// core are the packages whose statements count.
var core = []string{
	".", "disk/faultdisk", "internal/coord", "internal/pager", "internal/sqlitevfs", "internal/wal", "internal/walformat",
}

// suites have the tests.
var suites = []string{
	".", "./driver", "./disk/...", "./internal/coord/...", "./internal/pager", "./internal/sqlitevfs", "./internal/wal", "./internal/walformat",
	"./internal/crashtest", "./internal/history", "./internal/sqltest",
}

// least is the share of statements, in percent, that each package must have:
// one less than each has, since scheduling decides over a few.
const least = 94

func main() {
	missed := flag.Bool("missed", false, "print what is not run")
	flag.Parse()
	if err := run(*missed); err != nil {
		fmt.Fprintln(os.Stderr, "coverage:", err)
		os.Exit(1)
	}
}

func run(missed bool) error {
	dir, err := os.MkdirTemp("", "coverage")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	profile := filepath.Join(dir, "profile")
	var pkgs []string
	for _, p := range core {
		pkgs = append(pkgs, path.Join(module, p))
	}
	args := append([]string{"test", "-short", "-count=1", "-coverpkg=" + strings.Join(pkgs, ","), "-coverprofile", profile}, suites...)
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	if out, err := cmd.Output(); err != nil {
		return fmt.Errorf("go test: %w\n%s", err, out)
	}
	f, err := os.Open(profile)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	blocks, err := read(f)
	if err != nil {
		return err
	}
	return report(os.Stdout, pkgs, blocks, missed)
}

// block is a piece of code without branches.
type block struct {
	statements int
	run        bool
}

// read reads a profile: a line is "file:from,to statements count", and a block
// has one for each test binary.
func read(r io.Reader) (map[string]block, error) {
	blocks := map[string]block{}
	for s := bufio.NewScanner(r); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) != 3 {
			continue // the mode
		}
		n, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, fmt.Errorf("profile: %q: %w", s.Text(), err)
		}
		b := blocks[fields[0]]
		blocks[fields[0]] = block{n, b.run || fields[2] != "0"}
	}
	return blocks, nil
}

func report(w io.Writer, pkgs []string, blocks map[string]block, missed bool) error {
	all, run := map[string]int{}, map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(blocks)) {
		b := blocks[name]
		file, _, _ := strings.Cut(name, ":")
		if path.Base(file) == "invariants.go" {
			continue // of another build: its tests run with the tag invariants
		}
		all[path.Dir(file)] += b.statements
		if b.run {
			run[path.Dir(file)] += b.statements
		} else if missed {
			fmt.Fprintln(w, strings.TrimPrefix(name, module+"/"))
		}
	}
	var low []string
	for _, p := range pkgs {
		share := 100 * float64(run[p]) / float64(all[p])
		fmt.Fprintf(w, "%-45s %5d of %5d statements  %5.1f %%\n", p, run[p], all[p], share)
		if all[p] == 0 || share < least {
			low = append(low, p)
		}
	}
	if len(low) > 0 {
		return fmt.Errorf("less than %d %%: %s", least, strings.Join(low, ", "))
	}
	return nil
}
