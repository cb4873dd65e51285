package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// processTime is the CPU time that a process has used, in ticks of 10 ms.
func processTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), ") ") // the name may hold spaces
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat is too short", pid)
	}
	user, err := strconv.ParseInt(f[11], 10, 64)
	if err != nil {
		return 0, err
	}
	sys, err := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+sys) * 10 * time.Millisecond, err
}

// backendTime is the CPU time of those processes of PostgreSQL that serve a
// database; each says so in its command line.
func backendTime(database string) (sum time.Duration, err error) {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range all {
		line, err := os.ReadFile(name)
		if err != nil || !strings.HasPrefix(string(line), "postgres: ") || !strings.Contains(string(line), " "+database+" ") {
			continue // another process, or one that ended
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			return 0, err
		}
		used, err := processTime(pid)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, err
}

// clearPeak has the kernel forget the peak of a process's memory; where it
// does not, the peak is that of the process's whole life.
func clearPeak(pid int) { _ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) }

// peakMemory is the most memory that a process had resident, in MiB.
func peakMemory(pid int) (float64, error) { return memory(pid, "VmHWM:") }

// residentMemory is what a process has resident, in MiB.
func residentMemory(pid int) (float64, error) { return memory(pid, "VmRSS:") }

func memory(pid int, what string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, what); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status names no %s", pid, what)
}

// openFiles is how many files a process of this user may have open: a Go
// program takes what the hard limit allows.
func openFiles() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	return int(min(limit.Max, 1<<30)), nil
}
