//lint:file-ignore SA1019 AWS deprecated these operations and its tools still send them.

package control

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/google/go-cmp/cmp"
)

const (
	connect = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}`
	publish = "{\n \"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\", \"Action\": \"iot:Publish\", \"Resource\": \"*\"}]\n}"
)

func TestPolicyVersions(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	name := aws.String("door+lock=1")
	made := must(c.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: name, PolicyDocument: aws.String(publish)}))(t)
	if *made.PolicyVersionId != "1" || *made.PolicyArn != "arn:aws:iot:us-east-1:000000000000:policy/door+lock=1" {
		t.Errorf("got %s %s", *made.PolicyVersionId, *made.PolicyArn)
	}
	t.Run("a name is taken once", func(t *testing.T) {
		_, err := c.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: name, PolicyDocument: aws.String(publish)})
		refused(t, err, "ResourceAlreadyExistsException", "Policy cannot be created - name already exists (name=door+lock=1)")
	})
	t.Run("the document comes back byte for byte", func(t *testing.T) {
		got := must(c.GetPolicy(ctx, &iot.GetPolicyInput{PolicyName: name}))(t)
		if *got.PolicyDocument != publish || *got.DefaultVersionId != "1" || *got.GenerationId == "" || got.CreationDate.IsZero() {
			t.Errorf("got %q, default %s", *got.PolicyDocument, *got.DefaultVersionId)
		}
	})
	t.Run("a sixth version is refused and numbers are not used again", func(t *testing.T) {
		for i := 2; i <= 5; i++ {
			v := must(c.CreatePolicyVersion(ctx, &iot.CreatePolicyVersionInput{PolicyName: name, PolicyDocument: aws.String(connect), SetAsDefault: i == 3}))(t)
			if *v.PolicyVersionId != fmt.Sprint(i) || v.IsDefaultVersion != (i == 3) {
				t.Errorf("got %s, default %t", *v.PolicyVersionId, v.IsDefaultVersion)
			}
		}
		_, err := c.CreatePolicyVersion(ctx, &iot.CreatePolicyVersionInput{PolicyName: name, PolicyDocument: aws.String(connect)})
		refused(t, err, "VersionsLimitExceededException", "The policy door+lock=1 already has the maximum number of versions (5)")
		must(c.DeletePolicyVersion(ctx, &iot.DeletePolicyVersionInput{PolicyName: name, PolicyVersionId: aws.String("5")}))(t)
		v := must(c.CreatePolicyVersion(ctx, &iot.CreatePolicyVersionInput{PolicyName: name, PolicyDocument: aws.String(connect)}))(t)
		if *v.PolicyVersionId != "6" {
			t.Errorf("got %s", *v.PolicyVersionId)
		}
	})
	t.Run("the default stays while it is the default", func(t *testing.T) {
		_, err := c.DeletePolicyVersion(ctx, &iot.DeletePolicyVersionInput{PolicyName: name, PolicyVersionId: aws.String("3")})
		refused(t, err, "InvalidRequestException", "Cannot delete the default version of a policy")
		must(c.SetDefaultPolicyVersion(ctx, &iot.SetDefaultPolicyVersionInput{PolicyName: name, PolicyVersionId: aws.String("1")}))(t)
		must(c.DeletePolicyVersion(ctx, &iot.DeletePolicyVersionInput{PolicyName: name, PolicyVersionId: aws.String("3")}))(t)
		_, err = c.SetDefaultPolicyVersion(ctx, &iot.SetDefaultPolicyVersionInput{PolicyName: name, PolicyVersionId: aws.String("3")})
		refused(t, err, "ResourceNotFoundException", "no version 3")
		got := must(c.GetPolicyVersion(ctx, &iot.GetPolicyVersionInput{PolicyName: name, PolicyVersionId: aws.String("2")}))(t)
		if got.IsDefaultVersion || *got.PolicyDocument != connect {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a policy with versions stays", func(t *testing.T) {
		_, err := c.DeletePolicy(ctx, &iot.DeletePolicyInput{PolicyName: name})
		refused(t, err, "DeleteConflictException", "Cannot delete the policy because it has one or more policy versions attached to it (name=door+lock=1)")
		for _, v := range must(c.ListPolicyVersions(ctx, &iot.ListPolicyVersionsInput{PolicyName: name}))(t).PolicyVersions {
			if v.CreateDate.IsZero() {
				t.Error("a version has no date")
			}
			if !v.IsDefaultVersion {
				must(c.DeletePolicyVersion(ctx, &iot.DeletePolicyVersionInput{PolicyName: name, PolicyVersionId: v.VersionId}))(t)
			}
		}
		must(c.DeletePolicy(ctx, &iot.DeletePolicyInput{PolicyName: name}))(t)
		_, err = c.GetPolicy(ctx, &iot.GetPolicyInput{PolicyName: name})
		refused(t, err, "ResourceNotFoundException", "does not exist")
	})
	t.Run("a malformed document is refused and not stored", func(t *testing.T) {
		twice := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Effect":"Allow","Action":"iot:*","Resource":"*"}]}`
		_, err := c.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: name, PolicyDocument: &twice})
		refused(t, err, "MalformedPolicyException", "Effect")
		if got := must(c.ListPolicies(ctx, &iot.ListPoliciesInput{}))(t); len(got.Policies) != 0 {
			t.Errorf("got %v", got.Policies)
		}
	})
}

func TestAttachments(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	id, cert := s.newCertificate()
	group := "arn:aws:iot:us-east-1:000000000000:thinggroup/child"
	must(c.CreateThingGroup(ctx, &iot.CreateThingGroupInput{ThingGroupName: aws.String("parent")}))(t)
	must(c.CreateThingGroup(ctx, &iot.CreateThingGroupInput{ThingGroupName: aws.String("child"), ParentGroupName: aws.String("parent")}))(t)
	for i := range 11 {
		must(c.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: aws.String(fmt.Sprintf("p%02d", i)), PolicyDocument: aws.String(connect)}))(t)
	}
	attach := func(i int, target string) error {
		_, err := c.AttachPolicy(ctx, &iot.AttachPolicyInput{PolicyName: aws.String(fmt.Sprintf("p%02d", i)), Target: &target})
		return err
	}
	attached := func(target string, recursive bool, size int32) (names []string) {
		pages := iot.NewListAttachedPoliciesPaginator(c, &iot.ListAttachedPoliciesInput{Target: &target, Recursive: recursive, PageSize: aws.Int32(size)})
		for pages.HasMorePages() {
			for _, p := range must(pages.NextPage(ctx))(t).Policies {
				names = append(names, *p.PolicyName)
			}
		}
		return names
	}
	t.Run("ten on a certificate, two on a group", func(t *testing.T) {
		for i := range 10 {
			for range 2 { // attaching is idempotent
				if err := attach(i, cert); err != nil {
					t.Fatal(err)
				}
			}
		}
		refused(t, attach(10, cert), "LimitExceededException", "The certificate has 10 policies attached; the limit is 10.")
		if got := attached(cert, false, 3); len(got) != 10 || got[9] != "p09" {
			t.Errorf("got %v", got)
		}
		for i := range 2 {
			if err := attach(i, group); err != nil {
				t.Fatal(err)
			}
		}
		refused(t, attach(2, group), "LimitExceededException", "The thing group has 2 policies attached; the limit is 2.")
	})
	t.Run("recursive adds what hangs above a group", func(t *testing.T) {
		if err := attach(5, "arn:aws:iot:us-east-1:000000000000:thinggroup/parent"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"p00", "p01"}, attached(group, false, 25)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"p00", "p01", "p05"}, attached(group, true, 2)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("what cannot be a target is refused", func(t *testing.T) {
		refused(t, attach(0, "arn:aws:iot:us-east-1:000000000000:thing/lamp"), "InvalidRequestException", "not to a thing")
		refused(t, attach(0, "arn:aws:iot:us-east-1:111122223333:thinggroup/child"), "InvalidRequestException", "another account")
		refused(t, attach(0, cert[:len(cert)-4]+"0000"), "ResourceNotFoundException", "Certificate")
		refused(t, attach(0, "arn:aws:iot:us-east-1:000000000000:thinggroup/none"), "ResourceNotFoundException", "Thing group none")
		refused(t, attach(77, cert), "ResourceNotFoundException", "Policy p77")
		refused(t, attach(0, "lamp"), "InvalidRequestException", "not an ARN")
	})
	t.Run("a policy knows its targets, and stays while it has any", func(t *testing.T) {
		got := must(c.ListTargetsForPolicy(ctx, &iot.ListTargetsForPolicyInput{PolicyName: aws.String("p00")}))(t)
		if diff := cmp.Diff([]string{cert, group}, got.Targets); diff != "" {
			t.Error(diff)
		}
		principals := must(c.ListPolicyPrincipals(ctx, &iot.ListPolicyPrincipalsInput{PolicyName: aws.String("p00")}))(t)
		if diff := cmp.Diff([]string{cert}, principals.Principals); diff != "" {
			t.Error(diff)
		}
		_, err := c.DeletePolicy(ctx, &iot.DeletePolicyInput{PolicyName: aws.String("p00")})
		refused(t, err, "DeleteConflictException", "The policy cannot be deleted as the policy is attached to one or more principals (name=p00)")
	})
	t.Run("the deprecated twins do the same", func(t *testing.T) {
		must(c.DetachPrincipalPolicy(ctx, &iot.DetachPrincipalPolicyInput{PolicyName: aws.String("p09"), Principal: &cert}))(t)
		must(c.AttachPrincipalPolicy(ctx, &iot.AttachPrincipalPolicyInput{PolicyName: aws.String("p10"), Principal: &cert}))(t)
		got := must(c.ListPrincipalPolicies(ctx, &iot.ListPrincipalPoliciesInput{Principal: &cert}))(t)
		if len(got.Policies) != 10 || *got.Policies[9].PolicyName != "p10" {
			t.Errorf("got %v", got.Policies)
		}
	})
	t.Run("detaching twice is once", func(t *testing.T) {
		for range 2 {
			must(c.DetachPolicy(ctx, &iot.DetachPolicyInput{PolicyName: aws.String("p10"), Target: &cert}))(t)
		}
	})
	t.Run("a certificate with policies goes by force alone, and takes its attachments along", func(t *testing.T) {
		must(c.UpdateCertificate(ctx, &iot.UpdateCertificateInput{CertificateId: &id, NewStatus: types.CertificateStatusInactive}))(t)
		_, err := c.DeleteCertificate(ctx, &iot.DeleteCertificateInput{CertificateId: &id})
		refused(t, err, "DeleteConflictException", "Certificate policies must be detached before deletion (arn: "+cert+")")
		must(c.DeleteCertificate(ctx, &iot.DeleteCertificateInput{CertificateId: &id, ForceDelete: true}))(t)
		got := must(c.ListTargetsForPolicy(ctx, &iot.ListTargetsForPolicyInput{PolicyName: aws.String("p03")}))(t)
		if len(got.Targets) != 0 {
			t.Errorf("got %v", got.Targets)
		}
		_, err = c.ListAttachedPolicies(ctx, &iot.ListAttachedPoliciesInput{Target: &cert})
		refused(t, err, "ResourceNotFoundException", "Certificate")
	})
	t.Run("a deleted group lets its policies go", func(t *testing.T) {
		must(c.DeleteThingGroup(ctx, &iot.DeleteThingGroupInput{ThingGroupName: aws.String("child")}))(t)
		must(c.DeletePolicy(ctx, &iot.DeletePolicyInput{PolicyName: aws.String("p01")}))(t)
	})
}
