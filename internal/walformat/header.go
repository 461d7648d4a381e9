package walformat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrVersion marks a log header that is a header in every way (magic, page
// size, checksum) and of a version other than [Version]. Such a log may hold
// commits: it must be refused, and nothing changed. It is alarming, but no
// damage. Section 4.1, "WAL File Format".
var ErrVersion = errors.New("unknown version of the write-ahead log")

// ErrNotHeader marks bytes that are no log header. It is routine after a crash
// (the header was being written) and means: there is no log, ignore the file's
// contents. Section 4.1, "WAL File Format".
var ErrNotHeader = errors.New("not a write-ahead log header")

// HeaderFault says which check of [ParseHeader] failed first, in the order in
// which they are made.
type HeaderFault uint8

const (
	// HeaderShort: fewer than [HeaderSize] bytes.
	HeaderShort HeaderFault = iota + 1
	// HeaderMagic: neither [MagicLE] nor [MagicBE].
	HeaderMagic
	// HeaderPageSize: not a power of two from 512 to 65536.
	HeaderPageSize
	// HeaderChecksum: the first 24 bytes do not sum to the last 8.
	HeaderChecksum
	// HeaderVersion: all of the above is right, the version is another.
	HeaderVersion
)

// HeaderError is what [ParseHeader] fails with. It matches [ErrVersion] if the
// fault is [HeaderVersion] and [ErrNotHeader] otherwise.
type HeaderError struct {
	Fault  HeaderFault
	Detail string // what was found, and what was expected
}

func (e *HeaderError) Error() string { return e.Detail }

// Unwrap returns [ErrVersion] or [ErrNotHeader].
func (e *HeaderError) Unwrap() error {
	if e.Fault == HeaderVersion {
		return ErrVersion
	}
	return ErrNotHeader
}

// Header is the header of a log: one generation. Section 4.1, "WAL File
// Format".
type Header struct {
	Order         Order    // byte order of the checksums, from the magic
	Version       uint32   // [Version]
	PageSize      int      // in bytes
	CheckpointSeq uint32   // one more in each generation
	Salt1         uint32   // one more in each generation
	Salt2         uint32   // random in each generation
	Sum           Checksum // of bytes 0..23; the seed of frame 1
}

// ParseHeader decodes and checks the first [HeaderSize] bytes of a log; b may
// be longer. The error is a [*HeaderError]. When it matches [ErrVersion] the
// returned header holds what was read; for other faults it is zero. Section
// 4.1, "WAL File Format".
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, headerError(HeaderShort, "log header is cut: %d of %d bytes", len(b), HeaderSize)
	}
	b = b[:HeaderSize]
	magic := binary.BigEndian.Uint32(b[0:4])
	if magic != MagicLE && magic != MagicBE {
		return Header{}, headerError(HeaderMagic, "log header has magic %#08x, not %#08x or %#08x", magic, uint32(MagicLE), uint32(MagicBE))
	}
	size := binary.BigEndian.Uint32(b[8:12])
	if size > MaxPageSize || !ValidPageSize(int(size)) {
		return Header{}, headerError(HeaderPageSize, "log header has page size %d, not a power of two from %d to %d", size, MinPageSize, MaxPageSize)
	}
	h := Header{
		Order:         Order(magic & 1),
		Version:       binary.BigEndian.Uint32(b[4:8]),
		PageSize:      int(size),
		CheckpointSeq: binary.BigEndian.Uint32(b[12:16]),
		Salt1:         binary.BigEndian.Uint32(b[16:20]),
		Salt2:         binary.BigEndian.Uint32(b[20:24]),
		Sum:           getChecksum(b[24:32]),
	}
	if sum := h.Order.Sum(Checksum{}, b[:24]); sum != h.Sum {
		return Header{}, headerError(HeaderChecksum, "log header's checksum is %08x %08x, its bytes sum to %08x %08x (%s)",
			h.Sum.S0, h.Sum.S1, sum.S0, sum.S1, h.Order)
	}
	if h.Version != Version {
		return h, headerError(HeaderVersion, "log header has version %d, only %d is known", h.Version, Version)
	}
	return h, nil
}

func headerError(f HeaderFault, format string, args ...any) error {
	return &HeaderError{Fault: f, Detail: fmt.Sprintf(format, args...)}
}

// Encode writes the header into b[:HeaderSize], computing its checksum, and
// sets h.Sum. It writes h.Version as it is. Section 4.1, "WAL File Format".
func (h *Header) Encode(b []byte) {
	b = b[:HeaderSize]
	binary.BigEndian.PutUint32(b[0:4], MagicLE|uint32(h.Order&1))
	binary.BigEndian.PutUint32(b[4:8], h.Version)
	binary.BigEndian.PutUint32(b[8:12], uint32(h.PageSize))
	binary.BigEndian.PutUint32(b[12:16], h.CheckpointSeq)
	binary.BigEndian.PutUint32(b[16:20], h.Salt1)
	binary.BigEndian.PutUint32(b[20:24], h.Salt2)
	h.Sum = h.Order.Sum(Checksum{}, b[:24])
	h.Sum.put(b[24:32])
}

// FrameSize is the size of a frame in bytes: its header and one page.
func (h *Header) FrameSize() int { return FrameHeaderSize + h.PageSize }

// FrameOffset is where frame f begins; the page follows [FrameHeaderSize]
// bytes later. f must not be 0. Section 4.1, "WAL File Format".
func (h *Header) FrameOffset(f FrameNo) Offset {
	return HeaderSize + (Offset(f)-1)*Offset(h.FrameSize())
}

// EndOffset is where frame f ends, and where the log header ends for f = 0: the
// length of a log whose last frame is f.
func (h *Header) EndOffset(f FrameNo) Offset {
	return HeaderSize + Offset(f)*Offset(h.FrameSize())
}

// FrameAt is the number of the frame that byte off belongs to: 0 in the log
// header (or before the file), and the greatest frame number for everything
// that lies beyond it.
func (h *Header) FrameAt(off Offset) FrameNo {
	if off < HeaderSize {
		return 0
	}
	return FrameNo(min(uint64(off-HeaderSize)/uint64(h.FrameSize())+1, math.MaxUint32))
}

// FramesIn is how many whole frames a log file of size bytes has room for.
func (h *Header) FramesIn(size int64) uint32 {
	if size < HeaderSize {
		return 0
	}
	return uint32(min(uint64(size-HeaderSize)/uint64(h.FrameSize()), math.MaxUint32))
}
