package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/control/internal/model"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

func (a answer) expect(t *testing.T, status int, exception, say string) {
	t.Helper()
	if a.status != status || a.header.Get("x-amzn-ErrorType") != exception || !strings.Contains(a.body, say) {
		t.Errorf("got %d %s %s\nexpected %d %s …%s…", a.status, a.header.Get("x-amzn-ErrorType"), a.body, status, exception, say)
	}
}

func TestEnvelope(t *testing.T) {
	s := open(t, nil)
	id := regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	good := s.send("POST", "/things/lamp", `{"attributePayload":{"attributes":{"a":"1"}},"unknown":[1]}`)
	good.expect(t, 200, "", `"thingName":"lamp"`)
	bad := s.send("POST", "/things/lamp", "")
	bad.expect(t, 409, "ResourceAlreadyExistsException", `"message":"Thing lamp already exists`)
	for _, a := range []answer{good, bad} {
		if !id.MatchString(a.header.Get("x-amzn-RequestId")) || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("got headers %v", a.header)
		}
	}
	if v := bad.json(t); v["resourceId"] != "lamp" || v["resourceArn"] != "arn:aws:iot:us-east-1:000000000000:thing/lamp" {
		t.Errorf("got %v", v)
	}
	t.Run("no content is an empty object", func(t *testing.T) {
		if got := s.send("DELETE", "/things/lamp", ""); got.status != 200 || got.body != "{}" {
			t.Errorf("got %d %q", got.status, got.body)
		}
	})
	t.Run("times are numbers, false is there, null is not", func(t *testing.T) {
		s.send("POST", "/policies/p", fmt.Sprintf(`{"policyDocument":%q}`, connect))
		s.send("POST", "/policies/p/version", fmt.Sprintf(`{"policyDocument":%q}`, connect)).expect(t, 200, "", `"isDefaultVersion":false`)
		v := s.send("GET", "/policies/p/version/2", "").json(t)
		if at, ok := v["creationDate"].(float64); !ok || at < 1.7e9 || v["isDefaultVersion"] != false {
			t.Errorf("got %v", v)
		}
		ty := s.send("POST", "/thing-types/ty", "")
		if got := s.send("GET", "/thing-types/ty", ""); strings.Contains(ty.body+got.body, "null") || !strings.Contains(got.body, `"deprecated":false`) {
			t.Errorf("got %s", got.body)
		}
	})
}

func TestValidation(t *testing.T) {
	s := open(t, nil)
	long := strings.Repeat("x", 129)
	for _, c := range []struct{ name, method, path, body, exception, say string }{
		{"a name with a space", "POST", "/things/a%20b", "", "InvalidRequestException", "1 validation error detected: Value 'a b' at 'thingName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9:_-]+"},
		{"a long name", "POST", "/things/" + long, "", "InvalidRequestException", "Member must have length less than or equal to 128"},
		{"several at once", "POST", "/things/%C3%A4", `{"thingTypeName":"","attributePayload":{"attributes":{"a b":"1","c":"ü"}}}`, "InvalidRequestException", "5 validation errors detected: "},
		{"a key of a map", "POST", "/things/a", `{"attributePayload":{"attributes":{"a b":"1"}}}`, "InvalidRequestException", "Value '{a b=1}' at 'attributePayload.attributes' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy regular expression pattern"},
		{"a member that is missing", "POST", "/policies/p", "", "InvalidRequestException", "Value null at 'policyDocument' failed to satisfy constraint: Member must not be null"},
		{"a header that is missing", "PUT", "/things/a/principals", "", "InvalidRequestException", "Value null at 'principal'"},
		{"a number too large", "GET", "/things?maxResults=251", "", "InvalidRequestException", "Value '251' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 250"},
		{"a number that is none", "GET", "/things?maxResults=ten", "", "InvalidRequestException", "maxResults is \\\"ten\\\"; expected a number"},
		{"a boolean that is none", "POST", "/keys-and-certificate?setAsActive=yes", "", "InvalidRequestException", "expected true or false"},
		{"an unknown status", "PUT", "/certificates/" + strings.Repeat("0", 64) + "?newStatus=ON", "", "InvalidRequestException", "Member must satisfy enum value set"},
		{"a tag without a key", "POST", "/tags", `{"resourceArn":"arn:aws:iot:us-east-1:000000000000:policy/p","tags":[{"Value":"x"}]}`, "InvalidRequestException", "Value null at 'tags.1.member.Key'"},
		{"an endpoint of another service", "GET", "/endpoint?endpointType=iot:Shadow", "", "InvalidRequestException", "expected one of iot:Data-ATS"},
		{"no JSON", "POST", "/things/a", `{"attributePayload":`, "SerializationException", "line 1"},
		{"a list for an object", "POST", "/things/a", `[]`, "SerializationException", "The request body is a list; expected an object"},
		{"a number for a string", "POST", "/things/a", "{\n\"thingTypeName\":1}", "SerializationException", "thingTypeName (line 2) is a number; expected a string"},
		{"an object for a boolean", "POST", "/things/a", `{"attributePayload":{"merge":{}}}`, "SerializationException", "attributePayload.merge"},
		{"a template as an object", "POST", "/provisioning-templates", `{"templateBody":{}}`, "SerializationException", "templateBody"},
		{"a member twice", "POST", "/things/a", `{"thingTypeName":"a","thingTypeName":"b"}`, "SerializationException", "stands twice"},
		{"deep nesting", "POST", "/things/a", strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), "SerializationException", "nested deeper"},
		{"no UTF-8 in the body", "POST", "/things/a", "{\"thingTypeName\":\"\xff\"}", "SerializationException", "UTF-8"},
		{"no UTF-8 in the path", "GET", "/things/%FF", "", "InvalidRequestException", "percent-encoded UTF-8"},
		{"no UTF-8 in the query", "GET", "/things?thingTypeName=%FF", "", "InvalidRequestException", "UTF-8"},
		{"a megabyte and more", "POST", "/things/a", strings.Repeat(" ", 1<<20+1), "InvalidRequestException", "larger than 1048576 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.send(c.method, c.path, c.body).expect(t, 400, c.exception, c.say)
		})
	}
	if got := s.send("GET", "/things", "").json(t)["things"].([]any); len(got) != 0 {
		t.Errorf("a refused request left %v", got)
	}
	for _, body := range []string{"", "{}", "null", " \n", `{"thingTypeName":null}`} {
		if got := s.send("POST", "/things/empty", body); got.status != 200 {
			t.Errorf("the body %q gave %d %s", body, got.status, got.body)
		}
	}
}

func TestPathsAreTakenAsSent(t *testing.T) {
	s := open(t, nil)
	for _, path := range []string{"/things//principals", "/things/", "//things", "/things/../policies", "/things/a/", "/./things", "/nothing", "/slipway/x", "/things/a%2Fprincipals/x"} {
		s.send("GET", path, "").expect(t, 404, "UnknownOperationException", "no operation GET")
	}
	s.send("PATCH", "/things", "").expect(t, 404, "UnknownOperationException", "no operation PATCH")
	t.Run("a literal wins over a name, and the name over nothing", func(t *testing.T) {
		s.send("PUT", "/thing-groups/addThingToThingGroup", "{}").expect(t, 400, "InvalidRequestException", "thingGroupName or thingGroupArn")
		s.send("POST", "/thing-groups/addThingToThingGroup", "").expect(t, 200, "", "")
		s.send("GET", "/thing-groups/addThingToThingGroup", "").expect(t, 200, "", `"thingGroupName":"addThingToThingGroup"`)
	})
	t.Run("two paths of AWS end in a slash, or not", func(t *testing.T) {
		for _, path := range []string{"/authorizers/", "/authorizers"} {
			s.send("GET", path, "").expect(t, 200, "", `"authorizers":[]`)
		}
	})
	t.Run("a greedy name keeps its slashes", func(t *testing.T) {
		name := "arn:aws:iot:us-east-1:000000000000:ruledestination/vpc/1"
		s.send("GET", "/destinations/"+strings.ReplaceAll(name, ":", "%3A"), "").expect(t, 401, "UnauthorizedException", "'"+name+"' was denied")
	})
}

// Every operation of AWS's model has an answer of its own, be it that it is
// not there yet.
func TestEveryOperationIsRouted(t *testing.T) {
	s := open(t, nil)
	answers := s.operations()
	name := regexp.MustCompile(`\{\w+\+?\}`)
	for _, op := range model.Operations {
		rt, _, err := s.routes.find(op.Method, name.ReplaceAllString(op.Path, "1"))
		if err != nil {
			t.Errorf("%s: %v", op.Name, err)
			continue
		}
		if rt.action != "iot:"+op.Name || (rt.handle != nil) != (answers[op.Name] != nil) {
			t.Errorf("%s %s leads to %s", op.Method, op.Path, rt.action)
		}
		delete(answers, op.Name)
	}
	if len(answers) != 0 || len(model.Operations) != 272 {
		t.Errorf("%d operations; answers without one: %v", len(model.Operations), answers)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	s := open(t, func(cfg *Config) { cfg.Hosts = []string{"control.example"} })
	set := func(host string) func(*http.Request) { return func(r *http.Request) { r.Host = host } }
	origin := func(o string) func(*http.Request) { return func(r *http.Request) { r.Header.Set("Origin", o) } }
	for _, host := range []string{"evil.example", "evil.example:80", "169.254.169.254", "localhost.evil.example", "evilcontrol.example", "[::2]:1"} {
		s.send("GET", "/things", "", set(host)).expect(t, 403, "AccessDeniedException", "no name of this server")
	}
	for _, host := range []string{"localhost", "LOCALHOST:8080", "control.example:8080", "control.example.", "111122223333.eu-west-1.control.example", "127.0.0.2", "[::1]:80"} {
		s.send("GET", "/things", "", set(host)).expect(t, 200, "", "")
	}
	for _, o := range []string{"https://evil.example", "null", "http://localhost:1"} {
		s.send("GET", "/things", "", origin(o)).expect(t, 403, "AccessDeniedException", "no page but its own")
	}
	s.send("GET", "/things", "", origin(s.url)).expect(t, 200, "", "")
}

func TestKeysAndRoles(t *testing.T) {
	s := open(t, nil)
	t.Run("no signature", func(t *testing.T) {
		req, err := http.NewRequest("GET", s.url+"/things", nil)
		if err != nil {
			t.Fatal(err)
		}
		s.do(req).expect(t, 403, "MissingAuthenticationTokenException", "no Authorization header")
	})
	t.Run("unknown key", func(t *testing.T) {
		s.sendAs("AKIANOBODYATALL", "GET", "/things", "").expect(t, 403, "UnrecognizedClientException", "AKIANOBODYATALL is not known")
	})
	t.Run("changed body", func(t *testing.T) {
		a := s.send("POST", "/things/a", "", func(r *http.Request) { r.Body, r.ContentLength = nopBody("{} "), 3 })
		a.expect(t, 403, "InvalidSignatureException", "The signature does not match")
	})
	t.Run("an unknown path tells nothing to a stranger", func(t *testing.T) {
		req, err := http.NewRequest("GET", s.url+"/nothing", nil)
		if err != nil {
			t.Fatal(err)
		}
		s.do(req).expect(t, 403, "MissingAuthenticationTokenException", "")
	})
	t.Run("disabled key", func(t *testing.T) {
		err := s.db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
			return tenants.DisableAccessKey(ctx, tx, keyOf(tenants.Operator), s.cfg.Now())
		})
		if err != nil {
			t.Fatal(err)
		}
		s.sendAs(keyOf(tenants.Operator), "GET", "/things", "").expect(t, 403, "UnrecognizedClientException", "was revoked")
	})
	for _, c := range []struct {
		role         tenants.Role
		method, path string
		status       int
	}{
		{tenants.Auditor, "GET", "/things", 200},
		{tenants.Auditor, "POST", "/things/a", 403},
		{tenants.Auditor, "POST", "/keys-and-certificate", 403},
		{tenants.Auditor, "GET", "/jobs", 501},
		{tenants.Installer, "GET", "/endpoint", 200},
		{tenants.Installer, "GET", "/things", 403},
		{tenants.Installer, "POST", "/provisioning-templates/x/provisioning-claim", 404},
		{tenants.Installer, "POST", "/provisioning-templates/y/provisioning-claim", 403},
		{tenants.Installer, "GET", "/provisioning-templates/y", 403},
		{tenants.Function, "POST", "/things/byfunction", 200},
		{tenants.Function, "DELETE", "/things/byfunction", 403},
	} {
		t.Run(fmt.Sprintf("%s %s %s", c.role, c.method, c.path), func(t *testing.T) {
			a := s.sendAs(keyOf(c.role), c.method, c.path, "")
			if a.status != c.status {
				t.Errorf("got %d %s", a.status, a.body)
			}
			if c.status == 403 {
				a.expect(t, 403, "AccessDeniedException", "User: arn:aws:iam::000000000000:user/"+string(c.role)+" is not authorized to perform: iot:")
			}
		})
	}
	t.Run("the log holds no secret", func(t *testing.T) {
		if strings.Contains(s.log.String(), testSecret) || strings.Contains(s.log.String(), "Signature=") {
			t.Error("it does")
		}
		if !strings.Contains(s.log.String(), "action=iot:ListThings status=200") {
			t.Errorf("got %s", s.log)
		}
	})
}

// nopBody is a body that the signature did not see.
func nopBody(text string) io.ReadCloser { return io.NopCloser(strings.NewReader(text)) }

func TestNothingCrossesTenants(t *testing.T) {
	s := open(t, nil)
	mine, theirs := s.admin(), s.client("AKIAOTHERADMIN")
	id, cert := s.newCertificate()
	must(mine.CreateThing(ctx, &iot.CreateThingInput{ThingName: aws.String("lamp")}))(t)
	must(mine.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: aws.String("p"), PolicyDocument: aws.String(connect)}))(t)
	must(mine.CreateProvisioningTemplate(ctx, newTemplate("fleet")))(t)

	_, err := theirs.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: aws.String("lamp")})
	refused(t, err, "ResourceNotFoundException", "lamp")
	_, err = theirs.DescribeCertificate(ctx, &iot.DescribeCertificateInput{CertificateId: &id})
	refused(t, err, "ResourceNotFoundException", id)
	_, err = theirs.DescribeProvisioningTemplate(ctx, &iot.DescribeProvisioningTemplateInput{TemplateName: aws.String("fleet")})
	refused(t, err, "ResourceNotFoundException", "fleet")
	must(theirs.CreateThing(ctx, &iot.CreateThingInput{ThingName: aws.String("lamp"), AttributePayload: attributes("a", "b")}))(t)
	must(theirs.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: aws.String("p"), PolicyDocument: aws.String(connect)}))(t)
	_, err = theirs.AttachPolicy(ctx, &iot.AttachPolicyInput{PolicyName: aws.String("p"), Target: &cert})
	refused(t, err, "ResourceNotFoundException", "does not exist in this account")
	_, err = theirs.AttachThingPrincipal(ctx, &iot.AttachThingPrincipalInput{ThingName: aws.String("lamp"), Principal: &cert})
	refused(t, err, "ResourceNotFoundException", "does not exist in this account")
	for _, list := range []int{
		len(must(theirs.ListCertificates(ctx, &iot.ListCertificatesInput{}))(t).Certificates),
		len(must(theirs.ListProvisioningTemplates(ctx, &iot.ListProvisioningTemplatesInput{}))(t).Templates),
		len(must(theirs.ListThings(ctx, &iot.ListThingsInput{}))(t).Things) - 1,
	} {
		if list != 0 {
			t.Error("a list shows what is another's")
		}
	}
	if got := must(theirs.DescribeEndpoint(ctx, &iot.DescribeEndpointInput{}))(t); *got.EndpointAddress != other+".things.example" {
		t.Errorf("got %s", *got.EndpointAddress)
	}
	t.Run("a region is another tenant, which must exist", func(t *testing.T) {
		elsewhere := iot.New(s.admin().Options(), func(o *iot.Options) { o.Region = "eu-west-1" })
		_, err := elsewhere.ListThings(ctx, &iot.ListThingsInput{})
		refused(t, err, "AccessDeniedException", "Account 000000000000 does not exist in region eu-west-1 but in us-east-1: sign for that, such as with AWS_REGION=us-east-1.")
	})
	t.Run("a tenant that is switched off answers nobody", func(t *testing.T) {
		err := s.db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
			return tenants.SetDisabled(ctx, tx, arn.Tenant{Account: other, Region: arn.Default.Region}, true, s.cfg.Now())
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = theirs.ListThings(ctx, &iot.ListThingsInput{})
		refused(t, err, "AccessDeniedException", "disabled")
	})
}

func TestDevTakesAnyKey(t *testing.T) {
	s := open(t, func(cfg *Config) { cfg.Dev = true })
	for key, account := range map[string]string{"test": arn.Default.Account, "444455556666": "444455556666"} {
		got := must(s.client(key).CreateThing(ctx, &iot.CreateThingInput{ThingName: aws.String("lamp")}))(t)
		if *got.ThingArn != "arn:aws:iot:us-east-1:"+account+":thing/lamp" {
			t.Errorf("key %s made %s", key, *got.ThingArn)
		}
	}
	s.sendAs(keyOf(tenants.Installer), "GET", "/things", "").expect(t, 403, "AccessDeniedException", "role installer")
}

func TestCallerIdentity(t *testing.T) {
	s := open(t, nil)
	form := func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }
	a := s.sendAs(keyOf(tenants.Installer), "POST", "/", "Action=GetCallerIdentity&Version=2011-06-15", form)
	a.expect(t, 200, "", "<GetCallerIdentityResult><Arn>arn:aws:iam::000000000000:user/installer</Arn><UserId>AKIATESTINSTALLER</UserId><Account>000000000000</Account></GetCallerIdentityResult>")
	if a.header.Get("Content-Type") != "text/xml" {
		t.Errorf("got %s", a.header.Get("Content-Type"))
	}
	s.send("POST", "/", "Action=AssumeRole", form).expect(t, 501, "NotImplementedException", "<Message>&#34;AssumeRole&#34; of STS is not implemented by Slipway yet.</Message>")
	s.sendAs("AKIANOBODYATALL", "POST", "/", "Action=GetCallerIdentity", form).expect(t, 403, "UnrecognizedClientException", "<Code>UnrecognizedClientException</Code>")
}

func TestExtensions(t *testing.T) {
	s := open(t, nil)
	s.Handle("POST", "/slipway/templates/{name}/test", "slipway:TestTemplate", func(_ context.Context, c *Call) (any, error) {
		if len(c.Body) == 0 {
			return nil, errors.New("a cause that nobody may read")
		}
		return map[string]any{"name": c.Path["name"], "tenant": c.Tenant.String(), "who": c.Key.ID, "q": c.Query.Get("q"), "body": string(c.Body)}, nil
	})
	s.Handle("GET", "/slipway/file", "slipway:GetFile", func(context.Context, *Call) (any, error) {
		return Raw{"text/plain", []byte("hello")}, nil
	})
	got := s.send("POST", "/slipway/templates/a%2Fb/test?q=%2F", "x").json(t)
	if got["name"] != "a/b" || got["tenant"] != "000000000000/us-east-1" || got["who"] != keyOf(tenants.Admin) || got["q"] != "/" || got["body"] != "x" {
		t.Errorf("got %v", got)
	}
	if a := s.send("GET", "/slipway/file", ""); a.body != "hello" || a.header.Get("Content-Type") != "text/plain" {
		t.Errorf("got %+v", a)
	}
	s.sendAs(keyOf(tenants.Auditor), "POST", "/slipway/templates/x/test", "x").expect(t, 403, "AccessDeniedException", "slipway:TestTemplate")
	t.Run("a cause that nobody classified stays inside", func(t *testing.T) {
		a := s.send("POST", "/slipway/templates/x/test", "")
		a.expect(t, 500, "InternalFailureException", "The server failed")
		if strings.Contains(a.body, "nobody may read") || !strings.Contains(s.log.String(), "nobody may read") {
			t.Errorf("the caller read %s, the log has %s", a.body, s.log)
		}
	})
}

func TestNewSaysWhatItMisses(t *testing.T) {
	if _, err := New(Config{}); !fault.Is(err, fault.Internal) {
		t.Errorf("got %v", err)
	}
}
