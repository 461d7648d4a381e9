//go:build linux

package proctest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/walnutdb/walnut"
)

// commitForever commits until the files are moved under it.
func commitForever(dir string) error {
	d, err := openIn(dir, 1)
	if err != nil {
		return err
	}
	for err == nil {
		if err = d.commit(); err == nil {
			fmt.Println("ack", d.n)
		}
	}
	// The one that grows the log finds out before it is accepted.
	if !errors.Is(err, walnut.ErrMoved) || !errors.Is(err, walnut.ErrCommitUnknown) && !errors.Is(err, walnut.ErrLogFailed) {
		return fmt.Errorf("commit: %w", err)
	}
	if err := d.commit(); !errors.Is(err, walnut.ErrMoved) || !errors.Is(err, walnut.ErrLogFailed) {
		return fmt.Errorf("a commit after it: %w", err)
	}
	return errors.Join(d.verify(), d.Close())
}

// TestMovedByAnotherProcess: a process that commits meets this one, which moves
// its files. It ends with the documented errors, leaves what lies there, and
// every acknowledged commit is there when the files are put back.
func TestMovedByAnotherProcess(t *testing.T) {
	precious := []byte("somebody else's file, not to be touched")
	for name, files := range map[string][]string{
		"database": {"app.db"}, "log": {"app.db-wal"}, "both": {"app.db", "app.db-wal"},
	} {
		for _, replace := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " replaced ", replace), func(t *testing.T) {
				dir := t.TempDir()
				away := filepath.Join(dir, "away")
				if err := os.Mkdir(away, 0o700); err != nil {
					t.Fatal(err)
				}
				c := child("commit", dir)
				var stderr bytes.Buffer
				c.Stderr = &stderr
				out, err := c.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				acked := uint32(0)
				for lines := bufio.NewScanner(out); lines.Scan(); {
					if _, err := fmt.Sscan(lines.Text()[len("ack "):], &acked); err != nil {
						t.Fatal(err)
					}
					if acked == 5 {
						for _, f := range files {
							if err := os.Rename(filepath.Join(dir, f), filepath.Join(away, f)); err != nil {
								t.Error(err)
							}
							if replace {
								if err := os.WriteFile(filepath.Join(dir, f), precious, 0o600); err != nil {
									t.Error(err)
								}
							}
						}
					}
				}
				if err := c.Wait(); err != nil {
					t.Fatalf("%v\n%s", err, stderr.String())
				}
				for _, f := range files {
					b, err := os.ReadFile(filepath.Join(dir, f))
					if replace && !bytes.Equal(b, precious) || !replace && !errors.Is(err, os.ErrNotExist) {
						t.Errorf("%s: %d bytes, %v", f, len(b), err)
					}
					if err := os.Rename(filepath.Join(away, f), filepath.Join(dir, f)); err != nil {
						t.Fatal(err)
					}
				}
				d, err := openIn(dir, 1)
				if err != nil {
					t.Fatal(err)
				}
				if acked < 5 || d.n < acked || d.n > acked+1 {
					t.Errorf("%d commits, %d acknowledged", d.n, acked)
				}
				if err := errors.Join(d.commit(), d.Close()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
