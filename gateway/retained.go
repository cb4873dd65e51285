package gateway

import "github.com/slipway-iot/slipway/mqtt"

// retainOptions are what a subscription says of retained messages (MQTT 5.0,
// 3.8.3.1); on 3.1.1 they are zero.
type retainOptions struct {
	asPublished bool // forwarded messages keep their RETAIN flag
	handling    byte // 0 always send retained messages, 1 to a new subscription, 2 never
}

// retainedFor runs once SUBACK was queued, for each subscription that it
// granted; isNew says that the session had none with this filter.
func (s *session) retainedFor(sub *subscription, isNew bool) {}

// retain runs before a PUBLISH with RETAIN is routed and acknowledged. A
// sentence refuses it.
func (s *session) retain(p *mqtt.Publish) (code mqtt.ReasonCode, why string) { return 0, "" }
