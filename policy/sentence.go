package policy

import (
	"fmt"
	"strings"

	"github.com/slipway-iot/slipway/arn"
)

// Sentence explains the decision to somebody who never read a policy: which
// statement decided, or that none did and which came nearest. It takes the
// action and resource that were asked. It is slow compared with Decide, and is
// meant for the few decisions that somebody reads.
func (d Decision) Sentence(action, resource string) string {
	asked := action + " on " + arn.Clip(resource, 200)
	switch {
	case d.Allowed:
		return fmt.Sprintf("%s allows %s.", d.name(), asked)
	case d.Explicit:
		return fmt.Sprintf("%s denies %s; a Deny wins over every Allow.", d.name(), asked)
	}
	text := "No statement allows " + asked + "."
	if d.bound == nil {
		return text
	}
	return text + " " + d.bound.nearest(action, resource)
}

// name is the statement as messages call it: by place, since few have a Sid.
func (d Decision) name() string {
	return statementName(d.Statement, d.Sid, d.Policy, d.Version)
}

func statementName(index int, sid, policy, version string) string {
	if sid != "" {
		sid = " (" + arn.Clip(sid, 60) + ")"
	}
	if version != "" {
		version = " (version " + version + ")"
	}
	return fmt.Sprintf("Statement[%d]%s of policy %s%s", index, sid, policy, version)
}

// A nearness ranks the reasons for which a statement that names the action does
// not allow it; the lower it is, the likelier it is what the author overlooked.
type nearness int

const (
	failsCondition nearness = iota
	lacksValue
	wrongType
	wrongAccount
	otherCreate
	takesFilters
	wrongCase
	otherNames
	otherTypes
	tooFar
)

// nearest explains why nothing allows the request by the Allow statement that
// comes nearest to it.
func (b *Bound) nearest(action, resource string) string {
	if len(b.set) == 0 {
		return "No policy is in force for this connection: attach one to its certificate."
	}
	best, text := tooFar, ""
	for i := range b.statements {
		s := &b.statements[i]
		if s.deny || !s.names(action) {
			continue
		}
		if n, why := b.miss(s, action, resource); n < best {
			p := b.set[s.policy]
			best, text = n, statementName(int(s.index), s.sid, p.Name, p.Version)+" "+why+"."
		}
	}
	if best == tooFar {
		return fmt.Sprintf("No Allow statement of %s names %s.", b.policyNames(), action)
	}
	return text
}

func (b *Bound) policyNames() string {
	names := make([]string, 0, len(b.set))
	for _, p := range b.set {
		names = append(names, p.Name)
	}
	if len(names) == 1 {
		return "policy " + names[0]
	}
	return "the policies in force (" + list(names) + ")"
}

// miss says how near the statement comes, and what it would say of itself.
func (b *Bound) miss(s *boundStatement, action, resource string) (nearness, string) {
	id := actionID(action)
	if s.covers(b.request(resource)) {
		return failsCondition, b.missedCondition(s, id)
	}
	if s.notResource {
		return otherNames, "allows " + action + " on everything but " + b.listed(s)
	}
	kind := typeOf(resource)
	best, why := otherTypes, ""
	for i := range s.resources {
		n, w := b.missedResource(s, i, action, resource)
		if n < best {
			best, why = n, w
		}
	}
	switch best {
	case otherNames:
		why = "allows " + action + " only on " + b.listed(s)
	case otherTypes:
		why = fmt.Sprintf("names %s, but %s is judged on %s/… and the statement is about %s", action, action, kind, b.listed(s))
	}
	return best, why
}

func (b *Bound) missedCondition(s *boundStatement, id int) string {
	at := s.unmet[moment(id)]
	if at == met {
		return "allows it"
	}
	c := &s.conditions[at]
	text := fmt.Sprintf("would allow it, but its condition %s on %s (%s) is not met", c.clause.operator, c.key.name, quoted(c.clause.values))
	for _, name := range b.missing[id] {
		if name == c.key.name {
			return text + ": " + b.whyMissing(name)
		}
	}
	return text
}

func quoted(values []string) string {
	out := make([]string, 0, len(values))
	for _, v := range values {
		out = append(out, `"`+arn.Clip(v, 60)+`"`)
	}
	if len(out) == 0 {
		return "no value"
	}
	return list(out)
}

// missedResource compares one resource of the statement with the one asked.
func (b *Bound) missedResource(s *boundStatement, i int, action, resource string) (nearness, string) {
	r, t := &s.resources[i], &s.compiledStatement.resources[i]
	seg, ok := splitARN(resource, false)
	if !ok || r.any {
		return otherTypes, ""
	}
	kind := typeOf(resource)
	if r.dead {
		source, _ := splitARN(t.source, true)
		if !strings.HasPrefix(source[arnParts-1], kind+"/") {
			return otherTypes, ""
		}
		name := r.lacks.name
		return lacksValue, fmt.Sprintf("is about %s, but ${%s} has no value: %s", shorten(t.source), name, b.whyMissing(name))
	}
	return b.missedPattern(r, seg[arnParts-1], kind, action)
}

func (b *Bound) missedPattern(r *boundARN, tail, kind, action string) (nearness, string) {
	text := r.tail.text
	itsType, rest, _ := strings.Cut(text, "/")
	shown := b.shownResource(r)
	switch {
	case itsType != kind && newPattern(kind+"/"+rest).match(tail):
		return wrongType, fmt.Sprintf("allows %s on %s, but %s is judged on %s/…", action, shown, action, kind)
	case r.tail.match(tail):
		return wrongAccount, fmt.Sprintf("allows %s on %s, which is another account, region or partition", action, shown)
	case strings.HasPrefix(rest, createTopics) && strings.HasPrefix(tail, kind+"/"+csrTopics):
		return otherCreate, fmt.Sprintf("allows %s on %s, which does not match %s…, where devices send a signing request", action, shown, csrTopics)
	case strings.ContainsAny(text, "+#") && newPattern(asFilter.Replace(text)).match(tail):
		return takesFilters, fmt.Sprintf("allows %s on %s, where + and # are ordinary characters: in a policy the wildcard is *", action, shown)
	case newPattern(fold(text)).match(fold(tail)):
		return wrongCase, fmt.Sprintf("allows %s on %s, which differs in the case of letters", action, shown)
	case newPattern(itsType).match(kind):
		return otherNames, ""
	}
	return otherTypes, ""
}

// asFilter reads a pattern as if + and # meant what they mean in MQTT.
var asFilter = strings.NewReplacer("+", "\xff", "#", "\xff")

// whyMissing says why a name has no value here.
func (b *Bound) whyMissing(name string) string {
	v, known := parseVariable(name)
	switch {
	case !known:
		return "there is no such variable"
	case v.of == nowhere:
		return "it never has a value here"
	case v.of >= thingName && v.of <= thingAttached && !b.hasThing:
		return "the connection has no thing, for its client id is not the name of a thing that the certificate is attached to"
	case v.of == thingType || v.of == thingAttribute:
		return "the thing has no such value, or one that holds any of * $ + ? #"
	case v.of >= certSerial && v.of <= certAltName:
		return "the certificate has no such value, or one that holds any of * $ + ? #"
	case v.of == clientID:
		return "HTTPS has no client id"
	case v.of == directTopic:
		return "a direct message has one, and nothing else"
	}
	return "it has no value for this connection"
}

// listed names the statement's resources, as they are for this connection.
func (b *Bound) listed(s *boundStatement) string {
	names := make([]string, 0, len(s.resources))
	for i := range s.resources {
		if r := &s.resources[i]; r.dead {
			names = append(names, shorten(s.compiledStatement.resources[i].source))
		} else {
			names = append(names, b.shownResource(r))
		}
	}
	return list(names)
}

// shownResource is a bound pattern as its author would have written it, without
// the account if that is the connection's own.
func (b *Bound) shownResource(r *boundARN) string {
	if r.any {
		return "*"
	}
	tail := asWritten.Replace(r.tail.text)
	if r.home {
		return arn.Clip(tail, 120)
	}
	var head strings.Builder
	for i := range r.head {
		head.WriteString(asWritten.Replace(r.head[i].text) + ":")
	}
	return arn.Clip(head.String()+tail, 160)
}

var asWritten = strings.NewReplacer("\xff", "*", "\xfe", "?")

// shorten leaves TYPE/NAME of a resource.
func shorten(source string) string {
	seg, ok := splitARN(source, true)
	if !ok {
		return arn.Clip(source, 120)
	}
	return arn.Clip(seg[arnParts-1], 120)
}

// typeOf gives the resource type that is asked for.
func typeOf(resource string) string {
	kind, _, _ := strings.Cut(shorten(resource), "/")
	return kind
}

// list joins names for a sentence and stops at four.
func list(names []string) string {
	if len(names) > 4 {
		names = append(names[:3:3], fmt.Sprintf("%d more", len(names)-3))
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
