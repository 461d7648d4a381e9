package disk_test

import (
	"testing"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/disktest"
	"github.com/walnutdb/walnut/disk/faultdisk"
)

func TestConformance(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) (disk.FS, string){
		"os":        func(t *testing.T) (disk.FS, string) { return disk.OS(), t.TempDir() },
		"mem":       func(*testing.T) (disk.FS, string) { return disk.NewMem(), "/" },
		"faultdisk": func(*testing.T) (disk.FS, string) { return faultdisk.New(1), "/" },
		"faultdisk after a crash": func(*testing.T) (disk.FS, string) {
			return faultdisk.New(1).Crash(2), "/"
		},
	} {
		t.Run(name, func(t *testing.T) { disktest.Run(t, open) })
	}
}

func TestMemFiles(t *testing.T) {
	m := disk.NewMem()
	if err := m.WriteFile("dir/b", []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := m.WriteFile("/dir/../dir/b", []byte("2")); err != nil {
		t.Fatal(err)
	}
	if err := m.Link("dir/b", "a"); err != nil {
		t.Fatal(err)
	}
	if info, err := m.Stat("a"); err != nil || info.Links != 2 {
		t.Errorf("%+v, %v", info, err)
	}
	if err := m.Remove("dir/b"); err != nil {
		t.Fatal(err)
	}
	if data, err := m.ReadFile("a"); string(data) != "2" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
	if files := m.Files(); len(files) != 1 || files[0] != "/a" {
		t.Error(files)
	}
	if _, err := m.ReadFile("dir/b"); err == nil {
		t.Error("a removed file was read")
	}
}

// BenchmarkWrite writes pages in a large file: what a write costs must not
// depend on the size of the file.
func BenchmarkWrite(b *testing.B) {
	const pages = 16 << 10
	for name, fsys := range map[string]disk.FS{"mem": disk.NewMem(), "faultdisk": faultdisk.New(1)} {
		b.Run(name, func(b *testing.B) {
			f, err := fsys.Open("a", disk.Create)
			if err != nil {
				b.Fatal(err)
			}
			page := make([]byte, 4096)
			page[9] = 1
			i := 0
			for b.Loop() {
				if _, err := f.WriteVAt([][]byte{page}, int64(i%pages)*4096); err != nil {
					b.Fatal(err)
				}
				if i++; i%64 == 0 {
					if err := f.SyncData(); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
