package main

// This file is the command "walnut checkpoint": it copies the log into the
// database file.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	walnutdb "github.com/walnutdb/walnut"
)

// checkpointReport is the JSON of the command: a contract, see its help.
type checkpointReport struct {
	Mode       string `json:"mode"`
	LogFrames  uint32 `json:"log_frames"`
	Backfilled uint32 `json:"backfilled"`
	Busy       bool   `json:"busy"`

	waitedFor string
}

// checkpointOptions are the flags of the command.
type checkpointOptions struct {
	mode    string
	timeout time.Duration
	json    bool
}

// checkpointModes are the modes there are, mildest first.
var checkpointModes = []struct {
	name string
	mode walnutdb.CheckpointMode
}{
	{"passive", walnutdb.CheckpointPassive},
	{"full", walnutdb.CheckpointFull},
	{"restart", walnutdb.CheckpointRestart},
	{"truncate", walnutdb.CheckpointTruncate},
}

func checkpointMode(name string) (walnutdb.CheckpointMode, error) {
	var names []string
	for _, m := range checkpointModes {
		if m.name == name {
			return m.mode, nil
		}
		names = append(names, m.name)
	}
	return 0, fmt.Errorf("unknown checkpoint mode %q: the modes are %s", name, strings.Join(names, ", "))
}

func newCheckpoint() *cobra.Command {
	var o checkpointOptions
	c := &cobra.Command{
		Use:   "checkpoint [--mode passive|full|restart|truncate] [--timeout 5s] [--json] FILE",
		Short: "Copy the log of a database into its file",
		Long: `Copies the frames of the log into the database file.

  passive    copies what can be copied without waiting for anybody
  full       waits for the writer and for readers of older snapshots, and copies
             everything
  restart    waits for all readers of the log too, and begins it anew
  truncate   does as restart, and cuts the log to nothing

One that waits in vain (--timeout) has copied what passive would, and is busy.

JSON keys (--json):
  mode         as given
  log_frames   frames in the log (0 after truncate)
  backfilled   frames of it that are in the database file
  busy         true if somebody kept the checkpoint from finishing

Exit status: 0 fine, 1 error; busy is one.`,
		Args: needOneFile,
		RunE: func(c *cobra.Command, args []string) error {
			return runCheckpoint(c.Context(), o, args[0], c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&o.mode, "mode", "passive", "passive, full, restart or truncate")
	f.DurationVar(&o.timeout, "timeout", 5*time.Second, "how long to wait for others")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return c
}

// runCheckpoint is the command.
func runCheckpoint(ctx context.Context, o checkpointOptions, file string, out, errOut io.Writer) error {
	mode, err := checkpointMode(o.mode)
	if err != nil {
		return err
	}
	ctx, stop := untilInterrupt(ctx)
	defer stop()
	p := newProgress(errOut, "copying pages")
	report, err := checkpointFile(ctx, file, mode, o.timeout, func(done, total int) { p.set(int64(done), int64(total)) })
	p.close()
	if err != nil {
		return fmt.Errorf("checkpoint of %s: %w", file, err)
	}
	report.Mode = o.mode
	if o.json {
		err = writeJSON(out, report)
	} else {
		err = writeFields(out, report.fields())
	}
	if err != nil {
		return err
	}
	if report.Busy {
		fmt.Fprintf(errOut, "walnut: %s: checkpoint not finished: %s\n", file, report.whom())
		return statusError(exitError)
	}
	return nil
}

func (r *checkpointReport) whom() string {
	if r.waitedFor == "" {
		return "the database is busy"
	}
	return "waited for " + r.waitedFor
}

func (r *checkpointReport) fields() []field {
	f := []field{
		{"mode", r.Mode},
		{"frames in the log", fmt.Sprint(r.LogFrames)},
		{"of them copied", fmt.Sprint(r.Backfilled)},
	}
	if r.Busy {
		f = append(f, field{"busy", r.whom()})
	}
	return f
}

// checkpointFile opens file, checkpoints it, and closes it.
func checkpointFile(ctx context.Context, file string, mode walnutdb.CheckpointMode, timeout time.Duration, progress func(done, total int)) (r *checkpointReport, err error) {
	db, err := openEngine(ctx, file, walnutdb.Options{MustExist: true}, timeout)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, withoutPrefix(db.Close())) }()
	res, err := db.Checkpoint(ctx, mode, &walnutdb.CheckpointOptions{Progress: progress})
	if err != nil {
		return nil, withoutPrefix(err)
	}
	return &checkpointReport{
		LogFrames: uint32(res.LogFrames), Backfilled: uint32(res.Backfilled),
		Busy: res.Busy, waitedFor: res.WaitedFor,
	}, nil
}
