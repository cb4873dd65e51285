package provision_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/things"
)

// worlds are registries that a template may meet: what is there once, and what
// is there by the name of the thing.
var worlds = map[string]func(ctx context.Context, tx store.Tx, first bool, name string) error{
	"an empty one": func(context.Context, store.Tx, bool, string) error { return nil },
	"the thing as the template says": func(ctx context.Context, tx store.Tx, _ bool, name string) error {
		_, serial, _ := strings.Cut(name, "-")
		return things.Create(ctx, tx, &things.Thing{Tenant: arn.Default, Name: name, Attributes: map[string]string{"serial": serial, "site": "lab"}})
	},
	"another thing by that name": func(ctx context.Context, tx store.Tx, _ bool, name string) error {
		if err := things.Create(ctx, tx, &things.Thing{Tenant: arn.Default, Name: name, Type: "lamp", BillingGroup: "north", Attributes: map[string]string{"serial": "old", "room": "7"}}); err != nil {
			return err
		}
		return things.Join(ctx, tx, arn.Default, "plant", name, time.Now())
	},
	"one in which the type is deprecated": func(ctx context.Context, tx store.Tx, _ bool, _ string) error {
		return things.Deprecate(ctx, tx, arn.Default, "lamp", false, time.Now())
	},
	"one in which somebody changed the policy of the document": func(ctx context.Context, tx store.Tx, first bool, _ string) error {
		if !first {
			return nil
		}
		plan, err := parsed(documented).Render(templates.Input{Parameters: map[string]string{"SerialNumber": "1"},
			Service: map[string]string{templates.CertificateID: strings.Repeat("0", 64)}})
		if err != nil {
			return err
		}
		_, err = policy.Create(ctx, tx, arn.Default, plan.Policies[0].Name, strings.ReplaceAll(document, "Allow", "Deny"), nil, time.Now())
		return err
	},
}

func parsed(text string) *templates.Template {
	p, err := templates.Parse([]byte(text), templates.Fleet)
	if err != nil {
		panic(err)
	}
	return p
}

var documented = strings.Replace(body(attributes), `"PolicyName":"device"`, `"PolicyDocument":`+fmt.Sprintf("%q", document), 1)

const merging = `,"OverrideSettings":{"AttributePayload":"MERGE","ThingTypeName":"REPLACE","ThingGroups":"REPLACE"}`

// What a preview says is what a registration then does: it refuses with the
// same sentence, or changes just what was said.
func TestAPreviewTellsTheTruth(t *testing.T) {
	bodies := map[string]string{
		"a thing":                             body(""),
		"with attributes":                     body(attributes),
		"with everything":                     body(everything),
		"with everything, merging":            body(everything, merging),
		"with a policy document":              documented,
		"with too many attributes":            body(`,"AttributePayload":{"a":"1","b":"2","c":"3","d":"4"}`),
		"with a group that is missing":        body(`,"ThingGroups":["attic"]`),
		"with two groups of one hierarchy":    body(`,"ThingGroups":["lab","bench"]`, merging),
		"with a policy that is missing":       strings.Replace(body(""), `"device"`, `"nobody"`, 1),
		"with a policy document that is none": strings.Replace(documented, "2012-10-17", "2012-10-18", 1),
		"without a thing": `{"Resources":{"certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"Inactive"}},
			"policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"device"}}}}`,
	}
	for world, furnish := range worlds {
		r := newRig(t)
		r.furnish()
		r.update(func(ctx context.Context, tx store.Tx) error {
			return things.CreateGroup(ctx, tx, arn.Default, &things.Group{Name: "bench", Parent: "lab"})
		})
		serial := 0
		for name, text := range bodies {
			for _, setting := range []string{"keep", "deny"} {
				serial++
				t.Run(strings.Join([]string{name, world, setting}, ", "), func(t *testing.T) {
					r.update(func(ctx context.Context, tx store.Tx) error {
						return furnish(ctx, tx, serial == 1, fmt.Sprintf("lamp-%d", serial))
					})
					r.template("fleet", text, false, "slipway:reprovision", setting)
					r.checkPreview(t, fmt.Sprint(serial))
				})
			}
		}
	}
}

func (r *rig) checkPreview(t *testing.T, serial string) {
	t.Helper()
	token, id := r.token()
	before := r.snapshot()
	stats := r.db.Stats()
	p, err := r.engine.Preview(context.Background(), arn.Default, "fleet", "", map[string]string{"SerialNumber": serial}, "")
	must(t, err)
	if diff := cmp.Diff(before, r.snapshot()); diff != "" || r.db.Stats().Commits != stats.Commits {
		t.Errorf("a preview stored something: %s", diff)
	}
	trace := &steps{}
	who := r.claim()
	who.Trace = trace
	_, err = r.engine.RegisterThing(context.Background(), who, "fleet", request(token, serial))
	if _, text := fault.Show(err); err != nil && text != p.Refusal || err == nil && p.Refusal != "" {
		t.Errorf("the preview says it is refused with %q; registering gave %v", p.Refusal, err)
	}
	if err != nil {
		return
	}
	r.wantStatus(id, string(p.Plan.Certificate.Status))
	for _, done := range trace.all {
		text, _ := strings.CutPrefix(done, "apply: ")
		if strings.HasPrefix(text, "Attached policy") || strings.HasPrefix(text, "Certificate ") {
			continue // said in other words
		}
		if !slices.Contains(p.Changes, text) {
			t.Errorf("%q was done and not foreseen: %q", text, p.Changes)
		}
	}
	if want := len(trace.all); len(p.Changes) != want {
		t.Errorf("foreseen: %q, done: %q", p.Changes, trace.all)
	}
}

func TestAPreviewAsksNobody(t *testing.T) {
	r := newRig(t)
	r.template("fleet", body(attributes), true)
	p, err := r.engine.Preview(context.Background(), arn.Default, "fleet", "", map[string]string{"SerialNumber": "1"}, "")
	must(t, err)
	if r.function.calls.Load() != 0 {
		t.Error("the function was asked")
	}
	if p.Plan.Thing.Name != "lamp-1" || p.Refusal != "" {
		t.Errorf("got %+v", p)
	}
}

func TestWhatAPreviewNeeds(t *testing.T) {
	r := newRig(t)
	ctx := context.Background()
	serial := map[string]string{"SerialNumber": "1"}
	_, err := r.engine.Preview(ctx, arn.Default, "fleet", "", serial, "")
	wantFault(t, err, fault.Missing, "Provisioning template fleet does not exist")
	p, err := r.engine.Preview(ctx, arn.Default, "fleet", body(""), serial, "")
	must(t, err)
	if p.Refusal != "" || len(p.Changes) != 3 {
		t.Errorf("a body that is not stored yet: %+v", p)
	}
	r.template("fleet", body(""), false)
	_, err = r.engine.Preview(ctx, arn.Default, "fleet", "", nil, "")
	wantFault(t, err, fault.InvalidParameters, "Cannot resolve reference value: SerialNumber")
	_, err = r.engine.Preview(ctx, arn.Default, "fleet", "{", serial, "")
	wantFault(t, err, fault.InvalidRequest, "not well-formed")
	_, err = r.engine.Preview(ctx, other, "fleet", "", serial, "")
	wantFault(t, err, fault.Missing, "does not exist")
	r.update(func(ctx context.Context, tx store.Tx) error {
		return templates.Create(ctx, tx, &templates.Record{Tenant: arn.Default, Name: "jitp", Type: templates.JustInTime, RoleARN: "r"},
			`{"Resources":{"certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"}}}}}`)
	})
	_, err = r.engine.Preview(ctx, arn.Default, "jitp", "", serial, "")
	wantFault(t, err, fault.InvalidRequest, "A template of type JITP reads the certificate of a device")
	_, err = r.engine.Preview(ctx, arn.Default, "jitp", "", serial, string(r.csr))
	wantFault(t, err, fault.InvalidRequest, "takes no parameters")
	_, err = r.engine.Preview(ctx, arn.Default, "jitp", "", nil, "none")
	wantFault(t, err, fault.InvalidRequest, "The certificate is not PEM")
	_, err = r.engine.Preview(ctx, arn.Default, "fleet", "", serial, string(r.csr))
	wantFault(t, err, fault.InvalidRequest, "takes parameters")
	p, err = r.engine.Preview(ctx, arn.Default, "jitp", "", nil, string(r.csr))
	if must(t, err); p.Refusal != "" || len(p.Changes) != 1 {
		t.Errorf("a JITP template: %+v", p)
	}
	p, err = r.engine.Preview(ctx, arn.Default, "new", `{"Parameters":{"AWS::IoT::Certificate::CommonName":{"Type":"String"}},"Resources":{
	 "thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"AWS::IoT::Certificate::CommonName"}}},
	 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"}}}}}`, nil, string(r.csr))
	if must(t, err); p.Refusal != "" || p.Plan.Thing.Name != "device" {
		t.Errorf("a JITP template that is not stored: %+v", p)
	}
	t.Run("a store that works", func(t *testing.T) {
		r.db.atWrite = 1
		if p, err := r.engine.Preview(ctx, arn.Default, "fleet", "", serial, ""); !fault.Is(err, fault.Internal) || p != nil {
			t.Errorf("got %+v, %v", p, err)
		}
	})
}
