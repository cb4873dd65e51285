package gateway

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/dispatch"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/wills"
)

// A lastWill is the will of a connection, with whom it belongs to. It goes out
// once, or never: whoever takes it out of its place decides (device-gateway.md,
// section 3.10).
type lastWill struct {
	*wills.Will
	who *identity // nil: the connection died with the server that knew it
}

// A willBox holds the will of a live connection. mu is held until the will that
// was taken out has gone out: a connection that takes over the client id waits,
// so that its own messages follow.
type willBox struct {
	mu   sync.Mutex
	will *lastWill
}

// mayWill judges the will at CONNECT, as AWS does. When it goes out, it is
// judged again.
func (s *session) mayWill(w *mqtt.Will) (mqtt.ReasonCode, string) {
	if w.QoS == 2 {
		return mqtt.QoSNotSupported, "The will asks for QoS 2, which is not supported; use QoS 0 or 1."
	}
	if why := topicTooLong("The will's topic", w.Topic); why != "" {
		return mqtt.TopicNameInvalid, why
	}
	if code, why := badProperties(&w.Properties); why != "" {
		return code, "Of the will: " + why
	}
	if strings.HasPrefix(w.Topic, "$") && !ingests(w.Topic) && !updatesShadow(w.Topic) {
		return mqtt.TopicNameInvalid, "The will's topic " + quoted(w.Topic) + " is reserved and takes no will; choose an ordinary topic, and let a rule republish it."
	}
	if why := mayPublishWill(s.rights.Load(), s.tenant, w.Topic, w.Retain); why != "" {
		return mqtt.NotAuthorized, why
	}
	return 0, ""
}

// updatesShadow says whether a topic is that of a shadow's updates, on which a
// will is allowed although nothing answers there (docs/divergences.md).
func updatesShadow(topic string) bool {
	return mqtt.Matches("$aws/things/+/shadow/update", topic) || mqtt.Matches("$aws/things/+/shadow/name/+/update", topic)
}

func mayPublishWill(r *rights, t arn.Tenant, topic string, retain bool) string {
	actions := []string{"iot:Publish"}
	if retain {
		actions = append(actions, "iot:RetainPublish")
	}
	for _, a := range actions {
		if why := r.decide(a, policy.TopicARN(t, topic)); why != "" {
			return "The will may not be published. " + why
		}
	}
	return ""
}

// keepWill runs before CONNACK, when CONNECT was accepted; will is nil if it
// carries none. resumed says that the session of an earlier connection goes on
// (session present), outlives how long this one stays after the connection. The
// will is on disk when keepWill returns nil.
//
// Wills of earlier connections come first: the one of the connection that was
// taken over, and one that waits. They go out now, unless their delay is not
// over and the session goes on (MQTT 5.0, 3.1.3.2.2).
func (s *session) keepWill(will *mqtt.Will, resumed bool, outlives time.Duration) error {
	if s.displaced != nil {
		s.displaced.will.settle(func(w *lastWill) { s.g.overtaken(w, resumed) })
		s.displaced = nil
	}
	if w := s.g.waiting.take(clientKey{s.tenant, s.clientID}); w != nil {
		s.g.overtaken(w, resumed)
	}
	if will == nil {
		return nil
	}
	who := s.identity
	w := &lastWill{who: &who, Will: &wills.Will{
		Tenant: s.tenant, ClientID: s.clientID, Connection: uuid.NewString(), Principal: who.principal(), Address: s.from.String(),
		Delay:   min(time.Duration(will.Properties.WillDelay.Or(0))*time.Second, outlives),
		Publish: &mqtt.Publish{Topic: will.Topic, Payload: will.Payload, QoS: will.QoS, Retain: will.Retain},
	}}
	forward(&w.Publish.Properties, &will.Properties)
	if err := s.g.putWill(s.ctx, w); err != nil {
		return err
	}
	s.will.mu.Lock()
	s.will.will = w
	s.will.mu.Unlock()
	return nil
}

// settle takes the will out and lets f decide what becomes of it, if it was
// there.
func (b *willBox) settle(f func(*lastWill)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w := b.will; w != nil {
		b.will = nil
		f(w)
	}
}

// hurry lets the will go out without delay: the session ends with the
// connection (MQTT 5.0, 3.1.3.2.2).
func (b *willBox) hurry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.will != nil {
		b.will.Delay = 0
	}
}

// overtaken ends the wait of a will whose client id connects again.
func (g *Gateway) overtaken(w *lastWill, resumed bool) {
	if resumed && w.Delay > 0 {
		g.dropWill(w)
		return
	}
	g.sendWill(w, nil)
}

// leaveWill runs once when a connection that passed CONNECT has ended, however
// it did: s.said, s.ended and s.endCode tell. It comes before the attempt is
// journalled and before the disconnected event; the client id may belong to
// another connection already.
func (s *session) leaveWill() {
	s.will.settle(func(w *lastWill) {
		who := s.identity // an authorizer may have spoken anew
		w.who = &who
		if s.expiry != nil { // DISCONNECT shortened the session's
			w.Delay = min(w.Delay, *s.expiry)
		}
		switch {
		case s.said && !s.saidWill && s.ended.Load() == nil:
			s.g.dropWill(w)
		case w.Delay > 0:
			w.Due = s.g.Now().Add(w.Delay)
			if err := s.g.putWill(context.WithoutCancel(s.ctx), w); err != nil {
				s.g.Log.ErrorContext(s.ctx, "will", slog.String("client", w.ClientID), slog.Any("err", err))
			}
			s.g.waiting.add(w)
		default:
			s.g.sendWill(w, s)
		}
	})
}

func (g *Gateway) putWill(ctx context.Context, w *lastWill) error {
	return g.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error { return tx.PutWill(ctx, w.Will) })
}

// dropWill forgets a will that was settled. If the store cannot, it is settled
// again after the next start.
func (g *Gateway) dropWill(w *lastWill) {
	err := g.DB.Update(context.WithoutCancel(g.ctx), func(ctx context.Context, tx store.Tx) error {
		_, err := tx.DropWill(ctx, w.Tenant, w.ClientID, w.Connection)
		return err
	})
	if err != nil {
		g.Log.ErrorContext(g.ctx, "will not dropped", slog.String("client", w.ClientID), slog.Any("err", err))
	}
}

// sendWill judges a will anew, publishes it and forgets it. A refusal is noted
// in the attempt of s, or in one of its own if the connection is long gone. If
// the store fails, the will waits and is tried again.
func (g *Gateway) sendWill(w *lastWill, s *session) {
	ctx := context.WithoutCancel(g.ctx)
	err := g.judgeWill(ctx, w)
	if err == nil {
		err = g.publishWill(ctx, w)
	}
	switch {
	case err == nil:
	case fault.Is(err, fault.Refused), fault.Is(err, fault.LimitExceeded):
		g.noteWill(w, s, sentence(err))
	default:
		g.Log.ErrorContext(ctx, "will", slog.String("client", w.ClientID), slog.Any("err", err))
		w.Due = g.Now().Add(willRetry)
		g.waiting.add(w)
		return
	}
	g.dropWill(w)
}

// publishWill retains the will, hands it to those who listen, and lets the
// rules hear it.
func (g *Gateway) publishWill(ctx context.Context, w *lastWill) error {
	p := w.Publish
	if p.Retain && !strings.HasPrefix(p.Topic, "$") {
		if err := g.keep(ctx, w.Tenant, p); err != nil {
			return err
		}
	}
	if !ingests(p.Topic) {
		if err := g.route(nil, w.Tenant, p); err != nil {
			return err
		}
	}
	g.Metrics.Message("in", 1)
	_, name := w.principal()
	g.hear(dispatch.Message{Tenant: w.Tenant, Topic: p.Topic, Payload: p.Payload, ClientID: w.ClientID, Principal: name})
	return nil
}

// noteWill says in an attempt that a will did not go out, and why.
func (g *Gateway) noteWill(w *lastWill, s *session, why string) {
	why = "The will on " + quoted(w.Publish.Topic) + " was not published. " + why
	if s != nil {
		s.refused("will", "will", why)
		return
	}
	g.Metrics.Refusal("will")
	rec := attempts.Open(uuid.NewString(), w.Address, w.Address, g.Now)
	if kind, name := w.principal(); kind == byCertificate {
		rec.Who(w.Tenant, arn.CertID(name), w.ClientID)
	} else {
		rec.Who(w.Tenant, "", w.ClientID)
		rec.Find(map[string]string{"principal": name})
	}
	rec.Refuse("will", why)
	a, _ := rec.Close("")
	g.Journal.Record(a)
}
