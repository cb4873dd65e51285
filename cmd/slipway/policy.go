package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/policy"
)

// policyCmd are the verbs about policies.
type policyCmd struct {
	Check   policyCheck   `cmd:"" help:"Read a policy document as one who knows the language: what cannot work, and why. Needs no server."`
	Explain policyExplain `cmd:"" help:"Which statement decides whether a device may do something."`
}

// policyCheck judges a document.
type policyCheck struct {
	File string `arg:"" help:"Policy document; - reads standard input."`
	Fix  bool   `help:"Print a document that works, and nothing else, on standard output; the findings go to standard error." aliases:"fixed-only" xor:"form"`
	JSON bool   `name:"json" help:"Print a JSON object." xor:"form"`
}

// Run judges it.
func (c *policyCheck) Run(_ context.Context, s streams) error {
	text, err := readInput(s, "<file>", c.File)
	if err != nil {
		return err
	}
	findings, err := policy.Check(string(text))
	if err != nil {
		return inFile(c.File, err)
	}
	fixed, fixable := policy.SuggestClaim(string(text), arn.Default)
	verdict := judge(c.File, findings)
	switch {
	case c.JSON:
		err = writeJSON(s.out, struct {
			Findings  []policy.Finding `json:"findings"`
			Suggested string           `json:"suggestedPolicy,omitempty"`
		}{append([]policy.Finding{}, findings...), fixed})
	case c.Fix:
		return c.fix(s, string(text), findings, fixed, fixable)
	default:
		printFindings(s.out, findings)
		printSuggestion(s.out, c.File, fixed, fixable)
	}
	return errors.Join(err, verdict)
}

// fix prints the document that works: the suggestion, or what is there if
// nothing in it is broken.
func (c *policyCheck) fix(s streams, text string, findings []policy.Finding, fixed string, fixable bool) error {
	printFindings(s.err, findings)
	verdict := judge(c.File, findings)
	switch {
	case fixable:
		_, err := io.WriteString(s.out, fixed)
		return err
	case verdict != nil:
		return fmt.Errorf("%w; --fix mends the policies of claims alone, and this is none, or not only one: mend it by hand, as said above", verdict)
	}
	_, err := io.WriteString(s.out, text)
	return err
}

// judge is the error of a document in which something cannot work.
func judge(name string, findings []policy.Finding) error {
	broken := 0
	for _, f := range findings {
		if f.Severity == policy.Broken {
			broken++
		}
	}
	if broken == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s", name, plural(broken, "error"))
}

func printFindings(w io.Writer, findings []policy.Finding) {
	if len(findings) == 0 {
		fmt.Fprintln(w, "Nothing is the matter with it.")
	}
	for _, f := range findings {
		where := f.Where
		if where == "" {
			where = "the whole document"
		}
		if f.Sid != "" {
			where += ", Sid " + f.Sid
		}
		fmt.Fprintf(w, "%-8s %s\n         %s\n", f.Severity, where, f.Text)
	}
}

func printSuggestion(w io.Writer, name, fixed string, fixable bool) {
	if !fixable {
		return
	}
	fmt.Fprintf(w, "\nThis document is meant for claim certificates and cannot provision a device. One of the same intent that can\n(`slipway policy check --fix %s` prints it alone):\n\n%s", name, fixed)
}

// policyExplain asks the engine that enforces.
type policyExplain struct {
	target
	Certificate string `required:"" help:"Certificate id, or its ARN." placeholder:"ID"`
	ClientID    string `name:"client-id" help:"MQTT client id that the device connects with." placeholder:"ID"`
	Action      string `required:"" help:"Such as iot:Publish." placeholder:"ACTION"`
	Resource    string `help:"A topic, topic filter or client id, as the action has it, or an ARN; for iot:Connect the client id if not given." placeholder:"TOPIC|ARN"`
	SourceIP    string `name:"source-ip" help:"Address that the device connects from." placeholder:"IP"`
	Topic       string `help:"For iot:SendDirectMessage, whose resource is a client id: the topic." placeholder:"TOPIC"`
	JSON        bool   `name:"json" help:"Print a JSON object."`
}

// complete says what is missing for the question to have an answer.
func (c *policyExplain) complete() error {
	if c.Resource != "" {
		return nil
	}
	switch strings.ToLower(c.Action) {
	case "iot:connect":
		if c.ClientID == "" {
			return usageError{errors.New("--client-id is missing: for iot:Connect give the client id that the device connects with")}
		}
		return nil
	case "iot:senddirectmessage":
		return usageError{fmt.Errorf("--resource is missing: for %s give the client id that gets the message", c.Action)}
	case "iot:publish", "iot:receive", "iot:retainpublish":
		return usageError{fmt.Errorf("--resource is missing: for %s give the topic, such as --resource dt/lamp/state", c.Action)}
	case "iot:subscribe":
		return usageError{fmt.Errorf("--resource is missing: for %s give the topic filter, such as --resource 'dt/lamp/#'", c.Action)}
	}
	return usageError{fmt.Errorf("--resource is missing: for %s give the ARN of what it is about", c.Action)}
}

// An explanation is the server's answer.
type explanation struct {
	Allowed   bool     `json:"allowed"`
	Explicit  bool     `json:"explicit"`
	Policy    string   `json:"policyName,omitempty"`
	Version   string   `json:"policyVersionId,omitempty"`
	Sid       string   `json:"sid,omitempty"`
	Statement int      `json:"statement"`
	Missing   []string `json:"missingContextValues,omitempty"`
	Thing     string   `json:"thingName,omitempty"`
	Policies  []string `json:"policies"`
	Resource  string   `json:"resource"`
	Sentence  string   `json:"sentence"`
	JudgedBy  string   `json:"judgedBy"`
	Outside   string   `json:"cannotConnect,omitempty"`
}

// Run asks.
func (c *policyExplain) Run(ctx context.Context, s streams) error {
	if !strings.Contains(c.Action, ":") {
		c.Action = "iot:" + c.Action
	}
	if err := c.complete(); err != nil {
		return err
	}
	p, err := c.connect()
	if err != nil {
		return err
	}
	e := &explanation{JudgedBy: "the server, by the engine that enforces"}
	question := map[string]string{
		"action": c.Action, "resource": c.Resource, "certificateId": c.Certificate,
		"clientId": c.ClientID, "sourceIp": c.SourceIP,
	}
	if c.Topic != "" { // an older server does not know it
		question["topic"] = c.Topic
	}
	err = p.call(ctx, http.MethodPost, "/slipway/policy/explain", nil, question, e)
	if foreign(err) {
		e, err = c.elsewhere(ctx, p)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.out, e)
	}
	e.print(s, c.Action)
	if c.ClientID == "" && len(e.Missing) > 0 {
		fmt.Fprintln(s.out, "Without --client-id the connection has no thing: give the client id that the device connects with.")
	}
	return nil
}

func (e *explanation) print(s streams, action string) {
	verdict := "DENIED"
	if e.Allowed {
		verdict = "ALLOWED"
	}
	fmt.Fprintf(s.out, "%s: %s on %s\n%s\n\n", verdict, action, e.Resource, e.Sentence)
	if e.Outside != "" {
		fmt.Fprintf(s.out, "It cannot connect, whatever its policies allow: %s\n\n", e.Outside)
	}
	out := sheet{s.out, 12}
	decided := "no statement, so it is denied"
	if e.Policy != "" {
		decided = fmt.Sprintf("statement %d%s of policy %s, version %s", e.Statement, either(e.Sid != "", " ("+e.Sid+")"), e.Policy, e.Version)
	}
	out.line("decided by", decided)
	out.line("no value", e.Missing...)
	out.line("thing", e.Thing+either(e.Thing == "", "none: thing variables have no value"))
	out.line("judged by", e.JudgedBy)
	out.line("looked at", strings.Join(e.Policies, ", ")+either(len(e.Policies) == 0, "no policy: none is attached"))
}
