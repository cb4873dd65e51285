//go:build unix && !linux

package process

import "syscall"

// ownGroup puts a process into a group of its own, so that it can be killed
// with what it started. A server that is killed leaves it behind; it ends when
// it asks for the next call.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
