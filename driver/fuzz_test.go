// Damaged databases in SQL: whatever the bytes are, statements give rows or
// errors, and the database can be closed.

package driver

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// damaged is a small database with a log, copied while it was in use.
func damaged(f *testing.F) (db, log []byte) {
	f.Helper()
	path := filepath.Join(f.TempDir(), "a.db")
	s, err := sql.Open("walnut", "file:"+path+"?_pragma=page_size(512)&_pragma=wal_autocheckpoint(0)")
	if err != nil {
		f.Fatal(err)
	}
	defer s.Close()
	mustExec(f, s, "CREATE TABLE x(a INTEGER PRIMARY KEY, b TEXT UNIQUE, c BLOB); CREATE INDEX i ON x(c)")
	mustExec(f, s, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 30) INSERT INTO x SELECT i, 'text ' || i, zeroblob(40 * i) FROM n")
	mustExec(f, s, "PRAGMA wal_checkpoint")
	mustExec(f, s, "UPDATE x SET b = 'changed ' || a WHERE a % 3 = 0; DELETE FROM x WHERE a > 25")
	for suffix, to := range map[string]*[]byte{"": &db, "-wal": &log} {
		b, err := os.ReadFile(path + suffix)
		if err != nil {
			f.Fatal(err)
		}
		*to = b
	}
	return db, log[:min(len(log), 32+16*536)]
}

// FuzzDamaged: changes are triples of an offset, in the database file with the
// log behind it, and a byte to be put there.
func FuzzDamaged(f *testing.F) {
	db, log := damaged(f)
	f.Add([]byte{}, true)
	f.Add([]byte{0, 16, 255, 0, 17, 255}, false) // the page size
	f.Add([]byte{0, 100, 2, 0, 101, 255}, false) // the root of the schema
	f.Add([]byte{2, 3, 255, 2, 5, 0, 2, 8, 1}, false)
	f.Add([]byte{0, 28, 127, 0, 31, 1, 0, 55, 3}, true)
	f.Fuzz(func(t *testing.T, changes []byte, withLog bool) {
		both := slices.Concat(db, log)
		for c := range slices.Chunk(changes, 3) {
			if len(c) == 3 {
				both[(int(c[0])<<8|int(c[1]))%len(both)] = c[2]
			}
		}
		path := filepath.Join(t.TempDir(), "a.db")
		if err := os.WriteFile(path, both[:len(db)], 0o600); err != nil {
			t.Fatal(err)
		}
		if withLog {
			if err := os.WriteFile(path+"-wal", both[len(db):], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		useDamaged(t, path)
	})
}

// useDamaged runs some statements. Their errors are no matter.
func useDamaged(t *testing.T, path string) {
	s, err := sql.Open("walnut", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"SELECT * FROM x", "PRAGMA integrity_check", "INSERT INTO x(b, c) VALUES ('new', 'x')",
		"UPDATE x SET c = b WHERE a < 9", "SELECT count(*) FROM x WHERE c > 'a'", "PRAGMA wal_checkpoint(TRUNCATE)"} {
		rows, err := s.QueryContext(context.Background(), q)
		if err != nil {
			continue
		}
		for rows.Next() {
		}
		_ = rows.Close()
	}
	_ = s.Close()
	if n := s.Stats().OpenConnections; n != 0 {
		t.Errorf("%d connections are left open", n)
	}
}
