package provision

import (
	"context"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/ca"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/crash"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
)

// A Line is one registration of many, and what became of it.
type Line struct {
	Number  int // its caller's
	Params  map[string]string
	Refused error       // why nothing was made; the caller may have a reason already
	Made    *Registered // unless refused
	Done    bool        // the outcome is on disk
}

// A Join writes, in the transaction that writes lines, what became of them: they
// hold the outcome that they have if it commits. It may be called again.
type Join func(ctx context.Context, tx store.Tx, lines []*Line) error

// RegisterMany is RegisterInline for many lines at a time. Each has its own
// outcome: those that succeed share a transaction, and where one fails the
// others are written without it.
//
//	plan    render the template for each line              nothing but parse
//	look    whether each can succeed, unless hopeful        one read transaction
//	sign    lint, intents on disk, a signature for each     one write transaction
//	apply   everything, or nothing, of each                 one write transaction
//
// A caller who is hopeful, because nothing was signed in vain the last time,
// does without the look; vain says whether something was. An error is no
// line's: those that are not Done may be tried again.
func (s *Service) RegisterMany(ctx context.Context, t arn.Tenant, body string, hopeful bool, lines []*Line, join Join) (vain bool, err error) {
	defer s.stage("register-many")()
	m := &many{Service: s, tenant: t, join: join}
	parsed, unreadable := s.parsed.parse(body, templates.Inline)
	for _, l := range lines {
		one := &member{Line: l, inline: inline{tenant: t}}
		if one.refuse(unreadable); l.Refused == nil {
			plan, err := parsed.Render(templates.Input{Parameters: l.Params})
			one.refuse(err)
			one.plan = plan
		}
		m.all = append(m.all, one)
	}
	if !hopeful {
		if err := m.foresee(ctx); err != nil {
			return false, err
		}
	}
	if err := m.sign(ctx); err != nil {
		return false, err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	for _, apart := range m.apart() {
		if err := m.write(ctx, apart); err != nil {
			return m.vain, err
		}
	}
	return m.vain, nil
}

// A many is one RegisterMany on its way.
type many struct {
	*Service
	tenant arn.Tenant
	join   Join
	all    []*member
	vain   bool
}

// A member is one of its lines.
type member struct {
	*Line
	inline
	signed *certs.Certificate // for the template's signing request, if it has one
}

// refuse keeps the first reason.
func (m *member) refuse(err error) {
	if err != nil && m.Refused == nil {
		m.Refused = registrationFailure(err)
	}
}

// foresee looks ahead for all lines, on one state. Where the look itself fails
// nothing is known, and apply will tell.
func (m *many) foresee(ctx context.Context) error {
	err := m.DB.View(ctx, func(ctx context.Context, tx store.Tx) error {
		return tx.Each(ctx, len(m.all), func(ctx context.Context, tx store.Tx, i int) error {
			one := m.all[i]
			if one.Refused != nil {
				return nil
			}
			w := m.inlineWriter(tx, &one.inline)
			err := w.foresee(ctx, one.plan)
			if unavailable(err) || fault.Is(err, fault.Internal) {
				return err
			}
			one.refuse(err)
			return nil
		})
	})
	if unavailable(err) {
		return err
	}
	return nil
}

// unavailable says that an error is about the moment, not about a line.
func unavailable(err error) bool {
	return fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Throttled)
}

// sign makes the certificates that signing requests ask for.
func (m *many) sign(ctx context.Context) error {
	var asking []*member
	var prepared []*ca.Prepared
	for _, one := range m.all {
		if one.Refused != nil || one.plan.Certificate == nil || one.plan.Certificate.CSR == "" {
			continue
		}
		linted, err := m.CA.LintCSR([]byte(one.plan.Certificate.CSR), ca.Rules{ForbiddenNames: m.Reserved})
		var p *ca.Prepared
		if err == nil {
			p, err = m.CA.Prepare(linted, ca.Profile{})
		}
		if err != nil {
			one.refuse(err)
			continue
		}
		asking, prepared = append(asking, one), append(prepared, p)
	}
	if len(asking) == 0 {
		return nil
	}
	err := m.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		return tx.Each(ctx, len(prepared), func(ctx context.Context, tx store.Tx, i int) error {
			return tx.InsertIntent(ctx, m.intent(m.tenant, prepared[i], certs.FromCSR))
		})
	})
	if err != nil {
		return err
	}
	for i, one := range asking {
		crash.Point("create.intended")
		one.signed, err = m.Service.signed(ctx, m.tenant, prepared[i], certs.FromCSR)
		if unavailable(err) {
			return err
		}
		one.refuse(err)
		crash.Point("create.signed")
	}
	return nil
}

// apart parts the lines into stretches in which no two touch the same thing,
// certificate, or policy that may have to be made: such are written one after
// the other, and the second one sees what the first one did.
func (m *many) apart() (out [][]*member) {
	begin, taken := 0, map[string]bool{}
	for i, one := range m.all {
		touches := one.touches()
		for _, name := range touches {
			if taken[name] {
				out = append(out, m.all[begin:i])
				begin = i
				clear(taken)
				break
			}
		}
		for _, name := range touches {
			taken[name] = true
		}
	}
	return append(out, m.all[begin:])
}

func (m *member) touches() (names []string) {
	if m.Refused != nil {
		return nil
	}
	if m.plan.Thing != nil {
		names = append(names, "thing "+m.plan.Thing.Name)
	}
	if c := m.plan.Certificate; c != nil && c.CSR == "" {
		id := c.ID
		if leaf, err := certs.Read("The certificate", c.PEM); err == nil {
			id = string(leaf.ID())
		}
		names = append(names, "certificate "+id)
	}
	for _, p := range m.plan.Policies {
		if p.Document != "" {
			names = append(names, "policy "+p.Name)
		}
	}
	return names
}

// write writes lines in one transaction. Where that fails, halves of them are
// written, until it is known who is to blame.
func (m *many) write(ctx context.Context, lines []*member) error {
	ours := make([]*Line, len(lines))
	err := m.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		err := tx.Each(ctx, len(lines), func(ctx context.Context, tx store.Tx, i int) error {
			ours[i] = lines[i].Line
			return m.apply(ctx, tx, lines[i])
		})
		if err != nil {
			return err
		}
		return m.join(ctx, tx, ours)
	})
	switch {
	case err == nil:
		for _, one := range lines {
			one.Done = true
		}
		return nil
	case unavailable(err):
		return err
	case len(lines) > 1:
		half := len(lines) / 2
		if err := m.write(ctx, lines[:half]); err != nil {
			return err
		}
		return m.write(ctx, lines[half:])
	case lines[0].Refused != nil:
		return err
	}
	m.vain = m.vain || lines[0].signed != nil
	lines[0].refuse(err)
	return m.write(ctx, lines)
}

// apply is what write does for one line.
func (m *many) apply(ctx context.Context, tx store.Tx, one *member) error {
	if one.Made = nil; one.Refused != nil {
		return nil
	}
	if err := m.certify(ctx, tx, one); err != nil {
		return err
	}
	if err := m.writeInline(ctx, tx, &one.inline); err != nil {
		return err
	}
	one.Made = one.registered()
	return nil
}

// certify stores the certificate that was signed for the line, or finds its
// own.
func (m *many) certify(ctx context.Context, tx store.Tx, one *member) (err error) {
	one.made = false
	if one.signed == nil {
		one.cert, err = m.named(ctx, tx, &one.inline)
		return err
	}
	c := *one.signed // of this run: writing changes it
	c.Status = certs.Status(one.plan.Certificate.Status)
	one.cert, one.made = &c, true
	return keepCertificate(ctx, tx, &c)
}
