package walformat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// DBHeaderSize is the size of the database header, at the start of page 1.
// Section 1.3, "The Database Header".
const DBHeaderSize = 100

// dbMagic begins every database file. Section 1.3.1, "Magic Header String".
const dbMagic = "SQLite format 3\x00"

// newLibraryVersion is the SQLite version number [NewPage1] names as its
// writer: the first with write-ahead logs. Readers only show it.
const newLibraryVersion = 3007000

// ErrNotDatabase marks bytes that are no header of a SQLite database that can
// be used here. Refuse the file and change nothing.
var ErrNotDatabase = errors.New("not a SQLite database")

// DBFault says which check of [ParseDBHeader] failed first, in the order in
// which they are made.
type DBFault uint8

const (
	// DBShort: fewer than [DBHeaderSize] bytes.
	DBShort DBFault = iota + 1
	// DBZeros: all of the header is zero.
	DBZeros
	// DBMagic: the magic string is not there. Another kind of file, damage, or
	// an encrypted database.
	DBMagic
	// DBPageSize: not a power of two from 512 to 65536, or fewer than 480
	// bytes of a page left beside the reserved ones.
	DBPageSize
	// DBVersion: write or read version above 2: a future format.
	DBVersion
	// DBFractions: payload fractions other than 64, 32, 32.
	DBFractions
)

// DBHeaderError is what [ParseDBHeader] fails with. It matches
// [ErrNotDatabase].
type DBHeaderError struct {
	Fault  DBFault
	Detail string // what was found
}

func (e *DBHeaderError) Error() string { return e.Detail }

// Unwrap returns [ErrNotDatabase].
func (e *DBHeaderError) Unwrap() error { return ErrNotDatabase }

func dbHeaderError(f DBFault, format string, args ...any) error {
	return &DBHeaderError{Fault: f, Detail: fmt.Sprintf(format, args...)}
}

// DBHeader is what the engine reads of a database header. Section 1.3, "The
// Database Header"; the sections named at the fields are parts of it.
type DBHeader struct {
	PageSize        int    // 1.3.2; in bytes
	WriteVersion    uint8  // 1.3.3; 1 rollback journal, 2 write-ahead log
	ReadVersion     uint8  // 1.3.3; likewise; this one decides the mode
	Reserved        uint8  // 1.3.4; bytes at the end of each page that are not SQLite's
	ChangeCounter   uint32 // 1.3.6
	SizeInPages     uint32 // 1.3.7; see SizeValid
	FreelistTrunk   PageNo // 1.3.8; first trunk page, 0 = none
	FreelistCount   uint32 // 1.3.8; pages on the freelist
	SchemaCookie    uint32 // 1.3.9
	VersionValidFor uint32 // 1.3.16; change counter at the time of LibraryVersion
	LibraryVersion  uint32 // 1.3.16; SQLite version number of the last writer
}

// WALMode reports whether the header asks for a write-ahead log. Section
// 1.3.3, "File format version numbers".
func (h *DBHeader) WALMode() bool { return h.ReadVersion == 2 }

// SizeValid reports whether SizeInPages may be believed: SQLite before 3.7.0
// changed the counter and left the size. Otherwise the file's size decides.
// Section 1.3.7, "In-header database size".
func (h *DBHeader) SizeValid() bool {
	return h.ChangeCounter == h.VersionValidFor && h.SizeInPages != 0
}

// ParseDBHeader decodes and checks the header at the start of b, which is page
// 1 or at least its first [DBHeaderSize] bytes. The error is a
// [*DBHeaderError] that says what was found. Section 1.3, "The Database
// Header".
func ParseDBHeader(b []byte) (DBHeader, error) {
	if len(b) < DBHeaderSize {
		return DBHeader{}, dbHeaderError(DBShort, "database header is cut: %d of %d bytes", len(b), DBHeaderSize)
	}
	b = b[:DBHeaderSize]
	if string(b[:16]) != dbMagic {
		if allZero(b) {
			return DBHeader{}, dbHeaderError(DBZeros, "database header is all zeros")
		}
		return DBHeader{}, dbHeaderError(DBMagic, "not a SQLite database (perhaps an encrypted one): begins with %q, not %q", b[:16], dbMagic)
	}
	h := DBHeader{
		PageSize:        int(binary.BigEndian.Uint16(b[16:18])),
		WriteVersion:    b[18],
		ReadVersion:     b[19],
		Reserved:        b[20],
		ChangeCounter:   binary.BigEndian.Uint32(b[24:28]),
		SizeInPages:     binary.BigEndian.Uint32(b[28:32]),
		FreelistTrunk:   PageNo(binary.BigEndian.Uint32(b[32:36])),
		FreelistCount:   binary.BigEndian.Uint32(b[36:40]),
		SchemaCookie:    binary.BigEndian.Uint32(b[40:44]),
		VersionValidFor: binary.BigEndian.Uint32(b[92:96]),
		LibraryVersion:  binary.BigEndian.Uint32(b[96:100]),
	}
	if h.PageSize == 1 {
		h.PageSize = MaxPageSize
	}
	return h, h.check(b)
}

// check makes the checks after the magic, as SQLite makes them when it opens a
// file; the numbers are in sections 1.3.2 to 1.3.5.
func (h *DBHeader) check(b []byte) error {
	switch {
	case !ValidPageSize(h.PageSize):
		return dbHeaderError(DBPageSize, "database header has page size %d, not a power of two from %d to %d", h.PageSize, MinPageSize, MaxPageSize)
	case h.PageSize-int(h.Reserved) < 480:
		return dbHeaderError(DBPageSize, "database header reserves %d of the %d bytes of a page, which leaves fewer than 480", h.Reserved, h.PageSize)
	case h.WriteVersion > 2 || h.ReadVersion > 2:
		return dbHeaderError(DBVersion, "database header has write version %d and read version %d, only 1 and 2 are known", h.WriteVersion, h.ReadVersion)
	case b[21] != 64 || b[22] != 32 || b[23] != 32:
		return dbHeaderError(DBFractions, "database header has payload fractions %d, %d, %d, not 64, 32, 32", b[21], b[22], b[23])
	}
	return nil
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// PutVersions sets the write and the read version of page 1 to v: 1 for a
// rollback journal, 2 for a write-ahead log. Section 1.3.3.
func PutVersions(page1 []byte, v uint8) { page1[18], page1[19] = v, v }

// PutChangeCounter sets the change counter of page 1, and version-valid-for
// with it: the size and the library version in the header count only while
// both are equal. Sections 1.3.6 and 1.3.16.
func PutChangeCounter(page1 []byte, c uint32) {
	binary.BigEndian.PutUint32(page1[24:28], c)
	binary.BigEndian.PutUint32(page1[92:96], c)
}

// PutSizeInPages sets the database size in page 1. Section 1.3.7.
func PutSizeInPages(page1 []byte, n uint32) { binary.BigEndian.PutUint32(page1[28:32], n) }

// PutLibraryVersion sets the SQLite version number of page 1. Section 1.3.16.
func PutLibraryVersion(page1 []byte, v uint32) { binary.BigEndian.PutUint32(page1[96:100], v) }

// EqualButCounter reports whether two images of page 1 differ at most in the
// change counter, version-valid-for and library version (bytes 24..27 and
// 92..99): what SQLite's rollback mode changes in every commit. Sections 1.3.6
// and 1.3.16.
func EqualButCounter(a, b []byte) bool {
	if len(a) != len(b) || len(a) < DBHeaderSize {
		return bytes.Equal(a, b)
	}
	return bytes.Equal(a[:24], b[:24]) && bytes.Equal(a[28:92], b[28:92]) && bytes.Equal(a[100:], b[100:])
}

// NewPage1 returns page 1 of an empty database of one page in WAL mode: the
// whole of the file that has to be there before its log. What it leaves zero
// (schema format, text encoding) SQLite fills in with the first table.
// Sections 1.3, "The Database Header", and 1.6, "B-tree Pages".
func NewPage1(pageSize int) []byte {
	b := make([]byte, pageSize)
	copy(b, dbMagic)
	binary.BigEndian.PutUint16(b[16:18], uint16(pageSize)) // stays 0 for 65536
	if pageSize == MaxPageSize {
		b[17] = 1
	}
	PutVersions(b, 2)
	b[21], b[22], b[23] = 64, 32, 32
	PutChangeCounter(b, 1)
	PutSizeInPages(b, 1)
	PutLibraryVersion(b, newLibraryVersion)
	b[100] = 0x0d                                            // a leaf of a table, without cells
	binary.BigEndian.PutUint16(b[105:107], uint16(pageSize)) // contents begin at the end; 0 means 65536
	return b
}
