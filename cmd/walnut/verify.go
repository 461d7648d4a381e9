package main

// This file is the command "walnut verify": everything that can be checked of a
// database and its log, without changing a byte. verify_check.go checks.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/walnutdb/walnut/cmd/walnut/internal/atrest"
)

// verifyReport is the JSON of the command: a contract, see its help.
type verifyReport struct {
	OK             bool           `json:"ok"`
	Log            *atrest.Log    `json:"log"`
	Database       verifyDatabase `json:"database"`
	IntegrityCheck []string       `json:"integrity_check"`
	Problems       []problem      `json:"problems"`

	// Only there when there is something to say.
	Changed bool `json:"changed_while_reading,omitempty"`

	whole bool // the log was read to its end, and all checks were made
}

// verifyDatabase is what a reader would see.
type verifyDatabase struct {
	Bytes       int64  `json:"bytes"`
	PageSize    int    `json:"page_size"`
	PageCount   uint32 `json:"page_count"`
	JournalMode string `json:"journal_mode"`
}

// problem is a finding for the report.
type problem struct {
	Where string `json:"where"`
	What  string `json:"what"`
	Lost  string `json:"lost"`
}

func newVerify() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify [--json] FILE",
		Short: "Check everything about a database and its log",
		Long: `Checks the header of the log and every checksum in it, the header of the
database, the sizes that they tell, and, with SQLite's integrity_check, the
database as a reader would see it. Says what is damaged and what is lost by it.

It takes no lock and changes nothing, on damaged files and while others use them
too. What is found wrong while the files change is checked again; if they never
hold still, nothing is called damage, and the status is 1.

JSON keys (--json):
  ok                true if everything was checked and nothing is wrong
  log               as in "walnut info": null if there is no log file
  database
    bytes           size of the database file
    page_size, page_count, journal_mode   as in "walnut info"
  integrity_check   its rows, ["ok"] if it is content; null if it could not run
  problems          a list of what is wrong, each with
    where           file, frame or page
    what            what is wrong there
    lost            what is lost by it
  changed_while_reading   true if somebody changed the files meanwhile; absent
                    otherwise

Exit status: 0 fine, 1 error, 2 damage found.`,
		Args: needOneFile,
		RunE: func(c *cobra.Command, args []string) error {
			return runVerify(c.Context(), args[0], asJSON, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// runVerify is the command.
func runVerify(ctx context.Context, file string, asJSON bool, out, errOut io.Writer) error {
	ctx, stop := untilInterrupt(ctx)
	defer stop()
	r, err := verifyFile(ctx, file, errOut)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if err != nil {
		return err
	}
	return r.tell(file, asJSON, out, errOut)
}

// tell prints the report, and returns the exit status that it stands for.
func (r *verifyReport) tell(file string, asJSON bool, out, errOut io.Writer) (err error) {
	if asJSON {
		err = writeJSON(out, r)
	} else {
		err = writeFields(out, r.fields())
	}
	if err != nil {
		return err
	}
	switch {
	case len(r.Problems) > 0:
		fmt.Fprintf(errOut, "walnut: %s is damaged: %s\n", file, countProblems(len(r.Problems)))
		return statusError(exitDamage)
	case !r.OK:
		fmt.Fprintf(errOut, "walnut: %s: changed each time it was read: it is in use by others; try again when it is not\n", file)
		return statusError(exitError)
	}
	return nil
}

func countProblems(n int) string {
	if n == 1 {
		return "1 problem"
	}
	return fmt.Sprintf("%d problems", n)
}

func (r *verifyReport) fields() []field {
	result := "ok"
	switch {
	case len(r.Problems) > 0:
		result = countProblems(len(r.Problems))
	case !r.OK:
		result = "unknown"
	}
	f := []field{
		{"result", result},
		{"database size", fmt.Sprintf("%d bytes", r.Database.Bytes)},
		{"page size", strconv.Itoa(r.Database.PageSize)},
		{"pages", strconv.FormatUint(uint64(r.Database.PageCount), 10)},
		{"journal mode", r.Database.JournalMode},
	}
	if r.Log == nil {
		f = append(f, field{"log", "none"})
	} else {
		f = append(f, logFields(r.Log)...)
	}
	f = append(f, field{"integrity check", r.integrity()})
	for _, p := range r.Problems {
		f = append(f, field{"problem", p.Where + ": " + p.What}, field{"lost by it", p.Lost})
	}
	if r.Changed {
		f = append(f, field{"changed while reading", "yes: in use by others"})
	}
	return f
}

func (r *verifyReport) integrity() string {
	switch {
	case len(r.IntegrityCheck) == 0:
		return "could not run"
	case r.IntegrityCheck[0] == "ok":
		return "ok"
	}
	return "not ok, see below"
}
