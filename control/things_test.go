package control

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/google/go-cmp/cmp"
)

var ctx = context.Background()

func attributes(kv ...string) *types.AttributePayload {
	p := &types.AttributePayload{Attributes: map[string]string{}}
	for i := 0; i < len(kv); i += 2 {
		p.Attributes[kv[i]] = kv[i+1]
	}
	return p
}

func TestThings(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	lamp := &iot.CreateThingInput{ThingName: aws.String("lamp:1"), AttributePayload: attributes("serial", "A1")}
	made := must(c.CreateThing(ctx, lamp))(t)

	t.Run("the same again succeeds with the same ids", func(t *testing.T) {
		again := must(c.CreateThing(ctx, lamp))(t)
		if *again.ThingId != *made.ThingId || *again.ThingArn != "arn:aws:iot:us-east-1:000000000000:thing/lamp:1" {
			t.Errorf("got %s %s", *again.ThingId, *again.ThingArn)
		}
	})
	t.Run("other attributes conflict and change nothing", func(t *testing.T) {
		_, err := c.CreateThing(ctx, &iot.CreateThingInput{ThingName: lamp.ThingName, AttributePayload: attributes("serial", "A2")})
		refused(t, err, "ResourceAlreadyExistsException", "Thing lamp:1 already exists in account with different attributes")
		got := must(c.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: lamp.ThingName}))(t)
		if got.Attributes["serial"] != "A1" || got.Version != 1 || *got.DefaultClientId != "lamp:1" {
			t.Errorf("got %v, version %d, client %s", got.Attributes, got.Version, *got.DefaultClientId)
		}
	})
	t.Run("an update replaces, merges and removes", func(t *testing.T) {
		update := func(merge bool, kv ...string) map[string]string {
			p := attributes(kv...)
			p.Merge = merge
			must(c.UpdateThing(ctx, &iot.UpdateThingInput{ThingName: lamp.ThingName, AttributePayload: p}))(t)
			return must(c.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: lamp.ThingName}))(t).Attributes
		}
		for _, step := range []struct{ got, want map[string]string }{
			{update(true, "site", "north"), map[string]string{"serial": "A1", "site": "north"}},
			{update(true, "serial", ""), map[string]string{"site": "north"}},
			{update(false, "line", "2"), map[string]string{"line": "2"}},
		} {
			if diff := cmp.Diff(step.want, step.got); diff != "" {
				t.Error(diff)
			}
		}
	})
	t.Run("an update expects its version", func(t *testing.T) {
		_, err := c.UpdateThing(ctx, &iot.UpdateThingInput{ThingName: lamp.ThingName, ExpectedVersion: aws.Int64(1)})
		refused(t, err, "VersionConflictException", "The version for thing lamp:1 does not match the expected version.")
		_, err = c.UpdateThing(ctx, &iot.UpdateThingInput{ThingName: lamp.ThingName, ExpectedVersion: aws.Int64(0)})
		refused(t, err, "VersionConflictException", "lamp:1")
		_, err = c.DeleteThing(ctx, &iot.DeleteThingInput{ThingName: lamp.ThingName, ExpectedVersion: aws.Int64(3)})
		refused(t, err, "VersionConflictException", "lamp:1")
		must(c.UpdateThing(ctx, &iot.UpdateThingInput{ThingName: lamp.ThingName, ExpectedVersion: aws.Int64(4)}))(t)
	})
	t.Run("three attributes without a type, fifty with one", func(t *testing.T) {
		four := attributes("a", "1", "b", "2", "c", "3", "d", "4")
		_, err := c.CreateThing(ctx, &iot.CreateThingInput{ThingName: aws.String("wide"), AttributePayload: four})
		refused(t, err, "InvalidRequestException", "There are 4 attributes; the limit is 3")
		must(c.CreateThingType(ctx, &iot.CreateThingTypeInput{ThingTypeName: aws.String("wide")}))(t)
		must(c.CreateThing(ctx, &iot.CreateThingInput{ThingName: aws.String("wide"), AttributePayload: four, ThingTypeName: aws.String("wide")}))(t)
		_, err = c.UpdateThing(ctx, &iot.UpdateThingInput{ThingName: aws.String("wide"), RemoveThingType: true})
		refused(t, err, "InvalidRequestException", "the limit is 3")
	})
	t.Run("an absent thing is deleted already, and nowhere described", func(t *testing.T) {
		must(c.DeleteThing(ctx, &iot.DeleteThingInput{ThingName: lamp.ThingName}))(t)
		must(c.DeleteThing(ctx, &iot.DeleteThingInput{ThingName: lamp.ThingName}))(t)
		_, err := c.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: lamp.ThingName})
		refused(t, err, "ResourceNotFoundException", "Thing lamp:1 does not exist")
	})
	t.Run("what a thing names must exist", func(t *testing.T) {
		_, err := c.CreateThing(ctx, &iot.CreateThingInput{ThingName: aws.String("x"), ThingTypeName: aws.String("none")})
		refused(t, err, "ResourceNotFoundException", "Thing type none")
		_, err = c.CreateThing(ctx, &iot.CreateThingInput{ThingName: aws.String("x"), BillingGroupName: aws.String("none")})
		refused(t, err, "ResourceNotFoundException", "Billing group none")
	})
}

func TestListThings(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	must(c.CreateThingType(ctx, &iot.CreateThingTypeInput{ThingTypeName: aws.String("bulb")}))(t)
	for i := range 7 {
		in := &iot.CreateThingInput{ThingName: aws.String(fmt.Sprintf("t%d", i)), AttributePayload: attributes("serial", fmt.Sprintf("A%d", i%3))}
		if i < 3 {
			in.ThingTypeName = aws.String("bulb")
		}
		must(c.CreateThing(ctx, in))(t)
	}
	list := func(in *iot.ListThingsInput) (names []string) {
		pages := iot.NewListThingsPaginator(c, in)
		for pages.HasMorePages() {
			for _, th := range must(pages.NextPage(ctx))(t).Things {
				names = append(names, *th.ThingName)
			}
		}
		return names
	}
	for _, tc := range []struct {
		name string
		in   *iot.ListThingsInput
		want []string
	}{
		{"all, two a page", &iot.ListThingsInput{MaxResults: aws.Int32(2)}, []string{"t0", "t1", "t2", "t3", "t4", "t5", "t6"}},
		{"of a type", &iot.ListThingsInput{ThingTypeName: aws.String("bulb"), MaxResults: aws.Int32(2)}, []string{"t0", "t1", "t2"}},
		{"with a value", &iot.ListThingsInput{AttributeName: aws.String("serial"), AttributeValue: aws.String("A0")}, []string{"t0", "t3", "t6"}},
		{"with a prefix, by value and name", &iot.ListThingsInput{AttributeName: aws.String("serial"), AttributeValue: aws.String("A"), UsePrefixAttributeValue: true, MaxResults: aws.Int32(3)}, []string{"t0", "t3", "t6", "t1", "t4", "t2", "t5"}},
		{"with an attribute that none has", &iot.ListThingsInput{AttributeName: aws.String("site")}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, list(tc.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("a token of another operation, or of nobody, is refused", func(t *testing.T) {
		first := must(c.ListThings(ctx, &iot.ListThingsInput{MaxResults: aws.Int32(2)}))(t)
		_, err := c.ListThingTypes(ctx, &iot.ListThingTypesInput{NextToken: first.NextToken})
		refused(t, err, "InvalidRequestException", "token of the next page")
		_, err = s.client("AKIAOTHERADMIN").ListThings(ctx, &iot.ListThingsInput{NextToken: first.NextToken})
		refused(t, err, "InvalidRequestException", "token of the next page")
		for _, token := range []string{"AAAA", "!", "//8="} {
			_, err = c.ListThings(ctx, &iot.ListThingsInput{NextToken: aws.String(token)})
			refused(t, err, "InvalidRequestException", "token of the next page")
		}
	})
}

func TestPrincipals(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	id, cert := s.newCertificate()
	_, second := s.newCertificate()
	for _, name := range []string{"a", "b"} {
		must(c.CreateThing(ctx, &iot.CreateThingInput{ThingName: aws.String(name)}))(t)
	}
	attach := func(thing, principal string, kind types.ThingPrincipalType) error {
		_, err := c.AttachThingPrincipal(ctx, &iot.AttachThingPrincipalInput{ThingName: &thing, Principal: &principal, ThingPrincipalType: kind})
		return err
	}
	for range 2 { // attaching is idempotent
		if err := attach("a", cert, types.ThingPrincipalTypeExclusiveThing); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("an exclusive principal belongs to one thing, in one way", func(t *testing.T) {
		refused(t, attach("b", cert, ""), "InvalidRequestException", "attached to thing a as EXCLUSIVE_THING")
		refused(t, attach("a", cert, ""), "InvalidRequestException", "detach it before")
	})
	t.Run("both ends list it, with its kind", func(t *testing.T) {
		v1 := must(c.ListThingPrincipals(ctx, &iot.ListThingPrincipalsInput{ThingName: aws.String("a")}))(t)
		v2 := must(c.ListThingPrincipalsV2(ctx, &iot.ListThingPrincipalsV2Input{ThingName: aws.String("a")}))(t)
		if len(v1.Principals) != 1 || v1.Principals[0] != cert || len(v2.ThingPrincipalObjects) != 1 || v2.ThingPrincipalObjects[0].ThingPrincipalType != types.ThingPrincipalTypeExclusiveThing {
			t.Errorf("got %v, %v", v1.Principals, v2.ThingPrincipalObjects)
		}
		things := must(c.ListPrincipalThings(ctx, &iot.ListPrincipalThingsInput{Principal: &cert}))(t)
		objects := must(c.ListPrincipalThingsV2(ctx, &iot.ListPrincipalThingsV2Input{Principal: &cert, ThingPrincipalType: types.ThingPrincipalTypeNonExclusiveThing}))(t)
		if len(things.Things) != 1 || things.Things[0] != "a" || len(objects.PrincipalThingObjects) != 0 {
			t.Errorf("got %v, %v", things.Things, objects.PrincipalThingObjects)
		}
	})
	t.Run("what does not exist cannot be attached", func(t *testing.T) {
		refused(t, attach("none", second, ""), "ResourceNotFoundException", "Thing none")
		refused(t, attach("a", cert[:len(cert)-4]+"0000", ""), "ResourceNotFoundException", "Certificate")
		refused(t, attach("a", "arn:aws:iam::1:user/x", ""), "InvalidRequestException", "expected the ARN of a certificate")
		_, err := c.ListThingPrincipals(ctx, &iot.ListThingPrincipalsInput{ThingName: aws.String("none")})
		refused(t, err, "ResourceNotFoundException", "Failed to list principals for thing none because the thing does not exist in your account")
	})
	t.Run("a thing that holds a principal stays, and so does the certificate", func(t *testing.T) {
		_, err := c.DeleteThing(ctx, &iot.DeleteThingInput{ThingName: aws.String("a")})
		refused(t, err, "InvalidRequestException", "Cannot delete. Thing a is still attached to one or more principals")
		must(c.UpdateCertificate(ctx, &iot.UpdateCertificateInput{CertificateId: &id, NewStatus: types.CertificateStatusInactive}))(t)
		_, err = c.DeleteCertificate(ctx, &iot.DeleteCertificateInput{CertificateId: &id, ForceDelete: true})
		refused(t, err, "DeleteConflictException", "Things must be detached before deletion (arn: "+cert+")")
	})
	t.Run("a detached one lets both go", func(t *testing.T) {
		for range 2 {
			must(c.DetachThingPrincipal(ctx, &iot.DetachThingPrincipalInput{ThingName: aws.String("a"), Principal: &cert}))(t)
		}
		must(c.DeleteThing(ctx, &iot.DeleteThingInput{ThingName: aws.String("a")}))(t)
		must(c.DeleteCertificate(ctx, &iot.DeleteCertificateInput{CertificateId: &id}))(t)
	})
}

func TestThingTypes(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	name := aws.String("bulb")
	in := &iot.CreateThingTypeInput{
		ThingTypeName:       name,
		ThingTypeProperties: &types.ThingTypeProperties{ThingTypeDescription: aws.String("a bulb"), SearchableAttributes: []string{"color"}},
		Tags:                []types.Tag{{Key: aws.String("team"), Value: aws.String("light")}},
	}
	must(c.CreateThingType(ctx, in))(t)
	must(c.CreateThingType(ctx, in))(t)
	_, err := c.CreateThingType(ctx, &iot.CreateThingTypeInput{ThingTypeName: name})
	refused(t, err, "ResourceAlreadyExistsException", "Thing Type bulb already exists")

	got := must(c.DescribeThingType(ctx, &iot.DescribeThingTypeInput{ThingTypeName: name}))(t)
	if got.ThingTypeMetadata.Deprecated || got.ThingTypeMetadata.DeprecationDate != nil || got.ThingTypeProperties.SearchableAttributes[0] != "color" {
		t.Errorf("got %+v %+v", got.ThingTypeMetadata, got.ThingTypeProperties)
	}
	must(c.CreateThing(ctx, &iot.CreateThingInput{ThingName: aws.String("t"), ThingTypeName: name}))(t)
	_, err = c.DeleteThingType(ctx, &iot.DeleteThingTypeInput{ThingTypeName: name})
	refused(t, err, "InvalidRequestException", "must be deprecated first")

	must(c.DeprecateThingType(ctx, &iot.DeprecateThingTypeInput{ThingTypeName: name}))(t)
	_, err = c.CreateThing(ctx, &iot.CreateThingInput{ThingName: aws.String("u"), ThingTypeName: name})
	refused(t, err, "InvalidRequestException", "depreated thing type:bulb")
	_, err = c.DeleteThingType(ctx, &iot.DeleteThingTypeInput{ThingTypeName: name})
	refused(t, err, "InvalidRequestException", "thing t still has it")
	list := must(c.ListThingTypes(ctx, &iot.ListThingTypesInput{ThingTypeName: name}))(t)
	if len(list.ThingTypes) != 1 || !list.ThingTypes[0].ThingTypeMetadata.Deprecated || list.ThingTypes[0].ThingTypeMetadata.DeprecationDate == nil {
		t.Errorf("got %+v", list.ThingTypes)
	}
	must(c.DeleteThing(ctx, &iot.DeleteThingInput{ThingName: aws.String("t")}))(t)
	must(c.DeleteThingType(ctx, &iot.DeleteThingTypeInput{ThingTypeName: name}))(t)
	if list := must(c.ListThingTypes(ctx, &iot.ListThingTypesInput{}))(t); len(list.ThingTypes) != 0 {
		t.Errorf("got %+v", list.ThingTypes)
	}
}

func TestThingTypesChange(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	name := aws.String("bulb")
	propagating := func(n int) *types.Mqtt5Configuration {
		p := &types.Mqtt5Configuration{}
		for i := range n {
			p.PropagatingAttributes = append(p.PropagatingAttributes, types.PropagatingAttribute{UserPropertyKey: aws.String(fmt.Sprintf("p%d", i)), ThingAttribute: aws.String("color")})
		}
		return p
	}
	properties := func() *types.ThingTypeProperties {
		return must(c.DescribeThingType(ctx, &iot.DescribeThingTypeInput{ThingTypeName: name}))(t).ThingTypeProperties
	}
	update := func(p *types.ThingTypeProperties) error {
		_, err := c.UpdateThingType(ctx, &iot.UpdateThingTypeInput{ThingTypeName: name, ThingTypeProperties: p})
		return err
	}
	must(c.CreateThingType(ctx, &iot.CreateThingTypeInput{ThingTypeName: name, ThingTypeProperties: &types.ThingTypeProperties{
		ThingTypeDescription: aws.String("a bulb"), Mqtt5Configuration: propagating(2),
	}}))(t)
	t.Run("what messages are to carry comes back as it came", func(t *testing.T) {
		got := properties().Mqtt5Configuration.PropagatingAttributes
		if len(got) != 2 || *got[1].UserPropertyKey != "p1" || *got[1].ThingAttribute != "color" || got[1].ConnectionAttribute != nil {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("an update replaces what it names and leaves the rest", func(t *testing.T) {
		if err := update(&types.ThingTypeProperties{SearchableAttributes: []string{"color"}}); err != nil {
			t.Fatal(err)
		}
		if got := properties(); *got.ThingTypeDescription != "a bulb" || len(got.Mqtt5Configuration.PropagatingAttributes) != 2 || len(got.SearchableAttributes) != 1 {
			t.Errorf("got %+v", got)
		}
		if err := update(&types.ThingTypeProperties{ThingTypeDescription: aws.String("a lamp"), Mqtt5Configuration: propagating(0)}); err != nil {
			t.Fatal(err)
		}
		if got := properties(); *got.ThingTypeDescription != "a lamp" || got.Mqtt5Configuration != nil || len(got.SearchableAttributes) != 1 {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("what is out of bounds is refused, and nothing changes", func(t *testing.T) {
		refused(t, update(&types.ThingTypeProperties{SearchableAttributes: []string{"a", "b", "c", "d"}}), "InvalidRequestException", "the limit is 3")
		refused(t, update(&types.ThingTypeProperties{Mqtt5Configuration: propagating(21)}), "InvalidRequestException", "the limit is 20")
		both := propagating(1)
		both.PropagatingAttributes[0].ConnectionAttribute = aws.String("iot:ClientId")
		refused(t, update(&types.ThingTypeProperties{Mqtt5Configuration: both}), "InvalidRequestException", "propagatingAttributes[0]")
		if got := properties(); got.Mqtt5Configuration != nil || got.SearchableAttributes[0] != "color" {
			t.Errorf("got %+v", got)
		}
	})
}

func TestThingGroups(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	create := func(name, parent string) error {
		in := &iot.CreateThingGroupInput{ThingGroupName: &name}
		if parent != "" {
			in.ParentGroupName = &parent
		}
		_, err := c.CreateThingGroup(ctx, in)
		return err
	}
	for _, g := range [][2]string{{"world", ""}, {"north", "world"}, {"hall", "north"}, {"else", ""}} {
		if err := create(g[0], g[1]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		name := aws.String(fmt.Sprintf("t%d", i))
		must(c.CreateThing(ctx, &iot.CreateThingInput{ThingName: name}))(t)
		group := []string{"world", "north", "hall"}[i%3]
		must(c.AddThingToThingGroup(ctx, &iot.AddThingToThingGroupInput{ThingGroupName: &group, ThingName: name}))(t)
	}
	t.Run("a description names the way from the root", func(t *testing.T) {
		got := must(c.DescribeThingGroup(ctx, &iot.DescribeThingGroupInput{ThingGroupName: aws.String("hall")}))(t)
		up := got.ThingGroupMetadata.RootToParentThingGroups
		if len(up) != 2 || *up[0].GroupName != "world" || *up[1].GroupName != "north" || got.Version != 1 {
			t.Errorf("got %v", up)
		}
	})
	t.Run("what a group does not have is left out, or Terraform sees a difference", func(t *testing.T) {
		got := must(c.DescribeThingGroup(ctx, &iot.DescribeThingGroupInput{ThingGroupName: aws.String("else")}))(t)
		if got.ThingGroupProperties.AttributePayload != nil || got.ThingGroupProperties.ThingGroupDescription != nil || got.ThingGroupMetadata.ParentGroupName != nil {
			t.Errorf("got %+v", got.ThingGroupProperties)
		}
	})
	t.Run("members come page by page through the hierarchy", func(t *testing.T) {
		members := func(group string, recursive bool) (names []string) {
			pages := iot.NewListThingsInThingGroupPaginator(c, &iot.ListThingsInThingGroupInput{ThingGroupName: &group, Recursive: recursive, MaxResults: aws.Int32(1)})
			for pages.HasMorePages() {
				names = append(names, must(pages.NextPage(ctx))(t).Things...)
			}
			return names
		}
		if diff := cmp.Diff([]string{"t0", "t3"}, members("world", false)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"t2", "t1", "t4", "t0", "t3"}, members("world", true)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("groups are listed by parent and prefix", func(t *testing.T) {
		list := func(in *iot.ListThingGroupsInput) (names []string) {
			for _, g := range must(c.ListThingGroups(ctx, in))(t).ThingGroups {
				names = append(names, *g.GroupName)
			}
			return names
		}
		for _, tc := range []struct {
			in   *iot.ListThingGroupsInput
			want []string
		}{
			{&iot.ListThingGroupsInput{}, []string{"else", "hall", "north", "world"}},
			{&iot.ListThingGroupsInput{Recursive: aws.Bool(false)}, []string{"else", "world"}},
			{&iot.ListThingGroupsInput{ParentGroup: aws.String("world")}, []string{"north"}},
			{&iot.ListThingGroupsInput{ParentGroup: aws.String("world"), Recursive: aws.Bool(true)}, []string{"hall", "north"}},
			{&iot.ListThingGroupsInput{Recursive: aws.Bool(true), NamePrefixFilter: aws.String("no")}, []string{"north"}},
			{&iot.ListThingGroupsInput{ParentGroup: aws.String("world"), Recursive: aws.Bool(false)}, []string{"north"}},
			{&iot.ListThingGroupsInput{NamePrefixFilter: aws.String("h")}, []string{"hall"}},
		} {
			if diff := cmp.Diff(tc.want, list(tc.in)); diff != "" {
				t.Errorf("%+v: %s", tc.in, diff)
			}
		}
		_, err := c.ListThingGroups(ctx, &iot.ListThingGroupsInput{ParentGroup: aws.String("none")})
		refused(t, err, "ResourceNotFoundException", "none")
	})
	t.Run("a thing is in one group of a hierarchy, and may move", func(t *testing.T) {
		_, err := c.AddThingToThingGroup(ctx, &iot.AddThingToThingGroupInput{ThingGroupName: aws.String("hall"), ThingName: aws.String("t0")})
		refused(t, err, "InvalidRequestException", "Thing t0 is in group world already")
		must(c.UpdateThingGroupsForThing(ctx, &iot.UpdateThingGroupsForThingInput{
			ThingName: aws.String("t0"), ThingGroupsToAdd: []string{"hall", "else"}, ThingGroupsToRemove: []string{"world"},
		}))(t)
		got := must(c.ListThingGroupsForThing(ctx, &iot.ListThingGroupsForThingInput{ThingName: aws.String("t0")}))(t)
		if len(got.ThingGroups) != 2 || *got.ThingGroups[0].GroupName != "else" || *got.ThingGroups[1].GroupArn != "arn:aws:iot:us-east-1:000000000000:thinggroup/hall" {
			t.Errorf("got %v", got.ThingGroups)
		}
		byARN := &iot.RemoveThingFromThingGroupInput{
			ThingGroupArn: aws.String("arn:aws:iot:us-east-1:000000000000:thinggroup/else"), ThingArn: aws.String("arn:aws:iot:us-east-1:000000000000:thing/t0"),
		}
		must(c.RemoveThingFromThingGroup(ctx, byARN))(t)
		_, err = c.RemoveThingFromThingGroup(ctx, &iot.RemoveThingFromThingGroupInput{ThingGroupName: aws.String("else")})
		refused(t, err, "InvalidRequestException", "thingName or thingArn must be given")
	})
	t.Run("an update gives the version", func(t *testing.T) {
		in := &iot.UpdateThingGroupInput{
			ThingGroupName: aws.String("else"), ExpectedVersion: aws.Int64(1),
			ThingGroupProperties: &types.ThingGroupProperties{ThingGroupDescription: aws.String("elsewhere"), AttributePayload: attributes("a", "b")},
		}
		if got := must(c.UpdateThingGroup(ctx, in))(t); got.Version != 2 {
			t.Errorf("got version %d", got.Version)
		}
		_, err := c.UpdateThingGroup(ctx, in)
		refused(t, err, "VersionConflictException", "thing group else")
		got := must(c.DescribeThingGroup(ctx, &iot.DescribeThingGroupInput{ThingGroupName: in.ThingGroupName}))(t)
		if *got.ThingGroupProperties.ThingGroupDescription != "elsewhere" || got.ThingGroupProperties.AttributePayload.Attributes["a"] != "b" {
			t.Errorf("got %+v", got.ThingGroupProperties)
		}
	})
	t.Run("a group with children stays; members do not hold it", func(t *testing.T) {
		_, err := c.DeleteThingGroup(ctx, &iot.DeleteThingGroupInput{ThingGroupName: aws.String("north")})
		refused(t, err, "InvalidRequestException", " Cannot delete thing group : north when there are still child groups attached to it")
		must(c.DeleteThingGroup(ctx, &iot.DeleteThingGroupInput{ThingGroupName: aws.String("hall")}))(t)
		got := must(c.ListThingGroupsForThing(ctx, &iot.ListThingGroupsForThingInput{ThingName: aws.String("t2")}))(t)
		if len(got.ThingGroups) != 0 {
			t.Errorf("t2 is still in %v", got.ThingGroups)
		}
	})
	t.Run("seven levels are enough", func(t *testing.T) {
		parent := ""
		for i := range 7 {
			name := fmt.Sprintf("level%d", i)
			if err := create(name, parent); err != nil {
				t.Fatal(err)
			}
			parent = name
		}
		refused(t, create("level7", parent), "InvalidRequestException", "8 levels deep; the limit is 7")
		refused(t, create("orphan", "none"), "InvalidRequestException", "Parent thing group none")
	})
}

func TestBillingGroups(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	for _, name := range []string{"blue", "red"} {
		must(c.CreateBillingGroup(ctx, &iot.CreateBillingGroupInput{BillingGroupName: &name}))(t)
	}
	must(c.CreateThing(ctx, &iot.CreateThingInput{ThingName: aws.String("t"), BillingGroupName: aws.String("blue")}))(t)
	_, err := c.AddThingToBillingGroup(ctx, &iot.AddThingToBillingGroupInput{BillingGroupName: aws.String("red"), ThingName: aws.String("t")})
	refused(t, err, "InvalidRequestException", "in billing group blue already")
	members := must(c.ListThingsInBillingGroup(ctx, &iot.ListThingsInBillingGroupInput{BillingGroupName: aws.String("blue")}))(t)
	if len(members.Things) != 1 || members.Things[0] != "t" {
		t.Errorf("got %v", members.Things)
	}
	got := must(c.UpdateBillingGroup(ctx, &iot.UpdateBillingGroupInput{
		BillingGroupName: aws.String("blue"), BillingGroupProperties: &types.BillingGroupProperties{BillingGroupDescription: aws.String("sky")},
	}))(t)
	if got.Version != 2 {
		t.Errorf("got version %d", got.Version)
	}
	described := must(c.DescribeBillingGroup(ctx, &iot.DescribeBillingGroupInput{BillingGroupName: aws.String("blue")}))(t)
	if *described.BillingGroupProperties.BillingGroupDescription != "sky" || described.BillingGroupMetadata.CreationDate.IsZero() {
		t.Errorf("got %+v", described.BillingGroupProperties)
	}
	must(c.DeleteBillingGroup(ctx, &iot.DeleteBillingGroupInput{BillingGroupName: aws.String("blue"), ExpectedVersion: aws.Int64(2)}))(t)
	th := must(c.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: aws.String("t")}))(t)
	if th.BillingGroupName != nil {
		t.Errorf("the thing is still in %s", *th.BillingGroupName)
	}
	list := must(c.ListBillingGroups(ctx, &iot.ListBillingGroupsInput{NamePrefixFilter: aws.String("r")}))(t)
	if len(list.BillingGroups) != 1 || *list.BillingGroups[0].GroupName != "red" {
		t.Errorf("got %v", list.BillingGroups)
	}
	must(c.AddThingToBillingGroup(ctx, &iot.AddThingToBillingGroupInput{BillingGroupName: aws.String("red"), ThingName: aws.String("t")}))(t)
	must(c.RemoveThingFromBillingGroup(ctx, &iot.RemoveThingFromBillingGroupInput{BillingGroupName: aws.String("red"), ThingName: aws.String("t")}))(t)
}
