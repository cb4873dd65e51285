package policy

import (
	"context"
	"regexp"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// identityForm is a Cognito identity id, REGION:UUID.
var identityForm = regexp.MustCompile(`^[a-z]{2}(-[a-z0-9]+)+-[0-9]:[0-9a-f-]{36}$`)

// limitOf gives what bounds the policies of the target (policies.md, section 5),
// and the name of what it is; a target of another tenant or kind is refused.
func limitOf(t arn.Tenant, target string) (limit ref.Limit, what string, err error) {
	if identityForm.MatchString(target) {
		return ref.PoliciesPerPrincipal, "identity", nil
	}
	n, err := arn.Parse(target)
	if err != nil {
		return "", "", err
	}
	if n.Service != "iot" || n.Tenant() != t {
		return "", "", fault.New(fault.InvalidRequest, "Target %s belongs to another account or region.", arn.Clip(target, 200))
	}
	switch n.Kind {
	case "cert":
		_, err := arn.ParseCertID(n.ID)
		return ref.PoliciesPerPrincipal, "certificate", err
	case "thinggroup":
		return ref.PoliciesPerGroup, "thing group", nil
	}
	return "", "", fault.New(fault.InvalidRequest, "Target %s: a policy is attached to a certificate or a thing group, not to a %s.", arn.Clip(target, 200), arn.Clip(n.Kind, 40))
}

// Attach ties a policy to a target; one that is attached stays so. The caller
// has made sure that the target exists.
func Attach(ctx context.Context, s Store, t arn.Tenant, name, target string, now time.Time) error {
	limit, what, err := limitOf(t, target)
	if err != nil {
		return err
	}
	if _, err := load(ctx, s, t, name); err != nil {
		return err
	}
	there, _, err := s.Lefts(ctx, t, ref.PolicyTarget, target, ref.All)
	if err != nil {
		return err
	}
	for _, l := range there {
		if l.Left == name {
			return nil
		}
	}
	most, err := s.Limit(ctx, t, limit)
	if err != nil {
		return err
	}
	if len(there) >= most {
		return fault.New(fault.LimitExceeded, "The %s has %d policies attached; the limit is %d.", what, len(there), most)
	}
	if _, err := s.PutLink(ctx, t, ref.PolicyTarget, ref.Link{Left: name, Right: target, Created: now}); err != nil {
		return err
	}
	attachment(s, t, name, target, now)
	return nil
}

// Detach unties a policy from a target; one that is not attached is detached
// already.
func Detach(ctx context.Context, s Store, t arn.Tenant, name, target string, now time.Time) error {
	existed, err := s.DropLink(ctx, t, ref.PolicyTarget, name, target)
	if err != nil || !existed {
		return err
	}
	attachment(s, t, name, target, now)
	return nil
}

func attachment(s Store, t arn.Tenant, name, target string, now time.Time) {
	s.Emit(event.Event{Kind: event.PolicyAttachment, Tenant: t, ID: target, Detail: name, At: now})
}

// AttachedTo gives the names of the policies of a target, and the cursor of
// the next page.
func AttachedTo(ctx context.Context, s Store, t arn.Tenant, target string, p ref.Page) ([]string, string, error) {
	links, next, err := s.Lefts(ctx, t, ref.PolicyTarget, target, p)
	if err != nil {
		return nil, "", err
	}
	names := make([]string, len(links))
	for i, l := range links {
		names[i] = l.Left
	}
	return names, next, nil
}

// Targets gives what a policy is attached to, and the cursor of the next page.
func Targets(ctx context.Context, s Store, t arn.Tenant, name string, p ref.Page) ([]string, string, error) {
	if _, err := load(ctx, s, t, name); err != nil {
		return nil, "", err
	}
	links, next, err := s.Rights(ctx, t, ref.PolicyTarget, name, p)
	if err != nil {
		return nil, "", err
	}
	targets := make([]string, len(links))
	for i, l := range links {
		targets[i] = l.Right
	}
	return targets, next, nil
}
