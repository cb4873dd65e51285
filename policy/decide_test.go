package policy

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/arn"
)

const home = "arn:aws:iot:us-east-1:111122223333:"

// one makes a document of statements.
func one(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// statementOf makes a statement of an effect, an action and a resource's tail.
func statementOf(effect, action, tail string) string {
	return fmt.Sprintf(`{"Effect":%q,"Action":%q,"Resource":%q}`, effect, action, home+tail)
}

func bindAll(t testing.TB, c Context, docs ...string) *Bound {
	t.Helper()
	set := make([]Named, len(docs))
	for i, text := range docs {
		d, err := Parse(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		set[i] = Named{fmt.Sprintf("P%d", i+1), "1", d.Compile()}
	}
	c.Tenant = testTenant
	return Bind(set, c)
}

// mqtt is a connection with a client id and nothing else.
func mqtt(clientID string) Context { return Context{ClientID: clientID, HasClientID: true} }

// TestWildcards is the tables of policies.md, section 1.1.
func TestWildcards(t *testing.T) {
	for _, c := range []struct {
		pattern, asked string
		want           bool
	}{
		{"topicfilter/site/+/temp", "topicfilter/site/+/temp", true},
		{"topicfilter/site/+/temp", "topicfilter/site/7/temp", false},
		{"topicfilter/site/*/temp", "topicfilter/site/+/temp", true},
		{"topicfilter/site/*/temp", "topicfilter/site/7/temp", true},
		{"topicfilter/site/*/temp", "topicfilter/site/7/x/temp", true},
		{"topicfilter/site/#", "topicfilter/site/#", true},
		{"topicfilter/site/*", "topicfilter/site/#", true},
		{"topic/site/#", "topic/site/1", false},
		{"topic/a?c", "topic/abc", true},
		{"topic/a?c", "topic/a/c", true},
		{"topic/a?c", "topic/aéc", true},
		{"topic/a?c", "topic/ac", false},
		{"topic/a?c", "topic/abbc", false},
		{"topic/a*b?d*e", "topic/a--bcde-bxd--e", true},
		{"topic/${*}", "topic/*", true},
		{"topic/${*}", "topic/x", false},
		{"topic/$(?)", "topic/?", true},
		{"topic/$(?)", "topic/x", false},
		{"topic/${$}{iot:ClientId}", "topic/${iot:ClientId}", true},
		{"topic/$aws/x", "topic/$aws/x", true},
		{"topic/a", "topic/A", false},
		{"topic/*a", "topic/a", true},
		{"topic/a*a", "topic/a", false},
		{"*", "topicfilter/x", true},
		{"topic*", "topicfilter/x", true},
	} {
		b := bindAll(t, mqtt("c"), one(statementOf("Allow", "*", c.pattern)))
		if got := b.Decide("iot:Publish", home+c.asked).Allowed; got != c.want {
			t.Errorf("%s against %s: got %v", c.pattern, c.asked, got)
		}
	}
}

func TestARNsAreComparedPartByPart(t *testing.T) {
	for _, c := range []struct {
		pattern, asked string
		want           bool
	}{
		{"arn:aws:iot:*:*:topic/a", home + "topic/a", true},
		{"arn:*:iot:us-*:1111????3333:topic/a", home + "topic/a", true},
		{"arn:aws-cn:iot:us-east-1:111122223333:topic/a", home + "topic/a", false},
		{"arn:aws:iot:eu-west-1:111122223333:topic/a", home + "topic/a", false},
		{"arn:aws:iot:us-east-1:999999999999:topic/a", home + "topic/a", false},
		{"arn:aws:iot:us-east-1:*:topic/a", "arn:aws:iot:us-east-1:999999999999:topic/a", true},
		{"arn:aws:iot:us-east-1:111122223333:topic/a", "arn:aws:iot:us-east-1:999999999999:topic/a", false},
		// A client picks its id, and with it what follows the slash.
		{"arn:aws:iot:*:*:topic/a", home + "client/x:topic/a", false},
		{"*", "*", true},
		{"arn:aws:iot:*:*:*", "*", false},
	} {
		b := bindAll(t, mqtt("c"), one(fmt.Sprintf(`{"Effect":"Allow","Action":"iot:*","Resource":%q}`, c.pattern)))
		if got := b.Decide("iot:Publish", c.asked).Allowed; got != c.want {
			t.Errorf("%s against %s: got %v", c.pattern, c.asked, got)
		}
	}
}

func TestActions(t *testing.T) {
	for _, c := range []struct {
		element, pattern, asked string
		want                    bool
	}{
		{"Action", "iot:Publish", "iot:Publish", true},
		{"Action", "IOT:PUBLISH", "iot:Publish", true},
		{"Action", "iot:Publish", "IoT:publish", true},
		{"Action", "iot:Publish", "iot:RetainPublish", false},
		{"Action", "iot:*Publish", "iot:RetainPublish", true},
		{"Action", "iot:Get*", "iot:GetThingShadow", true},
		{"Action", "iot:Recei?e", "iot:Receive", true},
		{"Action", "*", "greengrass:Discover", true},
		{"Action", "iot:*", "greengrass:Discover", false},
		{"Action", "iot:NewThing", "iot:NewThing", true},
		{"NotAction", "iot:Publish", "iot:Publish", false},
		{"NotAction", "iot:Publish", "iot:Receive", true},
		{"NotAction", "iot:Publish", "greengrass:Discover", true},
		{"Action", "iotjobsdata:UpdateJobExecution", "iot:UpdateJobExecution", true},
		{"Action", "iot:UpdateJobExecution", "iotjobsdata:UpdateJobExecution", true},
		{"NotAction", "iotjobsdata:UpdateJobExecution", "iot:UpdateJobExecution", false},
		{"Action", "iotjobsdata:*", "iot:Publish", false},
		{"Action", "iotjobsdata:*", "iotjobsdata:Publish", true},
	} {
		doc := one(fmt.Sprintf(`{"Effect":"Allow",%q:%q,"Resource":"*"}`, c.element, c.pattern))
		if got := bindAll(t, mqtt("c"), doc).Decide(c.asked, home+"thing/x").Allowed; got != c.want {
			t.Errorf("%s %s against %s: got %v", c.element, c.pattern, c.asked, got)
		}
	}
}

// TestConnectAttributes is the table of policies.md, section 3, row by row:
// plain, persistent, with a will, both.
func TestConnectAttributes(t *testing.T) {
	connections := [][]string{nil, {"PersistentConnect"}, {"LastWill"}, {"PersistentConnect", "LastWill"}}
	conditional := func(effect, operator, values string) string {
		return fmt.Sprintf(`{"Effect":%q,"Action":"iot:Connect","Resource":"*","Condition":{%q:{"iot:ConnectAttributes":%s}}}`, effect, operator, values)
	}
	all := statementOf("Allow", "iot:Connect", "client/*")
	for name, c := range map[string]struct {
		doc  string
		want [4]bool
	}{
		"Allow, no condition":                   {one(all), [4]bool{true, true, true, true}},
		"Allow if ForAllValues of nothing":      {one(conditional("Allow", "ForAllValues:StringEquals", `[]`)), [4]bool{true, false, false, false}},
		"Allow if ForAllValues of persistent":   {one(conditional("Allow", "ForAllValues:StringEquals", `["PersistentConnect"]`)), [4]bool{true, true, false, false}},
		"Allow if ForAllValues of will":         {one(conditional("Allow", "ForAllValues:StringEquals", `["LastWill"]`)), [4]bool{true, false, true, false}},
		"Allow if ForAllValues of both":         {one(conditional("Allow", "ForAllValues:StringEquals", `["PersistentConnect","LastWill"]`)), [4]bool{true, true, true, true}},
		"Allow if ForAnyValue of persistent":    {one(conditional("Allow", "ForAnyValue:StringEquals", `["PersistentConnect"]`)), [4]bool{false, true, false, true}},
		"Deny if ForAnyValue of persistent":     {one(all, conditional("Deny", "ForAnyValue:StringEquals", `["PersistentConnect"]`)), [4]bool{true, false, true, false}},
		"Allow if ForAllValues not persistent":  {one(conditional("Allow", "ForAllValues:StringNotEquals", `["PersistentConnect"]`)), [4]bool{true, false, true, false}},
		"Allow if the set, plainly, has a will": {one(conditional("Allow", "StringEquals", `"LastWill"`)), [4]bool{false, false, true, true}},
		"Allow if the set, plainly, has none":   {one(conditional("Allow", "StringNotEquals", `"LastWill"`)), [4]bool{true, true, false, false}},
	} {
		var got [4]bool
		for i, attributes := range connections {
			ctx := mqtt("c")
			ctx.ConnectAttributes = attributes
			got[i] = bindAll(t, ctx, c.doc).Decide("iot:Connect", home+"client/c").Allowed
		}
		if got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestConnectAttributesCountForConnectAlone(t *testing.T) {
	ctx := mqtt("c")
	ctx.ConnectAttributes, ctx.LastWillTopic = []string{"LastWill"}, "will/c"
	deny := `{"Effect":"Deny","Action":"iot:*","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"iot:ConnectAttributes":"LastWill"}}}`
	allow := `{"Effect":"Allow","Action":"iot:*","Resource":"*"}`
	b := bindAll(t, ctx, one(allow, deny))
	if b.Decide("iot:Connect", home+"client/c").Allowed || !b.Decide("iot:Publish", home+"topic/x").Allowed {
		t.Error("a condition on iot:ConnectAttributes judged another action")
	}
}

func TestTheTopicOfADirectMessage(t *testing.T) {
	https := Context{Tenant: testTenant}
	direct := https
	direct.Topic = "commands/reboot"
	for condition, want := range map[string]bool{
		`"StringEquals":{"iot:Topic":["commands/reboot","commands/update"]}`: true,
		`"StringEquals":{"IOT:topic":"commands/reboot"}`:                     true,
		`"StringLike":{"iot:Topic":"commands/*"}`:                            true,
		`"StringEquals":{"iot:Topic":"commands/*"}`:                          false,
		`"StringLike":{"iot:Topic":"other/*"}`:                               false,
		`"StringNotLike":{"iot:Topic":"other/*"}`:                            true,
		`"Null":{"iot:Topic":"true"}`:                                        false,
	} {
		doc := one(`{"Effect":"Allow","Action":"iot:SendDirectMessage","Resource":"arn:aws:iot:*:*:client/pump","Condition":{` + condition + `}}`)
		b := bindAll(t, direct, doc)
		if got := b.Decide("iot:SendDirectMessage", home+"client/pump").Allowed; got != want {
			t.Errorf("%s: got %v", condition, got)
		}
		if b.Decide("iot:SendDirectMessage", home+"client/lamp").Allowed {
			t.Errorf("%s: another client is allowed too", condition)
		}
	}
	publish := bindAll(t, https, one(`{"Effect":"Allow","Action":"iot:Publish","Resource":"*","Condition":{"StringLike":{"iot:Topic":"*"}}}`))
	d := publish.Decide("iot:Publish", home+"topic/a")
	if d.Allowed {
		t.Error("a publication has the topic of a direct message")
	}
	if got := d.Sentence("iot:Publish", home+"topic/a"); !strings.Contains(got, "a direct message has one, and nothing else") {
		t.Errorf("the sentence is %s", got)
	}
	if bindAll(t, direct, one(`{"Effect":"Allow","Action":"iot:SendDirectMessage","Resource":"arn:aws:iot:*:*:client/${iot:Topic}"}`)).Decide("iot:SendDirectMessage", home+"client/commands/reboot").Allowed {
		t.Error("the topic replaces a variable")
	}
}

// TestVariables is policies.md, sections 2 to 2.3: %s is allowed only if the
// variable resolves as it should.
func TestVariables(t *testing.T) {
	ctx := mqtt("c*1")
	ctx.SourceIP = netip.MustParseAddr("::ffff:10.1.2.3")
	ctx.CertificateID, ctx.Certificate = strings.Repeat("ab", 32), richCertificate()
	ctx.Thing = &Thing{Name: "t1", Type: "pump", Attached: true, Attributes: map[string]string{
		"site": "north", "star": "a*", "plus": "+", "long": strings.Repeat("x", 1025), "longest": strings.Repeat("x", 1024)}}
	for _, c := range []struct {
		pattern, asked string
		want           bool
	}{
		{"${iot:ClientId}", "c*1", true},
		{"${iot:ClientId}", "cx1", false}, // what the client chose is no wildcard
		{"${IOT:CLIENTID}", "c*1", true},
		{"x${iot:ClientId}*", "xc*1/y", true},
		{"${aws:SourceIp}", "10.1.2.3", true},
		{"${iot:CertificateId}", strings.Repeat("ab", 32), true},
		{"${iot:Connection.Thing.ThingName}", "t1", true},
		{"${iot:Connection.Thing.ThingTypeName}", "pump", true},
		{"${iot:Connection.Thing.Attributes[site]}", "north", true},
		{"${iot:connection.thing.attributes[site]}", "north", true},
		{"${iot:Connection.Thing.Attributes[Site]}", "north", false},
		{"${iot:Connection.Thing.Attributes[star]}", "a*", false},
		{"${iot:Connection.Thing.Attributes[star]}", "ab", false},
		{"${iot:Connection.Thing.Attributes[plus]}", "+", false},
		{"${iot:Connection.Thing.Attributes[long]}", strings.Repeat("x", 1025), false},
		{"${iot:Connection.Thing.Attributes[longest]}", strings.Repeat("x", 1024), true},
		{"${iot:Connection.Thing.Attributes[none]}", "", false},
		{"${iot:Connection.Thing.IsAttached}", "true", true},
		{"${iot:Certificate.SerialNumber}", "10525622389124227206", true},
		{"${iot:Certificate.Subject.CommonName}", "cn", true},
		{"${iot:Certificate.Issuer.CommonName}", "Plant CA", true},
		{"${iot:Certificate.Subject.Organization}", "Acme", true},
		{"${iot:Certificate.Subject.Organization.0}", "Acme", true},
		{"${iot:Certificate.Subject.Organization.1}", "a", true},
		{"${iot:Certificate.Subject.Organization.2}", `Smith\, Sons\; Co`, true},
		{"${iot:Certificate.Subject.Organization.2}", `Smith, Sons; Co`, false},
		{"${iot:Certificate.Subject.Organization.3}", "w*ld", false},
		{"${iot:Certificate.Subject.Organization.4}", "five", true},
		{"${iot:Certificate.Subject.Organization.5}", "six", false},
		{"${iot:Certificate.Subject.Organization.List}", "Acme", false},
		{"${iot:Certificate.Issuer.AlternativeName.DirectoryName}", `CN\=issuer\,O\=Plant`, true},
		{"${iot:Certificate.Subject.AlternativeName.DNSName.1}", "b.example", true},
		{"${nobody:knows}", "${nobody:knows}", false},
		{"${iot:ClientId", "${iot:ClientId", true}, // not closed: ordinary text
		{"${iot:ConnectAttributes}", "", false},
	} {
		b := bindAll(t, ctx, one(statementOf("Allow", "iot:Publish", "topic/"+c.pattern)))
		if got := b.Decide("iot:Publish", home+"topic/"+c.asked).Allowed; got != c.want {
			t.Errorf("%s against %s: got %v", c.pattern, arn.Clip(c.asked, 40), got)
		}
	}
}

func TestWhatHasNoValueMatchesNothing(t *testing.T) {
	named := "client/${iot:Connection.Thing.ThingName}"
	b := bindAll(t, mqtt("${iot:Connection.Thing.ThingName}"), one(statementOf("Allow", "iot:Connect", named)))
	d := b.Decide("iot:Connect", home+named)
	if d.Allowed || !reflect.DeepEqual(d.Missing, []string{"iot:Connection.Thing.ThingName"}) {
		t.Errorf("a client that calls itself like the variable: got %+v", d)
	}
	t.Run("a Deny does not apply either", func(t *testing.T) {
		b := bindAll(t, mqtt("c"), one(statementOf("Allow", "iot:Connect", "*"), statementOf("Deny", "iot:Connect", named)))
		if !b.Decide("iot:Connect", home+"client/c").Allowed {
			t.Error("denied")
		}
	})
	t.Run("HTTPS has no client id and no thing", func(t *testing.T) {
		ctx := Context{ClientID: "c", Thing: &Thing{Name: "t1"}}
		b := bindAll(t, ctx, one(statementOf("Allow", "iot:Publish", "topic/${iot:ClientId}"), statementOf("Allow", "iot:Publish", "topic/${iot:Connection.Thing.ThingName}")))
		if b.Decide("iot:Publish", home+"topic/c").Allowed || b.Decide("iot:Publish", home+"topic/t1").Allowed {
			t.Error("allowed")
		}
	})
	t.Run("the older version knows no variables", func(t *testing.T) {
		doc := strings.Replace(one(statementOf("Allow", "iot:Publish", "topic/${iot:ClientId}")), "2012-10-17", "2008-10-17", 1)
		b := bindAll(t, mqtt("c"), doc)
		if b.Decide("iot:Publish", home+"topic/c").Allowed || !b.Decide("iot:Publish", home+"topic/${iot:ClientId}").Allowed {
			t.Error("the text was replaced")
		}
	})
}

func TestConditions(t *testing.T) {
	ctx := mqtt("Pump-7")
	ctx.SourceIP = netip.MustParseAddr("10.1.2.3")
	ctx.Certificate = richCertificate()
	ctx.LastWillTopic = "will/Pump-7"
	ctx.Thing = &Thing{Name: "Pump-7", Attached: true, Attributes: map[string]string{"floor": "7", "made": "2024-05-01T00:00:00Z"}}
	const floor, made = `"iot:Connection.Thing.Attributes[floor]"`, `"iot:Connection.Thing.Attributes[made]"`
	for condition, want := range map[string]bool{
		``: true,
		`"StringEquals":{"iot:ClientId":"Pump-7"}`:                                                          true,
		`"StringEquals":{"iot:ClientId":["a","Pump-7"]}`:                                                    true,
		`"StringEquals":{"iot:ClientId":"pump-7"}`:                                                          false,
		`"StringEquals":{"iot:ClientId":"Pump-*"}`:                                                          false,
		`"StringEqualsIgnoreCase":{"iot:ClientId":"pump-7"}`:                                                true,
		`"StringNotEqualsIgnoreCase":{"iot:ClientId":"pump-7"}`:                                             false,
		`"StringLike":{"iot:ClientId":"Pump-?"}`:                                                            true,
		`"StringLikeIgnoreCase":{"iot:ClientId":"PUMP-*"}`:                                                  true,
		`"StringNotLike":{"iot:ClientId":"Pump-*"}`:                                                         false,
		`"StringEquals":{"iot:ClientId":"${iot:Connection.Thing.ThingName}"}`:                               true,
		`"StringEquals":{"iot:ClientId":"Pump-7","aws:SourceIp":"10.1.2.4"}`:                                false,
		`"StringEquals":{"iot:ClientId":"Pump-7"},"Bool":{"iot:Connection.Thing.IsAttached":true}`:          true,
		`"Bool":{"iot:Connection.Thing.IsAttached":"FALSE"}`:                                                false,
		`"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}`:                                                         true,
		`"IpAddress":{"aws:SourceIp":["192.0.2.0/24","10.1.2.3"]}`:                                          true,
		`"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}`:                                                      false,
		`"IpAddress":{"aws:SourceIp":"ten"}`:                                                                false,
		`"NumericLessThan":{` + floor + `:8}`:                                                               true,
		`"NumericLessThan":{` + floor + `:"7"}`:                                                             false,
		`"NumericLessThanEquals":{` + floor + `:"7.0"}`:                                                     true,
		`"NumericGreaterThan":{` + floor + `:"NaN"}`:                                                        false,
		`"NumericNotEquals":{` + floor + `:"7"}`:                                                            false,
		`"DateLessThan":{` + made + `:"2024-05-02"}`:                                                        true,
		`"DateGreaterThan":{` + made + `:"2024-05-01T01:00:00+02:00"}`:                                      true,
		`"DateEquals":{` + made + `:1714521600}`:                                                            true,
		`"ArnLike":{"iot:LastWillTopic":"arn:aws:iot:*:*:topic/will/*"}`:                                    true,
		`"ArnEquals":{"iot:LastWillTopic":"arn:aws:iot:us-east-1:111122223333:topic/will/${iot:ClientId}"}`: true,
		`"ArnNotLike":{"iot:LastWillTopic":"arn:aws:iot:*:*:topic/other/*"}`:                                true,
		`"ArnLike":{"iot:LastWillTopic":"will/*"}`:                                                          false,
		`"Null":{"iot:Connection.Thing.ThingTypeName":"true"}`:                                              true,
		`"Null":{"iot:ClientId":true}`:                                                                      false,
		`"Null":{"iot:ClientId":"false"}`:                                                                   true,
		`"StringEquals":{"iot:Connection.Thing.ThingTypeName":"x"}`:                                         false,
		`"StringNotEquals":{"iot:Connection.Thing.ThingTypeName":"x"}`:                                      true,
		`"StringEqualsIfExists":{"iot:Connection.Thing.ThingTypeName":"x"}`:                                 true,
		`"StringEqualsIfExists":{"iot:ClientId":"x"}`:                                                       false,
		`"ForAnyValue:StringEqualsIfExists":{"iot:Connection.Thing.ThingTypeName":"x"}`:                     true,
		`"ForAnyValue:StringEquals":{"iot:Certificate.Subject.Organization.List":"five"}`:                   true,
		`"ForAllValues:StringEquals":{"iot:Certificate.Subject.Organization.List":["Acme","a"]}`:            false,
		`"StringEquals":{"iot:Certificate.Subject.Organization":"Smith, Sons; Co"}`:                         false,
		`"StringEquals":{"iot:Certificate.Subject.Organization.2":"Smith, Sons; Co"}`:                       true,
		`"ForAnyValue:StringEquals":{"iot:Certificate.AvailableKeys":"iot:Certificate.Subject.CommonName"}`: true,
		`"ForAnyValue:StringEquals":{"iot:Certificate.AvailableKeys":"iot:Certificate.Subject.Title"}`:      false,
		`"StringNotEquals":{"iot:ClientId":"${nobody:knows}"}`:                                              true,
		`"StringEquals":{"iot:Certificate.Subject.Organization.3":"w*ld"}`:                                  true,
		`"StringEquals":{"iot:ConnectAttributes":[]}`:                                                       false,
		`"ForAllValues:StringLike":{"iot:ClientId":[]}`:                                                     false,
		`"StringLike":{}`: true,
	} {
		doc := one(`{"Effect":"Allow","Action":"iot:Connect","Resource":"*","Condition":{` + condition + `}}`)
		if got := bindAll(t, ctx, doc).Decide("iot:Connect", home+"client/Pump-7").Allowed; got != want {
			t.Errorf("%s: got %v", condition, got)
		}
	}
}

func TestEvaluation(t *testing.T) {
	allow, deny := statementOf("Allow", "iot:Publish", "topic/a/*"), `{"Sid":"NoSecrets","Effect":"Deny","Action":"iot:Publish","Resource":"`+home+`topic/a/secret"}`
	b := bindAll(t, mqtt("c"), one(allow), one(statementOf("Allow", "iot:Connect", "*"), deny))
	for name, c := range map[string]struct {
		asked string
		want  Decision
	}{
		"an Allow decides where nothing denies": {"topic/a/b", Decision{Allowed: true, Policy: "P1", Version: "1"}},
		"a Deny wins over an Allow before it":   {"topic/a/secret", Decision{Explicit: true, Policy: "P2", Version: "1", Sid: "NoSecrets", Statement: 1}},
		"what nothing allows is denied":         {"topic/b", Decision{Statement: -1}},
	} {
		got := b.Decide("iot:Publish", home+c.asked)
		got.bound = nil
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
	t.Run("NotResource is about everything else", func(t *testing.T) {
		b := bindAll(t, mqtt("c"), one(`{"Effect":"Allow","Action":"iot:Publish","NotResource":["`+home+`topic/a","`+home+`topic/b"]}`))
		if b.Decide("iot:Publish", home+"topic/a").Allowed || !b.Decide("iot:Publish", home+"topic/c").Allowed {
			t.Error("it is not")
		}
	})
	t.Run("no policy allows nothing", func(t *testing.T) {
		if d := Bind(nil, Context{}).Decide("iot:Connect", "*"); d.Allowed || d.Explicit || d.Statement != -1 {
			t.Errorf("got %+v", d)
		}
	})
}

func TestMissingNamesWhatHasNoValue(t *testing.T) {
	b := bindAll(t, mqtt("c"), one(
		`{"Effect":"Allow","Action":"iot:Connect","Resource":"`+home+`client/${iot:Connection.Thing.ThingName}","Condition":{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}}`,
		statementOf("Allow", "iot:Publish", "topic/${iot:ClientId}/${iot:Certificate.Subject.Title}")))
	if got, want := b.Decide("iot:Connect", home+"client/c").Missing, []string{"iot:Connection.Thing.IsAttached", "iot:Connection.Thing.ThingName"}; !reflect.DeepEqual(got, want) {
		t.Errorf("Connect: got %q, want %q", got, want)
	}
	if got, want := b.Decide("iot:Publish", home+"topic/c").Missing, []string{"iot:Certificate.Subject.Title"}; !reflect.DeepEqual(got, want) {
		t.Errorf("Publish: got %q, want %q", got, want)
	}
	if got := b.Decide("iot:Receive", home+"topic/c").Missing; got != nil {
		t.Errorf("Receive: got %q, want nothing", got)
	}
}

// TestMatchIsBounded would not end if stars were tried in every combination.
func TestMatchIsBounded(t *testing.T) {
	stars := newTemplate(strings.Repeat("a*", 500)+"b", lexing{wild: true}).whole
	marks := newTemplate(strings.Repeat("*?a", 300)+"b", lexing{wild: true}).whole
	subject := strings.Repeat("a", 60000)
	if stars.match(subject) || marks.match(subject) || !stars.match(subject+"b") {
		t.Error("a pattern of stars misjudges")
	}
}

func TestDecideAllocatesNothing(t *testing.T) {
	b := bindAll(t, mqtt("c"), one(statementOf("Allow", "iot:Publish", "topic/a/${iot:ClientId}/*"), statementOf("Deny", "iot:Receive", "topic/*/x?z/*")))
	for _, r := range []string{home + "topic/a/c/1", home + "topic/zzz"} {
		for _, a := range []string{"iot:Publish", "iot:Receive"} {
			if n := testing.AllocsPerRun(100, func() { b.Decide(a, r) }); n != 0 {
				t.Errorf("%s on %s: %v allocations", a, r, n)
			}
		}
	}
}
