package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/walnutdb/walnut"
)

// pageCommits are Walnut's transactions of one page, without SQL: each writer
// counts in its own.
func pageCommits(writers int, s setting) entrant {
	return entrant{pagesName, func(ctx context.Context, dir string) (_ sample, err error) {
		db, err := walnut.Open(filepath.Join(dir, "pages.db"), nil)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		// The database has its size before.
		err = db.Update(ctx, func(tx *walnut.Tx) error {
			_, err := tx.Write(walnut.PageNo(1 + writers))
			return err
		})
		if err != nil {
			return nil, err
		}
		t, err := drive(ctx, s, load{goroutines: writers, op: func(ctx context.Context, w int) error {
			return db.Update(ctx, func(tx *walnut.Tx) error {
				p, err := tx.Write(walnut.PageNo(2 + w))
				if err == nil {
					binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)+1)
				}
				return err
			})
		}})
		if err != nil {
			return nil, err
		}
		sum := 0
		err = db.View(ctx, func(tx *walnut.Tx) error {
			for w := range writers {
				p, err := tx.Page(walnut.PageNo(2 + w))
				if err != nil {
					return err
				}
				sum += int(binary.LittleEndian.Uint64(p))
			}
			return nil
		})
		if err == nil && sum != t[0].all {
			err = fmt.Errorf("the pages count %d of %d acknowledged commits", sum, t[0].all)
		}
		return commitSample(t[0]), err
	}}
}

// bucket is the one in bbolt.
var bucket = []byte("visits")

func openBolt(dir string) (*bbolt.DB, error) {
	db, err := bbolt.Open(filepath.Join(dir, "bolt.db"), 0o600, nil)
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucketIfNotExists(bucket); return err })
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// putNext is bbolt's one-row INSERT.
func putNext(tx *bbolt.Tx) error {
	b := tx.Bucket(bucket)
	id, err := b.NextSequence()
	if err != nil {
		return err
	}
	return b.Put(boltKey(id), []byte(note))
}

func boltKey(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

// bboltCommits are bbolt's transactions of one key. batch lets it group them.
func bboltCommits(name string, writers int, batch bool, s setting) entrant {
	return entrant{name, func(ctx context.Context, dir string) (_ sample, err error) {
		db, err := openBolt(dir)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		commit := db.Update
		if batch {
			commit = db.Batch
		}
		t, err := drive(ctx, s, load{goroutines: writers, op: func(context.Context, int) error { return commit(putNext) }})
		if err != nil {
			return nil, err
		}
		err = db.View(func(tx *bbolt.Tx) error {
			if n := tx.Bucket(bucket).Stats().KeyN; n != t[0].all {
				return fmt.Errorf("%d keys after %d acknowledged commits", n, t[0].all)
			}
			return nil
		})
		return commitSample(t[0]), err
	}}
}

// bboltBulk opens a new database and puts that many keys in one transaction.
func bboltBulk(rows int) func(context.Context, string) (*bbolt.DB, error) {
	return func(ctx context.Context, dir string) (*bbolt.DB, error) {
		db, err := openBolt(dir)
		if err != nil {
			return nil, err
		}
		err = db.Update(func(tx *bbolt.Tx) error {
			for chunk := range slices.Chunk(make([]struct{}, rows), 1000) {
				for range chunk {
					if err := putNext(tx); err != nil {
						return err
					}
				}
				if err := ctx.Err(); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, errors.Join(err, db.Close())
		}
		return db, nil
	}
}
