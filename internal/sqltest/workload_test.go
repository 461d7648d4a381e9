// A random workload: SQL that both engines run alike. It follows from its seed
// and from nothing else, so that a failure can be run again.

package sqltest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// workload makes statements over a few tables.
type workload struct {
	*rand.Rand
	tables map[string]int // number of columns beside the key
	made   int
}

func newWorkload(r *rand.Rand) *workload { return &workload{Rand: r, tables: map[string]int{}} }

// value is an SQL expression that is the same in every SQLite. Blobs reach
// over many pages.
func (w *workload) value() string {
	switch w.IntN(8) {
	case 0:
		return "NULL"
	case 1, 2:
		return fmt.Sprint(w.Int64N(1 << 40))
	case 3:
		return fmt.Sprintf("%d.5", w.IntN(1000))
	case 4:
		return fmt.Sprintf("'%s'", strings.Repeat(string(rune('a'+w.IntN(26))), w.IntN(300)))
	case 5:
		return fmt.Sprintf("zeroblob(%d)", w.IntN(6000))
	default:
		return fmt.Sprintf("x'%s'", strings.Repeat(fmt.Sprintf("%02x", w.IntN(256)), 1+w.IntN(400)))
	}
}

// table picks one; the order of a map is not the seed's.
func (w *workload) table() (string, int) {
	for i := range w.made {
		name := fmt.Sprintf("t%d", (i+w.made)%w.made)
		if n, ok := w.tables[name]; ok && (w.IntN(2) == 0 || len(w.tables) == 1) {
			return name, n
		}
	}
	for i := range w.made {
		if n, ok := w.tables[fmt.Sprintf("t%d", i)]; ok {
			return fmt.Sprintf("t%d", i), n
		}
	}
	return "", 0
}

func (w *workload) create() string {
	name, cols := fmt.Sprintf("t%d", w.made), 1+w.IntN(3)
	w.made++
	w.tables[name] = cols
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE %s(id INTEGER PRIMARY KEY", name)
	for i := range cols {
		fmt.Fprintf(&b, ", c%d", i)
	}
	b.WriteString(")")
	return b.String()
}

// insert adds up to n rows in one statement.
func (w *workload) insert(n int) string {
	name, cols := w.table()
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT OR REPLACE INTO %s VALUES ", name)
	for i := range 1 + w.IntN(n) {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "(%d", w.IntN(400))
		for range cols {
			b.WriteString(", " + w.value())
		}
		b.WriteString(")")
	}
	return b.String()
}

// change is one statement that is allowed inside a transaction.
func (w *workload) change() string {
	if len(w.tables) == 0 {
		return w.create()
	}
	name, cols := w.table()
	switch w.IntN(16) {
	case 0:
		if len(w.tables) < 5 {
			return w.create()
		}
		delete(w.tables, name)
		return "DROP TABLE " + name
	case 1:
		return fmt.Sprintf("CREATE INDEX IF NOT EXISTS i%s_%d ON %s(c%d)", name, w.IntN(cols), name, w.IntN(cols))
	case 2, 3:
		return fmt.Sprintf("DELETE FROM %s WHERE id %% %d = 0", name, 1+w.IntN(6))
	case 4, 5, 6:
		return fmt.Sprintf("UPDATE %s SET c%d = %s WHERE id %% %d = 1", name, w.IntN(cols), w.value(), 1+w.IntN(9))
	case 7:
		return fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i+1 FROM n LIMIT %d) INSERT OR IGNORE INTO %s(id, c0) SELECT i, hex(zeroblob(i%%200)) FROM n",
			1000+w.IntN(1000), 1+w.IntN(600), name)
	case 8:
		return fmt.Sprintf("PRAGMA user_version = %d", w.IntN(1000))
	default:
		return w.insert(12)
	}
}

// large is a transaction of some megabytes.
func (w *workload) large() (kind string, sql []string) {
	for len(w.tables) == 0 {
		sql = append(sql, w.create())
	}
	name, _ := w.table()
	sql = append(sql, "BEGIN")
	for i := range 4 {
		sql = append(sql, fmt.Sprintf("INSERT OR REPLACE INTO %s(id, c0) VALUES(%d, zeroblob(%d))", name, i, 300_000+w.IntN(100_000)), w.insert(20))
	}
	return "large", append(sql, "COMMIT")
}

// afterLarge takes the large rows away again.
func (w *workload) afterLarge() (kind string, sql []string) {
	for i := range w.made {
		if name := fmt.Sprintf("t%d", i); w.tables[name] > 0 {
			sql = append(sql, "DELETE FROM "+name+" WHERE id < 4")
		}
	}
	return "delete large", append(sql, "VACUUM")
}

// step is one transaction, with its name for the report.
func (w *workload) step() (kind string, sql []string) {
	switch n := w.IntN(20); {
	case n < 9 || len(w.tables) == 0:
		return "autocommit", []string{w.change()}
	case n == 9:
		return "vacuum", []string{"VACUUM"}
	case n == 10:
		return "incremental vacuum", []string{"PRAGMA incremental_vacuum"}
	case n < 14:
		// What is rolled back must not count as a table of the workload.
		saved, made := w.snapshot(), w.made
		sql = append(sql, "BEGIN IMMEDIATE")
		for range 1 + w.IntN(5) {
			sql = append(sql, w.change())
		}
		w.tables, w.made = saved, made
		return "rollback", append(sql, "ROLLBACK")
	case n < 16:
		sql = append(sql, "BEGIN", w.change(), "SAVEPOINT a")
		saved := w.snapshot()
		sql = append(sql, w.change(), "SAVEPOINT b", w.change(), w.change(), "ROLLBACK TO a")
		w.tables = saved
		return "savepoint", append(sql, w.change(), "RELEASE a", w.change(), "COMMIT")
	default:
		sql = append(sql, "BEGIN")
		for range 1 + w.IntN(8) {
			sql = append(sql, w.change())
		}
		return "commit", append(sql, "COMMIT")
	}
}

func (w *workload) snapshot() map[string]int {
	m := map[string]int{}
	for k, v := range w.tables {
		m[k] = v
	}
	return m
}

// listing is a script that shows the whole content of a database.
func (w *workload) listing() []string {
	q := []string{
		"SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master ORDER BY rowid",
		"PRAGMA user_version", "PRAGMA page_count", "PRAGMA freelist_count",
	}
	for i := range w.made {
		name := fmt.Sprintf("t%d", i)
		cols, ok := w.tables[name]
		if !ok {
			continue
		}
		s := "SELECT id"
		for c := range cols {
			s += fmt.Sprintf(", quote(c%d)", c)
		}
		q = append(q, s+" FROM "+name+" NOT INDEXED ORDER BY id")
	}
	return append(q, "PRAGMA integrity_check")
}
