package gateway

import (
	"context"
	"log/slog"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

// rights is the effective set of policies of one connection, bound to what is
// known of it, and what the set was made from.
type rights struct {
	bound     *policy.Bound
	claim     *certs.ClaimRecord // nil: not a claim made here
	thing     string
	exclusive bool
	policies  []string
	groups    []string
	epoch     uint64 // of recent, from before the snapshot that this was read in
}

// readRights collects the documents that decide: those of whoever the
// connection is (identity.go), and those of the static groups that the connection's thing is
// in, with all their ancestors (policies.md, section 4). The epoch is that of
// recent, from before the transaction began.
func (s *session) readRights(ctx context.Context, tx store.Tx, epoch uint64, attributes []string, will string) (*rights, error) {
	r := &rights{epoch: epoch}
	set, thing, err := s.ownSet(ctx, tx, r)
	if err != nil {
		return nil, err
	}
	for _, group := range r.groups {
		more, err := s.g.attached(ctx, tx, s.tenant, s.tenant.Resource("thinggroup", group), r)
		if err != nil {
			return nil, err
		}
		set = append(set, more...)
	}
	r.bound = policy.Bind(set, policy.Context{
		Tenant: s.tenant, ClientID: s.clientID, HasClientID: !s.https, SourceIP: s.from,
		CertificateID: string(s.certID), Certificate: s.leaf, Thing: thing,
		ConnectAttributes: attributes, LastWillTopic: will, Topic: s.topic,
	})
	return r, nil
}

// findThing finds the thing of the connection and the groups whose policies
// count for it. It also says how many things the certificate is attached to.
func (s *session) findThing(ctx context.Context, tx store.Tx, r *rights) (thing *policy.Thing, attachments int, err error) {
	a, err := things.OfConnection(ctx, tx, s.tenant, s.tenant.Cert(s.certID), s.clientID)
	if err != nil || a.Thing == nil {
		return nil, a.Attachments, err
	}
	th := a.Thing
	r.thing, r.exclusive = th.Name, a.Exclusive
	if r.groups, err = things.Lineage(ctx, tx, s.tenant, th.Name); err != nil {
		return nil, 0, err
	}
	return &policy.Thing{Name: th.Name, Type: th.Type, Attributes: th.Attributes, Attached: true}, a.Attachments, nil
}

// attached gives the compiled default versions of the policies on a target.
func (g *Gateway) attached(ctx context.Context, tx store.Tx, t arn.Tenant, target string, r *rights) ([]policy.Named, error) {
	links, _, err := tx.Lefts(ctx, t, ref.PolicyTarget, target, ref.All)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(links))
	for i, l := range links {
		names[i] = l.Left
	}
	return g.compiled(ctx, tx, t, names, r)
}

// compiled gives the default versions of policies by name.
func (g *Gateway) compiled(ctx context.Context, tx store.Tx, t arn.Tenant, names []string, r *rights) ([]policy.Named, error) {
	set := make([]policy.Named, 0, len(names))
	for _, name := range names {
		k := policyName{t, name}
		n, ok := g.recent.policy(k)
		if !ok {
			rec, err := tx.Policy(ctx, t, name)
			if err != nil {
				return nil, err
			}
			if n, err = rec.Ready(); err != nil {
				return nil, err
			}
			g.recent.keepPolicy(k, n, r.epoch)
		}
		r.policies = append(r.policies, name)
		set = append(set, n)
	}
	return set, nil
}

// certificateSet gives the policies of the connection's own certificate. One
// that has no thing is a claim: what is known of it is kept, since many devices
// connect with it.
func (s *session) certificateSet(ctx context.Context, tx store.Tx, r *rights) ([]policy.Named, *policy.Thing, error) {
	k := certKey{s.tenant, s.certID}
	facts, ok := s.g.recent.claim(k)
	if !ok {
		thing, links, err := s.findThing(ctx, tx, r)
		if err != nil {
			return nil, nil, err
		}
		if facts, err = s.readFacts(ctx, tx); err != nil {
			return nil, nil, err
		}
		if links == 0 {
			s.g.recent.keepClaim(k, facts, r.epoch)
		}
		set, err := s.setOf(ctx, tx, facts, r)
		return set, thing, err
	}
	set, err := s.setOf(ctx, tx, facts, r)
	return set, nil, err
}

func (s *session) setOf(ctx context.Context, tx store.Tx, f claimFacts, r *rights) ([]policy.Named, error) {
	r.claim = f.claim
	if f.claim != nil && f.claim.Trusted {
		return implied(s.tenant, f.claim.Template)
	}
	return s.g.compiled(ctx, tx, s.tenant, f.policies, r)
}

// readFacts reads whether the certificate is a claim, and its policies.
func (s *session) readFacts(ctx context.Context, tx store.Tx) (f claimFacts, err error) {
	if s.cert.Origin == certs.FromClaim || s.cert.Origin == certs.FromUser {
		if f.claim, err = tx.Claim(ctx, s.tenant, s.certID); err != nil && !fault.Is(err, fault.Missing) {
			return f, err
		}
	}
	links, _, err := tx.Lefts(ctx, s.tenant, ref.PolicyTarget, s.tenant.Cert(s.certID), ref.All)
	for _, l := range links {
		f.policies = append(f.policies, l.Left)
	}
	return f, err
}

// implied is what a temporary claim may do without any policy attached
// (methods.md, section 7).
func implied(t arn.Tenant, template string) ([]policy.Named, error) {
	doc, err := policy.Parse(policy.ClaimPolicy(t, template))
	if err != nil {
		return nil, err
	}
	return []policy.Named{{Name: "temporary claim", Version: "1", Compiled: doc.Compile()}}, nil
}

// decide gives a sentence when the answer is no.
func (r *rights) decide(action, resource string) (refusal string) {
	if d := r.bound.Decide(action, resource); !d.Allowed {
		return d.Sentence(action, resource)
	}
	return ""
}

// may decides one action, and gives a sentence when the answer is no. Rights
// that changed are read again first; if that fails, nothing is allowed.
func (s *session) may(action, resource string) (refusal string) {
	if s.changes.Load() != s.seen.Load() && !s.refresh() {
		return "The server could not read this connection's policies and allows nothing until it can; try again."
	}
	return s.rights.Load().decide(action, resource)
}

// refresh reads the rights again, and says whether it could. Until they are
// there, every other action waits.
func (s *session) refresh() bool {
	s.rightsMu.Lock()
	defer s.rightsMu.Unlock()
	for s.changes.Load() != s.seen.Load() {
		change, epoch := s.changes.Load(), s.g.recent.now()
		var fresh *rights
		err := s.g.DB.Peek(s.g.ctx, func(ctx context.Context, tx store.Tx) (err error) {
			fresh, err = s.readRights(ctx, tx, epoch, nil, "")
			return err
		})
		if err != nil {
			s.g.Log.ErrorContext(s.g.ctx, "policies", slog.String("client", s.clientID), slog.Any("err", err))
			return false
		}
		s.rights.Store(fresh)
		s.seen.Store(change)
		if s.g.hub.bind(s, fresh.exclusive) && fresh.exclusive {
			s.changes.Add(1) // what happened to the thing before it was bound was not for us
		}
	}
	return true
}
