package policy

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-iot/slipway/arn"
)

var testTenant = arn.Tenant{Account: "111122223333", Region: "us-east-1"}

// TestDecideAgreesWithTheOracle compares every part of the answer on generated
// documents, connections and requests.
func TestDecideAgreesWithTheOracle(t *testing.T) { rapid.Check(t, agree) }

func FuzzDecide(f *testing.F) {
	for i := range 4 { // the generators draw from these bytes
		seed := make([]byte, 8192)
		_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(seed)
		f.Add(seed)
	}
	f.Fuzz(rapid.MakeFuzz(agree))
}

// TestMatchAgreesWithTheOracle draws patterns of few letters and many wildcards,
// and texts that may not be UTF-8.
func TestMatchAgreesWithTheOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "é", "*", "*", "?"}), 0, 10).Draw(t, "pattern"), "")
		s := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "a", "b", "é", "\xff", "\xc3"}), 0, 12).Draw(t, "text"), "")
		got := newTemplate(text, lexing{wild: true}).whole.match(s)
		if want := tokensMatch(facts{}.tokens(text, false, true), s); got != want {
			t.Fatalf("%q against %q: got %v, want %v", text, s, got, want)
		}
	})
}

func agree(t *rapid.T) {
	docs := rapid.SliceOfN(rapid.Custom(document), 1, 3).Draw(t, "docs")
	c, known := connection(t)
	set := make([]Named, len(docs))
	for i, text := range docs {
		d, err := Parse(text)
		if err != nil {
			t.Fatalf("the generator makes only valid documents: %v\n%s", err, text)
		}
		set[i] = Named{string(rune('A' + i)), "1", d.Compile()}
	}
	b := Bind(set, c)
	for range 8 {
		action := rapid.SampledFrom(requestActions).Draw(t, "action")
		resource := requestResource(t, docs, c)
		want := known.ask(docs, action, resource)
		got := b.Decide(action, resource)
		have := verdict{got.Allowed, got.Explicit, strings.Index("ABC", got.Policy), got.Statement}
		if got.Policy == "" {
			have.policy = -1
		}
		if have != want {
			t.Fatalf("%s on %s: got %+v, want %+v\n%s", action, resource, have, want, strings.Join(docs, "\n"))
		}
		for i, v := range b.Votes(action, resource) {
			alone := known.ask(docs[i:i+1], action, resource)
			if v.Denies != alone.explicit || !v.Denies && v.Allows != alone.allowed {
				t.Fatalf("%s on %s: voted %+v, alone it is %+v\n%s", action, resource, v, alone, docs[i])
			}
		}
		if got.Sentence(action, resource) == "" {
			t.Fatal("a decision has no sentence")
		}
	}
}

var (
	requestActions = []string{"iot:Connect", "iot:Publish", "iot:Publish", "iot:Subscribe", "iot:Receive", "iot:RetainPublish",
		"IOT:publish", "iot:GetThingShadow", "iot:SendDirectMessage", "iotjobsdata:UpdateJobExecution", "iot:UpdateJobExecution", "iot:Unheard", "greengrass:Discover"}
	docActions = []string{"iot:Connect", "iot:Publish", "iot:Subscribe", "iot:Receive", "iot:*", "*", "iot:*Publish", "IoT:publish",
		"iot:Get*", "iot:UpdateJobExecution", "iotjobsdata:*", "iot:Recei?e", "greengrass:*", "iot:Unheard"}
	heads = []string{"arn:aws:iot:us-east-1:111122223333:", "arn:aws:iot:us-east-1:111122223333:", "arn:aws:iot:*:*:",
		"arn:*:iot:us-????-1:1111*:", "arn:aws:iot:eu-west-1:111122223333:", "arn:aws:iot:${iot:Connection.Thing.Attributes[region]}:*:"}
	kinds      = []string{"client/", "topic/", "topic/", "topicfilter/", "thing/", "topic*/", "*"}
	tailPieces = []string{"a", "b", "/", "/", "*", "*", "?", "é", "+", "#", ":", "$aws", "${*}", "$(?)", "${$}", "$", "${", "ab",
		"${iot:ClientId}", "${IOT:clientid}", "${iot:Connection.Thing.ThingName}", "${iot:Connection.Thing.Attributes[k]}",
		"${iot:Connection.Thing.Attributes[K]}", "${iot:Certificate.Subject.CommonName}", "${iot:Certificate.Subject.Organization.1}",
		"${iot:Certificate.Subject.Organization.List}", "${iot:CertificateId}", "${aws:SourceIp}", "${nobody:knows}", "${iot:Certificate.SerialNumber}",
		"${iot:Certificate.Subject.AlternativeName.DNSName}", "${iot:LastWillTopic}", "${iot:Topic}", "${iot:Connection.Thing.IsAttached}"}
	requestPieces = []string{"a", "b", "/", "*", "?", "é", "+", "#", ":", "$aws", "ab", "t1", "c*", "cn", ":topic/", "${iot:ClientId}"}
	condOps       = []string{"StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase",
		"StringNotEqualsIgnoreCase", "StringLikeIgnoreCase", "StringNotLikeIgnoreCase", "ArnLike", "ArnNotEquals", "Bool",
		"IpAddress", "NotIpAddress", "NumericLessThan", "NumericNotEquals", "NumericGreaterThanEquals", "DateLessThan", "DateEquals"}
	condKeys = []string{"iot:ClientId", "IOT:CLIENTID", "aws:SourceIp", "iot:Connection.Thing.ThingName", "iot:Connection.Thing.Attributes[k]",
		"iot:Connection.Thing.Attributes[n]", "iot:Connection.Thing.Attributes[d]", "iot:Connection.Thing.IsAttached",
		"iot:ConnectAttributes", "iot:LastWillTopic", "iot:Topic", "iot:Certificate.Subject.Organization", "iot:Certificate.Subject.Organization.List",
		"iot:Certificate.Subject.Organization.1", "iot:Certificate.AvailableKeys", "aws:SourceVpc", "nobody:knows"}
	condValues = []string{"a", "A", "c1", "C*", "*", "?1", "true", "false", "PersistentConnect", "LastWill", "10.0.0.0/8", "10.1.2.3", "::1/128", "nonsense",
		"5", "7.5", "2024-05-01T00:00:00Z", "Acme", "ac*", "arn:aws:iot:us-east-1:111122223333:topic/will/*", "arn:*:iot:*:*:topic/${iot:ClientId}",
		"${iot:ClientId}", "${iot:Connection.Thing.ThingName}", "${nobody:knows}", "${*}", "iot:Certificate.Subject.CommonName", "É"}
)

func document(t *rapid.T) string {
	d := map[string]any{"Version": "2012-10-17"}
	if rapid.IntRange(0, 9).Draw(t, "old") == 0 {
		d["Version"] = "2008-10-17"
	}
	st := rapid.SliceOfN(rapid.Custom(genStatement), 1, 4).Draw(t, "statements")
	d["Statement"] = st
	if len(st) == 1 {
		d["Statement"] = st[0]
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func genStatement(t *rapid.T) map[string]any {
	st := map[string]any{"Effect": rapid.SampledFrom([]string{"Allow", "Allow", "Deny"}).Draw(t, "effect")}
	not := func(name string) string {
		if rapid.IntRange(0, 7).Draw(t, "not"+name) == 0 {
			return "Not" + name
		}
		return name
	}
	st[not("Action")] = rapid.SliceOfN(rapid.SampledFrom(docActions), 1, 3).Draw(t, "actions")
	st[not("Resource")] = rapid.SliceOfN(rapid.Custom(resource), 1, 3).Draw(t, "resources")
	if rapid.IntRange(0, 2).Draw(t, "conditional") == 0 {
		st["Condition"] = conditionBlock(t)
	}
	return st
}

func resource(t *rapid.T) string {
	if rapid.IntRange(0, 9).Draw(t, "star") == 0 {
		return "*"
	}
	tail := rapid.SliceOfN(rapid.SampledFrom(tailPieces), 1, 4).Draw(t, "tail")
	return rapid.SampledFrom(heads).Draw(t, "head") + rapid.SampledFrom(kinds).Draw(t, "kind") + strings.Join(tail, "")
}

func conditionBlock(t *rapid.T) map[string]any {
	block := map[string]any{}
	for range rapid.IntRange(1, 2).Draw(t, "operators") {
		op := rapid.SampledFrom([]string{"", "", "ForAllValues:", "ForAnyValue:"}).Draw(t, "quantifier") +
			rapid.SampledFrom(condOps).Draw(t, "operator") + rapid.SampledFrom([]string{"", "", "IfExists"}).Draw(t, "suffix")
		if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
			op = "Null"
		}
		key := rapid.SampledFrom(condKeys).Draw(t, "key")
		block[op] = map[string]any{key: rapid.SliceOfN(rapid.SampledFrom(condValues), 0, 3).Draw(t, "values")}
	}
	return block
}

// connection draws what is known of a connection, once for the package and once
// for the oracle.
func connection(t *rapid.T) (Context, facts) {
	f := facts{values: map[string][]string{}, sets: map[string][]string{}}
	c := Context{Tenant: testTenant}
	if c.HasClientID = rapid.IntRange(0, 5).Draw(t, "https") > 0; c.HasClientID {
		c.ClientID = rapid.SampledFrom([]string{"c1", "a", "c*", "+", "x:topic/a", "a/b", "é"}).Draw(t, "client")
		f.values["iot:clientid"] = []string{c.ClientID}
	}
	if ip := rapid.SampledFrom([]string{"", "10.1.2.3", "::1"}).Draw(t, "ip"); ip != "" {
		c.SourceIP = netip.MustParseAddr(ip)
		f.values["aws:sourceip"] = []string{ip}
	}
	if rapid.Bool().Draw(t, "will") {
		c.LastWillTopic = "will/" + c.ClientID
		f.values["iot:lastwilltopic"] = []string{"arn:aws:iot:us-east-1:111122223333:topic/will/" + c.ClientID}
	}
	c.ConnectAttributes = rapid.SampledFrom([][]string{nil, {"PersistentConnect"}, {"LastWill"}, {"PersistentConnect", "LastWill"}}).Draw(t, "attributes")
	f.sets["iot:connectattributes"] = c.ConnectAttributes
	if c.Topic = rapid.SampledFrom([]string{"", "a", "c1"}).Draw(t, "topic"); c.Topic != "" {
		f.sets["iot:topic"] = []string{c.Topic}
	}
	// The oracle substitutes from values, in which these three must not be seen.
	f.sets["iot:lastwilltopic"] = f.values["iot:lastwilltopic"]
	delete(f.values, "iot:lastwilltopic")
	connectThing(t, &c, f)
	if rapid.Bool().Draw(t, "certificate") {
		c.Certificate, c.CertificateID = richCertificate(), strings.Repeat("ab", 32)
		f.values["iot:certificateid"] = []string{c.CertificateID}
		for name, all := range richFacts {
			f.values[name] = all[:1]
			f.sets[name+".list"] = all
			for i, one := range all {
				f.values[name+"."+string(rune('0'+i))] = []string{one}
			}
		}
		f.values["iot:certificate.serialnumber"] = []string{"10525622389124227206"}
		f.sets["iot:certificate.availablekeys"] = richKeys
	}
	return c, f
}

func connectThing(t *rapid.T, c *Context, f facts) {
	if !rapid.Bool().Draw(t, "thing") {
		return
	}
	c.Thing = &Thing{Name: "t1", Attached: rapid.Bool().Draw(t, "attached"), Attributes: map[string]string{
		"k": rapid.SampledFrom([]string{"a", "*", "a+", strings.Repeat("v", 1025)}).Draw(t, "k"),
		"n": "5", "d": "2024-05-01T00:00:00Z", "region": "us-east-1",
	}}
	if !c.HasClientID {
		return
	}
	f.values["iot:connection.thing.thingname"] = []string{"t1"}
	f.values["iot:connection.thing.isattached"] = []string{map[bool]string{true: "true", false: "false"}[c.Thing.Attached]}
	for name, v := range c.Thing.Attributes {
		f.values["iot:connection.thing.attributes["+name+"]"] = []string{v}
	}
}

// requestResource draws a resource that has a chance of being described by one
// of the documents.
func requestResource(t *rapid.T, docs []string, c Context) string {
	if rapid.Bool().Draw(t, "derived") {
		var d map[string]any
		if err := json.Unmarshal([]byte(rapid.SampledFrom(docs).Draw(t, "of")), &d); err != nil {
			t.Fatal(err)
		}
		st := rapid.SampledFrom(listOf(d["Statement"])).Draw(t, "statement").(map[string]any)
		from, ok := st["Resource"]
		if !ok {
			from = st["NotResource"]
		}
		pattern := rapid.SampledFrom(listOf(from)).Draw(t, "pattern").(string)
		return strings.NewReplacer("${*}", "*", "$(?)", "?", "${$}", "$", "${iot:ClientId}", c.ClientID, "${IOT:clientid}", c.ClientID,
			"${iot:Connection.Thing.ThingName}", "t1", "arn:*:", "arn:aws:", "us-????-1", "us-east-1", ":*:*:", ":us-east-1:111122223333:", "1111*", "111122223333",
			"*", rapid.SampledFrom([]string{"", "a", "b/a", "topic/a"}).Draw(t, "run"), "?", "é").Replace(pattern)
	}
	tail := rapid.SliceOfN(rapid.SampledFrom(requestPieces), 1, 4).Draw(t, "tail")
	return heads[0] + rapid.SampledFrom([]string{"client/", "topic/", "topicfilter/", "thing/"}).Draw(t, "kind") + strings.Join(tail, "")
}
