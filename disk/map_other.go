//go:build !linux

package disk

// fileMap is nothing: see map_linux.go.
type fileMap struct{}

func (*fileMap) drop() {}
