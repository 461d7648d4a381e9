package main

// This file is the command "walnut demo": see package demo for what runs.

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/walnutdb/walnut/cmd/walnut/internal/demo"
)

func newDemo() *cobra.Command {
	var o demo.Options
	var runFor time.Duration
	c := &cobra.Command{
		Use:   "demo [--addr 127.0.0.1:0] [--dir DIR] [--for 30s]",
		Short: "Run a small web application under load, to see the engine at work",
		Long: `Starts notes as a web application over database/sql, with readers and writers
that overlap all the time, and prints where the notes and the page of the engine
are. The log may have 4 MiB only, so that within seconds a report that stays is
detached, and writers are held for a moment.

The data is in a temporary directory, which is removed at the end; with --dir it
is kept there. It runs until it is interrupted, or for the time of --for. Whoever
can reach --addr can run checkpoints and profiles: leave it on this machine.`,
		Example: `  walnut demo
  walnut demo --addr 127.0.0.1:8080 --for 30s`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%s takes no arguments (usage: %s)", c.CommandPath(), c.UseLine())
			}
			if runFor < 0 || c.Flags().Changed("for") && runFor == 0 {
				return fmt.Errorf("--for is %s: it must be more than 0", runFor)
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := untilInterrupt(c.Context())
			defer stop()
			if runFor > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, runFor)
				defer cancel()
			}
			return runDemo(ctx, c, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Addr, "addr", "127.0.0.1:0", "address to listen at; port 0 is a free one")
	f.StringVar(&o.Dir, "dir", "", "keep the database in this directory")
	f.DurationVar(&runFor, "for", 0, "stop after this time; without it, when interrupted")
	return c
}

func runDemo(ctx context.Context, c *cobra.Command, o demo.Options) error {
	d, err := demo.Start(o)
	if err != nil {
		return withoutPrefix(err)
	}
	out := c.OutOrStdout()
	fmt.Fprintf(out, "notes       %s/\nthe engine  %s/debug/walnut/\npprof       %s/debug/pprof/\ndatabase    %s\n", d.URL, d.URL, d.URL, d.File)
	fmt.Fprintln(out, "Ctrl-C ends it.")
	select {
	case <-ctx.Done():
	case err = <-d.Failed():
	}
	s := d.DB.Stats()
	if stopped := d.Stop(); err == nil {
		err = stopped
	}
	if err != nil {
		return withoutPrefix(err)
	}
	fmt.Fprintf(out, "%d commits, %d restarts of the log, %d readers detached\n", s.Commits, s.Restarts, s.Detached)
	return nil
}
