package policy

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/arn"
)

// ClaimPolicy is the policy that a claim certificate needs to provision devices
// by a template, or by any if template is "*": policies.md, section 6, with both
// ways of getting a certificate.
func ClaimPolicy(t arn.Tenant, template string) string {
	head := strings.TrimSuffix(t.Resource("", ""), "/")
	return claimDocument(head, []string{"*"}, []string{template})
}

// Topics that a claim needs, without template.
const (
	createTopics = "$aws/certificates/create/"
	csrTopics    = "$aws/certificates/create-from-csr/"
	templates    = "$aws/provisioning-templates/"
)

// written is a document as this package writes it.
type written struct {
	Version   string
	Statement []writtenStatement
}

type writtenStatement struct {
	Effect   string
	Action   any // a string, or a list of them
	Resource any
}

// claimDocument allows Connect on the client resources, and under head the
// topics of the templates.
func claimDocument(head string, clients, names []string) string {
	var client any = clients
	if len(clients) == 1 {
		client = clients[0]
	}
	tails := []string{createTopics + "*", csrTopics + "*"}
	for _, n := range names {
		tails = append(tails, templates+n+"/provision/*")
	}
	under := func(kind string) []string {
		out := make([]string, 0, len(tails))
		for _, t := range tails {
			out = append(out, head+kind+"/"+t)
		}
		return out
	}
	return indented(written{versionWithVariables, []writtenStatement{
		{"Allow", "iot:Connect", client},
		{"Allow", []string{"iot:Publish", "iot:Receive"}, under("topic")},
		{"Allow", "iot:Subscribe", under("topicfilter")},
	}})
}

func indented(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // strings and lists of strings always encode
	return b.String()
}

// SuggestClaim gives a working policy of the same intent for a document that is
// meant for a claim certificate but cannot provision anything. ok is false if
// the document is not meant for one, if it works, or if it denies something or
// has conditions: a suggestion without them would allow what the author did not.
// Templates, the region and the account stay as they are named, wildcards
// included; t takes the place of wildcards when the result is tried out.
func SuggestClaim(text string, t arn.Tenant) (fixed string, ok bool) {
	d, err := Parse(text)
	if err != nil || slices.ContainsFunc(d.statements, restricts) {
		return "", false
	}
	intent, ok := readIntent(d)
	if !ok || intent.works(d, t) {
		return "", false
	}
	fixed = claimDocument(intent.head, intent.clients, intent.templates)
	again, err := Parse(fixed)
	if err != nil || !intent.works(again, t) {
		return "", false
	}
	return fixed, true
}

func restricts(s statement) bool { return s.deny || len(s.conditions) > 0 }

// A claimIntent is what a document for claims was meant to allow.
type claimIntent struct {
	head      string   // arn:aws:iot:REGION:ACCOUNT: as its resources have it
	templates []string // names or patterns, never empty
	clients   []string // resources that iot:Connect is allowed on, if any fits
}

// readIntent looks for the topics of provisioning in any resource, whatever its
// type.
func readIntent(d *Document) (c claimIntent, ok bool) {
	for i := range d.statements {
		s := &d.statements[i]
		for _, r := range s.resources {
			c.clients = append(c.clients, clientResource(d, s, r.text)...)
			seg, isARN := splitARN(r.text, d.variables())
			_, topic, _ := strings.Cut(seg[arnParts-1], "/")
			if !isARN || s.notResource || !forClaims(topic) {
				continue
			}
			if !ok {
				c.head, ok = strings.Join(seg[:arnParts-1], ":")+":", true
			}
			if rest, named := strings.CutPrefix(topic, templates); named {
				name, _, _ := strings.Cut(rest, "/")
				c.templates = append(c.templates, name)
			}
		}
	}
	c.templates, c.clients = distinct(c.templates), distinct(c.clients)
	return c, ok
}

// distinct sorts names. None at all, and one that stands for all, are "*".
func distinct(names []string) []string {
	if len(names) == 0 || slices.Contains(names, "*") || slices.Contains(names, "") {
		return []string{"*"}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func forClaims(topic string) bool {
	return strings.HasPrefix(topic, "$aws/certificates") || strings.HasPrefix(topic, "$aws/provisioning-templates")
}

// clientResource gives the resource back if it is one that iot:Connect can be
// allowed on. A claim has no thing that could be named in it.
func clientResource(d *Document, s *statement, text string) []string {
	compiled := compileStatement(s, d.variables())
	seg, _ := splitARN(text, d.variables())
	fits := text == "*" || strings.HasPrefix(seg[arnParts-1], "client/")
	if !fits || s.notResource || !compiled.names("iot:Connect") || strings.Contains(fold(text), "${iot:connection.thing.") {
		return nil
	}
	return []string{text}
}

// works tries the document out: some client can connect, get a certificate in
// one of the two ways and formats, and register by every template that is named.
// Replies arrive without iot:Receive (provisioning-mqtt-api.md, section 1.1).
func (c *claimIntent) works(d *Document, t arn.Tenant) bool {
	compiled := d.Compile()
	t = c.tenant(t)
	for _, client := range c.sampleClients() {
		b := Bind([]Named{{Compiled: compiled}}, Context{Tenant: t, ClientID: client, HasClientID: true})
		if b.Decide("iot:Connect", ClientARN(t, client)).Allowed && c.provisions(b, t) {
			return true
		}
	}
	return false
}

func (c *claimIntent) provisions(b *Bound, t arn.Tenant) bool {
	for _, format := range []string{"json", "cbor"} {
		if !requests(b, t, createTopics+format) && !requests(b, t, csrTopics+format) {
			continue
		}
		all := true
		for _, name := range c.templates {
			all = all && requests(b, t, templates+sample.Replace(name)+"/provision/"+format)
		}
		if all {
			return true
		}
	}
	return false
}

// requests says whether a device can publish on the topic and hear both answers.
func requests(b *Bound, t arn.Tenant, topic string) bool {
	return b.Decide("iot:Publish", TopicARN(t, topic)).Allowed &&
		b.Decide("iot:Subscribe", TopicFilterARN(t, topic+"/accepted")).Allowed &&
		b.Decide("iot:Subscribe", TopicFilterARN(t, topic+"/rejected")).Allowed
}

// sample turns a pattern into a text that it describes.
var sample = strings.NewReplacer("*", "x", "?", "x", "${iot:ClientId}", "x")

func (c *claimIntent) sampleClients() []string {
	ids := []string{"x"}
	for _, r := range c.clients {
		if seg, ok := splitARN(r, true); ok {
			ids = append(ids, sample.Replace(strings.TrimPrefix(seg[arnParts-1], "client/")))
		}
	}
	return ids
}

// tenant is the one that the document is written for; t fills its wildcards.
func (c *claimIntent) tenant(t arn.Tenant) arn.Tenant {
	seg, _ := splitARN(c.head, true)
	if region := seg[3]; region != "" && !strings.ContainsAny(region, "*?$") {
		t.Region = region
	}
	if account := seg[4]; account != "" && !strings.ContainsAny(account, "*?$") {
		t.Account = account
	}
	return t
}
