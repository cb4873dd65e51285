package records

import (
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/tenants"
)

// A Held is what the one connection that writes a database knows to stand in
// it: what every device's registration asks for, and what a device that was just
// registered is asked for next. Whatever changes it passes through it, so it needs
// no second look. The driver forgets it whenever something is rolled back, since
// what was read after a write may have gone with it.
//
// It belongs to the goroutine that writes. A nil Held holds nothing: that of a
// database which others write too.
type Held struct {
	known map[any]holding // by place, leaf, named, ticket or tied
	size  int             // of all, in bytes

	limits map[arn.Tenant]*tenants.Record // nobody changes these
}

// A holding is one thing that is known. Nobody changes what it shares.
type holding struct {
	value any
	size  int
}

// heldSize bounds what is held, some hundred devices. When it is more, it begins
// anew.
const heldSize = 1 << 20

// A leaf is where a certificate lies, a certRow.
type leaf struct {
	tenant arn.Tenant
	id     arn.CertID
}

// A named is where a thing lies, a thingRow.
type named struct {
	tenant arn.Tenant
	name   string
}

// A ticket is where an ownership token lies, a tokenRow.
type ticket struct {
	tenant arn.Tenant
	digest certs.Digest
}

// A tied is a name with all that is tied to it as the left end of one kind, a
// []ref.Link in the order of the left names.
type tied struct {
	tenant arn.Tenant
	kind   ref.Kind
	right  string
}

func recall[T any](h *Held, at any) (v T, ok bool) {
	if h == nil {
		return v, false
	}
	known, ok := h.known[at]
	if ok {
		v = known.value.(T)
	}
	return v, ok
}

// keep holds a value of so many bytes, about.
func (h *Held) keep(at, value any, size int) {
	if h == nil {
		return
	}
	h.drop(at)
	if h.known == nil || h.size+size > heldSize {
		h.known, h.size = map[any]holding{}, 0
	}
	h.known[at] = holding{value, size}
	h.size += size
}

func (h *Held) drop(at any) {
	if h != nil {
		h.size -= h.known[at].size
		delete(h.known, at)
	}
}

// overhead is what an entry takes beside its texts, about.
const overhead = 256

func (h *Held) keepCertificate(t arn.Tenant, r certRow) {
	h.keep(leaf{t, arn.CertID(r.id)}, r, overhead+len(r.pem)+len(r.id)+len(r.serial))
}

func (h *Held) keepThing(t arn.Tenant, r thingRow) {
	h.keep(named{t, r.name}, r, overhead+len(r.name)+len(r.attributes))
}

func (h *Held) keepToken(at ticket, r tokenRow) {
	h.keep(at, r, overhead+len(r.cert)+len(r.request)+len(r.answer))
}

func (h *Held) keepTies(at tied, links []ref.Link) {
	size := overhead + len(at.right)
	for _, l := range links {
		size += overhead + len(l.Left) + len(l.Data)
	}
	h.keep(at, links, size)
}

// tie adds a link where all others of its right end are known.
func (h *Held) tie(t arn.Tenant, k ref.Kind, l ref.Link) {
	at := tied{t, k, l.Right}
	known, ok := recall[[]ref.Link](h, at)
	if !ok {
		return
	}
	i, there := slices.BinarySearchFunc(known, l.Left, func(a ref.Link, left string) int { return strings.Compare(a.Left, left) })
	if there {
		return // it keeps its data
	}
	l.Created = moment(micros(l.Created))
	h.keepTies(at, slices.Insert(slices.Clone(known), i, l))
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
