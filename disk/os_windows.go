package disk

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// This file is what Windows does in its own way. It is compiled and vetted by
// the project's checks, which do not run on Windows.

// openFile opens with FILE_SHARE_DELETE, which package os does not ask for:
// without it an open file can be neither removed nor replaced.
func openFile(name string, flag OpenFlag) (*os.File, error) {
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	access := uint32(windows.GENERIC_READ | windows.GENERIC_WRITE)
	if flag&ReadOnly != 0 {
		access = windows.GENERIC_READ
	}
	disposition := uint32(windows.OPEN_EXISTING)
	if flag&Create != 0 {
		disposition = windows.OPEN_ALWAYS
		if flag&Exclusive != 0 {
			disposition = windows.CREATE_NEW
		}
	}
	h, err := windows.CreateFile(path, access, shareAll, nil, disposition, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(h), name), nil
}

const shareAll = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE

func unlink(name string) error {
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return err
	}
	return windows.DeleteFile(path)
}

// syncDir does nothing but look that the directory is there: Windows offers no
// way to sync one without an administrator's rights, and NTFS keeps its entries
// in a journal.
func syncDir(dir string) error {
	fi, err := os.Stat(dir)
	if err == nil && !fi.IsDir() {
		err = windows.ERROR_DIRECTORY
	}
	return err
}

func (f *osFile) syncData() error { return f.f.Sync() }

func statName(name string) (Info, error) {
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return Info{}, err
	}
	// Access 0 asks for attributes only; the flag admits directories.
	h, err := windows.CreateFile(path, 0, shareAll, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return Info{}, err
	}
	defer windows.CloseHandle(h)
	return statHandle(h)
}

func (f *osFile) stat() (info Info, err error) {
	err = f.withFD(func(fd uintptr) error {
		info, err = statHandle(windows.Handle(fd))
		return err
	})
	return info, err
}

func statHandle(h windows.Handle) (Info, error) {
	var d windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &d); err != nil {
		return Info{}, err
	}
	mode := fs.FileMode(0o666)
	if d.FileAttributes&windows.FILE_ATTRIBUTE_READONLY != 0 {
		mode = 0o444
	}
	if d.FileAttributes&windows.FILE_ATTRIBUTE_DIRECTORY != 0 {
		mode |= fs.ModeDir | 0o111
	}
	return Info{
		Size:  int64(d.FileSizeHigh)<<32 | int64(d.FileSizeLow),
		ID:    FileID{Volume: uint64(d.VolumeSerialNumber), Index: uint64(d.FileIndexHigh)<<32 | uint64(d.FileIndexLow)},
		Links: uint64(d.NumberOfLinks),
		Mode:  mode,
	}, nil
}

// isNoSpace reports whether err says that the disk, a quota or a size limit is
// exhausted.
func isNoSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) ||
		errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) ||
		errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED) ||
		errors.Is(err, windows.ERROR_FILE_TOO_LARGE)
}
