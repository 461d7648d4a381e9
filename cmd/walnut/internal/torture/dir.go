package torture

// This file keeps the directory: nothing in it is removed that this package
// did not write, and what an earlier run found stays.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// The names in the directory.
const (
	namePrefix = "torture-"
	backupName = namePrefix + "backup.db"
	markerName = "torture.json"
)

var ownName = regexp.MustCompile(`^torture-([0-9]{3,}|copy|backup)(-pages)?\.db(-wal|-shm|-journal|-walnut-side|[.]part)?$`)

// The states that a directory is in.
const (
	stateClean   = "clean"   // may be used again
	stateRunning = "running" // in use, or its run was killed
	stateFailed  = "failed"  // holds what a run found
)

// marker is the file that tells a directory of ours.
type marker struct {
	Tool  string `json:"tool"`
	Seed  uint64 `json:"seed"`
	State string `json:"state"`
}

// claim makes dir ready: a new one, an empty one, or one that an earlier run
// left clean.
func claim(dir string, seed uint64) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		if err := clean(dir, entries); err != nil {
			return err
		}
	}
	return writeMarker(dir, seed, stateRunning)
}

// clean removes what an earlier run left in dir, if all of it is ours.
func clean(dir string, entries []fs.DirEntry) error {
	for _, e := range entries {
		if e.Name() != markerName && !ownName.MatchString(e.Name()) || !e.Type().IsRegular() {
			return fmt.Errorf("%s holds %s, which torture did not write: give it a directory of its own", dir, e.Name())
		}
	}
	var m marker
	b, err := os.ReadFile(filepath.Join(dir, markerName))
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s is not empty, and it is not told what by (%w): give torture a directory of its own", dir, err)
	case m.State == stateFailed:
		return fmt.Errorf("%s holds what the run with --seed %d found: look at it and remove it, or use another directory", dir, m.Seed)
	case m.State != stateClean:
		return fmt.Errorf("%s is in use by another torture, or one was killed there (seed %d): if it is gone, remove the directory", dir, m.Seed)
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func writeMarker(dir string, seed uint64, state string) error {
	b, err := json.Marshal(marker{Tool: "walnut torture", Seed: seed, State: state})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, markerName), append(b, '\n'), 0o666)
}

// suffixes of the files that belong to a database.
var suffixes = []string{"", "-wal", "-journal", "-shm"}

func removePair(db string) error {
	for _, s := range suffixes {
		if err := os.Remove(db + s); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// copyPair copies a database that nobody has open, with its log. What SQLite
// would rebuild (-shm) is left out.
func copyPair(from, to string) error {
	if err := removePair(to); err != nil {
		return err
	}
	for _, s := range []string{"", "-wal", "-journal"} {
		b, err := os.ReadFile(from + s)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(to+s, b, 0o666); err != nil {
			return err
		}
	}
	return nil
}
