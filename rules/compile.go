package rules

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/rules/sql"
)

// A Compiled rule is ready to run.
type Compiled struct {
	Name      string
	Statement *sql.Statement
	Actions   []Action
	OnError   *Action // nil: there is none
}

// An Action is one thing that a rule does. Kind says which fields hold.
type Action struct {
	Kind    string        // lambda, republish, http, or another of AWS's, which cannot be run
	Target  *sql.Template // function ARN, topic, or URL
	QoS     byte          // of republish
	Headers []Header      // of http
	Confirm string        // of http: the URL whose destination must be ENABLED; empty: the target's own
}

// A Header of an HTTP action.
type Header struct {
	Name  string
	Value *sql.Template
}

// The kinds of actions that can be run.
const (
	Lambda    = "lambda"
	Republish = "republish"
	HTTP      = "http"
)

// Compile reads a rule's SQL and the ${…} of its actions.
func Compile(r *Rule) (*Compiled, error) {
	s, err := sql.Parse(r.SQL)
	if err != nil {
		return nil, fault.Wrap(fault.MalformedSQL, err, "sql, %s", err)
	}
	c := &Compiled{Name: r.Name, Statement: s}
	for i, raw := range r.Actions {
		a, err := compileAction(raw, fmt.Sprintf("actions[%d]", i))
		if err != nil {
			return nil, err
		}
		c.Actions = append(c.Actions, *a)
	}
	if len(r.ErrorAction) > 0 {
		if c.OnError, err = compileAction(r.ErrorAction, "errorAction"); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Filter gives the topic filter of the rule's FROM; empty if its SQL cannot be
// read.
func (r *Rule) Filter() string {
	s, err := sql.Parse(r.SQL)
	if err != nil {
		return ""
	}
	return s.Filter
}

// fields are the members that the runnable actions have, of all kinds.
type fields struct {
	FunctionARN     string  `json:"functionArn"`
	Topic           string  `json:"topic"`
	QoS             byte    `json:"qos"`
	URL             string  `json:"url"`
	ConfirmationURL string  `json:"confirmationUrl"`
	Headers         headers `json:"headers"`
}

// headers are those of http, a list; those of republish are an object, and
// belong to the message.
type headers []struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func (h *headers) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		return nil
	}
	type list headers
	return json.Unmarshal(b, (*list)(h))
}

// compileAction reads an action, an object of one member that says its kind.
func compileAction(raw json.RawMessage, where string) (*Action, error) {
	var kinds map[string]json.RawMessage
	if err := json.Unmarshal(raw, &kinds); err != nil || len(kinds) != 1 {
		return nil, fault.Wrap(fault.InvalidRequest, err, "%s: expected exactly one action, such as lambda or republish.", where)
	}
	kind := slices.Collect(maps.Keys(kinds))[0]
	var f fields
	switch kind {
	case Lambda, Republish, HTTP:
		if err := json.Unmarshal(kinds[kind], &f); err != nil {
			return nil, fault.Wrap(fault.InvalidRequest, err, "%s.%s: its members are not of the types that they should be.", where, kind)
		}
	}
	return f.action(kind, where+"."+kind)
}

func (f *fields) action(kind, where string) (*Action, error) {
	a := &Action{Kind: kind, QoS: f.QoS, Confirm: f.ConfirmationURL}
	member, text := "", ""
	switch kind {
	case Lambda:
		member, text = "functionArn", f.FunctionARN
	case Republish:
		member, text = "topic", f.Topic
	case HTTP:
		member, text = "url", f.URL
	}
	var err error
	if a.Target, err = template(text, where+"."+member); err != nil {
		return nil, err
	}
	for i, h := range f.Headers {
		v, err := template(h.Value, fmt.Sprintf("%s.headers[%d].value", where, i))
		if err != nil {
			return nil, err
		}
		a.Headers = append(a.Headers, Header{h.Key, v})
	}
	return a, nil
}

func template(text, where string) (*sql.Template, error) {
	t, err := sql.ParseTemplate(text)
	if err != nil {
		return nil, fault.Wrap(fault.MalformedSQL, err, "%s, %s", where, err)
	}
	return t, nil
}
