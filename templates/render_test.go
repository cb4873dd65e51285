package templates

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-iot/slipway/fault"
)

func mustParse(t testing.TB, body string, kind Kind) *Template {
	t.Helper()
	tpl, err := Parse([]byte(body), kind)
	if err != nil {
		t.Fatal(err)
	}
	return tpl
}

func TestTheSmartLockTemplateWorksAsItIs(t *testing.T) {
	data, err := os.ReadFile("testdata/smartlock-template.json")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ParseFile(data)
	if err != nil {
		t.Fatal(err)
	}
	if f.TemplateName != "SmartLockTemplate" || f.Enabled == nil || !*f.Enabled || f.Description != "Template for smart lock devices" {
		t.Errorf("the request is read as %+v", f)
	}
	tpl, err := f.Template()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Parameter{{Name: "SerialNumber", Required: true}}, tpl.Parameters()); diff != "" {
		t.Error(diff)
	}
	plan, err := tpl.Render(Input{
		Parameters: map[string]string{"SerialNumber": "A1"},
		Service:    map[string]string{CertificateID: "c0ffee"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &Plan{
		Thing: &ThingPlan{
			Name: "SmartLock-A1", Type: "SmartLock", TypeGiven: true, AttributesGiven: true,
			Attributes: map[string]string{"SerialNumber": "A1", "DeviceType": "SmartLock"},
		},
		Certificate:         &CertificatePlan{Status: Active, PrincipalType: NonExclusive, ID: "c0ffee"},
		Policies:            []PolicyPlan{{Logical: "policy", Name: "SmartLockPolicy"}},
		DeviceConfiguration: map[string]string{},
		Names:               map[string]string{"thing": TypeThing, "certificate": TypeCertificate, "policy": TypePolicy},
	}
	if diff := cmp.Diff(want, plan); diff != "" {
		t.Error(diff)
	}
}

func TestParametersSayWhatARequestHasToCarry(t *testing.T) {
	tpl := mustParse(t, `{"Parameters":{"Used":{"Type":"String"},"Idle":{"Type":"String"},"Site":{"Type":"String","Default":"lab"},
		"AWS::IoT::Certificate::Id":{"Type":"String"}},
		"Resources":{"t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Fn::Sub":"${Used}-${Site}-${AWS::IoT::Certificate::Id}"}}}}}`, Fleet)
	got := ""
	for _, p := range tpl.Parameters() {
		got += fmt.Sprintf("%s %q %v %v\n", p.Name, p.Default, p.HasDefault, p.Required)
	}
	want := "Used \"\" false true\nIdle \"\" false false\nSite \"lab\" true false\nAWS::IoT::Certificate::Id \"\" false false\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestTheLogLearnsWhereAReferenceStands(t *testing.T) {
	tpl := mustParse(t, `{"Parameters":{"S":{"Type":"String"}},
"Resources":{"t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"S"}}}}}`, Fleet)
	_, err := tpl.Render(Input{})
	if _, text := fault.Show(err); text != "Cannot resolve reference value: S" {
		t.Errorf("the device is told %q", text)
	}
	if !strings.Contains(err.Error(), "Resources.t.Properties.ThingName.Ref (line 2)") {
		t.Errorf("the log says %q", err)
	}
}

func TestRenderBoundsWhatComesIn(t *testing.T) {
	tpl := mustParse(t, `{"Resources":{"t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"t"}}}}`, Fleet)
	for name, values := range map[string]map[string]string{
		"a value of 4097 characters": {"S": strings.Repeat("é", 4097)},
		"a name of 2049 characters":  {strings.Repeat("é", 2049): "x"},
		"a value that is not UTF-8":  {"S": "\xff"},
		"a name that is not UTF-8":   {"\xff": "x"},
	} {
		for _, in := range []Input{{Parameters: values}, {Overrides: values}} {
			if _, err := tpl.Render(in); !fault.Is(err, fault.InvalidParameters) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
	largest := map[string]string{"S": strings.Repeat("é", 4096), strings.Repeat("é", 2048): "x"}
	if _, err := tpl.Render(Input{Parameters: largest}); err != nil {
		t.Errorf("the largest that is allowed: %v", err)
	}
}

func TestParseBoundsTheTemplate(t *testing.T) {
	body := func(n int) []byte {
		b := `{"Resources":{"t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"t"}}}}`
		return []byte(b + strings.Repeat(" ", n-len(b)))
	}
	if _, err := Parse(body(MaxBody), Fleet); err != nil {
		t.Errorf("a template of 10240 characters: %v", err)
	}
	if _, err := Parse(body(MaxBody+1), Fleet); !fault.Is(err, fault.InvalidRequest) {
		t.Errorf("a template of 10241 characters: %v", err)
	}
}

// Each bomb grows by a factor at every level. Without a budget the last of
// them would ask for tens of gigabytes.
func TestBombsEndInAnError(t *testing.T) {
	nest := func(level func(inner string) string, core string, n int) string {
		for range n {
			core = level(core)
		}
		return core
	}
	joinSplit := func(inner string) string {
		return `{"Fn::Join":[{"Ref":"P"},{"Fn::Split":[",",` + inner + `]}]}`
	}
	double := func(inner string) string {
		return `{"Fn::Sub":["` + strings.Repeat("${x}", 100) + `",{"x":` + inner + `}]}`
	}
	for name, expr := range map[string]string{
		"a delimiter between many pieces, nested": nest(joinSplit, `{"Ref":"P"}`, 5),
		"a hundred copies, nested":                nest(double, `{"Ref":"P"}`, 6),
		"a hundred copies of nothing, nested":     nest(double, `{"Ref":"E"}`, 6),
		"the same reference over and over":        `{"Fn::Join":["",[` + strings.TrimSuffix(strings.Repeat(`{"Ref":"P"},`, 400), ",") + `]]}`,
	} {
		t.Run(name, func(t *testing.T) {
			tpl := mustParse(t, `{"Parameters":{"P":{"Type":"String"},"E":{"Type":"String","Default":""}},
				"Resources":{"t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"t"}}},
				"DeviceConfiguration":{"a":`+expr+`}}`, Fleet)
			plan, err := tpl.Render(Input{Parameters: map[string]string{"P": strings.Repeat(",", 4096)}})
			if strings.HasSuffix(name, "of nothing, nested") {
				if err != nil || plan.DeviceConfiguration["a"] != "" {
					t.Errorf("copies of nothing are nothing: %v", err)
				}
				return
			}
			if !fault.Is(err, fault.InvalidParameters) || !strings.Contains(err.Error(), "256 KiB") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestKindOf(t *testing.T) {
	for typ, want := range map[string]Kind{"": Fleet, "FLEET_PROVISIONING": Fleet, "JITP": JITP} {
		got, err := KindOf(typ)
		if err != nil || got != want || typ != "" && got.String() != typ {
			t.Errorf("%q: got %v, %v", typ, got, err)
		}
	}
	if _, err := KindOf("BULK"); !fault.Is(err, fault.InvalidRequest) {
		t.Errorf("BULK: got %v", err)
	}
}
