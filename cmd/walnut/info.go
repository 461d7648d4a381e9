package main

// This file is the command "walnut info": what the header of a database and
// its log say. It only looks: no lock, no write, whatever state the files are
// in and whoever uses them meanwhile. Package atrest reads and judges.

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/walnutdb/walnut/cmd/walnut/internal/atrest"
	"github.com/walnutdb/walnut/disk"
)

func newInfo() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "info [--json] FILE",
		Short: "Show the header of a database and its log",
		Long: `Shows what the header of a database says, and how far its log can be read.
It takes no lock and changes nothing, and works while others use the database.

JSON keys (--json):
  page_size      bytes in a page
  page_count     pages, as a reader sees them: the log counts
  journal_mode   "wal", or "delete" for a rollback journal
  log            null if there is no log file, else an object:
    bytes              size of the log file
    byte_order         of the checksums: "little" or "big"
    checkpoint_seq, salt1, salt2   of the log's header
                       (these four are null without an accepted header)
    frames_in_file     whole frames that the file has room for
    committed_frames   frames up to the last commit that can be reached
    transactions       commits among them
    last_commit_pages  database size in pages in the last of them, or 0
    ignored_frames     frames in the file after it
    stop_reason        why the run of good frames ends
  damage         what is wrong, a list of sentences; absent if nothing is
  changed_while_reading   true if somebody changed the files during each of
                 several readings, so that the rest may not fit together;
                 absent otherwise

Not damage: a torn end of the log, frames of an older generation, an
unfinished transaction: all of these are left by an ordinary crash.

Exit status: 0 fine, 1 error, 2 damage found.`,
		Args: needOneFile,
		RunE: func(c *cobra.Command, args []string) error {
			p := newProgress(c.ErrOrStderr(), "reading the log")
			report, err := atrest.Inspect(disk.OS(), args[0], p.set)
			p.close()
			if err != nil {
				return err
			}
			return writeReport(report, c.OutOrStdout(), c.ErrOrStderr(), asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// writeReport prints a report; damage becomes the exit status.
func writeReport(r *atrest.Report, out, errOut io.Writer, asJSON bool) error {
	var err error
	if asJSON {
		err = writeJSON(out, r)
	} else {
		err = writeFields(out, reportFields(r))
	}
	if err != nil {
		return err
	}
	if len(r.Damage) == 0 {
		return nil
	}
	for _, d := range r.Damage {
		fmt.Fprintf(errOut, "walnut: damage: %s\n", d)
	}
	return statusError(exitDamage)
}

func reportFields(r *atrest.Report) []field {
	f := []field{
		{"page size", strconv.Itoa(r.PageSize)},
		{"pages", strconv.FormatUint(uint64(r.PageCount), 10)},
		{"journal mode", r.JournalMode},
	}
	if r.Log == nil {
		f = append(f, field{"log", "none"})
	} else {
		f = append(f, logFields(r.Log)...)
	}
	if r.Changed {
		f = append(f, field{"changed while reading", "yes: in use by others; the values may not fit together"})
	}
	return f
}

func logFields(l *atrest.Log) []field {
	f := []field{{"log size", fmt.Sprintf("%d bytes", l.Bytes)}}
	if l.ByteOrder != nil {
		f = append(f,
			field{"log byte order", *l.ByteOrder},
			field{"log checkpoint sequence", strconv.FormatUint(uint64(*l.CheckpointSeq), 10)},
			field{"log salts", fmt.Sprintf("%08x %08x", *l.Salt1, *l.Salt2)})
	}
	return append(f,
		field{"log frames", fmt.Sprintf("%d committed, %d ignored", l.CommittedFrames, l.IgnoredFrames)},
		field{"log transactions", strconv.Itoa(l.Transactions)},
		field{"log last commit", fmt.Sprintf("%d pages", l.LastCommitPages)},
		field{"log ends because", l.StopReason})
}
