//go:build !race

// See race_on_test.go.

package pager

const raceEnabled = false
