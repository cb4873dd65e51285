//go:build !linux

package metrics

import "time"

// ofProcess holds what can be told without procfs.
var ofProcess = []reading{
	{"process_start_time_seconds", "When the process started, in seconds since 1970.", "gauge", func() (float64, bool) { return born, true }},
}

var born = float64(time.Now().UnixMilli()) / 1000
