//go:build race

package schedule

// RaceDetector: see race_off.go.
const RaceDetector = true
