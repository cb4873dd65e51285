package metrics

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
)

var ofProcess = []reading{
	{"process_cpu_seconds_total", "CPU time of the process.", "counter", cpu},
	{"process_resident_memory_bytes", "Memory of the process that is in RAM.", "gauge", memory(1)},
	{"process_virtual_memory_bytes", "Addresses that the process has.", "gauge", memory(0)},
	{"process_open_fds", "File descriptors that are open.", "gauge", openFiles},
	{"process_max_fds", "File descriptors that may be open.", "gauge", maxFiles},
	{"process_start_time_seconds", "When the process started, in seconds since 1970.", "gauge", started},
}

func cpu() (float64, bool) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0, false
	}
	return seconds(u.Utime) + seconds(u.Stime), true
}

func seconds(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }

// memory reads a column of statm, which counts pages (proc(5)).
func memory(column int) func() (float64, bool) {
	return func() (float64, bool) {
		text, err := os.ReadFile("/proc/self/statm")
		fields := strings.Fields(string(text))
		if err != nil || len(fields) <= column {
			return 0, false
		}
		pages, err := strconv.ParseFloat(fields[column], 64)
		return pages * float64(os.Getpagesize()), err == nil
	}
}

func openFiles() (float64, bool) {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0, false
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	return float64(len(names) - 1), err == nil // one of them is dir
}

func maxFiles() (float64, bool) {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	return float64(limit.Cur), err == nil
}

// ticks a second, in which the kernel tells times: 100 on every machine that
// Go runs on.
const ticks = 100

// started adds the ticks from boot to the start to the time of the boot.
func started() (float64, bool) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, false
	}
	// The name stands in brackets and may hold anything; the start is the 20th
	// field after it.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return 0, false
	}
	start, err := strconv.ParseFloat(string(fields[19]), 64)
	if err != nil {
		return 0, false
	}
	machine, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(machine)) {
		if at, ok := strings.CutPrefix(line, "btime "); ok {
			boot, err := strconv.ParseFloat(strings.TrimSpace(at), 64)
			return boot + start/ticks, err == nil
		}
	}
	return 0, false
}
