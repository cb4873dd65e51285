package control

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var plain = cmpopts.IgnoreUnexported(
	types.ThingIndexingConfiguration{}, types.ThingGroupIndexingConfiguration{}, types.IndexingFilter{}, types.Field{},
	types.LogTarget{}, types.LogTargetConfiguration{}, types.LogEventConfiguration{},
)

func TestEventConfigurations(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	describe := func() *iot.DescribeEventConfigurationsOutput {
		return must(c.DescribeEventConfigurations(ctx, &iot.DescribeEventConfigurationsInput{}))(t)
	}
	on := func() (names []string) {
		for kind, sw := range describe().EventConfigurations {
			if sw.Enabled {
				names = append(names, kind)
			}
		}
		return names
	}
	sorted := cmpopts.SortSlices(func(a, b string) bool { return a < b })

	t.Run("all eleven are there and off, and say so, before they were set", func(t *testing.T) {
		got := s.send("GET", "/event-configurations", "").json(t)
		switches := got["eventConfigurations"].(map[string]any)
		for kind, sw := range switches {
			if sw.(map[string]any)["Enabled"] != false {
				t.Errorf("%s: got %v", kind, sw)
			}
		}
		if len(switches) != 11 || got["creationDate"] != nil {
			t.Errorf("got %v", got)
		}
	})
	t.Run("an update changes the switches that it names; without Enabled one goes off", func(t *testing.T) {
		must(c.UpdateEventConfigurations(ctx, &iot.UpdateEventConfigurationsInput{EventConfigurations: map[string]types.Configuration{"THING": {Enabled: true}, "THING_TYPE": {Enabled: true}}}))(t)
		first := describe()
		if a := s.send("PATCH", "/event-configurations", `{"eventConfigurations":{"THING":{},"CERTIFICATE":{"Enabled":true}}}`); a.status != 200 {
			t.Fatal(a.body)
		}
		if diff := cmp.Diff([]string{"CERTIFICATE", "THING_TYPE"}, on(), sorted); diff != "" {
			t.Error(diff)
		}
		if d := describe(); !d.CreationDate.Equal(*first.CreationDate) || d.LastModifiedDate.Before(*first.LastModifiedDate) {
			t.Errorf("got %v, %v", d.CreationDate, d.LastModifiedDate)
		}
	})
	t.Run("an unknown switch is refused, and its neighbours stay", func(t *testing.T) {
		_, err := c.UpdateEventConfigurations(ctx, &iot.UpdateEventConfigurationsInput{EventConfigurations: map[string]types.Configuration{"THING": {Enabled: true}, "TEAPOT": {Enabled: true}}})
		refused(t, err, "InvalidRequestException", "at 'eventConfigurations' failed to satisfy constraint: Map keys")
		if diff := cmp.Diff([]string{"CERTIFICATE", "THING_TYPE"}, on(), sorted); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("another account has its own", func(t *testing.T) {
		d := must(s.client("AKIAOTHERADMIN").DescribeEventConfigurations(ctx, &iot.DescribeEventConfigurationsInput{}))(t)
		if d.EventConfigurations["CERTIFICATE"].Enabled {
			t.Error("a switch crossed accounts")
		}
	})
}

func TestIndexingConfiguration(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	get := func() *iot.GetIndexingConfigurationOutput {
		return must(c.GetIndexingConfiguration(ctx, &iot.GetIndexingConfigurationInput{}))(t)
	}
	update := func(in *iot.UpdateIndexingConfigurationInput) error {
		_, err := c.UpdateIndexingConfiguration(ctx, in)
		return err
	}
	off := &types.ThingIndexingConfiguration{
		ThingIndexingMode: "OFF", ThingConnectivityIndexingMode: "OFF", DeviceDefenderIndexingMode: "OFF", NamedShadowIndexingMode: "OFF",
	}
	version := types.Field{Name: aws.String("attributes.version"), Type: types.FieldTypeNumber}

	t.Run("everything is off until it was set", func(t *testing.T) {
		got := get()
		if diff := cmp.Diff(off, got.ThingIndexingConfiguration, plain); diff != "" {
			t.Error(diff)
		}
		if got.ThingGroupIndexingConfiguration.ThingGroupIndexingMode != "OFF" {
			t.Errorf("got %+v", got.ThingGroupIndexingConfiguration)
		}
	})
	t.Run("an index that is on tells what it holds by itself", func(t *testing.T) {
		err := update(&iot.UpdateIndexingConfigurationInput{
			ThingIndexingConfiguration: &types.ThingIndexingConfiguration{
				ThingIndexingMode: "REGISTRY", ThingConnectivityIndexingMode: "STATUS", NamedShadowIndexingMode: "ON",
				CustomFields: []types.Field{version}, Filter: &types.IndexingFilter{NamedShadowNames: []string{"state"}},
				ManagedFields: []types.Field{{Name: aws.String("mine"), Type: types.FieldTypeString}},
			},
			ThingGroupIndexingConfiguration: &types.ThingGroupIndexingConfiguration{ThingGroupIndexingMode: "ON"},
		})
		if err != nil {
			t.Fatal(err)
		}
		got := get()
		th, g := got.ThingIndexingConfiguration, got.ThingGroupIndexingConfiguration
		if len(th.ManagedFields) != 11 || *th.ManagedFields[0].Name != "thingName" || len(g.ManagedFields) != 5 || g.ThingGroupIndexingMode != "ON" {
			t.Errorf("got %+v, %+v", th.ManagedFields, g)
		}
		th.ManagedFields = nil
		want := &types.ThingIndexingConfiguration{
			ThingIndexingMode: "REGISTRY", ThingConnectivityIndexingMode: "STATUS", DeviceDefenderIndexingMode: "OFF", NamedShadowIndexingMode: "ON",
			CustomFields: []types.Field{version}, Filter: &types.IndexingFilter{NamedShadowNames: []string{"state"}},
		}
		if diff := cmp.Diff(want, th, plain); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("modes that an update leaves out stay, fields and filter end, the other index stays", func(t *testing.T) {
		err := update(&iot.UpdateIndexingConfigurationInput{ThingIndexingConfiguration: &types.ThingIndexingConfiguration{ThingIndexingMode: "REGISTRY_AND_SHADOW", NamedShadowIndexingMode: "OFF"}})
		if err != nil {
			t.Fatal(err)
		}
		got := get()
		th := got.ThingIndexingConfiguration
		if th.ThingConnectivityIndexingMode != "STATUS" || th.NamedShadowIndexingMode != "OFF" || th.CustomFields != nil || th.Filter != nil || got.ThingGroupIndexingConfiguration.ThingGroupIndexingMode != "ON" {
			t.Errorf("got %+v", th)
		}
	})
	t.Run("what cannot be is refused and changes nothing", func(t *testing.T) {
		six := []types.Field{}
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			six = append(six, types.Field{Name: aws.String(name), Type: types.FieldTypeString})
		}
		before := get()
		for _, tc := range []struct {
			in  types.ThingIndexingConfiguration
			say string
		}{
			{types.ThingIndexingConfiguration{ThingIndexingMode: "OFF", ThingConnectivityIndexingMode: "STATUS"}, "thingIndexingMode is OFF"},
			{types.ThingIndexingConfiguration{ThingIndexingMode: "REGISTRY", CustomFields: six}, "the limit is 5"},
			{types.ThingIndexingConfiguration{ThingIndexingMode: "REGISTRY", CustomFields: []types.Field{version, version}}, "is there already"},
			{types.ThingIndexingConfiguration{ThingIndexingMode: "REGISTRY", CustomFields: []types.Field{{Name: aws.String("thingName"), Type: "String"}}}, "is there already"},
			{types.ThingIndexingConfiguration{ThingIndexingMode: "REGISTRY", CustomFields: []types.Field{{Name: aws.String("x")}}}, "a name and a type"},
			{types.ThingIndexingConfiguration{ThingIndexingMode: "SOME"}, "at 'thingIndexingConfiguration.thingIndexingMode' failed"},
		} {
			refused(t, update(&iot.UpdateIndexingConfigurationInput{ThingIndexingConfiguration: &tc.in}), "InvalidRequestException", tc.say)
		}
		if diff := cmp.Diff(before.ThingIndexingConfiguration, get().ThingIndexingConfiguration, plain); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("an index that goes off takes its other modes along", func(t *testing.T) {
		if err := update(&iot.UpdateIndexingConfigurationInput{ThingIndexingConfiguration: &types.ThingIndexingConfiguration{ThingIndexingMode: "OFF"}}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(off, get().ThingIndexingConfiguration, plain); diff != "" {
			t.Error(diff)
		}
	})
}

func TestLoggingOptions(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	t.Run("nothing is logged until a level was set", func(t *testing.T) {
		if a := s.send("GET", "/loggingOptions", ""); a.body != `{"logLevel":"DISABLED"}` {
			t.Errorf("got %s", a.body)
		}
	})
	t.Run("they are answered as they were set", func(t *testing.T) {
		must(c.SetLoggingOptions(ctx, &iot.SetLoggingOptionsInput{LoggingOptionsPayload: &types.LoggingOptionsPayload{RoleArn: aws.String(someRole), LogLevel: "WARN"}}))(t)
		got := must(c.GetLoggingOptions(ctx, &iot.GetLoggingOptionsInput{}))(t)
		if *got.RoleArn != someRole || got.LogLevel != "WARN" {
			t.Errorf("got %s %s", *got.RoleArn, got.LogLevel)
		}
	})
	t.Run("they need a role", func(t *testing.T) {
		if a := s.send("POST", "/loggingOptions", `{"logLevel":"INFO"}`); a.header.Get("x-amzn-ErrorType") != "InvalidRequestException" {
			t.Errorf("got %d %s", a.status, a.body)
		}
	})
}

func TestLoggingOptionsV2(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	get := func() *iot.GetV2LoggingOptionsOutput {
		return must(c.GetV2LoggingOptions(ctx, &iot.GetV2LoggingOptionsInput{}))(t)
	}
	target := func(kind types.LogTargetType, name string) *types.LogTarget {
		lt := &types.LogTarget{TargetType: kind}
		if name != "" {
			lt.TargetName = &name
		}
		return lt
	}
	set := func(kind types.LogTargetType, name string, level types.LogLevel) error {
		_, err := c.SetV2LoggingLevel(ctx, &iot.SetV2LoggingLevelInput{LogTarget: target(kind, name), LogLevel: level})
		return err
	}

	t.Run("until they were set nothing answers", func(t *testing.T) {
		_, err := c.GetV2LoggingOptions(ctx, &iot.GetV2LoggingOptionsInput{})
		refused(t, err, "NotConfiguredException", "set the V2 logging options first")
		_, err = c.ListV2LoggingLevels(ctx, &iot.ListV2LoggingLevelsInput{})
		refused(t, err, "NotConfiguredException", "")
		refused(t, set("THING_GROUP", "lamps", "INFO"), "NotConfiguredException", "")
		if a := s.send("GET", "/v2LoggingOptions", ""); a.status != 404 {
			t.Errorf("got %d", a.status)
		}
	})
	t.Run("the first time they need a role, or say that nothing is logged", func(t *testing.T) {
		_, err := c.SetV2LoggingOptions(ctx, &iot.SetV2LoggingOptionsInput{DefaultLogLevel: "INFO"})
		refused(t, err, "InvalidRequestException", "roleArn must be given")
		must(c.SetV2LoggingOptions(ctx, &iot.SetV2LoggingOptionsInput{DisableAllLogs: true}))(t)
		if got := get(); !got.DisableAllLogs || got.DefaultLogLevel != "DISABLED" || got.RoleArn != nil {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("what is left out stays, but logs come on again", func(t *testing.T) {
		events := []types.LogEventConfiguration{{EventType: aws.String("Connect"), LogLevel: "DEBUG", LogDestination: aws.String("group/a")}}
		must(c.SetV2LoggingOptions(ctx, &iot.SetV2LoggingOptionsInput{RoleArn: aws.String(someRole), DefaultLogLevel: "ERROR", EventConfigurations: events}))(t)
		must(c.SetV2LoggingOptions(ctx, &iot.SetV2LoggingOptionsInput{}))(t)
		got := get()
		if *got.RoleArn != someRole || got.DefaultLogLevel != "ERROR" || got.DisableAllLogs {
			t.Errorf("got %+v", got)
		}
		if diff := cmp.Diff(events, got.EventConfigurations, plain); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("false is sent", func(t *testing.T) {
		if v := s.send("GET", "/v2LoggingOptions?verbose=true", "").json(t)["disableAllLogs"]; v != false {
			t.Errorf("got %v", v)
		}
	})
	t.Run("levels are listed by target, with the default one", func(t *testing.T) {
		for _, err := range []error{set("THING_GROUP", "lamps", "INFO"), set("CLIENT_ID", "a/b", "DEBUG"), set("THING_GROUP", "lamps", "WARN"), set("DEFAULT", "", "DISABLED")} {
			if err != nil {
				t.Fatal(err)
			}
		}
		list := func(kind types.LogTargetType) (all []types.LogTargetConfiguration) {
			pages := iot.NewListV2LoggingLevelsPaginator(c, &iot.ListV2LoggingLevelsInput{TargetType: kind, MaxResults: aws.Int32(2)})
			for pages.HasMorePages() {
				all = append(all, must(pages.NextPage(ctx))(t).LogTargetConfigurations...)
			}
			return all
		}
		lamps := types.LogTargetConfiguration{LogTarget: target("THING_GROUP", "lamps"), LogLevel: "WARN"}
		want := []types.LogTargetConfiguration{
			{LogTarget: target("CLIENT_ID", "a/b"), LogLevel: "DEBUG"}, {LogTarget: target("DEFAULT", ""), LogLevel: "DISABLED"}, lamps,
		}
		if diff := cmp.Diff(want, list(""), plain); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]types.LogTargetConfiguration{lamps}, list("THING_GROUP"), plain); diff != "" {
			t.Error(diff)
		}
		if get().DefaultLogLevel != "DISABLED" {
			t.Errorf("got %s", get().DefaultLogLevel)
		}
	})
	t.Run("a target needs its name, the default has none", func(t *testing.T) {
		refused(t, set("THING_GROUP", "", "INFO"), "InvalidRequestException", "targetName must be given with targetType THING_GROUP")
		refused(t, set("DEFAULT", "x", "INFO"), "InvalidRequestException", "does not go with targetType DEFAULT")
	})
	t.Run("a level can be deleted, also when it is not there; the default one cannot", func(t *testing.T) {
		remove := func(kind types.LogTargetType, name string) error {
			_, err := c.DeleteV2LoggingLevel(ctx, &iot.DeleteV2LoggingLevelInput{TargetType: kind, TargetName: &name})
			return err
		}
		for range 2 {
			if err := remove("THING_GROUP", "lamps"); err != nil {
				t.Fatal(err)
			}
		}
		refused(t, remove("DEFAULT", "x"), "InvalidRequestException", "not deleted")
		if l := must(c.ListV2LoggingLevels(ctx, &iot.ListV2LoggingLevelsInput{}))(t); len(l.LogTargetConfigurations) != 2 {
			t.Errorf("got %d levels", len(l.LogTargetConfigurations))
		}
	})
}
