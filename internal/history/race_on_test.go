//go:build race

// The race detector makes everything several times slower.

package history

const raceEnabled = true
