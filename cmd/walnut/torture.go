package main

// This file is the command "walnut torture" and its hidden child: see package
// torture for what they do.

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/walnutdb/walnut/cmd/walnut/internal/torture"
)

// childName is the hidden command that the parent starts and kills.
const childName = "torture-child"

func newTorture() *cobra.Command {
	var kills int
	var seed uint64
	c := &cobra.Command{
		Use:   "torture [--kills 50] [--seed N] DIR",
		Short: "Kill a writing process again and again, and check what is left",
		Long: `Starts a process that writes to a database in DIR with 6 or 20 connections and
reports each commit: small and large transactions, some of which spill into the
log before they commit, at synchronous FULL, NORMAL and OFF, with checkpoints in
all modes, VACUUM and backups beside them. Beside these, 4 workers use the pages
of a second database without SQL, which Walnut alone checks. Some processes close the database and
open it again all the time; some databases are begun by sqlite3, in rollback mode
and with any page size, and converted. Kills it at a random moment, opens the files alternately with Walnut
and with the sqlite3 command (where it is installed), and checks that every
reported commit is there, that those that are there are the first ones, none of
them by halves, and that integrity_check is content. Then again.

The last line counts: N kills, N acknowledged, N lost, N torn. What was found
is written to standard error, and the files are kept.

DIR is created if it is not there; otherwise it must be empty or left by an
earlier run that found nothing. --seed repeats the choices of a run (not the
scheduling of its processes); without it one is taken from the clock.

Exit status: 0 fine, 1 could not be run, 2 something was lost or torn.`,
		Example: `  walnut torture --kills 200 torture.d`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%s: one DIR, not %d (usage: %s)", c.CommandPath(), len(args), c.UseLine())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if !c.Flags().Changed("seed") {
				seed = uint64(time.Now().UnixNano())
			}
			return runTorture(c, args[0], kills, seed)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.IntVar(&kills, "kills", 50, "how often to kill")
	f.Uint64Var(&seed, "seed", 0, "seed of the choices (default: from the clock)")
	return c
}

func runTorture(c *cobra.Command, dir string, kills int, seed uint64) error {
	if kills < 1 {
		return fmt.Errorf("--kills %d: at least 1", kills)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	sqlite3, err := exec.LookPath("sqlite3")
	checkers := "walnut and sqlite3"
	if err != nil {
		sqlite3, checkers = "", "walnut alone (there is no sqlite3 here)"
	}
	ctx, stop := untilInterrupt(c.Context())
	defer stop()
	out := c.OutOrStdout()
	fmt.Fprintf(out, "seed %d, checked by %s\n", seed, checkers)
	p := newProgress(c.ErrOrStderr(), "kills")
	result, err := torture.Run(ctx, torture.Config{
		Dir: dir, Kills: kills, Seed: seed, SQLite3: sqlite3,
		Child:    []string{self, childName},
		Log:      c.ErrOrStderr(),
		Progress: func(done, total int) { p.set(int64(done), int64(total)) },
	})
	p.close()
	if err != nil {
		return fmt.Errorf("torture, after %d kills: %w", result.Kills, err)
	}
	if _, err := fmt.Fprintln(out, result); err != nil {
		return err
	}
	if !result.Clean() {
		return statusError(exitDamage)
	}
	return nil
}

func newTortureChild() *cobra.Command {
	return &cobra.Command{
		Use:    childName + " FILE SEED ROUND",
		Short:  "The process that torture kills",
		Hidden: true,
		Args:   cobra.ExactArgs(3),
		RunE: func(c *cobra.Command, args []string) error {
			seed, err := strconv.ParseUint(args[1], 10, 64)
			if err != nil {
				return err
			}
			round, err := strconv.Atoi(args[2])
			if err != nil {
				return err
			}
			return torture.Child(c.Context(), args[0], seed, round, c.OutOrStdout())
		},
	}
}
