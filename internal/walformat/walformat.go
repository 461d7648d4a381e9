// Package walformat knows the bytes of a SQLite write-ahead log and the bytes
// of a database header that the engine touches. It is pure: no file, no lock,
// no state; whoever reads only this comment can write a decoder. The rules are
// those of SQLite's "WAL-mode File Format" and of section 4, "The Write-Ahead
// Log", of its "Database File Format"; section numbers below mean the latter.
//
// # The log file (X.db-wal)
//
// A header of 32 bytes, then frames of 24 bytes + one page each, back to back:
//
//	0                 32            32+24         32+24+P
//	| log header      | frame header | page (P bytes) | frame header | page | ...
//
// Every number is big-endian, whatever the byte order of the checksums is.
//
//	log header (section 4.1, "WAL File Format")
//	 0  4  magic: 0x377f0682 = checksums over little-endian words,
//	             0x377f0683 = over big-endian words
//	 4  4  version: 3007000
//	 8  4  page size P: a power of two, 512 to 65536
//	12  4  checkpoint sequence: one more in each generation
//	16  4  salt 1: one more in each generation
//	20  4  salt 2: random in each generation
//	24  4  checksum s0 of bytes 0 to 23, from the seed (0, 0)
//	28  4  checksum s1
//
//	frame header (section 4.1)
//	 0  4  page number; never 0
//	 4  4  commit: database size in pages after this transaction,
//	             0 = not the last frame of a transaction
//	 8  4  salt 1, copied from the log header
//	12  4  salt 2, copied from the log header
//	16  4  checksum s0 of bytes 0 to 7 of this header and then of the page,
//	             from the checksum stored in the frame before (in the log
//	             header, for frame 1)
//	20  4  checksum s1
//
// # The checksum (section 4.2, "Checksum Algorithm")
//
// Over pairs of 32-bit words x0, x1, modulo 2^32, in the order of the magic:
//
//	s0 += x0 + s1
//	s1 += x1 + s0
//
// It is linear: the sum from any seed is M^n * seed + (the sum from zero) with
// M = [1 1; 1 2] and n the number of pairs. [Step] makes use of that.
//
// # What counts
//
// Frame f is valid if frames 1 to f-1 are, its salts equal the header's, its
// page number is not 0, and its checksum matches. The log ends at the last
// valid frame whose commit field is not 0. Everything after it (the rest of a
// transaction, frames of an older generation, zeros grown ahead) is nobody's,
// and so is a log without such a frame, header included. A header with a wrong
// magic, page size or checksum is no log; an unknown version whose checksum
// matches is a log that must be refused, not ignored ([ErrVersion]).
//
// # The database header (section 1.3, "The Database Header")
//
// The first 100 bytes of page 1; big-endian. What is touched or checked here:
//
//	 0 16  "SQLite format 3\x00"
//	16  2  page size; 1 means 65536
//	18  1  write version: 1 rollback journal, 2 write-ahead log
//	19  1  read version: likewise
//	20  1  reserved bytes at the end of each page
//	21  3  payload fractions: always 64, 32, 32
//	24  4  change counter
//	28  4  database size in pages; right only if 24..27 equal 92..95
//	32  4  first freelist trunk page
//	36  4  number of freelist pages
//	40  4  schema cookie
//	92  4  version-valid-for: the change counter when 96..99 were written
//	96  4  SQLite version number of the last writer
package walformat

import "fmt"

// PageNo is the number of a database page, from 1; 0 means none. Section 1.2,
// "Pages".
type PageNo uint32

// FrameNo is the number of a frame in one generation of the log, from 1; 0
// means none ("before the first frame"). Section 4.1.
type FrameNo uint32

// Offset is a byte offset in a file.
type Offset int64

// Sizes and constants of the log file. Section 4.1, "WAL File Format".
const (
	// HeaderSize is the size of the log header in bytes.
	HeaderSize = 32
	// FrameHeaderSize is the size of a frame header in bytes.
	FrameHeaderSize = 24
	// MagicLE begins a log whose checksums run over little-endian words.
	MagicLE = 0x377f0682
	// MagicBE begins a log whose checksums run over big-endian words.
	MagicBE = 0x377f0683
	// Version is the only format version there is.
	Version = 3007000
)

// Page sizes. Section 1.3.2, "Page Size".
const (
	// MinPageSize is the smallest page size in bytes.
	MinPageSize = 512
	// MaxPageSize is the largest page size in bytes.
	MaxPageSize = 65536
)

// SQLite's lock bytes in the database file. Section 1.4, "The Lock-Byte Page".
const (
	// PendingByte is the offset of the byte a writer locks to keep new readers
	// out. The page that holds it, [LockBytePage], is never used for data.
	PendingByte = 0x40000000
	// ReservedByte is the offset of the byte a writer-to-be locks.
	ReservedByte = PendingByte + 1
	// SharedFirst is the offset of the first byte of the readers' range.
	SharedFirst = PendingByte + 2
	// SharedSize is the length of the readers' range in bytes.
	SharedSize = 510
)

// ValidPageSize reports whether n is a page size: a power of two from 512 to
// 65536. Section 1.3.2, "Page Size".
func ValidPageSize(n int) bool {
	return n >= MinPageSize && n <= MaxPageSize && n&(n-1) == 0
}

// LockBytePage is the page that holds byte 2^30 of the database file. It has
// no contents and never gets a frame. Section 1.4, "The Lock-Byte Page".
func LockBytePage(pageSize int) PageNo {
	return PageNo(PendingByte/pageSize) + 1
}

// String names the byte order, as "little-endian" or "big-endian".
func (o Order) String() string {
	switch o {
	case LittleEndian:
		return "little-endian"
	case BigEndian:
		return "big-endian"
	}
	return fmt.Sprintf("Order(%d)", uint8(o))
}
