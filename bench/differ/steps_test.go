//go:build cgo

// This file draws a run from its seed.

package differ

import (
	"fmt"
	"math/rand/v2"
)

type kind uint8

const (
	execute kind = iota
	change       // execute, and how many rows were changed
	query
	prepared // query, through a statement that is kept
	start
	next
	closeRows
	attach
	reconnect
	version    // whether PRAGMA data_version has changed
	checkpoint // all connections end what they have open; then the text runs
	beside     // the checkpoint runs beside whatever the others have open
	interrupt  // the context of the statement ends in the middle of it
	cancel     // the context of an open query ends between two rows
	copies     // each engine opens copies of the files of both
	exchange   // the engines close, and exchange their files
	takeover   // the engines end as if killed, and each goes on with the other's file and log
)

var kindNames = [...]string{
	"exec", "exec", "query", "prepared", "start", "next", "close rows", "attach", "reconnect", "data_version", "quietly", "beside", "interrupt", "cancel", "copies", "exchange", "take over",
}

// step is one step of a run. It makes sense in any state.
type step struct {
	kind kind
	conn int
	n    int  // which cursor; which call of halt() interrupts
	late bool // the statement need not notice before it ends
	text string
}

func (s step) String() string {
	switch s.kind {
	case interrupt:
		return fmt.Sprintf("%d: %s at call %d, late %t: %s", s.conn, kindNames[s.kind], s.n, s.late, s.text)
	case next, closeRows, cancel:
		return fmt.Sprintf("%d: %s %d", s.conn, kindNames[s.kind], s.n)
	case attach, reconnect, version:
		return fmt.Sprintf("%d: %s", s.conn, kindNames[s.kind])
	case copies, exchange, takeover:
		return kindNames[s.kind]
	}
	return fmt.Sprintf("%d: %s %s", s.conn, kindNames[s.kind], s.text)
}

// plan is what a run is made of.
type plan struct {
	create   []string // makes the databases; $F is the main one's file
	connect  []string // of each connection
	txBytes  int64    // Walnut spills a transaction that is larger
	pool     int64    // bytes of Walnut's pool
	tables   []table
	steps    []step
	attached bool // the connections begin with both databases
}

// script makes the plan of a seed.
func script(seed uint64, steps int) *plan {
	rng := rand.New(rand.NewPCG(seed, 4))
	p := &plan{attached: rng.IntN(3) > 0}
	p.create = []string{
		fmt.Sprintf("PRAGMA page_size=%d", 512<<rng.IntN(6)),
		fmt.Sprintf("PRAGMA auto_vacuum=%d", rng.IntN(3)),
		fmt.Sprintf("PRAGMA encoding=%s", []string{"'UTF-8'", "'UTF-8'", "'UTF-16le'"}[rng.IntN(3)]),
	}
	p.create = append(p.create, "ATTACH '$Fb' AS b",
		fmt.Sprintf("PRAGMA b.page_size=%d", 512<<rng.IntN(6)),
		fmt.Sprintf("PRAGMA b.auto_vacuum=%d", rng.IntN(3)),
		"PRAGMA journal_mode=WAL", "PRAGMA b.journal_mode=WAL")
	p.create = append(p.create, setup...)
	create, tables := invent(rng)
	p.create, p.tables = append(p.create, create...), tables
	if p.attached {
		p.connect = []string{"ATTACH '$Fb' AS b"}
	}
	p.connect = append(p.connect,
		fmt.Sprintf("PRAGMA cache_size=%d", []int{1, 5, 20, -2000}[rng.IntN(4)]),
		fmt.Sprintf("PRAGMA recursive_triggers=%d", rng.IntN(2)),
		fmt.Sprintf("PRAGMA synchronous=%s", []string{"OFF", "OFF", "NORMAL", "FULL"}[rng.IntN(4)]),
		"PRAGMA secure_delete=1", // what is not used has one content
	)
	// SQLite writes to the file before the commit if its cache is small; Walnut
	// to its log if the transaction is large.
	p.txBytes = []int64{1, 64 << 10, 0}[rng.IntN(3)]
	p.pool = []int64{256 << 10, 0}[rng.IntN(2)]
	for range steps {
		p.steps = append(p.steps, p.draw(rng))
	}
	return p
}

// setup is what every run has beside the tables that were made up.
var setup = []string{
	"PRAGMA application_id=77",
	"CREATE TABLE b.u(k)",
	"CREATE TABLE b.log0(id INTEGER PRIMARY KEY, what)",
	"CREATE TABLE b.log1(id INTEGER PRIMARY KEY AUTOINCREMENT, what UNIQUE)",
	"CREATE TABLE log0(id INTEGER PRIMARY KEY, what)",
	"CREATE TABLE log1(id INTEGER PRIMARY KEY AUTOINCREMENT, what UNIQUE)",
	"CREATE TABLE t(id INTEGER PRIMARY KEY, v, w TEXT UNIQUE, CHECK (v IS NULL OR v <> 13))",
	"CREATE TABLE wr(a TEXT, b INT, c GENERATED ALWAYS AS (b * 2) STORED, PRIMARY KEY (a, b)) WITHOUT ROWID",
	"CREATE TABLE child(id INTEGER PRIMARY KEY, p REFERENCES t(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED)",
	"CREATE TABLE audit(n INTEGER PRIMARY KEY, what TEXT)",
	"CREATE INDEX wr_only ON wr(b)", // see the package comment on REPLACE
	"CREATE INDEX part ON t(v) WHERE v > 10",
	"CREATE INDEX expr ON t(length(w))",
	"CREATE TRIGGER ins AFTER INSERT ON t WHEN new.id % 4 = 0 BEGIN INSERT INTO audit(what) VALUES ('t ' || new.id); END",
	"CREATE TRIGGER del BEFORE DELETE ON wr BEGIN SELECT CASE WHEN old.b = 7 THEN raise(ABORT, 'seven') END; END",
	"CREATE TRIGGER again AFTER INSERT ON audit WHEN new.n % 5 > 0 BEGIN INSERT INTO audit(what) VALUES ('again'); END",
	"CREATE VIEW sums AS SELECT count(*) AS n, sum(v) AS s FROM t",
	"CREATE TRIGGER into_view INSTEAD OF INSERT ON sums BEGIN INSERT INTO t(v) VALUES (new.n); END",
	"INSERT INTO t(v, w) VALUES (1, 'a'), (2, 'b'), (3, 'c')",
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
	"SELECT count(*) FROM t JOIN b.u ON t.id = u.k",
	"SELECT changes(), total_changes(), last_insert_rowid()",
	"SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY name",
	"SELECT name FROM pragma_database_list ORDER BY seq",
	"PRAGMA integrity_check",
	"PRAGMA foreign_key_check",
	"PRAGMA user_version",
	"PRAGMA table_info(t)",
}

var ddl = []string{
	"CREATE TABLE x(a)", "DROP TABLE x", "CREATE INDEX i ON t(v)", "DROP INDEX i", "ALTER TABLE t ADD COLUMN extra DEFAULT 5",
	"ALTER TABLE t DROP COLUMN extra", "CREATE TEMP TABLE tmp(a)", "DROP TABLE temp.tmp", "CREATE VIEW vw AS SELECT count(*) FROM t",
	"DROP VIEW vw", "ALTER TABLE x RENAME TO y", "DROP TABLE y", "REINDEX", "VACUUM", "VACUUM b",
	"PRAGMA user_version=3", "PRAGMA user_version=4", "PRAGMA b.user_version=5", "PRAGMA application_id=78", "PRAGMA cache_size=5", "PRAGMA cache_size=-2000",
	"PRAGMA cache_spill=1", "PRAGMA cache_spill=0", "PRAGMA shrink_memory", "PRAGMA defer_foreign_keys=1", "PRAGMA foreign_keys=0", "PRAGMA foreign_keys=1",
	"PRAGMA recursive_triggers=1", "PRAGMA recursive_triggers=0", "PRAGMA query_only=1", "PRAGMA query_only=0", "PRAGMA query_only=0", "DETACH b",
}

// rowsOf is the beginning of a statement that has n rows, numbered i.
func rowsOf(n int) string {
	return fmt.Sprintf("WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM r WHERE i < %d) ", n)
}

var conflicts = []string{"", " OR ROLLBACK", " OR ABORT", " OR FAIL", " OR IGNORE", " OR REPLACE"}

func write(rng *rand.Rand) string {
	n, m := rng.IntN(30), rng.IntN(100)
	or := conflicts[rng.IntN(len(conflicts))]
	switch rng.IntN(26) {
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
	case 21:
		return fmt.Sprintf("INSERT INTO sums(n) VALUES (%d)", n)
	case 22: // much, and gone again
		return fmt.Sprintf("%sINSERT INTO b.u SELECT zeroblob(%d + i) FROM r", rowsOf(60), 30*m)
	case 23:
		return "DELETE FROM b.u"
	case 24:
		return "DELETE FROM t WHERE id > 2"
	}
	return fmt.Sprintf("INSERT INTO t(v) SELECT v FROM t WHERE id <= %d ORDER BY id", n)
}

var returning = []string{
	"INSERT INTO t(v) VALUES (7), (8) RETURNING id, v",
	"UPDATE t SET v = v + 1 WHERE id < 5 RETURNING id, v",
	"DELETE FROM wr WHERE b % 3 = 0 RETURNING a, b",
}

// vacuum has a row for each page; one of the drivers executes to the first row.
var vacuum = []string{"PRAGMA incremental_vacuum(3)", "PRAGMA incremental_vacuum", "PRAGMA b.incremental_vacuum(2)"}

// draw draws a step.
func (p *plan) draw(rng *rand.Rand) step {
	s := step{conn: rng.IntN(connections), n: rng.IntN(3)}
	pick := func(k kind, list ...string) step {
		s.kind, s.text = k, list[rng.IntN(len(list))]
		return s
	}
	one := p.tables[rng.IntN(len(p.tables))]
	read := append(reads[:len(reads):len(reads)], make([]string, len(reads))...)
	for i := len(reads); i < len(read); i++ {
		read[i] = one.read(rng, p.tables)
	}
	switch k := rng.IntN(212); {
	case k < 35:
		return pick(query, read...)
	case k < 47:
		return pick(prepared, read...)
	case k < 59:
		return pick(start, read...)
	case k < 62:
		return pick(start, append(returning, one.write(rng)+one.returning(rng))...)
	case k < 79:
		s.kind = next
	case k < 85:
		s.kind = closeRows
	case k < 105:
		return pick(change, write(rng))
	case k < 128:
		return pick(change, one.write(rng))
	case k < 132:
		return pick(query, append(append(returning, vacuum...), one.write(rng)+one.returning(rng))...)
	case k < 138:
		return pick(execute, ddl...)
	case k < 141:
		return pick(execute, one.alter(rng))
	case k < 144:
		s.kind = attach
	case k < 146:
		s.kind = version
	case k < 165:
		return pick(execute, "BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT s", "SAVEPOINT s", "SAVEPOINT r")
	case k < 186:
		return pick(execute, "COMMIT", "COMMIT", "ROLLBACK", "RELEASE s", "ROLLBACK TO s", "ROLLBACK TO s", "RELEASE r", "ROLLBACK TO r")
	case k < 188:
		return pick(execute, "PRAGMA wal_checkpoint(PASSIVE)")
	case k < 193:
		return pick(checkpoint, "PRAGMA wal_checkpoint(PASSIVE)", "PRAGMA wal_checkpoint(FULL)", "PRAGMA wal_checkpoint(RESTART)", "PRAGMA wal_checkpoint(TRUNCATE)")
	case k < 195:
		s.kind = reconnect
	case k < 197:
		s.kind = copies
	case k < 198:
		s.kind = takeover
	case k < 203:
		mode := []string{"PASSIVE", "FULL", "FULL", "RESTART", "RESTART", "TRUNCATE", "TRUNCATE"}[rng.IntN(7)]
		return pick(beside, "PRAGMA main.wal_checkpoint("+mode+")", "PRAGMA main.wal_checkpoint("+mode+")", "PRAGMA wal_checkpoint("+mode+")", "PRAGMA b.wal_checkpoint("+mode+")")
	case k < 209:
		return p.drawInterrupt(rng, s, one)
	case k < 210:
		s.kind = cancel
	default:
		s.kind = exchange
	}
	return s
}
