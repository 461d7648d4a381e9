// The model: what each page holds after k transactions, and which k a crash
// may leave.

package crashtest

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/walnutdb/walnut"
	"github.com/walnutdb/walnut/internal/walformat"
)

// counterPage holds the number of transactions so far: its tag is that number.
const counterPage = 2

// state is the database after some transaction. tags[n-1] names the content of
// page n; 0 is a page of zeros.
type state struct {
	size uint32
	tags []uint64
}

func (s *state) clone() *state { return &state{size: s.size, tags: slices.Clone(s.tags)} }

func (s *state) resize(n uint32) {
	for uint32(len(s.tags)) < n {
		s.tags = append(s.tags, 0)
	}
	clear(s.tags[n:])
	s.tags = s.tags[:n]
	s.size = n
}

func (s *state) set(n walnut.PageNo, tag uint64) {
	s.resize(max(s.size, uint32(n)))
	s.tags[n-1] = tag
}

// tagOf names what transaction k writes to a page. A transaction that is
// repeated writes the same, byte for byte, which is what makes ghosts.
func tagOf(k int, variant uint8) uint64 { return uint64(k)<<8 | uint64(variant) }

// Page 1 is the database header and an empty table; a tag fits into the unused
// middle of it, so that SQLite still takes the file for a database.
const page1Tag = 120

// fill writes the content named tag into page n.
func fill(p []byte, n walnut.PageNo, tag uint64) {
	if n == 1 {
		binary.BigEndian.PutUint64(p[page1Tag:], tag)
		return
	}
	if tag == 0 {
		clear(p)
		return
	}
	x := tag
	for i := 0; i < len(p); i += 8 {
		binary.BigEndian.PutUint64(p[i:], x)
		x = mix(x, n)
	}
}

// filled reports whether p is what fill makes of it.
func filled(p []byte, n walnut.PageNo, tag uint64) bool {
	if n == 1 {
		return binary.BigEndian.Uint64(p[page1Tag:]) == tag
	}
	x := tag
	for i := 0; i < len(p); i += 8 {
		if binary.BigEndian.Uint64(p[i:]) != x {
			return false
		}
		if tag != 0 {
			x = mix(x, n)
		}
	}
	return true
}

func mix(x uint64, n walnut.PageNo) uint64 {
	return x*6364136223846793005 + 1442695040888963407 + uint64(n)<<17
}

// version is one state in the commit order.
type version struct {
	st *state
	// dirty are the pages that the transaction wrote, for repeating it.
	dirty []walnut.PageNo
	// refused: its commit failed with an error that promises that nothing
	// happened.
	refused bool
}

// history is what was begun and acknowledged so far. versions[k] is the state
// after k transactions.
type history struct {
	mu       sync.Mutex
	versions []version
	// full and acked are the last transactions acknowledged at SyncFull and at
	// any level.
	full, acked int
}

func newHistory(base *state) *history {
	return &history{versions: []version{{st: base}}}
}

// begin notes that transaction k is about to be committed. The caller has the
// writer's place, so what was noted from k on before was refused.
func (h *history) begin(k int, v version) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.versions = append(slices.Clip(h.versions[:k]), v)
}

func (h *history) refuse(k int, st *state) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k < len(h.versions) && h.versions[k].st == st {
		h.versions[k].refused = true
	}
}

func (h *history) ack(k int, level walnut.SyncLevel) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acked = max(h.acked, k)
	if level == walnut.SyncFull {
		h.full = max(h.full, k)
	}
}

// settle notes that all up to k is durable now, and nothing else exists.
func (h *history) settle(k int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.versions = slices.Clip(h.versions[:k+1])
	h.full, h.acked = k, k
}

func (h *history) floors() (full, acked int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.full, h.acked
}

func (h *history) at(k int) (*state, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k >= len(h.versions) {
		return nil, false
	}
	return h.versions[k].st, true
}

// begun returns a copy of the versions: what a disk may hold by now.
func (h *history) begun() []version {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.versions)
}

// allowed says which states a disk may be in.
type allowed struct {
	floor    int
	versions []version
}

// check compares what the transaction sees with the model and returns the
// number of transactions in it.
func (a allowed) check(tx *walnut.Tx) (int, error) {
	k := 0
	if tx.PageCount() >= counterPage {
		p, err := tx.Page(counterPage)
		if err != nil {
			return 0, err
		}
		k = int(binary.BigEndian.Uint64(p))
	}
	switch {
	case k < a.floor:
		return k, fmt.Errorf("LOST: the database has %d transactions, %d were acknowledged", k, a.floor)
	case k >= len(a.versions):
		return k, fmt.Errorf("GHOST: the database has %d transactions, %d were begun", k, len(a.versions)-1)
	case a.versions[k].refused:
		return k, fmt.Errorf("GHOST: the database has transaction %d, whose commit was refused", k)
	}
	return k, comparePages(tx, a.versions[k].st)
}

// comparePages compares every page. An empty database may have got its page 1.
func comparePages(tx *walnut.Tx, st *state) error {
	size := tx.PageCount()
	if size != st.size && !(st.size == 0 && size == 1) {
		return fmt.Errorf("TORN: the database has %d pages, the model %d", size, st.size)
	}
	lock := walformat.LockBytePage(tx.PageSize())
	for n := walnut.PageNo(1); uint32(n) <= st.size; n++ {
		if n == lock {
			continue
		}
		p, err := tx.Page(n)
		if err != nil {
			return err
		}
		if tag := st.tags[n-1]; !filled(p, n, tag) {
			return fmt.Errorf("TORN: page %d of %d is not what transaction %d wrote: it begins with % x",
				n, size, tag>>8, p[:16])
		}
	}
	return nil
}

// checkDB is check in a read transaction of its own.
func (a allowed) checkDB(db *walnut.DB) (k int, err error) {
	err = db.View(context.Background(), func(tx *walnut.Tx) error {
		k, err = a.check(tx)
		return err
	})
	return k, err
}
