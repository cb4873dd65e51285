//go:build !linux

package main

// peakMemory is unknown on systems that no device of ours runs.
func peakMemory() int64 { return 0 }
