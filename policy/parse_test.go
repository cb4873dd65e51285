package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// TestParseRefuses is policies.md, section 5.1, with the place each time.
func TestParseRefuses(t *testing.T) {
	const version = `"Version":"2012-10-17"`
	statement := func(members string) string { return "{" + version + ",\n\"Statement\":[{" + members + "}]}" }
	rest := `"Action":"iot:Connect","Resource":"*"`
	resource := func(text string) string {
		return statement(`"Effect":"Allow","Action":"*","Resource":"` + text + `"`)
	}
	for name, c := range map[string]struct{ text, want string }{
		"what is not JSON":               {`{"Version":`, "Invalid policy syntax. Line 1: the JSON ends too early."},
		"a key that stands twice":        {statement(`"Effect":"Deny","Effect":"Allow",` + rest), `Line 2: "Effect" stands twice`},
		"what is not an object":          {`[]`, "the document (line 1): expected an object, got a list."},
		"an unknown element":             {`{` + version + `,"Extra":1}`, `Extra (line 1): unknown element "Extra": expected one of Version, Id, Statement.`},
		"an element in another case":     {statement(`"effect":"Allow",` + rest), `Statement[0].effect (line 2): unknown element "effect": did you mean "Effect"?`},
		"a principal":                    {statement(`"Principal":"*","Effect":"Allow",` + rest), "the principal is whatever the policy is attached to"},
		"no version":                     {`{"Statement":[]}`, "the document (line 1): Version is missing"},
		"an unknown version":             {`{"Version":"2015-01-01"}`, `Version (line 1): expected "2012-10-17" or "2008-10-17", got "2015-01-01".`},
		"a version that is a number":     {`{"Version":2012}`, "got a number."},
		"an id that is not text":         {`{` + version + `,"Id":7}`, "Id (line 1): expected a string, got a number."},
		"no statement":                   {`{` + version + `}`, "Statement is missing"},
		"an empty list of statements":    {`{` + version + `,"Statement":[]}`, "Statement (line 1): the list is empty"},
		"a statement that is text":       {`{` + version + `,"Statement":"x"}`, "Statement (line 1): expected a statement, which is an object, got a string."},
		"no effect":                      {statement(rest), "Statement[0] (line 2): Effect is missing"},
		"an effect in another case":      {statement(`"Effect":"allow",` + rest), `Statement[0].Effect (line 2): expected "Allow" or "Deny", got "allow".`},
		"a sid that is not text":         {statement(`"Sid":[],"Effect":"Allow",` + rest), "Statement[0].Sid (line 2): expected a string, got a list."},
		"no action":                      {statement(`"Effect":"Allow","Resource":"*"`), "Action is missing: expected Action or NotAction."},
		"both of a pair":                 {statement(`"Effect":"Allow","NotAction":"*",` + rest), "Action and NotAction exclude each other"},
		"both resources":                 {statement(`"Effect":"Allow","NotResource":"*",` + rest), "Resource and NotResource exclude each other"},
		"no resource":                    {statement(`"Effect":"Allow","Action":"*"`), "Resource is missing"},
		"an empty list of actions":       {statement(`"Effect":"Allow","Action":[],"Resource":"*"`), "Statement[0].Action (line 2): the list is empty"},
		"an action that is a number":     {statement(`"Effect":"Allow","Action":["*",1],"Resource":"*"`), "Statement[0].Action[1] (line 2): expected a string, got a number."},
		"an action without service":      {statement(`"Effect":"Allow","Action":"Connect","Resource":"*"`), `expected an action such as "iot:Connect", or "*", got "Connect".`},
		"an action with a space":         {statement(`"Effect":"Allow","Action":"iot: Connect","Resource":"*"`), "expected an action"},
		"a resource that is no ARN":      {resource("topic/a"), `The following resources are invalid : "topic/a". Statement[0].Resource (line 2): expected "*" or arn:aws:iot:REGION:ACCOUNT:TYPE/NAME.`},
		"an ARN that is too short":       {resource("arn:aws:iot:us-east-1:topic/a"), "The following resources are invalid"},
		"an ARN of another service":      {resource("arn:aws:s3:us-east-1:111122223333:topic/a"), `expected the service "iot"`},
		"an ARN without partition":       {resource("arn::iot:us-east-1:111122223333:topic/a"), "the partition is empty"},
		"an ARN of an unknown type":      {resource("arn:aws:iot:us-east-1:111122223333:topics/a"), `unknown resource type "topics"`},
		"an ARN without a name":          {resource("arn:aws:iot:us-east-1:111122223333:topic"), "expected TYPE/NAME after the account"},
		"a condition that is a list":     {statement(`"Effect":"Allow",` + rest + `,"Condition":[]`), "Statement[0].Condition (line 2): expected an object of condition operators, got a list."},
		"an unknown operator":            {statement(`"Effect":"Allow",` + rest + `,"Condition":{"StringMatches":{}}`), `unknown condition operator "StringMatches"`},
		"an operator in another case":    {statement(`"Effect":"Allow",` + rest + `,"Condition":{"stringEquals":{}}`), `unknown condition operator "stringEquals"`},
		"a quantifier before Null":       {statement(`"Effect":"Allow",` + rest + `,"Condition":{"ForAnyValue:Null":{}}`), "unknown condition operator"},
		"an operator without keys":       {statement(`"Effect":"Allow",` + rest + `,"Condition":{"Bool":true}`), "expected an object of condition keys, got a boolean."},
		"a value that is an object":      {statement(`"Effect":"Allow",` + rest + `,"Condition":{"Bool":{"x":[{}]}}`), "Statement[0].Condition.Bool.x[0] (line 2): expected a string or a list of strings, got an object."},
		"too many characters":            {resource("arn:aws:iot:us-east-1:111122223333:topic/" + strings.Repeat("é", MaxCharacters)), "characters without white space, expected at most 2048."},
		"too much white space to be one": {strings.Repeat(" ", maxRaw) + resource("*"), "bytes, expected at most 404600."},
	} {
		_, err := Parse(c.text)
		if !fault.Is(err, fault.MalformedPolicy) {
			t.Errorf("%s: got %v, want MalformedPolicy", name, err)
			continue
		}
		if _, text := fault.Show(err); !strings.HasPrefix(text, "Policy document is Malformed: ") || !strings.Contains(text, c.want) {
			t.Errorf("%s: got %q, want %q", name, text, c.want)
		}
	}
}

func TestParseAccepts(t *testing.T) {
	const all = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	for name, text := range map[string]string{
		"one statement without a list":      `{"Version":"2012-10-17","Id":"x","Statement":` + all + `}`,
		"the older version":                 `{"Version":"2008-10-17","Statement":[` + all + `]}`,
		"newer and foreign actions":         one(`{"Effect":"Allow","Action":["iot:Teleport","greengrass:*"],"Resource":"*"}`),
		"all resources of an account":       one(`{"Effect":"Allow","Action":"iot:*","Resource":"arn:aws:iot:us-east-1:111122223333:*"}`),
		"wildcards for region and account":  one(`{"Effect":"Allow","Action":"iot:*","Resource":"arn:aws:iot:*:*:client/x"}`),
		"other partitions":                  one(`{"Effect":"Allow","Action":"iot:*","Resource":"arn:aws-cn:iot:cn-north-1:111122223333:client/x"}`),
		"booleans and numbers as values":    one(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"iot:Connection.Thing.IsAttached":true},"NumericEquals":{"x":5}}}`),
		"an empty list of condition values": one(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"iot:ConnectAttributes":[]}}}`),
		"white space beyond the limit":      strings.Repeat(" \n", 5000) + one(all),
		"as many characters as may be":      one(`{"Effect":"Allow","Action":"*","Resource":"arn:aws:iot:::topic/` + strings.Repeat("é", 1944) + `"}`),
	} {
		if _, err := Parse(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParse also binds, decides and checks whatever is a document.
func FuzzParse(f *testing.F) {
	docs, _ := filepath.Glob("testdata/*/*.json")
	for _, doc := range docs {
		text, err := os.ReadFile(doc)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), "topic/$aws/certificates/create/json")
	}
	f.Add(one(statementOf("Allow", "iot:*", "topic/${iot:ClientId}?*${*}")), "topic/\xff\xfe")
	f.Fuzz(func(t *testing.T, text, asked string) {
		d, err := Parse(text)
		if err != nil {
			if !fault.Is(err, fault.MalformedPolicy) {
				t.Errorf("got %v", err)
			}
			return
		}
		ctx := mqtt(asked)
		ctx.Tenant, ctx.Certificate = testTenant, richCertificate()
		b := Bind([]Named{{"P", "1", d.Compile()}}, ctx)
		for _, action := range []string{"iot:Connect", "iot:Publish", "iot:Subscribe", "iot:Other", asked} {
			for _, resource := range []string{home + asked, asked} {
				if d := b.Decide(action, resource); d.Allowed && d.Explicit || d.Sentence(action, resource) == "" {
					t.Errorf("%s on %s: got %+v", action, resource, d)
				}
			}
		}
		if _, err := Check(text); err != nil {
			t.Error(err)
		}
		if fixed, ok := SuggestClaim(text, arn.Default); ok {
			if _, again := SuggestClaim(fixed, arn.Default); again {
				t.Errorf("the suggestion is not final:\n%s", fixed)
			}
		}
	})
}
