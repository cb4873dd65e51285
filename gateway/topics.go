package gateway

import (
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server/gsl"

	"github.com/slipway-iot/slipway/arn"
)

// topics matches published topics with subscriptions, one generic subject
// list for each tenant (DESIGN.md, decision 1).
//
// A level is a token. Bytes that mean something to the list are escaped, an
// empty level is a bare %, topics that begin with $ live under a root of their
// own, so that no wildcard reaches them, and a/# is a.> alone, as on AWS: it
// does not match a.
type topics struct {
	mu    sync.RWMutex
	lists map[arn.Tenant]*gsl.GenericSublist[*subscription]
}

func newTopics() *topics {
	return &topics{lists: map[arn.Tenant]*gsl.GenericSublist[*subscription]{}}
}

func (t *topics) list(tenant arn.Tenant, make bool) *gsl.GenericSublist[*subscription] {
	t.mu.RLock()
	l := t.lists[tenant]
	t.mu.RUnlock()
	if l != nil || !make {
		return l
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if l = t.lists[tenant]; l == nil {
		l = gsl.NewSublist[*subscription]()
		t.lists[tenant] = l
	}
	return l
}

// add makes the subscription match. A subscription may be added only once,
// since the list counts each time.
func (t *topics) add(tenant arn.Tenant, sub *subscription) error {
	return t.list(tenant, true).Insert(subjectOf(sub.match), sub)
}

func (t *topics) remove(tenant arn.Tenant, sub *subscription) {
	if l := t.list(tenant, false); l != nil {
		_ = l.Remove(subjectOf(sub.match), sub) // only a subject that was never added fails
	}
}

// match appends the subscriptions of a topic to found. The list calls back
// under its read lock, so nothing is done there but collecting.
func (t *topics) match(tenant arn.Tenant, topic string, found []*subscription) []*subscription {
	l := t.list(tenant, false)
	if l == nil {
		return found
	}
	l.Match(subjectOf(topic), func(s *subscription) { found = append(found, s) })
	return found
}

const hexDigits = "0123456789abcdef"

// subjectOf writes a topic or filter as a subject.
func subjectOf(filter string) string {
	var b strings.Builder
	b.Grow(len(filter) + 8)
	if strings.HasPrefix(filter, "$") {
		b.WriteString("s.")
	} else {
		b.WriteString("t.")
	}
	start := 0
	for i := 0; i <= len(filter); i++ {
		if i < len(filter) && filter[i] != '/' {
			continue
		}
		if start > 0 {
			b.WriteByte('.')
		}
		writeLevel(&b, filter[start:i])
		start = i + 1
	}
	return b.String()
}

func writeLevel(b *strings.Builder, level string) {
	switch level {
	case "":
		b.WriteByte('%')
		return
	case "+":
		b.WriteByte('*')
		return
	case "#":
		b.WriteByte('>')
		return
	}
	for i := 0; i < len(level); i++ {
		c := level[i]
		if c <= 0x20 || c == 0x7f || c == '.' || c == '*' || c == '>' || c == '%' {
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
			continue
		}
		b.WriteByte(c)
	}
}
