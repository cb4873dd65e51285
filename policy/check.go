package policy

import (
	"fmt"
	"slices"
	"strings"
)

// A Severity says how bad a finding is.
type Severity string

const (
	// Broken: the statement cannot do what it says.
	Broken Severity = "error"
	// Doubtful: it works, but hardly as its author means it, or it allows too much.
	Doubtful Severity = "warning"
	// Hint: something worth knowing.
	Hint Severity = "hint"
)

// A Finding is one thing that Check has to say about a document.
type Finding struct {
	Severity  Severity `json:"severity"`
	Statement int      `json:"statement"` // -1: the document as a whole
	Sid       string   `json:"sid,omitempty"`
	Where     string   `json:"where,omitempty"` // such as Statement[0].Resource[1] (line 9)
	Action    string   `json:"action,omitempty"`
	Resource  string   `json:"resource,omitempty"`
	Text      string   `json:"text"` // what is the matter, and what to write instead
}

// String is the finding on one line.
func (f Finding) String() string {
	where := f.Where
	if where == "" {
		where = "the document"
	}
	return fmt.Sprintf("%s: %s: %s", f.Severity, where, f.Text)
}

// Check reads a document as a person would who knows the language well, and says
// what cannot work, what allows too much, and what is easily misunderstood. The
// error is Parse's. A document without findings may still be wrong for its
// purpose; ask Decide.
func Check(text string) ([]Finding, error) {
	d, err := Parse(text)
	if err != nil {
		return nil, err
	}
	c := &checker{doc: d, compiled: d.Compile()}
	for i := range d.statements {
		c.statement(i)
	}
	c.whole()
	return c.findings, nil
}

// A checker goes through a document once.
type checker struct {
	doc      *Document
	compiled *Compiled
	findings []Finding

	at int // the statement
	s  *compiledStatement
}

func (c *checker) add(f Finding) {
	f.Statement = c.at
	if c.s != nil {
		f.Sid = c.s.sid
	}
	c.findings = append(c.findings, f)
}

func (c *checker) statement(i int) {
	c.at, c.s = i, &c.compiled.statements[i]
	for _, a := range c.s.statement.actions {
		c.action(a)
	}
	for j := range c.s.resources {
		c.resource(c.s.statement.resources[j], &c.s.resources[j])
	}
	c.permissive()
	for j := range c.s.conditions {
		c.condition(&c.s.conditions[j])
	}
}

// action checks that the action exists and that one of the statement's
// resources is of the type it is judged on.
func (c *checker) action(a element) {
	prefix, name, _ := strings.Cut(a.text, ":")
	if a.text == "*" || !strings.EqualFold(prefix, "iot") && !strings.EqualFold(prefix, "iotjobsdata") {
		if a.text != "*" {
			c.add(Finding{Severity: Hint, Where: a.where, Action: a.text,
				Text: fmt.Sprintf("%s belongs to another service and is never asked for here.", a.text)})
		}
		return
	}
	id := actionID(a.text)
	if id == unknownAction {
		if !strings.ContainsAny(name, "*?") || !anyAction(a.text) {
			c.add(Finding{Severity: Doubtful, Where: a.where, Action: a.text,
				Text: fmt.Sprintf("No device is ever judged on %s. It is kept as written, and does nothing.", a.text)})
		}
		return
	}
	if c.s.notAction {
		return
	}
	c.judgedOn(a, knownActions[id])
	c.overHTTPS(a, knownActions[id])
}

// anyAction says whether a pattern describes an action that devices are judged
// on.
func anyAction(text string) bool {
	p := newTemplate(fold(text), lexing{wild: true}).whole
	return slices.ContainsFunc(knownActions[:], func(k action) bool {
		name, other := k.folded()
		return p.match(name) || other != "" && p.match(other)
	})
}

// judgedOn compares the action's resource type with those that the statement
// names.
func (c *checker) judgedOn(a element, known action) {
	if c.s.notResource {
		return
	}
	var types []string
	for i := range c.s.resources {
		if c.s.resources[i].mayBe(known) {
			return
		}
		types = append(types, typeName(&c.s.resources[i]))
	}
	slices.Sort(types)
	does := "allows"
	if c.s.deny {
		does = "denies"
	}
	on := known.kind + "/…"
	if known.kind == "*" {
		on = `the resource "*"`
	}
	c.add(Finding{Severity: Broken, Where: a.where, Action: a.text, Text: fmt.Sprintf(
		"%s is judged on %s, but the statement is only about %s, so it never %s this.", a.text, on, list(slices.Compact(types)), does)})
}

// mayBe says whether a resource of the action's type can match the pattern.
func (t *arnTemplate) mayBe(known action) bool {
	if t.any || known.kind == "*" {
		return t.any
	}
	return t.mayBegin(known.kind + "/")
}

// mayBegin says whether a text that begins with prefix can match the tail. A
// variable may become anything.
func (t *arnTemplate) mayBegin(prefix string) bool {
	text := t.tail.whole.text
	if t.tail.parts != nil {
		text = t.tail.parts[0].text + "\xff"
	}
	for i := 0; i < len(prefix); i++ {
		switch {
		case i == len(text):
			return false
		case text[i] == anyRun:
			return true
		case text[i] != oneChar && text[i] != prefix[i]:
			return false
		}
	}
	return true
}

func typeName(t *arnTemplate) string {
	kind, _, _ := strings.Cut(shorten(t.source), "/")
	return kind + "/…"
}

// overHTTPS warns of variables that HTTPS does not have in actions that MQTT
// does not ask for (policies.md, sections 1 and 2.1).
func (c *checker) overHTTPS(a element, known action) {
	if c.s.deny || !httpsOnly(known) {
		return
	}
	for i := range c.s.resources {
		for _, p := range c.s.resources[i].tail.parts {
			if v := p.variable; v != nil && (v.of == clientID || v.of >= thingName && v.of <= thingAttached) {
				r := c.s.statement.resources[i]
				c.add(Finding{Severity: Broken, Where: r.where, Action: a.text, Resource: r.text, Text: fmt.Sprintf(
					"%s is asked for over HTTPS alone, where ${%s} has no value, so this resource matches nothing. Over MQTT shadows and jobs need iot:Publish, iot:Subscribe and iot:Receive on their topics.", a.text, v.name)})
			}
		}
	}
}

func httpsOnly(a action) bool {
	return a.kind == "thing" || strings.Contains(a.name, "RetainedMessage")
}

// whole says what shows only in the whole document.
func (c *checker) whole() {
	c.at, c.s = -1, nil
	if c.allows(actSubscribe) && !c.allows(actReceive) {
		c.add(Finding{Severity: Doubtful, Action: "iot:Receive", Text: "iot:Subscribe is allowed and iot:Receive is not: the subscription is granted and no message comes. Allow iot:Receive on topic/… as well. (Replies of fleet provisioning come nevertheless.)"})
	}
	if c.allows(actRetain) && !c.allows(actPublish) {
		c.add(Finding{Severity: Doubtful, Action: "iot:RetainPublish", Text: "iot:RetainPublish is asked for in addition to iot:Publish, which no statement allows."})
	}
	if !c.names(actConnect) {
		c.add(Finding{Severity: Hint, Action: "iot:Connect", Text: "No statement lets a client connect. Alone, this policy is not enough: allow iot:Connect on client/…, here or in another policy of the certificate."})
	}
	c.signingRequests()
}

// names says whether some Allow statement names the action.
func (c *checker) names(id int) bool {
	return slices.ContainsFunc(c.compiled.statements, func(s compiledStatement) bool { return !s.deny && s.known&(1<<id) != 0 })
}

// allows says whether some Allow statement names the action with a resource of
// its type.
func (c *checker) allows(id int) bool {
	for i := range c.compiled.statements {
		s := &c.compiled.statements[i]
		if s.deny || s.known&(1<<id) == 0 {
			continue
		}
		if s.notResource || slices.ContainsFunc(s.resources, func(t arnTemplate) bool { return t.mayBe(knownActions[id]) }) {
			return true
		}
	}
	return false
}
