package server

import (
	"crypto/tls"
	"time"

	"github.com/slipway-iot/slipway/arn"
)

// renewBefore is how long before its end a server certificate is made anew.
const renewBefore = 30 * 24 * time.Hour

// Certificate gives what the server shows under a name; without a name, what
// the default tenant's devices see. It is made when first asked for, and anew
// in time; one that is still good is shown if that fails.
func (h *hosts) Certificate(name string) (*tls.Certificate, error) {
	p, known := h.place(name)
	if !known {
		p = place{tenant: arn.Default}
	}
	key := p.key()
	h.mu.RLock()
	c := h.shown[key]
	h.mu.RUnlock()
	if c != nil && !h.due(c) {
		return c, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if c = h.shown[key]; c != nil && !h.due(c) { // another connection was faster
		return c, nil
	}
	names := h.namesOf(p.tenant)
	if p.alone != "" {
		names = []string{p.alone}
	}
	fresh, err := h.ca.ServerCertificate(names)
	switch {
	case err == nil:
		h.shown[key] = fresh
		return fresh, nil
	case c != nil && h.now().Before(c.Leaf.NotAfter):
		return c, nil
	}
	return nil, err
}

// due says whether a certificate should be made anew: a month before its end,
// or in the last third of a life that its authority's end cut short.
func (h *hosts) due(c *tls.Certificate) bool {
	life := c.Leaf.NotAfter.Sub(c.Leaf.NotBefore)
	return c.Leaf.NotAfter.Sub(h.now()) < min(renewBefore, life/3)
}
