package disk

// This file is what package disk can tell of a file from outside, for those who
// explain and do not write: nothing here takes a lock or changes anything.

// Kind says what is known of the file system of a directory.
type Kind struct {
	// Name is that of the file system, as "tmpfs"; "" if it is not known.
	Name string
	// Volatile: what it holds is gone when the machine stops. Network: others
	// may change it, and locks and syncs are what a server makes of them.
	// Layered: another file system below decides what a sync is worth.
	Volatile, Network, Layered bool
	// BlockSize is what it writes at once, in bytes; 0 if it is not known.
	BlockSize int64
}

// Permission is what [Look] tells of a name.
type Permission struct {
	// Symlink: the name, as it was given, is a symbolic link.
	Symlink bool
	// Read and Write: this process could open it so, or, of a directory, list it
	// and create in it. They are true where the system does not tell.
	Read, Write bool
	// UID and GID own it; -1 where there are none.
	UID, GID int
}

// Holder is a lock of another handle on a range of bytes.
type Holder struct {
	// PID of the process; 0 or negative if it cannot be told (a lock of an open
	// file description, as Walnut's, or one of another machine).
	PID int
	// Exclusive, or shared; the range begins at Off and has Len bytes, 0 for all
	// to the end of what can be locked.
	Exclusive bool
	Off, Len  int64
}
