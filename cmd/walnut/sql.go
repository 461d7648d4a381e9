package main

// This file is the command "walnut sql": it runs statements, from its
// arguments or from standard input, each as soon as it is complete.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/spf13/cobra"

	"github.com/walnutdb/walnut/cmd/walnut/internal/sqlsplit"
	"github.com/walnutdb/walnut/internal/sqlitevfs"
)

// sqlOptions are the flags of the command.
type sqlOptions struct {
	json, csv, table, bail bool
	timeout                time.Duration
}

func newSQL() *cobra.Command {
	var o sqlOptions
	c := &cobra.Command{
		Use:   "sql [--json|--csv|--table] [--bail] FILE [SQL…]",
		Short: "Run SQL statements on a database",
		Long: `Runs the statements given as arguments or, without any, those on standard
input, each as soon as it is complete. FILE is created if it is not there.

Rows are printed as a table on a terminal, and in a pipe as sqlite3 does: one
line a row, | between the columns, no header, NULL as nothing, blobs as their
bytes.

  --json   one array of objects for each statement that returns rows ([] if
           there are none), one object a line; integers and reals as numbers
           (infinity as 1e999), NULL as null, blobs as base64 in a string
  --csv    comma-separated, no header, quoted as sqlite3 -csv does
  --table  a table, also in a pipe

An error goes to standard error with its statement. Among arguments it ends
the run; standard input goes on with the next statement, unless --bail is
given. The exit status is 1 if there was one. Ctrl-C interrupts the running
statement. A line that begins with a dot is for the shell: .help lists what
there is.`,
		Example: `  walnut sql app.db "CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'x')"
  walnut sql --json app.db "SELECT * FROM t"
  walnut sql app.db < dump.sql`,
		Args: needFile,
		RunE: func(c *cobra.Command, args []string) error {
			return runSQL(c.Context(), o, args[0], args[1:], c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.BoolVar(&o.json, "json", false, "print rows as JSON")
	f.BoolVar(&o.csv, "csv", false, "print rows as comma-separated values")
	f.BoolVar(&o.table, "table", false, "print rows as a table")
	f.BoolVar(&o.bail, "bail", false, "stop at the first error")
	f.DurationVar(&o.timeout, "timeout", 5*time.Second, "how long to wait for others")
	c.MarkFlagsMutuallyExclusive("json", "csv", "table")
	return c
}

// runSQL is the command.
func runSQL(ctx context.Context, o sqlOptions, file string, stmts []string, in io.Reader, out, errOut io.Writer) (err error) {
	conn, err := openSQL(ctx, file, o.timeout)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := conn.Close(); closeErr != nil && err == nil {
			err = fmt.Errorf("closing %s: %w", file, plainError(closeErr))
		}
	}()
	buffered := bufio.NewWriterSize(out, 1<<16)
	s := &shell{conn: conn.Conn, out: buffered, errOut: errOut, bail: o.bail || len(stmts) > 0}
	s.rows = newRenderer(o, isTerminal(out), buffered)
	s.ctx = ctx
	defer s.running.watch()()
	if len(stmts) > 0 {
		err = s.arguments(stmts)
	} else {
		s.prompt = isTerminal(in) && isTerminal(out)
		err = s.stream(in)
	}
	if err == nil && s.failed {
		err = statusError(exitError)
	}
	return err
}

// errQuit ends the shell without an error.
var errQuit = errors.New("quit")

// shell runs statements on one connection.
type shell struct {
	conn   *sqlite3.Conn
	out    *bufio.Writer // flushed after each statement
	errOut io.Writer
	rows   renderer
	bail   bool // stop at the first error
	prompt bool // a person types
	failed bool // there was an error

	ctx     context.Context
	running interruptible
}

// arguments runs statements given on the command line.
func (s *shell) arguments(stmts []string) error {
	for _, text := range stmts {
		var sp sqlsplit.Splitter
		_, _ = sp.Write([]byte(text))
		if err := s.drain(&sp, true, false); err != nil {
			return quitIsFine(err)
		}
	}
	return nil
}

// stream runs statements from in until it ends.
func (s *shell) stream(in io.Reader) error {
	var sp sqlsplit.Splitter
	buf := make([]byte, 1<<16)
	for {
		s.showPrompt(sp.Pending())
		n, err := s.running.read(s.ctx, in, buf)
		if errors.Is(err, errInterrupted) {
			if !s.prompt {
				return statusError(exitError)
			}
			sp.Discard()
			fmt.Fprintln(s.errOut)
			continue
		}
		_, _ = sp.Write(buf[:n])
		if drainErr := s.drain(&sp, err != nil, true); drainErr != nil {
			return quitIsFine(drainErr)
		}
		if err == io.EOF {
			if s.prompt {
				fmt.Fprintln(s.errOut)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading standard input: %w", err)
		}
	}
}

func quitIsFine(err error) error {
	if errors.Is(err, errQuit) {
		return nil
	}
	return err
}

// showPrompt goes where the errors go, so that standard output has rows only.
func (s *shell) showPrompt(pending bool) {
	switch {
	case !s.prompt:
	case pending:
		fmt.Fprint(s.errOut, "   ...> ")
	default:
		fmt.Fprint(s.errOut, "walnut> ")
	}
}

// drain runs every complete statement, and at the end the incomplete one too:
// SQLite knows best what is missing. lines: name the line of an error.
func (s *shell) drain(sp *sqlsplit.Splitter, end, lines bool) error {
	for {
		st, ok := sp.Next()
		if !ok && end {
			end = false
			st, ok = sp.Rest()
		}
		if !ok {
			return nil
		}
		if err := s.statement(st, lines); err != nil {
			return err
		}
	}
}

// statement runs one statement and reports its error. It returns an error only
// where the shell has to stop.
func (s *shell) statement(st sqlsplit.Statement, lines bool) error {
	err := s.execute(st)
	if flushErr := s.out.Flush(); flushErr != nil {
		return fmt.Errorf("writing standard output: %w", flushErr)
	}
	if err == nil || errors.Is(err, errQuit) {
		return err
	}
	var out *outputError
	if errors.As(err, &out) {
		return out
	}
	s.failed = true
	s.report(err, st, lines)
	// Ctrl-C at a prompt means the statement, in a script all of it.
	if s.bail || errors.Is(err, sqlite3.INTERRUPT) && !s.prompt {
		return statusError(exitError)
	}
	return nil
}

// execute runs the text of one statement. Where SQLite sees more than one, it
// runs them all.
func (s *shell) execute(st sqlsplit.Statement) error {
	if st.Dot {
		return s.dot(st.Text)
	}
	ctx, stop := s.running.start(s.ctx)
	defer stop()
	old := s.conn.SetInterrupt(ctx)
	defer s.conn.SetInterrupt(old)
	if strings.ContainsRune(st.Text, 0) {
		return errors.New("the statement holds a zero byte") // SQLite would stop reading there
	}
	for text := st.Text; strings.TrimSpace(text) != ""; {
		run, rest, ours := sqlitevfs.RewritePragma(text)
		stmt, tail, err := s.conn.Prepare(run)
		if ours {
			tail = rest
		}
		if err != nil {
			return err
		}
		if stmt == nil { // a comment
			return nil
		}
		err = s.step(stmt)
		if closeErr := stmt.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return err
		}
		text = tail
	}
	return nil
}

// step runs a prepared statement to its end and prints its rows.
func (s *shell) step(stmt *sqlite3.Stmt) error {
	n := stmt.ColumnCount()
	if n == 0 {
		for stmt.Step() {
		}
		return stmt.Err()
	}
	cols := make([]string, n)
	for i := range cols {
		cols[i] = stmt.ColumnName(i)
	}
	s.rows.begin(cols)
	for stmt.Step() {
		if err := s.rows.row(stmt); err != nil {
			return &outputError{err}
		}
	}
	// Before the error: what was begun has to be closed, or the JSON is none.
	if err := s.rows.end(); err != nil {
		return &outputError{err}
	}
	return stmt.Err()
}

// outputError is a failure to write rows: there is no point in going on.
type outputError struct{ err error }

func (e *outputError) Error() string { return "writing standard output: " + e.err.Error() }
func (e *outputError) Unwrap() error { return e.err }

// maxShown bounds how much of a failed statement is shown.
const maxShown = 500

// report prints an error and its statement.
func (s *shell) report(err error, st sqlsplit.Statement, lines bool) {
	text := st.Text
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + " …"
	}
	where := ""
	if lines && !s.prompt {
		where = fmt.Sprintf(" near line %d", st.Line)
	}
	fmt.Fprintf(s.errOut, "Error%s: %v\n  %s\n", where, plainError(err),
		strings.ReplaceAll(strings.TrimRight(text, " \t\r\n"), "\n", "\n  "))
}

// dot runs a line that begins with a dot.
func (s *shell) dot(line string) error {
	switch word := strings.Fields(line)[0]; word {
	case ".quit", ".exit":
		return errQuit
	case ".help":
		_, err := fmt.Fprint(s.out, ".help   this list\n.quit   leave (also .exit)\n"+
			"Everything else is SQL: SELECT name, sql FROM sqlite_schema; lists tables.\n")
		return err
	default:
		return fmt.Errorf("%s is not known here; .help lists what there is", word)
	}
}
