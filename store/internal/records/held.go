package records

import (
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/tenants"
)

// A Held is what the one connection that writes a database knows to stand in
// it: the documents and the limits that every device's registration asks for.
// Whatever changes them passes through it, so it needs no second look. The
// driver forgets it whenever something is rolled back, since what was read
// after a write may have gone with it.
//
// It belongs to the goroutine that writes. A nil Held holds nothing: that of a
// database which others write too.
type Held struct {
	bodies map[place]string
	limits map[arn.Tenant]*tenants.Record // nobody changes these
	size   int                            // bytes of the bodies
}

// heldSize bounds the bodies that are held. When they are more, it begins anew.
const heldSize = 4 << 20

func (h *Held) body(at place) (string, bool) {
	if h == nil {
		return "", false
	}
	body, ok := h.bodies[at]
	return body, ok
}

func (h *Held) keep(at place, body string) {
	if h == nil {
		return
	}
	h.size += len(body) - len(h.bodies[at])
	if h.bodies == nil || h.size > heldSize {
		h.bodies, h.size = map[place]string{}, len(body)
	}
	h.bodies[at] = body
}

func (h *Held) drop(at place) {
	if h != nil {
		h.size -= len(h.bodies[at])
		delete(h.bodies, at)
	}
}

func (h *Held) limitsOf(t arn.Tenant) *tenants.Record {
	if h == nil {
		return nil
	}
	return h.limits[t]
}

func (h *Held) keepLimits(r *tenants.Record) {
	if h == nil {
		return
	}
	if h.limits == nil || len(h.limits) > 1000 {
		h.limits = map[arn.Tenant]*tenants.Record{}
	}
	h.limits[r.Tenant] = r
}

func (h *Held) dropLimits(t arn.Tenant) {
	if h != nil {
		delete(h.limits, t)
	}
}

// Forget drops everything.
func (h *Held) Forget() {
	if h != nil {
		*h = Held{}
	}
}
