package main

// This file is the command "walnut backup": a copy of a database in one file.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	walnutdb "github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk"
)

// backupReport is the JSON of the command: a contract, see its help.
type backupReport struct {
	Pages    int64  `json:"pages"`
	Bytes    int64  `json:"bytes"`
	PageSize int    `json:"page_size"`
	Out      string `json:"out"`
}

// backupOptions are the flags of the command.
type backupOptions struct {
	overwrite bool
	timeout   time.Duration
	json      bool
}

func newBackup() *cobra.Command {
	var o backupOptions
	c := &cobra.Command{
		Use:   "backup [--overwrite] [--timeout 5s] [--json] FILE OUT",
		Short: "Copy a database into a single file",
		Long: `Copies the database FILE, with what is in its log, into the single file OUT. The
copy is written to OUT.part, synced, and renamed: OUT is the whole copy or what
it was before.

A database that another process uses is not copied; see --timeout.

JSON keys (--json):
  pages       pages in the copy
  bytes       its size
  page_size   bytes in a page
  out         OUT, as given

Exit status: 0 fine, 1 error.`,
		Args: needTwoFiles,
		RunE: func(c *cobra.Command, args []string) error {
			return runBackup(c.Context(), o, args[0], args[1], c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.BoolVar(&o.overwrite, "overwrite", false, "replace OUT if it is there")
	f.DurationVar(&o.timeout, "timeout", 5*time.Second, "how long to wait for others")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return c
}

// needTwoFiles makes FILE and OUT the arguments.
func needTwoFiles(c *cobra.Command, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%s: FILE and OUT are needed, not %d arguments (usage: %s)", c.CommandPath(), len(args), c.UseLine())
	}
	return nil
}

// runBackup is the command.
func runBackup(ctx context.Context, o backupOptions, file, to string, out, errOut io.Writer) error {
	ctx, stop := untilInterrupt(ctx)
	defer stop()
	p := newProgress(errOut, "copying pages")
	report, err := backupFile(ctx, o, file, to, func(done, total int) { p.set(int64(done), int64(total)) })
	p.close()
	if err != nil {
		return err
	}
	if o.json {
		return writeJSON(out, report)
	}
	return writeFields(out, []field{
		{"copy", report.Out},
		{"pages", strconv.FormatInt(report.Pages, 10)},
		{"page size", strconv.Itoa(report.PageSize)},
		{"size", fmt.Sprintf("%d bytes", report.Bytes)},
	})
}

// backupFile opens file, copies it, and closes it.
func backupFile(ctx context.Context, o backupOptions, file, to string, progress func(done, total int)) (r *backupReport, err error) {
	// Opening may recover the database: look first at what may forbid the copy.
	if err := mayWrite(to, o.overwrite); err != nil {
		return nil, err
	}
	db, err := openEngine(ctx, file, walnutdb.Options{ReadOnly: true}, o.timeout)
	if err != nil {
		return nil, fmt.Errorf("backup of %s: %w", file, err)
	}
	defer func() { err = errors.Join(err, withoutPrefix(db.Close())) }()
	err = db.Backup(ctx, to, &walnutdb.BackupOptions{Overwrite: o.overwrite, Progress: progress})
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, outExists(to) // since we looked
	case err != nil:
		return nil, withoutPrefix(err)
	}
	info, err := disk.OS().Stat(to)
	if err != nil {
		return nil, err
	}
	return &backupReport{Pages: info.Size / int64(db.PageSize()), Bytes: info.Size, PageSize: db.PageSize(), Out: to}, nil
}

func mayWrite(to string, overwrite bool) error {
	info, err := disk.OS().Stat(to)
	switch {
	case to == "":
		return errors.New("OUT is empty")
	case err == nil && info.Mode.IsDir():
		return fmt.Errorf("%s is a directory, not a file for the copy", to)
	case err == nil && !overwrite:
		return outExists(to)
	}
	return checkPlace(to)
}

func outExists(to string) error {
	return fmt.Errorf("%s is there already: --overwrite would replace it", to)
}
