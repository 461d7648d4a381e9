// The scripts in SQL.

package crashtest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/walnutdb/walnut/disk/faultdisk"
)

const create = `BEGIN; CREATE TABLE t(id INTEGER PRIMARY KEY, n INT, s TEXT); CREATE INDEX i ON t(n); COMMIT`

// insert adds the rows from a to b with strings of the length given.
func insert(a, b, length int) string {
	return fmt.Sprintf(`WITH RECURSIVE c(x) AS (VALUES(%d) UNION ALL SELECT x+1 FROM c WHERE x < %d)
		INSERT INTO t SELECT x, x*7919 %% 1009, substr(replace(hex(zeroblob(%d)), '00', 'ab' || x), 1, %[3]d) FROM c`, a, b, length)
}

// baseSQL is what the database of rollbackFile holds.
var baseSQL = "CREATE TABLE t(id INTEGER PRIMARY KEY, n INT, s TEXT);" + insert(1, 40, 100)

// rollbackFile puts a database in rollback-journal mode, made by SQLite itself,
// on the disk.
func rollbackFile(t testing.TB, d *faultdisk.Disk) {
	path := filepath.Join(t.TempDir(), "base.db")
	c, err := sqlite3.Open("file:" + path + "?vfs=os")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Exec("PRAGMA page_size=1024;" + baseSQL); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err == nil {
		err = d.WriteFile(dbPath, data)
	}
	if err != nil {
		t.Fatal(err)
	}
}

const small = "PRAGMA page_size=512;"

// autoVacuum has VACUUM change the mode: a crash may leave an empty database,
// in which the pragma alone changes nothing. In one without even that the pragma
// is a transaction of its own.
func autoVacuum(mode string) sqlStep {
	return sqlStep{sql: "PRAGMA auto_vacuum=" + mode + "; VACUUM", halves: true}
}

var vacuumInto = sqlStep{copies: true}

var sqlWorkloads = []*sqlWorkload{
	{name: "rows", setup: small, conns: 2, steps: []sqlStep{
		do(create), do(insert(1, 5, 20)), do(insert(6, 6, 900)), relaxed("UPDATE t SET n=n+1 WHERE id<3"),
		do("BEGIN; DELETE FROM t WHERE id=2; UPDATE t SET s='x' WHERE id=6; COMMIT"), relaxed(insert(10, 11, 50)),
		do("BEGIN; DELETE FROM t; ROLLBACK"), fails("INSERT INTO t VALUES(1,1,1)"),
		do("BEGIN IMMEDIATE; UPDATE t SET n=-1 WHERE id=1; COMMIT"), do("PRAGMA wal_checkpoint(passive)"),
		do("UPDATE t SET n=-2 WHERE id=1"), do("UPDATE t SET n=-3 WHERE id=1"), do("PRAGMA wal_checkpoint(truncate)"),
		do("DELETE FROM t WHERE id>4"),
	}},
	{name: "schema", setup: small, conns: 2, steps: []sqlStep{
		do(create), do(insert(1, 30, 60)), do("PRAGMA user_version=7"), do("ALTER TABLE t ADD COLUMN extra DEFAULT 5"),
		do("CREATE TABLE u(a UNIQUE, b)"), do("INSERT INTO u SELECT id, s FROM t"), fails("INSERT INTO u SELECT id+25, s FROM t"),
		relaxed("DROP TABLE t"), do("CREATE VIEW v AS SELECT a FROM u"), do("REINDEX"), do("DROP TABLE u"),
		do("VACUUM"), do(create), do(insert(1, 3, 10)),
	}},
	{name: "vacuum", setup: small, steps: []sqlStep{
		do(create), do(insert(1, 60, 200)), do("DELETE FROM t WHERE id%3"), do("VACUUM"), do(insert(100, 110, 100)),
		do("PRAGMA wal_checkpoint(passive)"), do("DELETE FROM t WHERE id<100"), relaxed("VACUUM"), do(insert(1, 2, 2)),
		do("PRAGMA wal_checkpoint(truncate)"), do(insert(3, 40, 200)),
	}},
	{name: "savepoints", setup: small, conns: 2, steps: []sqlStep{
		do(create), do(insert(1, 10, 80)),
		do("BEGIN;" + insert(11, 14, 300) + "; SAVEPOINT a; DELETE FROM t WHERE id<12; SAVEPOINT b;" + insert(20, 30, 90) +
			"; ROLLBACK TO b; UPDATE t SET n=0; RELEASE b; ROLLBACK TO a; UPDATE t SET s=s||'!' WHERE id=3; COMMIT"),
		do("SAVEPOINT x; UPDATE t SET n=id; RELEASE x"), fails("BEGIN; UPDATE t SET n=5 WHERE id=5; INSERT INTO t VALUES(3,3,3); COMMIT"),
		do("INSERT OR IGNORE INTO t SELECT id, n, s FROM t"), do("REPLACE INTO t SELECT id+5, n, s FROM t"),
	}},
	{name: "spilling", setup: small + "PRAGMA cache_size=4;", steps: []sqlStep{
		do(create), do(insert(1, 80, 300)), do("UPDATE t SET s=s||s WHERE id%2"), do("BEGIN; DELETE FROM t WHERE id>5;" + insert(200, 260, 300) + "; ROLLBACK"),
		relaxed("UPDATE t SET n=n+1"), do("BEGIN; SAVEPOINT a; UPDATE t SET s='' ; ROLLBACK TO a; UPDATE t SET n=n+1; COMMIT"),
		do("DELETE FROM t WHERE id<70"), do("VACUUM"), do(insert(300, 320, 400)),
	}},
	{name: "auto-checkpoints", setup: small + "PRAGMA wal_autocheckpoint=6;", conns: 2, steps: []sqlStep{
		do(create), do(insert(1, 40, 100)), do("UPDATE t SET n=1 WHERE id=1"), do("UPDATE t SET n=1 WHERE id=2"),
		relaxed("UPDATE t SET n=1 WHERE id=3"), do("UPDATE t SET n=1 WHERE id=4"), do("DELETE FROM t WHERE id>10"),
		do("VACUUM"), do("UPDATE t SET n=1 WHERE id=5"), relaxed("UPDATE t SET n=1 WHERE id=6"), do("UPDATE t SET n=1 WHERE id=7"),
		do(insert(50, 70, 100)), do("UPDATE t SET n=1 WHERE id=8"),
	}},
	{name: "full auto_vacuum", setup: small, conns: 2, steps: []sqlStep{
		autoVacuum("full"), do(create), do(insert(1, 60, 200)), do("DELETE FROM t WHERE id%3"), relaxed(insert(100, 120, 700)),
		do("BEGIN; DELETE FROM t WHERE id>50; SAVEPOINT a; DROP TABLE t; ROLLBACK TO a; COMMIT"), do("PRAGMA wal_checkpoint(passive)"),
		do("CREATE TABLE u AS SELECT * FROM t"), relaxed("DROP TABLE t"), do("VACUUM"), do("BEGIN; DELETE FROM u; ROLLBACK"),
		do("DELETE FROM u WHERE id>20"), do("PRAGMA wal_checkpoint(truncate)"), do("DROP TABLE u"),
	}},
	{name: "incremental auto_vacuum", setup: small, steps: []sqlStep{
		autoVacuum("incremental"), do(create), do(insert(1, 60, 200)), do("DELETE FROM t WHERE id%3"),
		do("PRAGMA incremental_vacuum(5)"), do("PRAGMA wal_checkpoint(truncate)"), relaxed("PRAGMA incremental_vacuum"),
		do(insert(100, 120, 700)), do("PRAGMA auto_vacuum=full"), do("DELETE FROM t WHERE id>110"),
		autoVacuum("none"), do("DELETE FROM t WHERE id>100"), autoVacuum("full"), do("DROP TABLE t"),
	}},
	{name: "vacuum into", setup: small, conns: 2, steps: []sqlStep{
		do(create), do(insert(1, 40, 200)), relaxed("DELETE FROM t WHERE id%3"), vacuumInto,
		do("PRAGMA wal_checkpoint(truncate)"), do("PRAGMA user_version=3"), vacuumInto, do("UPDATE t SET n=1"),
	}},
	{name: "conversion", base: rollbackFile, steps: []sqlStep{
		do("UPDATE t SET n=0 WHERE id=3"), do(insert(50, 60, 50)), relaxed("DELETE FROM t WHERE id<20"),
		do("PRAGMA wal_checkpoint"), do("VACUUM"), do("CREATE INDEX i ON t(n)"),
	}},
	{name: "large pages", setup: fmt.Sprintf("PRAGMA page_size=%d;", largePage()), steps: []sqlStep{
		do(create), do(insert(1, 10, 9000)), do("UPDATE t SET n=5 WHERE id=2"), do("PRAGMA wal_checkpoint(truncate)"),
		do("DELETE FROM t WHERE id>3"),
	}},
	{name: "attached", setup: small, attach: true, steps: []sqlStep{
		do(create), do("CREATE TABLE b.u(a, b)"), do(insert(1, 9, 100)),
		do("BEGIN; INSERT INTO u SELECT id, s FROM t; DELETE FROM t WHERE id<4; COMMIT"), do("UPDATE u SET a=a+1"),
		do("BEGIN; UPDATE t SET n=3; UPDATE u SET b=''; ROLLBACK"), do("PRAGMA wal_checkpoint"),
		do("BEGIN; UPDATE t SET n=4; UPDATE u SET b='y'; COMMIT"), relaxed("BEGIN; UPDATE t SET n=6; UPDATE u SET b='z'; COMMIT"),
		do("BEGIN; UPDATE t SET n=7; UPDATE u SET b='w'; COMMIT"), do("UPDATE u SET b='v'"),
	}},
}

// init has workloads run once more on a disk that tears writes anywhere: pages
// of 512 bytes are torn otherwise only in the log, whose frames are longer.
func init() {
	for _, w := range sqlWorkloads {
		switch w.name {
		case "rows", "vacuum":
			sqlWorkloads = append(sqlWorkloads, &sqlWorkload{name: w.name + " torn anywhere", anywhere: true,
				setup: w.setup, conns: w.conns, steps: w.steps})
		}
	}
}
