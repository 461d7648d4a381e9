package faultdisk_test

import (
	"fmt"
	"log"

	"github.com/walnutdb/walnut/disk"
	"github.com/walnutdb/walnut/disk/faultdisk"
)

// save replaces the content of a file. It forgets something.
func save(fsys disk.FS, name, text string) error {
	f, err := fsys.Open(name+".new", disk.Create)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteVAt([][]byte{[]byte(text)}, 0); err != nil {
		return err
	}
	if err := fsys.Rename(name+".new", name); err != nil {
		return err
	}
	return fsys.SyncDir("/")
}

// A crash loop: lose power after every operation, with several seeds each, and
// look at what is left.
func Example() {
	for n := 1; ; n++ {
		d := faultdisk.New(1)
		if err := d.WriteFile("motd", []byte("old")); err != nil {
			log.Fatal(err)
		}
		d.CrashAfter(n)
		_ = save(d, "motd", "new")
		if !d.Crashed() {
			fmt.Println("no damage found")
			return
		}
		for seed := range int64(20) {
			left, err := d.Crash(seed).ReadFile("motd")
			if s := string(left); err != nil || s != "old" && s != "new" {
				fmt.Printf("power lost after operation %d: %q is left\n%v", n, left, d.Trace())
				return
			}
		}
	}
	// Output:
	// power lost after operation 3: "\x00\x00\x00" is left
	// #1 open+create /motd.new
	// #2 write+grow /motd.new offset 0 length 3
	// #3 rename /motd.new to /motd
}
