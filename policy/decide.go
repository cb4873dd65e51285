package policy

import (
	"strings"

	"github.com/slipway-iot/slipway/arn"
)

// A Decision is what the policies say of one action on one resource.
type Decision struct {
	Allowed  bool
	Explicit bool // a Deny statement decided; without Allowed and Explicit no statement allows

	// The statement that decided. Without one, Statement is -1 and the texts are
	// empty.
	Policy, Version, Sid string
	Statement            int

	// Missing names the variables and condition keys without value in the
	// statements for the action.
	Missing []string

	bound *Bound
}

// Decide says whether the connection may do the action (iot:Publish, in any
// case) on the resource, a full ARN, or "*" for an action that has none. An
// explicit Deny wins over every Allow; what no statement allows is denied
// (policies.md, section 4).
func (b *Bound) Decide(action, resource string) Decision {
	r := b.request(resource)
	id := actionID(action)
	if id == unknownAction {
		return b.decideOther(action, r)
	}
	for _, i := range b.order[b.first[id]:b.first[id+1]] {
		if s := &b.statements[i]; s.covers(r) {
			return b.decided(s, b.missing[id])
		}
	}
	return Decision{Statement: -1, Missing: b.missing[id], bound: b}
}

func (b *Bound) request(resource string) request {
	if strings.HasPrefix(resource, b.home) {
		return request{whole: resource, home: true, tail: resource[len(b.home):]}
	}
	return request{whole: resource}
}

// decideOther judges an action that no index was made for.
func (b *Bound) decideOther(action string, r request) Decision {
	for _, deny := range []bool{true, false} {
		for i := range b.statements {
			s := &b.statements[i]
			if s.deny == deny && s.unmet[otherwise] == met && s.names(action) && s.covers(r) {
				return b.decided(s, nil)
			}
		}
	}
	return Decision{Statement: -1, bound: b}
}

// covers says whether the statement is about the resource.
func (s *boundStatement) covers(r request) bool {
	for i := range s.resources {
		if s.resources[i].match(r) {
			return !s.notResource
		}
	}
	return s.notResource
}

func (b *Bound) decided(s *boundStatement, missing []string) Decision {
	p := &b.set[s.policy]
	return Decision{
		Allowed: !s.deny, Explicit: s.deny,
		Policy: p.Name, Version: p.Version, Sid: s.sid, Statement: int(s.index),
		Missing: missing, bound: b,
	}
}

// ClientARN is the resource that iot:Connect and iot:SendDirectMessage are
// judged on.
func ClientARN(t arn.Tenant, clientID string) string { return t.Resource("client", clientID) }

// TopicARN is the resource that iot:Publish, iot:RetainPublish and iot:Receive
// are judged on.
func TopicARN(t arn.Tenant, topic string) string { return t.Resource("topic", topic) }

// TopicFilterARN is the resource that iot:Subscribe is judged on.
func TopicFilterARN(t arn.Tenant, filter string) string { return t.Resource("topicfilter", filter) }
