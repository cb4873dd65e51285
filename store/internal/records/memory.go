package records

import (
	"sync"

	"github.com/slipway-iot/slipway/arn"
)

// A Memory spares a driver to decode the same document again and again: every
// device of a fleet asks for the same template and policies. It is keyed by
// what the document says, not by its name alone: the database is always read,
// and a document that changed is decoded anew. The zero Memory is empty.
type Memory struct {
	mu    sync.Mutex
	known map[place]decoded
	size  int // bytes of the bodies
}

// A place is where a document lies.
type place struct {
	tenant     arn.Tenant
	kind, name string
}

type decoded struct {
	body  string
	value any // belongs to the memory; callers get copies
}

// memorySize bounds the bodies that a memory keeps. When they are more, it
// begins anew.
const memorySize = 4 << 20

// recall gives the decoded form of this very body, if it is known.
func (m *Memory) recall(at place, body string) (any, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.known[at]
	if !ok || d.body != body {
		return nil, false
	}
	return d.value, true
}

// keep remembers a decoded form, which nobody changes from now on.
func (m *Memory) keep(at place, body string, value any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.size += len(body) - len(m.known[at].body)
	if m.known == nil || m.size > memorySize {
		m.known, m.size = make(map[place]decoded), len(body)
	}
	m.known[at] = decoded{body, value}
}
