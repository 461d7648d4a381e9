//go:build cgo

package differ

import (
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	seeds = flag.Uint64("seeds", 250, "how many runs; 0: without end")
	from  = flag.Uint64("from", 1, "the first seed")
	steps = flag.Int("steps", 250, "of a run")
)

func TestDiffer(t *testing.T) {
	count := *seeds
	if testing.Short() {
		count = 20
	}
	begin, told := time.Now(), time.Now()
	done := uint64(0)
	for ; count == 0 || done < count; done++ {
		seed := *from + done
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			t.Logf("%d runs, %.0f s", done, time.Since(begin).Seconds())
			fmt.Fprintf(os.Stderr, "%d runs, %.0f s\n", done, time.Since(begin).Seconds())
		}
		first, list := script(seed)
		d, err := runIn(t.TempDir(), first, list)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if d == nil {
			continue
		}
		list, d = shrink(t, first, list[:d.at+1], d)
		t.Fatalf("seed %d differs:\n%s\n%s\n%s\nreplay, in bench: go test ./differ -args -from %d -seeds 1 -steps %d",
			seed, strings.Join(first, ";\n"), print(list), d, seed, *steps)
	}
	t.Logf("%d runs of %d steps, %.0f s", done, *steps, time.Since(begin).Seconds())
}

// script is the run of a seed.
func script(seed uint64) (first []string, list []step) {
	rng := rand.New(rand.NewPCG(seed, 4))
	first = setup(rng)
	for range *steps {
		list = append(list, draw(rng))
	}
	return first, list
}

func print(list []step) string {
	var b strings.Builder
	for _, s := range list {
		fmt.Fprintln(&b, s)
	}
	return b.String()
}

// difference is where a run differs.
type difference struct {
	at        int
	walnut, c string
}

func (d *difference) String() string {
	return fmt.Sprintf("  walnut   %.2000s\n  C SQLite %.2000s", d.walnut, d.c)
}

// shrink leaves out steps, many at once at first, as long as the run differs.
func shrink(t *testing.T, first []string, list []step, d *difference) ([]step, *difference) {
	deadline := time.Now().Add(time.Minute)
	for n := len(list) / 2; n > 0; n /= 2 {
		for i := 0; i+n < len(list) && time.Now().Before(deadline); {
			shorter := append(append([]step{}, list[:i]...), list[i+n:]...)
			got, err := runIn(t.TempDir(), first, shorter)
			if err == nil && got != nil {
				list, d = shorter[:got.at+1], got
			} else {
				i += n
			}
		}
	}
	return list, d
}

// pair is a run under way.
type pair struct {
	dir   string
	sides [2]*side // walnut, C
}

// runIn is run in a directory that is empty again afterwards: the directories of
// a test go with its end only, and a test may be without end.
func runIn(dir string, first []string, list []step) (*difference, error) {
	d, err := run(dir, first, list)
	return d, errors.Join(err, os.RemoveAll(dir))
}

// run does all steps and returns the first difference, nil if there is none.
func run(dir string, first []string, list []step) (d *difference, err error) {
	p := &pair{dir: dir}
	for i, engine := range []string{"walnut", "sqlite3"} {
		p.sides[i] = &side{engine: engine, path: filepath.Join(dir, engine+".db")}
		if err := create(p.sides[i], first); err != nil {
			return nil, err
		}
	}
	defer func() {
		for _, s := range p.sides {
			if cerr := s.close(); err == nil {
				err = cerr
			}
		}
	}()
	for i, st := range list {
		if d, err = p.do(st); d != nil || err != nil {
			if d != nil {
				d.at = i
			}
			return d, err
		}
	}
	if d, err = p.do(step{kind: copies}); d == nil && err == nil {
		d, err = p.do(step{kind: exchange})
	}
	if d != nil {
		d.at = len(list) - 1
	}
	return d, err
}

// create makes the databases of a side, and opens it.
func create(s *side, first []string) error {
	// With the journal mode in its name, a database would have a page size.
	db, err := sql.Open(s.engine, "file:"+s.path)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	for _, q := range append(first[:len(first):len(first)], "ATTACH '"+s.path+"b' AS b", "PRAGMA b.journal_mode=WAL", "CREATE TABLE b.u(k)") {
		if _, err := db.Exec(q); err != nil {
			return fmt.Errorf("%s: %s: %w", s.engine, q, err)
		}
	}
	if err := db.Close(); err != nil {
		return err
	}
	return s.open()
}

// do does one step on both sides.
func (p *pair) do(st step) (*difference, error) {
	switch st.kind {
	case copies:
		return p.compareCopies()
	case exchange:
		return p.swap()
	}
	var said [2]string
	for i, s := range p.sides {
		var err error
		if said[i], err = s.do(st); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", s.engine, st, err)
		}
	}
	if said[0] != said[1] {
		return &difference{walnut: said[0], c: said[1]}, nil
	}
	if strings.HasSuffix(said[0], "code 5") {
		for _, s := range p.sides {
			s.conns[st.conn].quiet()
		}
	}
	return nil, nil
}

func (s *side) do(st step) (string, error) {
	c := s.conns[st.conn]
	switch st.kind {
	case execute:
		return c.exec(st.text), nil
	case query:
		return c.all(st.text), nil
	case start:
		if len(c.rows) == 3 {
			return "", nil
		}
		return c.start(st.text), nil
	case next:
		return c.next(st.n), nil
	case closeRows:
		return c.closeRows(st.n), nil
	case attach:
		return c.exec("ATTACH '" + s.path + "b' AS b"), nil
	case quietly:
		for _, c := range s.conns {
			c.quiet()
		}
		return c.exec(st.text), nil
	case reconnect:
		c.quiet()
		if err := c.Close(); err != nil {
			return "", err
		}
		return "", s.connect(st.conn)
	}
	return "", errors.New("unknown step")
}

// compareCopies has each engine read copies of both sides' files, taken while
// they are open.
func (p *pair) compareCopies() (*difference, error) {
	var dumps []string
	for _, s := range p.sides {
		for _, engine := range []string{"walnut", "sqlite3"} {
			dir, err := os.MkdirTemp(p.dir, "copy")
			if err != nil {
				return nil, err
			}
			to := filepath.Join(dir, "copy.db")
			for _, suffix := range []string{"", "-wal", "b", "b-wal"} {
				if err := copyFile(s.path+suffix, to+suffix); err != nil {
					return nil, err
				}
			}
			text, err := dump(engine, to)
			if err != nil {
				return nil, err
			}
			dumps = append(dumps, text)
			if err := os.RemoveAll(dir); err != nil {
				return nil, err
			}
		}
	}
	for _, text := range dumps[1:] {
		if text != dumps[0] {
			return &difference{walnut: dumps[0], c: text}, nil
		}
	}
	return nil, nil
}

func copyFile(from, to string) error {
	f, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	g, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(g, f)
	return errors.Join(err, g.Close())
}

// swap closes both sides and opens each on the files of the other.
func (p *pair) swap() (*difference, error) {
	for _, s := range p.sides {
		if err := s.close(); err != nil {
			return nil, fmt.Errorf("%s: close: %w", s.engine, err)
		}
		for _, suffix := range []string{"-wal", "b-wal"} {
			if info, err := os.Stat(s.path + suffix); err == nil && info.Size() > 0 {
				return nil, fmt.Errorf("%s leaves a log of %d bytes", s.engine, info.Size())
			}
		}
	}
	p.sides[0].path, p.sides[1].path = p.sides[1].path, p.sides[0].path
	for _, s := range p.sides {
		if err := s.open(); err != nil {
			return nil, fmt.Errorf("%s opens the other's files: %w", s.engine, err)
		}
	}
	return p.compareCopies()
}
