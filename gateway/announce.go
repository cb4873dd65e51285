package gateway

import (
	"log/slog"
	"strings"

	"github.com/slipway-iot/slipway/dispatch"
	"github.com/slipway-iot/slipway/mqtt"
)

// Announce publishes a message that the server makes: an event of the service,
// or what a rule republishes. Those who subscribed and may receive get it, and
// so does the Listener.
func (g *Gateway) Announce(m dispatch.Message, qos byte) {
	g.hear(m)
	if err := g.route(nil, m.Tenant, &mqtt.Publish{Topic: m.Topic, Payload: m.Payload, QoS: qos}); err != nil {
		g.Log.ErrorContext(g.ctx, "announce", slog.String("topic", m.Topic), slog.Any("err", err))
	}
}

// hear tells the Listener. It returns once what it set off is kept.
func (g *Gateway) hear(m dispatch.Message) {
	if g.Listener != nil {
		g.Listener(g.ctx, m)
	}
}

// basicIngest begins the topics of messages that are for one rule alone
// (device-gateway.md): $aws/rules/RULE/the/topic.
const basicIngest = "$aws/rules/"

// heard passes a device's message on, before it is acknowledged.
func (s *session) heard(p *mqtt.Publish) {
	s.g.hear(dispatch.Message{Tenant: s.tenant, Topic: p.Topic, Payload: p.Payload, ClientID: s.clientID, Principal: s.name()})
}

// ingest takes a message for one rule; devices never get it.
func (s *session) ingest(p *mqtt.Publish) bool {
	if !ingests(p.Topic) {
		return false
	}
	s.heard(p)
	s.ack(p, mqtt.Success, "")
	return true
}

// ingests says whether a topic is one of Basic Ingest.
func ingests(topic string) bool {
	rest, is := strings.CutPrefix(topic, basicIngest)
	rule, inner, _ := strings.Cut(rest, "/")
	return is && rule != "" && inner != ""
}
