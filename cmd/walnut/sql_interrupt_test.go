//go:build unix

package main

// Tests of Ctrl-C, on a process of its own.

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestInterrupt: a statement that never ends is ended, the database is closed,
// and what was committed before is there.
func TestInterrupt(t *testing.T) {
	for name, script := range map[string]string{
		"running": "WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM c) SELECT max(x) FROM c;",
		"waiting": "",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "i.db")
			cmd := exec.Command(os.Args[0], "sql", file)
			cmd.Env = append(os.Environ(), asWalnut+"=1")
			var errOut bytes.Buffer
			cmd.Stderr = &errOut
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
			fmt.Fprintf(in, "CREATE TABLE t(a); SELECT 'ready'; %s", script)
			ready := make([]byte, 6)
			if _, err := out.Read(ready); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			err = cmd.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != exitError {
				t.Errorf("%v, %s", err, errOut.String())
			}
			if script != "" && !strings.Contains(errOut.String(), "interrupted") {
				t.Errorf("standard error: %q", errOut.String())
			}
			if got := must(t, "sql", file, "SELECT name FROM sqlite_schema"); got != "t\n" {
				t.Errorf("tables: %q", got)
			}
			if _, err := os.Stat(file + "-wal"); err == nil {
				t.Error("the log is still there: the database was not closed")
			}
		})
	}
}
