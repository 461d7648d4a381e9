// Many connections on one pool, under the race detector: money moves between
// accounts, and no snapshot ever sees a sum that is not the whole.

package sqltest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	sqlite "github.com/ncruces/go-sqlite3"

	"github.com/walnutdb/walnut"
)

const (
	accounts = 40
	money    = 1000 // in each account at the start
)

// bank is a database of accounts under load.
type bank struct {
	*testing.T
	db        *sql.DB
	wg        sync.WaitGroup
	stop      chan struct{}
	reads     atomic.Int64
	moves     atomic.Int64
	stale     atomic.Int64
	transfers int
}

func newBank(t *testing.T, path, params string) *bank {
	b := &bank{T: t, db: open(t, path, params), stop: make(chan struct{}), transfers: 100}
	if testing.Short() {
		b.transfers = 40
	}
	exec1(t, b.db, "CREATE TABLE account(id INTEGER PRIMARY KEY, amount, pad)")
	exec1(t, b.db, "CREATE TABLE ledger(id INTEGER PRIMARY KEY, who, amount); CREATE INDEX lw ON ledger(who)")
	exec1(t, b.db, fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT %d) INSERT INTO account SELECT i, %d, zeroblob(700) FROM n", accounts, money))
	return b
}

// failed reports an error of a worker, which must not be "locked".
func (b *bank) failed(who string, err error) bool {
	if err == nil {
		return false
	}
	b.Errorf("%s: %v", who, err)
	return true
}

// start runs n workers until they return; those that read run until stop.
func (b *bank) start(n int, work func(i int, rnd *rand.Rand)) {
	for i := range n {
		b.wg.Go(func() { work(i, rand.New(rand.NewPCG(uint64(i), 4))) })
	}
}

func (b *bank) stopped() bool {
	select {
	case <-b.stop:
		return true
	default:
		return b.Failed()
	}
}

// reader sums up in one statement, and in one transaction of several.
func (b *bank) reader(i int, rnd *rand.Rand) {
	const sum = "SELECT sum(amount), count(*) FROM account"
	whole := fmt.Sprintf("%d|%d", accounts*money, accounts)
	for n := 0; !b.stopped(); n++ {
		if n%2 == 0 {
			got, err := lines(b.db, sum)
			if b.failed("reader", err) {
				return
			}
			if got != whole {
				b.Errorf("a snapshot has %s, not %s", got, whole)
				return
			}
		} else if !b.readTx(sum, whole) {
			return
		}
		b.reads.Add(1)
	}
}

// readTx reads the same from many statements of one transaction.
func (b *bank) readTx(sum, whole string) bool {
	tx, err := b.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if b.failed("begin", err) {
		return false
	}
	defer func() { _ = tx.Rollback() }()
	first, err := lines(tx, "SELECT count(*), coalesce(sum(id),0), coalesce(max(id),0) FROM ledger")
	if b.failed("reader", err) {
		return false
	}
	for range 3 {
		got, err := lines(tx, sum)
		if b.failed("reader", err) {
			return false
		}
		again, err := lines(tx, "SELECT count(*), coalesce(sum(id),0), coalesce(max(id),0) FROM ledger")
		if b.failed("reader", err) {
			return false
		}
		if got != whole || again != first {
			b.Errorf("a snapshot changed: %s and %s, then %s and %s", whole, first, got, again)
			return false
		}
	}
	// Each transfer has two lines that cancel out, whatever index is used.
	got, err := lines(tx, "SELECT coalesce(sum(amount),0), count(*) % 2 FROM ledger INDEXED BY lw WHERE who > 0")
	if b.failed("reader", err) {
		return false
	}
	if got != "0|0" {
		b.Errorf("half a transfer: %s", got)
		return false
	}
	return true
}

// writer moves money in BEGIN IMMEDIATE.
func (b *bank) writer(i int, rnd *rand.Rand) {
	for range b.transfers {
		tx, err := b.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
		if b.failed("begin immediate", err) {
			return
		}
		if err := transfer(tx, rnd); err != nil {
			_ = tx.Rollback()
			b.failed("writer", err)
			return
		}
		if rnd.IntN(8) == 0 {
			err = tx.Rollback()
		} else {
			err = tx.Commit()
			b.moves.Add(1)
		}
		if b.failed("commit", err) {
			return
		}
	}
}

func transfer(tx execer, rnd *rand.Rand) error {
	from, to, n := 1+rnd.IntN(accounts), 1+rnd.IntN(accounts), rnd.IntN(50)
	for who, amount := range map[int]int{from: -n, to: n} {
		if from == to {
			amount = 0
		}
		if _, err := tx.ExecContext(ctx, "UPDATE account SET amount = amount + ? WHERE id = ?", amount, who); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO ledger(who, amount) VALUES(?, ?), (?, ?)", from, -n, to, n)
	return err
}

// single moves money with autocommit statements alone.
func (b *bank) single(i int, rnd *rand.Rand) {
	for range b.transfers {
		from, to, n := 1+rnd.IntN(accounts), 1+rnd.IntN(accounts), rnd.IntN(50)
		_, err := b.db.ExecContext(ctx, "UPDATE account SET amount = amount + CASE id WHEN ? THEN ? ELSE ? END WHERE id IN (?, ?) AND ? <> ?", to, n, -n, from, to, from, to)
		if b.failed("autocommit update", err) {
			return
		}
		if _, err := b.db.ExecContext(ctx, "INSERT INTO ledger(who, amount) VALUES(?, ?), (?, ?)", from, -n, to, n); b.failed("autocommit insert", err) {
			return
		}
		b.moves.Add(2)
	}
}

// deferred reads and then writes: that succeeds, or fails as stale at once.
func (b *bank) deferred(i int, rnd *rand.Rand) {
	for range b.transfers {
		tx, err := b.db.BeginTx(ctx, nil)
		if b.failed("begin", err) {
			return
		}
		if _, err := lines(tx, "SELECT amount FROM account WHERE id = 1"); b.failed("deferred read", err) {
			return
		}
		err = transfer(tx, rnd)
		if err == nil {
			if b.failed("deferred commit", tx.Commit()) {
				return
			}
			b.moves.Add(1)
			continue
		}
		_ = tx.Rollback()
		if !errors.Is(err, sqlite.BUSY_SNAPSHOT) {
			b.failed("deferred", err)
			return
		}
		b.stale.Add(1)
	}
}

func TestMoney(t *testing.T) {
	for _, c := range []struct {
		name   string
		params string
		work   []func(*bank, int, *rand.Rand)
	}{
		{"transactions", "_pragma=wal_autocheckpoint(30)", []func(*bank, int, *rand.Rand){(*bank).writer}},
		{"autocommit", "_pragma=wal_autocheckpoint(10)", []func(*bank, int, *rand.Rand){(*bank).single}},
		{"spilling, all kinds", "_pragma=wal_autocheckpoint(25)&_pragma=cache_size(3)", []func(*bank, int, *rand.Rand){(*bank).writer, (*bank).single, (*bank).deferred}},
		{"normal and full", "_pragma=wal_autocheckpoint(40)", []func(*bank, int, *rand.Rand){(*bank).mixedLevels, (*bank).writer}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := newFile(t)
			b := newBank(t, path, c.params)
			engine := engineOf(t, path)
			var writers sync.WaitGroup
			b.start(8, b.reader)
			for i := range 4 {
				work := c.work[i%len(c.work)]
				writers.Go(func() { work(b, i, rand.New(rand.NewPCG(uint64(i), 9))) })
			}
			writers.Wait()
			close(b.stop)
			b.wg.Wait()
			// One is under way at least, however slow the disk.
			waitUntil(t, func() bool { return engine.Stats().Checkpoints > 0 })
			s := engine.Stats()
			t.Logf("%d commits in %d groups (largest %d), %d stale, %d reads, %d checkpoints, %d restarts, %d frames left",
				s.Commits, s.Groups, s.MaxGroup, b.stale.Load(), b.reads.Load(), s.Checkpoints, s.Restarts, s.LogFrames)
			if s.OpenTransactions != 0 || s.ReadersInFile+s.ReadersInLog+s.QueuedWriters != 0 {
				t.Errorf("something is left behind: %+v", s)
			}
			wantQuery(t, b.db, "SELECT sum(amount) FROM account", fmt.Sprint(accounts*money))
			sound(t, b.db, path)
			if err := b.db.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// mixedLevels commits at NORMAL and OFF between others' FULL.
func (b *bank) mixedLevels(i int, rnd *rand.Rand) {
	c, err := b.db.Conn(ctx)
	if b.failed("conn", err) {
		return
	}
	defer func() { _ = c.Close() }()
	for range b.transfers {
		if _, err := c.ExecContext(ctx, "PRAGMA synchronous="+[]string{"OFF", "NORMAL", "FULL"}[rnd.IntN(3)]); b.failed("synchronous", err) {
			return
		}
		if _, err := c.ExecContext(ctx, "INSERT INTO ledger(who, amount) VALUES(1, 5), (2, -5)"); b.failed("insert", err) {
			return
		}
		// Its own commit is visible to it, whatever the level.
		got, err := lines(c, "SELECT count(*) FROM ledger WHERE id = last_insert_rowid()")
		if b.failed("own commit", err) {
			return
		}
		if got != "1" {
			b.Errorf("a connection does not see its own commit")
		}
		b.moves.Add(1)
	}
}

// TestMoneyWithCancellations: contexts that end at any moment leave no half
// transfer and nothing locked.
func TestMoneyWithCancellations(t *testing.T) {
	path := newFile(t)
	b := newBank(t, path, "_pragma=wal_autocheckpoint(20)&_pragma=cache_size(4)")
	b.start(2, b.reader)
	var writers sync.WaitGroup
	for i := range 4 {
		rnd := rand.New(rand.NewPCG(uint64(i), 11))
		writers.Go(func() {
			for range b.transfers {
				// Cancelled from beside, at a moment that the scheduler picks.
				c, cancel := context.WithCancel(ctx)
				spins := rnd.IntN(50)
				go func() {
					for range spins {
						_ = b.moves.Load()
					}
					cancel()
				}()
				tx, err := b.db.BeginTx(c, &sql.TxOptions{Isolation: sql.LevelSerializable})
				if err == nil {
					if err = transfer(cancelled{tx, c}, rand.New(rand.NewPCG(uint64(i), 1))); err == nil {
						err = tx.Commit()
					}
					_ = tx.Rollback()
				}
				if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, sql.ErrTxDone) && !strings.Contains(err.Error(), "nothing to commit") {
					b.failed("cancelled writer", err)
				}
				cancel()
			}
		})
	}
	writers.Wait()
	close(b.stop)
	b.wg.Wait()
	exec1(t, b.db, "INSERT INTO ledger(who, amount) VALUES(1, 0), (2, 0)")
	wantQuery(t, b.db, "SELECT sum(amount) FROM account", fmt.Sprint(accounts*money))
	if s := engineOf(t, path).Stats(); s.OpenTransactions != 0 || s.QueuedWriters != 0 {
		t.Errorf("left behind: %+v", s)
	}
	sound(t, b.db, path)
}

// cancelled runs statements under a context of its own.
type cancelled struct {
	*sql.Tx
	ctx context.Context
}

func (c cancelled) ExecContext(_ context.Context, q string, args ...any) (sql.Result, error) {
	return c.Tx.ExecContext(c.ctx, q, args...)
}

// TestTruncateUnderLoad: TRUNCATE, again and again, while all write and read.
func TestTruncateUnderLoad(t *testing.T) {
	path := newFile(t)
	b := newBank(t, path, "")
	engine := engineOf(t, path)
	b.start(4, b.reader)
	var writers sync.WaitGroup
	for i := range 3 {
		writers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 3))
			for b.single(i, rnd); engine.Stats().Restarts < 2 && !b.stopped(); {
				b.single(i, rnd) // nobody else says how long a truncation may take
			}
		})
	}
	b.wg.Go(func() {
		for !b.stopped() {
			if _, err := engine.Checkpoint(ctx, walnut.CheckpointTruncate, nil); b.failed("truncate", err) {
				return
			}
			for n := engine.Stats().Commits; engine.Stats().Commits < n+20 && !b.stopped(); {
				runtime.Gosched()
			}
		}
	})
	writers.Wait()
	close(b.stop)
	b.wg.Wait()
	s := engine.Stats()
	t.Logf("%d truncations, %d commits, %d reads", s.Restarts, s.Commits, b.reads.Load())
	wantQuery(t, b.db, "SELECT sum(amount) FROM account", fmt.Sprint(accounts*money))
	sound(t, b.db, path)
}
