package gateway

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
)

// A subscription is one filter of one session. It never changes once it
// matches; a new SUBSCRIBE with the same filter replaces it.
type subscription struct {
	s       *session // whose session ends with it; nil: l's
	l       *lasting
	set     *filterSet // that it stands in: one for each session
	filter  string     // as the device wrote it
	match   string     // without the prefix of a shared subscription
	group   string     // of a shared subscription
	shared  *group     // it is a member of; set before it matches
	qos     byte
	noLocal bool
	retain  retainOptions
}

// live gives the connection that listens, nil while there is none.
func (sub *subscription) live() *session {
	if sub.l != nil {
		return sub.l.conn.Load()
	}
	return sub.s
}

// needsQueue says whether the subscription makes its group store messages.
func (sub *subscription) needsQueue() bool { return sub.l != nil && sub.group != "" && sub.qos > 0 }

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
			s.store(added)
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
	if why := s.store(added); why != "" {
		for i := range ack.Codes {
			ack.Codes[i] = mqtt.UnspecifiedError // and SubscribeFailure on 3.1.1
		}
		ack.Properties.ReasonString = s.reason(why)
		added, granted = nil, nil
	}
	s.says(ack)
	for _, a := range added {
		s.retainedFor(a.sub, a.isNew)
		if a.sub.shared == nil {
			continue
		}
		if q := a.sub.shared.stored(); q != nil { // the new member may take what waits
			q.poke()
		}
	}
	s.tellFilters(onSubscribed, "subscribed", granted)
	return ""
}

// An addition is a subscription that a SUBSCRIBE made.
type addition struct {
	sub   *subscription
	old   *subscription // that it took the place of
	isNew bool          // there was none with the filter before
}

// store writes the subscriptions of a session that outlives the connection,
// before SUBACK. If the store fails, they are as they were.
func (s *session) store(added []addition) (why string) {
	if s.lasting == nil || len(added) == 0 {
		return ""
	}
	err := s.lasting.save(nil)
	if err == nil {
		return ""
	}
	s.g.Log.ErrorContext(s.ctx, "subscribe", slog.String("client", s.clientID), slog.Any("err", err))
	for _, a := range slices.Backward(added) {
		s.filters().put(s.g, s.tenant, a.sub, a.old)
	}
	why = "The subscriptions could not be stored with the session. " + sentence(err)
	s.refused("subscribe", "server", why)
	return why
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
	sub := &subscription{s: s, set: s.filters(), filter: f.Filter, match: f.Filter, qos: f.QoS, noLocal: f.NoLocal,
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
	if sub.group != "" {
		s.pace.sharedDrip().join(s.g.seq.Load())
	}
	old, why, err := s.add(sub)
	switch {
	case err != nil:
		s.g.Log.ErrorContext(s.ctx, "subscribe", slog.String("client", s.clientID), slog.Any("err", err))
		return s.badFilter(mqtt.UnspecifiedError, sentence(err), false)
	case why != "":
		return s.badFilter(mqtt.QuotaExceeded, why, false)
	}
	*added = append(*added, addition{sub, old, old == nil})
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

// add makes the subscription match, in place of one with the same filter, which
// it gives. A sentence refuses it.
func (s *session) add(sub *subscription) (old *subscription, why string, err error) {
	if s.lasting != nil {
		sub.s, sub.l = nil, s.lasting
	}
	return s.filters().add(s.g, s.tenant, sub, s.g.Limits.Subscriptions)
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
	for _, f := range p.Filters {
		if s.filters().remove(s.g, s.tenant, f) {
			gone = append(gone, f)
		}
		if s.version == mqtt.V5 { // AWS sends no 0x11
			ack.Codes = append(ack.Codes, mqtt.Success)
		}
	}
	if s.lasting != nil && len(gone) > 0 {
		if err := s.lasting.save(nil); err != nil { // it matches no more; at worst it does again after a crash
			s.g.Log.ErrorContext(s.ctx, "unsubscribe", slog.String("client", s.clientID), slog.Any("err", err))
		}
	}
	s.says(ack)
	s.tellFilters(onUnsubscribed, "unsubscribed", gone)
	return ""
}

// granted is the QoS at which the session listens to a topic, 0 if it does
// not: the QoS of a direct reply (provisioning-mqtt-api.md, section 1).
func (s *session) granted(topic string) (qos byte, listens bool) {
	return s.filters().granted(topic)
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
