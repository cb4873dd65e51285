package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// golden compares got with a file of testdata. With UPDATE_GOLDEN set it writes
// the file, for its author to read.
func golden(t *testing.T, file, got string) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

func testFile(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestCheckReports checks every document of testdata/check.
func TestCheckReports(t *testing.T) {
	docs, err := filepath.Glob("testdata/check/*.json")
	if err != nil || len(docs) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	for _, doc := range docs {
		name := filepath.Base(doc)
		findings, err := Check(testFile(t, "check/"+name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var out strings.Builder
		for _, f := range findings {
			fmt.Fprintln(&out, f)
		}
		golden(t, "check/"+strings.TrimSuffix(name, ".json")+".findings", out.String())
	}
}

func TestCheckRefusesWhatParseRefuses(t *testing.T) {
	if _, err := Check(`{"Version":"2012-10-17"}`); err == nil {
		t.Error("accepted")
	}
}

func TestTheRecommendedPoliciesHaveNoErrors(t *testing.T) {
	for name, text := range map[string]string{
		"claim":  ClaimPolicy(testTenant, "fleet"),
		"device": testFile(t, "check/device-recommended.json"),
	} {
		findings, err := Check(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range findings {
			if f.Severity == Broken {
				t.Errorf("%s: %s", name, f)
			}
		}
	}
}

// TestSentences asks for one decision of each kind and compares what is said.
func TestSentences(t *testing.T) {
	device := testFile(t, "check/device-recommended.json")
	unit := mqtt("unit-7")
	unit.Thing = &Thing{Name: "unit-7", Attached: true, Attributes: map[string]string{"site": "north*"}}
	stranger := mqtt("unit-7")
	detached := unit
	detached.Thing = &Thing{Name: "unit-7"}
	conditional := `{"Effect":"Allow","Action":"iot:Connect","Resource":"*","Condition":{"StringLike":{"iot:ClientId":"claim-*"}}}`
	many := one(fmt.Sprintf(`{"Sid":"Many","Effect":"Allow","Action":"iot:Publish","Resource":["%[1]stopic/a","%[1]stopic/b?","%[1]stopic/c/*","%[1]stopic/d","%[1]stopic/e"]}`, home))
	var out strings.Builder
	for _, c := range []struct {
		name             string
		ctx              Context
		docs             []string
		action, resource string
	}{
		{"allowed", unit, []string{device}, "iot:Publish", "topic/dt/unit-7/temperature"},
		{"denied by a statement", unit, []string{one(`{"Sid":"NoSecrets","Effect":"Deny","Action":"iot:*","Resource":"*"}`)}, "iot:Receive", "topic/secret"},
		{"no policy at all", unit, nil, "iot:Connect", "client/unit-7"},
		{"no statement names the action", unit, []string{device}, "iot:RetainPublish", "topic/dt/unit-7/x"},
		{"no statement of several policies", unit, []string{device, many}, "iot:GetThingShadow", "thing/unit-7"},
		{"the name of another device", unit, []string{device}, "iot:Publish", "topic/dt/unit-8/x"},
		{"a claim policy on topics", unit, []string{testFile(t, "check/claim-as-published.json")}, "iot:Connect", "client/unit-7"},
		{"a filter allowed as a topic", unit, []string{testFile(t, "check/claim-as-published.json")}, "iot:Subscribe", "topicfilter/$aws/certificates/create/json/accepted"},
		{"no thing", stranger, []string{device}, "iot:Publish", "topic/dt/unit-7/x"},
		{"a thing that is not attached", detached, []string{device}, "iot:Connect", "client/unit-7"},
		{"no thing to be attached to", stranger, []string{one(`{"Effect":"Allow","Action":"iot:Connect","Resource":"*","Condition":{"Bool":{"iot:Connection.Thing.IsAttached":"true"}}}`)}, "iot:Connect", "client/unit-7"},
		{"an attribute that cannot be put in", unit, []string{one(statementOf("Allow", "iot:Publish", "topic/${iot:Connection.Thing.Attributes[site]}/x"))}, "iot:Publish", "topic/north/x"},
		{"no certificate attribute", unit, []string{one(statementOf("Allow", "iot:Publish", "topic/${iot:Certificate.Subject.Title}/x"))}, "iot:Publish", "topic/north/x"},
		{"no such variable", unit, []string{one(statementOf("Allow", "iot:Publish", "topic/${iot:ThingName}/x"))}, "iot:Publish", "topic/unit-7/x"},
		{"HTTPS", Context{}, []string{one(statementOf("Allow", "iot:Publish", "topic/${iot:ClientId}/x"))}, "iot:Publish", "topic/unit-7/x"},
		{"a condition", unit, []string{one(conditional)}, "iot:Connect", "client/unit-7"},
		{"MQTT wildcards", unit, []string{one(statementOf("Allow", "iot:Publish", "topic/site/#"))}, "iot:Publish", "topic/site/1"},
		{"MQTT wildcards in a filter", unit, []string{one(statementOf("Allow", "iot:Subscribe", "topicfilter/site/+/temp"))}, "iot:Subscribe", "topicfilter/site/7/temp"},
		{"upper and lower case", unit, []string{one(statementOf("Allow", "iot:Publish", "topic/Site/1"))}, "iot:Publish", "topic/site/1"},
		{"another account", unit, []string{one(`{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:*:999999999999:topic/a"}`)}, "iot:Publish", "topic/a"},
		{"many resources", unit, []string{many}, "iot:Publish", "topic/z"},
		{"NotResource", unit, []string{one(`{"Effect":"Allow","Action":"iot:Publish","NotResource":"` + home + `topic/secret"}`)}, "iot:Publish", "topic/secret"},
		{"create is not create-from-csr", unit, []string{testFile(t, "check/claim-vendor-example.json")}, "iot:Publish", "topic/$aws/certificates/create-from-csr/json"},
		{"the action has no resource", unit, []string{many}, "iot:ListRetainedMessages", ""},
	} {
		asked := home + c.resource
		if c.resource == "" {
			asked = "*"
		}
		d := bindAll(t, c.ctx, c.docs...).Decide(c.action, asked)
		fmt.Fprintf(&out, "%s\n    %s\n", c.name, d.Sentence(c.action, asked))
	}
	golden(t, "sentences.golden", out.String())
}

func TestClaimPolicies(t *testing.T) {
	golden(t, "claim/fleet.json", ClaimPolicy(testTenant, "fleet"))
	golden(t, "claim/any.json", ClaimPolicy(testTenant, "*"))
	published := testFile(t, "check/claim-as-published.json")
	fixed, ok := SuggestClaim(published, testTenant)
	if !ok {
		t.Fatal("nothing is suggested for the published policy")
	}
	golden(t, "claim/as-published.fixed.json", fixed)
}

func TestSuggestClaimKeepsWhatWasMeant(t *testing.T) {
	for name, c := range map[string]struct{ document, client, head, template string }{
		"a template by name": {
			one(statementOf("Allow", "iot:*", "topic/$aws/provisioning-templates/fleet/provision/*")), `"*"`, home, "/fleet/provision/*"},
		"a template by pattern": {
			one(statementOf("Allow", "iot:*", "topic/$aws/provisioning-templates/eu-*/provision/*")), `"*"`, home, "/eu-*/provision/*"},
		"the client ids": {
			one(statementOf("Allow", "iot:Connect", "client/claim-*"), statementOf("Allow", "iot:Publish", "topic/$aws/certificates/create/json")),
			`"` + home + `client/claim-*"`, home, "/*/provision/*"},
		"no name of a thing": {
			one(statementOf("Allow", "iot:Connect", "client/${iot:Connection.Thing.ThingName}"), statementOf("Allow", "iot:Publish", "topic/$aws/certificates/create/json")),
			`"*"`, home, "/*/provision/*"},
		"a region that is not ours": {
			one(`{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:eu-west-1:*:topic/$aws/certificates/*"}`),
			`"*"`, "arn:aws:iot:eu-west-1:*:", "/*/provision/*"},
	} {
		fixed, ok := SuggestClaim(c.document, testTenant)
		if !ok || !strings.Contains(fixed, `"Resource": `+c.client) || !strings.Contains(fixed, `"`+c.head+"topic/$aws/provisioning-templates"+c.template) {
			t.Errorf("%s: got %v\n%s", name, ok, fixed)
		}
	}
}

func TestSuggestClaimLeavesAlone(t *testing.T) {
	for name, document := range map[string]string{
		"what works":              ClaimPolicy(testTenant, "fleet"),
		"what works for keys":     testFile(t, "check/claim-vendor-example.json"),
		"what is for a device":    testFile(t, "check/device-recommended.json"),
		"what denies something":   one(statementOf("Deny", "iot:*", "topic/$aws/certificates/*")),
		"what has conditions":     one(`{"Effect":"Allow","Action":"iot:*","Resource":"` + home + `topic/$aws/certificates/*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`),
		"what is not a policy":    `{}`,
		"another cloud partition": one(`{"Effect":"Allow","Action":"iot:*","Resource":"arn:aws-cn:iot:*:*:topic/$aws/certificates/*"}`),
	} {
		if fixed, ok := SuggestClaim(document, testTenant); ok {
			t.Errorf("%s: got\n%s", name, fixed)
		}
	}
}
