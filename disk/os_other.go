//go:build unix && !linux && !darwin

package disk

import "errors"

// This file is for Unix systems that Walnut was not fitted to. They read, write
// and sync. They do not lock: the classic locks of POSIX belong to the process
// and go when any descriptor of the file is closed, so that a library beside us
// could drop them unseen. Lock says so instead of pretending.

type lockState struct{}

func (lockState) lock(_ *osFile, _, _ int64, _ LockMode) error { return errors.ErrUnsupported }

func (lockState) unlock(_ *osFile, _, _ int64) error { return errors.ErrUnsupported }

// syncData syncs data and metadata.
func (f *osFile) syncData() error { return f.f.Sync() }
