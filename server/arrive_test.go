package server

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/internal/certtest"
)

const arrivalBody = `{"Parameters":{"AWS::IoT::Certificate::SerialNumber":{"Type":"String"}},"Resources":{
 "thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Fn::Join":["-",["SITE",{"Ref":"AWS::IoT::Certificate::SerialNumber"}]]}}},
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"}}},
 "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":"arrived"}}}}`

// sponsors registers the CA in an account by the control plane, with a template
// whose things are named after the site.
func (s *site) sponsors(c *api.Client, ca certtest.Cert, site string) {
	s.t.Helper()
	_, err := call(c, "POST", "/policies/arrived", `{"policyDocument":`+quote(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`)+`}`)
	must(s.t, err)
	body, err := json.Marshal(map[string]any{"caCertificate": ca.PEM, "certificateMode": "SNI_ONLY",
		"registrationConfig": map[string]string{"templateBody": strings.ReplaceAll(arrivalBody, "SITE", site), "roleArn": "arn:aws:iam::000000000000:role/r"}})
	must(s.t, err)
	must(s.t, c.Do(context.Background(), "POST", "/cacertificate", map[string][]string{"setAsActive": {"true"}, "allowAutoRegistration": {"true"}}, nil, body, nil))
}

// TestOneDeviceArrivesInAccountsAndRegions holds that a device which knows
// several endpoints becomes a thing of its own behind each, and that the other
// accounts learn nothing of it.
func TestOneDeviceArrivesInAccountsAndRegions(t *testing.T) {
	s := start(t, t.TempDir(), func(c *Config) { c.JITPInline = true })
	acme, acmeAdmin := s.opened("111122223333", "us-east-1")
	abroad, abroadAdmin := s.opened("111122223333", "eu-west-1")
	ca := certtest.CA(t, "maker")
	leaf := ca.Sign(t, "lamp", func(c *x509.Certificate) { c.Subject.SerialNumber = "S1" })
	for _, place := range []struct {
		host, site string
		admin      *api.Client
	}{{"localhost", "home", s.admin()}, {acme.Endpoint, "acme", acmeAdmin}, {abroad.Endpoint, "abroad", abroadAdmin}} {
		o := s.options(leaf.TLS(), "lamp")
		o.ServerName = place.host
		if _, err := client.Dial(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no CA certificate of the account has the name of its issuer") {
			t.Errorf("at %s, before its CA: %v", place.host, err)
		}
		s.sponsors(place.admin, ca, place.site)
		conn, err := client.Dial(t.Context(), o)
		if err != nil {
			t.Errorf("at %s: %v", place.host, err)
			continue
		}
		conn.Close()
		answer, err := call(place.admin, "GET", "/things", "")
		if err != nil || strings.Count(answer, `"thingName"`) != 1 || !strings.Contains(answer, `"`+place.site+`-S1"`) {
			t.Errorf("at %s the things are %s, %v", place.host, answer, err)
		}
	}
	must(t, acmeAdmin.Do(t.Context(), "PUT", "/certificates/"+string(arn.IDOf(leaf.Raw)), map[string][]string{"newStatus": {"REVOKED"}}, nil, nil, nil))
	for host, revoked := range map[string]bool{"localhost": false, acme.Endpoint: true, abroad.Endpoint: false} {
		o := s.options(leaf.TLS(), "lamp")
		o.ServerName = host
		conn, err := client.Dial(t.Context(), o)
		if (err != nil) != revoked {
			t.Errorf("revoked in one account, at %s: %v", host, err)
		}
		if conn != nil {
			conn.Close()
		}
	}
}

// What a first connection registers stands in the audit trail as what a caller
// registers does; a connection that is refused, and what devices do otherwise,
// does not.
func TestAnArrivalIsInTheAuditTrail(t *testing.T) {
	s := start(t, t.TempDir(), func(c *Config) { c.JITPInline = true })
	ca := certtest.CA(t, "maker")
	s.sponsors(s.admin(), ca, "home")
	nameless := ca.Sign(t, "lamp") // has no serial, which the template asks for
	if _, err := client.Dial(t.Context(), s.options(nameless.TLS(), "lamp")); err == nil {
		t.Error("a device without a serial was admitted")
	}
	leaf := ca.Sign(t, "lamp", func(c *x509.Certificate) { c.Subject.SerialNumber = "S1" })
	for range 2 {
		conn, err := client.Dial(t.Context(), s.options(leaf.TLS(), "lamp"))
		must(t, err)
		conn.Close()
	}
	var trail struct {
		Records []struct {
			Record struct {
				Who     struct{ Key, Role string }
				From    string
				Action  string
				Changes []struct{ Kind, Name string }
			}
		}
	}
	answer, err := call(s.admin(), "GET", "/slipway/audit", "")
	must(t, err)
	must(t, json.Unmarshal([]byte(answer), &trail))
	var got []string
	for _, one := range trail.Records {
		r := one.Record
		if r.Who.Role != "device" {
			continue
		}
		if r.From != "127.0.0.1" {
			t.Errorf("%s came from %q", r.Action, r.From)
		}
		who := "nameless"
		if r.Who.Key == "cert/"+string(arn.IDOf(leaf.Raw)) {
			who = "leaf"
		}
		for _, c := range r.Changes {
			if c.Kind == "thing" || c.Kind == "cert" {
				got = append(got, who+" "+r.Action+" "+c.Kind)
			}
		}
	}
	slices.Sort(got)
	want := []string{"leaf iot:RegisterCertificate cert", "leaf iot:RegisterThing cert", "leaf iot:RegisterThing thing", "nameless iot:RegisterCertificate cert"}
	if !slices.Equal(got, want) {
		t.Errorf("the trail has %q, want %q", got, want)
	}
}
