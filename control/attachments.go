package control

import (
	"context"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

// target gives a policy target as the store has it. What is no certificate is
// left as it is: package policy says what may be a target.
func target(t arn.Tenant, text string) (string, error) {
	if n, err := arn.Parse(text); err == nil && n.Kind == "cert" {
		_, text, err = certificateARN(t, text)
		return text, err
	}
	return text, nil
}

// checkTarget says whether a certificate or group that is a target exists.
func checkTarget(ctx context.Context, tx store.Tx, t arn.Tenant, text string) error {
	n, err := arn.Parse(text)
	if err != nil {
		return nil // an identity, or nothing that package policy accepts
	}
	switch n.Kind {
	case "cert":
		_, err = existing(ctx, tx, t, text)
	case "thinggroup":
		if n.Tenant() == t {
			_, err = things.Ancestors(ctx, tx, t, n.ID)
		}
	}
	return err
}

type policyAndTarget struct {
	policyName
	Target string `json:"target"`
}

func (s *Server) attachPolicy(ctx context.Context, c *Call, in *policyAndTarget) (any, error) {
	to, err := target(c.Tenant, in.Target)
	if err != nil {
		return nil, err
	}
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		if err := checkTarget(ctx, tx, c.Tenant, to); err != nil {
			return err
		}
		return policy.Attach(ctx, tx, c.Tenant, in.PolicyName, to, s.cfg.Now())
	})
}

func (s *Server) detachPolicy(ctx context.Context, c *Call, in *policyAndTarget) (any, error) {
	from, err := target(c.Tenant, in.Target)
	if fault.Is(err, fault.Missing) { // AWS's model has no ResourceNotFoundException here
		return nil, fault.Wrap(fault.InvalidRequest, err, "Target %s belongs to another account or region.", arn.Clip(in.Target, 200))
	}
	if err != nil {
		return nil, err
	}
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return policy.Detach(ctx, tx, c.Tenant, in.PolicyName, from, s.cfg.Now())
	})
}

// The deprecated twins name the target in a header as principal.
type policyAndPrincipal struct {
	policyName
	Principal string `json:"principal"`
}

func (p policyAndPrincipal) twin() *policyAndTarget {
	return &policyAndTarget{p.policyName, p.Principal}
}

func (s *Server) attachPrincipalPolicy(ctx context.Context, c *Call, in *policyAndPrincipal) (any, error) {
	return s.attachPolicy(ctx, c, in.twin())
}

func (s *Server) detachPrincipalPolicy(ctx context.Context, c *Call, in *policyAndPrincipal) (any, error) {
	return s.detachPolicy(ctx, c, in.twin())
}

func (s *Server) listAttachedPolicies(ctx context.Context, c *Call, in *struct {
	byMarker
	Target    string `json:"target"`
	Recursive bool   `json:"recursive"`
}) (any, error) {
	return s.policiesOf(ctx, c, in.Target, in.Recursive, in.byMarker)
}

func (s *Server) listPrincipalPolicies(ctx context.Context, c *Call, in *struct {
	byMarker
	Principal string `json:"principal"`
}) (any, error) {
	return s.policiesOf(ctx, c, in.Principal, false, in.byMarker)
}

// policiesOf pages through the policies of a target. The limits on what a
// target carries keep the whole list short.
func (s *Server) policiesOf(ctx context.Context, c *Call, text string, recursive bool, in byMarker) (any, error) {
	p, err := s.markerPage(c, in)
	if err != nil {
		return nil, err
	}
	of, err := target(c.Tenant, text)
	if err != nil {
		return nil, err
	}
	var out policyList
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		if err := checkTarget(ctx, tx, c.Tenant, of); err != nil {
			return err
		}
		all, err := attached(ctx, tx, c.Tenant, of, recursive)
		page, next := pageOf(all, p)
		out = policyList{c.policies(page), s.seal(c, next)}
		return err
	})
	return out, err
}

// attached gives the policies of a target, and of the groups above it if it is
// a group and recursive is set.
func attached(ctx context.Context, tx store.Tx, t arn.Tenant, of string, recursive bool) ([]string, error) {
	targets := []string{of}
	if group, ok := strings.CutPrefix(of, t.Resource("thinggroup", "")); ok && recursive {
		up, err := things.Ancestors(ctx, tx, t, group)
		if err != nil {
			return nil, err
		}
		for _, g := range up[1:] {
			targets = append(targets, t.Resource("thinggroup", g.Name))
		}
	}
	seen := map[string]bool{}
	var all []string
	for _, of := range targets {
		names, _, err := policy.AttachedTo(ctx, tx, t, of, ref.All)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if !seen[name] {
				seen[name] = true
				all = append(all, name)
			}
		}
	}
	return all, nil
}

type ofPolicy struct {
	byMarker
	policyName
}

func (s *Server) targetsOf(ctx context.Context, c *Call, in *ofPolicy) (targets []string, next string, err error) {
	p, err := s.markerPage(c, in.byMarker)
	if err != nil {
		return nil, "", err
	}
	p.Descending = in.AscendingOrder != nil && !*in.AscendingOrder
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		targets, next, err = policy.Targets(ctx, tx, c.Tenant, in.PolicyName, p)
		return err
	})
	return targets, s.seal(c, next), err
}

func (s *Server) listTargetsForPolicy(ctx context.Context, c *Call, in *ofPolicy) (any, error) {
	targets, next, err := s.targetsOf(ctx, c, in)
	return struct {
		Targets    []string `json:"targets"`
		NextMarker string   `json:"nextMarker,omitempty"`
	}{targets, next}, err
}

// listPolicyPrincipals names certificates and identities, not groups.
func (s *Server) listPolicyPrincipals(ctx context.Context, c *Call, in *ofPolicy) (any, error) {
	targets, next, err := s.targetsOf(ctx, c, in)
	principals := []string{}
	for _, t := range targets {
		if !strings.HasPrefix(t, c.Tenant.Resource("thinggroup", "")) {
			principals = append(principals, t)
		}
	}
	return struct {
		Principals []string `json:"principals"`
		NextMarker string   `json:"nextMarker,omitempty"`
	}{principals, next}, err
}
