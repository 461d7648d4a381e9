// This file is the seam between the driver and Walnut's VFS: the only place
// that names internal/sqlitevfs.

package driver

import "github.com/walnutdb/walnut/internal/sqlitevfs"

// vfsName is the registered name of the VFS that opens database files.
const vfsName = sqlitevfs.Name

// holdEngine opens the database's engine and keeps it open until release.
func holdEngine(path string, mustExist bool) (release func() error, err error) {
	return sqlitevfs.Hold(path, mustExist)
}
