package control

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/google/go-cmp/cmp"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// everyAction holds members of every kind, so that a lost or changed one shows.
const everyAction = `[
 {"lambda":{"functionArn":"arn:aws:lambda:us-east-1:000000000000:function:f"}},
 {"republish":{"roleArn":"arn:aws:iam::000000000000:role/r","topic":"$$aws/things/${topic(2)}","qos":0,"headers":{"contentType":"a","userProperties":[{"key":"k","value":""}]}}},
 {"sqs":{"roleArn":"r","queueUrl":"https://q","useBase64":false}},
 {"timestream":{"roleArn":"r","databaseName":"d","tableName":"t","dimensions":[{"name":"n","value":"${v}"}],"timestamp":{"value":"${time}","unit":"MILLISECONDS"}}},
 {"kafka":{"destinationArn":"a","topic":"t","clientProperties":{"acks":"1","bootstrap.servers":"b:9092"}}},
 {"http":{"url":"https://h","headers":[{"key":"k","value":"<&>"}],"auth":{"sigv4":{"signingRegion":"us-east-1","serviceName":"s","roleArn":"r"}},"batchConfig":{"maxBatchSize":5}}},
 {"iotSiteWise":{"roleArn":"r","putAssetPropertyValueEntries":[{"propertyAlias":"p","propertyValues":[{"value":{"booleanValue":"true"},"timestamp":{"timeInSeconds":"1"}}]}]}}
]`

func TestATopicRuleComesBackAsItCame(t *testing.T) {
	s := open(t, nil)
	payload := `{"sql":"SELECT * FROM 'a/+/b' WHERE x <> \"FROM 'c'\"","description":"d","actions":` + everyAction +
		`,"errorAction":{"sns":{"targetArn":"t","roleArn":"r"}},"ruleDisabled":false,"awsIotSqlVersion":"2016-03-23"}`
	if a := s.send("POST", "/rules/every_1", payload); a.status != 200 || a.body != "{}" {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	got := s.send("GET", "/rules/every_1", "").json(t)
	if got["ruleArn"] != "arn:aws:iot:us-east-1:000000000000:rule/every_1" {
		t.Errorf("got %v", got["ruleArn"])
	}
	rule := got["rule"].(map[string]any)
	if made, _ := rule["createdAt"].(float64); made < 1 || rule["ruleName"] != "every_1" {
		t.Errorf("got %v", rule)
	}
	delete(rule, "createdAt")
	delete(rule, "ruleName")
	var want map[string]any
	if err := json.Unmarshal([]byte(payload), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, rule); diff != "" {
		t.Error(diff)
	}
	list := s.send("GET", "/rules", "").json(t)["rules"].([]any)[0].(map[string]any)
	if list["topicPattern"] != "a/+/b" || list["ruleDisabled"] != false {
		t.Errorf("listed as %v", list)
	}
}

func lambdaRule(sql string) *types.TopicRulePayload {
	return &types.TopicRulePayload{Sql: &sql, Actions: []types.Action{{Lambda: &types.LambdaAction{FunctionArn: aws.String("f")}}}}
}

func TestTopicRules(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	create := func(name, sql string) error {
		_, err := c.CreateTopicRule(ctx, &iot.CreateTopicRuleInput{RuleName: &name, TopicRulePayload: lambdaRule(sql), Tags: aws.String("team=a%26b&site=")})
		return err
	}
	for name, sql := range map[string]string{
		"one":   "SELECT * FROM 'site/+/temp'",
		"two":   "select topic(1) from \"site/#\"",
		"three": "SELECT (SELECT v FROM list) AS l FROM '$aws/events/certificates/registered/+'",
	} {
		if err := create(name, sql); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("a name is taken once", func(t *testing.T) {
		refused(t, create("one", "SELECT 1 FROM 'a'"), "ResourceAlreadyExistsException", "Rule with given name already exists")
	})
	t.Run("what is left out has AWS's defaults", func(t *testing.T) {
		got := must(c.GetTopicRule(ctx, &iot.GetTopicRuleInput{RuleName: aws.String("one")}))(t)
		if *got.Rule.AwsIotSqlVersion != "2015-10-08" || got.Rule.RuleDisabled == nil || *got.Rule.RuleDisabled || got.Rule.CreatedAt == nil {
			t.Errorf("got %+v", got.Rule)
		}
	})
	t.Run("lists filter by topic and by state", func(t *testing.T) {
		if _, err := c.DisableTopicRule(ctx, &iot.DisableTopicRuleInput{RuleName: aws.String("two")}); err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			in   iot.ListTopicRulesInput
			want string
		}{
			{iot.ListTopicRulesInput{MaxResults: aws.Int32(2)}, "one three two"},
			{iot.ListTopicRulesInput{Topic: aws.String("site/7/temp")}, "one two"},
			{iot.ListTopicRulesInput{Topic: aws.String("site/+/temp")}, "one two"},
			{iot.ListTopicRulesInput{Topic: aws.String("site")}, ""},
			{iot.ListTopicRulesInput{Topic: aws.String("$aws/events/certificates/registered/c")}, "three"},
			{iot.ListTopicRulesInput{RuleDisabled: aws.Bool(true)}, "two"},
			{iot.ListTopicRulesInput{RuleDisabled: aws.Bool(false), MaxResults: aws.Int32(1)}, "one three"},
		} {
			var names []string
			for pages := iot.NewListTopicRulesPaginator(c, &tc.in); pages.HasMorePages(); {
				for _, r := range must(pages.NextPage(ctx))(t).Rules {
					names = append(names, *r.RuleName)
				}
			}
			if got := strings.Join(names, " "); got != tc.want {
				t.Errorf("got %q; expected %q", got, tc.want)
			}
		}
		if _, err := c.EnableTopicRule(ctx, &iot.EnableTopicRuleInput{RuleName: aws.String("two")}); err != nil {
			t.Fatal(err)
		}
		if got := must(c.GetTopicRule(ctx, &iot.GetTopicRuleInput{RuleName: aws.String("two")}))(t); *got.Rule.RuleDisabled {
			t.Error("the rule stayed off")
		}
	})
	t.Run("a rule is replaced whole, and keeps its age and its tags", func(t *testing.T) {
		name := aws.String("one")
		before := must(c.GetTopicRule(ctx, &iot.GetTopicRuleInput{RuleName: name}))(t)
		must(c.ReplaceTopicRule(ctx, &iot.ReplaceTopicRuleInput{RuleName: name, TopicRulePayload: &types.TopicRulePayload{
			Sql: aws.String("SELECT 2 FROM 'x'"), Actions: []types.Action{}, RuleDisabled: aws.Bool(true), AwsIotSqlVersion: aws.String("beta"),
		}}))(t)
		after := must(c.GetTopicRule(ctx, &iot.GetTopicRuleInput{RuleName: name}))(t)
		if len(after.Rule.Actions) != 0 || !*after.Rule.RuleDisabled || !after.Rule.CreatedAt.Equal(*before.Rule.CreatedAt) {
			t.Errorf("got %+v", after.Rule)
		}
		tags := must(c.ListTagsForResource(ctx, &iot.ListTagsForResourceInput{ResourceArn: after.RuleArn}))(t)
		if diff := cmp.Diff([]string{"site=", "team=a&b"}, shown(tags.Tags)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("tags change, and tags of none are not found", func(t *testing.T) {
		rule := "arn:aws:iot:us-east-1:000000000000:rule/one"
		must(c.TagResource(ctx, &iot.TagResourceInput{ResourceArn: &rule, Tags: []types.Tag{{Key: aws.String("site"), Value: aws.String("n")}}}))(t)
		must(c.UntagResource(ctx, &iot.UntagResourceInput{ResourceArn: &rule, TagKeys: []string{"team"}}))(t)
		tags := must(c.ListTagsForResource(ctx, &iot.ListTagsForResourceInput{ResourceArn: &rule}))(t)
		if diff := cmp.Diff([]string{"site=n"}, shown(tags.Tags)); diff != "" {
			t.Error(diff)
		}
		_, err := c.TagResource(ctx, &iot.TagResourceInput{ResourceArn: aws.String(rule + "x"), Tags: []types.Tag{{Key: aws.String("a")}}})
		refused(t, err, "ResourceNotFoundException", "Rule onex does not exist")
	})
	t.Run("what is not there is denied, and deleted already", func(t *testing.T) {
		none := aws.String("none")
		_, err := c.GetTopicRule(ctx, &iot.GetTopicRuleInput{RuleName: none})
		refused(t, err, "UnauthorizedException", "Access to topic rule 'none' was denied")
		_, err = c.ReplaceTopicRule(ctx, &iot.ReplaceTopicRuleInput{RuleName: none, TopicRulePayload: lambdaRule("SELECT 1 FROM 'a'")})
		refused(t, err, "UnauthorizedException", "'none'")
		_, err = c.EnableTopicRule(ctx, &iot.EnableTopicRuleInput{RuleName: none})
		refused(t, err, "UnauthorizedException", "'none'")
		must(c.DeleteTopicRule(ctx, &iot.DeleteTopicRuleInput{RuleName: none}))(t)
		must(c.DeleteTopicRule(ctx, &iot.DeleteTopicRuleInput{RuleName: aws.String("two")}))(t)
		_, err = c.GetTopicRule(ctx, &iot.GetTopicRuleInput{RuleName: aws.String("two")})
		refused(t, err, "UnauthorizedException", "'two'")
	})
	for name, tc := range map[string]struct{ target, body, header, say string }{
		"a name with a hyphen":          {"/rules/a-b", `{"sql":"SELECT * FROM 'a'","actions":[]}`, "", `ruleName`},
		"a rule without sql":            {"/rules/a", `{"actions":[]}`, "", `'topicRulePayload.sql' failed to satisfy constraint: Member must not be null`},
		"eleven actions":                {"/rules/a", `{"sql":"SELECT * FROM 'a'","actions":[{},{},{},{},{},{},{},{},{},{},{}]}`, "", `less than or equal to 10`},
		"an action of no kind":          {"/rules/a", `{"sql":"SELECT * FROM 'a'","actions":[{"unheard":{}}]}`, "", `actions[0]: expected exactly one action`},
		"an action of two kinds":        {"/rules/a", `{"sql":"SELECT * FROM 'a'","actions":[{"lambda":{"functionArn":"f"},"sqs":{"roleArn":"r","queueUrl":"q"}}]}`, "", `actions[0]`},
		"an error action of no kind":    {"/rules/a", `{"sql":"SELECT * FROM 'a'","actions":[],"errorAction":{}}`, "", `errorAction`},
		"an action without its members": {"/rules/a", `{"sql":"SELECT * FROM 'a'","actions":[{"lambda":{}}]}`, "", `'topicRulePayload.actions.1.member.lambda.functionArn'`},
		"an unknown version of the SQL": {"/rules/a", `{"sql":"SELECT * FROM 'a'","actions":[],"awsIotSqlVersion":"2020-01-01"}`, "", `awsIotSqlVersion`},
		"tags that are none":            {"/rules/a", `{"sql":"SELECT * FROM 'a'","actions":[]}`, "a=%zz", `tags`},
		"a tag that stands twice":       {"/rules/a", `{"sql":"SELECT * FROM 'a'","actions":[]}`, "a=1&a=2", `stands twice`},
		"a tag of AWS's":                {"/rules/a", `{"sql":"SELECT * FROM 'a'","actions":[]}`, "aws:a=1", `reserved`},
	} {
		t.Run(name+" is refused, and not stored", func(t *testing.T) {
			a := s.sendTagged("POST", tc.target, tc.body, tc.header)
			if a.status != 400 || !strings.Contains(a.body, strings.ReplaceAll(tc.say, `"`, `\"`)) {
				t.Errorf("got %d %s", a.status, a.body)
			}
			if a := s.send("GET", "/rules/a", ""); a.status != 401 {
				t.Errorf("GetTopicRule answers %d", a.status)
			}
		})
	}
}

func shown(tags []types.Tag) (out []string) {
	for _, tag := range tags {
		out = append(out, *tag.Key+"="+*tag.Value)
	}
	return out
}

// postbox keeps what was sent to endpoints, and refuses while it is full.
type postbox struct {
	full     bool
	messages []map[string]string
}

func (b *postbox) deliver(_ context.Context, _ arn.Tenant, url string, message []byte) error {
	if b.full {
		return fault.New(fault.Unavailable, "The endpoint answered 503.")
	}
	var m map[string]string
	if err := json.Unmarshal(message, &m); err != nil {
		return err
	}
	m["url"] = url
	b.messages = append(b.messages, m)
	return nil
}

func TestDestinations(t *testing.T) {
	box := &postbox{}
	s := open(t, func(c *Config) { c.Deliver = box.deliver })
	c := s.admin()
	create := func(url string) (*iot.CreateTopicRuleDestinationOutput, error) {
		return c.CreateTopicRuleDestination(ctx, &iot.CreateTopicRuleDestinationInput{DestinationConfiguration: &types.TopicRuleDestinationConfiguration{
			HttpUrlConfiguration: &types.HttpUrlDestinationConfiguration{ConfirmationUrl: &url},
		}})
	}
	get := func(name *string) *types.TopicRuleDestination {
		return must(c.GetTopicRuleDestination(ctx, &iot.GetTopicRuleDestinationInput{Arn: name}))(t).TopicRuleDestination
	}
	set := func(name *string, to types.TopicRuleDestinationStatus) error {
		_, err := c.UpdateTopicRuleDestination(ctx, &iot.UpdateTopicRuleDestinationInput{Arn: name, Status: to})
		return err
	}
	confirm := func(token string) error {
		_, err := c.ConfirmTopicRuleDestination(ctx, &iot.ConfirmTopicRuleDestinationInput{ConfirmationToken: &token})
		return err
	}
	made := must(create("https://hooks.example/in"))(t).TopicRuleDestination
	if made.Status != types.TopicRuleDestinationStatusInProgress || !strings.HasPrefix(*made.Arn, "arn:aws:iot:us-east-1:000000000000:ruledestination/http/") ||
		*made.HttpUrlProperties.ConfirmationUrl != "https://hooks.example/in" || made.CreatedAt == nil || !strings.Contains(*made.StatusReason, "Awaiting confirmation") {
		t.Errorf("got %+v", made)
	}
	t.Run("the endpoint is told how to confirm", func(t *testing.T) {
		if m := box.messages[0]; m["url"] != "https://hooks.example/in" || m["arn"] != *made.Arn || m["messageType"] != "DestinationConfirmation" {
			t.Errorf("got %v", m)
		}
	})
	t.Run("nobody is enabled who has not confirmed", func(t *testing.T) {
		refused(t, set(made.Arn, types.TopicRuleDestinationStatusEnabled), "InvalidRequestException", "has to confirm first")
		refused(t, confirm("AAAA"), "InvalidRequestException", "confirmation token")
		_, err := s.client("AKIAOTHERADMIN").ConfirmTopicRuleDestination(ctx, &iot.ConfirmTopicRuleDestinationInput{ConfirmationToken: aws.String(box.messages[0]["confirmationToken"])})
		refused(t, err, "InvalidRequestException", "of this account")
		if got := get(made.Arn); got.Status != types.TopicRuleDestinationStatusInProgress {
			t.Errorf("got %s", got.Status)
		}
	})
	t.Run("a URL has one destination", func(t *testing.T) {
		_, err := create("https://hooks.example/in")
		refused(t, err, "ResourceAlreadyExistsException", "already exists")
	})
	t.Run("a new challenge makes the old token void, and confirming twice is confirming", func(t *testing.T) {
		if err := set(made.Arn, types.TopicRuleDestinationStatusInProgress); err != nil {
			t.Fatal(err)
		}
		refused(t, confirm(box.messages[0]["confirmationToken"]), "InvalidRequestException", "last confirmation message")
		for range 2 {
			if err := confirm(box.messages[1]["confirmationToken"]); err != nil {
				t.Fatal(err)
			}
		}
		if got := get(made.Arn); got.Status != types.TopicRuleDestinationStatusEnabled || got.StatusReason != nil {
			t.Errorf("got %s %v", got.Status, got.StatusReason)
		}
	})
	t.Run("a confirmed one is switched off and on", func(t *testing.T) {
		for _, to := range []types.TopicRuleDestinationStatus{"DISABLED", "ENABLED"} {
			if err := set(made.Arn, to); err != nil {
				t.Fatal(err)
			}
			if got := get(made.Arn).Status; got != to {
				t.Errorf("got %s; expected %s", got, to)
			}
		}
		refused(t, set(made.Arn, types.TopicRuleDestinationStatusDeleting), "InvalidRequestException", "cannot become DELETING")
	})
	t.Run("a message that does not arrive is told", func(t *testing.T) {
		box.full = true
		d := must(create("https://hooks.example/other"))(t).TopicRuleDestination
		if !strings.Contains(*d.StatusReason, "The endpoint answered 503.") || *get(d.Arn).StatusReason != *d.StatusReason {
			t.Errorf("got %s", *d.StatusReason)
		}
	})
	t.Run("a VPC is enabled, and comes back as it came", func(t *testing.T) {
		d := must(c.CreateTopicRuleDestination(ctx, &iot.CreateTopicRuleDestinationInput{DestinationConfiguration: &types.TopicRuleDestinationConfiguration{
			VpcConfiguration: &types.VpcDestinationConfiguration{SubnetIds: []string{"subnet-1", "subnet-2"}, VpcId: aws.String("vpc-1"), RoleArn: aws.String("r")},
		}}))(t).TopicRuleDestination
		if d.Status != types.TopicRuleDestinationStatusEnabled || !strings.Contains(*d.Arn, ":ruledestination/vpc/") || len(d.VpcProperties.SubnetIds) != 2 || *d.VpcProperties.VpcId != "vpc-1" {
			t.Errorf("got %+v", d)
		}
		refused(t, set(d.Arn, types.TopicRuleDestinationStatusInProgress), "InvalidRequestException", "cannot become IN_PROGRESS")
	})
	t.Run("all are listed, page by page, and gone when deleted", func(t *testing.T) {
		var kinds []string
		for pages := iot.NewListTopicRuleDestinationsPaginator(c, &iot.ListTopicRuleDestinationsInput{MaxResults: aws.Int32(2)}); pages.HasMorePages(); {
			for _, d := range must(pages.NextPage(ctx))(t).DestinationSummaries {
				kind := "http"
				if d.VpcDestinationSummary != nil {
					kind = *d.VpcDestinationSummary.VpcId
				} else if d.HttpUrlSummary == nil {
					t.Errorf("%s says nothing", *d.Arn)
				}
				kinds = append(kinds, kind)
			}
		}
		if got := strings.Join(kinds, " "); got != "http http vpc-1" {
			t.Errorf("got %s", got)
		}
		for range 2 {
			must(c.DeleteTopicRuleDestination(ctx, &iot.DeleteTopicRuleDestinationInput{Arn: made.Arn}))(t)
		}
		_, err := c.GetTopicRuleDestination(ctx, &iot.GetTopicRuleDestinationInput{Arn: made.Arn})
		refused(t, err, "UnauthorizedException", "Access to TopicRuleDestination '"+*made.Arn+"' was denied")
	})
	t.Run("a configuration of neither or both kinds is refused", func(t *testing.T) {
		for _, body := range []string{`{"destinationConfiguration":{}}`,
			`{"destinationConfiguration":{"httpUrlConfiguration":{"confirmationUrl":"https://a"},"vpcConfiguration":{"subnetIds":[],"vpcId":"v","roleArn":"r"}}}`} {
			if a := s.send("POST", "/destinations", body); a.status != 400 || !strings.Contains(a.body, "either httpUrlConfiguration or vpcConfiguration") {
				t.Errorf("got %d %s", a.status, a.body)
			}
		}
		_, err := create("ftp://a")
		refused(t, err, "InvalidRequestException", "confirmationUrl")
	})
}

// sendTagged sends tags as the tools do, in a header.
func (s *site) sendTagged(method, target, body, tags string) answer {
	s.t.Helper()
	return s.send(method, target, body, func(r *http.Request) {
		if tags != "" {
			r.Header.Set("x-amz-tagging", tags)
		}
	})
}
