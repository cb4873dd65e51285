package gateway

import (
	"sync"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/policy"
)

// recent keeps what CONNECT would read again and again: the default versions
// of policies, and what is known of a certificate without a thing, which is a
// claim that a whole fleet connects with. A certificate's status is never
// kept; it is read from the store at every CONNECT.
//
// An entry goes when the registry changes it (forget). What was read while a
// change was on its way is not kept: the reader notes the epoch, which counts
// changes, before its snapshot begins, and the epoch has moved on by then. (An
// epoch noted within the snapshot might already count a change that the
// snapshot does not see.) A session that used an entry just before is marked
// by the same event, and reads again.
type recent struct {
	mu       sync.Mutex
	epoch    uint64
	policies map[policyName]policy.Named
	claims   map[certKey]claimFacts
}

type policyName struct {
	tenant arn.Tenant
	name   string
}

// claimFacts is what is known of a certificate that has no thing.
type claimFacts struct {
	claim    *certs.ClaimRecord // nil: not made by `slipway claim`
	policies []string
}

type certKey struct {
	tenant arn.Tenant
	id     arn.CertID
}

// maxRecent bounds each table; when it is full it starts anew.
const maxRecent = 4096

func newRecent() *recent {
	return &recent{policies: map[policyName]policy.Named{}, claims: map[certKey]claimFacts{}}
}

// now is the epoch; a reader asks for it before its snapshot begins.
func (r *recent) now() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.epoch
}

func (r *recent) policy(k policyName) (n policy.Named, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ok = r.policies[k]
	return n, ok
}

func (r *recent) keepPolicy(k policyName, n policy.Named, epoch uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if epoch != r.epoch {
		return
	}
	if len(r.policies) >= maxRecent {
		clear(r.policies)
	}
	r.policies[k] = n
}

func (r *recent) claim(k certKey) (f claimFacts, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok = r.claims[k]
	return f, ok
}

func (r *recent) keepClaim(k certKey, f claimFacts, epoch uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if epoch != r.epoch {
		return
	}
	if len(r.claims) >= maxRecent {
		clear(r.claims)
	}
	r.claims[k] = f
}

// forget drops what an event made untrue.
func (r *recent) forget(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.epoch++
	switch e.Kind {
	case event.PolicyChanged:
		delete(r.policies, policyName{e.Tenant, e.ID})
	case event.CertificateDeleted, event.CertificateStatus:
		delete(r.claims, certKey{e.Tenant, arn.CertID(e.ID)})
	case event.PolicyAttachment:
		r.forgetTarget(e.Tenant, e.ID)
	case event.PrincipalChanged:
		r.forgetTarget(e.Tenant, e.Detail)
	}
}

func (r *recent) forgetTarget(t arn.Tenant, target string) {
	if n, err := arn.Parse(target); err == nil && n.Kind == "cert" {
		delete(r.claims, certKey{t, arn.CertID(n.ID)})
	}
}
