package control

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/internal/certtest"
)

const jitpBody = `{"Parameters":{"AWS::IoT::Certificate::CommonName":{"Type":"String"},"AWS::IoT::Certificate::Id":{"Type":"String"}},
 "Resources":{"thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"AWS::IoT::Certificate::CommonName"}}},
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"ACTIVE"}}}}`

func newJITP(name string) *iot.CreateProvisioningTemplateInput {
	in := newTemplate(name)
	in.Type, in.TemplateBody, in.PreProvisioningHook = types.TemplateTypeJitp, aws.String(jitpBody), nil
	return in
}

// code is the account's registration code.
func (s *site) code(c *iot.Client) string {
	s.t.Helper()
	return *must(c.GetRegistrationCode(ctx, &iot.GetRegistrationCodeInput{}))(s.t).RegistrationCode
}

// newCA asks to register the CA certificate in DEFAULT mode, ACTIVE.
func (s *site) newCA(c *iot.Client, ca certtest.Cert) *iot.RegisterCACertificateInput {
	s.t.Helper()
	return &iot.RegisterCACertificateInput{
		CaCertificate: &ca.PEM, VerificationCertificate: aws.String(ca.Sign(s.t, s.code(c)).PEM), SetAsActive: true,
	}
}

// sniOnly asks to register it in SNI_ONLY mode, INACTIVE.
func sniOnly(ca certtest.Cert) *iot.RegisterCACertificateInput {
	return &iot.RegisterCACertificateInput{CaCertificate: &ca.PEM, CertificateMode: types.CertificateModeSniOnly}
}

func (s *site) describeCA(id *string) *iot.DescribeCACertificateOutput {
	s.t.Helper()
	return must(s.admin().DescribeCACertificate(ctx, &iot.DescribeCACertificateInput{CertificateId: id}))(s.t)
}

func TestCACertificates(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	ca := certtest.CA(t, "Lamp Works")
	in := s.newCA(c, ca)
	in.Tags = []types.Tag{{Key: aws.String("line"), Value: aws.String("3")}}
	made := must(c.RegisterCACertificate(ctx, in))(t)
	id := made.CertificateId

	t.Run("id and ARN are those of the certificate", func(t *testing.T) {
		if *id != string(arn.IDOf(ca.Raw)) || *made.CertificateArn != "arn:aws:iot:us-east-1:000000000000:cacert/"+*id {
			t.Errorf("got %s, %s", *id, *made.CertificateArn)
		}
	})
	t.Run("a description has every member that clients need", func(t *testing.T) {
		out := s.describeCA(id)
		d := out.CertificateDescription
		if d.Status != types.CACertificateStatusActive || d.AutoRegistrationStatus != types.AutoRegistrationStatusDisable || *d.OwnedBy != "000000000000" ||
			*d.CertificatePem != ca.PEM || d.CertificateMode != types.CertificateModeDefault || *d.CustomerVersion != 1 || *d.GenerationId == "" || out.RegistrationConfig != nil {
			t.Errorf("got %+v", d)
		}
		if !d.Validity.NotAfter.Equal(ca.NotAfter) || !d.Validity.NotBefore.Equal(ca.NotBefore) || time.Since(*d.CreationDate) > time.Minute {
			t.Errorf("valid %v to %v, created %v", d.Validity.NotBefore, d.Validity.NotAfter, d.CreationDate)
		}
	})
	t.Run("it is registered once", func(t *testing.T) {
		_, err := c.RegisterCACertificate(ctx, in)
		var exists *types.ResourceAlreadyExistsException
		if !errors.As(err, &exists) || aws.ToString(exists.ResourceId) != *id || aws.ToString(exists.ResourceArn) != *made.CertificateArn {
			t.Errorf("got %v", err)
		}
	})
	t.Run("an ACTIVE one cannot be deleted", func(t *testing.T) {
		_, err := c.DeleteCACertificate(ctx, &iot.DeleteCACertificateInput{CertificateId: id})
		refused(t, err, "CertificateStateException", "CA certificate must be deactivated (not ACTIVE) before deletion. Id: "+*id)
	})
	t.Run("a change counts once", func(t *testing.T) {
		for range 2 {
			must(c.UpdateCACertificate(ctx, &iot.UpdateCACertificateInput{CertificateId: id, NewStatus: types.CACertificateStatusInactive, NewAutoRegistrationStatus: types.AutoRegistrationStatusEnable}))(t)
		}
		d := s.describeCA(id).CertificateDescription
		if d.Status != types.CACertificateStatusInactive || d.AutoRegistrationStatus != types.AutoRegistrationStatusEnable || *d.CustomerVersion != 2 || !d.LastModifiedDate.After(*d.CreationDate) {
			t.Errorf("got %+v", d)
		}
	})
	t.Run("its tags are read, set and taken away", func(t *testing.T) {
		must(c.TagResource(ctx, &iot.TagResourceInput{ResourceArn: made.CertificateArn, Tags: []types.Tag{{Key: aws.String("site"), Value: aws.String("north")}}}))(t)
		must(c.UntagResource(ctx, &iot.UntagResourceInput{ResourceArn: made.CertificateArn, TagKeys: []string{"line"}}))(t)
		tags := must(c.ListTagsForResource(ctx, &iot.ListTagsForResourceInput{ResourceArn: made.CertificateArn}))(t).Tags
		if len(tags) != 1 || *tags[0].Key != "site" || *tags[0].Value != "north" {
			t.Errorf("got %v", tags)
		}
		_, err := c.ListTagsForResource(ctx, &iot.ListTagsForResourceInput{ResourceArn: aws.String(strings.Replace(*made.CertificateArn, *id, strings.Repeat("0", 64), 1))})
		refused(t, err, "ResourceNotFoundException", "")
	})
	t.Run("deleted, it is gone", func(t *testing.T) {
		must(c.DeleteCACertificate(ctx, &iot.DeleteCACertificateInput{CertificateId: id}))(t)
		_, err := c.DescribeCACertificate(ctx, &iot.DescribeCACertificateInput{CertificateId: id})
		refused(t, err, "ResourceNotFoundException", "CA certificate "+*id+" does not exist.")
		_, err = c.DeleteCACertificate(ctx, &iot.DeleteCACertificateInput{CertificateId: id})
		refused(t, err, "ResourceNotFoundException", *id)
		_, err = c.UpdateCACertificate(ctx, &iot.UpdateCACertificateInput{CertificateId: id, NewStatus: types.CACertificateStatusActive})
		refused(t, err, "ResourceNotFoundException", *id)
		must(c.RegisterCACertificate(ctx, in))(t)
	})
}

func TestCACertificatesThatAreRefused(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	ca := certtest.CA(t, "maker")
	must(c.CreateProvisioningTemplate(ctx, newTemplate("fleet")))(t)
	must(c.CreateProvisioningTemplate(ctx, newJITP("jitp")))(t)
	change := func(f func(*iot.RegisterCACertificateInput)) *iot.RegisterCACertificateInput {
		in := s.newCA(c, ca)
		f(in)
		return in
	}
	config := func(r types.RegistrationConfig) *iot.RegisterCACertificateInput {
		return change(func(in *iot.RegisterCACertificateInput) { in.RegistrationConfig = &r })
	}
	for name, x := range map[string]struct {
		in             *iot.RegisterCACertificateInput
		exception, say string
	}{
		"another code": {change(func(in *iot.RegisterCACertificateInput) {
			in.VerificationCertificate = aws.String(ca.Sign(t, "code").PEM)
		}), "RegistrationCodeValidationException", `common name is "code"`},
		"a verification by another": {change(func(in *iot.RegisterCACertificateInput) {
			in.VerificationCertificate = aws.String(certtest.CA(t, "maker").Sign(t, s.code(c)).PEM)
		}), "CertificateValidationException", "does not verify"},
		"no verification":         {change(func(in *iot.RegisterCACertificateInput) { in.VerificationCertificate = nil }), "InvalidRequestException", "verificationCertificate is missing"},
		"no CA":                   {change(func(in *iot.RegisterCACertificateInput) { in.CaCertificate = aws.String(ca.Sign(t, "leaf").PEM) }), "CertificateValidationException", "CA:TRUE"},
		"no certificate":          {change(func(in *iot.RegisterCACertificateInput) { in.CaCertificate = aws.String("hello") }), "CertificateValidationException", "is not PEM"},
		"both templates":          {config(types.RegistrationConfig{TemplateBody: aws.String(jitpBody), TemplateName: aws.String("jitp")}), "InvalidRequestException", "both templateBody and templateName"},
		"a template of the fleet": {config(types.RegistrationConfig{TemplateName: aws.String("fleet")}), "InvalidRequestException", "is of type FLEET_PROVISIONING; expected JITP"},
		"a template of nobody":    {config(types.RegistrationConfig{TemplateName: aws.String("none")}), "ResourceNotFoundException", "Provisioning template none does not exist."},
		"a template that is none": {config(types.RegistrationConfig{TemplateBody: aws.String("{}")}), "InvalidRequestException", "Invalid registration template."},
		"a tag twice": {change(func(in *iot.RegisterCACertificateInput) {
			in.Tags = []types.Tag{{Key: aws.String("a")}, {Key: aws.String("a")}}
		}), "InvalidRequestException", "stands twice"},
	} {
		_, err := c.RegisterCACertificate(ctx, x.in)
		t.Run(name, func(t *testing.T) { refused(t, err, x.exception, x.say) })
	}
	if list := must(c.ListCACertificates(ctx, &iot.ListCACertificatesInput{}))(t).Certificates; len(list) != 0 {
		t.Errorf("refused requests left %v", list)
	}
	for range 10 {
		must(c.RegisterCACertificate(ctx, sniOnly(certtest.CA(t, "crowd"))))(t)
	}
	_, err := c.RegisterCACertificate(ctx, sniOnly(certtest.CA(t, "crowd")))
	refused(t, err, "LimitExceededException", "the limit is 10")
}

func TestRegistrationConfig(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	must(c.CreateProvisioningTemplate(ctx, newJITP("jitp")))(t)
	in := s.newCA(c, certtest.CA(t, "maker"))
	in.AllowAutoRegistration = true
	in.RegistrationConfig = &types.RegistrationConfig{TemplateBody: aws.String(jitpBody), RoleArn: aws.String("arn:aws:iam::000000000000:role/jitp")}
	id := must(c.RegisterCACertificate(ctx, in))(t).CertificateId

	out := s.describeCA(id)
	if r := out.RegistrationConfig; r == nil || *r.TemplateBody != jitpBody || *r.RoleArn != "arn:aws:iam::000000000000:role/jitp" || r.TemplateName != nil || out.CertificateDescription.AutoRegistrationStatus != types.AutoRegistrationStatusEnable {
		t.Errorf("got %+v", out)
	}
	update := func(in iot.UpdateCACertificateInput) error {
		in.CertificateId = id
		_, err := c.UpdateCACertificate(ctx, &in)
		return err
	}
	named := &types.RegistrationConfig{TemplateName: aws.String("jitp")}
	if err := update(iot.UpdateCACertificateInput{RegistrationConfig: named}); err != nil {
		t.Fatal(err)
	}
	t.Run("it is replaced whole, and by nothing when nothing is said", func(t *testing.T) {
		if err := update(iot.UpdateCACertificateInput{NewStatus: types.CACertificateStatusActive}); err != nil {
			t.Fatal(err)
		}
		if r := s.describeCA(id).RegistrationConfig; r == nil || *r.TemplateName != "jitp" || r.TemplateBody != nil || r.RoleArn != nil {
			t.Errorf("got %+v", r)
		}
	})
	t.Run("a template that a CA certificate names stays", func(t *testing.T) {
		_, err := c.DeleteProvisioningTemplate(ctx, &iot.DeleteProvisioningTemplateInput{TemplateName: aws.String("jitp")})
		refused(t, err, "DeleteConflictException", *id)
	})
	t.Run("CA certificates are listed by template", func(t *testing.T) {
		must(c.RegisterCACertificate(ctx, sniOnly(certtest.CA(t, "another"))))(t)
		for template, want := range map[string]int{"jitp": 1, "none": 0, "": 2} {
			in := &iot.ListCACertificatesInput{}
			if template != "" {
				in.TemplateName = &template
			}
			if list := must(c.ListCACertificates(ctx, in))(t).Certificates; len(list) != want || (want == 1 && *list[0].CertificateId != *id) {
				t.Errorf("%q gave %v", template, list)
			}
		}
	})
	t.Run("it cannot be set and taken away at once", func(t *testing.T) {
		refused(t, update(iot.UpdateCACertificateInput{RegistrationConfig: named, RemoveAutoRegistration: true}), "InvalidRequestException", "expected one of them")
		refused(t, update(iot.UpdateCACertificateInput{RegistrationConfig: &types.RegistrationConfig{TemplateName: aws.String("none")}}), "ResourceNotFoundException", "none")
	})
	t.Run("taken away, it frees the template", func(t *testing.T) {
		if err := update(iot.UpdateCACertificateInput{RemoveAutoRegistration: true}); err != nil {
			t.Fatal(err)
		}
		if r := s.describeCA(id).RegistrationConfig; r != nil {
			t.Errorf("got %+v", r)
		}
		must(c.DeleteProvisioningTemplate(ctx, &iot.DeleteProvisioningTemplateInput{TemplateName: aws.String("jitp")}))(t)
	})
}

func TestRegistrationCode(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	code := s.code(c)
	if len(code) != 64 || s.code(c) != code {
		t.Errorf("got %q", code)
	}
	if s.code(s.client("AKIAOTHERADMIN")) == code {
		t.Error("two accounts share a code")
	}
	must(c.DeleteRegistrationCode(ctx, &iot.DeleteRegistrationCodeInput{}))(t)
	_, err := c.DeleteRegistrationCode(ctx, &iot.DeleteRegistrationCodeInput{})
	refused(t, err, "ResourceNotFoundException", "has no registration code")
	if s.code(c) == code {
		t.Error("the code came back")
	}
}

func TestRegisterCertificate(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	ca := certtest.CA(t, "maker")
	leaf := ca.Sign(t, "lamp")
	register := func(in iot.RegisterCertificateInput) (*iot.RegisterCertificateOutput, error) {
		in.CertificatePem = &leaf.PEM
		return c.RegisterCertificate(ctx, &in)
	}
	_, err := register(iot.RegisterCertificateInput{})
	refused(t, err, "CertificateValidationException", "register the CA certificate first")
	caID := must(c.RegisterCACertificate(ctx, s.newCA(c, ca)))(t).CertificateId
	_, err = register(iot.RegisterCertificateInput{Status: types.CertificateStatusPendingActivation})
	refused(t, err, "CertificateStateException", "Not allowed to register certificate with PENDING_ACTIVATION status")

	out := must(register(iot.RegisterCertificateInput{CaCertificatePem: &ca.PEM, Status: types.CertificateStatusActive}))(t)
	id := out.CertificateId
	if *id != string(arn.IDOf(leaf.Raw)) || *out.CertificateArn != "arn:aws:iot:us-east-1:000000000000:cert/"+*id {
		t.Errorf("got %+v", out)
	}
	describe := func() *types.CertificateDescription {
		return must(c.DescribeCertificate(ctx, &iot.DescribeCertificateInput{CertificateId: id}))(t).CertificateDescription
	}
	if d := describe(); d.Status != types.CertificateStatusActive || aws.ToString(d.CaCertificateId) != *caID || *d.CertificatePem != leaf.PEM || d.CertificateMode != types.CertificateModeDefault || *d.CustomerVersion != 1 {
		t.Errorf("got %+v", d)
	}
	_, err = register(iot.RegisterCertificateInput{})
	var exists *types.ResourceAlreadyExistsException
	if !errors.As(err, &exists) || aws.ToString(exists.ResourceId) != *id || aws.ToString(exists.ResourceArn) != *out.CertificateArn {
		t.Errorf("got %v", err)
	}
	t.Run("a certificate names its CA while that is registered", func(t *testing.T) {
		must(c.UpdateCACertificate(ctx, &iot.UpdateCACertificateInput{CertificateId: caID, NewStatus: types.CACertificateStatusInactive}))(t)
		_, err := c.RegisterCertificate(ctx, &iot.RegisterCertificateInput{CertificatePem: aws.String(ca.Sign(t, "late").PEM)})
		refused(t, err, "CertificateStateException", "is INACTIVE")
		must(c.DeleteCACertificate(ctx, &iot.DeleteCACertificateInput{CertificateId: caID}))(t)
		if d := describe(); d.Status != types.CertificateStatusActive || d.CaCertificateId != nil {
			t.Errorf("got %+v", d)
		}
		must(c.RegisterCACertificate(ctx, s.newCA(c, ca)))(t)
		if d := describe(); aws.ToString(d.CaCertificateId) != *caID {
			t.Errorf("got %+v", d)
		}
	})
	t.Run("the older setAsActive counts where no status is given", func(t *testing.T) {
		for _, x := range []struct{ query, body, want string }{
			{"?setAsActive=true", "", "ACTIVE"},
			{"?setAsActive=false", "", "INACTIVE"},
			{"", "", "INACTIVE"},
			{"?setAsActive=true", `,"status":"REVOKED"`, "REVOKED"},
		} {
			leaf := ca.Sign(t, "lamp")
			s.send("POST", "/certificate/register"+x.query, fmt.Sprintf(`{"certificatePem":%q%s}`, leaf.PEM, x.body)).expect(t, 200, "", `"certificateId":"`)
			s.send("GET", "/certificates/"+string(arn.IDOf(leaf.Raw)), "").expect(t, 200, "", `"status":"`+x.want+`"`)
		}
	})
	t.Run("renewed with its key, the CA must be said", func(t *testing.T) {
		young := certtest.SelfSigned(t, "maker", ca.Key, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })
		must(c.RegisterCACertificate(ctx, s.newCA(c, young)))(t)
		leaf := young.Sign(t, "lamp")
		_, err := c.RegisterCertificate(ctx, &iot.RegisterCertificateInput{CertificatePem: &leaf.PEM})
		refused(t, err, "CertificateConflictException", "caCertificatePem")
		must(c.RegisterCertificate(ctx, &iot.RegisterCertificateInput{CertificatePem: &leaf.PEM, CaCertificatePem: &young.PEM}))(t)
	})
}

func TestRegisterCertificateWithoutCA(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	leaf := certtest.SelfSigned(t, "lamp", certtest.EC(t))
	in := &iot.RegisterCertificateWithoutCAInput{CertificatePem: &leaf.PEM}
	out := must(c.RegisterCertificateWithoutCA(ctx, in))(t)
	d := must(c.DescribeCertificate(ctx, &iot.DescribeCertificateInput{CertificateId: out.CertificateId}))(t).CertificateDescription
	if d.Status != types.CertificateStatusInactive || d.CertificateMode != types.CertificateModeSniOnly || d.CaCertificateId != nil {
		t.Errorf("got %+v", d)
	}
	_, err := c.RegisterCertificateWithoutCA(ctx, in)
	refused(t, err, "ResourceAlreadyExistsException", "The certificate is already provisioned or registered")
	_, err = c.RegisterCertificateWithoutCA(ctx, &iot.RegisterCertificateWithoutCAInput{CertificatePem: &leaf.PEM, Status: types.CertificateStatusPendingTransfer})
	refused(t, err, "CertificateStateException", "PENDING_TRANSFER")
	must(s.client("AKIAOTHERADMIN").RegisterCertificateWithoutCA(ctx, in))(t)

	t.Run("what another account has in DEFAULT mode is its own", func(t *testing.T) {
		id, _ := s.newCertificate()
		pem := must(c.DescribeCertificate(ctx, &iot.DescribeCertificateInput{CertificateId: &id}))(t).CertificateDescription.CertificatePem
		_, err := s.client("AKIAOTHERADMIN").RegisterCertificateWithoutCA(ctx, &iot.RegisterCertificateWithoutCAInput{CertificatePem: pem})
		refused(t, err, "ResourceAlreadyExistsException", "another account of this region")
	})
}

// The preconditions of deletion, in their order (certificates-lifecycle.md,
// section 3).
func TestDeletingACertificateBroughtAlong(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	ca := certtest.CA(t, "maker")
	must(c.RegisterCACertificate(ctx, s.newCA(c, ca)))(t)
	leaf := ca.Sign(t, "lamp")
	out := must(c.RegisterCertificate(ctx, &iot.RegisterCertificateInput{CertificatePem: &leaf.PEM, Status: types.CertificateStatusActive}))(t)
	id, name := out.CertificateId, out.CertificateArn
	must(c.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: aws.String("p"), PolicyDocument: aws.String(connect)}))(t)
	must(c.AttachPolicy(ctx, &iot.AttachPolicyInput{PolicyName: aws.String("p"), Target: name}))(t)
	must(c.CreateThing(ctx, &iot.CreateThingInput{ThingName: aws.String("lamp")}))(t)
	must(c.AttachThingPrincipal(ctx, &iot.AttachThingPrincipalInput{ThingName: aws.String("lamp"), Principal: name}))(t)

	drop := func(force bool) error {
		_, err := c.DeleteCertificate(ctx, &iot.DeleteCertificateInput{CertificateId: id, ForceDelete: force})
		return err
	}
	for _, force := range []bool{false, true} {
		refused(t, drop(force), "CertificateStateException", "Certificate must be deactivated (not ACTIVE) before deletion. Id: "+*id)
	}
	must(c.UpdateCertificate(ctx, &iot.UpdateCertificateInput{CertificateId: id, NewStatus: types.CertificateStatusInactive}))(t)
	for _, force := range []bool{false, true} {
		refused(t, drop(force), "DeleteConflictException", "Things must be detached before deletion (arn: "+*name+")")
	}
	must(c.DetachThingPrincipal(ctx, &iot.DetachThingPrincipalInput{ThingName: aws.String("lamp"), Principal: name}))(t)
	refused(t, drop(false), "DeleteConflictException", "Certificate policies must be detached before deletion (arn: "+*name+")")
	if err := drop(true); err != nil {
		t.Fatal(err)
	}
	refused(t, drop(true), "ResourceNotFoundException", *id)
	if targets := must(c.ListTargetsForPolicy(ctx, &iot.ListTargetsForPolicyInput{PolicyName: aws.String("p")}))(t).Targets; len(targets) != 0 {
		t.Errorf("the policy is still attached to %v", targets)
	}
	t.Run("it can be registered again, as another record", func(t *testing.T) {
		must(c.RegisterCertificate(ctx, &iot.RegisterCertificateInput{CertificatePem: &leaf.PEM}))(t)
	})
}

func TestListsOfCAsAndTheirCertificates(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	var cas, leaves []string
	ca := certtest.CA(t, "maker")
	for i := range 5 {
		if i == 4 {
			cas = append(cas, *must(c.RegisterCACertificate(ctx, s.newCA(c, ca)))(t).CertificateId)
			continue
		}
		cas = append(cas, *must(c.RegisterCACertificate(ctx, sniOnly(certtest.CA(t, fmt.Sprint(i)))))(t).CertificateId)
	}
	s.newCertificate()
	for range 5 {
		leaf := ca.Sign(t, "lamp")
		leaves = append(leaves, *must(c.RegisterCertificate(ctx, &iot.RegisterCertificateInput{CertificatePem: &leaf.PEM}))(t).CertificateId)
	}
	listCAs := func(ascending bool) (ids []string) {
		pages := iot.NewListCACertificatesPaginator(c, &iot.ListCACertificatesInput{PageSize: aws.Int32(2), AscendingOrder: ascending})
		for pages.HasMorePages() {
			for _, x := range must(pages.NextPage(ctx))(t).Certificates {
				ids = append(ids, *x.CertificateId)
			}
		}
		return ids
	}
	listLeaves := func(ascending bool) (ids []string) {
		pages := iot.NewListCertificatesByCAPaginator(c, &iot.ListCertificatesByCAInput{CaCertificateId: aws.String(strings.ToUpper(cas[4])), PageSize: aws.Int32(2), AscendingOrder: ascending})
		for pages.HasMorePages() {
			for _, x := range must(pages.NextPage(ctx))(t).Certificates {
				ids = append(ids, *x.CertificateId)
			}
		}
		return ids
	}
	for what, x := range map[string]struct {
		list func(bool) []string
		want []string
	}{"CA certificates": {listCAs, cas}, "certificates of a CA": {listLeaves, leaves}} {
		backwards := slices.Clone(x.want)
		slices.Reverse(backwards)
		if up, down := x.list(true), x.list(false); !slices.Equal(up, x.want) || !slices.Equal(down, backwards) {
			t.Errorf("%s: ascending gave %v, descending %v; made were %v", what, up, down, x.want)
		}
	}
	first := s.send("GET", "/cacertificates?pageSize=1", "").json(t)
	s.send("GET", "/certificates?marker="+url.QueryEscape(first["nextMarker"].(string)), "").expect(t, 400, "InvalidRequestException", "is not one that this operation gave")
	if got := must(c.ListCertificatesByCA(ctx, &iot.ListCertificatesByCAInput{CaCertificateId: aws.String(strings.Repeat("0", 64))}))(t); len(got.Certificates) != 0 {
		t.Errorf("a CA of nobody signed %v", got.Certificates)
	}
}

func TestCACertificatesOfAnotherAccount(t *testing.T) {
	s := open(t, nil)
	c, stranger := s.admin(), s.client("AKIAOTHERADMIN")
	ca := certtest.CA(t, "maker")
	id := must(c.RegisterCACertificate(ctx, s.newCA(c, ca)))(t).CertificateId
	_, err := stranger.DescribeCACertificate(ctx, &iot.DescribeCACertificateInput{CertificateId: id})
	refused(t, err, "ResourceNotFoundException", *id)
	_, err = stranger.DeleteCACertificate(ctx, &iot.DeleteCACertificateInput{CertificateId: id})
	refused(t, err, "ResourceNotFoundException", *id)
	_, err = stranger.RegisterCertificate(ctx, &iot.RegisterCertificateInput{CertificatePem: aws.String(ca.Sign(t, "lamp").PEM), CaCertificatePem: &ca.PEM})
	refused(t, err, "CertificateValidationException", "is not registered in this account")
	for _, in := range []*iot.RegisterCACertificateInput{s.newCA(stranger, ca), sniOnly(ca)} {
		_, err = stranger.RegisterCACertificate(ctx, in)
		refused(t, err, "ResourceAlreadyExistsException", "another account of this region")
	}
	shared := certtest.CA(t, "shared")
	for _, client := range []*iot.Client{c, stranger} {
		must(client.RegisterCACertificate(ctx, sniOnly(shared)))(t)
	}
}
