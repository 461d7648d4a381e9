// Images given to C SQLite, the sqlite3 command.

package crashtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk/faultdisk"
)

// sqlite3Path is the command's, "" without it.
var sqlite3Path = sync.OnceValue(func() string {
	p, err := exec.LookPath("sqlite3")
	if err != nil {
		return ""
	}
	return p
})

// shellCopy is a copy of a disk's files in a directory of the host.
type shellCopy struct {
	path string
	// empty: there is no database file, or nothing in it.
	empty bool
}

// copyFiles copies what is on the disk. Without sqlite3 it returns nil, except
// in CI, where that is a failure.
func copyFiles(t *testing.T, d *faultdisk.Disk) *shellCopy {
	if sqlite3Path() == "" {
		if os.Getenv("CI") != "" {
			t.Error("sqlite3 is not installed, and CI is set")
		}
		return nil
	}
	dir := t.TempDir()
	c := &shellCopy{path: filepath.Join(dir, filepath.Base(dbPath)), empty: true}
	for _, name := range d.Files() {
		data, err := d.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(name)), data, 0o600)
		}
		if err != nil {
			t.Error(err)
			return nil
		}
		if name == dbPath && len(data) > 0 {
			c.empty = false
		}
	}
	return c
}

// run executes SQL with the command.
func (c *shellCopy) run(sql string) (string, error) {
	out, err := exec.Command(sqlite3Path(), "-batch", "-bail", c.path, sql).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("sqlite3 %q: %w: %s", sql, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// checkPages has SQLite copy the log into the database file, and compares that
// with the model.
func (c *shellCopy) checkPages(st *state, pageSize int) error {
	if c.empty {
		if st.size > 0 {
			return fmt.Errorf("there is no database file")
		}
		return nil
	}
	count, err := c.run("PRAGMA page_count")
	if err != nil {
		return err
	}
	if want := fmt.Sprint(max(st.size, 1)); count != want {
		return fmt.Errorf("sqlite3 counts %s pages, the model has %s", count, want)
	}
	// Closing copies the log: the shell is the last connection.
	data, err := os.ReadFile(c.path)
	if err != nil {
		return err
	}
	for n := uint32(1); n <= st.size; n++ {
		end := int(n) * pageSize
		if end > len(data) {
			return fmt.Errorf("sqlite3 left %d bytes, page %d ends at %d", len(data), n, end)
		}
		if !filled(data[end-pageSize:end], walnut.PageNo(n), st.tags[n-1]) {
			return fmt.Errorf("sqlite3 sees another content in page %d", n)
		}
	}
	return nil
}

// siblingOf is the second database's path beside the first one's.
func siblingOf(path string) string { return filepath.Join(filepath.Dir(path), "b.db") }
