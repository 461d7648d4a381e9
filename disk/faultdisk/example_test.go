package faultdisk_test

import (
	"errors"
	"fmt"
	"hash/crc32"
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

// A fault loop: make the first, the second, the third operation fail, until a
// run meets none, and look at what is left each time.
func Example_faults() {
	for n := 1; ; n++ {
		d := faultdisk.New(1)
		if err := d.WriteFile("motd", []byte("old")); err != nil {
			log.Fatal(err)
		}
		fault := d.FailAt(faultdisk.OpAny, n)
		err := save(d, "motd", "new")
		if !fault.Fired() {
			fmt.Println(n-1, "operations, each failed once")
			return
		}
		if left, _ := d.ReadFile("motd"); err == nil || string(left) != "old" && string(left) != "new" {
			fmt.Printf("operation %d fails: %v, %q is left\n", n, err, left)
		}
		if open := d.Handles(); len(open) > 0 {
			fmt.Printf("operation %d fails: %v is left open\n", n, open)
		}
	}
	// Output:
	// 4 operations, each failed once
}

// A device that acknowledges a sync and does nothing: what was acknowledged is
// lost with the power, though everybody did what they should.
func Example_lyingSync() {
	d := faultdisk.New(1)
	d.Inject(faultdisk.Fault{Op: faultdisk.OpSync, Suffix: ".log", Effect: faultdisk.Lie})
	f, err := d.Open("app.log", disk.Create)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	_, werr := f.WriteVAt([][]byte{[]byte("paid")}, 0)
	fmt.Println(werr, f.SyncData(), d.SyncDir("/"))
	left, err := d.CrashKeepNone().ReadFile("app.log")
	fmt.Printf("%q %v\n", left, err)
	// Output:
	// <nil> <nil> <nil>
	// "" <nil>
}

// A disk that fills up, and gets room again.
func Example_diskFull() {
	d := faultdisk.New(1)
	d.SetCapacity(4096)
	f, err := d.Open("data", disk.Create)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	n, err := f.WriteVAt([][]byte{make([]byte, 8192)}, 0)
	fmt.Println(n, errors.Is(err, disk.ErrNoSpace))
	d.SetCapacity(1 << 20)
	n, err = f.WriteVAt([][]byte{make([]byte, 8192)}, 0)
	fmt.Println(n, err)
	// Output:
	// 4096 true
	// 8192 <nil>
}

// Damage at rest: a reader that checks what it reads finds every flipped bit.
func Example_damage() {
	d := faultdisk.New(1)
	data := []byte("a page, and its checksum")
	sum := crc32.ChecksumIEEE(data)
	found := 0
	for range 100 {
		if err := d.WriteFile("page", data); err != nil {
			log.Fatal(err)
		}
		if _, err := d.FlipBits("page", 0, 0, 1); err != nil {
			log.Fatal(err)
		}
		if left, _ := d.ReadFile("page"); crc32.ChecksumIEEE(left) != sum {
			found++
		}
	}
	fmt.Println("found", found, "of 100")
	// Output:
	// found 100 of 100
}
