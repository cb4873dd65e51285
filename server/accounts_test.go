package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/sim"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
	"github.com/slipway-iot/slipway/wire"
)

// in signs for another region.
func in(c *api.Client, region string) *api.Client {
	return &api.Client{Endpoint: c.Endpoint, Region: region, AccessKeyID: c.AccessKeyID, Secret: c.Secret, Roots: c.Roots}
}

// opened adds an account by the control plane, and gives it with a client for
// its admin.
func (s *site) opened(account, region string) (accountItem, *api.Client) {
	s.t.Helper()
	answer, err := call(s.admin(), "POST", "/slipway/accounts", fmt.Sprintf(`{"accountId":%q,"region":%q,"adminKey":true}`, account, region))
	must(s.t, err)
	item := read[accountItem](s.t, answer)
	return item, in(s.with(item.Key.ID, item.Key.Secret), region)
}

// equip makes by the control plane what devices of an account need.
func (s *site) equip(c *api.Client, host string) *sim.Device {
	s.t.Helper()
	for _, step := range [][3]string{
		{"POST", "/policies/device", `{"policyDocument":` + quote(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`) + `}`},
		{"POST", "/provisioning-templates", `{"templateName":"fleet","enabled":true,"provisioningRoleArn":"arn:aws:iam::000000000000:role/r","templateBody":` + quote(fleet) + `}`},
	} {
		_, err := call(c, step[0], step[1], step[2])
		must(s.t, err)
	}
	answer, err := call(c, "POST", "/slipway/claims", `{"templateName":"fleet"}`)
	must(s.t, err)
	claim := read[claimAnswer](s.t, answer)
	pair, err := tls.X509KeyPair([]byte(claim.CertificatePEM), []byte(claim.PrivateKey))
	must(s.t, err)
	d := &sim.Device{Connect: s.options(pair, "boot"), Template: "fleet", Format: wire.JSON, Parameters: map[string]string{"SerialNumber": "1"}}
	d.Connect.ServerName = host
	return d
}

func TestANewAccountIsReachedAtOnce(t *testing.T) {
	s := start(t, t.TempDir())
	acme, admin := s.opened("111122223333", "eu-west-1")
	if acme.Endpoint != "111122223333.eu-west-1.localhost" || acme.Status != "ENABLED" || acme.Profile != tenants.None || acme.Limits["group-depth"] != 7 {
		t.Errorf("got %+v", acme)
	}
	d := s.equip(admin, acme.Endpoint)
	r, conn, err := d.Provision(context.Background())
	must(t, err)
	defer conn.Close()
	if _, err := call(admin, "GET", "/things/lamp-1", ""); err != nil || d.Progress.Thing != "lamp-1" {
		t.Errorf("the device became %s: %v", d.Progress.Thing, err)
	}
	_, err = call(s.admin(), "GET", "/things/lamp-1", "")
	wantRefusal(t, err, "ResourceNotFoundException", "lamp-1")

	t.Run("its name is its own", func(t *testing.T) {
		o := s.options(r.Cert, "lamp-1")
		o.ServerName = "localhost"
		_, err := client.Dial(context.Background(), o)
		if err == nil || !strings.Contains(err.Error(), "is not registered in account 000000000000") {
			t.Errorf("by another account's name: %v", err)
		}
	})
	t.Run("switched off, its connections are cut, nobody comes in and every call is refused", func(t *testing.T) {
		answer, err := call(s.admin(), "PATCH", "/slipway/accounts/111122223333/eu-west-1", `{"disabled":true}`)
		must(t, err)
		if got := read[accountItem](t, answer); got.Status != "DISABLED" {
			t.Errorf("got %s", answer)
		}
		if err := conn.Wait(); err == nil || !strings.Contains(err.Error(), "switched off") {
			t.Errorf("the connection ended with %v", err)
		}
		if _, err := client.Dial(context.Background(), d.Connect); err == nil {
			t.Error("a device came in")
		}
		for _, path := range []string{"/things", "/slipway/keys", "/slipway/claims"} {
			_, err := call(admin, "GET", path, "")
			wantRefusal(t, err, "AccessDeniedException", "Account 111122223333 is disabled in region eu-west-1.")
		}
	})
	t.Run("switched on again, all is as before", func(t *testing.T) {
		_, err := call(s.admin(), "PATCH", "/slipway/accounts/111122223333/eu-west-1", `{"disabled":false}`)
		must(t, err)
		_, err = call(admin, "GET", "/things/lamp-1", "")
		must(t, err)
		o := s.options(r.Cert, "lamp-1")
		o.ServerName = acme.Endpoint
		again, err := client.Dial(context.Background(), o)
		must(t, err)
		again.Close()
	})
	t.Run("the server's own account cannot be switched off", func(t *testing.T) {
		_, err := call(s.admin(), "PATCH", "/slipway/accounts/000000000000/us-east-1", `{"disabled":true}`)
		wantRefusal(t, err, "InvalidRequestException", "nobody could enable it again")
		_, err = call(s.admin(), "GET", "/things", "")
		must(t, err)
	})
}

// Accounts and keys are in no region: a call about them is good in whichever
// it is signed for, and recorded where the account is.
func TestAccountsAndKeysAreInNoRegion(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.admin()
	admin.Region = "eu-west-1"
	_, err := call(admin, "GET", "/things", "")
	wantRefusal(t, err, "AccessDeniedException", "does not exist in region eu-west-1 but in us-east-1")
	must2(call(admin, "POST", "/slipway/accounts", `{"accountId":"111122223333","region":"ap-south-1"}`))(t)
	must2(call(admin, "PATCH", "/slipway/accounts/111122223333/ap-south-1", `{"disabled":true}`))(t)
	records, _ := auditOf(t, s.admin(), url.Values{"action": {"slipway:UpdateAccount"}})
	if len(records) != 1 || records[0].Region != arn.Default.Region {
		t.Errorf("the trail of the account has %+v", records)
	}
	theirs := s.as("111122223333", tenants.Admin)
	must2(call(theirs, "GET", "/slipway/keys", ""))(t) // s.as made it in us-east-1, where it is not disabled
	must2(call(admin, "PATCH", "/slipway/accounts/111122223333/us-east-1", `{"disabled":true}`))(t)
	theirs.Region = "eu-west-1"
	_, err = call(theirs, "GET", "/slipway/keys", "")
	wantRefusal(t, err, "AccessDeniedException", "disabled in each of its regions")
}

// An account is not locked out of itself by a slip.
func TestTheLastAdminKeyGoesByForceAlone(t *testing.T) {
	s := start(t, t.TempDir())
	_, acme := s.opened("111122223333", "us-east-1")
	s.as("111122223333", tenants.Operator)
	own := "/slipway/keys/" + acme.AccessKeyID
	_, err := call(acme, "DELETE", own, "")
	wantRefusal(t, err, "DeleteConflictException", "is the last admin key of account 111122223333")
	_, err = send(acme, "DELETE", own+"?force=yes", "")
	wantRefusal(t, err, "InvalidRequestException", "expected true or false")
	must2(call(acme, "GET", "/things", ""))(t)
	t.Run("of two admins that revoke each other at once, one stays", func(t *testing.T) {
		another := s.as("111122223333", tenants.Admin)
		done := make(chan error, 2)
		go func() { _, err := call(acme, "DELETE", "/slipway/keys/"+another.AccessKeyID, ""); done <- err }()
		go func() { _, err := call(another, "DELETE", own, ""); done <- err }()
		if one, two := <-done, <-done; (one == nil) == (two == nil) {
			t.Errorf("got %v and %v", one, two)
		}
	})
	t.Run("by force it goes", func(t *testing.T) {
		_, err := send(s.admin(), "DELETE", own+"?force=true", "")
		must(t, err)
		_, err = call(acme, "GET", "/things", "")
		wantRefusal(t, err, "UnrecognizedClientException", "was revoked")
	})
}

func TestWhoManagesAccountsAndKeys(t *testing.T) {
	s := start(t, t.TempDir())
	_, acme := s.opened("111122223333", "us-east-1")
	_, globex := s.opened("444455556666", "us-east-1")
	key := func(c *api.Client, body string) (keyAnswer, error) {
		answer, err := call(c, "POST", "/slipway/keys", body)
		if err != nil {
			return keyAnswer{}, err
		}
		return read[keyAnswer](t, answer), nil
	}
	theirs, err := key(globex, `{"role":"operator","name":"ci"}`)
	must(t, err)

	t.Run("an admin of an account sees and makes keys of that account only", func(t *testing.T) {
		for _, c := range []struct{ method, path, body, say string }{
			{"POST", "/slipway/accounts", `{"accountId":"777788889999"}`, "slipway:AddAccount: adding an account takes an admin key of account 000000000000"},
			{"PATCH", "/slipway/accounts/111122223333/us-east-1", `{"limits":{"templates":9}}`, "changing an account takes an admin key"},
			{"PATCH", "/slipway/accounts/444455556666/us-east-1", `{"disabled":true}`, "changing an account takes an admin key"},
			{"GET", "/slipway/accounts/444455556666/us-east-1", "", "acting for account 444455556666 takes an admin key"},
			{"POST", "/slipway/keys", `{"role":"admin","accountId":"000000000000"}`, "acting for account 000000000000 takes an admin key"},
		} {
			_, err := call(acme, c.method, c.path, c.body)
			wantRefusal(t, err, "AccessDeniedException", c.say)
		}
		_, err := call(acme, "GET", "/slipway/accounts/111122223333/us-east-1", "")
		must(t, err)
		list, err := call(acme, "GET", "/slipway/accounts", "")
		must(t, err)
		if strings.Contains(list, "444455556666") || strings.Contains(list, "000000000000") || !strings.Contains(list, "111122223333") {
			t.Errorf("got %s", list)
		}
		keys, err := call(acme, "GET", "/slipway/keys", "")
		must(t, err)
		if strings.Contains(keys, theirs.ID) || !strings.Contains(keys, acme.AccessKeyID) || strings.Contains(keys, acme.Secret) {
			t.Errorf("got %s", keys)
		}
	})
	t.Run("another's key is as one that does not exist", func(t *testing.T) {
		_, err := call(acme, "DELETE", "/slipway/keys/"+theirs.ID, "")
		wantRefusal(t, err, "ResourceNotFoundException", "does not exist")
		_, err = call(s.with(theirs.ID, theirs.Secret), "GET", "/things", "")
		must(t, err)
	})
	t.Run("an operator of the server's own account manages none", func(t *testing.T) {
		operator := s.as(arn.Default.Account, tenants.Operator)
		_, err := call(operator, "POST", "/slipway/accounts", `{"accountId":"777788889999"}`)
		wantRefusal(t, err, "AccessDeniedException", "is not authorized to perform: slipway:AddAccount on resource: * because the role operator does not allow the action")
	})
	t.Run("a revoked key fails at its next request", func(t *testing.T) {
		c := s.with(theirs.ID, theirs.Secret)
		_, err := call(globex, "DELETE", "/slipway/keys/"+theirs.ID, "")
		must(t, err)
		_, err = call(c, "GET", "/things", "")
		wantRefusal(t, err, "UnrecognizedClientException", "was revoked")
		_, err = call(s.admin(), "DELETE", "/slipway/keys/"+theirs.ID, "")
		must(t, err) // again, by who runs the server
	})
	t.Run("id and secret may be taken over, once", func(t *testing.T) {
		const body = `{"role":"operator","accessKeyId":"AKIAFROMELSEWHERE","secretAccessKey":"a secret from elsewhere"}`
		_, err := key(acme, body)
		must(t, err)
		_, err = call(s.with("AKIAFROMELSEWHERE", "a secret from elsewhere"), "GET", "/things", "")
		must(t, err)
		_, err = key(globex, body)
		wantRefusal(t, err, "ResourceAlreadyExistsException", "AKIAFROMELSEWHERE")
		_, err = key(acme, `{"role":"operator","accessKeyId":"AKIAFROMELSEWHER2"}`)
		wantRefusal(t, err, "InvalidRequestException", "belong together")
	})
}

// Our own operations, like AWS's (control's test of them), tell and change
// nothing across accounts. A new extension needs a row.
func TestOurOperationsStayInTheirTenant(t *testing.T) {
	s := start(t, t.TempDir())
	s.furnish()
	owner := s.admin()
	const secret = "only-the-owner-knows"
	_, err := call(owner, "PUT", "/slipway/functions/gate", `{"kind":"allowlist","csv":"SerialNumber\n`+secret+`\n"}`)
	must(t, err)
	claim, err := call(owner, "POST", "/slipway/claims", `{"templateName":"fleet"}`)
	must(t, err)
	cert := read[claimAnswer](t, claim).CertificateID
	_, conn, err := s.device(secret).Provision(context.Background())
	must(t, err)
	conn.Close()
	code, _, err := s.issuer.StartCode(context.Background(), arn.Default, strings.Repeat("0a", 32), map[string]string{"serial": secret}, "192.0.2.1")
	must(t, err)
	rows := map[string]struct{ path, body string }{
		"slipway:CreateTrustedClaim": {"/slipway/trusted-claims/fleet", `{}`},
		"slipway:ListDeviceCodes":    {"/slipway/device-codes", ""},
		"slipway:ApproveDeviceCode":  {"/slipway/device-codes/" + code.Code + "/approve", `{"templateName":"fleet","fingerprint":"` + code.Key + `"}`},
		"slipway:DenyDeviceCode":     {"/slipway/device-codes/" + code.Code + "/deny", `{"fingerprint":"` + code.Key + `"}`},
		"slipway:CreateClaim":        {"/slipway/claims", `{"templateName":"fleet"}`},
		"slipway:CreateDevice":       {"/slipway/devices", `{"thingName":"lamp-` + secret + `","policies":["device"],"renew":true,"certificateSigningRequest":` + quote(request(t)) + `}`},
		"slipway:ListClaims":         {"/slipway/claims", ""},
		"slipway:ListAttempts":       {"/slipway/attempts", ""},
		"slipway:PutFunction":        {"/slipway/functions/gate", `{"kind":"allowlist","csv":"SerialNumber\nA\n"}`},
		"slipway:ListFunctions":      {"/slipway/functions", ""},
		"slipway:DeleteFunction":     {"/slipway/functions/gate", ""},
		"slipway:TestFunction":       {"/slipway/functions/gate/test", `{}`},
		"slipway:PreviewTemplate":    {"/slipway/templates/fleet/preview", `{"parameters":{"SerialNumber":"1"}}`},
		"slipway:ExplainPolicy":      {"/slipway/policy/explain", `{"certificateId":"` + cert + `","action":"iot:Connect","clientId":"x"}`},
		"slipway:AddAccount":         {"/slipway/accounts", `{"accountId":"999988887777"}`},
		"slipway:ListAccounts":       {"/slipway/accounts", ""},
		"slipway:UpdateAccount":      {"/slipway/accounts/000000000000/us-east-1", `{"limits":{"templates":1}}`},
		"slipway:DescribeAccount":    {"/slipway/accounts/000000000000/us-east-1", ""},
		"slipway:AddKey":             {"/slipway/keys", `{"role":"admin","accountId":"000000000000"}`},
		"slipway:ListKeys":           {"/slipway/keys?accountId=000000000000", ""},
		"slipway:RevokeKey":          {"/slipway/keys/" + owner.AccessKeyID, ""},
		"slipway:ListAudit":          {"/slipway/audit", ""},
		"slipway:VerifyAudit":        {"/slipway/audit/verify", ""},
		"slipway:DescribeEndpoints":  {"/slipway/endpoints", ""},
		"slipway:PutBucket":          {"/slipway/buckets/secret", `{"folder":"/tmp"}`},
		"slipway:ListBuckets":        {"/slipway/buckets", ""},
		"slipway:CreateBucketLink":   {"/slipway/buckets/secret/links", `{"key":"a","method":"GET"}`},
	}
	everything := func() (all string) {
		for _, path := range []string{"/slipway/claims", "/slipway/functions", "/slipway/keys", "/slipway/accounts", "/provisioning-templates/fleet", "/slipway/device-codes"} {
			answer, err := call(owner, "GET", path, "")
			must(t, err)
			all += answer
		}
		return all
	}
	_, strangerHere := s.opened("111122223333", "us-east-1")
	s.update(func(ctx context.Context, tx store.Tx) error {
		_, err := tenants.Create(ctx, tx, arn.Tenant{Account: arn.Default.Account, Region: "eu-west-1"}, s.cfg.Now())
		return err
	})
	before := everything()
	for _, e := range s.extensions() {
		row, known := rows[e.action]
		if !known {
			t.Errorf("%s has no row", e.action)
			continue
		}
		strangers := map[string]*api.Client{"another account": strangerHere}
		if !strings.HasSuffix(e.action, "Account") && !strings.HasSuffix(e.action, "Accounts") && !strings.HasSuffix(e.action, "Key") && !strings.HasSuffix(e.action, "Keys") {
			strangers["another region"] = in(owner, "eu-west-1") // accounts and keys are of all regions
		}
		for who, c := range strangers {
			path, query, _ := strings.Cut(row.path, "?")
			var out []byte
			var body any
			if row.body != "" {
				body = []byte(row.body)
			}
			err := c.Do(context.Background(), e.method, path, parsed(query), nil, body, &out)
			told := string(out)
			if err != nil {
				told = err.Error()
			}
			for _, word := range []string{secret, cert, "first-admin", "lamp-"} {
				if word == "first-admin" && who == "another region" {
					continue // the caller's own key
				}
				if strings.Contains(told, word) && !strings.Contains(row.path+row.body, word) {
					t.Errorf("%s told %s of %s: %s", e.action, who, word, told)
				}
			}
		}
	}
	if now := everything(); now != before {
		t.Errorf("the owner had\n%s\nand has\n%s", before, now)
	}
	if _, err := call(owner, http.MethodGet, "/things/lamp-"+secret, ""); err != nil {
		t.Error(err)
	}
}

func parsed(query string) url.Values {
	v, _ := url.ParseQuery(query) // a row's own
	return v
}

// request is a device's own certificate signing request.
func request(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}
