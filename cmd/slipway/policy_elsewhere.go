package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/policy"
)

// elsewhere decides on this side, with the engine that Slipway enforces with,
// from what any control plane that speaks AWS's API can be asked: the policies
// of the certificate, and those of the groups of the connection's thing with all
// their ancestors (policies.md, section 4).
func (c *policyExplain) elsewhere(ctx context.Context, p *plane) (*explanation, error) {
	id, err := arn.ParseCertID(c.Certificate[strings.LastIndexByte(c.Certificate, '/')+1:])
	if err != nil {
		return nil, err
	}
	j := &judgement{plane: p, e: &explanation{Policies: []string{}, Statement: -1, JudgedBy: "the engine of this program, from the policies stored at " + p.client.Endpoint}}
	j.context.ClientID, j.context.HasClientID, j.context.Topic = c.ClientID, true, c.Topic
	if c.SourceIP != "" {
		if j.context.SourceIP, err = netip.ParseAddr(c.SourceIP); err != nil {
			return nil, usageError{fmt.Errorf("--source-ip %q: expected an IP address", c.SourceIP)}
		}
	}
	if err := j.read(ctx, id); err != nil {
		return nil, err
	}
	resource, err := c.judged(j.context.Tenant)
	if err != nil {
		return nil, err
	}
	d := policy.Bind(j.set, j.context).Decide(c.Action, resource)
	e := j.e
	e.Allowed, e.Explicit, e.Policy, e.Version, e.Sid, e.Statement = d.Allowed, d.Explicit, d.Policy, d.Version, d.Sid, d.Statement
	e.Missing, e.Resource, e.Sentence = d.Missing, resource, d.Sentence(c.Action, resource)
	return e, nil
}

// judged makes an ARN of what a person writes: the action says what a bare name
// is.
func (c *policyExplain) judged(t arn.Tenant) (string, error) {
	if strings.HasPrefix(c.Resource, "arn:") || c.Resource == "*" {
		return c.Resource, nil
	}
	switch strings.ToLower(c.Action) {
	case "iot:connect":
		if c.Resource == "" {
			return policy.ClientARN(t, c.ClientID), nil
		}
		return policy.ClientARN(t, c.Resource), nil
	case "iot:senddirectmessage":
		return policy.ClientARN(t, c.Resource), nil
	case "iot:publish", "iot:receive", "iot:retainpublish":
		return policy.TopicARN(t, c.Resource), nil
	case "iot:subscribe":
		return policy.TopicFilterARN(t, c.Resource), nil
	}
	return "", usageError{fmt.Errorf("--resource %q: for action %s expected an ARN", c.Resource, c.Action)}
}

// A judgement gathers what a decision rests on.
type judgement struct {
	plane   *plane
	e       *explanation
	context policy.Context
	set     []policy.Named
}

func (j *judgement) read(ctx context.Context, id arn.CertID) error {
	var out struct {
		Certificate struct {
			ARN string `json:"certificateArn"`
			PEM string `json:"certificatePem"`
		} `json:"certificateDescription"`
	}
	if err := j.plane.get(ctx, api.Path("certificates", string(id)), &out); err != nil {
		return err
	}
	name, err := arn.Parse(out.Certificate.ARN)
	if err != nil {
		return err
	}
	j.context.Tenant, j.context.CertificateID = name.Tenant(), string(id)
	// An emulator's certificate may be none; its variables have no value then.
	if block, _ := pem.Decode([]byte(out.Certificate.PEM)); block != nil {
		j.context.Certificate, _ = x509.ParseCertificate(block.Bytes)
	}
	if err := j.attached(ctx, out.Certificate.ARN); err != nil {
		return err
	}
	return j.findThing(ctx, out.Certificate.ARN)
}

// attached adds the default versions of the policies on a target.
func (j *judgement) attached(ctx context.Context, target string) error {
	names, err := all[struct {
		Name string `json:"policyName"`
	}](ctx, j.plane, http.MethodPost, api.Path("attached-policies", target), byMarker(), "policies")
	if err != nil {
		return err
	}
	for _, n := range names {
		if slices.Contains(j.e.Policies, n.Name) {
			continue
		}
		var stored struct {
			Document string `json:"policyDocument"`
			Version  string `json:"defaultVersionId"`
		}
		if err := j.plane.get(ctx, api.Path("policies", n.Name), &stored); err != nil {
			return err
		}
		doc, err := policy.Parse(stored.Document)
		if err != nil {
			_, text := fault.Show(err)
			return fmt.Errorf("policy %s cannot be read: %s", n.Name, text)
		}
		j.e.Policies = append(j.e.Policies, n.Name)
		j.set = append(j.set, policy.Named{Name: n.Name, Version: stored.Version, Compiled: doc.Compile()})
	}
	return nil
}

// findThing finds the thing of the connection: the one that the certificate is
// bound to exclusively, else the attached one that the client id names. The
// policies of its groups count too.
func (j *judgement) findThing(ctx context.Context, certificate string) error {
	things, err := j.plane.thingsOf(ctx, certificate)
	if err != nil {
		return err
	}
	name := ""
	for _, t := range things {
		if t.Kind == "EXCLUSIVE_THING" {
			name = t.Name
			break
		}
		if t.Name == j.context.ClientID {
			name = t.Name
		}
	}
	if name == "" {
		return nil
	}
	d, err := j.plane.device(ctx, name)
	if err != nil {
		return err
	}
	j.e.Thing = name
	j.context.Thing = &policy.Thing{Name: name, Type: d.Type, Attributes: d.Attributes, Attached: true}
	return j.groups(ctx, d.Groups)
}

type principalThing struct {
	Name string `json:"thingName"`
	Kind string `json:"thingPrincipalType"`
}

// thingsOf gives the things of a certificate. A control plane that is not new
// knows no kinds of attachment, and has only the first form of the operation.
func (p *plane) thingsOf(ctx context.Context, certificate string) ([]principalThing, error) {
	header := http.Header{"X-Amzn-Principal": {certificate}}
	list, err := allWith[principalThing](ctx, p, http.MethodGet, "/principals/things-v2", byToken(), header, "principalThingObjects")
	if !foreign(err) {
		return list, err
	}
	names, err := allWith[string](ctx, p, http.MethodGet, "/principals/things", byToken(), header, "things")
	for _, name := range names {
		list = append(list, principalThing{Name: name})
	}
	return list, err
}

// groups adds the policies of the groups of the connection's thing, and of
// their ancestors, each group once.
func (j *judgement) groups(ctx context.Context, names []string) error {
	var seen []string
	for _, name := range names {
		for name != "" && !slices.Contains(seen, name) {
			seen = append(seen, name)
			var g struct {
				ARN      string `json:"thingGroupArn"`
				Metadata struct {
					Parent string `json:"parentGroupName"`
				} `json:"thingGroupMetadata"`
			}
			if err := j.plane.get(ctx, api.Path("thing-groups", name), &g); err != nil {
				return err
			}
			if err := j.attached(ctx, g.ARN); err != nil {
				return err
			}
			name = g.Metadata.Parent
		}
	}
	return nil
}
