// Tests of values: what is bound comes back, and column types.

package driver

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
)

func TestRoundTrip(t *testing.T) {
	db := openDB(t, "")
	mustExec(t, db, "CREATE TABLE t(v)")
	big := strings.Repeat("0123456789abcdef", 1<<16)
	type named int8
	seven := 7
	tests := []struct {
		in, out any
		typ     string
	}{
		{nil, nil, "null"},
		{int64(math.MaxInt64), int64(math.MaxInt64), "integer"},
		{int64(math.MinInt64), int64(math.MinInt64), "integer"},
		{5, int64(5), "integer"},
		{uint8(200), int64(200), "integer"},
		{named(-3), int64(-3), "integer"},
		{&seven, int64(7), "integer"},
		{(*int)(nil), nil, "null"},
		{math.MaxFloat64, math.MaxFloat64, "real"},
		{math.SmallestNonzeroFloat64, math.SmallestNonzeroFloat64, "real"},
		{math.Inf(-1), math.Inf(-1), "real"},
		{math.NaN(), nil, "null"},
		{float32(0.5), 0.5, "real"},
		{true, int64(1), "integer"},
		{false, int64(0), "integer"},
		{"", "", "text"},
		{"grüße \x00 nach NUL", "grüße \x00 nach NUL", "text"},
		{"\xff\xfe", "\xff\xfe", "text"},
		{big, big, "text"},
		{[]byte(nil), nil, "null"},
		{[]byte{}, []byte{}, "blob"},
		{[]byte{0, 1, 255}, []byte{0, 1, 255}, "blob"},
		{[]byte(big), []byte(big), "blob"},
		{sqlite3.ZeroBlob(3), []byte{0, 0, 0}, "blob"},
		{sql.NullString{}, nil, "null"},
		{sql.NullInt64{Int64: 9, Valid: true}, int64(9), "integer"},
	}
	for i, tt := range tests {
		mustExec(t, db, "INSERT INTO t(rowid, v) VALUES (?, ?)", i, tt.in)
		var out any
		var typ string
		if err := db.QueryRow("SELECT v, typeof(v) FROM t WHERE rowid = ?", i).Scan(&out, &typ); err != nil {
			t.Fatal(err)
		}
		if typ != tt.typ || !reflect.DeepEqual(out, tt.out) {
			t.Errorf("%d: %.40v came back as %s %.40v", i, tt.in, typ, out)
		}
	}
	_, err := db.Exec("INSERT INTO t VALUES (?)", uint64(math.MaxUint64))
	wantError(t, err, "high bit")
	if _, err = db.Exec("INSERT INTO t VALUES (?)", struct{}{}); err == nil {
		t.Error("a struct was stored")
	}
	_, err = db.Exec("INSERT INTO t VALUES (?)", sqlite3.JSON(1))
	if err == nil {
		t.Error("the wrapper's own types do not pass here")
	}
}

func TestEmptyBlobAfterLongOne(t *testing.T) {
	db := openDB(t, "")
	rows, err := db.Query("SELECT x'010203' UNION ALL SELECT x'' UNION ALL SELECT NULL UNION ALL SELECT x'04'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%x %v", b, b == nil))
	}
	want(t, "blobs", strings.Join(got, ", "), "010203 false,  false,  true, 04 false")
}

func TestRawBytes(t *testing.T) {
	db := openDB(t, "")
	rows, err := db.Query("SELECT 'text', x'0102', 5, NULL UNION ALL SELECT 'other', x'', 6, 'x'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	raw := make([]sql.RawBytes, 4)
	for rows.Next() {
		if err := rows.Scan(&raw[0], &raw[1], &raw[2], &raw[3]); err != nil {
			t.Fatal(err)
		}
		got = append(got, string(bytes.Join([][]byte{raw[0], raw[1], raw[2], raw[3]}, []byte("|"))))
	}
	want(t, "raw", strings.Join(got, ";"), "text|\x01\x02|5|;other||6|x")
}

func TestTimes(t *testing.T) {
	zone := time.FixedZone("", -3*3600-30*60)
	moment := time.Date(2024, 2, 29, 23, 59, 58, 123456789, zone)
	tests := []struct {
		format, stored string
		precision      time.Duration
	}{
		{"auto", "2024-02-29T23:59:58.123456789-03:30", 1},
		{"rfc3339", "2024-02-29T23:59:58.123456789-03:30", 1},
		{"sqlite", "2024-03-01 03:29:58.123", time.Millisecond},
		{"unixepoch", "1709263798", time.Second},
		{"unixepoch_milli", "1709263798123", time.Millisecond},
		{"unixepoch_micro", "1709263798123456", time.Microsecond},
		{"unixepoch_nano", "1709263798123456789", 1},
		{"unixepoch_frac", "", time.Millisecond},
		{"julianday", "", time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.format, func(t *testing.T) {
			db := openDB(t, "_timefmt="+tt.format)
			mustExec(t, db, "CREATE TABLE t(d DATE, dt DateTime, ts TIMESTAMP(6), x)")
			mustExec(t, db, "INSERT INTO t VALUES (?1, ?1, ?1, ?1)", moment)
			if tt.stored != "" {
				want(t, "stored", get[string](t, db, "SELECT CAST(x AS TEXT) FROM t"), tt.stored)
			}
			for _, col := range []string{"d", "dt", "ts"} {
				got := get[time.Time](t, db, "SELECT "+col+" FROM t")
				if diff := got.Sub(moment).Abs(); diff >= tt.precision {
					t.Errorf("%s: %v for %v", col, got, moment)
				}
			}
			mustExec(t, db, "UPDATE t SET d = NULL, dt = 'soon', ts = x'00'")
			var d, dt, ts any
			if err := db.QueryRow("SELECT d, dt, ts FROM t").Scan(&d, &dt, &ts); err != nil {
				t.Fatal(err)
			}
			if d != nil || dt != "soon" || !reflect.DeepEqual(ts, []byte{0}) {
				t.Errorf("no times: %v %v %v", d, dt, ts)
			}
		})
	}
}

func TestTimesOfSQLite(t *testing.T) {
	db := openDB(t, "")
	mustExec(t, db, "CREATE TABLE t(at DATETIME DEFAULT CURRENT_TIMESTAMP, n)")
	second := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	tests := []struct {
		stored any
		want   time.Time
	}{
		{"2024-05-06 07:08:09", second},
		{"2024-05-06T07:08:09", second},
		{"2024-05-06 07:08:09.250", second.Add(250 * time.Millisecond)},
		{"2024-05-06 09:08:09+02:00", second},
		{"2024-05-06 07:08", second.Truncate(time.Minute)},
		{"2024-05-06", second.Truncate(24 * time.Hour)},
		{second.Unix(), second},
		{second.UnixMilli(), second},
		{time.Time{}, time.Time{}},
		{time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)},
	}
	for i, tt := range tests {
		mustExec(t, db, "INSERT INTO t VALUES (?, ?)", tt.stored, i)
		if got := get[time.Time](t, db, "SELECT at FROM t WHERE n = ?", i); !got.Equal(tt.want) {
			t.Errorf("%v: %v", tt.stored, got)
		}
	}
	mustExec(t, db, "INSERT INTO t(n) VALUES (100)")
	if got := get[time.Time](t, db, "SELECT at FROM t WHERE n = 100"); got.Year() < 2024 || got.Location() != time.UTC {
		t.Errorf("CURRENT_TIMESTAMP: %v", got)
	}
}

func TestBooleans(t *testing.T) {
	db := openDB(t, "")
	mustExec(t, db, "CREATE TABLE t(b BOOLEAN, n)")
	mustExec(t, db, "INSERT INTO t VALUES (?, 0), (?, 1), (2, 2), (NULL, 3)", false, true)
	for i, w := range []any{false, true, int64(2), nil} {
		want(t, "boolean", get[any](t, db, "SELECT b FROM t WHERE n = ?", i), w)
	}
}

func TestColumnTypes(t *testing.T) {
	db := openDB(t, "")
	mustExec(t, db, `CREATE TABLE t(i BIGINT NOT NULL, s varchar (20), r DOUBLE NOT NULL, b BLOB,
		at TIMESTAMP NOT NULL, ok BOOLEAN, n DECIMAL(10,2), plain)`)
	mustExec(t, db, "INSERT INTO t VALUES (1, 'a', 1.5, x'00', '2024-01-01', 1, 2.5, 'x')")
	tests := []struct {
		column, name    string
		nullable, known bool
		scan            reflect.Type
	}{
		{"i", "BIGINT", false, true, reflect.TypeFor[int64]()},
		{"s", "VARCHAR", true, true, reflect.TypeFor[sql.NullString]()},
		{"r", "DOUBLE", false, true, reflect.TypeFor[float64]()},
		{"b", "BLOB", true, true, reflect.TypeFor[[]byte]()},
		{"at", "TIMESTAMP", false, true, reflect.TypeFor[time.Time]()},
		{"ok", "BOOLEAN", true, true, reflect.TypeFor[sql.NullBool]()},
		{"n", "DECIMAL", true, true, reflect.TypeFor[any]()},
		{"plain", "", true, true, reflect.TypeFor[any]()},
		{"max(i)", "", false, false, reflect.TypeFor[any]()},
	}
	for _, tt := range tests {
		rows, err := db.Query("SELECT " + tt.column + " FROM t")
		if err != nil {
			t.Fatal(err)
		}
		types, err := rows.ColumnTypes()
		if err != nil {
			t.Fatal(err)
		}
		c := types[0]
		nullable, known := c.Nullable()
		if c.DatabaseTypeName() != tt.name || nullable != tt.nullable || known != tt.known || c.ScanType() != tt.scan {
			t.Errorf("%s: %s, nullable %v %v, scan %v", tt.column, c.DatabaseTypeName(), nullable, known, c.ScanType())
		}
		dest := reflect.New(c.ScanType())
		if !rows.Next() {
			t.Fatal(rows.Err())
		}
		if err := rows.Scan(dest.Interface()); err != nil {
			t.Errorf("%s: %v", tt.column, err)
		}
		rows.Close()
	}
}

// A column declared NOT NULL is NULL in an outer join.
func TestNullableIsCertain(t *testing.T) {
	db := openDB(t, "")
	mustExec(t, db, `CREATE TABLE a(x NOT NULL); CREATE TABLE b(y INT NOT NULL);
		CREATE VIEW v AS SELECT x, y FROM a LEFT JOIN b ON x = y; INSERT INTO a VALUES (1)`)
	for _, q := range []string{"SELECT y FROM a LEFT JOIN b ON x = y", "SELECT y FROM v", "SELECT y, count(*) FROM b"} {
		rows, err := db.QueryContext(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		types, err := rows.ColumnTypes()
		if err != nil {
			t.Fatal(err)
		}
		if nullable, ok := types[0].Nullable(); ok && !nullable {
			t.Errorf("%s: y is called NOT NULL", q)
		}
		rows.Close()
	}
}
