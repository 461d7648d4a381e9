// Savepoints, sizes and rollbacks against a model that keeps whole copies.

package pager

import (
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

// model is the content of a database: each page's value, 0 for a page that
// nobody wrote.
type model struct {
	pages map[walformat.PageNo]byte
	size  uint32
}

func (m model) clone() model { return model{maps.Clone(m.pages), m.size} }

func (m *model) set(n walformat.PageNo, v byte) {
	m.pages[n] = v
	m.size = max(m.size, uint32(n))
}

func (m *model) resize(n uint32) {
	for p := range m.pages {
		if uint32(p) > n {
			delete(m.pages, p)
		}
	}
	m.size = n
}

// check compares all pages of a transaction with the model.
func (m *model) check(t tb, what string, tx *Tx) {
	t.Helper()
	if tx.PageCount() != m.size {
		t.Fatalf("%s: %d pages, want %d", what, tx.PageCount(), m.size)
	}
	for n := walformat.PageNo(1); uint32(n) <= m.size; n++ {
		if v := value(t, tx, n); v != m.pages[n] {
			t.Fatalf("%s: page %d is %d, want %d", what, n, v, m.pages[n])
		}
	}
}

// TestModel runs random transactions with nested savepoints, growth, shrinking,
// checkpoints and reopening. Beside them a reader keeps its snapshot.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := disk.NewMem()
		s := openMem(t, m, 512)
		committed := model{pages: map[walformat.PageNo]byte{}}
		for range rapid.IntRange(1, 6).Draw(t, "transactions") {
			var reader *Tx
			seen := committed.clone()
			if seen.size > 0 && rapid.Bool().Draw(t, "reader") {
				reader = s.BeginRead(coord.Who{})
			}
			tx := begin(t, s)
			now := modelTx(t, tx, committed.clone())
			now.check(t, "before the end", tx)
			if rapid.IntRange(0, 3).Draw(t, "end") == 0 {
				tx.End()
			} else {
				commit(t, tx, false)
				committed = now
			}
			if reader != nil {
				seen.check(t, "the reader", reader)
				reader.End()
			}
			r := s.BeginRead(coord.Who{})
			committed.check(t, "a new reader", r)
			r.End()
			switch rapid.IntRange(0, 4).Draw(t, "between") {
			case 0:
				if _, err := s.Log().Checkpoint(ctx, 0, wal.CheckpointOptions{}); err != nil {
					t.Fatal(err)
				}
			case 1:
				closeStore(t, s)
				s = openMem(t, m, 512)
			}
		}
		closeStore(t, s)
	})
}

// modelTx makes random changes to both.
func modelTx(t *rapid.T, tx *Tx, now model) model {
	var saves []model
	for i := range rapid.IntRange(0, 25).Draw(t, "steps") {
		v := byte(i + 1)
		switch op := rapid.IntRange(0, 12).Draw(t, "op"); {
		case op < 4:
			n := walformat.PageNo(rapid.IntRange(1, 14).Draw(t, "page"))
			set(t, tx, n, v)
			now.set(n, v)
		case op == 4:
			n := uint32(rapid.IntRange(1, 14).Draw(t, "size"))
			if err := tx.SetPageCount(n); err != nil {
				t.Fatal(err)
			}
			now.resize(n)
		case op < 8:
			depth, err := tx.Savepoint()
			saves = append(saves, now.clone())
			if err != nil || depth != len(saves) {
				t.Fatal(depth, err)
			}
		case op < 12 && len(saves) > 0:
			depth := rapid.IntRange(max(1, len(saves)-1), len(saves)).Draw(t, "depth")
			if op < 10 {
				if err := tx.RollbackTo(depth); err != nil {
					t.Fatal(err)
				}
				now = saves[depth-1].clone()
				saves = saves[:depth]
				break
			}
			if err := tx.Release(depth); err != nil {
				t.Fatal(err)
			}
			saves = saves[:depth-1]
		default:
			now.check(t, fmt.Sprintf("step %d", i), tx)
		}
	}
	return now
}

// TestSavepointCases: what is easily forgotten.
func TestSavepointCases(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps func(t *testing.T, tx *Tx)
	}{
		{"pages cut off are back", func(t *testing.T, tx *Tx) {
			mustDepth(t, tx, 1)
			if err := tx.SetPageCount(2); err != nil {
				t.Fatal(err)
			}
			set(t, tx, 5, 99) // page 4 is zero now
			if v := value(t, tx, 4); v != 0 {
				t.Errorf("page 4 is %d", v)
			}
			if err := tx.RollbackTo(1); err != nil {
				t.Fatal(err)
			}
		}},
		{"changes of a released one belong to the outer", func(t *testing.T, tx *Tx) {
			mustDepth(t, tx, 1)
			mustDepth(t, tx, 2)
			set(t, tx, 4, 99)
			if err := tx.Release(2); err != nil {
				t.Fatal(err)
			}
			if err := tx.RollbackTo(1); err != nil {
				t.Fatal(err)
			}
		}},
		{"the outer one knows the page from before the released one", func(t *testing.T, tx *Tx) {
			mustDepth(t, tx, 1)
			set(t, tx, 4, 98)
			mustDepth(t, tx, 2)
			set(t, tx, 4, 99)
			if err := tx.Release(2); err != nil {
				t.Fatal(err)
			}
			if err := tx.RollbackTo(1); err != nil {
				t.Fatal(err)
			}
		}},
		{"a page that was dirty before", func(t *testing.T, tx *Tx) {
			set(t, tx, 4, 4)
			mustDepth(t, tx, 1)
			set(t, tx, 4, 98)
			mustDepth(t, tx, 2)
			set(t, tx, 4, 99)
			if err := tx.RollbackTo(1); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openMem(t, disk.NewMem(), 512)
			tx := begin(t, s)
			for n := walformat.PageNo(1); n <= 5; n++ {
				set(t, tx, n, byte(n))
			}
			commit(t, tx, false)
			tx = begin(t, s)
			c.steps(t, tx)
			for n := walformat.PageNo(1); n <= 5; n++ {
				if v := value(t, tx, n); v != byte(n) || tx.PageCount() != 5 {
					t.Errorf("page %d is %d, of %d", n, v, tx.PageCount())
				}
			}
			tx.End()
		})
	}
}

func mustDepth(t *testing.T, tx *Tx, want int) {
	t.Helper()
	if depth, err := tx.Savepoint(); err != nil || depth != want {
		t.Fatal(depth, err)
	}
}

func TestSavepointErrors(t *testing.T) {
	s := openMem(t, disk.NewMem(), 512)
	tx := begin(t, s)
	set(t, tx, 1, 1)
	wantErr(t, tx.RollbackTo(1), ErrNoSavepoint, "1 of 0")
	if _, err := tx.Savepoint(); err != nil {
		t.Fatal(err)
	}
	wantErr(t, tx.Release(2), ErrNoSavepoint, "2 of 1")
	wantErr(t, tx.Release(0), ErrNoSavepoint, "")
	if err := tx.Release(1); err != nil {
		t.Fatal(err)
	}
	wantErr(t, tx.RollbackTo(1), ErrNoSavepoint, "")
	commit(t, tx, false)
	wantErr(t, tx.RollbackTo(1), ErrTxDone, "")
	_, err := tx.Savepoint()
	wantErr(t, err, ErrTxDone, "")
	r := s.BeginRead(coord.Who{})
	defer r.End()
	_, err = r.Savepoint()
	wantErr(t, err, ErrReadOnly, "")
}
