// A loop that forgets to let its disk images go takes the machine with it, and
// whoever else works there. So it ends here, and says where it was.

package crashtest

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// memoryBound is ten times what the loops have been seen to need.
const memoryBound = 5 << 30

// TestMain fails, too, if a goroutine is left when all tests have ended.
func TestMain(m *testing.M) {
	go func() {
		for range time.Tick(time.Second) {
			var s runtime.MemStats
			if runtime.ReadMemStats(&s); s.HeapAlloc > memoryBound {
				debug.SetTraceback("all")
				panic("the crash tests use more memory than they ever should")
			}
		}
	}()
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}
