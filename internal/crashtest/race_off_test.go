//go:build !race

// See race_on_test.go.

package crashtest

const raceEnabled = false
