package templates

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/slipway-iot/slipway/fault"
)

const oneThing = `{"Resources":{"t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"t"}}}}`

func TestParseFileReadsBothForms(t *testing.T) {
	no := false
	for name, c := range map[string]struct {
		in   string
		want File
	}{
		"a template alone":                     {"{ \"Resources\": {\"t\":{\"Type\":\"AWS::IoT::Thing\",\n\"Properties\":{\"ThingName\":\"t\"}}}}\n", File{Body: oneThing}},
		"a request with the body as an object": {`{"templateBody": ` + oneThing + `}`, File{Body: oneThing}},
		"a request with the body as a string":  {`{"templateBody": "{ \"Resources\" : {} }"}`, File{Body: `{"Resources":{}}`}},
		"a request with every member": {
			`{"templateName":"n","description":"d","enabled":false,"provisioningRoleArn":"r","type":"JITP","templateBody":` + oneThing + `,
			  "preProvisioningHook":{"payloadVersion":"2020-04-01","targetArn":"arn"},"tags":[{"Key":"a","Value":"b"},{"Key":"c","Value":""}]}`,
			File{TemplateName: "n", Description: "d", Enabled: &no, ProvisioningRoleARN: "r", Type: "JITP", Body: oneThing,
				Hook: &HookRecord{"2020-04-01", "arn"}, Tags: map[string]string{"a": "b", "c": ""}},
		},
		"a skeleton with nulls": {`{"templateName":null,"enabled":null,"preProvisioningHook":null,"tags":null,"templateBody":` + oneThing + `}`, File{Body: oneThing}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseFile([]byte(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreUnexported(File{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseFileRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"what is not JSON":             {"{\n]", "The file is not well-formed: line 2"},
		"neither form":                 {`{"templateName":"x"}`, "neither a template"},
		"a list":                       {`[]`, "neither a template"},
		"a member it does not know":    {"{\"templateBody\":{},\n\"templateNam\":\"x\"}", `templateNam (line 2): unknown member "templateNam"; expected one of templateName, `},
		"a member of the hook":         {`{"templateBody":{},"preProvisioningHook":{"targetARN":"x"}}`, `preProvisioningHook.targetARN (line 1): unknown member`},
		"a member of a tag":            {`{"templateBody":{},"tags":[{"key":"x"}]}`, `tags[0].key (line 1): unknown member`},
		"tags that are an object":      {`{"templateBody":{},"tags":{"a":"b"}}`, "tags (line 1): expected a list, got an object."},
		"two tags of a name":           {`{"templateBody":{},"tags":[{"Key":"a"},{"Key":"a"}]}`, "tags[1] (line 1): a tag has a Key that no other tag has."},
		"enabled in quotes":            {`{"templateBody":{},"enabled":"true"}`, "enabled (line 1): expected a boolean, got a string."},
		"a name that is a number":      {`{"templateBody":{},"templateName":1}`, "templateName (line 1): expected a string, got a number."},
		"a body that is a list":        {`{"templateBody":[]}`, "templateBody (line 1): expected an object, got a list."},
		"a body that is not JSON text": {`{"templateBody":"{"}`, "templateBody (line 1): the string is not well-formed JSON."},
		"a body that is null":          {`{"templateBody":null}`, "templateBody (line 1): expected an object, got null."},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseFile([]byte(c.in))
			if text := mustBe(t, err, fault.InvalidRequest); !strings.Contains(text, c.want) {
				t.Errorf("got %q, want %q", text, c.want)
			}
		})
	}
}

func TestFileErrorsNameTheLinesOfTheFile(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"in a request":  {"{\"templateBody\":\n{\"Resources\":\n{\"t\":{\"Type\":\"x\"}}}}", "templateBody.Resources.t.Type (line 3)"},
		"in a template": {"{\n\"Resources\":\n{\"t\":{\"Type\":\"x\"}}}", "Resources.t.Type (line 3)"},
		"in a string":   {"{\n\"templateBody\":\"{\\\"Resources\\\":{}}\"}", "Resources (line 1)"},
		"of the type":   {`{"type":"BULK","templateBody":{}}`, "type: \"BULK\""},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := ParseFile([]byte(c.in))
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.Template()
			if text := mustBe(t, err, fault.InvalidRequest); !strings.Contains(text, c.want) {
				t.Errorf("got %q, want %q", text, c.want)
			}
		})
	}
}
