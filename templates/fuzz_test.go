package templates

import (
	"maps"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	"github.com/slipway-iot/slipway/fault"
)

// seeds gives every template of testdata.
func seeds(tb testing.TB) (bodies []string) {
	tb.Helper()
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		for _, c := range casesOf(ar) {
			bodies = append(bodies, c.parts["template.json"])
		}
	}
	return bodies
}

func FuzzParse(f *testing.F) {
	for i, body := range seeds(f) {
		f.Add([]byte(body), uint8(i%3))
	}
	f.Fuzz(func(t *testing.T, body []byte, kind uint8) {
		tpl, err := Parse(body, Kind(kind%3))
		if err != nil {
			mustBe(t, err, fault.InvalidRequest)
			return
		}
		text, err := compact(body)
		if err != nil {
			t.Fatalf("a template that parses is not JSON: %v", err)
		}
		if again, err := Parse([]byte(text), tpl.Kind()); err != nil || !cmp.Equal(again.Parameters(), tpl.Parameters()) {
			t.Fatalf("without white space it is another template: %v", err)
		}
	})
}

func FuzzParseFile(f *testing.F) {
	for _, body := range seeds(f) {
		f.Add([]byte(body))
		f.Add([]byte(`{"templateName":"n","enabled":true,"tags":[{"Key":"k","Value":"v"}],"preProvisioningHook":{"targetArn":"a"},"templateBody":` + body + `}`))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := ParseFile(data)
		if err != nil {
			mustBe(t, err, fault.InvalidRequest)
			return
		}
		if _, err := file.Template(); err != nil {
			mustBe(t, err, fault.InvalidRequest)
		}
	})
}

func FuzzRender(f *testing.F) {
	for i, body := range seeds(f) {
		f.Add(body, uint8(i%3), "S", "A1", "AWS::IoT::Certificate::CommonName", "dev-1")
	}
	f.Add(`{"Parameters":{"P":{"Type":"String"}},"Resources":{"t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Fn::Join":[{"Ref":"P"},{"Fn::Split":[",",{"Ref":"P"}]}]}}}}}`,
		uint8(0), "P", ",,,,", "", "")
	f.Fuzz(func(t *testing.T, body string, kind uint8, name, value, service, supplied string) {
		tpl, err := Parse([]byte(body), Kind(kind%3))
		if err != nil {
			return
		}
		checkRender(t, tpl, Input{
			Parameters: map[string]string{name: value},
			Service:    map[string]string{CertificateID: "c0ffee", service: supplied},
		})
	})
}

// checkRender holds for every template and input.
func checkRender(t interface {
	Helper()
	Fatalf(string, ...any)
}, tpl *Template, in Input) {
	t.Helper()
	plan, err := tpl.Render(in)
	again, err2 := tpl.Render(in)
	if !cmp.Equal(plan, again) || (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
		t.Fatalf("two renderings differ: %v %v, %v %v", plan, err, again, err2)
	}
	if err != nil {
		if plan != nil || !fault.Is(err, fault.InvalidParameters) {
			t.Fatalf("an error of another kind, or with a plan: %v", err)
		}
		return
	}
	size := 0
	for _, p := range plan.Policies {
		size += len(p.Document)
		if !isPolicyName(p.Name) {
			t.Fatalf("policy name %q", p.Name)
		}
	}
	for _, v := range plan.DeviceConfiguration {
		size += len(v)
	}
	if size > maxRendered+2*MaxBody*4 {
		t.Fatalf("a plan of %d bytes", size)
	}
	if plan.Thing != nil && !isName(plan.Thing.Name) {
		t.Fatalf("thing name %q", plan.Thing.Name)
	}
	if plan.Certificate == nil && tpl.Kind() != Inline {
		t.Fatalf("no certificate")
	}
	if id := in.Service[CertificateID]; plan.Certificate != nil && tpl.Kind() != Inline && plan.Certificate.ID != id {
		t.Fatalf("the certificate at hand is %q, the plan names %q", id, plan.Certificate.ID)
	}
}

// Rendering gives the same twice, leaves its input alone, and does not look at
// parameters that nobody declared.
func TestRenderIsPure(t *testing.T) {
	bodies := seeds(t)
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SampledFrom(bodies).Draw(t, "body")
		kind := rapid.SampledFrom([]Kind{Fleet, JITP, Inline}).Draw(t, "kind")
		tpl, err := Parse([]byte(body), kind)
		if err != nil {
			t.Skip("not a template of this kind")
		}
		values := rapid.MapOfN(rapid.SampledFrom([]string{"S", "N", "U", "SerialNumber", CertificateID, "AWS::IoT::Certificate::CommonName"}), rapid.String(), 0, 4)
		in := Input{Parameters: values.Draw(t, "parameters"), Overrides: values.Draw(t, "overrides"), Service: map[string]string{CertificateID: "c0ffee"}}
		before := Input{maps.Clone(in.Parameters), maps.Clone(in.Overrides), maps.Clone(in.Service)}
		checkRender(t, tpl, in)
		if !cmp.Equal(before, in) {
			t.Fatalf("the input was changed")
		}
		plan, _ := tpl.Render(in)
		in.Parameters["nobody declared this"] = "x"
		if more, _ := tpl.Render(in); !cmp.Equal(plan, more) {
			t.Fatalf("an undeclared parameter changes the plan")
		}
	})
}
