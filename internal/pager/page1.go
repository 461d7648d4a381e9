// Page 1, as far as the engine minds it (SQLite's "Database File Format",
// section 1.3): the version bytes say WAL mode on disk, and the change counter
// grows with every commit that writes page 1.

package pager

import (
	"encoding/binary"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/walformat"
)

// counter is the change counter that the commit seq shows to SQLite: no other
// commit of this engine shows the same.
func (s *Store) counter(seq coord.CommitSeq) uint32 { return s.baseCounter + uint32(seq) }

// countFrom makes the commit seq, which fills an empty database, show at least
// the counter that SQLite wrote into page 1. SQLite counts on from what it
// wrote in an earlier attempt that failed, as an empty database has no page 1 to
// read the counter from again; it then takes its page cache for valid when
// another commit shows the number that it wrote. Nobody has seen a counter of
// this store before. REQUIRES the writer's place.
func (s *Store) countFrom(page1 []byte, seq coord.CommitSeq) {
	if ahead := binary.BigEndian.Uint32(page1[24:28]) - s.counter(seq); int32(ahead) > 0 {
		s.baseCounter += ahead
	}
}

// showPage1 makes b, the bytes of page 1 from offset off on, what a SQLite in
// rollback mode is to see: versions 1, and a change counter that is unique to
// the snapshot. A header whose page count does not count (counter and
// version-valid-for differ) stays one.
func (s *Store) showPage1(b []byte, off int, seq coord.CommitSeq, valid bool) {
	var head [walformat.DBHeaderSize]byte
	n := min(len(b), len(head)-off)
	if n <= 0 {
		return
	}
	copy(head[off:], b[:n])
	walformat.PutVersions(head[:], 1)
	walformat.PutChangeCounter(head[:], s.counter(seq))
	if !valid {
		binary.BigEndian.PutUint32(head[92:], s.counter(seq)-1)
	}
	copy(b[:n], head[off:off+n])
}

// fixChecksum renews the checksum in the last 8 bytes of page 1, in databases
// that keep one there (8 reserved bytes: SQLite's cksumvfs, which go-sqlite3
// has built in), after the engine has changed the page.
func fixChecksum(page1 []byte) {
	if page1[20] != 8 {
		return
	}
	n := len(page1) - 8
	sum := walformat.LittleEndian.Sum(walformat.Checksum{}, page1[:n])
	binary.LittleEndian.PutUint32(page1[n:], sum.S0)
	binary.LittleEndian.PutUint32(page1[n+4:], sum.S1)
}

// sizeValid reports whether the page count in the header of page 1 counts.
func sizeValid(page1 []byte) bool {
	return string(page1[24:28]) == string(page1[92:96])
}
