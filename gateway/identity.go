package gateway

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

// An identity is who a connection is, proven in one of three ways. What is set
// says how:
//
//	leaf, certID  an X.509 certificate, by the TLS handshake
//	signed        an access key, by the signature of the request that opened a WebSocket
//	vouched       an authorizer's principal, which may come on top of a certificate
//
// It is fixed once CONNECT was accepted, but for what a vouched principal's
// authorizer says anew.
type identity struct {
	leaf    *x509.Certificate
	certID  arn.CertID
	cert    *certs.Certificate // as the store has it; nil until CONNECT is judged
	signed  *Caller
	vouched *Principal
	until   time.Time // when the connection ends at the latest; zero: no such time
}

// A Caller is who signed a request with an access key (SigV4).
type Caller struct {
	Tenant arn.Tenant // the key's account, the region that was signed for
	KeyID  string
	Role   tenants.Role
	Stored bool      // the store knows the key: it may be revoked
	Until  time.Time // of a short-lived credential; zero: it does not expire
}

// name is the principal in lifecycle events and rules, and what `slipway trace`
// finds; empty for a connection that has shown nothing yet.
func (i *identity) name() string {
	switch {
	case i.vouched != nil:
		return i.vouched.ID
	case i.signed != nil:
		return i.signed.KeyID
	}
	return string(i.certID)
}

// describe names it in sentences, with the word for what it is.
func (i *identity) describe() string {
	switch {
	case i.vouched != nil:
		return fmt.Sprintf("principal %s of authorizer %s", i.vouched.ID, i.vouched.Authorizer)
	case i.signed != nil:
		return fmt.Sprintf("access key %s (role %s)", i.signed.KeyID, i.signed.Role)
	case i.certID != "":
		return "certificate " + string(i.certID)
	}
	return "nobody"
}

// known says whether the identity is one that this server knows: refusals are
// its own then, and no longer those of an address.
func (i *identity) known() bool { return i.cert != nil || i.signed != nil || i.vouched != nil }

// A credential is what a session can be found by when that stops being good: its
// certificate in its tenant, or an access key, which has no region.
type credential struct {
	tenant arn.Tenant
	kind   byte // 'c' certificate, 'k' access key, 'p' principal
	id     string
}

func certCredential(t arn.Tenant, id arn.CertID) credential { return credential{t, 'c', string(id)} }

func keyCredential(account, id string) credential {
	return credential{arn.Tenant{Account: account}, 'k', id}
}

// credential is that of the session. One that has a certificate and a principal is
// found by the certificate: a principal cannot be revoked here.
func (s *session) credential() credential {
	switch {
	case s.certID != "":
		return certCredential(s.tenant, s.certID)
	case s.signed != nil:
		return keyCredential(s.signed.Tenant.Account, s.signed.KeyID)
	}
	return credential{s.tenant, 'p', s.name()}
}

// identify reads, in one snapshot, everything that decides who the connection
// is and what it may do. An error refuses; its sentence says why.
func (s *session) identify(ctx context.Context, tx store.Tx, epoch uint64, attributes []string, will string) (*rights, error) {
	var err error
	switch {
	case s.certID != "":
		err = s.checkCertificate(ctx, tx)
	case s.signed != nil:
		err = s.signed.check(ctx, tx)
	case s.vouched == nil:
		err = fault.New(fault.Refused, "The connection shows neither a client certificate nor a signature, and no authorizer vouches for it.")
	}
	if err != nil {
		return nil, err
	}
	return s.readRights(ctx, tx, epoch, attributes, will)
}

// checkCertificate reads the certificate's status, which is never kept.
func (s *session) checkCertificate(ctx context.Context, tx store.Tx) error {
	c, err := tx.Certificate(ctx, s.tenant, s.certID)
	if fault.Is(err, fault.Missing) {
		return fault.Wrap(fault.Refused, errArrives, "Certificate %s is not registered in account %s, region %s.", s.certID, s.tenant.Account, s.tenant.Region)
	}
	if err != nil {
		return err
	}
	c.PEM = "" // of no use to a connection, and held as long as it lasts
	s.cert = c
	if c.Awaits() {
		return fault.Wrap(fault.Refused, errArrives, "Certificate %s is PENDING_ACTIVATION since it first connected.", s.certID)
	}
	if why := usable(c, s.g.Now()); why != "" {
		return fault.New(fault.Refused, "%s", why)
	}
	return nil
}

// check reads whether account and key are still in order: CONNECT comes some
// time after the request that was signed.
func (c *Caller) check(ctx context.Context, tx store.Tx) error {
	t, err := tx.Tenant(ctx, c.Tenant)
	if err != nil {
		return err
	}
	if t.Disabled {
		return fault.New(fault.Refused, "Account %s is switched off in region %s.", c.Tenant.Account, c.Tenant.Region)
	}
	if !c.Stored {
		return nil
	}
	k, err := tx.AccessKey(ctx, c.KeyID)
	if err != nil {
		return err
	}
	if k.Disabled {
		return fault.New(fault.Refused, "Access key %s was revoked.", c.KeyID)
	}
	return nil
}

// ownSet gives the policies of whoever the connection is, and its thing.
func (s *session) ownSet(ctx context.Context, tx store.Tx, r *rights) ([]policy.Named, *policy.Thing, error) {
	switch {
	case s.vouched != nil && s.certID != "":
		thing, _, err := s.findThing(ctx, tx, r)
		r.groups = nil
		return *s.vouched.policies.Load(), thing, err
	case s.vouched != nil:
		return *s.vouched.policies.Load(), nil, nil
	case s.signed != nil:
		set, err := roleSet(s.signed)
		return set, nil, err
	}
	return s.certificateSet(ctx, tx, r)
}

// roleSet is what a caller may do in place of AWS's IAM policies: whoever may
// operate the tenant may also be one of its devices, on every topic; the other
// roles are for narrower work (docs/divergences.md).
func roleSet(c *Caller) ([]policy.Named, error) {
	if !c.Role.Allows("iot:Connect") {
		return nil, fault.New(fault.Refused, "Access key %s has the role %s; only a key of role %s or %s may connect as a device.", c.KeyID, c.Role, tenants.Admin, tenants.Operator)
	}
	doc, err := policy.Parse(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`)
	if err != nil {
		return nil, err
	}
	return []policy.Named{{Name: "role " + string(c.Role), Version: "1", Compiled: doc.Compile()}}, nil
}

// overstayed gives AWS's word and a sentence for a connection whose time is
// over (device-gateway.md, section 1.2).
func (i *identity) overstayed(now time.Time) (reason, text string) {
	switch {
	case i.until.IsZero() || now.Before(i.until):
		return "", ""
	case i.vouched != nil:
		return "CUSTOMAUTH_TTL_EXPIRATION", fmt.Sprintf("The connection's time is over: authorizer %s gave it until %s. Connect again.", i.vouched.Authorizer, stamp(i.until))
	}
	return "WEBSOCKET_TTL_EXPIRATION", fmt.Sprintf("The connection's time is over: a signature opens a WebSocket for at most 24 hours, or as long as a short-lived credential lives, here until %s. Connect again.", stamp(i.until))
}
