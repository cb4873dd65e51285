package gateway

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
)

// judgeWill reads anew whether the one whose will it is may still publish it:
// account, certificate or key, policies. A fault of kind Refused says no. It
// keeps nothing in mind from before, since what changed just now may not have
// been told yet.
func (g *Gateway) judgeWill(ctx context.Context, w *lastWill) error {
	from, _ := netip.ParseAddr(w.Address)
	judge := &session{g: &Gateway{Config: g.Config, recent: newRecent()}, tenant: w.Tenant, clientID: w.ClientID, from: from}
	return g.DB.Peek(ctx, func(ctx context.Context, tx store.Tx) error {
		t, err := tx.Tenant(ctx, w.Tenant)
		if err != nil {
			return gone(err)
		}
		if t.Disabled {
			return fault.New(fault.Refused, "Account %s is switched off in region %s.", w.Tenant.Account, w.Tenant.Region)
		}
		who, err := w.identify(ctx, tx)
		if err != nil {
			return gone(err)
		}
		judge.identity = *who
		r, err := judge.identify(ctx, tx, 0, nil, "")
		if err != nil {
			return gone(err)
		}
		if why := mayPublishWill(r, w.Tenant, w.Publish.Topic, w.Publish.Retain); why != "" {
			return fault.New(fault.Refused, "%s", why)
		}
		return nil
	})
}

// gone makes a refusal of what is not there any more.
func gone(err error) error {
	if fault.Is(err, fault.Missing) {
		return fault.Wrap(fault.Refused, err, "%s", sentence(err))
	}
	return err
}

// Words before the name of a principal, in the store.
const (
	byCertificate = "certificate"
	byKey         = "key"
	byAuthorizer  = "authorizer"
)

// principal writes who the connection is, for a will that outlives it.
func (i *identity) principal() string {
	kind := byCertificate
	switch {
	case i.vouched != nil:
		kind = byAuthorizer
	case i.signed != nil:
		kind = byKey
	}
	return kind + "/" + i.name()
}

// principal takes apart what the identity's principal wrote.
func (w *lastWill) principal() (kind, name string) {
	kind, name, _ = strings.Cut(w.Principal, "/")
	return kind, name
}

// identify gives who left the will. What a dead server knew of an authorizer's
// principal died with it, so that its will cannot be judged.
func (w *lastWill) identify(ctx context.Context, tx store.Tx) (*identity, error) {
	if w.who != nil {
		return w.who, nil
	}
	switch kind, name := w.principal(); kind {
	case byCertificate:
		c, err := tx.Certificate(ctx, w.Tenant, arn.CertID(name))
		if err != nil {
			return nil, err
		}
		leaf, err := leafOf(c.PEM)
		return &identity{leaf: leaf, certID: c.ID}, err
	case byKey:
		k, err := tx.AccessKey(ctx, name)
		if err != nil {
			return nil, err
		}
		return &identity{signed: &Caller{Tenant: w.Tenant, KeyID: k.ID, Role: k.Role, Stored: true}}, nil
	}
	return nil, fault.New(fault.Refused, "The connection ended with an earlier run of the server, and what its authorizer vouched for was not kept.")
}

func leafOf(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, fault.New(fault.Internal, "A stored certificate cannot be read.")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "A stored certificate cannot be read.")
	}
	return leaf, nil
}
