//go:build cgo

// This file is about the files of both sides: copies, what each engine finds in
// them, and that they change hands.

package differ

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// suffixes of a side's files.
var suffixes = []string{"", "-wal", "b", "b-wal"}

// compareCopies has each engine read copies of both sides' files, taken while
// they are open.
func (p *pair) compareCopies() (*difference, error) {
	var dumps []string
	for _, s := range p.sides {
		for _, engine := range []string{ours, theirs} {
			to, err := p.copyOf(s)
			if err != nil {
				return nil, err
			}
			text, err := dump(engine, to)
			if err != nil {
				return nil, err
			}
			dumps = append(dumps, text)
			if err := os.RemoveAll(filepath.Dir(to)); err != nil {
				return nil, err
			}
		}
	}
	for i, text := range dumps[1:] {
		if text != dumps[0] {
			a, b := firstLine(dumps[0], text)
			return &difference{walnut: "Walnut reads its own files:\n" + a,
				c: []string{"C SQLite reads Walnut's files", "Walnut reads C SQLite's files", "C SQLite reads its own files"}[i] + ":\n" + b}, nil
		}
	}
	return nil, nil
}

// firstLine is where two texts begin to differ.
func firstLine(a, b string) (string, string) {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return as[i], bs[i]
		}
	}
	return a, b
}

// copyOf copies the files of a side as they are now, to a directory of its own.
func (p *pair) copyOf(s *side) (path string, err error) {
	dir, err := os.MkdirTemp(p.dir, "copy")
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "copy.db")
	for _, suffix := range suffixes {
		if err := copyFile(s.path+suffix, path+suffix); err != nil {
			return "", err
		}
	}
	return path, nil
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

// swap closes both sides, compares their files, and opens each on the files of
// the other.
func (p *pair) swap(all tally) (*difference, error) {
	for _, s := range p.sides {
		if err := s.close(); err != nil {
			return nil, fmt.Errorf("%s: close: %w", s.engine, err)
		}
		// Who has attached a database and not looked at it leaves its log.
		if _, err := dump(s.engine, s.path); err != nil {
			return nil, err
		}
		for _, suffix := range []string{"-wal", "b-wal"} {
			if info, err := os.Stat(s.path + suffix); err == nil && info.Size() > 0 {
				return nil, fmt.Errorf("%s leaves a log of %d bytes", s.engine, info.Size())
			}
		}
	}
	if d, err := p.compareBytes(all); d != nil || err != nil {
		return d, err
	}
	p.sides[0].path, p.sides[1].path = p.sides[1].path, p.sides[0].path
	for _, s := range p.sides {
		if err := s.open(); err != nil {
			return nil, fmt.Errorf("%s opens the other's files: %w", s.engine, err)
		}
	}
	return p.compareCopies()
}

// takeOver ends both sides as a kill would, whatever they have open, and has
// each go on with the files and the logs of the other.
func (p *pair) takeOver() (*difference, error) {
	if d, err := p.compareCopies(); d != nil || err != nil {
		return d, err
	}
	var taken [2]string
	for i, s := range p.sides {
		var err error
		if taken[i], err = p.copyOf(s); err != nil {
			return nil, err
		}
		if err := s.close(); err != nil {
			return nil, fmt.Errorf("%s: close: %w", s.engine, err)
		}
		for _, suffix := range suffixes {
			if err := os.Remove(s.path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
	}
	for i, s := range p.sides {
		s.path = taken[1-i]
		if err := s.open(); err != nil {
			return nil, fmt.Errorf("%s opens the other's files and logs: %w", s.engine, err)
		}
	}
	return p.compareCopies()
}

// compareBytes compares the closed database files, of which all is SQLite's doing.
func (p *pair) compareBytes(all tally) (*difference, error) {
	for _, suffix := range []string{"", "b"} {
		var files [2][]byte
		for i, s := range p.sides {
			var err error
			if files[i], err = os.ReadFile(s.path + suffix); err != nil {
				return nil, err
			}
		}
		if walnut, c := compareFiles(files, all); walnut != c {
			return &difference{walnut: "file " + suffix + ": " + walnut, c: c}, nil
		}
	}
	return nil, nil
}

// dump tells everything in the databases at path and at its sibling.
func dump(engine, path string) (string, error) {
	var b strings.Builder
	for _, path := range []string{path, path + "b"} {
		db, err := sql.Open(engine, dsn(engine, path))
		if err != nil {
			return "", err
		}
		db.SetMaxOpenConns(1)
		err = dumpOne(&b, db)
		if cerr := db.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return "", fmt.Errorf("%s reads %s: %w", engine, path, err)
		}
	}
	return b.String(), nil
}

func dumpOne(b *strings.Builder, db *sql.DB) error {
	c, err := db.Conn(background)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	k := &conn{Conn: c}
	for _, q := range []string{
		"PRAGMA integrity_check", "PRAGMA foreign_key_check", "PRAGMA user_version", "PRAGMA application_id", "PRAGMA schema_version", "PRAGMA page_size",
		"PRAGMA encoding", "PRAGMA auto_vacuum", "PRAGMA page_count", "PRAGMA freelist_count",
		"SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema ORDER BY rowid",
	} {
		fmt.Fprintf(b, "%s: %s\n", q, k.all(q))
	}
	rows, err := c.QueryContext(background, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_stat%' ORDER BY 1")
	if err != nil {
		return err
	}
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return errors.Join(err, rows.Close())
		}
		tables = append(tables, name)
	}
	if err := rows.Close(); err != nil {
		return err
	}
	for _, name := range tables {
		q := fmt.Sprintf("SELECT * FROM %q", name)
		lines := strings.SplitAfter(k.all(q), ";")
		slices.Sort(lines)
		fmt.Fprintf(b, "%s: %s\n", q, strings.Join(lines, ""))
	}
	return nil
}
