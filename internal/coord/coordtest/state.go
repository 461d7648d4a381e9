// The whole state of a run, as a number: where two runs come to the same, one of
// them need not go on.

package coordtest

import (
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/schedule"
)

var seed = maphash.MakeSeed()

// part describes one of the things that steps touch.
func (w *world) part(bit int, slots *[coord.NumMarks]any) any {
	switch schedule.Set(1) << bit {
	case onPublished:
		// Two states with equal contents are not the same to a reader that has
		// one of them.
		now := w.inner.Published()
		return []any{w.stateIndex(now), now.Snapshot}
	case onQueue:
		return []any{w.told, w.holder.number(), w.kind, numbers(w.queued), w.inner.Queued()}
	case onCheckpoint:
		return w.locker.number()
	case onDisk:
		return []any{w.log, w.file, w.appended, w.accepted}
	case onLead:
		return w.led
	case onRegistry:
		return w.registered()
	}
	if bit < len(slots) {
		return slots[bit]
	}
	return nil
}

func (a *actor) number() int {
	if a == nil {
		return -1
	}
	return a.id
}

func numbers(list []*actor) (n []int) {
	for _, a := range list {
		n = append(n, a.id)
	}
	return n
}

// lastPart is the last bit that part knows.
const lastPart = coord.NumMarks + 5

// remember adds what the actor's next step reads to its past.
func (w *world) remember(a *actor) {
	if w.slots == nil {
		return
	}
	slots := w.slots(w.inner)
	b := fmt.Append(nil, a.past)
	for bit := range lastPart + 1 {
		if a.next.Reads>>bit&1 != 0 {
			b = fmt.Append(b, bit, w.part(bit, &slots))
		}
	}
	a.past = maphash.Bytes(seed, b)
}

// returned makes the actor forget how a call went that began with the given
// past: all that it remembers is what the call returned.
func (a *actor) returned(past uint64, result ...any) {
	a.past = maphash.Bytes(seed, fmt.Append(nil, past, result))
}

// index numbers the states that were published.
func (w *world) stateIndex(st *coord.State) int {
	i := slices.Index(w.states, st)
	if i < 0 {
		i = len(w.states)
		w.states = append(w.states, st)
	}
	return i
}

// state is a hash of everything. REQUIRES Backend.Slots.
func (w *world) state() uint64 {
	slots := w.slots(w.inner)
	var b []byte
	for bit := range lastPart + 1 {
		b = fmt.Append(b, bit, w.part(bit, &slots))
	}
	for _, a := range w.actors {
		if a.done {
			b = append(b, '.')
			continue
		}
		b = fmt.Append(b, a.past, a.next.Name, a.ready == nil || a.ready())
	}
	return maphash.Bytes(seed, b)
}
