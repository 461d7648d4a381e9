package main

// This file is the command line as a whole: the root command, what an error
// looks like, and which exit status it becomes.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"syscall"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	exitFine   = 0
	exitError  = 1
	exitDamage = 2
)

// statusError ends the program with a status. Whoever returns it has said why
// already, so nothing more is printed.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// run is the program without its process: the tests call it.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	// Go ends a process that writes to a closed standard output. Here the
	// write fails instead, so that the database is closed in order.
	ignoreBrokenPipe()
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(context.Background())
	var status statusError
	switch {
	case err == nil:
		return exitFine
	case errors.As(err, &status):
		return int(status)
	case isBrokenPipe(err):
		return exitError // whoever read our output has seen enough
	}
	fmt.Fprintf(errOut, "walnut: %v\n", err)
	return exitError
}

func isBrokenPipe(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "walnut",
		Short: "SQLite databases on Walnut's transaction engine",
		Long: `walnut opens SQLite databases on Walnut's own write-ahead log and pager.
The files stay SQLite's: sqlite3 opens what walnut wrote, and the reverse.

Exit status: 0 fine, 1 error, 2 damage found.`,
		Example: `  walnut sql app.db "CREATE TABLE IF NOT EXISTS visits(at TEXT)"
  walnut sql --json app.db "SELECT * FROM visits"
  walnut info app.db`,
		Version:           version(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetVersionTemplate("walnut {{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w (see %s --help)", err, c.CommandPath())
	})
	root.AddCommand(newSQL(), newInfo(), newFrames(), newTop(), newDoctor(), newVerify(), newCheckpoint(), newBackup(), newBench(), newDemo(), newTorture(), newTortureChild())
	for _, c := range root.Commands() {
		c.DisableFlagsInUseLine = true // the lines name them already
	}
	return root
}

// needFile makes FILE the first argument, with a message that says so.
func needFile(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%s: FILE is missing (usage: %s)", c.CommandPath(), c.UseLine())
	}
	return nil
}

// needOneFile is needFile for commands that take nothing else.
func needOneFile(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("%s: one FILE, not %d (usage: %s)", c.CommandPath(), len(args), c.UseLine())
	}
	return needFile(c, args)
}

// version is what the build says of itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	v, changed := info.Main.Version, ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && (v == "" || v == "(devel)"):
			v = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = " (changed)"
		}
	}
	if v == "" {
		v = "(devel)"
	}
	return v + changed + " " + info.GoVersion
}

// isTerminal reports whether a stream is a terminal: then people read it.
func isTerminal(stream any) bool {
	f, ok := stream.(interface{ Fd() uintptr })
	return ok && (isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd()))
}
