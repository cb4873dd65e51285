//go:build !unix

package process

import (
	"os"
	"syscall"
)

// ownGroup has no groups to put a process into on this system.
func ownGroup() *syscall.SysProcAttr { return nil }

// killGroup kills the process alone.
func killGroup(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		p.Kill()
		p.Release()
	}
}
