// Uses of the driver that are rare.

package driver

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestConnectorOptions(t *testing.T) {
	for _, bytes := range []int64{0, -1, 1 << 40} {
		if _, err := NewConnector("file:x.db", WithMaxMemory(bytes)); err == nil {
			t.Errorf("WithMaxMemory(%d) is accepted", bytes)
		}
	}
	c, err := NewConnector(filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Driver().(Driver); !ok {
		t.Errorf("its driver is a %T", c.Driver())
	}
}

// Text that is too long to be kept is run all the same, each time anew.
func TestLongStatement(t *testing.T) {
	db := openAt(t, filepath.Join(t.TempDir(), "long.db"), "")
	long := "SELECT length('" + strings.Repeat("x", 20<<10) + "')"
	for range 2 {
		want(t, "a long text", get[int](t, db, long), 20<<10)
	}
}

// A statement is told apart from its arguments before it runs.
func TestArgumentsOfPrepared(t *testing.T) {
	db := openAt(t, filepath.Join(t.TempDir(), "args.db"), "")
	s, err := db.Prepare("SELECT :a + :b")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for name, args := range map[string][]any{
		"too few": {sql.Named("a", 1)}, "too many": {1, 2, 3}, "an unknown name": {sql.Named("a", 1), sql.Named("c", 2)},
		"no value of SQL": {struct{}{}, 1},
	} {
		var n int
		if err := s.QueryRow(args...).Scan(&n); err == nil {
			t.Errorf("%s: %d", name, n)
		}
		if _, err := s.Exec(args...); err == nil {
			t.Errorf("%s: executed", name)
		}
	}
	want(t, "both by name", fmt.Sprint(get[int](t, db, "SELECT :a + :b", sql.Named("b", 2), sql.Named("a", 1))), "3")
}
