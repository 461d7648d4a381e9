//go:build race

// The race detector takes what is in a sync.Pool away at random.

package pager

const raceEnabled = true
