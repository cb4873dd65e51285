//go:build crashpoints

package crash

import (
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
)

var passed atomic.Int64

// Point kills the process, as kill -9 would, when SLIPWAY_CRASH_AT is name and
// the point was passed SLIPWAY_CRASH_SKIP times before.
func Point(name string) {
	if os.Getenv("SLIPWAY_CRASH_AT") != name {
		return
	}
	skip, _ := strconv.ParseInt(os.Getenv("SLIPWAY_CRASH_SKIP"), 10, 64)
	if passed.Add(1) > skip {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal may take a moment; nothing may happen after it
	}
}
