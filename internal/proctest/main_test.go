//go:build linux

package proctest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// asChild names, in the environment, what the test binary does as a child.
const asChild = "WALNUT_PROCTEST_CHILD"

// children are what a child can be told to do, in a directory of its own.
var children = map[string]func(dir string) error{
	"log limit":      logLimit,
	"database limit": databaseLimit,
	"descriptors":    descriptors,
	"full disk":      fullDisk,
	"commit":         commitForever,
}

func TestMain(m *testing.M) {
	if name := os.Getenv(asChild); name != "" {
		if err := children[name](os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// child is the command that runs one in dir.
func child(name, dir string) *exec.Cmd {
	c := exec.Command(os.Args[0], dir)
	c.Env = append(os.Environ(), asChild+"="+name)
	return c
}

// runChild runs it to its end, and returns what it printed.
func runChild(t *testing.T, name, dir string, attr *syscall.SysProcAttr) string {
	t.Helper()
	c := child(name, dir)
	var stdout, stderr bytes.Buffer
	c.SysProcAttr, c.Stdout, c.Stderr = attr, &stdout, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// needs skips a test for which this machine lacks something, but not in CI.
func needs(t *testing.T, ok bool, what string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("CI") != "":
		t.Fatalf("this needs %s, and CI has it", what)
	default:
		t.Skipf("this needs %s", what)
	}
}
