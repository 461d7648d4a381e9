// The checks that need the order of commits: snapshot isolation, lost updates,
// and what a crash may lose.
//
// The checker goes through the events with the chain of versions that were
// begun. A version is certain once a commit of it, or of a later one, was
// acknowledged or seen by a reader: floor is the newest of them. full is the
// newest that must outlive a power failure.

package history

import (
	"fmt"

	"github.com/walnutdb/walnut"
)

// version is one in the chain.
type version struct {
	tx    *txRec // nil for the empty database
	head  tag
	state state
	epoch int
}

type checker struct {
	chain []version
	at    map[tag]int
	// gone are versions that can never be seen again, and why.
	gone map[tag]string
	// floor and full are positions in the chain.
	floor, full int
	// epoch counts how often the database was opened anew; settled: what was
	// left of the versions of earlier epochs is known.
	epoch   int
	settled bool
	// loose: a failed sync may have dropped what the cache still shows.
	loose bool
	// begun has the floor at the time when a transaction, or a checkpoint, was
	// asked for.
	begun  map[*txRec]int
	copies map[int]int
	// newest has the end of the chain at the time when a transaction had begun.
	newest map[*txRec]int
	// refused are the transactions whose commit is going to fail for certain.
	// Others may build on their base while they still wait for it to be
	// published.
	refused map[*txRec]bool
	// returned are those whose commit returns at all.
	returned map[*txRec]bool
	// bases has what the database held at the beginning of each epoch.
	bases []state
}

func newChecker() *checker {
	return &checker{chain: []version{{}}, at: map[tag]int{0: 0}, gone: map[tag]string{},
		begun: map[*txRec]int{}, copies: map[int]int{}, newest: map[*txRec]int{}, refused: map[*txRec]bool{}, returned: map[*txRec]bool{}, bases: []state{{}}}
}

// check goes through a whole history. Its error names what is broken.
func (c *checker) check(events []event) error {
	for _, e := range events {
		switch e.kind {
		case evRefused:
			c.refused[e.tx] = true
		case evCommitted, evUnknown:
			c.returned[e.tx] = true
		}
	}
	for i := range events {
		if err := c.next(&events[i]); err != nil {
			return fmt.Errorf("step %d: %w", events[i].step, err)
		}
	}
	return nil
}

func (c *checker) next(e *event) error {
	switch e.kind {
	case evBegin:
		c.begun[e.tx] = c.floor
	case evBegun:
		c.newest[e.tx] = len(c.chain) - 1
	case evSeen:
		return c.seen(e.tx, e.writes)
	case evRead:
		return c.read(e.tx, e.access)
	case evStale:
		if c.at[e.tx.base] == len(c.chain)-1 {
			return fmt.Errorf("WRONGLY REFUSED: transaction %d has the newest version %v, and was told that it is stale", e.tx.id, e.tx.base)
		}
	case evCommit:
		return c.commit(e.tx)
	case evCommitted:
		c.raise(c.at[e.tx.head])
	case evEnded:
		if e.writes {
			c.raise(c.at[e.tx.base])
		}
	case evCheckpoint:
		c.copies[e.id] = c.floor
	case evCopied:
		c.full = max(c.full, c.copies[e.id])
	case evSyncFault:
		c.loose = true
	case evAllClosed:
		c.full = c.floor
	case evReopen:
		c.nextEpoch()
	case evPower:
		c.floor, c.loose = c.full, false
		c.nextEpoch()
	case evKill:
		if c.loose {
			c.floor = c.full
		}
		c.loose = false
		c.nextEpoch()
	}
	return nil
}

// raise notes that version i is certain. With it are all before it; the newest
// of these that was committed at SyncFull is durable, or it would not have been
// published.
func (c *checker) raise(i int) {
	c.floor = max(c.floor, i)
	for ; i > c.full; i-- {
		if c.chain[i].tx.level == walnut.SyncFull {
			c.full = i
		}
	}
}

func (c *checker) nextEpoch() {
	c.epoch++
	c.settled = false
	c.bases = append(c.bases, state{})
}

// cut takes the versions behind i out of the chain.
func (c *checker) cut(i int, why string) {
	for _, v := range c.chain[i+1:] {
		delete(c.at, v.head)
		c.gone[v.head] = why
	}
	c.chain = c.chain[:i+1]
}

// seen judges the version that a transaction has begun with.
func (c *checker) seen(tx *txRec, writes bool) error {
	i, ok := c.at[tx.base]
	switch {
	case !ok && c.gone[tx.base] != "":
		return fmt.Errorf("GHOST: transaction %d sees version %v, which %s", tx.id, tx.base, c.gone[tx.base])
	case !ok:
		return fmt.Errorf("TORN: transaction %d sees a head %v that no transaction has committed", tx.id, tx.base)
	case i < c.begun[tx] && !c.settled:
		return fmt.Errorf("LOST COMMIT: transaction %d sees version %v, and version %v was certain before the database was opened again",
			tx.id, tx.base, c.chain[c.begun[tx]].head)
	case i < c.begun[tx]:
		return fmt.Errorf("STALE READ: transaction %d sees version %v, and version %v was acknowledged or seen before it began",
			tx.id, tx.base, c.chain[c.begun[tx]].head)
	}
	if i > c.newest[tx] {
		return fmt.Errorf("NO SNAPSHOT: transaction %d sees version %v, whose commit began after the transaction had", tx.id, tx.base)
	}
	if !c.settled {
		c.cut(i, "was not there when the database was opened again")
		c.settled = true
		c.bases[c.epoch] = c.chain[i].state
	}
	if n := c.chain[i].state.size; tx.size != n && !(n == 0 && tx.size == 1) {
		return fmt.Errorf("TORN: transaction %d sees %d pages, version %v has %d", tx.id, tx.size, tx.base, n)
	}
	if !writes {
		c.raise(i)
	}
	return nil
}

// read judges one page.
func (c *checker) read(tx *txRec, a access) error {
	want := a.own
	if !a.isOwn {
		i, ok := c.at[tx.base]
		if !ok {
			return fmt.Errorf("transaction %d reads on from version %v, which is gone", tx.id, tx.base)
		}
		want = c.chain[i].state.tags[a.page]
	}
	switch {
	case a.got == want:
		return nil
	case a.isOwn:
		return fmt.Errorf("OWN WRITE LOST: transaction %d reads %v on page %d, where it has put %v", tx.id, a.got, a.page, want)
	}
	return fmt.Errorf("TORN: transaction %d, on version %v, reads %v on page %d, where that version has %v", tx.id, tx.base, a.got, a.page, want)
}

// commit adds a version, which may come to be.
func (c *checker) commit(tx *txRec) error {
	if c.refused[tx] {
		c.gone[tx.head] = "was refused"
		return nil
	}
	i, ok := c.at[tx.base]
	if !ok {
		return fmt.Errorf("transaction %d commits on version %v, which is gone", tx.id, tx.base)
	}
	if i == len(c.chain)-2 && !c.returned[c.chain[i+1].tx] {
		// It never returned, and was to be refused if it had.
		c.cut(i, "was overtaken")
	}
	if last := c.chain[len(c.chain)-1]; i != len(c.chain)-1 {
		return fmt.Errorf("LOST UPDATE: transaction %d commits on version %v, over version %v of transaction %d", tx.id, tx.base, last.head, last.tx.id)
	}
	delete(c.gone, tx.head) // it may be one that was lost, once more
	c.at[tx.head] = len(c.chain)
	c.chain = append(c.chain, version{tx: tx, head: tx.head, state: tx.made.over(c.chain[i].state), epoch: c.epoch})
	return nil
}
