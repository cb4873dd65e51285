package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/crash"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/things"
	"github.com/slipway-iot/slipway/wire"
)

// apply writes the plan in one transaction: thing, groups, policies,
// attachments, the certificate's status, the spent token and the remembered
// answer. A failure leaves the certificate PENDING_ACTIVATION and the token
// good, so that the device may try again inside its hour.
func (s *Service) apply(ctx context.Context, t *try) error {
	var did []string
	err := s.DB.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		if did, err = s.write(ctx, tx, t); err == nil {
			crash.Point("register.applying")
		}
		return err
	})
	if err != nil {
		return err
	}
	crash.Point("register.applied")
	for _, sentence := range did {
		t.who.step("apply", sentence)
	}
	return nil
}

// write is what apply does inside its transaction. The token is redeemed here,
// so that of two requests at once only one spends it, and the other finds the
// first one's answer.
func (s *Service) write(ctx context.Context, tx store.Tx, t *try) (did []string, err error) {
	if err := s.redeem(ctx, tx, t); err != nil || t.remembered != nil {
		return nil, err
	}
	if err := t.count(ctx, tx); err != nil {
		return nil, err
	}
	if t.asked { // the template may have gone while the function thought
		if t.record, err = usable(ctx, tx, t); err != nil {
			return nil, err
		}
	}
	plan, err := t.render()
	if err != nil {
		return nil, err
	}
	t.answer = &wire.RegisterAnswer{DeviceConfiguration: plan.DeviceConfiguration}
	if plan.Thing != nil {
		t.answer.ThingName = plan.Thing.Name
	}
	answer, err := remember(t.answer)
	if err != nil {
		return nil, err
	}
	w := writer{tx: tx, tenant: t.who.Tenant, now: s.Now(), reprovision: templates.Reprovision(t.record)}
	if err := w.overwrite(ctx, *plan, t.cert); err != nil {
		return nil, err
	}
	if d, set := templates.Validity(t.record); set && t.cert.NotAfter.After(t.cert.Created.Add(d+time.Hour)) {
		w.note("Certificate %s lasts until %s, longer than slipway:validity of template %s says: the template was not known when it was made, or said otherwise. A claim that may register with this template alone makes it known.",
			t.cert.ID, t.cert.NotAfter.UTC().Format(time.DateOnly), t.name)
	}
	return w.did, certs.Spend(ctx, tx, t.token, t.digest, answer)
}

// A writer carries out one plan inside a transaction, and says what it did.
type writer struct {
	tx          store.Tx
	tenant      arn.Tenant
	now         time.Time
	reprovision string
	did         []string
}

func (w *writer) note(format string, args ...any) {
	w.did = append(w.did, fmt.Sprintf(format, args...))
}

// overwrite writes the plan for a certificate that was there before: it keeps
// or gets its status as the override settings say.
func (w *writer) overwrite(ctx context.Context, plan templates.Plan, cert *certs.Certificate) error {
	status, err := plan.Certificate.Against(string(cert.Status))
	if err != nil {
		return err
	}
	final := *plan.Certificate
	final.Status, plan.Certificate = status, &final
	return w.write(ctx, &plan, cert)
}

func (w *writer) write(ctx context.Context, plan *templates.Plan, cert *certs.Certificate) error {
	if plan.Thing != nil {
		if err := w.thing(ctx, plan.Thing); err != nil {
			return err
		}
	}
	target := w.tenant.Cert(cert.ID)
	for _, p := range plan.Policies {
		if err := w.policy(ctx, p, target); err != nil {
			return err
		}
	}
	if plan.Thing != nil {
		if err := things.BindPrincipal(ctx, w.tx, w.tenant, plan.Thing.Name, target, plan.Certificate.PrincipalType, w.now); err != nil {
			return err
		}
	}
	// Status last, as AWS documents it for just-in-time provisioning.
	if err := certs.SetStatus(ctx, w.tx, cert, certs.Status(plan.Certificate.Status), w.now); err != nil {
		return err
	}
	w.note("Certificate %s is %s.", cert.ID, plan.Certificate.Status)
	return nil
}

func (w *writer) policy(ctx context.Context, p templates.PolicyPlan, target string) error {
	if p.Document != "" {
		if err := policy.Ensure(ctx, w.tx, w.tenant, p.Name, p.Document, w.now); err != nil {
			return err
		}
	}
	if err := policy.Attach(ctx, w.tx, w.tenant, p.Name, target, w.now); err != nil {
		return noPolicy(err, p.Name)
	}
	w.note("Attached policy %s.", p.Name)
	return nil
}

func noPolicy(err error, name string) error {
	if !fault.Is(err, fault.Missing) {
		return err
	}
	return fault.Wrap(fault.MissingPart, err, "Policy %s, which the template attaches, does not exist; create it (CreatePolicy), or change the template.", name)
}

func (w *writer) thing(ctx context.Context, p *templates.ThingPlan) error {
	old, existing, err := w.existing(ctx, p.Name)
	if err != nil {
		return err
	}
	if old != nil && w.reprovision == templates.Deny {
		return fault.New(fault.Conflict, "Duplicate serial: thing %s exists already, and the template's setting slipway:reprovision is deny. Delete the thing first, or take the tag off the template.", p.Name)
	}
	change, err := p.Against(existing)
	if err != nil {
		return err
	}
	if err := w.parts(ctx, change); err != nil {
		return err
	}
	if old == nil {
		old = &things.Thing{Tenant: w.tenant, Name: p.Name, BillingGroup: change.JoinBilling, Created: w.now}
	}
	if err := w.saveThing(ctx, old, change); err != nil {
		return err
	}
	w.did = append(w.did, change.Sentences...)
	return w.memberships(ctx, p.Name, change)
}

func (w *writer) saveThing(ctx context.Context, th *things.Thing, c templates.ThingChange) error {
	before := *th
	if c.Type != nil {
		th.Type = *c.Type
	}
	if c.Attributes != nil {
		th.Attributes = c.Attributes
	}
	if c.Create {
		return things.Insert(ctx, w.tx, th)
	}
	if c.Type == nil && c.Attributes == nil {
		return nil
	}
	th.Version = before.Version + 1
	if err := things.Save(ctx, w.tx, th, w.now); err != nil {
		return err
	}
	things.Retyped(w.tx, th, before.Type, w.now)
	return nil
}

func (w *writer) memberships(ctx context.Context, name string, c templates.ThingChange) error {
	for _, g := range c.LeaveGroups {
		if err := things.Leave(ctx, w.tx, w.tenant, g, name, w.now); err != nil {
			return err
		}
	}
	for _, g := range c.JoinGroups {
		if err := things.Join(ctx, w.tx, w.tenant, g, name, w.now); err != nil {
			return err
		}
	}
	if c.JoinBilling == "" || c.Create { // a new thing is made in its billing group
		return nil
	}
	return things.JoinBilling(ctx, w.tx, w.tenant, c.JoinBilling, name, w.now)
}

// parts checks that what the plan names exists: types and groups are never
// created by provisioning (templates.md, section 8).
func (w *writer) parts(ctx context.Context, c templates.ThingChange) error {
	if c.Type != nil && *c.Type != "" {
		ty, err := w.tx.ThingType(ctx, w.tenant, *c.Type)
		if fault.Is(err, fault.Missing) {
			return fault.Wrap(fault.MissingPart, err, "Thing type not found: the template names type %s, which does not exist; create it (CreateThingType), or change the template.", *c.Type)
		}
		if err != nil {
			return err
		}
		if ty.Deprecated {
			return fault.New(fault.MissingPart, "Thing type %s, which the template names, is deprecated; DeprecateThingType with undoDeprecate takes that back, or the template can name another.", *c.Type)
		}
	}
	for _, g := range c.JoinGroups {
		if _, err := w.tx.Group(ctx, w.tenant, g); err != nil {
			return missingPart(err, "Thing group", g)
		}
	}
	if c.JoinBilling != "" {
		if _, err := w.tx.BillingGroup(ctx, w.tenant, c.JoinBilling); err != nil {
			return missingPart(err, "Billing group", c.JoinBilling)
		}
	}
	return nil
}

func missingPart(err error, what, name string) error {
	if !fault.Is(err, fault.Missing) {
		return err
	}
	return fault.Wrap(fault.MissingPart, err, "%s not found: the template names %s, which does not exist; create it, or change the template.", what, name)
}

// existing reads the thing as the registry has it; nil when there is none.
func (w *writer) existing(ctx context.Context, name string) (*things.Thing, *templates.Existing, error) {
	th, err := w.tx.Thing(ctx, w.tenant, name)
	if fault.Is(err, fault.Missing) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	links, _, err := w.tx.Lefts(ctx, w.tenant, ref.GroupThing, name, ref.All)
	if err != nil {
		return nil, nil, err
	}
	e := &templates.Existing{Type: th.Type, Attributes: th.Attributes, BillingGroup: th.BillingGroup, Version: th.Version}
	for _, l := range links {
		e.Groups = append(e.Groups, l.Left)
	}
	return th, e, nil
}
