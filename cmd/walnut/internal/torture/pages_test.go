package torture

// Tests that what page workers left is checked: each way of breaking it is found.

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/walnutdb/walnut"
)

// writtenPages returns the database of page workers, each of whom has made n
// commits, and what was acknowledged.
func writtenPages(t *testing.T, n int) (string, ledger) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "torture-000-pages.db")
	db, err := walnut.Open(path, &walnut.Options{TxBytes: smallTx})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c, rng := &child{out: &out}, newRand(1)
	l := &listener{acked: acks{last: map[int]int{}}, first: make(chan struct{}), end: make(chan struct{})}
	for w := firstPageWorker; w < firstPageWorker+pageWorkers; w++ {
		for range n {
			if err := c.commitPages(t.Context(), db, w, walnut.SyncOff, rng); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l.listen(&out)
	if l.err != nil || len(l.acked.last) != pageWorkers {
		t.Fatalf("%v, %v", l.acked, l.err)
	}
	return path, l.acked.last
}

func TestPageFindings(t *testing.T) {
	path, known := writtenPages(t, 40)
	const w = firstPageWorker + 1
	for name, c := range map[string]struct {
		damage func(tx *walnut.Tx) error
		want   string
	}{
		"nothing": {func(*walnut.Tx) error { return nil }, ""},
		"a commit by halves": {func(tx *walnut.Tx) error {
			return change(tx, headPage(w)+3, 1, func(n []uint32) { n[0]++ })
		}, "its head of commit"},
		"a head too old": {func(tx *walnut.Tx) error {
			return change(tx, headPage(w), 1+pagesEach, func(n []uint32) { n[0]-- })
		}, "are counted"},
		"the last commits gone, consistently": {func(tx *walnut.Tx) error {
			return errors.Join(change(tx, headPage(w), 1+pagesEach, func(n []uint32) { n[0] -= 2 }),
				change(tx, countPage, 1, func(n []uint32) { n[0] -= 2 }))
		}, "lost: worker 202: 2 of"},
		"a bit": {func(tx *walnut.Tx) error {
			b, err := tx.Write(headPage(w) + 1)
			if err == nil {
				b[2000] ^= 1
			}
			return err
		}, "checksum"},
		"a page in another's place": {func(tx *walnut.Tx) error {
			from, err := tx.Page(headPage(w) + 1)
			if err != nil {
				return err
			}
			from = bytes.Clone(from)
			to, err := tx.Write(headPage(w) + 2)
			copy(to, from)
			return err
		}, "says that it is page"},
	} {
		t.Run(name, func(t *testing.T) {
			broken := filepath.Join(t.TempDir(), "x-pages.db")
			if err := copyPair(path, broken); err != nil {
				t.Fatal(err)
			}
			db, err := walnut.Open(broken, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Update(t.Context(), c.damage), db.Close()); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			r := &run{Config: Config{Log: &log}, known: clone(known)}
			f := findings{last: ledger{}, present: ledger{}}
			if err := examinePages(t.Context(), broken, &f); err != nil {
				t.Fatal(err)
			}
			r.judge(f, nil)
			if !strings.Contains(log.String(), c.want) || (c.want == "") != r.result.Clean() {
				t.Errorf("%v, %q", r.result, log.String())
			}
		})
	}
}

// change alters the numbers of a page.
func change(tx *walnut.Tx, n walnut.PageNo, count int, alter func([]uint32)) error {
	numbers, err := unseal(tx, n, count)
	if err != nil {
		return err
	}
	alter(numbers)
	b, err := tx.Write(n)
	if err == nil {
		seal(b, n, numbers...)
	}
	return err
}

// TestPagesGone: a database of page workers that is not there has lost what they
// reported.
func TestPagesGone(t *testing.T) {
	r := &run{Config: Config{Log: io.Discard}, known: ledger{firstPageWorker: 3}}
	f := findings{last: ledger{}, present: ledger{}}
	if err := examinePages(t.Context(), filepath.Join(t.TempDir(), "x-pages.db"), &f); err != nil {
		t.Fatal(err)
	}
	r.judge(f, nil)
	if r.result.Lost != 3 {
		t.Errorf("%v", r.result)
	}
}
