package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/internal/crash"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/wire"
)

// RegisterThing binds a certificate to a thing as a template says.
//
// Only the last of its three steps writes:
//
//	plan   read and check template, claim and token   one read transaction
//	ask    let the function allow or override         no transaction: this is the network
//	apply  write everything, or nothing               one write transaction
//
// The world may change while the function thinks, so apply checks again. A
// device that lost our answer asks again, and gets the same one.
func (s *Service) RegisterThing(ctx context.Context, who Caller, template string, req wire.RegisterRequest) (*wire.RegisterAnswer, error) {
	defer s.stage("register")()
	t := &try{who: who, req: req, name: template, digest: certs.Digest(req.Digest(template))}
	defer t.bought()
	if err := s.plan(ctx, t); err != nil {
		return nil, err
	}
	crash.Point("register.planned")
	if t.remembered == nil {
		if err := s.ask(ctx, t); err != nil {
			return nil, err
		}
		crash.Point("register.asked")
		if err := s.apply(ctx, t); err != nil {
			return nil, err
		}
	}
	if t.remembered != nil {
		who.step("register", "The same request was answered before; the device gets the same answer again.")
		return recall(t.remembered)
	}
	return t.answer, nil
}

// A try is one RegisterThing on its way through the three steps.
type try struct {
	who    Caller
	name   string // of the template
	req    wire.RegisterRequest
	digest certs.Digest // of template and request

	record     *templates.Record // plan sets these
	body       *templates.Template
	token      *certs.TokenRecord // redeem sets these
	cert       *certs.Certificate
	remembered []byte // the answer of an earlier request like this one

	asked     bool // ask sets these
	overrides map[string]string
	answer    *wire.RegisterAnswer // apply sets it, unless there was one
}

// plan reads what the request is about and refuses what cannot succeed
// (provisioning-mqtt-api.md, section 3.2, steps 1 to 3). The token is looked
// at here only when a function will be asked about its certificate, or when the
// template refuses: a device that was registered before the template went gets
// its answer still. apply looks at it in any case.
func (s *Service) plan(ctx context.Context, t *try) error {
	if err := t.authorised(); err != nil {
		return err
	}
	err := s.DB.Peek(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		t.record, err = usable(ctx, tx, t)
		switch {
		case err != nil && s.redeem(ctx, tx, t) == nil && t.remembered != nil:
			return nil
		case err != nil || t.record.Hook == nil:
			return err
		}
		return s.redeem(ctx, tx, t)
	})
	if err != nil || t.remembered != nil {
		return err
	}
	t.body, err = s.parsed.get(t.record)
	return err
}

// redeem finds the certificate that the token buys, or the answer that was
// given to this request before.
func (s *Service) redeem(ctx context.Context, tx store.Tx, t *try) error {
	token, cert, err := certs.Redeem(ctx, tx, t.who.Tenant, certs.Token(t.req.Token), t.digest, s.Now())
	if err != nil {
		return err
	}
	t.token, t.cert, t.remembered = token, cert, nil
	if token.Spent {
		t.remembered = token.Answer
	}
	return nil
}

// authorised refuses a claim that was made for another template.
func (t *try) authorised() error {
	if c := t.who.Claim; c != nil && c.Template != "" && c.Template != t.name {
		return fault.New(fault.Refused, "Claim not authorised: this claim was made for template %s, the device asked for template %s. Use that template, or a claim made for this one.", c.Template, t.name)
	}
	return nil
}

// usable finds the template if it may provision a device now.
func usable(ctx context.Context, tx store.Tx, t *try) (*templates.Record, error) {
	rec, err := tx.TemplateRecord(ctx, t.who.Tenant, t.name)
	if fault.Is(err, fault.Missing) {
		return nil, fault.Wrap(fault.Missing, err, "Template not found: there is no provisioning template %s in account %s, region %s. Its name is case sensitive.", t.name, t.who.Tenant.Account, t.who.Tenant.Region)
	}
	if err != nil {
		return nil, err
	}
	if rec.Type != templates.FleetProvisioning {
		return nil, fault.New(fault.Refused, "Template %s is of type %s and cannot be used over MQTT; the device must name one of type FLEET_PROVISIONING.", t.name, rec.Type)
	}
	if !rec.Enabled {
		return nil, fault.New(fault.Refused, "Template %s is disabled; UpdateProvisioningTemplate can enable it.", t.name)
	}
	return rec, nil
}

// render evaluates the template. What a service-supplied name holds, a device
// cannot override (templates.md, section 1.1).
func (t *try) render() (*templates.Plan, error) {
	return t.body.Render(templates.Input{
		Parameters: t.req.Parameters,
		Overrides:  t.overrides,
		Service:    map[string]string{"AWS::IoT::Certificate::Id": string(t.cert.ID)},
	})
}

// bought tells the timeline which certificate the token bought, whatever came
// of it: the device may have got it on another connection.
func (t *try) bought() {
	if t.cert != nil && t.who.Trace != nil {
		t.who.Trace.Made(t.cert.ID)
	}
}

func remember(a *wire.RegisterAnswer) ([]byte, error) {
	b, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("provision: answer cannot be remembered: %w", err)
	}
	return b, nil
}

func recall(b []byte) (*wire.RegisterAnswer, error) {
	var a wire.RegisterAnswer
	if err := json.Unmarshal(b, &a); err != nil {
		return nil, fmt.Errorf("provision: remembered answer is not readable: %w", err)
	}
	return &a, nil
}

// hookDeadline is a second longer than AWS's limit for a function's answer
// (hooks-and-events.md, section 1.1), to which the function is held where it
// is called, and where it can be said what it did not do in time.
const hookDeadline = functions.MaxTimeout + time.Second
