//go:build cgo

package differ

import (
	"fmt"
	"math/rand/v2"
)

type kind uint8

const (
	execute kind = iota
	query
	start
	next
	closeRows
	attach
	reconnect
	quietly  // all connections end what they have open; then the text runs
	copies   // the other engine opens a copy of the files
	exchange // the engines exchange their files
)

var kindNames = [...]string{"exec", "query", "start", "next", "close rows", "attach", "reconnect", "quietly", "copies", "exchange"}

// step is one step of a run. It makes sense in any state.
type step struct {
	kind kind
	conn int
	n    int // which cursor
	text string
}

func (s step) String() string {
	switch s.kind {
	case next, closeRows:
		return fmt.Sprintf("%d: %s %d", s.conn, kindNames[s.kind], s.n)
	case copies, exchange:
		return kindNames[s.kind]
	}
	return fmt.Sprintf("%d: %s %s", s.conn, kindNames[s.kind], s.text)
}

// setup is what a run begins with, by its page size.
func setup(rng *rand.Rand) []string {
	return []string{
		fmt.Sprintf("PRAGMA page_size=%d", 512<<rng.IntN(5)),
		fmt.Sprintf("PRAGMA auto_vacuum=%d", rng.IntN(3)),
		"PRAGMA journal_mode=WAL",
		"CREATE TABLE t(id INTEGER PRIMARY KEY, v, w TEXT UNIQUE, CHECK (v IS NULL OR v <> 13))",
		"CREATE TABLE wr(a TEXT, b INT, c GENERATED ALWAYS AS (b * 2) STORED, PRIMARY KEY (a, b)) WITHOUT ROWID",
		"CREATE TABLE child(id INTEGER PRIMARY KEY, p REFERENCES t(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED)",
		"CREATE TABLE audit(n INTEGER PRIMARY KEY, what TEXT)",
		"CREATE INDEX part ON t(v) WHERE v > 10",
		"CREATE INDEX expr ON t(length(w))",
		"CREATE TRIGGER ins AFTER INSERT ON t WHEN new.id % 4 = 0 BEGIN INSERT INTO audit(what) VALUES ('t ' || new.id); END",
		"CREATE TRIGGER del BEFORE DELETE ON wr BEGIN SELECT CASE WHEN old.b = 7 THEN raise(ABORT, 'seven') END; END",
		"CREATE VIEW sums AS SELECT count(*) AS n, sum(v) AS s FROM t",
		"INSERT INTO t(v, w) VALUES (1, 'a'), (2, 'b'), (3, 'c')",
	}
}

var reads = []string{
	"SELECT id, v, length(w) FROM t ORDER BY id",
	"SELECT id FROM t WHERE v > 10 ORDER BY id",
	"SELECT a, b, c FROM wr ORDER BY a, b",
	"SELECT * FROM child ORDER BY id",
	"SELECT * FROM audit ORDER BY n",
	"SELECT * FROM sums",
	"SELECT k FROM b.u ORDER BY k",
	"SELECT * FROM x ORDER BY 1",
	"SELECT a FROM tmp ORDER BY 1",
	"SELECT sum(length(w)) FROM t",
	"SELECT count(*) FROM t, wr",
	"SELECT changes(), total_changes()",
	"SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY name",
	"SELECT page_count > 2 FROM pragma_page_count",
	"PRAGMA integrity_check",
	"PRAGMA foreign_key_check",
	"PRAGMA user_version",
	"PRAGMA table_info(t)",
}

var ddl = []string{
	"CREATE TABLE x(a)", "DROP TABLE x", "CREATE INDEX i ON t(v)", "DROP INDEX i", "ALTER TABLE t ADD COLUMN extra DEFAULT 5",
	"ALTER TABLE t DROP COLUMN extra", "CREATE TEMP TABLE tmp(a)", "DROP TABLE temp.tmp", "CREATE VIEW vw AS SELECT count(*) FROM t",
	"DROP VIEW vw", "ALTER TABLE x RENAME TO y", "DROP TABLE y", "REINDEX", "ANALYZE", "VACUUM", "PRAGMA incremental_vacuum(3)", "PRAGMA user_version=3",
	"PRAGMA user_version=4", "PRAGMA cache_size=5", "PRAGMA cache_size=-2000", "PRAGMA cache_spill=1", "PRAGMA defer_foreign_keys=1", "PRAGMA recursive_triggers=1",
	"PRAGMA query_only=1", "PRAGMA query_only=0", "DETACH b",
}

// rowsOf is the beginning of a statement that has n rows, numbered i.
func rowsOf(n int) string {
	return fmt.Sprintf("WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM r WHERE i < %d) ", n)
}

func write(rng *rand.Rand) string {
	n, m := rng.IntN(30), rng.IntN(100)
	or := []string{"", " OR ROLLBACK", " OR ABORT", " OR FAIL", " OR IGNORE", " OR REPLACE"}[rng.IntN(6)]
	switch rng.IntN(22) {
	case 0:
		return fmt.Sprintf("INSERT%s INTO t(v, w) VALUES (%d, 'w%d')", or, n, m)
	case 1:
		return fmt.Sprintf("INSERT%s INTO t(id, v, w) VALUES (%d, %d, NULL), (%d, %d, 'w%d')", or, n, m, n+1, m, m)
	case 2:
		return fmt.Sprintf("UPDATE%s t SET v = v + %d", or, n)
	case 3:
		return fmt.Sprintf("UPDATE%s t SET id = id + 1 WHERE id < %d", or, n)
	case 4:
		return fmt.Sprintf("DELETE FROM t WHERE id = %d", n)
	case 5:
		return "DELETE FROM t WHERE id > 20"
	case 6: // the last of many large rows is not unique
		return fmt.Sprintf("%sINSERT%s INTO t(v, w) SELECT i, CASE WHEN i = 220 THEN 'w%d' ELSE hex(zeroblob(%d)) || i || '-%d' END FROM r", rowsOf(220), or, m, 100+10*m, n)
	case 7: // the check fails late
		return fmt.Sprintf("%sINSERT%s INTO t(v, w) SELECT CASE i WHEN %d THEN 13 ELSE i + 13 END, 'late' || i || '-%d' FROM r", rowsOf(40), or, n+10, m)
	case 8:
		return fmt.Sprintf("INSERT%s INTO wr(a, b) VALUES ('a%d', %d), ('a%d', %d)", or, n%5, m%10, n%4, m%9)
	case 9:
		return fmt.Sprintf("DELETE FROM wr WHERE b >= %d", m%10)
	case 10:
		return fmt.Sprintf("INSERT%s INTO child(p) VALUES (%d)", or, n)
	case 11:
		return fmt.Sprintf("INSERT INTO b.u VALUES (%d)", n)
	case 12:
		return "INSERT INTO b.u SELECT id FROM t WHERE id < 9"
	case 13:
		return fmt.Sprintf("INSERT INTO t(id, v) VALUES (%d, 1) ON CONFLICT(id) DO UPDATE SET v = v + 1 WHERE v < 50", n)
	case 14:
		return fmt.Sprintf("UPDATE t SET w = hex(zeroblob(%d)) || id WHERE id = %d", 40*m*m, n)
	case 15:
		return fmt.Sprintf("%sINSERT INTO t(v, w) SELECT i, hex(zeroblob(500 + i)) || '-%d-%d' FROM r", rowsOf(n), n, m)
	case 16:
		return fmt.Sprintf("INSERT INTO x VALUES (%d)", n)
	case 17:
		return fmt.Sprintf("INSERT INTO tmp VALUES (%d)", n)
	case 18:
		return fmt.Sprintf("DELETE FROM audit WHERE n %% 3 = %d", n%3)
	case 19:
		return fmt.Sprintf("UPDATE wr SET b = b + 1 WHERE a = 'a%d'", n%5)
	case 20:
		return "DELETE FROM b.u WHERE k % 2 = 0"
	}
	return fmt.Sprintf("INSERT INTO t(v) SELECT v FROM t WHERE id <= %d ORDER BY id", n)
}

var returning = []string{
	"INSERT INTO t(v) VALUES (7), (8) RETURNING id, v",
	"UPDATE t SET v = v + 1 WHERE id < 5 RETURNING id, v",
	"DELETE FROM wr WHERE b % 3 = 0 RETURNING a, b",
}

// draw draws a step.
func draw(rng *rand.Rand) step {
	s := step{conn: rng.IntN(connections), n: rng.IntN(3)}
	pick := func(k kind, list []string) step {
		s.kind, s.text = k, list[rng.IntN(len(list))]
		return s
	}
	switch k := rng.IntN(200); {
	case k < 50:
		return pick(query, reads)
	case k < 62:
		return pick(start, reads)
	case k < 65:
		return pick(start, returning)
	case k < 85:
		s.kind = next
	case k < 92:
		s.kind = closeRows
	case k < 130:
		s.kind, s.text = execute, write(rng)
	case k < 134:
		return pick(query, returning)
	case k < 142:
		return pick(execute, ddl)
	case k < 146:
		s.kind = attach
	case k < 165:
		return pick(execute, []string{"BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT s", "SAVEPOINT s", "SAVEPOINT r"})
	case k < 186:
		return pick(execute, []string{"COMMIT", "COMMIT", "ROLLBACK", "RELEASE s", "ROLLBACK TO s", "ROLLBACK TO s", "RELEASE r", "ROLLBACK TO r"})
	case k < 193:
		return pick(quietly, []string{"PRAGMA wal_checkpoint(PASSIVE)", "PRAGMA wal_checkpoint(FULL)", "PRAGMA wal_checkpoint(RESTART)", "PRAGMA wal_checkpoint(TRUNCATE)"})
	case k < 195:
		s.kind = reconnect
	case k < 198:
		s.kind = copies
	default:
		s.kind = exchange
	}
	return s
}
