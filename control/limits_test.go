package control

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

// set gives the default account limits and a profile of its own.
func (s *site) set(profile tenants.Profile, limits map[ref.Limit]int) {
	s.t.Helper()
	ch := tenants.Change{Profile: new(string(profile)), Limits: map[ref.Limit]*int{}}
	for name, n := range limits {
		ch.Limits[name] = &n
	}
	err := s.db.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
		_, err := tenants.Set(ctx, tx, arn.Default, ch, time.Now())
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestLimitsAreTheAccounts(t *testing.T) {
	s := open(t, nil)
	_, cert := s.newCertificate()
	target := fmt.Sprintf(`{"target":%q}`, cert)
	policy := func(document string) string { return fmt.Sprintf(`{"policyDocument":%q}`, document) }
	template := func(name string) string {
		return fmt.Sprintf(`{"templateName":%q,"provisioningRoleArn":"arn:aws:iam::000000000000:role/r","templateBody":%q}`, name,
			`{"Resources":{"thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"a"}}}}`)
	}
	attributes := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`"a%d":"v"`, i))
		}
		return "{" + strings.Join(list, ",") + "}"
	}
	for _, c := range []struct {
		limit              ref.Limit
		n                  int
		fits               [][3]string // what the limit lets through
		method, path, body string      // and what it does not
		status             int
		exception, say     string
	}{
		{ref.Attributes, 1, nil, "POST", "/things/a", `{"attributePayload":{"attributes":` + attributes(2) + `}}`, 400, "InvalidRequestException", "the limit is 1;"},
		{ref.TypedAttributes, 60, [][3]string{{"POST", "/thing-types/t", ""}, {"POST", "/things/b", `{"thingTypeName":"t","attributePayload":{"attributes":` + attributes(60) + `}}`}},
			"PATCH", "/things/b", `{"attributePayload":{"attributes":` + attributes(61) + `}}`, 400, "InvalidRequestException", "the limit is 60."},
		{ref.SearchableAttributes, 1, nil, "POST", "/thing-types/u", `{"thingTypeProperties":{"searchableAttributes":["a","b"]}}`, 400, "InvalidRequestException", "the limit is 1."},
		{ref.GroupAttributes, 1, nil, "POST", "/thing-groups/g", `{"thingGroupProperties":{"attributePayload":{"attributes":` + attributes(2) + `}}}`, 400, "InvalidRequestException", "the limit is 1."},
		{ref.GroupDepth, 1, [][3]string{{"POST", "/thing-groups/top", ""}}, "POST", "/thing-groups/below", `{"parentGroupName":"top"}`, 400, "InvalidRequestException", "2 levels deep; the limit is 1."},
		{ref.GroupChildren, 2, [][3]string{{"POST", "/thing-groups/one", `{"parentGroupName":"top"}`}}, "POST", "/thing-groups/two", `{"parentGroupName":"top"}`, 400, "InvalidRequestException", "the limit is 2."},
		{ref.GroupsPerThing, 1, [][3]string{{"POST", "/things/c", ""}, {"POST", "/thing-groups/x", ""}, {"PUT", "/thing-groups/addThingToThingGroup", `{"thingGroupName":"top","thingName":"c"}`}},
			"PUT", "/thing-groups/addThingToThingGroup", `{"thingGroupName":"x","thingName":"c"}`, 400, "InvalidRequestException", "the limit is 1."},
		{ref.PolicyCharacters, 90, nil, "POST", "/policies/long", policy(connect), 400, "MalformedPolicyException", "expected at most 90."},
		{ref.PolicyVersions, 1, [][3]string{{"POST", "/policies/p", policy(connect)}}, "POST", "/policies/p/version", policy(connect), 409, "VersionsLimitExceededException", "(1)"},
		{ref.PoliciesPerPrincipal, 1, [][3]string{{"POST", "/policies/q", policy(connect)}, {"PUT", "/target-policies/p", target}}, "PUT", "/target-policies/q", target, 410, "LimitExceededException", "the limit is 1."},
		{ref.PoliciesPerGroup, 1, [][3]string{{"PUT", "/target-policies/p", `{"target":"arn:aws:iot:us-east-1:000000000000:thinggroup/top"}`}},
			"PUT", "/target-policies/q", `{"target":"arn:aws:iot:us-east-1:000000000000:thinggroup/top"}`, 410, "LimitExceededException", "the limit is 1."},
		{ref.Templates, 1, [][3]string{{"POST", "/provisioning-templates", template("one")}}, "POST", "/provisioning-templates", template("two"), 410, "LimitExceededException", "the limit is 1."},
		{ref.TemplateCharacters, 40, nil, "POST", "/provisioning-templates", template("characters"), 400, "InvalidRequestException", "at most 40 are allowed."},
		{ref.Tags, 1, [][3]string{{"POST", "/thing-groups/tagged", `{"tags":[{"Key":"a","Value":"1"}]}`}},
			"POST", "/tags", `{"resourceArn":"arn:aws:iot:us-east-1:000000000000:thinggroup/tagged","tags":[{"Key":"b","Value":"2"}]}`, 410, "LimitExceededException", "would carry 2 tags; the limit is 1."},
		{ref.TemplateVersions, 1, nil, "POST", "/provisioning-templates/one/versions", template("one"), 409, "VersionsLimitExceededException", "(1)"},
	} {
		t.Run(string(c.limit), func(t *testing.T) {
			t.Cleanup(func() { s.set("", map[ref.Limit]int{c.limit: tenants.Limits{}.Of(c.limit)}) })
			s.set("", map[ref.Limit]int{c.limit: c.n})
			for _, f := range c.fits {
				if got := s.send(f[0], f[1], f[2]); got.status != 200 {
					t.Fatalf("%v: %d %s", f, got.status, got.body)
				}
			}
			s.send(c.method, c.path, c.body).expect(t, c.status, c.exception, c.say)
			if c.limit != ref.TypedAttributes {
				s.set("", map[ref.Limit]int{c.limit: tenants.Limits{}.Of(c.limit)})
				if got := s.send(c.method, c.path, c.body); got.status != 200 {
					t.Errorf("with AWS's limit: %d %s", got.status, got.body)
				}
			}
		})
	}
	t.Run("what a template gives a thing is held to the account's too", func(t *testing.T) {
		template := func(n int) string {
			return fmt.Sprintf(`{"templateBody":%q}`, `{"Resources":{"thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"given","AttributePayload":`+attributes(n)+`}}}}`)
		}
		s.set("", map[ref.Limit]int{ref.Attributes: 5})
		s.send("POST", "/things", template(6)).expect(t, 400, "InvalidRequestException", "the limit is 5;")
		s.send("POST", "/things", template(5)).expect(t, 200, "", "")
	})
	t.Run("another account keeps AWS's", func(t *testing.T) {
		s.set("", map[ref.Limit]int{ref.Attributes: 1})
		body := `{"attributePayload":{"attributes":` + attributes(3) + `}}`
		if got := s.sendAs("AKIAOTHERADMIN", "POST", "/things/a", body); got.status != 200 {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})
}
