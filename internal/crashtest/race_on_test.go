//go:build race

// The race detector makes checksums and SQLite some twenty times slower.

package crashtest

const raceEnabled = true
