//go:build linux

package proctest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/walnutdb/walnut"
)

var ctx = context.Background()

// database is an open database with a count of its commits: commit n writes n
// into page 2 and into pages of its own, which nobody writes again.
type database struct {
	*walnut.DB
	path  string
	n     uint32 // commits that were acknowledged
	pages int    // pages of each commit of its own
}

// openIn opens the database of dir, and reads how far it is.
func openIn(dir string, pages int) (*database, error) {
	d := &database{path: filepath.Join(dir, "app.db"), pages: pages}
	return d, d.open()
}

func (d *database) open() (err error) {
	if d.DB, err = walnut.Open(d.path, &walnut.Options{AutoCheckpoint: -1}); err != nil {
		return err
	}
	acked := d.n
	if err := d.verify(); err != nil {
		return errors.Join(err, d.Close())
	}
	if d.n < acked {
		return errors.Join(fmt.Errorf("%d commits of %d acknowledged are there", d.n, acked), d.Close())
	}
	return nil
}

func (d *database) reopen() error { return errors.Join(d.Close(), d.open()) }

// commit makes the next commit.
func (d *database) commit() error {
	n := d.n + 1
	err := d.Update(ctx, func(tx *walnut.Tx) error {
		for _, p := range append([]walnut.PageNo{2}, d.own(n)...) {
			b, err := tx.Write(p)
			if err != nil {
				return err
			}
			binary.LittleEndian.PutUint32(b, n)
		}
		return nil
	})
	if err == nil {
		d.n = n
	}
	return err
}

// own are the pages of commit n.
func (d *database) own(n uint32) (list []walnut.PageNo) {
	for i := range d.pages {
		list = append(list, walnut.PageNo(3+int(n-1)*d.pages+i))
	}
	return list
}

// verify checks that the commits that are there are there as a whole, and sets n.
func (d *database) verify() error {
	d.n = 0
	return d.View(ctx, func(tx *walnut.Tx) error {
		if tx.PageCount() < 2 {
			return nil
		}
		at := func(p walnut.PageNo) (uint32, error) {
			b, err := tx.Page(p)
			if err != nil {
				return 0, err
			}
			return binary.LittleEndian.Uint32(b), nil
		}
		last, err := at(2)
		if err != nil {
			return err
		}
		for n := uint32(1); n <= last; n++ {
			for _, p := range d.own(n) {
				if got, err := at(p); err != nil || got != n {
					return fmt.Errorf("page %d of commit %d has %d: %w", p, n, got, err)
				}
			}
		}
		d.n = last
		return nil
	})
}

// commitUntil commits until one fails, at most max times, and checks that the
// error is target and that nothing else has changed.
func (d *database) commitUntil(max int, target error) error {
	var err error
	for range max {
		if err = d.commit(); err != nil {
			break
		}
	}
	if !errors.Is(err, target) || errors.Is(err, walnut.ErrCommitUnknown) {
		return fmt.Errorf("after %d commits: got %w, want %w", d.n, err, target)
	}
	acked := d.n
	if err := d.verify(); err != nil || d.n != acked {
		return fmt.Errorf("%d of %d commits after the failed one: %w", d.n, acked, err)
	}
	return d.Stats().Failed
}
