// Damaged databases in SQL: whatever the bytes are, statements give rows or
// errors, memory stays in proportion, and the database can be closed.

package driver

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/internal/sqlitevfs"
	"github.com/walnutdb/walnut/internal/walformat"
)

// damaged is a small database with a log, copied while it was in use.
func damaged(f *testing.F) (db, log []byte) {
	f.Helper()
	path := filepath.Join(f.TempDir(), "a.db")
	s, err := sql.Open("walnut", "file:"+path+"?_pragma=page_size(512)&_pragma=wal_autocheckpoint(0)")
	if err != nil {
		f.Fatal(err)
	}
	defer s.Close()
	mustExec(f, s, "CREATE TABLE x(a INTEGER PRIMARY KEY, b TEXT UNIQUE, c BLOB); CREATE INDEX i ON x(c)")
	mustExec(f, s, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 30) INSERT INTO x SELECT i, 'text ' || i, zeroblob(40 * i) FROM n")
	mustExec(f, s, "PRAGMA wal_checkpoint")
	mustExec(f, s, "UPDATE x SET b = 'changed ' || a WHERE a % 3 = 0; DELETE FROM x WHERE a > 25")
	for suffix, to := range map[string]*[]byte{"": &db, "-wal": &log} {
		b, err := os.ReadFile(path + suffix)
		if err != nil {
			f.Fatal(err)
		}
		*to = b
	}
	return db, log[:min(len(log), 32+16*536)]
}

// The bits of FuzzDamaged's how, and from where on it means a disk.
const (
	withLog  = 1   // there is a log
	goodSums = 2   // checksums are made good again, so that damaged frames count
	onDisk   = 240 // the files are on a disk, where pages are read through a mapping, and not in memory
)

// FuzzDamaged: changes are triples of an offset, in the database file with the
// log behind it, and a byte to be put there.
func FuzzDamaged(f *testing.F) {
	db, log := damaged(f)
	f.Add([]byte{}, byte(withLog))
	f.Add([]byte{}, byte(withLog|onDisk))
	f.Add([]byte{0, 16, 255, 0, 17, 255}, byte(0)) // the page size
	f.Add([]byte{0, 100, 2, 0, 101, 255}, byte(0)) // the root of the schema
	f.Add([]byte{2, 3, 255, 2, 5, 0, 2, 8, 1}, byte(0))
	f.Add([]byte{0, 28, 127, 0, 31, 1, 0, 55, 3}, byte(withLog))
	frame := len(db) + walformat.HeaderSize
	for _, at := range []int{3, 4, 7, walformat.FrameHeaderSize, walformat.FrameHeaderSize + 3} { // page, size, content
		f.Add([]byte{byte((frame + at) >> 8), byte(frame + at), 9}, byte(withLog|goodSums))
	}
	f.Fuzz(func(t *testing.T, changes []byte, how byte) {
		both := slices.Concat(db, log)
		for c := range slices.Chunk(changes, 3) {
			if len(c) == 3 {
				both[(int(c[0])<<8|int(c[1]))%len(both)] = c[2]
			}
		}
		files := map[string][]byte{"": both[:len(db)]}
		if how&withLog != 0 {
			files["-wal"] = both[len(db):]
			if how&goodSums != 0 {
				makeGood(files["-wal"])
			}
		}
		// Fuzzing has no timeout as tests have: the panic keeps the input that hangs.
		hangs := time.AfterFunc(5*time.Minute, func() { panic("it hangs") })
		defer hangs.Stop()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		before := m.TotalAlloc
		if how >= onDisk {
			useDamaged(t, diskConnector(t, files))
		} else {
			useDamaged(t, memoryConnector(t, files))
		}
		runtime.ReadMemStats(&m)
		if used := m.TotalAlloc - before; used > 256<<20 {
			t.Errorf("%d bytes of files took %d bytes of memory", len(both), used)
		}
	})
}

// makeGood writes the checksums of all frames anew, if the header is good.
func makeGood(log []byte) {
	h, err := walformat.ParseHeader(log)
	if err != nil {
		return
	}
	sum := h.Sum
	for b := log[walformat.HeaderSize:]; len(b) >= h.FrameSize(); b = b[h.FrameSize():] {
		head := walformat.ParseFrameHeader(b)
		sum = h.EncodeFrame(b[:walformat.FrameHeaderSize], sum, head.Page, head.Commit, b[walformat.FrameHeaderSize:h.FrameSize()])
	}
}

// diskConnector is for files on a disk.
func diskConnector(t *testing.T, files map[string][]byte) *Connector {
	path := filepath.Join(t.TempDir(), "a.db")
	for suffix, b := range files {
		if err := os.WriteFile(path+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n, err := NewConnector("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// memories numbers the VFSs of memoryConnector.
var memories atomic.Int64

// memoryConnector is for files in memory, on a VFS of their own. The driver's
// databases in memory are on one that all share, and begin empty.
func memoryConnector(t *testing.T, files map[string][]byte) *Connector {
	const path = "/damaged.db"
	fsys := disk.NewMem()
	for suffix, b := range files {
		f, err := fsys.Open(path+suffix, disk.Create)
		if err == nil {
			_, err = f.WriteVAt([][]byte{b}, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	vfs := fmt.Sprint("damaged-", memories.Add(1))
	sqlitevfs.Register(vfs, fsys)
	t.Cleanup(func() { sqlitevfs.Unregister(vfs) })
	n, err := NewConnector("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	n.uri = "file:" + path + "?mode=rwc&vfs=" + vfs
	n.release = func() error { return nil } // its connection alone holds the engine
	return n
}

// useDamaged runs some statements. Their errors are no matter.
func useDamaged(t *testing.T, n *Connector) {
	s := sql.OpenDB(n)
	for _, q := range []string{"SELECT * FROM x", "PRAGMA integrity_check", "INSERT INTO x(b, c) VALUES ('new', 'x')",
		"UPDATE x SET c = b WHERE a < 9", "SELECT count(*) FROM x WHERE c > 'a'", "PRAGMA wal_checkpoint(TRUNCATE)"} {
		rows, err := s.QueryContext(context.Background(), q)
		if err != nil {
			continue
		}
		for rows.Next() {
		}
		_ = rows.Close()
	}
	_ = s.Close()
	if n := s.Stats().OpenConnections; n != 0 {
		t.Errorf("%d connections are left open", n)
	}
}
