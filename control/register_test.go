package control

import (
	"context"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/google/go-cmp/cmp"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/store"
)

const deviceDocument = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}`

// registerTemplate names its certificate as given, such as {"CertificateId":…}.
func registerTemplate(certificate string) string {
	return `{"Parameters":{"Name":{"Type":"String"},"Type":{"Type":"String","Default":"bulb"},"CSR":{"Type":"String","Default":""},"ID":{"Type":"String","Default":""}},
	"Resources":{
	 "thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"Name"},"ThingTypeName":{"Ref":"Type"},"AttributePayload":{"serial":{"Ref":"Name"}},"ThingGroups":["north"]}},
	 "certificate":{"Type":"AWS::IoT::Certificate","Properties":` + certificate + `},
	 "named":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"device"}},
	 "own":{"Type":"AWS::IoT::Policy","Properties":{"PolicyDocument":` + quoteJSON(deviceDocument) + `}}}}`
}

func quoteJSON(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }

func furnishRegister(t *testing.T, s *site) {
	t.Helper()
	c := s.admin()
	must(c.CreateThingType(ctx, &iot.CreateThingTypeInput{ThingTypeName: aws.String("bulb")}))(t)
	must(c.CreateThingGroup(ctx, &iot.CreateThingGroupInput{ThingGroupName: aws.String("north")}))(t)
	must(c.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: aws.String("device"), PolicyDocument: aws.String(connect)}))(t)
}

func (s *site) register(template string, kv ...string) (*iot.RegisterThingOutput, error) {
	in := &iot.RegisterThingInput{TemplateBody: &template, Parameters: map[string]string{}}
	for i := 0; i < len(kv); i += 2 {
		in.Parameters[kv[i]] = kv[i+1]
	}
	return s.admin().RegisterThing(ctx, in)
}

func TestRegisterThing(t *testing.T) {
	s := open(t, nil)
	furnishRegister(t, s)
	c := s.admin()
	bySigning := registerTemplate(`{"CertificateSigningRequest":{"Ref":"CSR"},"Status":"ACTIVE","ThingPrincipalType":"EXCLUSIVE_THING"}`)
	byID := registerTemplate(`{"CertificateId":{"Ref":"ID"}}`)

	t.Run("a signing request becomes a thing, whole", func(t *testing.T) {
		got := must(s.register(bySigning, "Name", "lamp-1", "CSR", newCSR(t)))(t)
		block, _ := pem.Decode([]byte(*got.CertificatePem))
		id := string(arn.IDOf(block.Bytes))
		if got.ResourceArns["certificate"] != home+"cert/"+id || got.ResourceArns["thing"] != home+"thing/lamp-1" ||
			got.ResourceArns["named"] != home+"policy/device" || !strings.HasPrefix(got.ResourceArns["own"], home+"policy/") || len(got.ResourceArns) != 4 {
			t.Errorf("got %v", got.ResourceArns)
		}
		cert := must(c.DescribeCertificate(ctx, &iot.DescribeCertificateInput{CertificateId: &id}))(t).CertificateDescription
		if cert.Status != types.CertificateStatusActive || *cert.CertificatePem != *got.CertificatePem || *cert.CustomerVersion != 1 {
			t.Errorf("got %s, version %d", cert.Status, *cert.CustomerVersion)
		}
		thing := must(c.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: aws.String("lamp-1")}))(t)
		if *thing.ThingTypeName != "bulb" || thing.Attributes["serial"] != "lamp-1" {
			t.Errorf("got %+v", thing)
		}
		held := must(c.ListThingPrincipalsV2(ctx, &iot.ListThingPrincipalsV2Input{ThingName: aws.String("lamp-1")}))(t).ThingPrincipalObjects
		if len(held) != 1 || *held[0].Principal != *cert.CertificateArn || held[0].ThingPrincipalType != types.ThingPrincipalTypeExclusiveThing {
			t.Errorf("held by %v", held)
		}
		policies := must(c.ListAttachedPolicies(ctx, &iot.ListAttachedPoliciesInput{Target: cert.CertificateArn}))(t).Policies
		if len(policies) != 2 {
			t.Errorf("got %v", policies)
		}
		groups := must(c.ListThingGroupsForThing(ctx, &iot.ListThingGroupsForThingInput{ThingName: aws.String("lamp-1")}))(t).ThingGroups
		if len(groups) != 1 || *groups[0].GroupName != "north" {
			t.Errorf("in %v", groups)
		}
	})
	t.Run("a certificate that is there is taken by its id", func(t *testing.T) {
		id, name := s.newCertificate()
		got := must(s.register(byID, "Name", "lamp-2", "ID", id))(t)
		if got.ResourceArns["certificate"] != name || !strings.Contains(*got.CertificatePem, "BEGIN CERTIFICATE") {
			t.Errorf("got %v", got.ResourceArns)
		}
		again := must(s.register(byID, "Name", "lamp-2", "ID", id))(t)
		if diff := cmp.Diff(got.ResourceArns, again.ResourceArns); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("its status is a conflict unless the template says what to do", func(t *testing.T) {
		id, _ := s.newCertificate()
		off := func(override string) string {
			return strings.Replace(registerTemplate(`{"CertificateId":{"Ref":"ID"},"Status":"INACTIVE"}`), `"INACTIVE"}`, `"INACTIVE"}`+override, 1)
		}
		_, err := s.register(off(""), "Name", "lamp-3", "ID", id)
		refused(t, err, "ConflictingResourceUpdateException", "Status conflicts with Status in Template")
		s.absentThing("lamp-3")
		must(s.register(off(`,"OverrideSettings":{"Status":"DO_NOTHING"}`), "Name", "lamp-3", "ID", id))(t)
		if got := s.status(id); got != types.CertificateStatusActive {
			t.Errorf("DO_NOTHING made it %s", got)
		}
		must(s.register(off(`,"OverrideSettings":{"Status":"REPLACE"}`), "Name", "lamp-3", "ID", id))(t)
		if got := s.status(id); got != types.CertificateStatusInactive {
			t.Errorf("REPLACE made it %s", got)
		}
	})
	t.Run("a new certificate conflicts with nothing", func(t *testing.T) {
		body := strings.Replace(bySigning, `"EXCLUSIVE_THING"}`, `"EXCLUSIVE_THING"},"OverrideSettings":{"Status":"FAIL"}`, 1)
		must(s.register(body, "Name", "lamp-4", "CSR", newCSR(t)))(t)
	})
	t.Run("a template without a certificate makes a thing and its policy", func(t *testing.T) {
		got := must(s.register(`{"Resources":{"t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"bare"}},"p":{"Type":"AWS::IoT::Policy","Properties":{"PolicyDocument":` + quoteJSON(publishDocument) + `}}}}`))(t)
		if got.CertificatePem != nil || got.ResourceArns["t"] != home+"thing/bare" {
			t.Errorf("got %v", got.ResourceArns)
		}
		name := strings.TrimPrefix(got.ResourceArns["p"], home+"policy/")
		if p := must(c.GetPolicy(ctx, &iot.GetPolicyInput{PolicyName: &name}))(t); *p.PolicyDocument != publishDocument {
			t.Errorf("got %s", *p.PolicyDocument)
		}
	})
}

const publishDocument = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish","Resource":"*"}]}`

func (s *site) status(id string) types.CertificateStatus {
	s.t.Helper()
	return must(s.admin().DescribeCertificate(ctx, &iot.DescribeCertificateInput{CertificateId: &id}))(s.t).CertificateDescription.Status
}

func (s *site) absentThing(name string) {
	s.t.Helper()
	_, err := s.admin().DescribeThing(ctx, &iot.DescribeThingInput{ThingName: &name})
	refused(s.t, err, "ResourceNotFoundException", name)
}

// Each way to fail leaves nothing: no thing, no certificate, no policy.
func TestRegisterThingIsAllOrNothing(t *testing.T) {
	s := open(t, nil)
	furnishRegister(t, s)
	c := s.admin()
	id, _ := s.newCertificate()
	revoked, _ := s.newCertificate()
	must(c.UpdateCertificate(ctx, &iot.UpdateCertificateInput{CertificateId: &revoked, NewStatus: types.CertificateStatusRevoked}))(t)
	must(c.CreateThing(ctx, &iot.CreateThingInput{ThingName: aws.String("taken"), AttributePayload: attributes("serial", "other")}))(t)
	signing := registerTemplate(`{"CertificateSigningRequest":{"Ref":"CSR"}}`)
	byID := registerTemplate(`{"CertificateId":{"Ref":"ID"}}`)
	malformed := strings.Replace(signing, `\"Effect\"`, `\"Affect\"`, 1)
	before := s.inventory()
	for name, tc := range map[string]struct {
		template       string
		params         []string
		exception, say string
	}{
		"no template":                {"{", nil, "InvalidRequestException", "template"},
		"a parameter without value":  {signing, []string{"CSR", "x"}, "InvalidRequestException", "Cannot resolve reference value: {Ref=Name}"},
		"a type that is not there":   {signing, []string{"Name", "a", "Type", "none", "CSR", newCSR(t)}, "ResourceRegistrationFailureException", "Thing type not found"},
		"no signing request":         {signing, []string{"Name", "a", "CSR", "nonsense"}, "InvalidRequestException", ""},
		"an unknown certificate":     {byID, []string{"Name", "a", "ID", strings.Repeat("0", 64)}, "ResourceRegistrationFailureException", "Certificate not found"},
		"a revoked certificate":      {strings.Replace(byID, `{"Ref":"ID"}}`, `{"Ref":"ID"}},"OverrideSettings":{"Status":"REPLACE"}`, 1), []string{"Name", "a", "ID", revoked}, "ResourceRegistrationFailureException", "REVOKED"},
		"a policy that is not there": {strings.Replace(signing, `"device"`, `"none"`, 1), []string{"Name", "a", "CSR", newCSR(t)}, "ResourceRegistrationFailureException", "Policy none"},
		"a malformed policy":         {malformed, []string{"Name", "a", "CSR", newCSR(t)}, "ResourceRegistrationFailureException", "Affect"},
		"another thing's name":       {signing, []string{"Name", "taken", "CSR", newCSR(t)}, "ConflictingResourceUpdateException", "conflicts with"},
		"a group that is not there":  {strings.Replace(byID, `"north"`, `"south"`, 1), []string{"Name", "a", "ID", id}, "ResourceRegistrationFailureException", "Thing group not found"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.register(tc.template, tc.params...)
			refused(t, err, tc.exception, tc.say)
			s.absentThing("a")
			if diff := cmp.Diff(before, s.inventory()); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("and what can be foreseen is not signed for", func(t *testing.T) {
		err := s.db.View(context.Background(), func(ctx context.Context, tx store.Tx) error {
			left, err := tx.StaleIntents(ctx, time.Now().Add(time.Hour), 10)
			if len(left) != 0 {
				t.Errorf("%d intents were left", len(left))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// inventory names all certificates and policies.
func (s *site) inventory() []string {
	s.t.Helper()
	var names []string
	for _, c := range must(s.admin().ListCertificates(ctx, &iot.ListCertificatesInput{}))(s.t).Certificates {
		names = append(names, *c.CertificateId)
	}
	for _, p := range must(s.admin().ListPolicies(ctx, &iot.ListPoliciesInput{}))(s.t).Policies {
		names = append(names, *p.PolicyName)
	}
	return names
}
