package policy

import (
	"fmt"
	"slices"
	"strings"
)

// resource checks one resource by itself.
func (c *checker) resource(e element, t *arnTemplate) {
	c.typeNeeded(e, t)
	c.filterInTopic(e, t)
	c.variablesIn(e.text, e.where, e.text)
	c.clientIDs(e, t)
	c.subscribeDenied(e, t)
}

// typeNeeded looks for a resource that none of the statement's actions is judged
// on.
func (c *checker) typeNeeded(e element, t *arnTemplate) {
	if t.any || c.s.notAction || c.s.notResource || c.s.known == 0 {
		return
	}
	var needed []string
	for id, a := range knownActions {
		if c.s.known&(1<<id) == 0 {
			continue
		}
		if t.mayBe(a) {
			return
		}
		if a.kind != "*" {
			needed = append(needed, a.kind+"/…")
		}
	}
	if c.nothingFits() {
		return // said once for each action
	}
	slices.Sort(needed)
	c.add(Finding{Severity: Doubtful, Where: e.where, Resource: e.text, Text: fmt.Sprintf(
		"No action of the statement is judged on %s: its actions are judged on %s.", typeName(t), list(slices.Compact(needed)))})
}

// nothingFits says whether no action of the statement has a resource of its
// type.
func (c *checker) nothingFits() bool {
	for id, a := range knownActions {
		if c.s.known&(1<<id) == 0 {
			continue
		}
		if slices.ContainsFunc(c.s.resources, func(t arnTemplate) bool { return t.mayBe(a) }) {
			return false
		}
	}
	return true
}

// filterInTopic finds MQTT wildcards where a topic is meant.
func (c *checker) filterInTopic(e element, t *arnTemplate) {
	tail, ok := strings.CutPrefix(shorten(e.text), "topic/")
	if t.any || !ok || !strings.ContainsAny(withoutVariables(tail), "+#") {
		return
	}
	c.add(Finding{Severity: Broken, Where: e.where, Resource: e.text, Text: fmt.Sprintf(
		"+ and # are ordinary characters in a policy, and no topic contains them: topic/%s matches nothing. Write * (for instance topic/%s).",
		tail, strings.NewReplacer("+", "*", "#", "*").Replace(tail))})
}

// withoutVariables leaves out ${…}, whose attribute names may hold anything.
func withoutVariables(s string) string {
	var b strings.Builder
	for _, p := range lex(s, lexing{variables: true}) {
		b.WriteString(p.text)
	}
	return b.String()
}

// variablesIn checks the variables of a resource or of a condition's value.
func (c *checker) variablesIn(text, where, resource string) {
	add := func(s Severity, format string, args ...any) {
		c.add(Finding{Severity: s, Where: where, Resource: resource, Text: fmt.Sprintf(format, args...)})
	}
	if !c.doc.variables() {
		if strings.Contains(text, "${") {
			add(Doubtful, "In version %s, ${…} is ordinary text. Variables need version %s.", versionWithoutVariables, versionWithVariables)
		}
		return
	}
	for _, p := range lex(text, lexing{variables: true}) {
		if p.variable == nil {
			if strings.Contains(p.text, "${") {
				add(Doubtful, "A ${ is not closed by } and so is ordinary text.")
			}
			continue
		}
		if _, known := parseVariable(p.variable.name); !known {
			add(Broken, "There is no variable ${%s}: it never has a value, and what contains it matches nothing.", p.variable.name)
		} else if p.variable.keyOnly() || p.variable.of == nowhere {
			add(Broken, "${%s} can only be a condition's key: as a variable it has no value, and what contains it matches nothing.", p.variable.name)
		}
	}
}

// clientIDs explains what ${iot:ClientId} does not do.
func (c *checker) clientIDs(e element, t *arnTemplate) {
	if c.s.deny || c.s.notResource || !c.doc.variables() {
		return
	}
	tail := shorten(e.text)
	switch {
	case strings.EqualFold(tail, "client/${iot:ClientId}"):
		c.add(Finding{Severity: Doubtful, Where: e.where, Action: "iot:Connect", Resource: e.text,
			Text: "client/${iot:ClientId} is true of every client id, for the client chooses it: it allows what client/* allows. " + ownName})
	case has(t, clientID) && !strings.HasPrefix(tail, "client/") && c.anyClient():
		text := "${iot:ClientId} is whatever the client calls itself, and this document lets it choose freely: it may take the name of another device."
		if strings.HasPrefix(tail, "topicfilter/") {
			text += " One that calls itself + may subscribe to the topics of all."
		}
		c.add(Finding{Severity: Hint, Where: e.where, Resource: e.text, Text: text + " Restrict iot:Connect."})
	case has(t, thingName) && strings.HasPrefix(tail, "client/") && !c.asksAttached():
		c.add(Finding{Severity: Hint, Where: e.where, Action: "iot:Connect", Resource: e.text,
			Text: "On AWS ${iot:Connection.Thing.ThingName} may also name a thing that the certificate is not attached to. Add the condition \"Bool\": {\"iot:Connection.Thing.IsAttached\": \"true\"}."})
	}
}

const ownName = "Write client/${iot:Connection.Thing.ThingName} with the condition \"Bool\": {\"iot:Connection.Thing.IsAttached\": \"true\"}; for a claim, a prefix such as client/claim-*."

func has(t *arnTemplate, of source) bool {
	return slices.ContainsFunc(t.tail.parts, func(p part) bool { return p.variable != nil && p.variable.of == of })
}

// anyClient says whether some statement lets a client connect under any id.
func (c *checker) anyClient() bool {
	return slices.ContainsFunc(c.compiled.statements, func(s compiledStatement) bool {
		return !s.deny && s.known&(1<<actConnect) != 0 && slices.ContainsFunc(s.resources, func(t arnTemplate) bool {
			return t.any || everything(&t, "client") || strings.EqualFold(shorten(t.source), "client/${iot:ClientId}")
		})
	})
}

func (c *checker) asksAttached() bool {
	return slices.ContainsFunc(c.s.conditions, func(x condition) bool { return x.key.of == thingAttached })
}

// subscribeDenied explains what a Deny of a filter does not do.
func (c *checker) subscribeDenied(e element, t *arnTemplate) {
	tail, ok := strings.CutPrefix(shorten(e.text), "topicfilter/")
	if !c.s.deny || !ok || c.s.known&(1<<actSubscribe) == 0 || c.s.notResource || everything(t, "topicfilter") {
		return
	}
	c.add(Finding{Severity: Hint, Where: e.where, Action: "iot:Subscribe", Resource: e.text, Text: fmt.Sprintf(
		"iot:Subscribe is judged on the text of the filter: who may subscribe to a wider filter still gets these messages. Deny iot:Receive on topic/%s as well.", tail)})
}

// everything says whether the pattern is true of all names of the type.
func everything(t *arnTemplate, kind string) bool {
	if t.any {
		return true
	}
	if t.tail.parts != nil {
		return false
	}
	text := strings.ReplaceAll(t.tail.whole.text, "\xff\xff", "\xff")
	return text == "\xff" || text == kind+"/\xff" || text == kind+"\xff" || text == kind+"\xff/\xff"
}

// permissive finds an Allow of everything, by action. What a condition leaves of
// it cannot be told from here.
func (c *checker) permissive() {
	if c.s.deny || len(c.s.conditions) > 0 {
		return
	}
	for i, e := range c.s.statement.resources {
		t := &c.s.resources[i]
		if c.s.notResource {
			c.add(Finding{Severity: Doubtful, Where: e.where, Resource: e.text,
				Text: "An Allow with NotResource allows everything that is not listed, and what is made tomorrow. List what is allowed."})
			return
		}
		for _, w := range tooWide {
			if c.s.known&(1<<w.action) != 0 && everything(t, knownActions[w.action].kind) {
				c.add(Finding{Severity: Doubtful, Where: e.where, Action: knownActions[w.action].fullName(), Resource: e.text,
					Text: fmt.Sprintf("%s lets %s. %s", shorten(e.text), w.lets, w.instead)})
			}
		}
	}
}

// tooWide says what an Allow on everything means for each action.
var tooWide = []struct {
	action        int
	lets, instead string
}{
	{actConnect, "a device connect under any client id, and so push another device off its connection", ownName},
	{actPublish, "a device publish on every topic, also in the name of others", "Put ${iot:Connection.Thing.ThingName} into the topic."},
	{actReceive, "a device receive every message", "Put ${iot:Connection.Thing.ThingName} into the topic."},
	{actSubscribe, "a device subscribe to every filter, # among them", "Put ${iot:Connection.Thing.ThingName} into the filter."},
}

// signingRequests finds a claim policy that lets the server make keys and
// refuses devices that have made their own: "create/" is no prefix of
// "create-from-csr/" (policies.md, section 6).
func (c *checker) signingRequests() {
	for i := range c.compiled.statements {
		c.at, c.s = i, &c.compiled.statements[i]
		for _, e := range c.s.statement.resources {
			kind, topic, _ := strings.Cut(shorten(e.text), "/")
			if c.s.deny || c.s.notResource || !strings.HasPrefix(topic, createTopics) || c.mentionsCSR(kind) {
				continue
			}
			c.add(Finding{Severity: Doubtful, Where: e.where, Resource: e.text, Text: fmt.Sprintf(
				"%s does not match %s…: a device that sends a signing request (CSR) is refused. Add %s/%s*.", topic, csrTopics, kind, csrTopics)})
		}
	}
	c.at, c.s = -1, nil
}

// mentionsCSR says whether some Allow covers the signing-request topics for the
// action that goes with the resource type.
func (c *checker) mentionsCSR(kind string) bool {
	id := actPublish
	if kind == knownActions[actSubscribe].kind {
		id = actSubscribe
	}
	for i := range c.compiled.statements {
		s := &c.compiled.statements[i]
		if s.deny || s.notResource || s.known&(1<<id) == 0 {
			continue
		}
		for j := range s.resources {
			t := &s.resources[j]
			if t.any || t.tail.parts == nil && t.tail.whole.match(kind+"/"+csrTopics+"json") {
				return true
			}
		}
	}
	return false
}
