package control

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/google/go-cmp/cmp"
)

const home = "arn:aws:iot:us-east-1:000000000000:"

// A suite of policies: own is on the certificate, site on the group above the
// thing's, and spare on nothing.
func furnishJudge(t *testing.T, s *site) (cert string) {
	t.Helper()
	c := s.admin()
	_, cert = s.newCertificate()
	for name, doc := range map[string]string{
		"own": `{"Version":"2012-10-17","Statement":[
			{"Sid":"door","Effect":"Allow","Action":"iot:Connect","Resource":"` + home + `client/${iot:Connection.Thing.ThingName}"},
			{"Effect":"Allow","Action":"iot:Publish","Resource":"` + home + `topic/dt/*"}]}`,
		"site": `{"Version":"2012-10-17","Statement":[
			{"Effect":"Deny","Action":"iot:Publish","Resource":"` + home + `topic/dt/secret"},
			{"Effect":"Allow","Action":"iot:Subscribe","Resource":"` + home + `topicfilter/cmd/${iot:ClientId}"}]}`,
		"spare": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Receive","Resource":"*"}]}`,
	} {
		must(c.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: &name, PolicyDocument: &doc}))(t)
	}
	must(c.CreateThingGroup(ctx, &iot.CreateThingGroupInput{ThingGroupName: aws.String("north")}))(t)
	must(c.CreateThingGroup(ctx, &iot.CreateThingGroupInput{ThingGroupName: aws.String("line"), ParentGroupName: aws.String("north")}))(t)
	for _, name := range []string{"lamp", "other"} {
		must(c.CreateThing(ctx, &iot.CreateThingInput{ThingName: &name}))(t)
		must(c.AddThingToThingGroup(ctx, &iot.AddThingToThingGroupInput{ThingName: &name, ThingGroupName: aws.String("line")}))(t)
	}
	must(c.AttachThingPrincipal(ctx, &iot.AttachThingPrincipalInput{ThingName: aws.String("lamp"), Principal: &cert}))(t)
	must(c.AttachPolicy(ctx, &iot.AttachPolicyInput{PolicyName: aws.String("own"), Target: &cert}))(t)
	must(c.AttachPolicy(ctx, &iot.AttachPolicyInput{PolicyName: aws.String("site"), Target: aws.String(home + "thinggroup/north")}))(t)
	return cert
}

func namesOf(list []types.Policy) string {
	var names []string
	for _, p := range list {
		if *p.PolicyArn != home+"policy/"+*p.PolicyName {
			names = append(names, *p.PolicyArn)
		}
		names = append(names, *p.PolicyName)
	}
	return strings.Join(names, " ")
}

func TestTestAuthorization(t *testing.T) {
	s := open(t, nil)
	cert := furnishJudge(t, s)
	ask := func(in iot.TestAuthorizationInput, action types.ActionType, resources ...string) (*types.AuthResult, error) {
		in.Principal = &cert
		in.AuthInfos = []types.AuthInfo{{ActionType: action, Resources: resources}}
		out, err := s.admin().TestAuthorization(ctx, &in)
		if err != nil {
			return nil, err
		}
		return &out.AuthResults[0], nil
	}
	lamp := iot.TestAuthorizationInput{ClientId: aws.String("lamp")}
	for name, tc := range map[string]struct {
		in        iot.TestAuthorizationInput
		action    types.ActionType
		resources []string
		decision  string
		lists     string // allowed | implicitly denied | explicitly denied
		missing   string
	}{
		"a client by its thing's name":      {lamp, "CONNECT", []string{home + "client/lamp"}, "ALLOWED", "own|site|", ""},
		"a client by another name":          {iot.TestAuthorizationInput{ClientId: aws.String("x")}, "CONNECT", []string{home + "client/x"}, "IMPLICIT_DENY", "|own|", "iot:Connection.Thing.ThingName"},
		"a thing that is not attached":      {iot.TestAuthorizationInput{ClientId: aws.String("other")}, "CONNECT", []string{home + "client/other"}, "IMPLICIT_DENY", "|own|", "iot:Connection.Thing.ThingName"},
		"a group's denial":                  {lamp, "PUBLISH", []string{home + "topic/dt/secret"}, "EXPLICIT_DENY", "own||site", ""},
		"without a client id there is none": {iot.TestAuthorizationInput{}, "PUBLISH", []string{home + "topic/dt/secret"}, "ALLOWED", "own||", ""},
		"a group's policy skipped":          {iot.TestAuthorizationInput{ClientId: aws.String("lamp"), PolicyNamesToSkip: []string{"site", "none"}}, "PUBLISH", []string{home + "topic/dt/secret"}, "ALLOWED", "own||", ""},
		"the worst of two resources":        {lamp, "PUBLISH", []string{home + "topic/dt/1", home + "topic/x"}, "IMPLICIT_DENY", "own|own site|", ""},
		"a subscription by client id":       {lamp, "SUBSCRIBE", []string{home + "topicfilter/cmd/lamp"}, "ALLOWED", "site|own|", ""},
		"what no policy is about":           {lamp, "RECEIVE", []string{home + "topic/dt/1"}, "IMPLICIT_DENY", "|own site|", ""},
		"a policy added as if attached":     {iot.TestAuthorizationInput{ClientId: aws.String("lamp"), PolicyNamesToAdd: []string{"spare"}}, "RECEIVE", []string{home + "topic/dt/1"}, "ALLOWED", "spare|own site|", ""},
		"another account's topic":           {lamp, "PUBLISH", []string{"arn:aws:iot:us-east-1:111122223333:topic/dt/1"}, "IMPLICIT_DENY", "|own site|", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := must(ask(tc.in, tc.action, tc.resources...))(t)
			lists := namesOf(got.Allowed.Policies) + "|" + namesOf(got.Denied.ImplicitDeny.Policies) + "|" + namesOf(got.Denied.ExplicitDeny.Policies)
			have := []string{string(got.AuthDecision), lists, strings.Join(got.MissingContextValues, " ")}
			if diff := cmp.Diff([]string{tc.decision, tc.lists, tc.missing}, have); diff != "" {
				t.Error(diff)
			}
			if got.AuthInfo.ActionType != tc.action || len(got.AuthInfo.Resources) != len(tc.resources) {
				t.Errorf("asked %+v", got.AuthInfo)
			}
		})
	}
	t.Run("the deciding statements are told", func(t *testing.T) {
		body := `{"principal":"` + cert + `","authInfos":[{"actionType":"CONNECT","resources":["` + home + `client/lamp"]},{"actionType":"PUBLISH","resources":["` + home + `topic/x"]}]}`
		results := s.send("POST", "/test-authorization?clientId=lamp", body).json(t)["authResults"].([]any)
		first := results[0].(map[string]any)["decidingStatements"].([]any)[0].(map[string]any)
		if first["policyName"] != "own" || first["policyVersionId"] != "1" || first["sid"] != "door" || first["statement"] != 0.0 ||
			first["authDecision"] != "ALLOWED" || !strings.Contains(first["sentence"].(string), "Statement[0] (door) of policy own (version 1) allows iot:Connect") {
			t.Errorf("got %v", first)
		}
		second := results[1].(map[string]any)["decidingStatements"].([]any)[0].(map[string]any)
		if _, there := second["statement"]; there || !strings.Contains(second["sentence"].(string), "No statement allows iot:Publish") {
			t.Errorf("got %v", second)
		}
	})
	t.Run("what cannot be judged is refused", func(t *testing.T) {
		_, err := ask(lamp, "PUBLISH", "dt/1")
		refused(t, err, "InvalidRequestException", `"dt/1" is no ARN`)
		_, err = ask(lamp, "", home+"topic/dt/1")
		refused(t, err, "InvalidRequestException", "actionType")
		_, err = ask(iot.TestAuthorizationInput{PolicyNamesToAdd: []string{"none"}}, "PUBLISH", home+"topic/dt/1")
		refused(t, err, "ResourceNotFoundException", "Policy none does not exist")
		infos := []types.AuthInfo{{ActionType: "PUBLISH", Resources: []string{"*"}}}
		_, err = s.admin().TestAuthorization(ctx, &iot.TestAuthorizationInput{AuthInfos: infos})
		refused(t, err, "InvalidRequestException", "principal must be given")
		_, err = s.admin().TestAuthorization(ctx, &iot.TestAuthorizationInput{AuthInfos: infos, Principal: aws.String(home + "cert/" + strings.Repeat("0", 64))})
		refused(t, err, "ResourceNotFoundException", "does not exist")
		_, err = s.admin().TestAuthorization(ctx, &iot.TestAuthorizationInput{AuthInfos: infos, CognitoIdentityPoolId: aws.String("us-east-1:pool")})
		refused(t, err, "NotImplementedException", "Cognito identities")
		_, err = s.admin().TestAuthorization(ctx, &iot.TestAuthorizationInput{AuthInfos: infos, Principal: aws.String("us-east-1:00000000-0000-0000-0000-000000000000")})
		refused(t, err, "NotImplementedException", "Cognito identities")
	})
}

func TestGetEffectivePolicies(t *testing.T) {
	s := open(t, nil)
	cert := furnishJudge(t, s)
	get := func(principal, thing string) (string, error) {
		in := &iot.GetEffectivePoliciesInput{}
		if principal != "" {
			in.Principal = &principal
		}
		if thing != "" {
			in.ThingName = &thing
		}
		out, err := s.admin().GetEffectivePolicies(ctx, in)
		if err != nil {
			return "", err
		}
		var names []string
		for _, p := range out.EffectivePolicies {
			names = append(names, *p.PolicyName)
			if !strings.Contains(*p.PolicyDocument, `"Statement"`) || *p.PolicyArn != home+"policy/"+*p.PolicyName {
				t.Errorf("got %+v", p)
			}
		}
		return strings.Join(names, " "), nil
	}
	for name, tc := range map[string]struct{ principal, thing, want string }{
		"the certificate's own":                              {cert, "", "own"},
		"with those of its thing's groups and their parents": {cert, "lamp", "own site"},
		"a thing that it is not attached to adds nothing":    {cert, "other", "own"},
		"a thing's groups alone":                             {"", "other", "site"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := must(get(tc.principal, tc.thing))(t); got != tc.want {
				t.Errorf("got %q; expected %q", got, tc.want)
			}
		})
	}
	t.Run("an exclusive thing counts without being named", func(t *testing.T) {
		_, bound := s.newCertificate()
		must(s.admin().AttachThingPrincipal(ctx, &iot.AttachThingPrincipalInput{ThingName: aws.String("other"), Principal: &bound, ThingPrincipalType: types.ThingPrincipalTypeExclusiveThing}))(t)
		if got := must(get(bound, ""))(t); got != "site" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("the default version is in force", func(t *testing.T) {
		must(s.admin().CreatePolicyVersion(ctx, &iot.CreatePolicyVersionInput{PolicyName: aws.String("own"), PolicyDocument: aws.String(connect), SetAsDefault: true}))(t)
		out := must(s.admin().GetEffectivePolicies(ctx, &iot.GetEffectivePoliciesInput{Principal: &cert}))(t)
		if *out.EffectivePolicies[0].PolicyDocument != connect {
			t.Errorf("got %s", *out.EffectivePolicies[0].PolicyDocument)
		}
	})
	t.Run("what is not there is not found", func(t *testing.T) {
		_, err := get(cert, "none")
		refused(t, err, "ResourceNotFoundException", "Thing none does not exist")
		_, err = get(home+"cert/"+strings.Repeat("0", 64), "")
		refused(t, err, "ResourceNotFoundException", "Certificate")
		_, err = get("", "")
		refused(t, err, "InvalidRequestException", "principal or thingName")
	})
}
