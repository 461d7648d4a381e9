// Damaged databases beside SQLite on its own pager and log: Walnut may refuse to
// open more than SQLite does, but what it opens has the same content, and the same
// damage.

package driver

import (
	"errors"
	"fmt"
	"hash/crc32"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/ncruces/go-sqlite3"
)

// FuzzDamagedBesideSQLite has the inputs of FuzzDamaged.
func FuzzDamagedBesideSQLite(f *testing.F) {
	db, log := damaged(f)
	addDamage(f, len(db))
	f.Fuzz(func(t *testing.T, changes []byte, how byte) {
		files := damage(db, log, changes, how)
		ours := ask(t, memoryConnector(t, files).uri)
		if ours == nil {
			return
		}
		path := filepath.Join(t.TempDir(), "a.db")
		for suffix, b := range files {
			if err := os.WriteFile(path+suffix, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		theirs := ask(t, "file:"+(&url.URL{Path: path}).EscapedPath()+"?vfs=os")
		if theirs == nil {
			t.Fatal("SQLite cannot open what Walnut opens")
		}
		for i, our := range ours {
			if theirs[i].other {
				continue
			}
			if their := theirs[i]; our.rows != their.rows && !(our.failed && their.failed) {
				t.Errorf("%s: Walnut says %s, SQLite %s", questions[i], our, their)
			}
		}
	})
}

var questions = []string{"SELECT * FROM x", "SELECT count(*) FROM x WHERE c > 'a'", "PRAGMA page_count", "PRAGMA integrity_check"}

// answer is what a database says to a question. The rows before an error do not
// count: Walnut finds on opening what SQLite finds when it comes to a page.
type answer struct {
	rows   string
	failed bool
	other  bool // failed, and not because of damage: a size that no file has
}

func (a answer) String() string {
	if a.failed {
		return "error " + a.rows
	}
	return a.rows
}

// ask puts the questions; nil, the database cannot be opened.
func ask(t *testing.T, uri string) []answer {
	c, err := sqlite3.Open(uri)
	if err != nil {
		return nil
	}
	all := make([]answer, len(questions))
	for i, q := range questions {
		rows := ""
		s, _, err := c.Prepare(q)
		if err == nil {
			for s.Step() {
				for i := range s.ColumnCount() {
					rows += fmt.Sprintf(" %s", short(s.ColumnText(i)))
				}
				rows += ";"
			}
			err = s.Close()
		}
		if err != nil {
			rows = err.Error()
		}
		damage := errors.Is(err, sqlite3.CORRUPT) || errors.Is(err, sqlite3.NOTADB)
		all[i] = answer{rows, err != nil, err != nil && !damage}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	return all
}

// short is a text, or what tells a long one from another.
func short(s string) string {
	if len(s) < 60 {
		return strconv.Quote(s)
	}
	return fmt.Sprintf("%d bytes %x", len(s), crc32.ChecksumIEEE([]byte(s)))
}
