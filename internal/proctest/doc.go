// Package proctest has the engine meet the limits of real processes and real
// file systems: tests only, no code of the product. What a disk does that fails
// is package crashtest's; here the operating system refuses.
//
//	main_test.go    the test binary as the child, and how a child is run
//	child_test.go   what children do: commits that count, and their check
//	limits_test.go  file size limit, descriptors, a full file system
//	moved_test.go   another process removes, renames or replaces the files
//
// Limits are of a process, and mounts of a mount namespace: so each test runs in
// a child, and nothing is left behind on the machine. What takes Linux or root
// skips elsewhere with the reason; with CI=true it fails instead.
package proctest
