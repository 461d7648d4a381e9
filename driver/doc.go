// Package driver is Walnut's [database/sql] driver. Importing it registers
// the name "walnut":
//
//	import _ "github.com/walnutdb/walnut/driver"
//
//	db, err := sql.Open("walnut", "file:app.db?_txlock=immediate")
//
// SQL is real SQLite's; the database file stays an ordinary SQLite database.
// [NewConnector] with [sql.OpenDB] does the same with options that a string
// cannot carry. Close the [sql.DB]: the last close moves the log into the
// database file and removes it.
//
// # Data source names
//
// A name is a path ("app.db") or a "file:" URI as SQLite's ("file:app.db",
// "file:/var/lib/app.db", "file:///var/lib/app.db"); in a URI, %XX in the path
// is decoded. Relative paths are resolved when the connector is made. Both
// forms take parameters after a "?" (a path that contains one must be given as
// a URI, with %3F):
//
//   - mode=rwc (default) creates a missing file, mode=rw does not. mode=ro
//     refuses writes; it takes the same lock as the others, and needs the right
//     to write the file for that.
//   - mode=memory: the name is that of a database in memory, see below.
//   - immutable=1, with mode=ro: no lock is taken and nothing is written, for
//     files that nobody can change.
//   - _txlock=deferred (default), immediate or exclusive: how [sql.DB.Begin]
//     begins a transaction, see below.
//   - _busy_timeout=5s, or 5000 (milliseconds): how long a statement waits for
//     the writer's place or a lock. Default one minute; 0 does not wait.
//   - _max_log_size=64MiB (bytes without a unit): above it, readers that stay no
//     longer keep the log from being used again; 0 sets no limit. The next writer is
//     held for up to _max_writer_hold=200ms while short readers end; one that stays
//     for _reader_grace=1s is detached, and reads its snapshot with the help of a
//     temporary file of up to _max_side_bytes (0, the default: as large as the
//     database, for each of them). They are of all who have the database open in
//     the process; the documentation of walnut.Options has the details.
//   - _pragma=name(value), any number of times: run in this order on each new
//     connection. A name that SQLite does not know is an error.
//   - _timefmt: how [time.Time] is stored, see below.
//
// Parameter values are decoded as in a URL query (%XX, and + is a space). Any
// other parameter, and any other value, is an error and not ignored. nolock=1,
// cache=shared, and vfs other than walnut are refused.
//
// A database in memory runs on the same engine, with a log in memory. Named
// ("file:cache?mode=memory") it is shared by all in the process who give the
// same name; ":memory:" is one of its own for each [sql.DB], which all
// connections of the pool share. It is gone when the last sql.DB that has it is
// closed.
//
// # Transactions
//
// The default isolation level begins as _txlock says.
// [sql.LevelSerializable] is BEGIN IMMEDIATE, [sql.LevelLinearizable] is BEGIN
// EXCLUSIVE. Weaker levels up to [sql.LevelSnapshot] are BEGIN DEFERRED: a
// reader sees one snapshot, which is at least as strong as each of them.
// [sql.LevelWriteCommitted] is refused.
//
// A deferred transaction that has read and then writes fails with
// [sqlite3.BUSY_SNAPSHOT] when another connection committed in between; roll it
// back and run it again, or begin transactions that will write with
// _txlock=immediate, which queues instead. [sql.TxOptions] ReadOnly begins
// deferred and refuses writes (PRAGMA query_only).
//
// A context cancels waiting for a lock and running statements; the error then
// matches both [sqlite3.INTERRUPT] and the context's error. COMMIT and
// ROLLBACK are not cancelled. After a failed Commit the transaction is rolled
// back, as database/sql assumes. A connection that returns to the pool with a
// transaction left open by SQL ("BEGIN" through Exec) is rolled back.
//
// # Statements
//
// Exec runs all statements in its text, Query runs all and returns the rows of
// the last one, both as in the mattn/go-sqlite3 driver. Positional arguments
// are used up from left to right; named ones ([sql.Named]) bind :name, @name
// and $name in every statement that has them. A missing, unknown or superfluous
// argument is an error. Within a statement, positional arguments fill, in
// order, the parameters that no named argument took; ?NNN counts as SQLite
// counts it. [sql.Result] describes the last statement: RowsAffected is 0
// unless it inserted, changed or deleted rows, and LastInsertId is 0 then too.
//
// Statements that Exec and Query get as text stay prepared on their connection,
// the last few dozen of them, so preparing in advance is hardly needed. Query
// runs a statement up to its first row before it returns, so its errors, and
// the effect of INSERT … RETURNING, do not wait for the first Next.
//
// # Types
//
// Integers, floats, strings and []byte are stored as INTEGER, REAL, TEXT and
// BLOB. A nil []byte is NULL, an empty one an empty BLOB. A bool is stored as 0
// or 1 and read back as bool from a column declared BOOLEAN. NaN becomes NULL
// (SQLite has none). [sqlite3.ZeroBlob] binds a BLOB of zeros for incremental
// I/O.
//
// A [time.Time] is stored, without its monotonic reading, in the format that
// _timefmt names:
//
//   - auto, the default: RFC 3339 text with nanoseconds and the time's own UTC
//     offset. Times in different zones do not sort as text: store UTC.
//   - rfc3339: the same, and nothing but RFC 3339 is read back as a time.
//   - sqlite: "2006-01-02 15:04:05.000" in UTC: sorts, milliseconds only.
//   - unixepoch, unixepoch_frac, unixepoch_milli, unixepoch_micro,
//     unixepoch_nano, julianday: a number.
//
// Values in columns declared DATE, DATETIME or TIMESTAMP are read back as
// [time.Time]: text in any of SQLite's formats (UTC unless it says otherwise),
// numbers as _timefmt says, or else by their size as SQLite's "auto" modifier
// does. What is not a time is returned as it is stored. The result of an
// expression, such as max(at), has no declared type and is returned as stored.
//
// # SQLite itself
//
// [Conn] gives access to the [sqlite3.Conn] below for incremental BLOB I/O,
// functions, hooks, and the backup API. FTS5 and R*Tree are there. This SQLite
// is built with foreign keys on, and does not take "double quoted" strings.
//
// A connection that reads again and again keeps a statement of its own open,
// PRAGMA main.schema_version, which a trace and an authorizer see. It is reset
// before anything but a SELECT runs, and before [Conn] is given out.
//
// Each connection has its own SQLite heap, which also holds the undo journal of
// its transaction (the old content of each page it changes). [WithMaxMemory]
// limits it; a statement that needs more fails with [sqlite3.NOMEM] and the
// connection is not used again.
package driver
