package walnut_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/walnutdb/walnut"
)

// examplePath returns the path of a database that does not exist yet.
func examplePath() (path string, remove func()) {
	dir, err := os.MkdirTemp("", "walnut")
	if err != nil {
		log.Fatal(err)
	}
	return filepath.Join(dir, "app.db"), func() { _ = os.RemoveAll(dir) }
}

// exampleDB opens a new database.
func exampleDB() (db *walnut.DB, done func()) {
	path, remove := examplePath()
	db, err := walnut.Open(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	return db, func() {
		if err := db.Close(); err != nil {
			log.Fatal(err)
		}
		remove()
	}
}

// Pages are written in one transaction and read in another. Each View sees the
// state that was committed when it began.
func Example() {
	path, remove := examplePath()
	defer remove()
	ctx := context.Background()

	db, err := walnut.Open(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	err = db.Update(ctx, func(tx *walnut.Tx) error {
		page, err := tx.Write(2) // the database grows to two pages
		if err != nil {
			return err
		}
		copy(page, "hello")
		return nil
	}) // on disk when Update returns
	if err != nil {
		log.Fatal(err)
	}

	err = db.View(ctx, func(tx *walnut.Tx) error {
		page, err := tx.Page(2)
		if err != nil {
			return err
		}
		fmt.Printf("%d pages of %d bytes: %s\n", tx.PageCount(), tx.PageSize(), page[:5])
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 2 pages of 4096 bytes: hello
}

// An error of the function rolls the transaction back.
func ExampleDB_Update() {
	db, done := exampleDB()
	defer done()

	errChanged := errors.New("changed my mind")
	err := db.Update(context.Background(), func(tx *walnut.Tx) error {
		if _, err := tx.Write(9); err != nil {
			return err
		}
		return errChanged
	})
	fmt.Println(err, "-", db.Stats().Commits, "commits")
	// Output: changed my mind - 0 commits
}

// A savepoint undoes a part of a transaction. Savepoints nest.
func ExampleTx_Savepoint() {
	db, done := exampleDB()
	defer done()

	write := func(tx *walnut.Tx, text string) error {
		page, err := tx.Write(2)
		if err == nil {
			copy(page, text)
		}
		return err
	}
	err := db.Update(context.Background(), func(tx *walnut.Tx) error {
		if err := write(tx, "kept"); err != nil {
			return err
		}
		depth, err := tx.Savepoint()
		if err != nil {
			return err
		}
		if err := write(tx, "lost"); err != nil {
			return err
		}
		if err := tx.RollbackTo(depth); err != nil {
			return err
		}
		page, err := tx.Page(2)
		if err == nil {
			fmt.Printf("%s\n", page[:4])
		}
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: kept
}

// A checkpoint copies the log into the database file; in truncate mode the log
// is then empty.
func ExampleDB_Checkpoint() {
	db, done := exampleDB()
	defer done()
	ctx := context.Background()

	for i := range 3 {
		err := db.Update(ctx, func(tx *walnut.Tx) error {
			page, err := tx.Write(2)
			if err == nil {
				page[0] = byte(i)
			}
			return err
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("before:", db.Stats().LogFrames, "frames in the log")
	r, err := db.Checkpoint(ctx, walnut.CheckpointTruncate, nil)
	if err != nil {
		log.Fatal(err)
	}
	if r.Busy {
		log.Fatal("could not finish, because of ", r.WaitedFor)
	}
	fmt.Println("after:", r.LogFrames, "frames,", db.Stats().LogBytes, "bytes")
	// Output:
	// before: 4 frames in the log
	// after: 0 frames, 0 bytes
}

// A deferred transaction reads first, and may write as long as nobody else
// has committed since: otherwise what it read is no longer true, and it begins
// again.
func ExampleDB_Begin_deferred() {
	db, done := exampleDB()
	defer done()
	ctx := context.Background()

	// increment adds one to the first byte of page 2; before is called
	// between the reading and the writing.
	increment := func(before func()) error {
		tx, err := db.Begin(ctx, &walnut.TxOptions{Deferred: true})
		if err != nil {
			return err
		}
		defer tx.Rollback()
		var n byte
		if tx.PageCount() >= 2 {
			page, err := tx.Page(2)
			if err != nil {
				return err
			}
			n = page[0]
		}
		before()
		page, err := tx.Write(2)
		if err != nil {
			return err
		}
		page[0] = n + 1
		return tx.Commit(ctx)
	}

	meanwhile := func() {
		if err := increment(func() {}); err != nil {
			log.Fatal(err)
		}
	}
	err := increment(meanwhile)
	fmt.Println("stale:", errors.Is(err, walnut.ErrSnapshotStale))
	err = increment(func() {})
	fmt.Println("again:", err)
	// Output:
	// stale: true
	// again: <nil>
}
