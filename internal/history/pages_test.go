// Contents of pages: a tag, and bytes that follow from page and tag, so that a
// page that is torn, or another one's, shows.

package history

import (
	"encoding/binary"
	"fmt"

	"github.com/walnutdb/walnut"
)

const (
	pageSize = 512
	// headPage has the tag of the newest transaction; keys are the pages
	// behind it, up to lastPage.
	headPage = 2
	lastPage = 9
)

// tag names a content of a page: the transaction that wrote it, and which of
// its writes. 0 is a page of zeros.
type tag uint64

// torn is what is read of a page that nobody has written like that.
const torn = ^tag(0)

func makeTag(tx, n int) tag { return tag(tx)<<8 | tag(n&0xff) }

func (t tag) String() string {
	switch t {
	case 0:
		return "0"
	case torn:
		return "TORN"
	}
	return fmt.Sprintf("t%d.%d", t>>8, t&0xff)
}

func word(page walnut.PageNo, t tag, i int) uint64 {
	x := (uint64(t)<<8 | uint64(page)) + uint64(i)*0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

func fill(b []byte, page walnut.PageNo, t tag) {
	binary.BigEndian.PutUint64(b, uint64(t))
	for i := 8; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], word(page, t, i))
	}
}

// tagOf reads a page.
func tagOf(b []byte, page walnut.PageNo) tag {
	t := tag(binary.BigEndian.Uint64(b))
	for i := 8; i < len(b); i += 8 {
		want := uint64(0)
		if t != 0 {
			want = word(page, t, i)
		}
		if binary.LittleEndian.Uint64(b[i:]) != want {
			return torn
		}
	}
	return t
}

// state is what the database holds in one version: what is behind its end is 0.
type state struct {
	size uint32
	tags [lastPage + 1]tag
}
