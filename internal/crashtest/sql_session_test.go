// SQL on the faulty disk: SQLite on the engine's VFS, and an oracle, SQLite in
// memory, that says what each step leaves.

package crashtest

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/sqlitevfs"
)

const sqlFlags = sqlite3.OPEN_READWRITE | sqlite3.OPEN_CREATE | sqlite3.OPEN_URI

// sqlWorkload is a script of steps, each at most one transaction, that the
// connections run in turn.
type sqlWorkload struct {
	name string
	// setup is run on every new connection.
	setup string
	conns int
	// attach has a second database, b.
	attach bool
	// anywhere: writes are torn between any two bytes.
	anywhere bool
	// base puts databases on the empty disk.
	base  func(testing.TB, *faultdisk.Disk)
	steps []sqlStep

	once   sync.Once
	states []sqlState
}

type sqlStep struct {
	sql string
	// fails: the step is to fail, by a constraint.
	fails bool
	level walnut.SyncLevel
	// copies: the step is no SQL, but VACUUM INTO intoPath.
	copies bool
	// halves: the step may be two transactions, the first of which shows when
	// the second fails.
	halves bool
}

// intoPath is where VACUUM INTO writes to.
const intoPath = "/data/into.db"

// sqlState is the content of the databases after a step.
type sqlState struct{ main, b string }

func do(sql string) sqlStep      { return sqlStep{sql: sql} }
func relaxed(sql string) sqlStep { return sqlStep{sql: sql, level: normal} }
func fails(sql string) sqlStep   { return sqlStep{sql: sql, fails: true} }

// oracle runs the script in memory. states[i] is what is there after i steps.
func (w *sqlWorkload) oracle(t testing.TB) []sqlState {
	w.once.Do(func() {
		c, err := sqlite3.Open(":memory:")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		must := func(err error) {
			if err != nil {
				t.Fatalf("%s: the oracle: %v", w.name, err)
			}
		}
		if w.attach {
			must(c.Exec("ATTACH ':memory:' AS b"))
		}
		must(c.Exec(w.setup))
		note := func() {
			st, err := dumpBoth(c, w.attach)
			must(err)
			w.states = append(w.states, st)
		}
		if w.base != nil {
			must(c.Exec(baseSQL))
		}
		note()
		for _, s := range w.steps {
			// An empty step does nothing.
			err := c.Exec(s.sql)
			if (err != nil) != s.fails {
				t.Fatalf("%s: the oracle: %s: %v", w.name, s.sql, err)
			}
			if !c.GetAutocommit() {
				must(c.Exec("ROLLBACK"))
			}
			note()
		}
	})
	return w.states
}

func dumpBoth(c *sqlite3.Conn, attached bool) (st sqlState, err error) {
	st.main, err = dump(c, "main")
	if err == nil && attached {
		st.b, err = dump(c, "b")
	}
	return st, err
}

// dump is everything in a database as text: schema, rows, user_version.
func dump(c *sqlite3.Conn, schema string) (string, error) {
	var b strings.Builder
	objects, err := rows(c, fmt.Sprintf("SELECT name, type, coalesce(sql, '') FROM %s.sqlite_schema ORDER BY name", schema))
	if err != nil {
		return "", err
	}
	version, err := rows(c, fmt.Sprintf("PRAGMA %s.user_version", schema))
	if err != nil {
		return "", err
	}
	vacuum, err := rows(c, fmt.Sprintf("PRAGMA %s.auto_vacuum", schema))
	if err != nil {
		return "", err
	}
	fmt.Fprintln(&b, version, vacuum)
	for _, o := range objects {
		fmt.Fprintln(&b, strings.Join(o, "|"))
		if o[1] != "table" {
			continue
		}
		list, err := rows(c, fmt.Sprintf("SELECT * FROM %s.%q", schema, o[0]))
		if err != nil {
			return "", err
		}
		slices.SortFunc(list, slices.Compare)
		for _, r := range list {
			fmt.Fprintln(&b, strings.Join(r, "|"))
		}
	}
	return b.String(), nil
}

func rows(c *sqlite3.Conn, query string) (list [][]string, err error) {
	s, _, err := c.Prepare(query)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for s.Step() {
		var r []string
		for i := range s.ColumnCount() {
			r = append(r, s.ColumnText(i))
		}
		list = append(list, r)
	}
	return list, s.Err()
}

// integrity is PRAGMA integrity_check, as an error.
func integrity(c *sqlite3.Conn, schema string) error {
	list, err := rows(c, fmt.Sprintf("PRAGMA %s.integrity_check", schema))
	if err != nil {
		return fmt.Errorf("integrity_check: %w", err)
	}
	if len(list) != 1 || list[0][0] != "ok" {
		return fmt.Errorf("TORN: integrity_check: %v", list)
	}
	return nil
}

var vfsCount atomic.Int64

// sqlSession is one process's connections to the databases on one disk.
type sqlSession struct {
	w      *sqlWorkload
	disk   *faultdisk.Disk
	states []sqlState
	vfs    string
	conns  []*sqlite3.Conn
	// small has the engine opened with a small pool before SQLite opens it: a
	// pool of the default size takes longer to make than all else that is done
	// to an image.
	small bool
	pools []*walnut.DB
	// watched has the page API open what SQLite has opened, in watch. It is the
	// last to close, and so tells what SQLite would swallow.
	watched bool
	watch   []*walnut.DB

	mu sync.Mutex
	// full and acked are the steps that are done, as in history; begun is the
	// last that was begun.
	full, acked, begun int
}

func newSQLSession(t testing.TB, w *sqlWorkload, d *faultdisk.Disk) *sqlSession {
	s := &sqlSession{w: w, disk: d, states: w.oracle(t), vfs: fmt.Sprintf("crash%d", vfsCount.Add(1))}
	sqlitevfs.Register(s.vfs, d)
	return s
}

// begin returns a session on a fresh disk.
func (w *sqlWorkload) begin(t testing.TB, seed int64) *sqlSession {
	d := faultdisk.New(seed)
	if w.anywhere {
		d.TearAnywhere()
	}
	if w.base != nil {
		w.base(t, d)
	}
	return newSQLSession(t, w, d)
}

// connect opens one more connection.
func (s *sqlSession) connect() (*sqlite3.Conn, error) {
	c, err := sqlite3.OpenFlags("file:"+dbPath+"?vfs="+s.vfs, sqlFlags)
	if err != nil {
		return nil, err
	}
	sql := s.w.setup
	if s.w.attach {
		sql = "ATTACH 'file:/data/b.db?vfs=" + s.vfs + "' AS b;" + sql
	}
	if err := c.Exec(sql); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// paths are those of the databases.
func (s *sqlSession) paths() []string {
	if s.w.attach {
		return []string{dbPath, siblingOf(dbPath)}
	}
	return []string{dbPath}
}

func (s *sqlSession) open() error {
	if s.small && len(s.pools) == 0 {
		for _, path := range s.paths() {
			db, err := walnut.Open(path, &walnut.Options{FS: s.disk, PoolBytes: smallPool})
			if err != nil {
				return err
			}
			s.pools = append(s.pools, db)
		}
	}
	for len(s.conns) < max(1, s.w.conns) {
		c, err := s.connect()
		if err != nil {
			return err
		}
		s.conns = append(s.conns, c)
	}
	paths := s.paths()
	for s.watched && len(s.watch) < len(paths) {
		db, err := walnut.Open(paths[len(s.watch)], &walnut.Options{FS: s.disk, MustExist: true, AutoCheckpoint: -1})
		if err != nil {
			return err
		}
		s.watch = append(s.watch, db)
	}
	return nil
}

func (s *sqlSession) close() error {
	var err error
	for _, c := range s.conns {
		// SQLite swallows an error of the file's close.
		if e := c.Close(); e != nil {
			err = e
		}
	}
	s.conns = nil
	for _, db := range slices.Concat(s.pools, s.watch) {
		if e := db.Close(); e != nil {
			err = e
		}
	}
	s.pools, s.watch = nil, nil
	return err
}

// end closes everything and takes the VFS away.
func (s *sqlSession) end() {
	_ = s.close()
	sqlitevfs.Unregister(s.vfs)
}

// step runs step i, from 1, and notes what became of it.
func (s *sqlSession) step(i int) error {
	st := s.w.steps[i-1]
	c := s.conns[i%len(s.conns)]
	if err := c.Exec(fmt.Sprintf("PRAGMA main.synchronous=%s", st.level)); err != nil {
		return err
	}
	if s.w.attach {
		if err := c.Exec(fmt.Sprintf("PRAGMA b.synchronous=%s", st.level)); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.begun = max(s.begun, i)
	s.mu.Unlock()
	var err error
	if st.copies {
		err = s.vacuumInto(c, i)
	} else {
		err = c.Exec(st.sql)
	}
	if err != nil && !c.GetAutocommit() {
		_ = c.Exec("ROLLBACK")
	}
	if st.fails {
		if code, ok := err.(*sqlite3.Error); ok && code.Code() == sqlite3.CONSTRAINT {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("%.60s: %w", st.sql, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked = i
	// A step that commits nothing makes nothing durable either; a checkpoint
	// does.
	changed := s.states[i] != s.states[i-1]
	if st.level == full && changed || strings.HasPrefix(st.sql, "PRAGMA wal_checkpoint") {
		s.full = i
	}
	return nil
}

// vacuumInto has SQLite copy the database, and compares the copy with the state
// after step i. What an earlier attempt left is removed: SQLite asks for that.
func (s *sqlSession) vacuumInto(c *sqlite3.Conn, i int) error {
	for _, path := range []string{intoPath, intoPath + "-wal"} {
		if err := s.disk.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := c.Exec("VACUUM INTO '" + intoPath + "'"); err != nil {
		return err
	}
	copied, err := sqlite3.OpenFlags("file:"+intoPath+"?vfs="+s.vfs, sqlFlags)
	if err != nil {
		return err
	}
	got, err := dump(copied, "main")
	if err = errors.Join(err, integrity(copied, "main"), copied.Close()); err != nil {
		return fmt.Errorf("the copy: %w", err)
	}
	if got != s.states[i].main {
		return fmt.Errorf("TORN: the copy holds %.300q", got)
	}
	return nil
}

// find checks integrity and returns which of the states from floor on to top
// each database is in: the last that fits.
func (s *sqlSession) find(floor, top int) (main, b int, err error) {
	c, err := s.connect()
	if err != nil {
		return 0, 0, fmt.Errorf("open: %w", err)
	}
	defer func() { _ = c.Close() }()
	st, err := dumpBoth(c, s.w.attach)
	if err != nil {
		return 0, 0, err
	}
	main, b = -1, -1
	for k := floor; k <= top; k++ {
		if s.states[k].main == st.main {
			main = k
		}
		if s.states[k].b == st.b {
			b = k
		}
	}
	if err := integrity(c, "main"); err != nil {
		return 0, 0, err
	}
	if s.w.attach {
		if err := integrity(c, "b"); err != nil {
			return 0, 0, fmt.Errorf("b: %w", err)
		}
	}
	if main < 0 || b < 0 {
		return 0, 0, fmt.Errorf("the database is in none of the states %d to %d%s", floor, top, s.otherState(st))
	}
	return main, b, nil
}

// otherState tells which state of the script it is, if it is one.
func (s *sqlSession) otherState(st sqlState) string {
	for k, other := range s.states {
		if other == st {
			return fmt.Sprintf(" but in %d", k)
		}
	}
	return fmt.Sprintf(": it holds %.300q", st.main)
}
