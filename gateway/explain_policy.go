package gateway

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/store"
)

// A Question asks what a device with this certificate and client id may do.
type Question struct {
	Action        string `json:"action"`        // such as iot:Publish
	Resource      string `json:"resource"`      // an ARN, or a bare topic, filter or client id
	CertificateID string `json:"certificateId"` // or its ARN
	ClientID      string `json:"clientId"`
	SourceIP      string `json:"sourceIp"`
	Topic         string `json:"topic"` // of iot:SendDirectMessage
}

// An Explanation says which statement decides.
type Explanation struct {
	Allowed   bool     `json:"allowed"`
	Explicit  bool     `json:"explicit"` // a Deny statement decided, not the lack of an Allow
	Policy    string   `json:"policyName,omitempty"`
	Version   string   `json:"policyVersionId,omitempty"`
	Sid       string   `json:"sid,omitempty"`
	Statement int      `json:"statement"` // from 0; meaningful with policyName
	Missing   []string `json:"missingContextValues,omitempty"`
	Thing     string   `json:"thingName,omitempty"` // the thing that the connection would have
	Policies  []string `json:"policies"`            // all that were looked at
	Resource  string   `json:"resource"`            // as it was judged
	Sentence  string   `json:"sentence"`
	// Outside says why the certificate cannot connect, whatever its policies
	// allow; empty if it can.
	Outside string `json:"cannotConnect,omitempty"`
}

// Explain decides as a connection would be decided now. The thing is found as
// at CONNECT, by certificate and client id.
func (g *Gateway) Explain(ctx context.Context, t arn.Tenant, q Question) (*Explanation, error) {
	id, err := arn.ParseCertID(strings.TrimPrefix(q.CertificateID, t.Cert("")))
	if err != nil {
		return nil, err
	}
	resource, err := resourceOf(t, q)
	if err != nil {
		return nil, err
	}
	s := &session{g: g, tenant: t, identity: identity{certID: id}, clientID: q.ClientID, topic: q.Topic}
	if q.SourceIP != "" {
		if s.from, err = netip.ParseAddr(q.SourceIP); err != nil {
			return nil, fault.New(fault.InvalidRequest, "sourceIp %s: expected an IP address.", quoted(q.SourceIP))
		}
	}
	var r *rights
	epoch := g.recent.now()
	err = g.DB.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		r, err = s.asIfConnected(ctx, tx, epoch)
		return err
	})
	if err != nil {
		return nil, err
	}
	d := r.bound.Decide(q.Action, resource)
	return &Explanation{
		Allowed: d.Allowed, Explicit: d.Explicit, Policy: d.Policy, Version: d.Version, Sid: d.Sid,
		Statement: d.Statement, Missing: d.Missing, Thing: r.thing, Policies: append([]string{}, r.policies...),
		Resource: resource, Sentence: d.Sentence(q.Action, resource), Outside: usable(s.cert, g.Now()),
	}, nil
}

// asIfConnected reads the rights of a certificate that is not connected.
func (s *session) asIfConnected(ctx context.Context, tx store.Tx, epoch uint64) (*rights, error) {
	c, err := tx.Certificate(ctx, s.tenant, s.certID)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode([]byte(c.PEM)); block != nil {
		if s.leaf, err = x509.ParseCertificate(block.Bytes); err != nil {
			return nil, err
		}
	}
	s.cert = c
	return s.readRights(ctx, tx, epoch, nil, "")
}

// resourceOf makes an ARN of what a person writes: the action says what a bare
// name is.
func resourceOf(t arn.Tenant, q Question) (string, error) {
	if strings.HasPrefix(q.Resource, "arn:") || q.Resource == "*" {
		return q.Resource, nil
	}
	action := strings.TrimPrefix(strings.ToLower(q.Action), "iot:")
	if q.Resource == "" && action == "connect" {
		q.Resource = q.ClientID
	}
	if q.Resource == "" {
		return "", fault.New(fault.InvalidRequest, "resource is missing: what action %s is about, such as a topic, a topic filter or a client id, or its ARN.", quoted(q.Action))
	}
	switch action {
	case "connect", "senddirectmessage":
		return policy.ClientARN(t, q.Resource), nil
	case "publish", "receive", "retainpublish":
		return policy.TopicARN(t, q.Resource), nil
	case "subscribe":
		return policy.TopicFilterARN(t, q.Resource), nil
	}
	return "", fault.New(fault.InvalidRequest, "resource %s: for action %s expected an ARN.", quoted(q.Resource), quoted(q.Action))
}
