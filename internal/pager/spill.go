// Spilling: a transaction whose dirty pages outgrow their bound writes them to
// the log and goes on. Each page has then a newest frame that only this
// transaction knows (t.spilled); changed again, it is dirty again.
//
// Invariants: page 1 is never spilled, so that the commit can set what the
// engine keeps there, and always has a frame to end with. When the transaction
// commits, the newest frame that the log has of a page is its content (reframe).

package pager

import (
	"fmt"
	"maps"
	"slices"

	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

// DefaultTxBytes bounds the dirty pages of one transaction in memory.
const DefaultTxBytes = 64 << 20

// spillIfLarge spills once the dirty pages exceed the bound, and notes how many
// there are. It is called before a page is added, so that the page that the
// caller is about to get stays.
func (t *Tx) spillIfLarge() error {
	t.most = max(t.most, len(t.dirty)+1)
	ps := int64(t.PageSize())
	if int64(len(t.dirty))*ps < max(t.s.txBytes, 4*ps) {
		return nil
	}
	return t.spill()
}

// spill writes all dirty pages but page 1 to the log.
func (t *Tx) spill() error {
	if t.spillErr != nil {
		return t.spillErr
	}
	if err := t.createIfEmpty(); err != nil {
		return err
	}
	frames := make([]wal.Frame, 0, len(t.dirty))
	for n, p := range t.dirty {
		if n != 1 {
			frames = append(frames, wal.Frame{Page: n, Data: p})
		}
	}
	slices.SortFunc(frames, byPage)
	first, err := t.w.Spill(frames)
	if err != nil {
		t.spillErr = fmt.Errorf("the transaction must be rolled back: %w", err)
		return t.spillErr
	}
	if t.spilled == nil {
		t.spilled = make(map[walformat.PageNo]walformat.FrameNo)
		t.inLog = make(map[walformat.PageNo]walformat.FrameNo)
	}
	for i, fr := range frames {
		f := first + walformat.FrameNo(i)
		t.saveFrame(fr.Page, f)
		t.spilled[fr.Page], t.inLog[fr.Page] = f, f
		delete(t.dirty, fr.Page)
		if t.pooled {
			putPage(fr.Data)
		}
	}
	return nil
}

// reframe makes those pages dirty whose newest frame in the log is not their
// content: they were spilled, and then a savepoint was rolled back, or they
// were cut off and came again. It goes by page, so that the same transaction
// does the same on the disk each time.
func (t *Tx) reframe() error {
	if len(t.inLog) == 0 {
		return nil
	}
	for _, n := range slices.Sorted(maps.Keys(t.inLog)) {
		if uint32(n) > t.size || t.dirty[n] != nil || t.spilled[n] == t.inLog[n] {
			continue
		}
		if err := t.spillIfLarge(); err != nil {
			return err
		}
		p := make([]byte, t.PageSize())
		if err := t.ReadPage(n, p); err != nil {
			return err
		}
		t.dirty[n] = p
	}
	return nil
}

func byPage(a, b wal.Frame) int { return int(int64(a.Page) - int64(b.Page)) }
