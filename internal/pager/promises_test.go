// Promises that no model and no crash comes across by itself.

package pager

import (
	"strings"
	"testing"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/wal"
	"github.com/walnutdb/walnut/internal/walformat"
)

// TestCreationOrder: each step of the creation of a database file is durable
// before the next one, and the file's name before there is a log.
func TestCreationOrder(t *testing.T) {
	for pageSize, want := range map[int]string{
		512:  "write,sync,syncdir",
		4096: "write,sync,truncate,sync,syncdir",
	} {
		d := faultdisk.New(1)
		s := openMem(t, d, pageSize)
		tx := begin(t, s)
		set(t, tx, 2, 1)
		var got []string
		d.SetHook(func(i faultdisk.OpInfo) error {
			if i.Op&faultdisk.OpMutating != 0 {
				name := strings.TrimSuffix(i.Op.String(), "+grow")
				if strings.HasSuffix(i.Name, "-wal") {
					name = "log"
				}
				got = append(got, name)
			}
			return nil
		})
		commit(t, tx, false)
		d.SetHook(nil)
		if all := strings.Join(got, ","); !strings.HasPrefix(all, want+",") {
			t.Errorf("page size %d: %s; want %s first", pageSize, all, want)
		}
		closeStore(t, s)
	}
}

// TestReaderInFileReadsTheFile: the log may be used again under a reader in slot
// 0, whatever its index says of the frames that its pages were in.
func TestReaderInFileReadsTheFile(t *testing.T) {
	s := openMem(t, disk.NewMem(), 512)
	tx := begin(t, s)
	set(t, tx, 2, 1)
	set(t, tx, 3, 1)
	commit(t, tx, false)
	if _, err := s.Log().Checkpoint(ctx, wal.Passive, wal.CheckpointOptions{}); err != nil {
		t.Fatal(err)
	}
	r := s.BeginRead(coord.Who{})
	defer r.End()
	if !r.file {
		t.Fatal("the reader is not in slot 0")
	}
	tx = begin(t, s) // restarts the log
	set(t, tx, 2, 2)
	set(t, tx, 3, 2)
	commit(t, tx, false)
	if n := s.Log().Stats().Restarts; n != 1 {
		t.Fatalf("%d restarts", n)
	}
	s.buffers.Store(nil) // nothing of it in memory
	if a, b := value(t, r, 2), value(t, r, 3); a != 1 || b != 1 {
		t.Errorf("it reads %d and %d", a, b)
	}
	s.buffers.Store(nil)
	got, want := make([]byte, 512), make([]byte, 512)
	fill(want, 2, 1)
	if err := r.ReadPage(2, got); err != nil || string(got) != string(want) {
		t.Errorf("it reads %x, %v", got[:8], err)
	}
}

// TestBackupIsDurable: a copy that has its name survives a power failure.
func TestBackupIsDurable(t *testing.T) {
	d := faultdisk.New(1)
	s := openMem(t, d, 512)
	tx := begin(t, s)
	set(t, tx, 2, 1)
	commit(t, tx, false)
	if err := s.Backup(ctx, path+".copy", false, nil); err != nil {
		t.Fatal(err)
	}
	want, err := d.ReadFile(path + ".copy")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.CrashKeepNone().ReadFile(path + ".copy"); err != nil || string(got) != string(want) {
		t.Errorf("the copy has %d bytes of %d, %v", len(got), len(want), err)
	}
}

// TestNothingIsLookedAtBeforeTheLock: what lies beside a database that another
// process uses is changing.
func TestNothingIsLookedAtBeforeTheLock(t *testing.T) {
	d := faultdisk.New(1)
	if err := d.WriteFile(path, walformat.NewPage1(512)); err != nil {
		t.Fatal(err)
	}
	other, err := d.Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Lock(walformat.PendingByte+5, 1, disk.Shared); err != nil {
		t.Fatal(err)
	}
	var looked []string
	d.SetHook(func(i faultdisk.OpInfo) error {
		if i.Op&faultdisk.OpRead != 0 || strings.HasPrefix(i.Name, path+"-") {
			looked = append(looked, i.Op.String()+" "+i.Name)
		}
		return nil
	})
	_, err = Open(path, Options{FS: d})
	wantErr(t, err, coord.ErrBusy, "in use")
	d.SetHook(nil)
	if len(looked) > 0 {
		t.Errorf("without the lock: %q", looked)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestViewsOutliveThePool: a page that a transaction was given stays what it is
// when the pool, which it came into on that occasion, has long let go of it.
func TestViewsOutliveThePool(t *testing.T) {
	s, err := Open(path, Options{FS: disk.NewMem(), PageSize: 512, PoolBytes: 8 * 512})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	const pages = 64
	tx := begin(t, s)
	for n := walformat.PageNo(2); n <= pages; n++ {
		set(t, tx, n, byte(n))
	}
	commit(t, tx, false)
	s.buffers.Store(nil)
	r := s.BeginRead(coord.Who{})
	defer r.End()
	views := map[walformat.PageNo][]byte{}
	for range 3 {
		for n := walformat.PageNo(2); n <= pages; n++ {
			p, err := r.Page(n)
			if err != nil {
				t.Fatal(err)
			}
			if views[n] == nil {
				views[n] = p
			}
		}
	}
	want := make([]byte, 512)
	for n, p := range views {
		if fill(want, n, byte(n)); string(p) != string(want) {
			t.Errorf("page %d has become %x", n, p[:8])
		}
	}
}
