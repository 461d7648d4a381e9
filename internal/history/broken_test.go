// The checks are checked: histories made by hand, each with one promise broken,
// and the same without. Both judges see them.

package history

import (
	"strings"
	"testing"

	"github.com/walnutdb/walnut"
)

// hand makes a history by hand. Each event is a step of its own.
type hand struct {
	events []event
	txs    int
}

func (h *hand) add(e event) { e.step = len(h.events) + 1; h.events = append(h.events, e) }

// begin begins a transaction on the version with a head, of three pages (none,
// for the first).
func (h *hand) begin(base tag, writes bool) *txRec {
	h.txs++
	tx := &txRec{id: h.txs, actor: h.txs, base: base}
	if base != 0 {
		tx.size = 3
	}
	h.add(event{kind: evBegin, tx: tx})
	h.add(event{kind: evBegun, tx: tx})
	h.add(event{kind: evSeen, tx: tx, writes: writes})
	return tx
}

func (h *hand) read(tx *txRec, got tag) {
	h.add(event{kind: evRead, tx: tx, access: access{page: 3, got: got}})
}

// commit begins to commit page 3, with the head; the outcome follows unless it
// is evNone.
func (h *hand) commit(tx *txRec, level walnut.SyncLevel, outcome eventKind) {
	tx.head, tx.level = makeTag(tx.id, 1), level
	tx.made = writes{size: 3, tags: map[walnut.PageNo]tag{2: tx.head, 3: makeTag(tx.id, 2)}}
	h.add(event{kind: evCommit, tx: tx, writes: true})
	if outcome != evNone {
		h.add(event{kind: outcome, tx: tx, writes: true})
	}
}

// write is a whole transaction on the version with that head; it returns its
// own.
func (h *hand) write(base tag, level walnut.SyncLevel, outcome eventKind) tag {
	tx := h.begin(base, true)
	h.commit(tx, level, outcome)
	return tx.head
}

func (h *hand) view(base, page3 tag) { h.read(h.begin(base, false), page3) }

func (h *hand) is(k eventKind) { h.add(event{kind: k}) }

const full, normal = walnut.SyncFull, walnut.SyncNormal

// byHand are the histories: each is made with what goes wrong, and without. want
// is what the checker calls it; ill says that porcupine refuses it too.
var byHand = []struct {
	name string
	want string
	ill  bool
	make func(h *hand, bad bool)
}{
	{name: "lost update", want: "LOST UPDATE", ill: true, make: func(h *hand, bad bool) {
		base := h.write(0, full, evCommitted)
		a := h.begin(base, true)
		if !bad {
			h.commit(a, full, evCommitted)
			base = a.head
		}
		b := h.begin(base, true)
		h.commit(b, full, evCommitted)
		if bad {
			h.commit(a, full, evCommitted)
		}
	}},
	{name: "torn snapshot", want: "TORN", ill: true, make: func(h *hand, bad bool) {
		one := h.write(0, full, evCommitted)
		r := h.begin(one, false)
		h.write(one, full, evCommitted)
		h.read(r, pick(bad, makeTag(3, 2), makeTag(1, 2)))
	}},
	{name: "changing snapshot", want: "TORN", ill: true, make: func(h *hand, bad bool) {
		one := h.write(0, full, evCommitted)
		r := h.begin(one, false)
		h.read(r, makeTag(1, 2))
		h.write(one, full, evCommitted)
		h.read(r, pick(bad, makeTag(3, 2), makeTag(1, 2)))
	}},
	{name: "stale read", want: "STALE READ", ill: true, make: func(h *hand, bad bool) {
		one := h.write(0, full, evCommitted)
		two := h.write(one, full, evCommitted)
		h.view(pick(bad, one, two), pick(bad, makeTag(1, 2), makeTag(2, 2)))
	}},
	{name: "reads that go back", want: "STALE READ", ill: true, make: func(h *hand, bad bool) {
		one := h.write(0, full, evCommitted)
		two := h.write(one, full, evNone) // has not returned
		h.view(two, makeTag(2, 2))
		h.view(pick(bad, one, two), pick(bad, makeTag(1, 2), makeTag(2, 2)))
	}},
	{name: "a later commit", want: "NO SNAPSHOT", ill: true, make: func(h *hand, bad bool) {
		h.txs++
		r := &txRec{id: h.txs}
		h.add(event{kind: evBegin, tx: r})
		h.add(event{kind: evBegun, tx: r})
		one := h.write(0, full, evCommitted)
		if bad {
			r.base, r.size = one, 3
		}
		h.add(event{kind: evSeen, tx: r})
	}},
	{name: "acknowledged commit lost by a power failure", want: "LOST COMMIT", make: func(h *hand, bad bool) {
		one := h.write(0, full, evCommitted)
		h.write(one, pickLevel(bad, full, normal), evCommitted)
		h.is(evPower)
		h.view(one, makeTag(1, 2))
	}},
	{name: "commit that was seen lost by a power failure", want: "LOST COMMIT", make: func(h *hand, bad bool) {
		one := h.write(0, full, evCommitted)
		two := h.write(one, pickLevel(bad, full, normal), evNone)
		h.view(two, makeTag(2, 2))
		h.is(evPower)
		h.view(one, makeTag(1, 2))
	}},
	{name: "checkpointed commit lost by a power failure", want: "LOST COMMIT", make: func(h *hand, bad bool) {
		one := h.write(0, normal, evCommitted)
		two := h.write(one, normal, evCommitted)
		h.add(event{kind: evCheckpoint, id: 1})
		if bad {
			h.add(event{kind: evCopied, id: 1})
		}
		_ = two
		h.is(evPower)
		h.view(one, makeTag(1, 2))
	}},
	{name: "commit lost by a kill", want: "LOST COMMIT", make: func(h *hand, bad bool) {
		one := h.write(0, full, evCommitted)
		h.write(one, normal, evCommitted)
		if !bad {
			h.is(evSyncFault)
		}
		h.is(evKill)
		h.view(one, makeTag(1, 2))
	}},
	{name: "commit lost by closing and opening", want: "LOST COMMIT", make: func(h *hand, bad bool) {
		one := h.write(0, full, evCommitted)
		h.write(one, normal, pickKind(bad, evCommitted, evUnknown))
		h.is(evReopen)
		h.view(one, makeTag(1, 2))
	}},
	{name: "hole in the order of commits", want: "TORN", ill: true, make: func(h *hand, bad bool) {
		one := h.write(0, normal, evCommitted)
		two := h.write(one, normal, evCommitted)
		h.write(two, normal, evCommitted)
		h.is(evPower)
		// The third survives, or the second does, but without its page.
		h.view(two, pick(bad, makeTag(1, 2), makeTag(2, 2)))
		h.view(two, makeTag(2, 2))
	}},
	{name: "lost commit that comes back", want: "GHOST", ill: true, make: func(h *hand, bad bool) {
		one := h.write(0, full, evCommitted)
		two := h.write(one, full, evUnknown)
		h.is(evReopen)
		h.view(pick(bad, one, two), pick(bad, makeTag(1, 2), makeTag(2, 2)))
		h.view(two, makeTag(2, 2))
	}},
	{name: "refused commit that is there", want: "GHOST", ill: true, make: func(h *hand, bad bool) {
		one := h.write(0, full, evCommitted)
		two := h.write(one, full, pickKind(bad, evRefused, evUnknown))
		h.view(two, makeTag(2, 2))
	}},
	{name: "refusal without a reason", want: "WRONGLY REFUSED", make: func(h *hand, bad bool) {
		one := h.write(0, full, evCommitted)
		a := h.begin(one, false)
		if !bad {
			h.write(one, full, evCommitted)
		}
		h.add(event{kind: evStale, tx: a})
	}},
	{name: "own write lost", want: "OWN WRITE LOST", make: func(h *hand, bad bool) {
		a := h.begin(0, true)
		h.add(event{kind: evRead, tx: a, writes: true, access: access{page: 3, got: pick(bad, 0, 7), own: 7, isOwn: true}})
		h.commit(a, full, evCommitted)
	}},
	{name: "wrong size", want: "TORN", make: func(h *hand, bad bool) {
		one := h.write(0, full, evCommitted)
		r := &txRec{id: 9, base: one, size: uint32(pick(bad, 4, 3))}
		h.add(event{kind: evBegin, tx: r})
		h.add(event{kind: evBegun, tx: r})
		h.add(event{kind: evSeen, tx: r})
	}},
}

func pick(bad bool, a, b tag) tag {
	if bad {
		return a
	}
	return b
}

func pickLevel(bad bool, a, b walnut.SyncLevel) walnut.SyncLevel {
	if bad {
		return a
	}
	return b
}

func pickKind(bad bool, a, b eventKind) eventKind {
	if bad {
		return a
	}
	return b
}

// TestChecksFind: each history with a broken promise is refused, for the right
// reason, and its twin that keeps it is not.
func TestChecksFind(t *testing.T) {
	for _, c := range byHand {
		t.Run(c.name, func(t *testing.T) {
			var good, bad hand
			c.make(&good, false)
			c.make(&bad, true)
			ok := newChecker()
			if err := ok.check(good.events); err != nil {
				t.Errorf("the good one: %v", err)
			}
			if err := linearizable(good.events, ok.bases); err != nil {
				t.Errorf("the good one: %v", err)
			}
			found := newChecker()
			if err := found.check(bad.events); err == nil || !strings.Contains(err.Error(), c.want+":") {
				t.Errorf("the bad one: %v, want %s", err, c.want)
			}
			// What was there when the database was opened is known up to the
			// broken step; the good one knows it in the end.
			if err := linearizable(bad.events, ok.bases); (err != nil) != c.ill {
				t.Errorf("the bad one, as a key-value store: %v, want one: %v", err, c.ill)
			}
		})
	}
}
