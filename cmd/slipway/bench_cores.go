package main

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
)

// A division of the machine's cores, as taskset understands it. All are empty
// where there is but one core, or nothing to bind processes with.
type division struct{ servers, load, all string }

// divide gives the servers one core, and the load the others.
func divide() division {
	n := runtime.NumCPU()
	if _, err := exec.LookPath("taskset"); err != nil || n < 2 {
		return division{}
	}
	return division{"0", fmt.Sprintf("1-%d", n-1), fmt.Sprintf("0-%d", n-1)}
}

// onCores is a command that stays on some cores; on all if none are named.
func onCores(ctx context.Context, cores, program string, args ...string) *exec.Cmd {
	if cores == "" {
		return exec.CommandContext(ctx, program, args...)
	}
	return exec.CommandContext(ctx, "taskset", append([]string{"-c", cores, program}, args...)...)
}

// bind moves processes to some cores, with all their threads.
func bind(cores string, pids ...int) error {
	if cores == "" {
		return nil
	}
	for _, pid := range pids {
		out, err := exec.Command("taskset", "-a", "-p", "-c", cores, strconv.Itoa(pid)).CombinedOutput()
		if err != nil {
			return fmt.Errorf("taskset: %w: %s", err, out)
		}
	}
	return nil
}
