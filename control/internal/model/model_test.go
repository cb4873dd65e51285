package model

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/fault"
)

func table(t testing.TB) *Table {
	t.Helper()
	m, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTheTableIsWhole(t *testing.T) {
	m := table(t)
	for _, op := range Operations {
		if op.Input == "" {
			continue
		}
		for _, member := range Shapes[op.Input].Members {
			if strings.Contains(op.Path, "{"+member.Wire) != (member.In == Path) {
				t.Errorf("%s: member %s and path %s disagree", op.Name, member.Name, op.Path)
			}
		}
	}
	for name, shape := range Shapes {
		for _, inner := range append([]string{shape.Of, shape.Keys}, shapesOf(shape)...) {
			if _, ok := Shapes[inner]; inner != "" && !ok {
				t.Errorf("%s holds %s, which is not there", name, inner)
			}
		}
	}
	if m.Operation("CreateThing") == nil || m.Operation("MakeThing") != nil {
		t.Error("Operation does not know its names")
	}
}

func shapesOf(s Shape) (names []string) {
	for _, m := range s.Members {
		names = append(names, m.Shape)
	}
	return names
}

func TestPatternsMeanWhatJavaMeans(t *testing.T) {
	m := table(t)
	for _, c := range []struct {
		shape, text string
		ok          bool
	}{
		{"ThingName", "a:b_c-1", true},
		{"ThingName", "a\n", false},
		{"ThingName", "x a", false},
		{"ThingGroupDescription", "graphs & spaces~", true},
		{"ThingGroupDescription", "a\tb", false},
		{"TemplateDescription", "umlauts: ä", true},
		{"TemplateDescription", "a\x07", false},
		{"PolicyName", "a+b=c,d.e@f-g", true},
		{"CertificateId", strings.Repeat("aF", 32), true},
		{"CertificateId", strings.Repeat("g", 64), false},
		{"TagKey", "schlüssel 1:/=", true},
		{"TagKey", "a#b", false},
		{"AttributeValue", "", true},
		{"AttributeValue", "[a]=b", true},
		{"Marker", "AAAA==", true},
		{"Marker", "a_b", false},
	} {
		if broken := m.constraints(c.shape, c.text); (len(broken) == 0) != c.ok {
			t.Errorf("%s %q: %v", c.shape, c.text, broken)
		}
	}
}

func TestMembersComeFromTheirPlaces(t *testing.T) {
	m := table(t)
	in, err := m.Decode(m.Operation("AttachThingPrincipal"), Request{
		Path:   map[string]string{"thingName": "lamp"},
		Query:  url.Values{"thingPrincipalType": {"EXCLUSIVE_THING"}, "other": {"x"}},
		Header: http.Header{"X-Amzn-Principal": {"arn:p"}},
		Body:   []byte(`{"thingName":"from the body","principal":"too"}`),
	})
	if want := `{"principal":"arn:p","thingName":"lamp","thingPrincipalType":"EXCLUSIVE_THING"}`; err != nil || string(in) != want {
		t.Errorf("got %s, %v; expected %s", in, err, want)
	}
	in, err = m.Decode(m.Operation("ListThings"), Request{Query: url.Values{"maxResults": {"+5"}, "usePrefixAttributeValue": {"false"}}})
	if want := `{"maxResults":5,"usePrefixAttributeValue":false}`; err != nil || string(in) != want {
		t.Errorf("got %s, %v; expected %s", in, err, want)
	}
	in, err = m.Decode(m.Operation("CreateTopicRule"), Request{
		Path: map[string]string{"ruleName": "r"}, Body: []byte(`{"sql":"SELECT 1","actions":[]}`),
	})
	if want := `{"ruleName":"r","topicRulePayload":{"actions":[],"sql":"SELECT 1"}}`; err != nil || string(in) != want {
		t.Errorf("got %s, %v; expected %s", in, err, want)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("CreateThing", "lamp", []byte(`{"attributePayload":{"attributes":{"a":"b"},"merge":true}}`))
	f.Add("CreateProvisioningTemplate", "", []byte(`{"templateName":"t","templateBody":"{}","tags":[{"Key":"k","Value":"v"}]}`))
	f.Add("CreateTopicRule", "1", []byte(`{"sql":"x","actions":[{"http":{"url":"https://x"}}]}`))
	f.Add("ListThings", "1e999", []byte(`null`))
	m := table(f)
	f.Fuzz(func(t *testing.T, name, text string, body []byte) {
		op := m.Operation(name)
		if op == nil {
			return
		}
		r := Request{Path: map[string]string{}, Query: url.Values{}, Header: http.Header{}, Body: body}
		for _, member := range Shapes[op.Input].Members {
			r.Path[member.Wire] = text
			r.Query.Set(member.Wire, text)
			r.Header.Set(member.Wire, text)
		}
		in, err := m.Decode(op, r)
		if err != nil {
			if kind := fault.Of(err); kind != fault.InvalidRequest && kind != fault.InvalidPayload {
				t.Fatalf("bad input is said to be %v: %v", kind, err)
			}
			return
		}
		if !json.Valid(in) {
			t.Fatalf("gave %s", in)
		}
	})
}
