//go:build !race

package schedule

// RaceDetector says that the race detector is on. Where actors take turns, it
// finds little in one schedule that it does not find in another, and makes all
// of them slow; tests try fewer then.
const RaceDetector = false
