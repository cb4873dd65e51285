package gateway

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
)

// publish judges a PUBLISH and routes it. It gives a sentence when the
// connection is over.
func (s *session) publish(p *mqtt.Publish) string {
	if code, why := s.resolveAlias(p); why != "" {
		return s.violation(code, why)
	}
	if len(p.Properties.SubscriptionIDs) > 0 { // MQTT-3.3.4-6
		return s.violation(mqtt.ProtocolError, "PUBLISH on "+quoted(p.Topic)+" carries a subscription identifier, which only a server may send; leave it out.")
	}
	if s.pace != nil {
		if why := s.overPublish(p); why != "" {
			return s.throttled(p, why)
		}
	}
	if p.QoS > 1 {
		return s.violation(mqtt.QoSNotSupported, "PUBLISH on "+quoted(p.Topic)+" has QoS 2, which is not supported; use QoS 0 or 1.")
	}
	if len(p.Payload) > s.g.Limits.Payload {
		return s.violation(mqtt.QuotaExceeded, fmt.Sprintf("PUBLISH on %s has a payload of %d bytes; at most %d are allowed.", quoted(p.Topic), len(p.Payload), s.g.Limits.Payload))
	}
	if why := topicTooLong("Topic", p.Topic); why != "" {
		return s.refusePublish(p, mqtt.TopicNameInvalid, "topic", why)
	}
	if code, why := badProperties(&p.Properties); why != "" {
		return s.refusePublish(p, code, "properties", why)
	}
	if why := s.mayPublish(p); why != "" {
		return s.refusePublish(p, mqtt.NotAuthorized, "policy", why)
	}
	s.g.Metrics.Message("in", 1)
	if strings.HasPrefix(p.Topic, "$") {
		return s.reserved(p)
	}
	if p.Retain {
		if code, why := s.retain(p); why != "" {
			return s.refusePublish(p, code, "retain", why)
		}
	}
	s.heard(p)
	if err := s.g.route(s, s.tenant, p); err != nil {
		return s.notStored(p, err)
	}
	s.ack(p, mqtt.Success, "")
	return ""
}

// notStored leaves a message unacknowledged: it could not be stored for those
// who are away. The device sends it again.
func (s *session) notStored(p *mqtt.Publish, err error) string {
	s.g.Log.ErrorContext(s.ctx, "publish", slog.String("client", s.clientID), slog.Any("err", err))
	return s.refusePublish(p, mqtt.UnspecifiedError, "server", "The message could not be stored for sessions that are away. "+sentence(err))
}

// resolveAlias puts the topic in place of its alias, before anything looks at
// the topic (MQTT 5.0, 3.3.2.3.4).
func (s *session) resolveAlias(p *mqtt.Publish) (mqtt.ReasonCode, string) {
	alias, ok := p.Properties.TopicAlias.Get()
	if !ok {
		return 0, ""
	}
	p.Properties.TopicAlias = mqtt.Opt[uint16]{}
	if alias == 0 || alias > maxAliases {
		return mqtt.TopicAliasInvalid, fmt.Sprintf("PUBLISH has topic alias %d; they run from 1 to %d (Topic Alias Maximum in CONNACK).", alias, maxAliases)
	}
	if p.Topic == "" {
		if p.Topic = s.aliases[alias]; p.Topic == "" {
			return mqtt.ProtocolError, fmt.Sprintf("PUBLISH has topic alias %d and no topic, but the alias stands for none yet: send the topic with it once on each connection.", alias)
		}
		return 0, ""
	}
	if topicTooLong("", p.Topic) != "" { // it will be refused; the alias no longer stands for what it did
		delete(s.aliases, alias)
		return 0, ""
	}
	if s.aliases == nil {
		s.aliases = map[uint16]string{}
	}
	s.aliases[alias] = p.Topic
	return 0, ""
}

func topicTooLong(what, topic string) string {
	counted := topic
	if rest, ok := strings.CutPrefix(topic, "$aws/rules/"); ok { // Basic Ingest
		_, counted, _ = strings.Cut(rest, "/")
	}
	if len(counted) > maxTopic || strings.Count(counted, "/") > maxSlashes {
		return fmt.Sprintf("%s %s is too long: it has %d bytes and %d slashes; at most %d and %d are allowed.",
			what, quoted(topic), len(counted), strings.Count(counted, "/"), maxTopic, maxSlashes)
	}
	return ""
}

// badProperties holds AWS's limits of a message's properties (device-gateway.md,
// sections 3.4 and 3.6).
func badProperties(p *mqtt.Properties) (mqtt.ReasonCode, string) {
	if n := userBytes(p); n > maxUser {
		return mqtt.QuotaExceeded, fmt.Sprintf("The user properties have %d bytes; at most %d are allowed.", n, maxUser)
	}
	if n := len(p.CorrelationData); n > maxCorrelation {
		return mqtt.QuotaExceeded, fmt.Sprintf("The correlation data has %d bytes; at most %d are allowed.", n, maxCorrelation)
	}
	if n := len(p.ContentType.Or("")); n > maxContentType {
		return mqtt.QuotaExceeded, fmt.Sprintf("The content type has %d bytes; at most %d are allowed.", n, maxContentType)
	}
	return mqtt.TopicNameInvalid, topicTooLong("Response topic", p.ResponseTopic.Or(""))
}

func userBytes(p *mqtt.Properties) (n int) {
	for _, u := range p.User {
		n += len(u.Key) + len(u.Value)
	}
	return n
}

// propertyBytes is about what the properties of a message occupy.
func propertyBytes(p *mqtt.Properties) int {
	return userBytes(p) + 32*len(p.User) + len(p.CorrelationData) + len(p.ContentType.Or("")) + len(p.ResponseTopic.Or(""))
}

func (s *session) mayPublish(p *mqtt.Publish) string {
	resource := policy.TopicARN(s.tenant, p.Topic)
	if why := s.may("iot:Publish", resource); why != "" || !p.Retain {
		return why
	}
	return s.may("iot:RetainPublish", resource)
}

// refusePublish says no to one message. On 3.1.1 nothing but closing the
// connection can say so; on MQTT 5 a QoS 1 message gets its code, and a QoS 0
// message is dropped.
func (s *session) refusePublish(p *mqtt.Publish, code mqtt.ReasonCode, cause, why string) string {
	s.refused("publish", cause, why)
	if s.version == mqtt.V311 {
		s.end(code, why)
		return why
	}
	s.ack(p, code, why)
	return ""
}

// ack answers a QoS 1 PUBLISH.
func (s *session) ack(p *mqtt.Publish, code mqtt.ReasonCode, why string) {
	if p.QoS == 0 {
		return
	}
	a := &mqtt.Puback{PacketID: p.PacketID, Code: code}
	a.Properties.ReasonString = s.reason(why)
	s.sendBy(a, s)
}
