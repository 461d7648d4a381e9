package coord_test

import (
	"os"
	"testing"

	"github.com/walnutdb/walnut/internal/coord"
	"github.com/walnutdb/walnut/internal/coord/coordtest"
	"github.com/walnutdb/walnut/internal/schedule"
)

// TestConformance holds the in-process coordination to the suite that every
// coordination must pass.
func TestConformance(t *testing.T) {
	coordtest.Run(t, coordtest.Backend{
		Steps:   true,
		Minutes: os.Getenv("WALNUT_ALL_SCHEDULES") != "",
		Slots:   func(c coord.Coordinator) [coord.NumMarks]any { return c.(*coord.InProcess).Slots() },
		New: func(_ testing.TB, st coord.State, step func(coordtest.Access)) coord.Coordinator {
			c := coord.NewInProcess(st)
			if step != nil {
				c.SetHook(func(reads, writes uint8, retry bool) {
					step(coordtest.Access{Reads: schedule.Set(reads), Writes: schedule.Set(writes), Retry: retry})
				})
			}
			return c
		},
	})
}
