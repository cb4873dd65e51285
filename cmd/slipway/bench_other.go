//go:build !linux

package main

import (
	"errors"
	"time"
)

// processTime needs procfs.
func processTime(int) (time.Duration, error) {
	return 0, errors.New("slipway bench reads the server's CPU time from procfs, which only Linux has")
}

// backendTime needs procfs as well.
func backendTime(string) (time.Duration, error) { return processTime(0) }

func clearPeak(int) {}

// peakMemory needs procfs as well.
func peakMemory(int) (float64, error) { _, err := processTime(0); return 0, err }

// residentMemory needs procfs as well.
func residentMemory(int) (float64, error) { return peakMemory(0) }

// openFiles is not asked where nothing can be measured.
func openFiles() (int, error) { _, err := processTime(0); return 0, err }
