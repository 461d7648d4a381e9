package main

// This file is "walnut doctor": what a database and its surroundings look like
// from outside, in sentences, each with what to do.

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/walformat"
)

// How serious a piece of advice is.
const (
	isFine    = "ok"
	isNote    = "note"
	isWarning = "warning"
	isProblem = "problem"
	isDamaged = "damage"
)

// advice is one thing that was found, and what to do.
type advice struct {
	Level string `json:"level"`
	Topic string `json:"topic"`
	Text  string `json:"text"`
	Todo  string `json:"todo,omitempty"`
}

func newDoctor() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor [--json] FILE",
		Short: "Explain in sentences what a database looks like, and what to do",
		Long: `Looks at a database, its log, and where they lie, and says in sentences what it
finds: a log much larger than what is live in it, locks of other processes, the
journal mode, the file system, permissions, links, files that were left, damage,
and of a long log how much of it is in the database file too.
It takes no lock and changes nothing, and works while others use the database.

What a running process does (who reads, who waits) is not in the files: see
"walnut top URL", or the process's page.

With --json: a list of objects with level (ok, note, warning, problem, damage),
topic, text, and todo where there is something to do.

Exit status: 0 whatever is found, 1 if it cannot be looked at, 2 if there is damage.`,
		Args: needOneFile,
		RunE: func(c *cobra.Command, args []string) error {
			bar := newProgress(c.ErrOrStderr(), "reading the log")
			list, err := examineFile(args[0], bar.set)
			bar.close()
			if err != nil {
				return err
			}
			return writeAdvice(c.OutOrStdout(), list, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func writeAdvice(out io.Writer, list []advice, asJSON bool) error {
	var err error
	if asJSON {
		err = writeJSON(out, list)
	} else {
		for _, a := range list {
			if err == nil {
				_, err = fmt.Fprintf(out, "%-8s %s: %s\n", a.Level, a.Topic, harmless(a.Text))
			}
			if err == nil && a.Todo != "" {
				_, err = fmt.Fprintf(out, "         -> %s\n", harmless(a.Todo))
			}
		}
	}
	if err != nil {
		return err
	}
	for _, a := range list {
		if a.Level == isDamaged {
			return statusError(exitDamage)
		}
	}
	return nil
}

// patient is what the doctor looks at.
type patient struct {
	given, name string
	p           *pair
	info        *infoReport
	live        map[walformat.PageNo]walformat.FrameNo
	changed     bool // each time it was read
	inUse       bool // a process has a lock on the database
	list        []advice
}

func (x *patient) say(level, topic, text, todo string) {
	x.list = append(x.list, advice{level, topic, text, todo})
}

// examineFile looks at a file from all sides.
func examineFile(file string, progress func(done, total int64)) ([]advice, error) {
	name, err := disk.OS().Resolve(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	live := map[walformat.PageNo]walformat.FrameNo{}
	p, changed, err := inspectPair(file, live, progress)
	if errors.Is(err, fs.ErrNotExist) {
		if _, logErr := disk.OS().Stat(name + "-wal"); logErr == nil {
			return orphanAdvice(filepath.Base(name)), nil
		}
	}
	if err != nil {
		return nil, err
	}
	x := &patient{given: file, name: name, p: p, info: p.report(), live: live, changed: changed}
	if changed {
		x.info.Damage = nil // what is read in pieces proves nothing
		x.say(isNote, "use", "The files changed each time they were read: somebody is writing. What follows may not fit together.", "")
	}
	for _, look := range []func(*patient) error{(*patient).damage, (*patient).mode, (*patient).locks, (*patient).log, (*patient).pages,
		(*patient).names, (*patient).leftovers, (*patient).rights, (*patient).fileSystem} {
		if err := look(x); err != nil {
			return nil, err
		}
	}
	x.say(isNote, "sync level", "The files do not tell at which level commits are synced: FULL is Walnut's default, and on disk when a commit returns.",
		"look at PRAGMA synchronous, _pragma=synchronous(…) in the data source name, or Options.Sync in the program")
	return x.list, nil
}

// orphanAdvice is all there is to say of a log without its database. It is
// damage: Walnut refuses to make a new database beside it.
func orphanAdvice(base string) []advice {
	return []advice{{isDamaged, "database file", "There is a log, and no database file: what the log holds belongs to a database that is not here.",
		"put the database file back that belongs to " + base + "-wal, or move the log away, which gives up what it holds; `walnut frames " + shellWord(base) + "` lists that"}}
}
