package gateway

import (
	"context"
	"log/slog"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/retained"
	"github.com/slipway-iot/slipway/store"
)

// retainOptions are what a subscription says of retained messages (MQTT 5.0,
// 3.8.3.1); on 3.1.1 they are zero.
type retainOptions struct {
	asPublished bool // forwarded messages keep their RETAIN flag
	handling    byte // 0 always send retained messages, 1 to a new subscription, 2 never
}

// wants says whether SUBSCRIBE asks for what is retained on exactly one topic
// that may retain something (device-gateway.md, section 3.9).
func (sub *subscription) wants(isNew bool) bool {
	switch h := sub.retain.handling; {
	case h == 2, h == 1 && !isNew:
		return false
	case sub.group != "", strings.HasPrefix(sub.match, "$"):
		return false
	}
	return !strings.ContainsAny(sub.match, "+#")
}

// retainedFor runs once SUBACK was queued, for each subscription that it
// granted; isNew says that the session had none with this filter. It sends what
// the topic retains, at the cost of one read. The subscription matches already,
// so that a message which is published meanwhile may come twice, and is never
// missed: what is retained is stored before it is routed.
func (s *session) retainedFor(sub *subscription, isNew bool) {
	if !sub.wants(isNew) {
		return
	}
	m, err := s.g.retainedAt(s.ctx, s.tenant, sub.match)
	switch {
	case fault.Is(err, fault.Missing), s.ctx.Err() != nil: // the connection has ended, for a reason of its own
		return
	case err != nil:
		s.g.Log.ErrorContext(s.ctx, "retained", slog.String("client", s.clientID), slog.Any("err", err))
		s.refused("retained", "server", "What "+quoted(sub.match)+" retains could not be read: "+sentence(err)+" Subscribe again.")
		return
	}
	if why := s.may("iot:Receive", policy.TopicARN(s.tenant, sub.match)); why != "" {
		s.withheld(why)
		return
	}
	out := &mqtt.Publish{Topic: sub.match, Payload: m.Publish.Payload, QoS: min(m.Publish.QoS, sub.qos), Retain: true}
	if s.version == mqtt.V5 {
		forward(&out.Properties, &m.Publish.Properties)
	}
	if s.deliver(out) {
		s.g.Metrics.Message("out", 1)
	}
}

func (g *Gateway) retainedAt(ctx context.Context, t arn.Tenant, topic string) (m *retained.Message, err error) {
	err = g.DB.Peek(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		m, err = retained.At(ctx, tx, t, topic, g.Now())
		return err
	})
	return m, err
}

// retain runs before a PUBLISH with RETAIN is routed and acknowledged. A
// sentence refuses it.
func (s *session) retain(p *mqtt.Publish) (code mqtt.ReasonCode, why string) {
	err := s.g.keep(s.ctx, s.tenant, p)
	switch {
	case err == nil:
		return 0, ""
	case fault.Is(err, fault.LimitExceeded):
		return mqtt.QuotaExceeded, sentence(err)
	}
	s.g.Log.ErrorContext(s.ctx, "retain", slog.String("client", s.clientID), slog.Any("err", err))
	return mqtt.UnspecifiedError, sentence(err)
}

// keep retains a message, or deletes what its topic retains. It is on disk when
// keep returns.
func (g *Gateway) keep(ctx context.Context, t arn.Tenant, p *mqtt.Publish) error {
	_ = expiryOf(p, g.Now()) // bounds it
	return g.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		return retained.Keep(ctx, tx, t, p, g.Now())
	})
}
