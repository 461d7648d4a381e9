package main

// This file is the command "walnut top": the state of a live database in a
// terminal, or a still picture of one at rest. It only looks. top_fetch.go gets
// the state, top_model.go is the program on the terminal, top_view.go what it
// shows, top_rest.go the picture of a file at rest.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"
)

// topFlags are the command's flags.
type topFlags struct {
	once, json bool
	every      time.Duration
}

// shortestTop is how often the state is asked for at most.
const shortestTop = 100 * time.Millisecond

func newTop() *cobra.Command {
	var f topFlags
	c := &cobra.Command{
		Use:   "top [--once] [--json] [--interval 1s] URL|FILE",
		Short: "Watch the log, readers and writers of a live database",
		Long: `Shows the state of a database that a process has open, from the page which
that process serves (package walnutweb). URL is that of the page, or of its
status.json. Of a FILE it shows a still picture: what the log holds. It takes
no lock and changes nothing.

In a pipe, and with --once, one picture is printed as plain text. A connection
that fails is shown, and tried again; with --once it is an error.

The bar is the log, from its beginning to its end or its limit: what is in the
database file (█), what a checkpoint could copy now (▓), what readers keep (░),
and room up to the limit (·). The digits below are the read marks. Rates and
quantiles are those of the last ten pictures; the bounds of quantiles are
powers of two, in µs.

Keys: q ends, p pauses, the arrows and page keys scroll, ? shows the keys.

JSON (--json, once): of a URL the status.json of the page (walnutweb.Status),
with what is not fit for a terminal replaced in its texts; of a FILE the keys of
"walnut info", and live_pages, the distinct pages in the committed frames.

Exit status: 0 fine, 1 error, 2 damage found in a FILE.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%s: one URL or FILE, not %d (usage: %s)", c.CommandPath(), len(args), c.UseLine())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if f.every < shortestTop {
				return fmt.Errorf("--interval: at least %s", shortestTop)
			}
			if !strings.Contains(args[0], "://") {
				return topFile(args[0], f.json, c.OutOrStdout(), c.ErrOrStderr())
			}
			return topLive(c.Context(), args[0], f, c.InOrStdin(), c.OutOrStdout())
		},
	}
	c.Flags().BoolVar(&f.once, "once", false, "print one picture and end")
	c.Flags().BoolVar(&f.json, "json", false, "print the state as JSON and end")
	c.Flags().DurationVar(&f.every, "interval", time.Second, "time between two pictures")
	return c
}

// topLive shows a live database.
func topLive(ctx context.Context, address string, f topFlags, in io.Reader, out io.Writer) error {
	ctx, stop := untilInterrupt(ctx)
	defer stop()
	get, err := newFetcher(address)
	if err != nil {
		return err
	}
	defer get.close()
	if f.once || f.json || !isTerminal(out) || !isTerminal(in) {
		s, err := get.fetch(ctx)
		if err != nil {
			return err
		}
		if f.json {
			return writeJSON(out, s)
		}
		_, err = io.WriteString(out, plainLines(statusLines(s, nil, pipeWidth), pipeWidth))
		return err
	}
	m := newTopModel(ctx, address, get.fetch, f.every)
	_, err = tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out)).Run()
	if errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, tea.ErrInterrupted) {
		return nil // Ctrl-C is a way to end
	}
	return err
}
