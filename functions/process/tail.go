package process

import (
	"strings"
	"sync"
)

// What is kept of a process's output.
const (
	tailBytes = 8 << 10
	tailLines = 20
)

// A tail keeps the end of what was written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte // at most twice tailBytes
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b[max(0, len(b)-tailBytes):]...)
	if len(t.kept) > tailBytes {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-tailBytes:]...)
	}
	return len(b), nil
}

// String gives the last lines, as far as they were kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimRight(strings.ToValidUTF8(string(t.kept), "\ufffd"), "\r\n")
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
