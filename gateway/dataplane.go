package gateway

import (
	"context"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/dispatch"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
)

// Publish takes a message from a caller without an MQTT connection: an HTTPS
// request, or the data plane's API. The caller was authenticated, and its right
// to iot:Publish, and to iot:RetainPublish if the message is to be retained,
// was judged; principal names it to topic rules.
//
// Of p, topic, payload, QoS, RETAIN and the properties of a message count. When
// Publish returns nil, the message was retained, heard by the rules and handed
// to those who listen, as it is before a PUBACK.
func (g *Gateway) Publish(ctx context.Context, t arn.Tenant, principal string, p *mqtt.Publish) error {
	if err := g.publishable(p); err != nil {
		return err
	}
	message := dispatch.Message{Tenant: t, Topic: p.Topic, Payload: p.Payload, Principal: principal}
	if strings.HasPrefix(p.Topic, "$") {
		if !ingests(p.Topic) {
			return fault.New(fault.InvalidRequest, "%s Of reserved topics only Basic Ingest, $aws/rules/RULE/TOPIC, takes messages here.", notReserved(p.Topic))
		}
		g.Metrics.Message("in", 1)
		g.hear(message)
		return nil
	}
	if p.Retain {
		if err := g.keep(ctx, t, p); err != nil {
			return err
		}
	}
	g.Metrics.Message("in", 1)
	g.hear(message)
	return g.route(nil, t, p)
}

// publishable holds the rules that the codec and the session hold for a PUBLISH
// (device-gateway.md, sections 3.4 to 3.6).
func (g *Gateway) publishable(p *mqtt.Publish) error {
	if err := mqtt.ValidTopic(p.Topic); err != nil {
		return fault.Wrap(fault.InvalidRequest, err, "Topic %s is not valid. %s", quoted(p.Topic), err.Error())
	}
	if p.QoS > 1 {
		return fault.New(fault.InvalidRequest, "qos is %d; expected 0 or 1.", p.QoS)
	}
	if len(p.Payload) > g.Limits.Payload {
		return fault.New(fault.TooLarge, "The payload has %d bytes; at most %d are allowed.", len(p.Payload), g.Limits.Payload)
	}
	if why := topicTooLong("Topic", p.Topic); why != "" {
		return fault.New(fault.InvalidRequest, "%s", why)
	}
	if response, ok := p.Properties.ResponseTopic.Get(); ok {
		if err := mqtt.ValidTopic(response); err != nil {
			return fault.Wrap(fault.InvalidRequest, err, "Response topic %s is not valid. %s", quoted(response), err.Error())
		}
	}
	if _, why := badProperties(&p.Properties); why != "" {
		return fault.New(fault.InvalidRequest, "%s", why)
	}
	if _, err := mqtt.Append(nil, &mqtt.Publish{Topic: p.Topic, Properties: p.Properties}, mqtt.V5); err != nil { // a text that MQTT cannot carry
		return fault.Wrap(fault.InvalidRequest, err, "The message has a property that MQTT cannot carry. %s", err.Error())
	}
	return nil
}
