package control

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
)

const templateBody = `{"Parameters":{"Serial":{"Type":"String"}},"Resources":{"thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"Serial"}}}}}`

func newTemplate(name string) *iot.CreateProvisioningTemplateInput {
	return &iot.CreateProvisioningTemplateInput{
		TemplateName: &name, TemplateBody: aws.String(templateBody), Enabled: aws.Bool(true),
		ProvisioningRoleArn: aws.String("arn:aws:iam::000000000000:role/provisioning"),
	}
}

func TestTemplates(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	name := aws.String("fleet")
	in := newTemplate("fleet")
	in.Description = aws.String("the fleet")
	in.PreProvisioningHook = &types.ProvisioningHook{TargetArn: aws.String("arn:aws:lambda:us-east-1:000000000000:function:check")}
	made := must(c.CreateProvisioningTemplate(ctx, in))(t)
	if *made.DefaultVersionId != 1 || *made.TemplateArn != "arn:aws:iot:us-east-1:000000000000:provisioningtemplate/fleet" {
		t.Errorf("got %d %s", *made.DefaultVersionId, *made.TemplateArn)
	}
	describe := func(t *testing.T) *iot.DescribeProvisioningTemplateOutput {
		t.Helper()
		return must(c.DescribeProvisioningTemplate(ctx, &iot.DescribeProvisioningTemplateInput{TemplateName: name}))(t)
	}
	t.Run("a name is taken once", func(t *testing.T) {
		_, err := c.CreateProvisioningTemplate(ctx, in)
		refused(t, err, "ResourceAlreadyExistsException", "fleet already exists")
	})
	t.Run("a description echoes what was given and fills the defaults", func(t *testing.T) {
		d := describe(t)
		if d.Type != types.TemplateTypeFleetProvisioning || !*d.Enabled || *d.Description != "the fleet" || *d.TemplateBody != templateBody ||
			*d.PreProvisioningHook.PayloadVersion != "2020-04-01" || *d.ProvisioningRoleArn != *in.ProvisioningRoleArn || d.CreationDate.IsZero() {
			t.Errorf("got %+v", d)
		}
	})
	t.Run("an update changes what it names", func(t *testing.T) {
		must(c.UpdateProvisioningTemplate(ctx, &iot.UpdateProvisioningTemplateInput{TemplateName: name, Enabled: aws.Bool(false)}))(t)
		if d := describe(t); *d.Enabled || *d.Description != "the fleet" || d.PreProvisioningHook == nil {
			t.Errorf("got %+v", d)
		}
		must(c.UpdateProvisioningTemplate(ctx, &iot.UpdateProvisioningTemplateInput{TemplateName: name, RemovePreProvisioningHook: aws.Bool(true), Description: aws.String("")}))(t)
		if d := describe(t); d.PreProvisioningHook != nil || d.Description != nil {
			t.Errorf("got %+v", d)
		}
		_, err := c.UpdateProvisioningTemplate(ctx, &iot.UpdateProvisioningTemplateInput{TemplateName: name, DefaultVersionId: aws.Int32(9)})
		refused(t, err, "ResourceNotFoundException", "no version 9")
	})
	t.Run("five versions, numbers used once, the default stays", func(t *testing.T) {
		second := strings.Replace(templateBody, "Serial", "SerialNumber", -1)
		for i := 2; i <= 5; i++ {
			v := must(c.CreateProvisioningTemplateVersion(ctx, &iot.CreateProvisioningTemplateVersionInput{TemplateName: name, TemplateBody: &second, SetAsDefault: i == 2}))(t)
			if *v.VersionId != int32(i) || v.IsDefaultVersion != (i == 2) {
				t.Errorf("got %d, default %t", *v.VersionId, v.IsDefaultVersion)
			}
		}
		_, err := c.CreateProvisioningTemplateVersion(ctx, &iot.CreateProvisioningTemplateVersionInput{TemplateName: name, TemplateBody: &second})
		refused(t, err, "VersionsLimitExceededException", "maximum number of versions (5)")
		if d := describe(t); *d.DefaultVersionId != 2 || *d.TemplateBody != second {
			t.Errorf("got version %d", *d.DefaultVersionId)
		}
		_, err = c.DeleteProvisioningTemplateVersion(ctx, &iot.DeleteProvisioningTemplateVersionInput{TemplateName: name, VersionId: aws.Int32(2)})
		refused(t, err, "DeleteConflictException", "default version")
		must(c.DeleteProvisioningTemplateVersion(ctx, &iot.DeleteProvisioningTemplateVersionInput{TemplateName: name, VersionId: aws.Int32(5)}))(t)
		v := must(c.CreateProvisioningTemplateVersion(ctx, &iot.CreateProvisioningTemplateVersionInput{TemplateName: name, TemplateBody: &second}))(t)
		if *v.VersionId != 6 {
			t.Errorf("got %d", *v.VersionId)
		}
		var ids []string
		pages := iot.NewListProvisioningTemplateVersionsPaginator(c, &iot.ListProvisioningTemplateVersionsInput{TemplateName: name, MaxResults: aws.Int32(2)})
		for pages.HasMorePages() {
			for _, v := range must(pages.NextPage(ctx))(t).Versions {
				ids = append(ids, fmt.Sprint(*v.VersionId, v.IsDefaultVersion))
			}
		}
		if got := strings.Join(ids, ","); got != "1 false,2 true,3 false,4 false,6 false" {
			t.Errorf("got %s", got)
		}
		one := must(c.DescribeProvisioningTemplateVersion(ctx, &iot.DescribeProvisioningTemplateVersionInput{TemplateName: name, VersionId: aws.Int32(1)}))(t)
		if one.IsDefaultVersion || *one.TemplateBody != templateBody {
			t.Errorf("got %+v", one)
		}
	})
	t.Run("a body that is no template is refused and not stored", func(t *testing.T) {
		bad := newTemplate("bad")
		bad.TemplateBody = aws.String(`{"Resources":{"x":{"Type":"AWS::S3::Bucket"}}}`)
		_, err := c.CreateProvisioningTemplate(ctx, bad)
		refused(t, err, "InvalidRequestException", "AWS::S3::Bucket")
		list := must(c.ListProvisioningTemplates(ctx, &iot.ListProvisioningTemplatesInput{}))(t)
		if len(list.Templates) != 1 || *list.Templates[0].TemplateName != "fleet" || *list.Templates[0].Enabled {
			t.Errorf("got %v", list.Templates)
		}
	})
	t.Run("a template of type JITP has no hook", func(t *testing.T) {
		jitp := newTemplate("jitp")
		jitp.Type, jitp.PreProvisioningHook = types.TemplateTypeJitp, in.PreProvisioningHook
		_, err := c.CreateProvisioningTemplate(ctx, jitp)
		refused(t, err, "InvalidRequestException", "preProvisioningHook")
	})
	t.Run("a template goes with all its versions", func(t *testing.T) {
		must(c.DeleteProvisioningTemplate(ctx, &iot.DeleteProvisioningTemplateInput{TemplateName: name}))(t)
		_, err := c.DeleteProvisioningTemplate(ctx, &iot.DeleteProvisioningTemplateInput{TemplateName: name})
		refused(t, err, "ResourceNotFoundException", "fleet does not exist")
	})
}

func TestTags(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	tagged := []types.Tag{{Key: aws.String("site"), Value: aws.String("north")}}
	resource := func(kind, name string) string { return "arn:aws:iot:us-east-1:000000000000:" + kind + "/" + name }
	in := newTemplate("fleet")
	in.Tags = tagged
	must(c.CreateProvisioningTemplate(ctx, in))(t)
	must(c.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: aws.String("p"), PolicyDocument: aws.String(connect), Tags: tagged}))(t)
	must(c.CreateThingType(ctx, &iot.CreateThingTypeInput{ThingTypeName: aws.String("ty"), Tags: tagged}))(t)
	must(c.CreateThingGroup(ctx, &iot.CreateThingGroupInput{ThingGroupName: aws.String("g"), Tags: tagged}))(t)
	must(c.CreateBillingGroup(ctx, &iot.CreateBillingGroupInput{BillingGroupName: aws.String("b"), Tags: tagged}))(t)
	list := func(t *testing.T, resource string) string {
		t.Helper()
		var out []string
		for _, tag := range must(c.ListTagsForResource(ctx, &iot.ListTagsForResourceInput{ResourceArn: &resource}))(t).Tags {
			out = append(out, *tag.Key+"="+*tag.Value)
		}
		return strings.Join(out, " ")
	}
	for _, r := range []string{resource("provisioningtemplate", "fleet"), resource("policy", "p"), resource("thingtype", "ty"), resource("thinggroup", "g"), resource("billinggroup", "b")} {
		t.Run(r, func(t *testing.T) {
			must(c.TagResource(ctx, &iot.TagResourceInput{ResourceArn: &r, Tags: []types.Tag{{Key: aws.String("line"), Value: aws.String("1")}, {Key: aws.String("site"), Value: aws.String("south")}}}))(t)
			if got := list(t, r); got != "line=1 site=south" {
				t.Errorf("got %s", got)
			}
			must(c.UntagResource(ctx, &iot.UntagResourceInput{ResourceArn: &r, TagKeys: []string{"site", "none"}}))(t)
			if got := list(t, r); got != "line=1" {
				t.Errorf("got %s", got)
			}
			gone := r + "x"
			_, err := c.TagResource(ctx, &iot.TagResourceInput{ResourceArn: &gone, Tags: tagged})
			refused(t, err, "ResourceNotFoundException", "does not exist")
			_, err = c.ListTagsForResource(ctx, &iot.ListTagsForResourceInput{ResourceArn: &gone})
			refused(t, err, "ResourceNotFoundException", "does not exist")
		})
	}
	tag := func(resource, key, value string) error {
		_, err := c.TagResource(ctx, &iot.TagResourceInput{ResourceArn: &resource, Tags: []types.Tag{{Key: &key, Value: &value}}})
		return err
	}
	t.Run("settings of Slipway are checked", func(t *testing.T) {
		fleet := resource("provisioningtemplate", "fleet")
		for _, good := range [][2]string{{"slipway:validity", "365d"}, {"slipway:validity", "P30D"}, {"slipway:validity", "8760h"}, {"slipway:reprovision", "deny"}} {
			if err := tag(fleet, good[0], good[1]); err != nil {
				t.Error(err)
			}
		}
		refused(t, tag(fleet, "slipway:validity", "soon"), "InvalidRequestException", "such as 8760h, 365d or P365D")
		refused(t, tag(fleet, "slipway:reprovision", "retire"), "InvalidRequestException", "not available yet")
		refused(t, tag(fleet, "slipway:reprovision", "maybe"), "InvalidRequestException", "expected keep or deny")
		refused(t, tag(fleet, "slipway:valid", "1h"), "InvalidRequestException", "no setting of Slipway")
	})
	t.Run("things and certificates carry none", func(t *testing.T) {
		refused(t, tag(resource("thing", "x"), "a", "b"), "InvalidRequestException", "carries no tags")
		refused(t, tag("arn:aws:iot:us-east-1:111122223333:policy/p", "a", "b"), "ResourceNotFoundException", "does not exist")
		refused(t, tag(resource("policy", "p"), "aws:x", "b"), "InvalidRequestException", "may not begin with aws:")
		_, err := c.CreateThingType(ctx, &iot.CreateThingTypeInput{ThingTypeName: aws.String("twice"), Tags: append(tagged, tagged...)})
		refused(t, err, "InvalidRequestException", `"site" stands twice`)
	})
}
