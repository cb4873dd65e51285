//go:build !linux

package floor

import "time"

var began = time.Now()

// threadTime is wall time where no thread clock can be had: an upper bound.
func threadTime() time.Duration { return time.Since(began) }
