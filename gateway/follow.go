package gateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/mqtt"
)

// Follow learns what happened in the registry, after its commit. A certificate
// that stopped being ACTIVE, or that was detached from the thing whose it was
// exclusively, cuts its connections at once; a changed policy,
// attachment, thing or group is judged at the next action. Follow does not
// block.
func (g *Gateway) Follow(e event.Event) {
	g.recent.forget(e) // before sessions are marked, so that they read anew
	switch e.Kind {
	case event.CertificateStatus:
		if certs.Status(e.Detail) != certs.Active {
			g.revoke(e.Tenant, arn.CertID(e.ID), "became "+e.Detail)
		}
	case event.CertificateDeleted:
		g.revoke(e.Tenant, arn.CertID(e.ID), "was deleted")
	case event.TenantChanged:
		if e.Detail == "disabled" {
			for _, s := range g.hub.of(e.Tenant) {
				s.cut(fmt.Sprintf("Account %s was switched off; its connections are cut.", e.Tenant.Account))
			}
		}
	case event.PrincipalUnbound:
		if n, err := arn.Parse(e.Detail); err == nil && n.Kind == "cert" {
			g.cut(e.Tenant, arn.CertID(n.ID), "was detached from thing "+e.ID+", to which it belonged exclusively")
		}
	case event.KeyChanged:
		if e.Detail == "disabled" {
			for _, s := range g.hub.ofCredential(keyCredential(e.Tenant.Account, e.ID)) {
				s.cut(fmt.Sprintf("Access key %s was revoked; its connections are cut.", e.ID))
			}
		}
	case event.DomainChanged:
		if e.Detail != access.Enabled {
			g.cutDomain(e)
		}
	case event.PolicyAttachment:
		g.staleTarget(e.Tenant, e.ID)
	case event.PrincipalChanged:
		g.staleTarget(e.Tenant, e.Detail)
	case event.ThingChanged, event.ThingGroups:
		for _, s := range g.hub.ofThing(e.Tenant, e.ID) {
			s.changes.Add(1)
		}
	case event.PolicyChanged:
		g.staleIf(e.Tenant, func(r *rights) bool { return slices.Contains(r.policies, e.ID) })
	case event.GroupChanged:
		g.staleIf(e.Tenant, func(r *rights) bool { return slices.Contains(r.groups, e.ID) })
	}
}

// revoke cuts the connections of a certificate that is good no more, and ends
// its stored sessions.
func (g *Gateway) revoke(t arn.Tenant, id arn.CertID, what string) {
	for _, s := range g.hub.ofCert(t, id) {
		s.revoked.Store(true) // before its session is looked for, which may be made just now
	}
	g.cut(t, id, what)
	g.revokeSessions(t, id)
}

// cutDomain cuts the connections that came by the name of a domain configuration.
func (g *Gateway) cutDomain(e event.Event) {
	for _, s := range g.hub.of(e.Tenant) {
		if s.domain != nil && s.domain.Name == e.ID {
			s.cut(fmt.Sprintf("Domain configuration %s is %s; the connections that came by its name are cut.", e.ID, strings.ToUpper(e.Detail)))
		}
	}
}

func (g *Gateway) cut(t arn.Tenant, id arn.CertID, what string) {
	for _, s := range g.hub.ofCert(t, id) {
		s.cut(fmt.Sprintf("Certificate %s %s; its connections are cut.", id, what))
	}
}

// cut ends a connection that was in order until now; its attempt says why.
func (s *session) cut(text string) {
	s.rec.Refuse("cut", text)
	s.end(mqtt.AdministrativeAction, text)
}

// staleTarget marks the sessions of a certificate, or of a thing group.
func (g *Gateway) staleTarget(t arn.Tenant, target string) {
	n, err := arn.Parse(target)
	if err != nil {
		return
	}
	switch n.Kind {
	case "cert":
		for _, s := range g.hub.ofCert(t, arn.CertID(n.ID)) {
			s.changes.Add(1)
		}
	case "thinggroup":
		g.staleIf(t, func(r *rights) bool { return slices.Contains(r.groups, n.ID) })
	}
}

func (g *Gateway) staleIf(t arn.Tenant, concerned func(*rights) bool) {
	for _, s := range g.hub.of(t) {
		if r := s.rights.Load(); r == nil || concerned(r) { // nil: they are being read
			s.changes.Add(1)
		}
	}
}
