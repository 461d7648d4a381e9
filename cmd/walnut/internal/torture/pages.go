package torture

// This file is the workers that use pages and not SQL, and how what they left is
// checked.
//
// They have a database of their own beside that of the SQL workers, in the same
// process, killed with it. Page 2 counts all commits. Each worker has a head page
// and pagesEach data pages: a commit writes its number into the head, into some
// of the data pages, and into the head once more for each of those. Every page
// says whose it is, which it is, and has a checksum.

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/walnutdb/walnut"
)

const (
	// firstPageWorker is the number of the first worker on pages: above all SQL
	// workers' numbers.
	firstPageWorker = 201
	pageWorkers     = 4
	pagesEach       = 24 // of 4096 bytes: more than smallTx, so that some spill
	countPage       = walnut.PageNo(2)
)

// pagesName is the database of the page workers beside that of the SQL workers.
func pagesName(db string) string { return strings.TrimSuffix(db, ".db") + "-pages.db" }

// headPage is the page of worker w before its data pages.
func headPage(w int) walnut.PageNo {
	return countPage + 1 + walnut.PageNo((w-firstPageWorker)*(1+pagesEach))
}

// A page: checksum of the rest, its own number, and numbers.
const numbersAt = 8

// seal writes the numbers, and something of the last up to the end, into a page.
func seal(b []byte, n walnut.PageNo, numbers ...uint32) {
	clear(b)
	binary.LittleEndian.PutUint32(b[4:], uint32(n))
	for i := range (len(b) - numbersAt) / 4 {
		v := numbers[len(numbers)-1] + uint32(i)
		if i < len(numbers) {
			v = numbers[i]
		}
		binary.LittleEndian.PutUint32(b[numbersAt+4*i:], v)
	}
	binary.LittleEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// unseal returns the first count numbers of a page; all are 0 in one that was
// never written.
func unseal(tx *walnut.Tx, n walnut.PageNo, count int) ([]uint32, error) {
	numbers := make([]uint32, count)
	if uint32(n) > tx.PageCount() {
		return numbers, nil
	}
	b, err := tx.Page(n)
	if err != nil {
		return nil, err
	}
	own := binary.LittleEndian.Uint32(b[4:])
	sum := binary.LittleEndian.Uint32(b)
	if own == 0 && sum == 0 {
		return numbers, nil
	}
	if own != uint32(n) || sum != crc32.ChecksumIEEE(b[4:]) {
		return nil, fmt.Errorf("%w: page %d says that it is page %d, and its checksum is wrong or of another page", errTornPages, n, own)
	}
	for i := range numbers {
		numbers[i] = binary.LittleEndian.Uint32(b[numbersAt+4*i:])
	}
	return numbers, nil
}

// errTornPages is what no snapshot may show.
var errTornPages = errors.New("torn pages")

// readPages checks a snapshot and returns each worker's last commit.
func readPages(tx *walnut.Tx) (ledger, error) {
	last, sum := ledger{}, uint32(0)
	for w := firstPageWorker; w < firstPageWorker+pageWorkers; w++ {
		head, err := unseal(tx, headPage(w), 1+pagesEach)
		if err != nil {
			return nil, err
		}
		for i, want := range head[1:] {
			data, err := unseal(tx, headPage(w)+1+walnut.PageNo(i), 1)
			if err != nil {
				return nil, err
			}
			if data[0] != want {
				return nil, fmt.Errorf("%w: worker %d: its page %d is of commit %d, its head of commit %d says %d", errTornPages, w, i, data[0], head[0], want)
			}
		}
		if head[0] > 0 {
			last[w] = int(head[0])
		}
		sum += head[0]
	}
	count, err := unseal(tx, countPage, 1)
	if err == nil && count[0] != sum {
		err = fmt.Errorf("%w: %d commits are counted, the workers have %d", errTornPages, count[0], sum)
	}
	return last, err
}

// examinePages adds what the page workers left to the findings.
func examinePages(ctx context.Context, path string, f *findings) error {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil // killed before it was there
	}
	db, err := walnut.Open(path, nil)
	if err != nil {
		return err
	}
	err = db.View(ctx, func(tx *walnut.Tx) error {
		last, err := readPages(tx)
		for w, seq := range last {
			f.last[w], f.present[w] = seq, seq
		}
		return err
	})
	if errors.Is(err, errTornPages) {
		f.torn, err = append(f.torn, err.Error()), nil
	}
	return errors.Join(err, db.Close())
}

// workPages is one worker on pages.
func (c *child) workPages(ctx context.Context, db *walnut.DB, w int, rng *rand.Rand) error {
	level := []walnut.SyncLevel{walnut.SyncFull, walnut.SyncNormal, walnut.SyncOff}[rng.IntN(3)]
	for ctx.Err() == nil && !c.resting.Load() {
		var err error
		switch rng.IntN(20) {
		case 0:
			_, err = db.Checkpoint(ctx, walnut.CheckpointMode(rng.IntN(4)), &walnut.CheckpointOptions{Wait: 10 * time.Millisecond})
		case 1, 2, 3:
			err = db.View(ctx, func(tx *walnut.Tx) error { _, err := readPages(tx); return err })
			if errors.Is(err, errTornPages) {
				err = c.line("%sa snapshot: %v", tornPrefix, err)
			}
		default:
			err = c.commitPages(ctx, db, w, level, rng)
		}
		if err != nil {
			return fmt.Errorf("worker %d on pages: %w", w, err)
		}
	}
	return nil
}

// commitPages runs one transaction, and reports it if it was not rolled back as
// planned.
func (c *child) commitPages(ctx context.Context, db *walnut.DB, w int, level walnut.SyncLevel, rng *rand.Rand) error {
	tx, err := db.Begin(ctx, &walnut.TxOptions{Sync: &level})
	if err != nil {
		return err
	}
	seq, err := writePages(tx, w, rng)
	if err != nil || rng.IntN(6) == 0 {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	return c.line(ackFormat, w, seq)
}

// writePages writes a worker's next commit; before it, now and then, pages that
// a savepoint takes back.
func writePages(tx *walnut.Tx, w int, rng *rand.Rand) (seq uint32, err error) {
	head, err := unseal(tx, headPage(w), 1+pagesEach)
	if err != nil {
		return 0, err
	}
	count, err := unseal(tx, countPage, 1)
	if err != nil {
		return 0, err
	}
	put := func(n walnut.PageNo, numbers ...uint32) {
		var b []byte
		if err == nil {
			b, err = tx.Write(n)
		}
		if err == nil {
			seal(b, n, numbers...)
		}
	}
	if rng.IntN(4) == 0 {
		depth, serr := tx.Savepoint()
		if serr != nil {
			return 0, serr
		}
		for i := range 1 + rng.IntN(pagesEach) {
			put(headPage(w)+1+walnut.PageNo(i), 0xdead)
		}
		if err == nil {
			err = tx.RollbackTo(depth)
		}
	}
	seq = head[0] + 1
	head[0] = seq
	chance := 1 + rng.IntN(8)
	for i := range pagesEach {
		if rng.IntN(chance) == 0 {
			head[1+i] = seq
			put(headPage(w)+1+walnut.PageNo(i), seq)
		}
	}
	put(headPage(w), head...)
	put(countPage, count[0]+1)
	return seq, err
}
