package main

// This file is what the tests of all commands share: the program run in this
// process, and as a process of its own where it must be one.

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// asWalnut makes the test binary the command itself, for tests that need a
// process: torture starts and kills its own executable.
const asWalnut = "WALNUT_TEST_RUN_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asWalnut) != "" && len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test.") {
		if os.Getenv("WALNUT_TEST_CHILD_FAILS") != "" {
			fmt.Fprintln(os.Stderr, "as the test asked")
			os.Exit(exitError)
		}
		main()
		return
	}
	goleak.VerifyTestMain(m) // no goroutine is left when all tests have ended
}

// outcome is what a run of the program did.
type outcome struct {
	out, err string
	status   int
}

// walnut runs the program in this process.
func walnut(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	var out, errOut bytes.Buffer
	status := run(args, strings.NewReader(stdin), &out, &errOut)
	return outcome{out.String(), errOut.String(), status}
}

// must is walnut where nothing may go wrong.
func must(t *testing.T, args ...string) string {
	t.Helper()
	o := walnut(t, "", args...)
	if o.status != exitFine || o.err != "" {
		t.Fatalf("walnut %q: status %d, %s", args, o.status, o.err)
	}
	return o.out
}

// holdElsewhere has another process open a database, run statements, and keep
// it open until the test ends.
func holdElsewhere(t *testing.T, file, statements string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "sql", file)
	cmd.Env = append(os.Environ(), asWalnut+"=1")
	hold(t, cmd, statements)
}

// hold has a shell run statements, and keeps it running until the test ends.
func hold(t *testing.T, cmd *exec.Cmd, statements string) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the process that held the database: %v", err)
		}
	})
	const ready = "it is open"
	if _, err := io.WriteString(in, statements+" SELECT '"+ready+"';\n"); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == ready {
			return
		}
	}
	t.Fatalf("the process that was to hold the database ended: %v", lines.Err())
}

// sqlite3Command is the real thing: tests that need it are skipped where it is
// not installed, but not in CI.
func sqlite3Command(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("sqlite3")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("sqlite3 is not installed, and CI needs it")
		}
		t.Skip("sqlite3 is not installed")
	}
	return path
}

func TestExitStatus(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args   []string
		status int
		errHas string
	}{
		{[]string{"--help"}, exitFine, ""},
		{[]string{"--version"}, exitFine, ""},
		{[]string{"sql", "--help"}, exitFine, ""},
		{[]string{"nonsense"}, exitError, `unknown command "nonsense"`},
		{[]string{"sql"}, exitError, "FILE is missing"},
		{[]string{"sql", "--nonsense", "x"}, exitError, "unknown flag"},
		{[]string{"sql", "--json", "--csv", "x"}, exitError, "json"},
		{[]string{"sql", dir, "SELECT 1"}, exitError, "is a directory"},
		{[]string{"sql", dir + "/no/x.db", "SELECT 1"}, exitError, "there is no directory"},
		{[]string{"info"}, exitError, "FILE is missing"},
		{[]string{"info", dir + "/no.db"}, exitError, "no.db"},
		{[]string{"info", dir}, exitError, "directory"},
		{[]string{"info", "a", "b"}, exitError, "one FILE"},
		{[]string{"checkpoint", "--mode", "sideways", dir + "/no.db"}, exitError, "passive, full, restart, truncate"},
		{[]string{"checkpoint", dir + "/no.db"}, exitError, "no.db"},
		{[]string{"frames"}, exitError, "FILE is missing"},
		{[]string{"frames", dir + "/no.db"}, exitError, "no.db"},
		{[]string{"verify"}, exitError, "FILE is missing"},
		{[]string{"verify", dir + "/no.db"}, exitError, "no.db"},
		{[]string{"verify", dir}, exitError, "directory"},
		{[]string{"backup"}, exitError, "FILE and OUT"},
		{[]string{"backup", dir + "/no.db", dir + "/copy.db"}, exitError, "no.db"},
		{[]string{"torture"}, exitError, "one DIR"},
		{[]string{"torture", "--kills", "0", dir}, exitError, "at least 1"},
	} {
		o := walnut(t, "", c.args...)
		if o.status != c.status || !strings.Contains(o.err, c.errHas) {
			t.Errorf("walnut %q: status %d, %q; want %d, %q", c.args, o.status, o.err, c.status, c.errHas)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
