package walformat

import (
	"encoding/binary"
	"fmt"
)

// FrameFault says which check of [VerifyFrame] failed first.
type FrameFault uint8

const (
	// FrameShort: the frame header or the page is not as long as it should be.
	FrameShort FrameFault = iota + 1
	// FrameZeros: the frame header is all zeros: space grown ahead, or a write
	// that never reached the disk.
	FrameZeros
	// FrameSalts: the salts are not the log header's: a frame of another
	// generation. This is how the log usually ends after a restart.
	FrameSalts
	// FramePageZero: the page number is 0.
	FramePageZero
	// FrameChecksum: the frame does not continue the checksum before it.
	FrameChecksum
)

// FrameError is what [VerifyFrame] fails with. At the end of a log it is
// routine; for a frame at or before the last commit it means damage.
type FrameError struct {
	Fault  FrameFault
	Detail string // what was found, and what was expected; does not name the frame
}

func (e *FrameError) Error() string { return e.Detail }

func frameError(f FrameFault, format string, args ...any) error {
	return &FrameError{Fault: f, Detail: fmt.Sprintf(format, args...)}
}

// FrameHeader is the header of a frame. Section 4.1, "WAL File Format".
type FrameHeader struct {
	Page   PageNo   // the page whose contents follow; 0 is never valid
	Commit uint32   // database size in pages; 0 = not a commit frame
	Salt1  uint32   // the log header's
	Salt2  uint32   // the log header's
	Sum    Checksum // of bytes 0..7 and the page, from the frame before
}

// ParseFrameHeader decodes the first [FrameHeaderSize] bytes of b, which must
// be there, and checks nothing. Section 4.1, "WAL File Format".
func ParseFrameHeader(b []byte) FrameHeader {
	b = b[:FrameHeaderSize]
	return FrameHeader{
		Page:   PageNo(binary.BigEndian.Uint32(b[0:4])),
		Commit: binary.BigEndian.Uint32(b[4:8]),
		Salt1:  binary.BigEndian.Uint32(b[8:12]),
		Salt2:  binary.BigEndian.Uint32(b[12:16]),
		Sum:    getChecksum(b[16:24]),
	}
}

// Encode writes the frame header into b[:FrameHeaderSize], f.Sum as it is.
// Section 4.1, "WAL File Format".
func (f *FrameHeader) Encode(b []byte) {
	b = b[:FrameHeaderSize]
	binary.BigEndian.PutUint32(b[0:4], uint32(f.Page))
	binary.BigEndian.PutUint32(b[4:8], f.Commit)
	binary.BigEndian.PutUint32(b[8:12], f.Salt1)
	binary.BigEndian.PutUint32(b[12:16], f.Salt2)
	f.Sum.put(b[16:24])
}

// FrameSum is the checksum of a frame: over the first 8 bytes of its header
// (page number and commit) and then its page, from the checksum stored in the
// frame before it, or in the log header for frame 1. From the zero checksum it
// is the frame's own part, to be chained by [Step.Chain]. Section 4.2,
// "Checksum Algorithm".
func FrameSum(order Order, prev Checksum, hdr8, page []byte) Checksum {
	return order.Sum(order.Sum(prev, hdr8[:8]), page)
}

// EncodeFrame writes the header of a frame of this generation into
// b[:FrameHeaderSize] and returns the frame's checksum, the seed of the next
// frame. data is the page's contents, PageSize bytes.
func (h *Header) EncodeFrame(b []byte, prev Checksum, page PageNo, commit uint32, data []byte) Checksum {
	h.StartFrame(b, page, commit)
	sum := FrameSum(h.Order, prev, b, data)
	PutFrameSum(b, sum)
	return sum
}

// StartFrame writes the header of a frame of this generation into
// b[:FrameHeaderSize], all but the checksum, which [PutFrameSum] puts there.
func (h *Header) StartFrame(b []byte, page PageNo, commit uint32) {
	f := FrameHeader{Page: page, Commit: commit, Salt1: h.Salt1, Salt2: h.Salt2}
	f.Encode(b)
}

// PutFrameSum puts a frame's checksum into its header b. Section 4.1, "WAL File
// Format".
func PutFrameSum(b []byte, s Checksum) { s.put(b[16:FrameHeaderSize]) }

// VerifyFrame checks one frame alone, given the checksum stored before it
// (the log header's for frame 1): salts, page number, checksum, as section
// 4.1, "WAL File Format", asks for. raw is the frame header, page the page. The
// returned header is what the bytes say, also with an error (unless they are
// short). The error is a [*FrameError].
func VerifyFrame(h *Header, prev Checksum, raw, page []byte) (FrameHeader, error) {
	if len(raw) < FrameHeaderSize || len(page) != h.PageSize {
		return FrameHeader{}, frameError(FrameShort, "frame is cut: %d of %d bytes", len(raw)+len(page), h.FrameSize())
	}
	f, err := CheckFrameHeader(h, raw)
	if err != nil {
		return f, err
	}
	if sum := FrameSum(h.Order, prev, raw, page); sum != f.Sum {
		return f, checksumError(f.Sum, sum)
	}
	return f, nil
}

// CheckFrameHeader makes the checks of [VerifyFrame] that need neither the page
// nor the frame before: salts and page number.
func CheckFrameHeader(h *Header, raw []byte) (FrameHeader, error) {
	if len(raw) < FrameHeaderSize {
		return FrameHeader{}, frameError(FrameShort, "frame header is cut: %d of %d bytes", len(raw), FrameHeaderSize)
	}
	f := ParseFrameHeader(raw)
	switch {
	case f == FrameHeader{}:
		// Told apart from foreign salts for the report alone.
		return f, frameError(FrameZeros, "frame header is all zeros")
	case f.Salt1 != h.Salt1 || f.Salt2 != h.Salt2:
		return f, frameError(FrameSalts, "salts %08x %08x of another generation, the log header's are %08x %08x",
			f.Salt1, f.Salt2, h.Salt1, h.Salt2)
	case f.Page == 0:
		return f, frameError(FramePageZero, "page number is 0")
	}
	return f, nil
}

func checksumError(stored, computed Checksum) error {
	return frameError(FrameChecksum, "checksum mismatch: stored %08x %08x, computed %08x %08x",
		stored.S0, stored.S1, computed.S0, computed.S1)
}
