//go:build !linux

package disk

// KindOf tells the file system of a file or directory; here it is not known.
func KindOf(string) (Kind, error) { return Kind{}, nil }
