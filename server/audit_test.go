package server

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/audit"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/internal/pgtest"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
	"github.com/slipway-iot/slipway/trail"
)

// auditOf lists the trail of a client's tenant, the oldest first.
func auditOf(t testing.TB, c *api.Client, query url.Values) (out []*audit.Record, items []auditItem) {
	t.Helper()
	if query == nil {
		query = url.Values{}
	}
	for {
		var page struct {
			Records   []auditItem
			NextToken string
		}
		must(t, c.Do(context.Background(), "GET", "/slipway/audit", query, nil, nil, &page))
		items = append(items, page.Records...)
		if page.NextToken == "" {
			break
		}
		query.Set("nextToken", page.NextToken)
	}
	for i := len(items) - 1; i >= 0; i-- {
		r, err := audit.Open(items[i].Record)
		must(t, err)
		out = append(out, r)
	}
	return out, items
}

func verdictOf(t testing.TB, c *api.Client, query url.Values) (v auditVerdict) {
	t.Helper()
	must(t, c.Do(context.Background(), "GET", "/slipway/audit/verify", query, nil, nil, &v))
	return v
}

// ofStart is how many records a first start leaves: that of the account and
// its admin key.
const ofStart = 1

func sound(t testing.TB, c *api.Client, records int64) {
	t.Helper()
	if v := verdictOf(t, c, nil); v.Broken != nil || v.Sequence != records || !v.Complete || v.Unsealed != 0 {
		t.Errorf("got %+v %+v, want %d records", v, v.Broken, records)
	}
}

const (
	anyPolicy   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`
	quotedFleet = `{"templateName":"fleet2","provisioningRoleArn":"arn:aws:iam::000000000000:role/r","enabled":true,"templateBody":` + `"{\"Resources\":{\"thing\":{\"Type\":\"AWS::IoT::Thing\",\"Properties\":{\"ThingName\":\"x\"}}}}"` + `}`
)

// mutating are calls that change something, in an order that works.
var mutating = []struct{ method, path, body, action, change string }{
	{"POST", "/thing-types/lock", `{}`, "iot:CreateThingType", "thingtype lock"},
	{"POST", "/things/lamp", `{}`, "iot:CreateThing", "thing lamp"},
	{"PATCH", "/things/lamp", `{"attributePayload":{"attributes":{"a":"b"}}}`, "iot:UpdateThing", "thing lamp"},
	{"POST", "/thing-groups/hall", `{}`, "iot:CreateThingGroup", "thinggroup hall"},
	{"PUT", "/thing-groups/addThingToThingGroup", `{"thingGroupName":"hall","thingName":"lamp"}`, "iot:AddThingToThingGroup", "group-thing hall lamp"},
	{"PUT", "/thing-groups/removeThingFromThingGroup", `{"thingGroupName":"hall","thingName":"lamp"}`, "iot:RemoveThingFromThingGroup", "group-thing hall lamp"},
	{"DELETE", "/thing-groups/hall", "", "iot:DeleteThingGroup", "thinggroup hall"},
	{"POST", "/billing-groups/north", `{}`, "iot:CreateBillingGroup", "billinggroup north"},
	{"PUT", "/billing-groups/addThingToBillingGroup", `{"billingGroupName":"north","thingName":"lamp"}`, "iot:AddThingToBillingGroup", "billing-thing north lamp"},
	{"POST", "/policies/p", `{"policyDocument":` + quote(anyPolicy) + `}`, "iot:CreatePolicy", "policy p"},
	{"POST", "/policies/p/version?setAsDefault=true", `{"policyDocument":` + quote(anyPolicy) + `}`, "iot:CreatePolicyVersion", "policy p"},
	{"POST", "/keys-and-certificate?setAsActive=true", "", "iot:CreateKeysAndCertificate", "cert"},
	{"POST", "/provisioning-templates", quotedFleet, "iot:CreateProvisioningTemplate", "provisioningtemplate fleet2"},
	{"PATCH", "/provisioning-templates/fleet2", `{"description":"d"}`, "iot:UpdateProvisioningTemplate", "provisioningtemplate fleet2"},
	{"POST", "/provisioning-templates/fleet/provisioning-claim", "", "iot:CreateProvisioningClaim", "claim"},
	{"POST", "/slipway/claims", `{"templateName":"fleet"}`, "slipway:CreateClaim", "claim"},
	{"PUT", "/slipway/functions/gate", `{"kind":"allowlist","csv":"SerialNumber\nA1\n"}`, "slipway:PutFunction", "function gate"},
	{"DELETE", "/slipway/functions/gate", "", "slipway:DeleteFunction", "function gate"},
	{"POST", "/tags", `{"resourceArn":"arn:aws:iot:us-east-1:000000000000:policy/p","tags":[{"Key":"a","Value":"b"}]}`, "iot:TagResource", "policy p"},
	{"POST", "/slipway/keys", `{"role":"auditor","name":"officer"}`, "slipway:AddKey", "key"},
	{"POST", "/slipway/accounts", `{"accountId":"444455556666","region":"us-east-1"}`, "slipway:AddAccount", "account 444455556666"},
	{"POST", "/things", "", "", ""}, // no such operation: nothing
	{"POST", "/role-aliases/alias", `{"roleArn":"arn:aws:iam::000000000000:role/r"}`, "iot:CreateRoleAlias", "rolealias alias"},
	{"POST", "/rules/rule", `{"sql":"SELECT * FROM 'a'","actions":[]}`, "iot:CreateTopicRule", "topic-rule rule"},
	{"POST", "/registration-code", "", "", ""},
}

func send(c *api.Client, method, path, body string) ([]byte, error) {
	path, rest, _ := strings.Cut(path, "?")
	query, _ := url.ParseQuery(rest)
	var sent any
	if body != "" {
		sent = []byte(body)
	}
	var out []byte
	err := c.Do(context.Background(), method, path, query, nil, sent, &out)
	return out, err
}

func TestEveryMutatingCallIsInTheTrail(t *testing.T) {
	s := start(t, t.TempDir())
	s.furnish()
	admin := s.admin()
	known := ofStart
	for _, m := range mutating {
		_, err := send(admin, m.method, m.path, m.body)
		if (err != nil) != (m.action == "") {
			t.Errorf("%s %s: %v", m.method, m.path, err)
			continue
		}
		all, _ := auditOf(t, admin, nil)
		if m.action == "" {
			if len(all) != known {
				t.Errorf("%s %s left a record: %+v", m.method, m.path, all[len(all)-1])
			}
			continue
		}
		known++
		if len(all) != known {
			t.Errorf("%s: %d records, want %d", m.action, len(all), known)
			known = len(all)
			continue
		}
		r := all[known-1]
		found := false
		for _, c := range r.Changes {
			found = found || strings.HasPrefix(strings.TrimSpace(c.Kind+" "+c.Name+" "+c.To), m.change)
		}
		if r.Action != m.action || !found || r.Who.Key != admin.AccessKeyID || r.Who.Role != "admin" || r.From != "127.0.0.1" || len(r.RequestID) != 36 || r.Outcome != audit.Done {
			t.Errorf("%s %s gave %+v, want %s of %s", m.method, m.path, r, m.action, m.change)
		}
	}
	sound(t, admin, int64(known))
	t.Run("a page at a time too", func(t *testing.T) {
		all, _ := auditOf(t, admin, url.Values{"maxResults": {"3"}})
		if len(all) != known {
			t.Errorf("%d records, want %d", len(all), known)
		}
	})
	t.Run("and what devices do is not", func(t *testing.T) {
		_, conn, err := s.device("1").Provision(context.Background())
		must(t, err)
		conn.Close()
		sound(t, admin, int64(known))
	})
}

// Every operation that is told a secret, or tells one.
func TestNoSecretIsInTheTrail(t *testing.T) {
	s := start(t, t.TempDir())
	s.furnish()
	admin := s.admin()
	var secrets []string
	take := func(answer []byte, err error) {
		t.Helper()
		must(t, err)
		var tree any
		must(t, json.Unmarshal(answer, &tree))
		secrets = append(secrets, secretTexts("", tree)...)
	}
	take(send(admin, "POST", "/keys-and-certificate", ""))
	take(send(admin, "POST", "/provisioning-templates/fleet/provisioning-claim", ""))
	take(send(admin, "POST", "/slipway/claims", `{"templateName":"fleet"}`))
	take(send(admin, "POST", "/slipway/keys", `{"role":"auditor","name":"officer"}`))
	take(send(admin, "POST", "/slipway/keys", `{"role":"operator","name":"given","accessKeyId":"AKIAGIVENKEY","secretAccessKey":"hush-given-secret"}`))
	take(send(admin, "GET", "/registrationcode", ""))
	take(send(admin, "PUT", "/slipway/functions/web", `{"kind":"http","url":"https://hooks.example.com/x?key=hush-query","secret":"hush-signing"}`))
	take(send(admin, "PUT", "/slipway/functions/program", `{"kind":"process","command":["/bin/true"],"env":{"TOKEN":"hush-environment"}}`))
	take(send(admin, "PUT", "/slipway/functions/program", `{"kind":"process","command":["/bin/true"],"env":{"TOKEN":"hush-changed"}}`))
	take(send(admin, "POST", "/rules/rule", `{"sql":"SELECT * FROM 'a'","actions":[{"http":{"url":"https://hooks.example.com/x","headers":[{"key":"Authorization","value":"hush-header"}]}}]}`))
	take(send(admin, "POST", "/slipway/accounts", `{"accountId":"444455556666","region":"us-east-1"}`))
	if _, err := send(admin, "DELETE", "/slipway/keys/AKIAGIVENKEY", ""); err != nil {
		t.Error(err)
	}
	own, err := s.Admin()
	must(t, err)
	secrets = append(secrets, own.Secret, "hush")
	if len(secrets) < 8 {
		t.Errorf("only %d secrets were told", len(secrets))
	}
	records, items := auditOf(t, admin, nil)
	if len(records) < 10 {
		t.Errorf("only %d records", len(records))
	}
	for _, item := range items {
		for _, secret := range append(secrets, "PRIVATE KEY") {
			if strings.Contains(string(item.Record), quote(secret)[1:len(quote(secret))-1]) {
				t.Errorf("%q is in the trail: %s", arn.Clip(secret, 20), item.Record)
			}
		}
	}
}

// secretTexts are the texts of an answer whose names say that they are secret.
func secretTexts(name string, v any) (out []string) {
	switch v := v.(type) {
	case map[string]any:
		for n, value := range v {
			out = append(out, secretTexts(strings.ToLower(n), value)...)
		}
	case string:
		if (strings.Contains(name, "private") || strings.Contains(name, "secret") || strings.Contains(name, "code")) && v != "***" {
			out = append(out, v)
		}
	}
	return out
}

// The account and the key that a first start makes are no caller's doing, and
// yet somebody's who can start the server.
func TestTheFirstKeyIsInTheTrail(t *testing.T) {
	data := t.TempDir()
	s := start(t, data)
	admin := s.admin()
	records, items := auditOf(t, admin, nil)
	if len(records) != ofStart {
		t.Fatalf("%d records", len(records))
	}
	r := records[0]
	if r.Who != (audit.Who{Name: "slipway serve", Role: "server"}) || r.From != "" || r.Action != "slipway:AddKey" || len(r.Changes) != 2 ||
		r.Changes[0].Kind != "account" || r.Changes[1].Kind != "key" || r.Changes[1].Name != admin.AccessKeyID || strings.Contains(string(items[0].Record), admin.Secret) {
		t.Errorf("got %+v", r)
	}
	if found, _ := auditOf(t, admin, url.Values{"who": {"slipway serve"}, "resource": {admin.AccessKeyID}}); len(found) != 1 {
		t.Errorf("a search finds %d", len(found))
	}
	must(t, s.stop())
	t.Run("and a start that makes nothing leaves nothing", func(t *testing.T) {
		sound(t, start(t, data).admin(), ofStart)
	})
	t.Run("a key that is given to a later start is", func(t *testing.T) {
		s := start(t, t.TempDir())
		must(t, s.stop())
		again := start(t, s.cfg.Data, func(c *Config) { c.AdminKeyID, c.AdminSecret = "AKIAGIVENKEY", "hush, a secret that is long" })
		records, _ := auditOf(t, again.admin(), url.Values{"resource": {"AKIAGIVENKEY"}})
		if len(records) != 1 || records[0].Who.Role != "server" || len(records[0].Changes) != 1 {
			t.Errorf("got %+v", records)
		}
	})
}

func TestWhoMayReadTheTrail(t *testing.T) {
	s := start(t, t.TempDir())
	for role, may := range map[tenants.Role]bool{tenants.Admin: true, tenants.Operator: true, tenants.Auditor: true, tenants.Installer: false, tenants.Function: false} {
		c := s.as(arn.Default.Account, role)
		for _, path := range []string{"/slipway/audit", "/slipway/audit/verify"} {
			_, err := call(c, "GET", path, "")
			if (err == nil) != may {
				t.Errorf("%s %s: %v", role, path, err)
			}
		}
	}
	t.Run("and who was denied is in it", func(t *testing.T) {
		auditor := s.as(arn.Default.Account, tenants.Auditor)
		for range 3 {
			_, err := call(auditor, "POST", "/things/lamp", "{}")
			wantRefusal(t, err, "AccessDeniedException", "iot:CreateThing")
		}
		stranger := s.with("AKIANOBODYATALL", "a secret that is long enough")
		_, err := call(stranger, "POST", "/things/lamp", "{}")
		wantRefusal(t, err, "UnrecognizedClientException", "")
		all, _ := auditOf(t, auditor, url.Values{"action": {"iot:CreateThing"}})
		if len(all) != 1 || all[0].Outcome != audit.Denied || all[0].Who.Key != auditor.AccessKeyID || !strings.Contains(all[0].Reason, "iot:CreateThing") || len(all[0].Changes) != 0 {
			t.Errorf("got %d records, %+v", len(all), all)
		}
	})
	t.Run("each account its own", func(t *testing.T) {
		admin, foreign := s.admin(), s.as(other.Account, tenants.Admin)
		must2(call(admin, "POST", "/things/ours", "{}"))(t)
		must2(call(foreign, "POST", "/things/theirs", "{}"))(t)
		for c, name := range map[*api.Client]string{admin: "theirs", foreign: "ours"} {
			_, items := auditOf(t, c, nil)
			for _, item := range items {
				if strings.Contains(string(item.Record), name) {
					t.Errorf("%s sees %s", c.AccessKeyID, item.Record)
				}
			}
			if all, _ := auditOf(t, c, url.Values{"resource": {name}}); len(all) != 0 {
				t.Errorf("%s finds %s", c.AccessKeyID, name)
			}
		}
		if v := verdictOf(t, foreign, nil); v.Broken != nil {
			t.Errorf("got %+v", v.Broken)
		}
	})
	t.Run("asked wrongly", func(t *testing.T) {
		for _, q := range []string{"head=12", "sequence=-1", "sequence=x", "sequence=1&from=zz"} {
			_, err := send(s.admin(), "GET", "/slipway/audit/verify?"+q, "")
			wantRefusal(t, err, "InvalidRequestException", "")
		}
		_, err := send(s.admin(), "GET", "/slipway/audit?since=yesterday", "")
		wantRefusal(t, err, "InvalidRequestException", "since")
	})
}

func must2(_ string, err error) func(testing.TB) {
	return func(t testing.TB) { t.Helper(); must(t, err) }
}

// A bench is a server whose database somebody else can write.
type bench struct {
	*site
	sql *sql.DB
}

func (b *bench) exec(t *testing.T, statement string) {
	t.Helper()
	result, err := b.sql.Exec(statement)
	must(t, err)
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		t.Errorf("%s: %d rows, %v", statement, n, err)
	}
}

func benches(t *testing.T) map[string]func(*testing.T) *bench {
	cluster := &pgtest.Server{}
	t.Cleanup(cluster.Stop)
	open := func(t *testing.T, s *site, driver, name string) *bench {
		db, err := sql.Open(driver, name)
		must(t, err)
		t.Cleanup(func() { db.Close() })
		return &bench{s, db}
	}
	return map[string]func(*testing.T) *bench{
		"SQLite": func(t *testing.T) *bench {
			data := t.TempDir()
			return open(t, start(t, data), "sqlite", filepath.Join(data, "slipway.db")+"?_pragma=busy_timeout(60000)")
		},
		"PostgreSQL": func(t *testing.T) *bench {
			at := cluster.Database(t)
			return open(t, start(t, t.TempDir(), func(c *Config) { c.Store = at }), "pgx", at)
		},
	}
}

// What somebody does to the trail who can write the database, and does not
// know the server's key. Each is taken back.
var tampering = []struct {
	name       string
	statements []string
	undo       []string
	at         int64
	text       string
}{
	{"a byte is changed", []string{"UPDATE audit SET body = replace(body, 'lamp-3', 'lamp-x') WHERE seq = 3"},
		[]string{"UPDATE audit SET body = replace(body, 'lamp-x', 'lamp-3') WHERE seq = 3"}, 3, "Record 3 is not what was sealed"},
	{"two records change places",
		[]string{"UPDATE audit SET seq = 1000 WHERE seq = 2", "UPDATE audit SET seq = 2 WHERE seq = 5", "UPDATE audit SET seq = 5 WHERE seq = 1000"},
		[]string{"UPDATE audit SET seq = 1000 WHERE seq = 2", "UPDATE audit SET seq = 2 WHERE seq = 5", "UPDATE audit SET seq = 5 WHERE seq = 1000"}, 2, "Record 2 is not what was sealed"},
	{"a record goes to another account", []string{"UPDATE audit SET tenant = '111122223333/us-east-1' WHERE seq = 4"},
		[]string{"UPDATE audit SET tenant = '000000000000/us-east-1' WHERE seq = 4"}, 4, "Record 4 is filed under another account"},
	{"a record goes to another time", []string{"UPDATE audit SET at = at - 1 WHERE seq = 4"},
		[]string{"UPDATE audit SET at = at + 1 WHERE seq = 4"}, 4, "Record 4 is filed under another account, time"},
	{"a search is made to miss a record", []string{"UPDATE audit_keys SET digest = digest + 1 WHERE seq = 4"},
		[]string{"UPDATE audit_keys SET digest = digest - 1 WHERE seq = 4"}, 4, "a search misses it"},
	{"the end is moved back", []string{"UPDATE audit_head SET seq = 4"}, []string{"UPDATE audit_head SET seq = 6"}, 5, "Record 5 was never sealed"},
	{"the end is moved on", []string{"UPDATE audit_head SET seq = 9"}, []string{"UPDATE audit_head SET seq = 6"}, 7, "sealed up to record 9 and ends at record 6"},
	{"a record is deleted", []string{"DELETE FROM audit WHERE seq = 4"}, nil, 4, "Record 4 is missing: after record 3 comes record 5."},
	{"the last ones are deleted too", []string{"DELETE FROM audit WHERE seq > 3"}, nil, 4, "Record 4 is missing: the chain was sealed up to record 6 and ends at record 3."},
	{"all of them are", []string{"DELETE FROM audit"}, nil, 1, "Record 1 is missing: the chain was sealed up to record 6"},
	{"the end as well", []string{"DELETE FROM audit_head"}, nil, 0, "The head that was kept"},
}

func TestWhoeverWritesTheDatabaseIsFound(t *testing.T) {
	for name, open := range benches(t) {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			admin := b.admin()
			for i := range 6 - ofStart { // record 2 is that of lamp-2
				must2(call(admin, "POST", fmt.Sprint("/things/lamp-", i+1+ofStart), "{}"))(t)
			}
			sound(t, admin, 6)
			kept := verdictOf(t, admin, nil).Hash
			for _, c := range tampering {
				t.Run(c.name, func(t *testing.T) {
					for _, statement := range c.statements {
						b.exec(t, statement)
					}
					v := verdictOf(t, admin, url.Values{"head": {kept.String()}})
					if v.Broken == nil || c.at > 0 && (v.Broken.Sequence != c.at || !strings.Contains(v.Broken.Text, c.text)) {
						t.Errorf("got %+v\nwant record %d: … %s …", v.Broken, c.at, c.text)
					}
					for _, statement := range c.undo {
						b.exec(t, statement)
					}
					if c.undo != nil {
						sound(t, admin, 6)
					}
				})
			}
		})
	}
}

// Somebody who computes every hash anew still lacks the key that vouches for
// the end, and whoever kept a head needs no key.
func TestAChainWrittenAnewLacksTheKey(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.admin()
	for i := range 3 - ofStart {
		must2(call(admin, "POST", fmt.Sprint("/things/lamp-", i), "{}"))(t)
	}
	sound(t, admin, 3)
	kept := verdictOf(t, admin, nil)
	db, err := sql.Open("sqlite", filepath.Join(s.cfg.Data, "slipway.db")+"?_pragma=busy_timeout(60000)")
	must(t, err)
	defer db.Close()
	exec := func(statement string, args ...any) {
		t.Helper()
		_, err := db.Exec(statement, args...)
		must(t, err)
	}
	var h audit.Hash
	rewrite := func(change func(string) string) {
		h = audit.Hash{}
		for seq := int64(1); seq <= 3; seq++ {
			var body string
			must(t, db.QueryRow("SELECT body FROM audit WHERE seq = ?", seq).Scan(&body))
			body = change(body)
			previous := h
			h = audit.Link(h, seq, []byte(body))
			exec("UPDATE audit SET body = ?, previous = ?, hash = ? WHERE seq = ?", body, previous[:], h[:], seq)
		}
		exec("UPDATE audit_head SET hash = ?", h[:])
	}
	rewrite(func(body string) string { return strings.Replace(body, `"role":"admin"`, `"role":"operator"`, 1) })
	if v := verdictOf(t, admin, nil); v.Broken == nil || !strings.Contains(v.Broken.Text, "not sealed with this server's key") {
		t.Errorf("got %+v", v.Broken)
	}
	if v := verdictOf(t, admin, url.Values{"head": {kept.Hash.String()}}); v.Broken == nil || !strings.Contains(v.Broken.Text, "the hash that was kept") {
		t.Errorf("got %+v", v.Broken)
	}
	t.Run("and the server does not go on with it", func(t *testing.T) {
		must2(call(admin, "POST", "/things/later", "{}"))(t)
		if v := verdictOf(t, admin, nil); v.Broken == nil || v.Sequence != 3 || v.Unsealed != 1 || !strings.Contains(v.Broken.Text, "not sealed with this server's key") {
			t.Errorf("got %+v, %+v", v, v.Broken)
		}
	})
	rewrite(func(body string) string { return strings.Replace(body, `"role":"operator"`, `"role":"admin"`, 1) })
	sound(t, admin, 4)
}

// cause is what the records of these tests are on behalf of.
func someCall(ctx context.Context) context.Context {
	return trail.With(ctx, trail.Cause{Tenant: arn.Default, Who: audit.Who{Key: "AKIAEXAMPLE1", Role: "admin"}, Action: "iot:Something", RequestID: "r"})
}

// Several nodes seal one database, while all of them write.
func TestManyNodesMakeOneChain(t *testing.T) {
	for name, open := range benches(t) {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			const nodes, each = 4, 25
			var work sync.WaitGroup
			for node := range nodes {
				own := &sealer{db: b.bare, box: b.seal}
				work.Go(func() {
					for i := range each {
						err := b.trail.Update(someCall(context.Background()), func(ctx context.Context, tx store.Tx) error {
							return tx.PutDocument(ctx, arn.Default, "note", fmt.Sprint(node, "-", i), []byte(`{"a":1}`))
						})
						if err == nil && i%3 == 0 {
							err = own.run(context.Background())
						}
						if err != nil && !errors.Is(err, context.Canceled) {
							t.Error(err)
						}
					}
				})
			}
			work.Wait()
			sound(t, b.admin(), ofStart+nodes*each)
		})
	}
}

// An outrun store is one where another node seals before each seal of ours, and
// leaves new records.
type outrun struct {
	store.DB
	times int
	other func() error
}

func (d *outrun) Update(ctx context.Context, job func(context.Context, store.Tx) error) error {
	if d.times > 0 {
		d.times--
		if err := d.other(); err != nil {
			return err
		}
	}
	return d.DB.Update(ctx, job)
}

// A node that others always outrun has nothing to complain of: its records are
// sealed.
func TestWhoIsOutrunGoesOn(t *testing.T) {
	b := start(t, t.TempDir())
	other := &sealer{db: b.bare, box: b.seal}
	records := 0
	record := func() error {
		records++
		return b.trail.Update(someCall(t.Context()), func(ctx context.Context, tx store.Tx) error {
			return tx.PutDocument(ctx, arn.Default, "note", fmt.Sprint(records), []byte(`{"a":1}`))
		})
	}
	db := &outrun{DB: b.bare, times: 2 * sealTries}
	db.other = func() error { return errors.Join(other.run(t.Context()), record()) }
	for db.times > 0 { // the server's own sealer may have come first
		must(t, record())
		if err := (&sealer{db: db, box: b.seal}).run(t.Context()); err != nil {
			t.Fatalf("outrun, with %d times to come: %v", db.times, err)
		}
	}
	sound(t, b.admin(), int64(ofStart+records))
}

// noSeals is a store in which nothing can be sealed.
type noSeals struct{ store.DB }

func (d noSeals) Update(context.Context, func(context.Context, store.Tx) error) error { return errDisk }

func TestWhatIsNotSealedYetIsShownAndSealedLater(t *testing.T) {
	data := t.TempDir()
	srv, err := made(t, data)
	must(t, err)
	srv.sealer.db = noSeals{srv.bare}
	log := &buffer{}
	s := run(t, srv, log)
	admin := s.admin()
	must2(call(admin, "POST", "/things/lamp", "{}"))(t)
	_, items := auditOf(t, admin, nil)
	if len(items) != ofStart+1 || items[0].Sealed || items[0].Sequence != 0 || items[0].Hash != nil {
		t.Errorf("got %+v", items)
	}
	if v := verdictOf(t, admin, nil); v.Broken != nil || v.Sequence != 0 || v.Unsealed != ofStart+1 {
		t.Errorf("got %+v", v)
	}
	must(t, s.stop()) // as if killed: the record was never sealed

	again := start(t, data)
	sound(t, again.admin(), ofStart+1)
}

// unsure is a store that commits and does not know it.
type unsure struct{ store.DB }

func (d unsure) Update(ctx context.Context, f func(context.Context, store.Tx) error) error {
	return errors.Join(d.DB.Update(ctx, f), errDisk)
}

func TestASealOfUnknownOutcomeIsNotMadeTwice(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.admin()
	for i := range 3 {
		must(t, s.bare.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
			return tx.AppendAudit(ctx, &audit.Record{At: time.Unix(int64(i), 0), Action: "iot:Something"})
		}))
		if err := (&sealer{db: unsure{s.bare}, box: s.seal}).run(context.Background()); err != nil && !errors.Is(err, errDisk) {
			t.Error(err)
		}
	}
	sound(t, admin, ofStart+3)
}

func TestALongChainIsVerifiedInSteps(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.admin()
	const records = ofStart + 2*verifyPage + 7
	must(t, s.bare.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
		for i := range records - ofStart {
			r := &audit.Record{At: time.Unix(int64(i), 0), Account: arn.Default.Account, Region: arn.Default.Region, Action: "iot:Something"}
			if err := tx.AppendAudit(ctx, r); err != nil {
				return err
			}
		}
		return nil
	}))
	sound(t, admin, records)
	half := &chainWalk{sealer: s.sealer, until: verifyPage}
	var r audit.Report
	must(t, r.Verify(half.entries(context.Background()), audit.Hash{}))
	if half.ended || r.Sequence != verifyPage {
		t.Fatalf("got %+v", r)
	}
	v := verdictOf(t, admin, url.Values{"sequence": {fmt.Sprint(r.Sequence)}, "from": {r.Hash.String()}, "head": {r.Hash.String()}, "kept": {"true"}})
	if v.Broken != nil || v.Sequence != records || !v.Complete {
		t.Errorf("got %+v", v)
	}
	v = verdictOf(t, admin, url.Values{"sequence": {fmt.Sprint(r.Sequence)}, "from": {v.Hash.String()}})
	if v.Broken == nil || v.Broken.Sequence != verifyPage+1 {
		t.Errorf("gone on from a wrong hash: %+v", v)
	}
}
