// Package torture kills a process that writes to a Walnut database, again and
// again, and checks after each kill that what the process was told is
// committed is there, and that nothing is there by halves.
//
// The parent ([Run]) starts a child ([Child]), which writes through the driver
// with several connections and prints a line after each commit that returned.
// Children differ in the number of connections, their sync levels, the size
// from which on a transaction spills into the log, and whether they close the
// database and open it again, often; all run checkpoints in all modes, VACUUM and
// backups. Some databases are begun by the sqlite3 command, in rollback mode and
// with another page size, and converted.
// At a random moment the parent kills it, reads the lines that are left in the
// pipe, and has the files checked, in turn by Walnut and by the sqlite3
// command: sometimes the files themselves, so that the next child goes on from
// what the checker left, and sometimes a copy, so that the next child recovers
// by itself. Every tenth kill begins a new database, since creation is a moment
// like any other.
//
// A kill is not a loss of power: the operating system keeps what was written,
// synced or not. Those crashes are the faulty disk's business (package
// faultdisk).
//
// What can be chosen is chosen by the seed. When the child is where, is not.
package torture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
)

// killsPerDatabase is how many kills one database sees.
const killsPerDatabase = 10

// Config says what to do.
type Config struct {
	Dir   string
	Kills int
	Seed  uint64
	// Child is the command that runs [Child]; the database, the seed and the
	// number of the round are appended.
	Child []string
	// SQLite3 is the sqlite3 command, "" where there is none.
	SQLite3 string
	// Log gets what was found.
	Log io.Writer
	// Progress, if set, hears of each kill.
	Progress func(done, total int)
}

// Result is what came of it.
type Result struct {
	Kills        int
	Acknowledged int // commits that were reported
	Lost         int // of them, those that were not there afterwards
	Torn         int // commits that were there by halves, and other damage
}

// Clean reports whether nothing was found.
func (r Result) Clean() bool { return r.Lost == 0 && r.Torn == 0 }

// String is the last line of the command.
func (r Result) String() string {
	return fmt.Sprintf("%d kills, %d acknowledged, %d lost, %d torn", r.Kills, r.Acknowledged, r.Lost, r.Torn)
}

// run is a torture under way.
type run struct {
	Config
	rng    *rand.Rand
	result Result
	db     string // the database under torture
	known  ledger // what must be in it
}

// ledger is the last commit of each worker that must be there. Workers number
// their commits from 1 without gaps, so one number stands for all before it.
type ledger map[int]int

// Run tortures until it has killed often enough or has found something. Then
// the directory is kept. An error means that it could not go on, not that
// anything was found.
func Run(ctx context.Context, c Config) (Result, error) {
	r := &run{Config: c, rng: newRand(c.Seed)}
	if err := claim(c.Dir, c.Seed); err != nil {
		return r.result, err
	}
	state := stateFailed // whatever happens: keep what is there
	defer func() { _ = writeMarker(c.Dir, c.Seed, state) }()
	for r.result.Kills < c.Kills {
		err := r.round(ctx)
		switch {
		case ctx.Err() != nil: // the user had enough; nothing was found
			state = stateClean
			return r.result, errors.New("interrupted")
		case err != nil:
			return r.result, err
		case !r.result.Clean():
			fmt.Fprintf(c.Log, "the child had %s\n", conditionsOf(c.Seed, r.result.Kills-1))
			fmt.Fprintf(c.Log, "seed %d, kill %d: kept in %s: %s as it was after the kill, and %s as the checker left it\n",
				c.Seed, r.result.Kills, c.Dir, r.evidence(), r.touched())
			return r.result, nil
		}
		if c.Progress != nil {
			c.Progress(r.result.Kills, c.Kills)
		}
	}
	state = stateClean
	return r.result, nil
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// round is one kill and what follows from it.
func (r *run) round(ctx context.Context) error {
	if r.result.Kills%killsPerDatabase == 0 {
		if err := r.newDatabase(ctx); err != nil {
			return err
		}
	}
	acked, torn, err := r.killChild(ctx, r.planKill())
	if err != nil {
		return err
	}
	r.result.Kills++
	for _, t := range torn {
		r.result.Torn++
		fmt.Fprintf(r.Log, "torn: seen by the child itself: %s\n", t)
	}
	for worker, seq := range acked.last {
		r.known[worker] = max(r.known[worker], seq)
	}
	r.result.Acknowledged += acked.count
	return r.check(ctx)
}

// newDatabase begins a database of its own and drops the one before.
func (r *run) newDatabase(ctx context.Context) error {
	if r.db != "" {
		if err := errors.Join(removePair(r.db), removePair(pagesName(r.db))); err != nil {
			return err
		}
	}
	r.db = filepath.Join(r.Dir, fmt.Sprintf("%s%03d.db", namePrefix, r.result.Kills/killsPerDatabase))
	r.known = ledger{}
	if r.SQLite3 == "" || r.rng.IntN(3) > 0 {
		return nil
	}
	// One that C SQLite has made, in rollback mode, is converted.
	page := 512 << r.rng.IntN(8)
	out, err := exec.CommandContext(ctx, r.SQLite3, r.db, fmt.Sprintf("PRAGMA page_size = %d; PRAGMA user_version = 1;", page)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make a database with %s: %w: %s", r.SQLite3, err, out)
	}
	return nil
}

// check has the files checked after a kill.
func (r *run) check(ctx context.Context) error {
	if _, err := os.Stat(r.db); errors.Is(err, os.ErrNotExist) {
		r.judge(findings{}, nil) // killed before there was anything
		return nil
	}
	if err := r.copy(); err != nil {
		return err
	}
	var with checker = walnutChecker{}
	if r.SQLite3 != "" && r.result.Kills%2 == 0 {
		with = sqlite3Checker{command: r.SQLite3}
	}
	f, err := examine(ctx, with, r.target(), r.known)
	if err == nil {
		err = examinePages(ctx, pagesName(r.target()), &f)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.judge(f, err)
	if !r.result.Clean() {
		fmt.Fprintf(r.Log, "found by %s\n", with.name())
	}
	return nil
}

// copy copies both databases.
func (r *run) copy() error {
	return errors.Join(copyPair(r.db, r.copyName()), copyPair(pagesName(r.db), pagesName(r.copyName())))
}

// onCopy decides from the number of kills whether the copy is checked and the
// original left to the next child: twice one, twice the other, so that both
// checkers get both.
func (r *run) onCopy() bool { return r.result.Kills/2%2 == 1 }

func (r *run) copyName() string { return filepath.Join(r.Dir, namePrefix+"copy.db") }

func (r *run) target() string {
	if r.onCopy() {
		return r.copyName()
	}
	return r.db
}

func (r *run) touched() string { return filepath.Base(r.target()) }

func (r *run) evidence() string {
	if r.onCopy() {
		return filepath.Base(r.db)
	}
	return filepath.Base(r.copyName())
}

// judge counts and prints what was found. A database that cannot be read has
// lost its integrity, whatever is in it.
func (r *run) judge(f findings, err error) {
	if err != nil {
		f.torn = append(f.torn, err.Error())
		fmt.Fprintf(r.Log, "the database cannot be checked: %v\n", err)
	} else {
		for worker, seq := range r.known {
			if missing := seq - f.present[worker]; missing > 0 {
				r.result.Lost += missing
				fmt.Fprintf(r.Log, "lost: worker %d: %d of its commits 1 to %d are missing\n", worker, missing, seq)
			}
		}
		for worker, seq := range f.last {
			r.known[worker] = max(r.known[worker], seq) // seen once, must stay
		}
		for _, t := range f.torn {
			fmt.Fprintf(r.Log, "torn: %s\n", t)
		}
	}
	r.result.Torn += len(f.torn)
}
