package disk

// This file is what macOS does in its own way. It is compiled and vetted by the
// project's checks, which do not run on macOS.

// Open file description locks (see lock_ofd.go). XNU's fcntl.h has them;
// x/sys does not name them.
const (
	ofdSetLock = 90
	ofdGetLock = 92
)

// syncData has the drive empty its own cache: package os syncs with
// F_FULLFSYNC here, and falls back to fsync where a file system has no such
// operation (network shares). fsync alone leaves the data in the drive.
func (f *osFile) syncData() error { return f.f.Sync() }
