package main

// This file is "walnut doctor": what a database and its surroundings look like
// from outside, in sentences, each with what to do. Package atrest looks.

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/walnutdb/walnut/cmd/walnut/internal/atrest"
	"github.com/walnutdb/walnut/disk"
)

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
			list, err := atrest.Examine(disk.OS(), args[0], bar.set)
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

func writeAdvice(out io.Writer, list []atrest.Advice, asJSON bool) error {
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
		if a.Level == atrest.Damaged {
			return statusError(exitDamage)
		}
	}
	return nil
}
