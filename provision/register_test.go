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
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/things"
	"github.com/slipway-iot/slipway/wire"
)

// furnish makes a type, two groups and a billing group.
func (r *rig) furnish() {
	r.t.Helper()
	r.update(func(ctx context.Context, tx store.Tx) error {
		if err := things.CreateType(ctx, tx, arn.Default, &things.Type{Name: "lamp", Created: r.now}); err != nil {
			return err
		}
		for _, g := range []string{"lab", "plant"} {
			if err := things.CreateGroup(ctx, tx, arn.Default, &things.Group{Name: g, Created: r.now}); err != nil {
				return err
			}
		}
		return things.CreateBillingGroup(ctx, tx, arn.Default, &things.BillingGroup{Name: "north", Created: r.now})
	})
}

// An operator who deactivated a certificate between the two requests is not
// overruled, unless the template says so (templates.md, section 2.4).
func TestACertificateThatIsNoLongerPending(t *testing.T) {
	for setting, want := range map[string]string{"": "", "FAIL": "", "DO_NOTHING": "INACTIVE", "REPLACE": "ACTIVE"} {
		t.Run(setting, func(t *testing.T) {
			r := newRig(t)
			text := body(attributes)
			if setting != "" {
				text = strings.Replace(text, `"Status":"Active"}}`, `"Status":"Active"},"OverrideSettings":{"Status":"`+setting+`"}}`, 1)
			}
			r.template("fleet", text, false)
			token, id := r.token()
			r.update(func(ctx context.Context, tx store.Tx) error {
				c, err := tx.Certificate(ctx, arn.Default, id)
				if err != nil {
					return err
				}
				return certs.SetStatus(ctx, tx, c, certs.Inactive, r.clock())
			})
			before := r.snapshot()
			_, err := r.register(token, "1")
			if want != "" {
				must(t, err)
				r.wantStatus(id, want)
				return
			}
			wantFault(t, err, fault.Conflict, "Status conflicts with Status in Template")
			if diff := cmp.Diff(before, r.snapshot()); diff != "" {
				t.Errorf("something was stored: %s", diff)
			}
		})
	}
}

const everything = attributes + `,"ThingTypeName":"lamp","ThingGroups":["lab"],"BillingGroup":"north"`

func TestADeviceBecomesAThing(t *testing.T) {
	r := newRig(t)
	r.furnish()
	r.template("fleet", body(everything), false)
	token, id := r.token()
	r.wantStatus(id, "PENDING_ACTIVATION")
	trace := &steps{}
	who := r.claim()
	who.Trace = trace
	answer, err := r.engine.RegisterThing(context.Background(), who, "fleet", request(token, "1"))
	must(t, err)
	want := &wire.RegisterAnswer{ThingName: "lamp-1", DeviceConfiguration: map[string]string{"site": "lab"}}
	if diff := cmp.Diff(want, answer); diff != "" {
		t.Error(diff)
	}
	th := r.thing("lamp-1")
	if th.Type != "lamp" || th.BillingGroup != "north" || th.Version != 1 || th.Attributes["serial"] != "1" || th.Attributes["site"] != "lab" {
		t.Errorf("got %+v", th)
	}
	r.wantStatus(id, "ACTIVE")
	for _, links := range []struct {
		kind  ref.Kind
		right string
		want  string
	}{
		{ref.GroupThing, "lamp-1", "lab"}, {ref.BillingThing, "lamp-1", "north"},
		{ref.PolicyTarget, arn.Default.Cert(id), "device"}, {ref.ThingPrincipal, arn.Default.Cert(id), "lamp-1"},
	} {
		if got := r.lefts(links.kind, links.right); !slices.Equal(got, []string{links.want}) {
			t.Errorf("%s of %s: got %v, want %s", links.kind, links.right, got, links.want)
		}
	}
	if said := strings.Join(trace.all, "\n"); !strings.Contains(said, "Thing lamp-1 is created.") || !strings.Contains(said, "ACTIVE") {
		t.Errorf("the timeline says %s", said)
	}
	if !slices.Contains(trace.made, id) {
		t.Errorf("the attempt is not found by the certificate %s, only by %v", id, trace.made)
	}
}

func TestTheCertificateMayStayInactive(t *testing.T) {
	r := newRig(t)
	r.template("fleet", strings.Replace(body(""), `"Status":"Active"`, `"Status":"INACTIVE"`, 1), false)
	token, id := r.token()
	r.registered(token, "1")
	r.wantStatus(id, "INACTIVE")
}

// Each part of a plan that cannot be done refuses the whole, and the device
// that asks again with the same token, once the template is repaired, gets all
// of it.
func TestAllOrNothing(t *testing.T) {
	policies := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`"p%d":{"Type":"AWS::IoT::Policy","Properties":{"PolicyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"iot:Connect\",\"Resource\":\"arn:aws:iot:us-east-1:000000000000:client/%d\"}]}"}}`, i, i))
		}
		return `{"Parameters":{"SerialNumber":{"Type":"String"}},"Resources":{"thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"SerialNumber"}}},` + strings.Join(all, ",") + `}}`
	}
	for _, test := range []struct {
		say, body string
		tags      []string
		world     func(context.Context, store.Tx, arn.CertID) error
		kind      fault.Kind
		text      string
	}{
		{say: "a thing type that is missing", body: body(`,"ThingTypeName":"torch"`), kind: fault.MissingPart, text: "Thing type not found: the template names type torch"},
		{say: "a thing type that is deprecated", body: body(`,"ThingTypeName":"lamp"`), kind: fault.MissingPart, text: "Thing type lamp, which the template names, is deprecated",
			world: func(ctx context.Context, tx store.Tx, _ arn.CertID) error {
				return things.Deprecate(ctx, tx, arn.Default, "lamp", false, time.Now())
			}},
		{say: "a group that is missing", body: body(`,"ThingGroups":["lab","attic"]`), kind: fault.MissingPart, text: "Thing group not found: the template names attic"},
		{say: "two groups of one hierarchy", body: body(`,"ThingGroups":["lab","bench"]`), kind: fault.InvalidRequest, text: "same hierarchy",
			world: func(ctx context.Context, tx store.Tx, _ arn.CertID) error {
				return things.CreateGroup(ctx, tx, arn.Default, &things.Group{Name: "bench", Parent: "lab"})
			}},
		{say: "a billing group that is missing", body: body(`,"BillingGroup":"south"`), kind: fault.MissingPart, text: "Billing group not found: the template names south"},
		{say: "a policy that is missing", body: strings.Replace(body(""), `"device"`, `"nobody"`, 1), kind: fault.MissingPart, text: "Policy nobody, which the template attaches, does not exist"},
		{say: "more policies than a certificate carries", body: policies(10), kind: fault.LimitExceeded, text: "the limit is 10",
			world: func(ctx context.Context, tx store.Tx, id arn.CertID) error {
				return policy.Attach(ctx, tx, arn.Default, "device", arn.Default.Cert(id), time.Now())
			}},
		{say: "more attributes than a thing without a type has", body: body(`,"AttributePayload":{"a":"1","b":"2","c":"3","d":"4"}`), kind: fault.InvalidRequest, text: "the limit is 3"},
		{say: "a policy document that is none", kind: fault.MalformedPolicy, text: "",
			body: strings.Replace(body(""), `"PolicyName":"device"`, `"PolicyDocument":"{\"Version\":\"2012-10-17\"}"`, 1)},
		{say: "other attributes than the thing has", body: body(attributes), kind: fault.Conflict, text: "lamp-1 has serial=other",
			world: func(ctx context.Context, tx store.Tx, _ arn.CertID) error {
				return things.Create(ctx, tx, &things.Thing{Tenant: arn.Default, Name: "lamp-1", Attributes: map[string]string{"serial": "other"}})
			}},
		{say: "a thing that exists, where that is denied", body: body(""), tags: []string{"slipway:reprovision", "deny"}, kind: fault.Conflict, text: "Duplicate serial: thing lamp-1 exists",
			world: func(ctx context.Context, tx store.Tx, _ arn.CertID) error {
				return things.Create(ctx, tx, &things.Thing{Tenant: arn.Default, Name: "lamp-1"})
			}},
		{say: "a parameter without value", body: strings.NewReplacer(`"Site":{"Type":"String","Default":"lab"}`, `"Room":{"Type":"String"}`, `"Ref":"Site"`, `"Ref":"Room"`).Replace(body("")),
			kind: fault.InvalidParameters, text: "Room"},
	} {
		t.Run(test.say, func(t *testing.T) {
			r := newRig(t)
			r.furnish()
			r.template("fleet", test.body, false, test.tags...)
			token, id := r.token()
			if test.world != nil {
				r.update(func(ctx context.Context, tx store.Tx) error { return test.world(ctx, tx, id) })
			}
			before := r.snapshot()
			_, err := r.register(token, "1")
			wantFault(t, err, test.kind, test.text)
			if diff := cmp.Diff(before, r.snapshot()); diff != "" {
				t.Errorf("something was stored: %s", diff)
			}
			r.template("fleet", body(""), false)
			if answer := r.registered(token, "2"); answer.ThingName != "lamp-2" {
				t.Errorf("got %+v", answer)
			}
			r.wantStatus(id, "ACTIVE")
		})
	}
}

// Wherever the store fails inside the transaction, nothing of it is kept and
// the token is good.
func TestEveryStatementMayFail(t *testing.T) {
	r := newRig(t)
	r.furnish()
	r.template("fleet", strings.Replace(body(everything), `"PolicyName":"device"`, `"PolicyDocument":`+fmt.Sprintf("%q", document), 1), false)
	for n := 1; ; n++ {
		token, id := r.token()
		before := r.snapshot()
		r.db.atWrite = n
		_, err := r.register(token, fmt.Sprint(n))
		r.db.atWrite = 0
		if err == nil {
			if n < 7 {
				t.Errorf("a registration took %d writes; a thing, its groups, a policy, two attachments, a status and a token are expected", n-1)
			}
			return
		}
		wantFault(t, err, fault.Internal, "The server failed and has logged the cause")
		if diff := cmp.Diff(before, r.snapshot()); diff != "" {
			t.Errorf("write %d failed and something was stored: %s", n, diff)
		}
		r.registered(token, fmt.Sprint(n))
		r.wantStatus(id, "ACTIVE")
		r.update(func(ctx context.Context, tx store.Tx) error { // the next round begins without the policy again
			for _, p := range policiesOf(ctx, t, tx) {
				if err := tx.DeletePolicy(ctx, arn.Default, p); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func policiesOf(ctx context.Context, t *testing.T, tx store.Tx) (names []string) {
	all, _, err := tx.ListPolicies(ctx, arn.Default, ref.All)
	must(t, err)
	for _, p := range all {
		names = append(names, p.Name)
	}
	return names
}

func TestACommitOfUnknownOutcome(t *testing.T) {
	for _, test := range []struct {
		say    string
		break_ func(*lever)
		stored bool
		calls  int32 // of the function, in all
	}{
		{"it failed and was not stored", func(l *lever) { l.lostCommit = true }, false, 2},
		{"it failed and was stored", func(l *lever) { l.lostAnswer = true }, true, 1},
	} {
		t.Run(test.say, func(t *testing.T) {
			r := newRig(t)
			r.template("fleet", body(attributes), true)
			token, id := r.token()
			test.break_(r.db)
			_, err := r.register(token, "1")
			wantFault(t, err, fault.Internal, "try again")
			r.db.lostCommit, r.db.lostAnswer = false, false
			if stored := r.status(id) == "ACTIVE"; stored != test.stored {
				t.Errorf("stored: %t", stored)
			}
			answer := r.registered(token, "1")
			if answer.ThingName != "lamp-1" || answer.DeviceConfiguration["site"] != "lab" {
				t.Errorf("got %+v", answer)
			}
			if n := r.function.calls.Load(); n != test.calls {
				t.Errorf("the function was asked %d times, want %d", n, test.calls)
			}
			if th := r.thing("lamp-1"); th.Version != 1 {
				t.Errorf("the thing has version %d", th.Version)
			}
			r.wantStatus(id, "ACTIVE")
		})
	}
}

// PostgreSQL runs a function again after a conflict.
func TestAConflictIsRunAgain(t *testing.T) {
	r := newRig(t)
	r.furnish()
	r.db.DB = conflicting{r.db.DB}
	r.template("fleet", body(everything), true)
	token, id := r.token()
	r.registered(token, "1")
	r.wantStatus(id, "ACTIVE")
	if th := r.thing("lamp-1"); th.Version != 1 || th.BillingGroup != "north" {
		t.Errorf("got %+v", th)
	}
	if answer := r.registered(token, "1"); answer.ThingName != "lamp-1" {
		t.Errorf("got %+v", answer)
	}
}

func TestOverrideSettings(t *testing.T) {
	old := things.Thing{Type: "lamp", Attributes: map[string]string{"serial": "old", "room": "7"}}
	settings := func(all string) string { return `,"OverrideSettings":{` + all + `}` }
	all := func(how string) string {
		return settings(`"AttributePayload":"` + how + `","ThingTypeName":"` + how + `","ThingGroups":"` + how + `"`)
	}
	for _, test := range []struct {
		say, properties, settings string
		want                      string // type, attributes, groups; or what conflicts
		conflict                  bool
	}{
		{"REPLACE sets what the template says", everything, all("REPLACE"), "lamp map[serial:1 site:lab] [lab]", false},
		{"REPLACE removes what the template leaves out", "", all("REPLACE"), " map[] []", false},
		{"DO_NOTHING keeps all", everything, all("DO_NOTHING"), "lamp map[room:7 serial:old] [plant]", false},
		{"MERGE adds, and the template wins", everything, settings(`"AttributePayload":"MERGE","ThingGroups":"MERGE"`), "lamp map[room:7 serial:1 site:lab] [lab plant]", false},
		{"FAIL refuses even what is equal", `,"ThingTypeName":"lamp"`, settings(`"ThingTypeName":"FAIL"`), "ThingTypeName conflicts", true},
		{"no setting refuses other attributes", attributes, "", "AttributePayload conflicts", true},
		{"no setting refuses other groups", `,"ThingGroups":["lab"]`, "", "ThingGroups conflicts", true},
		{"no setting takes what is equal", `,"ThingTypeName":"lamp","ThingGroups":["plant"]`, "", "lamp map[room:7 serial:old] [plant]", false},
		{"what the template leaves out stays", "", "", "lamp map[room:7 serial:old] [plant]", false},
	} {
		t.Run(test.say, func(t *testing.T) {
			r := newRig(t)
			r.furnish()
			r.update(func(ctx context.Context, tx store.Tx) error {
				th := old
				th.Tenant, th.Name, th.Created = arn.Default, "lamp-1", r.now
				if err := things.Create(ctx, tx, &th); err != nil {
					return err
				}
				return things.Join(ctx, tx, arn.Default, "plant", "lamp-1", r.now)
			})
			r.template("fleet", body(test.properties, test.settings), false)
			token, _ := r.token()
			before := r.snapshot()
			_, err := r.register(token, "1")
			if test.conflict {
				wantFault(t, err, fault.Conflict, test.want)
				if diff := cmp.Diff(before, r.snapshot()); diff != "" {
					t.Errorf("something was stored: %s", diff)
				}
				return
			}
			must(t, err)
			th := r.thing("lamp-1")
			if got := fmt.Sprintln(th.Type, th.Attributes, r.lefts(ref.GroupThing, "lamp-1")); got != test.want+"\n" {
				t.Errorf("got %swant %s", got, test.want)
			}
		})
	}
}

func TestASecondCertificateKeepsTheFirst(t *testing.T) {
	r := newRig(t)
	r.template("fleet", body(attributes), false)
	token, first := r.token()
	r.registered(token, "1")
	token, second := r.token()
	r.registered(token, "1")
	for _, id := range []arn.CertID{first, second} {
		r.wantStatus(id, "ACTIVE")
		if got := r.lefts(ref.ThingPrincipal, arn.Default.Cert(id)); !slices.Equal(got, []string{"lamp-1"}) {
			t.Errorf("attached to %v", got)
		}
	}
	if th := r.thing("lamp-1"); th.Version != 1 {
		t.Errorf("a thing that did not change has version %d", th.Version)
	}
}

func TestATemplateThatMayNotProvision(t *testing.T) {
	r := newRig(t)
	r.template("fleet", body(""), false)
	r.update(func(ctx context.Context, tx store.Tx) error {
		return templates.Create(ctx, tx, &templates.Record{Tenant: arn.Default, Name: "jitp", Type: templates.JustInTime, Enabled: true, RoleARN: "r"},
			`{"Resources":{"certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"}}}}}`)
	})
	token, _ := r.token()
	ask := func(template string) error {
		_, err := r.engine.RegisterThing(context.Background(), r.claim(), template, request(token, "1"))
		return err
	}
	wantFault(t, ask("nobody"), fault.Missing, "Template not found: there is no provisioning template nobody in account 000000000000")
	wantFault(t, ask("jitp"), fault.Refused, "is of type JITP")
	off := false
	r.change("fleet", templates.Change{Enabled: &off})
	wantFault(t, ask("fleet"), fault.Refused, "Template fleet is disabled")

	t.Run("nor with a claim for another one", func(t *testing.T) {
		who := r.claim()
		who.Claim = &certs.ClaimRecord{Template: "doors"}
		_, err := r.engine.RegisterThing(context.Background(), who, "fleet", request(token, "1"))
		wantFault(t, err, fault.Refused, "Claim not authorised: this claim was made for template doors")
	})
}
