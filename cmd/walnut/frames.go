package main

// This file is the command "walnut frames": the log frame by frame. Like
// "walnut info" it only looks. Package atrest reads.

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/walnutdb/walnut/cmd/walnut/internal/atrest"
	"github.com/walnutdb/walnut/disk"
)

func newFrames() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "frames [--json] FILE",
		Short: "List the frames of a log",
		Long: `Lists the frames of the log of the database FILE, or of the log FILE itself if
its name ends in "-wal". It takes no lock and changes nothing, and works on
damaged files and while others use them.

A line a frame: its number, its offset in the log, its page, the database size
in pages if it is a commit (else 0), the number of the transaction it belongs to
("-" behind the last commit that counts), and "valid" or why not. In a pipe
the columns are separated by tabs. A run of frames that are all zeros, such as
space that was filled ahead, is one line: 34-290.

  valid                    counts, if a commit at or after it counts
  zeros                    all zeros, or its header is
  old generation           left by an earlier generation of this log
  other salts              belongs to another log or generation
  page 0                   has no page number
  checksum                 does not continue the checksum before it
  short                    cut off by the end of the file
  after an invalid frame   is in order, but follows one that is not

In a pipe and on a terminal what was found follows after a colon.

With --json: a JSON object a line (NDJSON), with the keys frame, last_frame
(of a run of zeros; else absent), offset, page, commit, transaction (null behind
the last commit), verdict (the words above) and detail (absent if there is
none). If the files changed meanwhile, the last line is
{"changed_while_reading":true}, and the lines before it may not fit together.

Exit status: 0 fine, also without a log, 1 error, also if FILE is no database
and has no log, 2 damage found, in the sense of "walnut info".`,
		Args: needOneFile,
		RunE: func(c *cobra.Command, args []string) error {
			return runFrames(args[0], asJSON, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, an object a line")
	return c
}

// runFrames is the command.
func runFrames(file string, asJSON bool, out, errOut io.Writer) error {
	p, err := atrest.OpenForFrames(disk.OS(), file)
	if err != nil {
		return err
	}
	defer p.Close()
	if p.Log == nil {
		if err := p.NotDatabase(); err != nil {
			return fmt.Errorf("%s: no database, and without a log: %w", file, err)
		}
		_, err := fmt.Fprintf(errOut, "walnut: %s: there is no log\n", file)
		return err
	}
	bar := newProgress(errOut, "reading the log")
	defer bar.close()
	if err := p.Read(bar.set); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	} else if err != nil {
		p.Changed = true
	}
	progress := bar.set
	if isTerminal(out) {
		bar.close()
		progress = func(done, total int64) {} // the lines show how far it is
	}
	b := bufio.NewWriter(out)
	if err := p.List(newFrameWriter(b, asJSON, isTerminal(out)), progress); err != nil {
		return err
	}
	return concludeFrames(p, file, asJSON, b, errOut)
}

// concludeFrames says what is to be said after the frames.
func concludeFrames(p *atrest.Pair, file string, asJSON bool, out *bufio.Writer, errOut io.Writer) error {
	if !p.Changed {
		moved, err := p.Moved()
		if err != nil {
			return err
		}
		p.Changed = moved
	}
	if p.Changed && asJSON {
		out.WriteString(`{"changed_while_reading":true}` + "\n")
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if p.Changed {
		fmt.Fprintf(errOut, "walnut: %s: changed while reading: in use by others; the frames may not fit together\n", file)
		return nil // what is read in pieces proves nothing
	}
	found := p.Damage()
	for _, f := range found {
		fmt.Fprintf(errOut, "walnut: damage: %s\n", f.What)
	}
	switch why := p.LogEmpty(); {
	case len(found) > 0:
		return statusError(exitDamage)
	case p.Orphan:
		fmt.Fprintf(errOut, "walnut: %s: there is a log, and no database file\n", file)
	case why != "":
		fmt.Fprintf(errOut, "walnut: %s: the log has no frames: %s\n", file, why)
	}
	return nil
}

// newFrameWriter returns what prints a frame.
func newFrameWriter(out *bufio.Writer, asJSON, terminal bool) func(atrest.Frame) error {
	switch {
	case asJSON:
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		return func(r atrest.Frame) error { return e.Encode(r) }
	case terminal:
		// Fixed widths: those of a table would need all rows first.
		const row = "%17s %14s %10s %10s %11s  %s\n"
		fmt.Fprintf(out, row, "frame", "offset", "page", "commit", "transaction", "verdict")
		return func(r atrest.Frame) error {
			t := frameText(&r)
			_, err := fmt.Fprintf(out, row, t[0], t[1], t[2], t[3], t[4], t[5])
			return err
		}
	}
	return func(r atrest.Frame) error {
		t := frameText(&r)
		_, err := fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", t[0], t[1], t[2], t[3], t[4], t[5])
		return err
	}
}

// frameText is the row for people and scripts that cut lines.
func frameText(r *atrest.Frame) [6]string {
	frame, transaction, verdict := fmt.Sprint(r.Frame), "-", r.Verdict
	if r.LastFrame != 0 {
		frame = fmt.Sprintf("%d-%d", r.Frame, r.LastFrame)
	}
	if r.Transaction != nil {
		transaction = strconv.Itoa(*r.Transaction)
	}
	if r.Detail != "" {
		verdict += ": " + r.Detail
	}
	return [6]string{frame, strconv.FormatInt(r.Offset, 10), fmt.Sprint(r.Page), fmt.Sprint(r.Commit), transaction, verdict}
}
