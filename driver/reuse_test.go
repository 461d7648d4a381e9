// Tests of what is used again from one row, and one query, to the next.

package driver

import (
	"bytes"
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"io"
	"testing"
)

// Values that were read stay as they are, whatever is read after them, with the
// same statement or with its twin.
func TestValuesOutliveTheirRow(t *testing.T) {
	db := openDB(t, "")
	c := oneConn(t, db)
	const n = 20
	mustExec(t, c, "CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB, s TEXT)")
	mustExec(t, c, "INSERT INTO t SELECT value, CAST(printf('blob%d', value) AS BLOB), printf('text%d', value) FROM generate_series(1, ?)", n)
	s, err := c.PrepareContext(t.Context(), "SELECT b, s FROM t ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r1, err1 := s.QueryContext(t.Context())
	r2, err2 := s.QueryContext(t.Context())
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	var blobs []any
	var texts []string
	for range n {
		for _, r := range []*sql.Rows{r1, r2} {
			var b any
			var text string
			if !r.Next() || r.Scan(&b, &text) != nil {
				t.Fatal(r.Err())
			}
			blobs, texts = append(blobs, b), append(texts, text)
		}
	}
	if err := errors.Join(r1.Close(), r2.Close()); err != nil {
		t.Fatal(err)
	}
	for i := range blobs {
		id := get[string](t, c, "SELECT 'blob' || ?", 1+i/2)
		if !bytes.Equal(blobs[i].([]byte), []byte(id)) || texts[i] != "text"+id[4:] {
			t.Errorf("row %d became %s, %s", i/2, blobs[i], texts[i])
		}
	}
}

// Names that a caller has changed are the caller's.
func TestColumnNamesAreTheCallers(t *testing.T) {
	c := oneConn(t, openDB(t, ""))
	for range 3 {
		r, err := c.QueryContext(t.Context(), "SELECT 1 AS a, 2 AS b")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			names, err := r.Columns()
			if err != nil || len(names) != 2 || names[0] != "a" || names[1] != "b" {
				t.Fatal(names, err)
			}
			names[0], names[1] = "x", "y"
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Rows that are closed stay closed while their statement runs again.
func TestRowsAfterClose(t *testing.T) {
	c := oneConn(t, openDB(t, ""))
	rawConn(t, c, func(c *conn) {
		query := func() sqldriver.Rows {
			r, err := c.QueryContext(context.Background(), "SELECT 1 UNION ALL SELECT 2", nil)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		old := query()
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		now := query()
		dest := make([]sqldriver.Value, 1)
		if err := old.Next(dest); err != io.EOF {
			t.Errorf("closed rows go on: %v, %v", dest, err)
		}
		if err := old.Close(); err != nil {
			t.Errorf("closing again: %v", err)
		}
		for i := int64(1); i <= 2; i++ {
			if err := now.Next(dest); err != nil || dest[0] != i {
				t.Errorf("row %d: %v, %v", i, dest, err)
			}
		}
		if err := errors.Join(now.Close()); err != nil {
			t.Error(err)
		}
	})
}

// A point read allocates what it returns (rows, names, and boxed values) and no
// more, once its snapshot is kept.
func TestAllocationsOfPointRead(t *testing.T) {
	c := oneConn(t, openDB(t, ""))
	mustExec(t, c, "CREATE TABLE t(id INTEGER PRIMARY KEY, who INTEGER, note TEXT)")
	mustExec(t, c, "INSERT INTO t VALUES(1, 1000, 'a longer text than fits into a word')")
	rawConn(t, c, func(c *conn) {
		s, err := c.PrepareContext(t.Context(), "SELECT who, note FROM t WHERE id = ?")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		args := []sqldriver.NamedValue{{Ordinal: 1, Value: int64(1)}}
		dest := make([]sqldriver.Value, 2)
		n := testing.AllocsPerRun(100, func() {
			r, err := s.(*stmt).QueryContext(context.Background(), args)
			if err != nil {
				t.Fatal(err)
			}
			_ = r.Columns()
			if err := errors.Join(r.Next(dest), r.Close()); err != nil {
				t.Fatal(err)
			}
		})
		// rows, names, who boxed, note, note boxed.
		if n > 5 {
			t.Errorf("%v allocations", n)
		}
	})
}
