// The load: short readers that overlap, a report that stays, three writers.

package demo

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/walnutdb/walnut"
)

const (
	shortReaders = 3
	writers      = 3
	// samples is how many rows the load reads and changes; the database does not
	// grow by it.
	samples = 2000
	// changes is how many of them one transaction changes.
	changes = 10
)

const (
	shortRead  = 50 * time.Millisecond
	reportTime = 8 * time.Second
	// reportSteps are the parts that the report reads, over its time.
	reportSteps = 40
	writerPause = 30 * time.Millisecond
)

const schema = `
CREATE TABLE IF NOT EXISTS notes(id INTEGER PRIMARY KEY, at DATETIME NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS samples(id INTEGER PRIMARY KEY, n INTEGER NOT NULL, body BLOB NOT NULL);
WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 2000)
	INSERT OR IGNORE INTO samples SELECT n, 0, randomblob(1000) FROM i;
INSERT INTO notes(at, body) SELECT strftime('%Y-%m-%dT%H:%M:%SZ'), column1 FROM (VALUES
	('The log of this database may have 4 MiB. Watch it on the page of the engine.'),
	('"long report" stays on its snapshot for eight seconds: it is detached, and sees no change.'),
	('Add a note: it is a transaction among those of the writers.')) WHERE NOT EXISTS (SELECT * FROM notes)`

// fill makes the tables, in one transaction.
func (d *Demo) fill(ctx context.Context) error {
	return d.update(walnut.WithLabel(ctx, "setup"), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, schema)
		return err
	})
}

// update runs fn in a write transaction.
func (d *Demo) update(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := d.sql.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		_ = tx.Rollback() // err says why
		return err
	}
	return tx.Commit()
}

// load starts all that reads and writes. It ends with ctx.
func (d *Demo) load(ctx context.Context) {
	for range shortReaders {
		d.again(ctx, "short reader", d.shortRead)
	}
	d.again(ctx, "long report", d.report)
	for i := range writers {
		d.again(ctx, fmt.Sprintf("writer %d", i+1), d.write)
	}
}

// again runs fn until ctx ends or fn fails.
func (d *Demo) again(ctx context.Context, label string, fn func(context.Context) error) {
	ctx = walnut.WithLabel(ctx, label)
	d.wg.Go(func() {
		for ctx.Err() == nil {
			if err := fn(ctx); err != nil && ctx.Err() == nil {
				d.fail(fmt.Errorf("%s: %w", label, err))
				return
			}
		}
	})
}

// pause waits about d, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d/2 + rand.N(d))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// shortRead reads some rows in a transaction that stays for a moment.
func (d *Demo) shortRead(ctx context.Context) error {
	defer pause(ctx, shortRead/5)
	tx, err := d.sql.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for range 5 {
		var n int64
		from := rand.N(samples)
		if err := tx.QueryRowContext(ctx, "SELECT total(n) FROM samples WHERE id BETWEEN ? AND ?", from, from+20).Scan(&n); err != nil {
			return err
		}
		pause(ctx, shortRead/5)
	}
	return nil
}

// write changes some rows.
func (d *Demo) write(ctx context.Context) error {
	defer pause(ctx, writerPause)
	return d.update(ctx, func(tx *sql.Tx) error {
		for range changes {
			if _, err := tx.ExecContext(ctx, "UPDATE samples SET n = n + 1, body = randomblob(1000) WHERE id = ?", 1+rand.N(samples)); err != nil {
				return err
			}
		}
		return nil
	})
}

// report reads all rows slowly in one snapshot, and then once more at once: what it
// saw must not have changed.
func (d *Demo) report(ctx context.Context) error {
	defer pause(ctx, reportTime/4)
	tx, err := d.sql.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var sum, again int64
	for i := range reportSteps {
		const part = samples / reportSteps
		var n int64
		if err := tx.QueryRowContext(ctx, "SELECT coalesce(sum(n), 0) FROM samples WHERE id > ? AND id <= ?", i*part, (i+1)*part).Scan(&n); err != nil {
			return err
		}
		sum += n
		pause(ctx, reportTime/reportSteps)
	}
	if err := tx.QueryRowContext(ctx, "SELECT sum(n) FROM samples").Scan(&again); err != nil {
		return err
	}
	if sum != again {
		return fmt.Errorf("the snapshot has changed: the sum was %d and is %d", sum, again)
	}
	return nil
}
