package races

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/control"
	"github.com/slipway-iot/slipway/internal/pgtest"
	"github.com/slipway-iot/slipway/internal/seal"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/postgres"
	"github.com/slipway-iot/slipway/store/sqlite"
)

// eachStore runs a test against a control plane over every kind of database.
func eachStore(t *testing.T, run func(*testing.T, *site)) {
	t.Run("SQLite", func(t *testing.T) {
		db, err := sqlite.Open(t.Context(), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		run(t, newSite(t, db))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		server := &pgtest.Server{}
		t.Cleanup(server.Stop)
		db, err := postgres.Open(t.Context(), server.Database(t), postgres.Options{})
		if err != nil {
			t.Fatal(err)
		}
		run(t, newSite(t, db))
	})
}

// A site is a control plane that takes any account.
type site struct {
	db       store.DB
	url      string
	accounts atomic.Int64
}

func newSite(t *testing.T, db store.DB) *site {
	t.Helper()
	t.Cleanup(func() { db.Close() })
	key, _, err := seal.Open(t.TempDir(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	plane, err := control.New(control.Config{
		DB: db, Keys: key, Dev: true, Endpoint: func(arn.Tenant) string { return "localhost" },
		Issuer: struct{ control.Issuer }{}, // nothing is signed here
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(plane)
	t.Cleanup(web.Close)
	return &site{db: db, url: web.URL}
}

// An account is a tenant of its own on a site.
type account struct {
	*site
	api    *api.Client
	tenant arn.Tenant
}

func (s *site) account() *account {
	id := fmt.Sprintf("%012d", s.accounts.Add(1))
	return &account{
		site: s, tenant: arn.Tenant{Account: id, Region: arn.Default.Region},
		api: &api.Client{Endpoint: s.url, Region: arn.Default.Region, AccessKeyID: id, Secret: "any will do"},
	}
}

// certID is the id of the certificate that the tests call by a short name.
func certID(name string) arn.CertID {
	return arn.CertID(strings.Repeat("0", 62) + fmt.Sprintf("%02x", name[len(name)-1]))
}

func (a *account) target(name string) string {
	if strings.HasPrefix(name, "cert") {
		return a.tenant.Cert(certID(name))
	}
	return a.tenant.Resource("thinggroup", name)
}

// addCertificate stores a certificate past the API, which would sign one.
func (a *account) addCertificate(ctx context.Context, name, status string) error {
	now := time.Now()
	return a.db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		return tx.InsertCertificate(ctx, &certs.Certificate{
			Tenant: a.tenant, ID: certID(name), PEM: "none", Status: certs.Status(status), Mode: "DEFAULT",
			Origin: certs.FromCSR, NotBefore: now, NotAfter: now.Add(time.Hour), Created: now, Modified: now, Version: 1,
		})
	})
}

// A request is a call as it goes over the wire, and what of the answer counts.
type request struct {
	method, path string
	query        url.Values
	principal    string
	body         any
	read         func(answer) string
}

// An answer has the members that the calls ask for.
type answer struct {
	Attributes       map[string]string
	BillingGroupName string
	Version          int
	Principals       []string
	PolicyVersionID  string `json:"policyVersionId"`
	PolicyVersions   []struct{ VersionID string }
	Policies         []struct{ PolicyName string }
	Things           []any                   // names, or objects that have one
	Certificate      struct{ Status string } `json:"certificateDescription"`
}

const document = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}`

type object = map[string]any

func (a *account) request(c call) request {
	switch c.Do {
	case "CreateThing", "UpdateThing":
		body := object{"attributePayload": object{"attributes": object{"by": c.By}}}
		if c.Do == "CreateThing" {
			return request{method: "POST", path: "/things/" + c.X, body: body}
		}
		if c.N != 0 { // which is a version that no thing has
			body["expectedVersion"] = c.N
		}
		return request{method: "PATCH", path: "/things/" + c.X, body: body}
	case "DeleteThing":
		return request{method: "DELETE", path: "/things/" + c.X, query: number("expectedVersion", c.N)}
	case "DescribeThing":
		return request{method: "GET", path: "/things/" + c.X, read: func(got answer) string {
			return fmt.Sprintf("%+v", thing{got.Attributes["by"], got.BillingGroupName, got.Version})
		}}
	case "ListThings":
		return request{method: "GET", path: "/things", query: url.Values{"attributeName": {"by"}, "attributeValue": {c.By}}, read: readNames}
	case "AttachThingPrincipal":
		return request{method: "PUT", path: "/things/" + c.X + "/principals", principal: a.target(c.Y), query: url.Values{"thingPrincipalType": {c.By}}}
	case "DetachThingPrincipal":
		return request{method: "DELETE", path: "/things/" + c.X + "/principals", principal: a.target(c.Y)}
	case "ListThingPrincipals":
		return request{method: "GET", path: "/things/" + c.X + "/principals", read: func(got answer) string { return a.short(got.Principals) }}
	case "CreatePolicy":
		return request{method: "POST", path: "/policies/" + c.X, body: object{"policyDocument": document}}
	case "CreatePolicyVersion":
		return request{method: "POST", path: "/policies/" + c.X + "/version", body: object{"policyDocument": document},
			read: func(got answer) string { return got.PolicyVersionID }}
	case "DeletePolicyVersion":
		return request{method: "DELETE", path: fmt.Sprintf("/policies/%s/version/%d", c.X, c.N)}
	case "ListPolicyVersions":
		return request{method: "GET", path: "/policies/" + c.X + "/version", read: readVersions}
	case "DeletePolicy":
		return request{method: "DELETE", path: "/policies/" + c.X}
	case "AttachPolicy":
		return request{method: "PUT", path: "/target-policies/" + c.X, body: object{"target": a.target(c.Y)}}
	case "DetachPolicy":
		return request{method: "POST", path: "/target-policies/" + c.X, body: object{"target": a.target(c.Y)}}
	case "ListAttachedPolicies":
		return request{method: "POST", path: api.Path("attached-policies", a.target(c.Y)), read: readPolicies}
	}
	return a.more(c)
}

func (a *account) more(c call) request {
	switch c.Do {
	case "UpdateCertificate":
		return request{method: "PUT", path: "/certificates/" + string(certID(c.X)), query: url.Values{"newStatus": {c.By}}}
	case "DeleteCertificate":
		return request{method: "DELETE", path: "/certificates/" + string(certID(c.X)), query: url.Values{"forceDelete": {fmt.Sprint(c.By == "force")}}}
	case "DescribeCertificate":
		return request{method: "GET", path: "/certificates/" + string(certID(c.X)), read: func(got answer) string { return got.Certificate.Status }}
	case "CreateThingGroup":
		body := object{}
		if c.Y != "" {
			body["parentGroupName"] = c.Y
		}
		return request{method: "POST", path: "/thing-groups/" + c.X, body: body}
	case "DeleteThingGroup":
		return request{method: "DELETE", path: "/thing-groups/" + c.X}
	case "AddThingToThingGroup", "RemoveThingFromThingGroup":
		return request{method: "PUT", path: "/thing-groups/" + lower(c.Do), body: object{"thingGroupName": c.X, "thingName": c.Y}}
	case "ListThingsInThingGroup":
		return request{method: "GET", path: "/thing-groups/" + c.X + "/things", read: func(got answer) string { return fmt.Sprint(got.Things) }}
	case "CreateBillingGroup":
		return request{method: "POST", path: "/billing-groups/" + c.X, body: object{}}
	case "DeleteBillingGroup":
		return request{method: "DELETE", path: "/billing-groups/" + c.X}
	case "AddThingToBillingGroup", "RemoveThingFromBillingGroup":
		return request{method: "PUT", path: "/billing-groups/" + lower(c.Do), body: object{"billingGroupName": c.X, "thingName": c.Y}}
	}
	panic("no such call: " + c.Do)
}

func lower(action string) string { return strings.ToLower(action[:1]) + action[1:] }

func number(name string, n int) url.Values {
	if n == 0 {
		return nil
	}
	return url.Values{name: {fmt.Sprint(n)}}
}

// short names certificates as the tests do.
func (a *account) short(principals []string) string {
	out := []string{}
	for _, p := range principals {
		for _, name := range certNames {
			if p == a.target(name) {
				out = append(out, name)
			}
		}
	}
	return fmt.Sprint(out)
}

func readNames(got answer) string {
	names := []string{}
	for _, th := range got.Things {
		names = append(names, fmt.Sprint(th.(object)["thingName"]))
	}
	return fmt.Sprint(names)
}

func readVersions(got answer) string {
	var ids []string
	for _, v := range got.PolicyVersions {
		ids = append(ids, v.VersionID)
	}
	slices.Sort(ids)
	return fmt.Sprint(ids)
}

func readPolicies(got answer) string {
	names := []string{}
	for _, p := range got.Policies {
		names = append(names, p.PolicyName)
	}
	return fmt.Sprint(names)
}

// do makes a call and gives its answer as the model would: the exception of a
// refusal, what was read, or that it was done. An error is a call that the
// server neither did nor refused.
func (a *account) do(ctx context.Context, c call) (string, error) {
	if c.Do == "everything" {
		r, err := a.stored(ctx)
		return r.String(), err
	}
	got, err := a.send(ctx, a.request(c))
	if err != nil {
		err = fmt.Errorf("%v: %w", c, err)
	}
	return got, err
}

func (a *account) send(ctx context.Context, q request) (string, error) {
	header := http.Header{}
	if q.principal != "" {
		header.Set("x-amzn-principal", q.principal)
	}
	var raw []byte
	err := a.api.Do(ctx, q.method, q.path, q.query, header, q.body, &raw)
	var refused *api.Error
	switch {
	case errors.As(err, &refused) && refused.Status < 500:
		return refused.Type, nil
	case err != nil:
		return "", err
	case q.read == nil:
		return ok, nil
	}
	var got answer
	err = json.Unmarshal(raw, &got)
	return q.read(got), err
}
