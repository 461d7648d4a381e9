// Command mutants tests the tests: each file of the directory patches is a
// small change that breaks one promise of the design, a mistake that somebody
// could have made. The command makes them one at a time, in an overlay (the
// tree is not touched), and runs the quick suite until a test fails. A mutant
// that no test finds is a promise that no test keeps. Before the first one the
// suite must pass on the tree as it is: the command refuses to go on if not.
//
//	go run ./internal/mutants [-run regexp] [-jobs n] [-first] [-md file]
//
// A patch is a unified diff with a head:
//
//	Promise: what it breaks, in a sentence
//	Rule: the id of a rule in rules.txt; more than one such line is allowed
//	Try: ./internal/wal -run TestSchedules; optional, what to run first
//
// Its hunks are found by their text, which must occur once in the file, not by
// their line numbers. After the tries comes the package that is changed, then
// everything that depends on it.
//
//	baseline.go  sees that the tests pass without a mutant
//	patch.go     parses and applies
//	rules.go     the list of rules
//	run.go       runs the tests and finds out which one failed
//	table.go     the results
//
// The tests of this package see that every patch applies and compiles, and that
// every rule has one.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := command(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// command reports whether every mutant was killed.
func command(ctx context.Context) (bool, error) {
	run := flag.String("run", "", "only mutants whose name matches this regular expression")
	jobs := flag.Int("jobs", 1, "mutants at a time")
	first := flag.Bool("first", false, "run no more than the tries of each mutant")
	md := flag.String("md", "", "write the table as Markdown to this file too")
	timeout := flag.Duration("timeout", 3*time.Minute, "of one package's tests, at most: a mutant that takes much longer than the tree as it is has hung")
	flag.Parse()
	pattern, err := regexp.Compile(*run)
	if err != nil {
		return false, err
	}
	root, err := moduleRoot()
	if err != nil {
		return false, err
	}
	dir := filepath.Join(root, "internal", "mutants")
	all, err := loadMutants(filepath.Join(dir, "patches"))
	if err != nil {
		return false, err
	}
	rules, err := loadRules(filepath.Join(dir, "rules.txt"))
	if err != nil {
		return false, err
	}
	r, err := newRunner(ctx, root)
	if err != nil {
		return false, err
	}
	r.first, r.timeout = *first, *timeout
	var list []*mutant
	for _, m := range all {
		if pattern.MatchString(m.name) {
			list = append(list, m)
		}
	}
	if len(list) == 0 {
		return false, fmt.Errorf("no mutant's name matches %q", *run)
	}
	if err := r.baseline(ctx, list, func(t try) {
		fmt.Fprintf(os.Stderr, "%s without a mutant: %s\n", time.Now().Format("15:04:05"), t)
	}); err != nil {
		return false, err
	}
	results := r.runAll(ctx, list, *jobs)
	t := table{results: results, rules: rules, all: *run == ""}
	t.print(os.Stdout)
	if *md != "" {
		if err := os.WriteFile(*md, []byte(t.markdown()), 0o644); err != nil {
			return false, err
		}
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return t.bad() == 0, nil
}

// runAll runs the mutants, so many at a time, and tells how far it is. The
// results are in the order of the list.
func (r *runner) runAll(ctx context.Context, list []*mutant, jobs int) []result {
	results := make([]result, len(list))
	next := make(chan int)
	var mu sync.Mutex
	done := 0
	say := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%s [%d/%d] %s\n", time.Now().Format("15:04:05"), done, len(list), fmt.Sprintf(format, args...))
	}
	var workers sync.WaitGroup
	for range max(1, jobs) {
		workers.Go(func() {
			for i := range next {
				res := r.run(ctx, list[i], func(t try) {
					mu.Lock()
					defer mu.Unlock()
					say("%s: %s", list[i].name, t)
				})
				mu.Lock()
				results[i] = res
				done++
				say("%s: %s (%.0f s)", res.m.name, res.outcome(), res.seconds)
				mu.Unlock()
			}
		})
	}
	for i := range list {
		next <- i
	}
	close(next)
	workers.Wait()
	return results
}

// moduleRoot is the directory above the working directory that has go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module "+module+"\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("the working directory is not in module %s", module)
		}
		dir = filepath.Dir(dir)
	}
}
