package gateway

import "github.com/slipway-iot/slipway/mqtt"

// shortened puts a topic alias in place of the topic of a PUBLISH, if the
// device takes aliases (MQTT 5.0, 3.3.2.3.4). The first topics of a connection
// get one each, as many as the device and AWS allow (device-gateway.md, section
// 3.4). A topic that is named with this packet for the first time is given
// back: it counts once the packet is queued. out.mu is held.
func (s *session) shortened(p mqtt.Packet) (_ mqtt.Packet, named string) {
	m, ok := p.(*mqtt.Publish)
	if !ok || s.aliasMax == 0 {
		return p, ""
	}
	alias, known := s.out.aliases[m.Topic]
	if !known && len(s.out.aliases) >= s.aliasMax {
		return p, ""
	}
	short := *m // the message may have to be sent again, on another connection
	if known {
		short.Topic = ""
	} else {
		alias, named = uint16(len(s.out.aliases)+1), m.Topic
	}
	short.Properties.TopicAlias = mqtt.Some(alias)
	return &short, named
}

// name takes the next alias for a topic; mu is held.
func (o *outbox) name(topic string) {
	if o.aliases == nil {
		o.aliases = map[string]uint16{}
	}
	o.aliases[topic] = uint16(len(o.aliases) + 1)
}
