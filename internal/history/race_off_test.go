//go:build !race

// See race_on_test.go.

package history

const raceEnabled = false
