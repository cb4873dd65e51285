package gateway

import (
	"fmt"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
)

// A subscription is one filter of one session. It never changes once it
// matches; a new SUBSCRIBE with the same filter replaces it.
type subscription struct {
	s       *session
	filter  string // as the device wrote it
	match   string // without the prefix of a shared subscription
	group   string // of a shared subscription
	qos     byte
	noLocal bool
	retain  retainOptions
}

// subscribe judges each filter of a SUBSCRIBE (device-gateway.md, section
// 3.3). It gives a sentence when the connection is over.
func (s *session) subscribe(p *mqtt.Subscribe) string {
	if len(p.Properties.SubscriptionIDs) > 0 {
		return s.violation(mqtt.SubscriptionIDsNotSupported, "SUBSCRIBE carries a subscription identifier, which is not supported (Subscription Identifiers Available is 0 in CONNACK); leave it out.")
	}
	if len(p.Filters) > maxFilters {
		return s.violation(mqtt.QuotaExceeded, fmt.Sprintf("SUBSCRIBE has %d filters; at most %d are allowed in one packet. Send the others in a packet of their own.", len(p.Filters), maxFilters))
	}
	if n := userBytes(&p.Properties); n > maxUser {
		return s.violation(mqtt.QuotaExceeded, fmt.Sprintf("SUBSCRIBE has user properties of %d bytes; at most %d are allowed.", n, maxUser))
	}
	ack := &mqtt.Suback{PacketID: p.PacketID}
	var granted []string
	var added []addition
	for i := range p.Filters {
		code, why, fatal := s.subscribeOne(&p.Filters[i], &added)
		if fatal {
			return why
		}
		if !ack.Properties.ReasonString.IsSet() {
			ack.Properties.ReasonString = s.reason(why)
		}
		ack.Codes = append(ack.Codes, code)
		if code <= mqtt.GrantedQoS1 {
			granted = append(granted, p.Filters[i].Filter)
		}
	}
	s.send(ack)
	for _, a := range added {
		s.retainedFor(a.sub, a.isNew)
	}
	s.tellFilters(onSubscribed, "subscribed", granted)
	return ""
}

// An addition is a subscription that a SUBSCRIBE made.
type addition struct {
	sub   *subscription
	isNew bool // there was none with the filter before
}

// subscribeOne gives the code for one filter. On 3.1.1 a refusal by policy, or
// a filter that is none, closes the connection.
func (s *session) subscribeOne(f *mqtt.Subscription, added *[]addition) (code mqtt.ReasonCode, why string, fatal bool) {
	if f.QoS > 1 {
		return 0, s.violation(mqtt.QoSNotSupported, "SUBSCRIBE asks for "+quoted(f.Filter)+" at QoS 2, which is not supported; ask for QoS 0 or 1."), true
	}
	if err := mqtt.ValidFilter(f.Filter); err != nil {
		return s.badFilter(mqtt.TopicFilterInvalid, "Filter "+quoted(f.Filter)+" is not valid. "+err.Error(), true)
	}
	sub := &subscription{s: s, filter: f.Filter, match: f.Filter, qos: f.QoS, noLocal: f.NoLocal,
		retain: retainOptions{asPublished: f.RetainAsPublished, handling: f.RetainHandling}}
	if group, rest, ok := mqtt.ParseShare(f.Filter); ok {
		sub.group, sub.match = group, rest
		if len(group) > maxGroup {
			return s.badFilter(mqtt.TopicFilterInvalid, fmt.Sprintf("The group name in filter %s has %d bytes; at most %d are allowed.", quoted(f.Filter), len(group), maxGroup), false)
		}
	}
	if why := topicTooLong("Filter", sub.match); why != "" {
		return s.badFilter(mqtt.TopicFilterInvalid, why, false)
	}
	resource := policy.TopicFilterARN(s.tenant, f.Filter)
	if why := s.may("iot:Subscribe", resource); why != "" {
		return s.deniedFilter(why)
	}
	if s.pace != nil {
		if why := s.pace.account.subscribe(s.g.Now()); why != "" {
			return s.badFilter(mqtt.QuotaExceeded, why, false)
		}
	}
	isNew, ok := s.add(sub)
	if !ok {
		return s.badFilter(mqtt.QuotaExceeded, fmt.Sprintf("Filter %s is one too many: the connection has %d subscriptions, which is the limit. Unsubscribe from some first.", quoted(f.Filter), maxSubscriptions), false)
	}
	*added = append(*added, addition{sub, isNew})
	s.rec.Step("subscribe", f.Filter)
	if t, ok := templateOf(f.Filter); ok {
		s.template = t
	}
	return mqtt.ReasonCode(f.QoS), "", false
}

func (s *session) deniedFilter(why string) (mqtt.ReasonCode, string, bool) {
	s.refused("subscribe", "policy", why)
	if s.version == mqtt.V311 {
		s.end(mqtt.NotAuthorized, why)
		return 0, why, true
	}
	return mqtt.NotAuthorized, why, false
}

// badFilter refuses a filter that breaks a rule; closes says whether a 3.1.1
// connection ends, since there SUBACK has no code for it.
func (s *session) badFilter(code mqtt.ReasonCode, why string, closes bool) (mqtt.ReasonCode, string, bool) {
	s.refused("subscribe", "filter", why)
	if s.version == mqtt.V5 {
		return code, why, false
	}
	if closes {
		s.end(code, why)
	}
	return mqtt.SubscribeFailure, why, closes
}

// add makes the subscription match, in place of one with the same filter, and
// says whether there was none.
func (s *session) add(sub *subscription) (isNew, ok bool) {
	s.subsMu.Lock()
	defer s.subsMu.Unlock()
	old := s.subs[sub.filter]
	if s.detached || old == nil && len(s.subs) >= maxSubscriptions {
		return false, false
	}
	if err := s.g.topics.add(s.tenant, sub); err != nil {
		return false, false
	}
	if old != nil {
		s.g.topics.remove(s.tenant, old)
	}
	s.subs[sub.filter] = sub
	return old == nil, true
}

func (s *session) unsubscribe(p *mqtt.Unsubscribe) string {
	if len(p.Filters) > maxFilters {
		return s.violation(mqtt.QuotaExceeded, fmt.Sprintf("UNSUBSCRIBE has %d filters; at most %d are allowed in one packet. Send the others in a packet of their own.", len(p.Filters), maxFilters))
	}
	if n := userBytes(&p.Properties); n > maxUser {
		return s.violation(mqtt.QuotaExceeded, fmt.Sprintf("UNSUBSCRIBE has user properties of %d bytes; at most %d are allowed.", n, maxUser))
	}
	ack := &mqtt.Unsuback{PacketID: p.PacketID}
	var gone []string
	s.subsMu.Lock()
	for _, f := range p.Filters {
		if sub := s.subs[f]; sub != nil {
			s.g.topics.remove(s.tenant, sub)
			delete(s.subs, f)
			gone = append(gone, f)
		}
		if s.version == mqtt.V5 { // AWS sends no 0x11
			ack.Codes = append(ack.Codes, mqtt.Success)
		}
	}
	s.subsMu.Unlock()
	s.send(ack)
	s.tellFilters(onUnsubscribed, "unsubscribed", gone)
	return ""
}

// granted is the QoS at which the session listens to a topic, 0 if it does
// not: the QoS of a direct reply (provisioning-mqtt-api.md, section 1).
func (s *session) granted(topic string) (qos byte, listens bool) {
	s.subsMu.Lock()
	defer s.subsMu.Unlock()
	for _, sub := range s.subs {
		if sub.group == "" && mqtt.Matches(sub.match, topic) {
			qos, listens = max(qos, sub.qos), true
		}
	}
	return qos, listens
}

// templateOf finds the template in a filter on its answers.
func templateOf(filter string) (string, bool) {
	rest, ok := strings.CutPrefix(filter, "$aws/provisioning-templates/")
	if !ok {
		return "", false
	}
	name, _, ok := strings.Cut(rest, "/")
	return name, ok && !strings.ContainsAny(name, "+#")
}

func quoted(s string) string { return fmt.Sprintf("%q", arn.Clip(s, 120)) }
