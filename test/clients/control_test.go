package clients

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/server"
)

// AWS's own client is generous with what it reads and careful with what it
// writes; the facts of real-clients.md, "Control side", are about those that
// are not, Terraform above all. Here they are bytes. Package control holds
// what its own client can see.

// ok sends a request that has to succeed.
func (s *site) ok(method, target, body string, headers ...string) map[string]any {
	s.t.Helper()
	return s.send(method, target, body, headers...).object(s.t)
}

// registry fills a site with one resource of each kind, none of them tagged,
// and gives the certificate's ARN.
func registry(s *site) (cert string) {
	s.t.Helper()
	s.ok("POST", "/policies/p", fmt.Sprintf(`{"policyDocument":%s}`, quoted(devicePolicy)))
	s.ok("POST", "/policies/p/version", fmt.Sprintf(`{"policyDocument":%s}`, quoted(claimPolicy)))
	s.ok("POST", "/provisioning-templates", fmt.Sprintf(`{"templateName":"t","enabled":true,"templateBody":%s,"provisioningRoleArn":"arn:aws:iam::000000000000:role/r"}`, quoted(fleetBody)))
	s.ok("POST", "/provisioning-templates/t/versions", fmt.Sprintf(`{"templateBody":%s}`, quoted(fleetBody)))
	s.ok("POST", "/thing-types/ty", "")
	s.ok("POST", "/thing-groups/g", "")
	s.ok("POST", "/billing-groups/b", "")
	s.ok("POST", "/things/lamp", "")
	made := s.ok("POST", "/certificates?setAsActive=true", fmt.Sprintf(`{"certificateSigningRequest":%s}`,
		quoted(csr(s.t, newKey(s.t), pkix.Name{CommonName: "lamp"}))))
	return made["certificateArn"].(string)
}

func TestNoListOfCAsIsSent(t *testing.T) {
	s := start(t, server.Config{})
	s.fleet("fleet")
	claim := s.claim()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		asked := false
		config := s.config(claim)
		config.MinVersion, config.MaxVersion, config.Certificates = version, version, nil
		config.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if asked = true; len(r.AcceptableCAs) != 0 {
				t.Errorf("the request names %d authorities", len(r.AcceptableCAs))
			}
			return &claim, nil
		}
		s.enter(t, config, &mqtt.Connect{Version: mqtt.V5, ClientID: "asked", CleanStart: true})
		if !asked {
			t.Errorf("no certificate was asked for in version 0x%x", version)
		}
	}
}

// moment matches the members of AWS's model that hold a point in time.
var moment = regexp.MustCompile(`(Date|expiration|notBefore|notAfter)$`)

func TestTimesAreNumbers(t *testing.T) {
	s := start(t, server.Config{})
	id := strings.TrimPrefix(registry(s), certARN(""))
	for target, least := range map[string]int{
		"/certificates/" + id:                               4, // created, changed, valid from and to
		"/certificates":                                     1,
		"/policies/p":                                       2,
		"/policies/p/version":                               2,
		"/policies/p/version/2":                             2,
		"/provisioning-templates":                           2,
		"/provisioning-templates/t":                         2,
		"/provisioning-templates/t/versions":                2,
		"/provisioning-templates/t/versions/2":              1,
		"/thing-types/ty":                                   1,
		"/thing-groups/g":                                   1,
		"/billing-groups/b":                                 1,
		"POST /provisioning-templates/t/provisioning-claim": 1,
	} {
		method, path, found := strings.Cut(target, " ")
		if !found {
			method, path = http.MethodGet, target
		}
		if n := moments(t, target, s.ok(method, path, "")); n < least {
			t.Errorf("%s has %d times; at least %d were expected", target, n, least)
		}
	}
}

// moments counts the points in time below v, each of which has to be a number
// of seconds.
func moments(t *testing.T, at string, v any) (n int) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if moment.MatchString(name) {
				n++
				number, ok := member.(json.Number)
				if seconds, err := number.Float64(); !ok || err != nil || seconds < 1.5e9 || seconds > 5e9 {
					t.Errorf("%s.%s is %T %v", at, name, member, member)
				}
				continue
			}
			n += moments(t, at+"."+name, member)
		}
	case []any:
		for _, item := range v {
			n += moments(t, at+"[]", item)
		}
	}
	return n
}

func TestVersionIDsAndTheirDefaults(t *testing.T) {
	s := start(t, server.Config{})
	registry(s)
	policy := s.ok("GET", "/policies/p/version/2", "")
	if policy["policyVersionId"] != "2" || policy["isDefaultVersion"] != false {
		t.Errorf("got %v", policy)
	}
	template := s.ok("GET", "/provisioning-templates/t/versions/2", "")
	if template["versionId"] != json.Number("2") || template["isDefaultVersion"] != false {
		t.Errorf("got %v", template)
	}
	for target, want := range map[string]string{
		"/policies/p/version":                `"isDefaultVersion":false,"versionId":"2"`,
		"/provisioning-templates/t/versions": `"isDefaultVersion":false,"versionId":2`,
	} {
		var listed []string
		for _, list := range s.ok("GET", target, "") {
			for _, v := range list.([]any) {
				m := v.(map[string]any)
				id, _ := json.Marshal(m["versionId"])
				listed = append(listed, fmt.Sprintf(`"isDefaultVersion":%v,"versionId":%s`, m["isDefaultVersion"], id))
			}
		}
		if !slices.Contains(listed, want) || len(listed) != 2 {
			t.Errorf("%s lists %v", target, listed)
		}
	}
}

func TestPrincipalsTravelInHeadersAndARNsInPaths(t *testing.T) {
	s := start(t, server.Config{})
	cert := registry(s)
	s.ok("PUT", "/things/lamp/principals", "", "x-amzn-principal", cert)
	if got := s.ok("GET", "/principals/things", "", "x-amzn-principal", cert); fmt.Sprint(got["things"]) != "[lamp]" {
		t.Errorf("the principal's things: %v", got)
	}
	s.ok("PUT", "/principal-policies/p", "", "x-amzn-iot-principal", cert)
	if got := s.ok("GET", "/principal-policies", "", "x-amzn-iot-principal", cert); len(got["policies"].([]any)) != 1 {
		t.Errorf("the principal's policies: %v", got)
	}
	if got := s.ok("GET", "/policy-principals", "", "x-amzn-iot-policy", "p"); fmt.Sprint(got["principals"]) != "["+cert+"]" {
		t.Errorf("the policy's principals: %v", got)
	}
	for sentence, path := range map[string]string{
		"every colon and slash":     strings.NewReplacer(":", "%3A", "/", "%2F").Replace(cert),
		"in small letters":          strings.NewReplacer(":", "%3a", "/", "%2f").Replace(cert),
		"the slash alone, as in Go": url.PathEscape(cert),
	} {
		t.Run("escaped: "+sentence, func(t *testing.T) {
			got := s.ok("POST", "/attached-policies/"+path, "")
			if list := got["policies"].([]any); len(list) != 1 || list[0].(map[string]any)["policyName"] != "p" {
				t.Errorf("got %v", got)
			}
		})
	}
	s.ok("DELETE", "/things/lamp/principals", "", "x-amzn-principal", cert)
	s.ok("DELETE", "/principal-policies/p", "", "x-amzn-iot-principal", cert)
}

// A request without a body has no Content-Type; one with a body may have any.
func TestAPostNeedsNoBody(t *testing.T) {
	s := start(t, server.Config{})
	s.awaitKeys(1)
	for _, target := range []string{"/things/a", "/thing-types/a", "/thing-groups/a", "/billing-groups/a", "/keys-and-certificate?setAsActive=true"} {
		s.ok("POST", target, "")
	}
	s.ok("POST", "/things/b", "{}", "Content-Type", "application/x-amz-json-1.0")
}

func TestTheEndpointIsStable(t *testing.T) {
	data := t.TempDir()
	seen := map[string]bool{}
	for range 2 { // two lives of one server
		s := start(t, server.Config{Data: data})
		for _, kind := range []string{"", "?endpointType=iot:Data-ATS", "?endpointType=iot%3AData-ATS", "?endpointType=iot:Data", "?endpointType=iot:CredentialProvider", "?endpointType=iot:Jobs"} {
			seen[s.ok("GET", "/endpoint"+kind, "")["endpointAddress"].(string)] = true
		}
		s.stop()
	}
	if len(seen) != 1 {
		t.Errorf("the endpoint was %v", seen)
	}
}

// Terraform lists the tags of whatever may have some, tagged or not.
func TestWhatHasNoTagsListsNone(t *testing.T) {
	s := start(t, server.Config{})
	registry(s)
	for _, resource := range []string{"policy/p", "provisioningtemplate/t", "thingtype/ty", "thinggroup/g", "billinggroup/b"} {
		got := s.ok("GET", "/tags?resourceArn="+url.QueryEscape("arn:aws:iot:us-east-1:000000000000:"+resource), "")
		if tags, ok := got["tags"].([]any); !ok || len(tags) != 0 {
			t.Errorf("%s has %v", resource, got)
		}
	}
}
