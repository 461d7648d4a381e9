package atrest

// This file examines a database for "walnut doctor"; doctor_looks.go has what it
// looks at.

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/walformat"
)

// How serious a piece of advice is.
const (
	Fine    = "ok"
	Note    = "note"
	Warning = "warning"
	Problem = "problem"
	Damaged = "damage"
)

// Advice is one thing that was found, and what to do.
type Advice struct {
	Level string `json:"level"`
	Topic string `json:"topic"`
	Text  string `json:"text"`
	Todo  string `json:"todo,omitempty"`
}

// patient is what the doctor looks at.
type patient struct {
	fsys        disk.FS
	given, name string
	p           *Pair
	info        *Report
	live        map[walformat.PageNo]walformat.FrameNo
	changed     bool // each time it was read
	inUse       bool // a process has a lock on the database
	list        []Advice
}

func (x *patient) say(level, topic, text, todo string) {
	x.list = append(x.list, Advice{level, topic, text, todo})
}

// Examine looks at a file from all sides. What a file system of package disk does
// not tell (rights, links, locks, where it lies) the system is asked for by name.
func Examine(fsys disk.FS, file string, progress func(done, total int64)) ([]Advice, error) {
	name, err := fsys.Resolve(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	live := map[walformat.PageNo]walformat.FrameNo{}
	p, changed, err := ReadPair(fsys, file, live, progress)
	if errors.Is(err, fs.ErrNotExist) {
		if _, logErr := fsys.Stat(name + "-wal"); logErr == nil {
			return orphanAdvice(filepath.Base(name)), nil
		}
	}
	if err != nil {
		return nil, err
	}
	x := &patient{fsys: fsys, given: file, name: name, p: p, info: p.Report(), live: live, changed: changed}
	if changed {
		x.info.Damage = nil // what is read in pieces proves nothing
		x.say(Note, "use", "The files changed each time they were read: somebody is writing. What follows may not fit together.", "")
	}
	for _, look := range []func(*patient) error{(*patient).damage, (*patient).mode, (*patient).locks, (*patient).log, (*patient).pages,
		(*patient).names, (*patient).leftovers, (*patient).rights, (*patient).fileSystem} {
		if err := look(x); err != nil {
			return nil, err
		}
	}
	x.say(Note, "sync level", "The files do not tell at which level commits are synced: FULL is Walnut's default, and on disk when a commit returns.",
		"look at PRAGMA synchronous, _pragma=synchronous(…) in the data source name, or Options.Sync in the program")
	return x.list, nil
}

// orphanAdvice is all there is to say of a log without its database. It is
// damage: Walnut refuses to make a new database beside it.
func orphanAdvice(base string) []Advice {
	return []Advice{{Damaged, "database file", "There is a log, and no database file: what the log holds belongs to a database that is not here.",
		"put the database file back that belongs to " + base + "-wal, or move the log away, which gives up what it holds; `walnut frames " + shellWord(base) + "` lists that"}}
}
