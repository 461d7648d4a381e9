//go:build cgo

// This file makes up tables and statements on them: what steps_test.go has by
// hand, in combinations that nobody thought of.

package differ

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// table is one that a seed made up. Its first column is always the integer id.
type table struct {
	name  string // with the database before it, if it is not the main one
	rowid bool
	cols  []column // behind id, those that statements write
}

// column knows an expression for its value in row i, and one that a constraint
// refuses.
type column struct {
	name string
	good func(i string, n int) string
	bad  string // "" if there is none
}

// kinds of columns; $T is the table that a foreign key refers to.
var columnKinds = []struct {
	decl string
	good func(i string, n int) string
	bad  string
}{
	{"INT", func(i string, n int) string { return fmt.Sprintf("(%s * 37 + %d) %% 11", i, n) }, ""},
	{"INT NOT NULL DEFAULT 3", func(i string, n int) string { return fmt.Sprintf("%s + %d", i, n) }, "NULL"},
	{"INT UNIQUE", func(i string, n int) string { return fmt.Sprintf("%s + %d", i, 100*n) }, "(1 + 100)"},
	{"TEXT CHECK (length($C) < 3000)", func(i string, n int) string { return fmt.Sprintf("hex(zeroblob(%d + %s %% 9))", 11*n, i) }, "hex(zeroblob(2000))"},
	{"BLOB", func(i string, n int) string { return fmt.Sprintf("zeroblob(%d + 50 * (%s %% 7))", 90*n, i) }, ""},
	{"TEXT COLLATE NOCASE UNIQUE", func(i string, n int) string { return fmt.Sprintf("'Key ' || %s || '-%d'", i, n) }, "'KEY 1-1'"},
	{"REAL", func(i string, n int) string { return fmt.Sprintf("%s / %d.5", i, n) }, ""},
	{"ANY", func(i string, n int) string {
		return fmt.Sprintf("CASE %s %% 4 WHEN 0 THEN NULL WHEN 1 THEN %d WHEN 2 THEN 'v%d' ELSE x'00ff' END", i, n, n)
	}, ""},
	{"INT REFERENCES $T(id) ON DELETE CASCADE", reference, "-5"},
	{"INT REFERENCES $T(id) ON DELETE SET NULL ON UPDATE CASCADE", reference, "-5"},
	{"INT REFERENCES $T(id) DEFERRABLE INITIALLY DEFERRED", reference, "-5"},
	{"INT DEFAULT 1 REFERENCES $T(id) ON DELETE SET DEFAULT ON UPDATE RESTRICT", reference, "-5"},
}

func reference(i string, n int) string {
	return fmt.Sprintf("nullif(%s %% 5, %d)", i, n%5)
}

// invent makes up tables, some in database b; all is drawn from rng.
func invent(rng *rand.Rand) (create []string, tables []table) {
	parents := map[string]string{"": "t", "b.": ""}
	for n := range 2 + rng.IntN(3) {
		prefix := ""
		if rng.IntN(3) == 0 {
			prefix = "b."
		}
		t := table{name: fmt.Sprintf("%sg%d", prefix, n), rowid: rng.IntN(3) > 0}
		create = append(create, t.invent(rng, parents[prefix]))
		tables = append(tables, t)
		if !strings.Contains(create[len(create)-1], "(id, c0)") { // a key of its own
			parents[prefix] = t.bare()
		}
		indexes := t.indexes(rng)
		if len(indexes) == 0 && !t.rowid {
			// See the package comment on REPLACE.
			indexes = append(indexes, fmt.Sprintf("CREATE INDEX %si%s_only ON %s(c0)", prefix, t.bare(), t.bare()))
		}
		create = append(create, indexes...)
	}
	for _, t := range tables {
		create = append(create, t.triggers(rng, tables)...)
	}
	return create, tables
}

func (t *table) bare() string { return strings.TrimPrefix(t.name, "b.") }

// invent chooses the columns and returns the statement that creates the table.
func (t *table) invent(rng *rand.Rand, parent string) string {
	decls := []string{"id INTEGER PRIMARY KEY" + []string{"", " AUTOINCREMENT", " DESC"}[rng.IntN(3)]}
	if !t.rowid {
		decls[0] = "id INT NOT NULL"
	}
	for n := range 1 + rng.IntN(4) {
		kind := columnKinds[rng.IntN(len(columnKinds))]
		c := column{name: fmt.Sprintf("c%d", n), good: kind.good, bad: kind.bad}
		to := parent
		if to == "" || rng.IntN(4) == 0 {
			to = t.bare()
		}
		decls = append(decls, c.name+" "+strings.NewReplacer("$C", c.name, "$T", to).Replace(kind.decl))
		t.cols = append(t.cols, c)
	}
	switch rng.IntN(3) {
	case 0:
		decls = append(decls, fmt.Sprintf("gen GENERATED ALWAYS AS (length(%s) + id) VIRTUAL", t.column(rng)))
	case 1:
		decls = append(decls, fmt.Sprintf("gen AS (coalesce(%s, 'none') || id) STORED", t.column(rng)))
	}
	options := ""
	if !t.rowid {
		options = " WITHOUT ROWID"
		decls = append(decls, []string{"PRIMARY KEY (id)", "PRIMARY KEY (id DESC)", "PRIMARY KEY (id, c0)"}[rng.IntN(3)])
	}
	return fmt.Sprintf("CREATE TABLE %s(%s)%s", t.name, strings.Join(decls, ", "), options)
}

func (t *table) column(rng *rand.Rand) string { return t.cols[rng.IntN(len(t.cols))].name }

func (t *table) indexes(rng *rand.Rand) (create []string) {
	prefix := strings.TrimSuffix(t.name, t.bare())
	for n := range rng.IntN(4) {
		a, b := t.column(rng), t.column(rng)
		on := []string{
			fmt.Sprintf("(%s)", a), fmt.Sprintf("(%s DESC, %s)", a, b), fmt.Sprintf("(%s, %s, id)", a, b), fmt.Sprintf("(%s) WHERE id %% 2 = 0", a),
			fmt.Sprintf("(%s) WHERE %s IS NOT NULL", a, b), fmt.Sprintf("(length(%s), id)", a), fmt.Sprintf("(quote(%s))", a), "(gen)",
		}[rng.IntN(8)]
		unique := ""
		if rng.IntN(5) == 0 {
			unique = "UNIQUE "
		}
		create = append(create, fmt.Sprintf("CREATE %sINDEX %si%s_%d ON %s%s", unique, prefix, t.bare(), n, t.bare(), on))
	}
	return create
}

// triggers writes to audit, to itself or to other tables of its database; what
// calls itself is bounded.
func (t *table) triggers(rng *rand.Rand, all []table) (create []string) {
	prefix := strings.TrimSuffix(t.name, t.bare())
	other := all[rng.IntN(len(all))]
	if !strings.HasPrefix(other.name, prefix) || prefix == "" && strings.HasPrefix(other.name, "b.") {
		other = *t // a trigger stays in its database
	}
	for n := range rng.IntN(3) {
		row := "new"
		event := []string{"INSERT", "UPDATE", "DELETE", "UPDATE OF " + t.column(rng)}[rng.IntN(4)]
		if event == "DELETE" {
			row = "old"
		}
		action := []string{"ABORT", "FAIL", "ROLLBACK"}[rng.IntN(3)]
		m := 2 + rng.IntN(40)
		body := []string{
			fmt.Sprintf("SELECT raise(%s, 'by the trigger') WHERE %s.id %% %d = %d", action, row, m, m-1),
			fmt.Sprintf("SELECT raise(IGNORE) WHERE %s.id %% %d = 1", row, m),
			fmt.Sprintf("INSERT OR IGNORE INTO %s(id) VALUES (%s.id + 1)", t.bare(), row),
			fmt.Sprintf("UPDATE %s SET %s = NULL WHERE id = %s.id + 1", t.bare(), t.column(rng), row),
			fmt.Sprintf("DELETE FROM %s WHERE id = %s.id - %d", other.bare(), row, m),
			fmt.Sprintf("INSERT INTO log%d(what) VALUES (%s.id)", rng.IntN(2), row),
		}[rng.IntN(6)]
		create = append(create, fmt.Sprintf("CREATE TRIGGER %str%s_%d %s %s ON %s WHEN %s.id %% 10 < %d BEGIN %s; END",
			prefix, t.bare(), n, []string{"BEFORE", "AFTER"}[rng.IntN(2)], event, t.bare(), row, 1+rng.IntN(8), body))
	}
	return create
}

// write is a statement that changes the table.
func (t *table) write(rng *rand.Rand) string {
	or := conflicts[rng.IntN(len(conflicts))]
	n, m := 1+rng.IntN(30), 2+rng.IntN(7)
	switch rng.IntN(9) {
	case 0, 1, 2, 3:
		return t.insert(rng, or)
	case 4:
		c := t.cols[rng.IntN(len(t.cols))]
		return fmt.Sprintf("UPDATE%s %s SET %s = %s WHERE id %% %d = 1", or, t.name, c.name, t.value(rng, c, "id", fmt.Sprint(3*n)), m)
	case 5:
		return fmt.Sprintf("UPDATE%s %s SET id = id + %d WHERE id > %d", or, t.name, 1+rng.IntN(3), n)
	case 6:
		return fmt.Sprintf("DELETE FROM %s WHERE id %% %d = 0", t.name, m)
	case 7:
		return fmt.Sprintf("DELETE FROM %s WHERE id BETWEEN %d AND %d", t.name, n, 8*n)
	}
	return fmt.Sprintf("UPDATE %s AS a SET %s = b.id FROM %s AS b WHERE b.id = a.id + %d", t.name, t.column(rng), t.name, m)
}

func (t *table) returning(rng *rand.Rand) string { return " RETURNING id, " + t.column(rng) }

// value is what the column gets in row i; one time in four the row last gets
// what a constraint refuses.
func (t *table) value(rng *rand.Rand, c column, i, last string) string {
	good := c.good(i, 1+rng.IntN(9))
	if c.bad == "" || rng.IntN(4) > 0 {
		return good
	}
	return fmt.Sprintf("CASE WHEN %s = %s THEN %s ELSE %s END", i, last, c.bad, good)
}

func (t *table) insert(rng *rand.Rand, or string) string {
	return t.insertFrom(rng, or, []int{1, 2, 5, 40, 220}[rng.IntN(5)], "")
}

// insertFrom inserts rows; a condition on them, if there is one, takes the place
// of an upsert.
func (t *table) insertFrom(rng *rand.Rand, or string, rows int, where string) string {
	var names, values []string
	if !t.rowid || rng.IntN(2) == 0 {
		names, values = append(names, "id"), append(values, fmt.Sprintf("i + %d", rng.IntN(60)))
	}
	for _, c := range t.cols {
		if len(names) == 0 || rng.IntN(5) > 0 {
			names, values = append(names, c.name), append(values, t.value(rng, c, "i", fmt.Sprint(rows)))
		}
	}
	upsert := where
	switch c, n := t.column(rng), rng.IntN(8); {
	case where != "":
	case n == 0:
		upsert = fmt.Sprintf(" WHERE true ON CONFLICT DO UPDATE SET %s = excluded.%s", c, c)
	case n == 1:
		upsert = " WHERE true ON CONFLICT DO NOTHING"
	case n == 2:
		upsert = fmt.Sprintf(" WHERE true ON CONFLICT (id) DO UPDATE SET %s = NULL WHERE id %% 3 > 0", c)
	}
	return fmt.Sprintf("%sINSERT%s INTO %s(%s) SELECT %s FROM r%s", rowsOf(rows), or, t.name, strings.Join(names, ", "), strings.Join(values, ", "), upsert)
}

// read is a query on the table; its rows have one order.
func (t *table) read(rng *rand.Rand, all []table) string {
	c, n := t.column(rng), rng.IntN(50)
	other := all[rng.IntN(len(all))]
	switch rng.IntN(9) {
	case 0, 1:
		return fmt.Sprintf("SELECT * FROM %s ORDER BY id, %s", t.name, t.cols[0].name)
	case 2:
		return fmt.Sprintf("SELECT count(*), sum(length(%s)), max(id) FROM %s", c, t.name)
	case 3:
		return fmt.Sprintf("SELECT id FROM %s WHERE %s > %d ORDER BY id", t.name, c, n)
	case 4:
		return fmt.Sprintf("SELECT quote(%s), count(*) FROM %s GROUP BY 1 ORDER BY 1", c, t.name)
	case 5:
		return fmt.Sprintf("SELECT count(*), total(a.id) FROM %s AS a JOIN %s AS b ON a.id = b.%s", other.name, t.name, c)
	case 6:
		return fmt.Sprintf("SELECT id, sum(id) OVER (ORDER BY id ROWS 2 PRECEDING) FROM %s WHERE id < %d ORDER BY id", t.name, n)
	case 7:
		return fmt.Sprintf("SELECT id, gen FROM %s WHERE id %% 2 = 0 ORDER BY id DESC", t.name)
	}
	return fmt.Sprintf("SELECT id FROM %s WHERE EXISTS (SELECT 1 FROM %s AS o WHERE o.id = %s) ORDER BY id", t.name, other.name, c)
}

// alter changes the schema of the table.
func (t *table) alter(rng *rand.Rand) string {
	c := t.column(rng)
	return []string{
		fmt.Sprintf("ALTER TABLE %s ADD COLUMN late DEFAULT %d", t.name, rng.IntN(9)),
		fmt.Sprintf("ALTER TABLE %s DROP COLUMN late", t.name),
		fmt.Sprintf("ALTER TABLE %s RENAME COLUMN %s TO renamed", t.name, c),
		fmt.Sprintf("ALTER TABLE %s RENAME COLUMN renamed TO %s", t.name, c),
		fmt.Sprintf("CREATE INDEX IF NOT EXISTS %slater ON %s(%s)", strings.TrimSuffix(t.name, t.bare()), t.bare(), c),
		fmt.Sprintf("DROP INDEX IF EXISTS %slater", strings.TrimSuffix(t.name, t.bare())),
		fmt.Sprintf("CREATE TEMP TRIGGER IF NOT EXISTS temporary AFTER DELETE ON %s BEGIN DELETE FROM audit WHERE n = old.id; END", t.name),
		fmt.Sprintf("REINDEX %s", t.name),
		fmt.Sprintf("DROP TABLE IF EXISTS %s", t.name),
	}[rng.IntN(9)]
}
