package policy

import "strings"

// Compiled is a document made ready for binding. It is immutable, so that one
// copy serves all connections that a policy version applies to.
type Compiled struct {
	statements []compiledStatement
}

type compiledStatement struct {
	*statement
	known      uint32 // bit i: the statement names knownActions[i]
	actions    []pattern
	resources  []arnTemplate
	conditions []condition
}

// Compile makes the document ready for binding.
func (d *Document) Compile() *Compiled {
	c := &Compiled{statements: make([]compiledStatement, len(d.statements))}
	for i := range d.statements {
		c.statements[i] = compileStatement(&d.statements[i], d.variables())
	}
	return c
}

func compileStatement(s *statement, variables bool) compiledStatement {
	c := compiledStatement{statement: s}
	for _, a := range s.actions {
		c.actions = append(c.actions, newTemplate(fold(a.text), lexing{wild: true}).whole)
	}
	for id, a := range knownActions {
		if c.namesAny(a.folded()) {
			c.known |= 1 << id
		}
	}
	for _, r := range s.resources {
		c.resources = append(c.resources, compileARN(r.text, lexing{wild: true, variables: variables}))
	}
	for i := range s.conditions {
		c.conditions = append(c.conditions, compileCondition(&s.conditions[i], variables))
	}
	return c
}

// names says whether the statement is about the action. Case does not count
// (policies.md, section 1).
func (c *compiledStatement) names(name string) bool {
	if id := actionID(name); id != unknownAction {
		return c.known&(1<<id) != 0
	}
	return c.namesAny(fold(name), "")
}

// namesAny takes an action's two names in lower case; the second may be empty.
func (c *compiledStatement) namesAny(name, other string) bool {
	for _, p := range c.actions {
		if p.match(name) || other != "" && p.match(other) {
			return !c.notAction
		}
	}
	return c.notAction
}

// An action is one that devices are judged on, with the type of resource it is
// judged on (policies.md, section 1). Jobs actions go by two prefixes.
type action struct {
	name string
	kind string // of its resource; "*" if it has none
	job  bool
}

var knownActions = [...]action{
	actConnect:   {"Connect", "client", false},
	actPublish:   {"Publish", "topic", false},
	actReceive:   {"Receive", "topic", false},
	actSubscribe: {"Subscribe", "topicfilter", false},
	actRetain:    {"RetainPublish", "topic", false},
	5:            {"GetRetainedMessage", "topic", false},
	6:            {"ListRetainedMessages", "*", false},
	7:            {"DeleteConnection", "client", false},
	8:            {"GetConnection", "client", false},
	9:            {"ListSubscriptions", "client", false},
	10:           {"GetThingShadow", "thing", false},
	11:           {"UpdateThingShadow", "thing", false},
	12:           {"DeleteThingShadow", "thing", false},
	13:           {"ListNamedShadowsForThing", "thing", false},
	14:           {"AssumeRoleWithCertificate", "rolealias", false},
	15:           {"DescribeJobExecution", "thing", true},
	16:           {"GetPendingJobExecutions", "thing", true},
	17:           {"UpdateJobExecution", "thing", true},
	18:           {"StartNextPendingJobExecution", "thing", true},
	actDirect:    {"SendDirectMessage", "client", false},
}

// Indexes of the actions that every message asks for, and of those that have
// condition keys of their own.
const (
	actConnect = iota
	actPublish
	actReceive
	actSubscribe
	actRetain
	actDirect     = 19
	unknownAction = -1
)

func (a action) fullName() string { return "iot:" + a.name }

// folded gives the action's name in lower case, and the second name of a jobs
// action: the vendor's pages use both prefixes.
func (a action) folded() (name, other string) {
	low := strings.ToLower(a.name)
	if a.job {
		other = "iotjobsdata:" + low
	}
	return "iot:" + low, other
}

// actionID gives the index of an action in knownActions, or unknownAction. The
// four spellings that the gateway uses all day come first.
func actionID(name string) int {
	switch name {
	case "iot:Publish":
		return actPublish
	case "iot:Receive":
		return actReceive
	case "iot:Subscribe":
		return actSubscribe
	case "iot:Connect":
		return actConnect
	}
	prefix, rest, _ := strings.Cut(name, ":")
	jobs := strings.EqualFold(prefix, "iotjobsdata")
	if !jobs && !strings.EqualFold(prefix, "iot") {
		return unknownAction
	}
	for id, a := range knownActions {
		if strings.EqualFold(a.name, rest) && (a.job || !jobs) {
			return id
		}
	}
	return unknownAction
}

// An arnTemplate is an ARN pattern before it is bound.
type arnTemplate struct {
	source string // as written, for messages
	any    bool   // "*"
	broken bool   // not an ARN: it matches nothing
	head   [arnParts - 1]template
	fixed  *[arnParts - 1]pattern // the head, if it has no variables
	tail   template
}

func compileARN(text string, l lexing) arnTemplate {
	t := arnTemplate{source: text, any: text == "*"}
	seg, ok := splitARN(text, l.variables)
	if t.any || !ok {
		t.broken = !t.any
		return t
	}
	for i := range t.head {
		t.head[i] = newTemplate(seg[i], l)
	}
	t.fixed, _ = t.bindHead(nil)
	t.tail = newTemplate(seg[arnParts-1], l)
	return t
}

// bindHead makes the head's patterns, or gives the variable that has no value.
// Without values (v is nil) no variable has one.
func (t *arnTemplate) bindHead(v *values) (h *[arnParts - 1]pattern, lacks *variable) {
	if t.fixed != nil {
		return t.fixed, nil
	}
	h = new([arnParts - 1]pattern)
	for i := range t.head {
		if h[i], lacks = t.head[i].bind(v); lacks != nil {
			return nil, lacks
		}
	}
	return h, nil
}

// unresolved adds the template's variables without value.
func (t *arnTemplate) unresolved(v *values, names []string) []string {
	for i := range t.head {
		names = t.head[i].unresolved(v, names)
	}
	return t.tail.unresolved(v, names)
}

// bind makes the pattern of one connection, whose tenant's ARNs begin with the
// five parts in home.
func (t *arnTemplate) bind(v *values, home *[arnParts - 1]string) boundARN {
	if t.any || t.broken {
		return boundARN{any: t.any, dead: t.broken}
	}
	head, lacks := t.bindHead(v)
	if lacks != nil {
		return boundARN{dead: true, lacks: lacks}
	}
	tail, lacks := t.tail.bind(v)
	if lacks != nil {
		return boundARN{dead: true, lacks: lacks}
	}
	b := boundARN{tail: tail, head: head, home: true}
	for i := range head {
		b.home = b.home && head[i].match(home[i])
	}
	return b
}
