package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
	"github.com/slipway-iot/slipway/tenants"
)

func read[T any](t testing.TB, answer string) (v T) {
	t.Helper()
	must(t, json.Unmarshal([]byte(answer), &v))
	return v
}

func TestABodyIsReadStrictly(t *testing.T) {
	type inner struct {
		Name   string            `json:"name"`
		Count  int64             `json:"count"`
		On     bool              `json:"on"`
		Values map[string]string `json:"values"`
		List   []string          `json:"list"`
	}
	for body, want := range map[string]string{
		"":                          "The request has no body",
		" \n":                       "The request has no body",
		"null":                      "The body is null; a JSON object is expected",
		"[]":                        "The body is a list",
		`"text"`:                    "The body is a string",
		`{`:                         "The body is not well-formed: line 1",
		`{} {}`:                     "something follows the document's end",
		`{"name":"a","name":"b"}`:   "The body is not well-formed: line 1",
		`{"nmae":"a"}`:              `This operation has no member "nmae"`,
		`{"name":5}`:                "name is a JSON number; a text is expected",
		`{"count":"5"}`:             "count is a JSON string; a whole number is expected",
		`{"count":1.5}`:             "count is a JSON number 1.5; a whole number is expected",
		`{"on":"true"}`:             "on is a JSON string; true or false is expected",
		`{"values":["a"]}`:          "values is a JSON array; an object is expected",
		`{"values":{"a":1}}`:        "is a JSON number; a text is expected",
		`{"list":"a"}`:              "list is a JSON string; a list is expected",
		"{\"name\":\"\xff\"}":       "not UTF-8",
		strings.Repeat(`{"a":`, 99): "The body is not well-formed",
	} {
		t.Run(body, func(t *testing.T) {
			var v inner
			wantFault(t, decodeBody([]byte(body), &v), fault.InvalidPayload, want)
		})
	}
	var v inner
	must(t, decodeBody([]byte(` {"name":"a","count":5,"on":true,"values":{"x":"y"},"list":["z"]} `), &v))
	if v.Name != "a" || v.Count != 5 || !v.On || v.Values["x"] != "y" || len(v.List) != 1 {
		t.Errorf("got %+v", v)
	}
	must(t, decodeBody([]byte(`{}`), &v))
}

// FuzzDecodeBody holds every body to: no panic, and a sentence when it is no.
func FuzzDecodeBody(f *testing.F) {
	for _, seed := range []string{`{"kind":"http","url":"https://a/b","timeout":"1s"}`, `{"kind":5}`, `{"timeout":"x"}`, `{"env":{"A":"B"}}`, `{`, `[]`, `{"x":1}`, `{"` + strings.Repeat("x", 3000) + `":1}`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, into := range []any{new(functions.Spec), new(struct {
			Parameters map[string]string `json:"parameters"`
			Count      int64             `json:"count"`
		})} {
			err := decodeBody(body, into)
			if err == nil {
				continue
			}
			face, text := fault.Show(err)
			if face.REST != http.StatusBadRequest || text == "" || len(text) > 2000 {
				t.Errorf("refused with %d: %q", face.REST, text)
			}
		}
	})
}

func TestClaimsByTheControlPlane(t *testing.T) {
	s := start(t, t.TempDir())
	s.furnish()
	admin := s.admin()
	for body, want := range map[string]string{
		`{"templateName":"fleet","validFor":"1h"}`:                   `no member "validFor"`,
		`{"templateName":"fleet","validForSeconds":-1}`:              "validForSeconds -1: expected 0",
		`{"templateName":"fleet","validForSeconds":9999999999}`:      "validForSeconds 9999999999: expected 0",
		`{"templateName":["fleet"]}`:                                 "templateName is a JSON array; a text is expected",
		"":                                                           "The request has no body",
		`{"templateName":"fleet","templateName":"doors"}`:            "The body is not well-formed",
		`{"templateName":"fleet","validForSeconds":"one day"}`:       "validForSeconds is a JSON string; a whole number is expected",
		`{"templateName":"fleet","validForSeconds":3153600000}`:      "ask for an end no later than",
		`{"templateName":"fleet","validForSeconds":1e3,"unknown":1}`: "",
	} {
		_, err := call(admin, "POST", "/slipway/claims", body)
		if !isStatus(err, 400) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gave %v, want 400: … %s …", body, err, want)
		}
	}
	_, err := call(admin, "POST", "/slipway/claims", `{"templateName":"nobody"}`)
	wantRefusal(t, err, "ResourceNotFoundException", "")

	answer, err := call(admin, "POST", "/slipway/claims", `{"templateName":"fleet","validForSeconds":3600}`)
	must(t, err)
	claim := read[claimAnswer](t, answer)
	if claim.TemplateName != "fleet" || claim.CertificateARN != arn.Default.Cert(arn.CertID(claim.CertificateID)) || !strings.Contains(claim.PrivateKey, "PRIVATE KEY") {
		t.Errorf("got %+v", claim)
	}
	if ends := time.Unix(int64(claim.Expiration), 0); time.Until(ends) > time.Hour || time.Until(ends) < 59*time.Minute {
		t.Errorf("it ends at %v", ends)
	}
	type list struct {
		Claims    []claimItem
		NextToken string
	}
	answer, err = call(admin, "GET", "/slipway/claims", "")
	must(t, err)
	if got := read[list](t, answer); len(got.Claims) != 1 || got.Claims[0].CertificateID != claim.CertificateID || got.Claims[0].Status != "ACTIVE" || got.Claims[0].MadeBy != admin.AccessKeyID {
		t.Errorf("got %s", answer)
	}
	t.Run("come in pages", func(t *testing.T) {
		for range 2 {
			_, err := call(admin, "POST", "/slipway/claims", `{"templateName":"fleet"}`)
			must(t, err)
		}
		seen := map[string]bool{}
		query := url.Values{"maxResults": {"1"}}
		for range 4 {
			var page list
			must(t, admin.Do(context.Background(), "GET", "/slipway/claims", query, nil, nil, &page))
			for _, c := range page.Claims {
				seen[c.CertificateID] = true
			}
			if page.NextToken == "" {
				break
			}
			query.Set("nextToken", page.NextToken)
		}
		if len(seen) != 3 {
			t.Errorf("%d claims in pages of one", len(seen))
		}
		for _, bad := range []string{"0", "251", "x", "-1", "1.5"} {
			err := admin.Do(context.Background(), "GET", "/slipway/claims", url.Values{"maxResults": {bad}}, nil, nil, nil)
			wantRefusal(t, err, "InvalidRequestException", "maxResults")
		}
	})
}

func isStatus(err error, status int) bool {
	e, ok := err.(*api.Error)
	return ok && e.Status == status
}

func TestFunctionsByTheControlPlane(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.admin()
	for body, want := range map[string]string{
		`{"kind":"allowlist"}`:                                          "path, csv: expected exactly one of them",
		`{"kind":"allowlist","csv":"SerialNumber\nA1\nA1\n"}`:           "has the serial of line 2 again in line 3",
		`{"kind":"allowlist","csv":"SerialNumber\nA1","parametre":"x"}`: `unknown field "parametre"`,
		`{"kind":5}`:        "kind is a JSON number",
		`{"kind":"lambda"}`: `kind "lambda": expected process, http or allowlist`,
		`{"kind":"http","url":"http://example.com"}`:                   "plain http needs allowPrivate",
		`{"kind":"http","url":"https://e.com","timeout":"6s"}`:         "at most 5 s",
		`{"kind":"http","url":"https://e.com","timeout":5}`:            "",
		`{"name":"other","kind":"allowlist","csv":"SerialNumber\nA1"}`: `the path says "gate"`,
		`{"kind":"process","command":["relative"]}`:                    "absolute path",
		`not json`: "The body is not well-formed",
	} {
		_, err := call(admin, "PUT", "/slipway/functions/gate", body)
		if !isStatus(err, 400) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gave %v, want 400: … %s …", body, err, want)
		}
	}
	_, err := call(admin, "PUT", "/slipway/functions/gate", `{"kind":"allowlist","csv":"SerialNumber\nA1\n"}`)
	must(t, err)
	ask := func(serial string) string {
		t.Helper()
		answer, err := call(admin, "POST", "/slipway/functions/gate/test", `{"parameters":{"SerialNumber":"`+serial+`"}}`)
		must(t, err)
		return answer
	}
	if yes, no := ask("A1"), ask("B1"); !strings.Contains(yes, `"allowProvisioning":true`) || !strings.Contains(no, "not on the list") {
		t.Errorf("A1: %s\nB1: %s", yes, no)
	}
	t.Run("a change counts at once", func(t *testing.T) {
		_, err := call(admin, "PUT", "/slipway/functions/gate", `{"name":"gate","kind":"allowlist","csv":"SerialNumber\nB1\n"}`)
		must(t, err)
		if no, yes := ask("A1"), ask("B1"); !strings.Contains(yes, `"allowProvisioning":true`) || !strings.Contains(no, "not on the list") {
			t.Errorf("A1: %s\nB1: %s", no, yes)
		}
	})
	t.Run("are shown without their secrets", func(t *testing.T) {
		_, err := call(admin, "PUT", "/slipway/functions/remote", `{"kind":"http","url":"https://example.com/f","secret":"hush hush"}`)
		must(t, err)
		answer, err := call(admin, "GET", "/slipway/functions", "")
		must(t, err)
		if strings.Contains(answer, "hush") || !strings.Contains(answer, "arn:aws:lambda:us-east-1:000000000000:function:remote") {
			t.Errorf("got %s", answer)
		}
		s.update(func(ctx context.Context, tx store.Tx) error {
			stored, err := tx.Document(ctx, arn.Default, store.FunctionDocument, "remote")
			if strings.Contains(string(stored), "hush") || strings.Contains(string(stored), "example.com") {
				t.Errorf("stored in the open: %s", stored)
			}
			return err
		})
	})
	t.Run("are another account's not", func(t *testing.T) {
		_, err := call(s.as(other.Account, tenants.Admin), "POST", "/slipway/functions/gate/test", `{}`)
		wantRefusal(t, err, "ResourceNotFoundException", "Function gate does not exist in account 111122223333")
	})
	t.Run("are gone when deleted", func(t *testing.T) {
		_, err := call(admin, "DELETE", "/slipway/functions/gate", "")
		must(t, err)
		for _, path := range []string{"/slipway/functions/gate", "/slipway/functions/never"} {
			_, err = call(admin, "DELETE", path, "")
			wantRefusal(t, err, "ResourceNotFoundException", "")
		}
		_, err = call(admin, "POST", "/slipway/functions/gate/test", `{}`)
		wantRefusal(t, err, "ResourceNotFoundException", "")
	})
}

// A function that runs programs, reads files or reaches the network of the
// server is for the server's own admin: with it, every account's keys can be
// read.
func TestAFunctionThatReachesIntoTheMachine(t *testing.T) {
	list := filepath.Join(t.TempDir(), "list.csv")
	must(t, os.WriteFile(list, []byte("SerialNumber\nA1\n"), 0o600))
	reaching := map[string]string{
		`{"kind":"process","command":["/bin/true"]}`:                       "runs a program on the server",
		`{"kind":"allowlist","path":"` + list + `"}`:                       "reads a file of the server",
		`{"kind":"http","url":"http://127.0.0.1:1/x","allowPrivate":true}`: "reaches the server's own network",
	}
	s := start(t, t.TempDir())
	for body, what := range reaching {
		_, err := call(s.admin(), "PUT", "/slipway/functions/gate", body)
		must(t, err)
		_, err = call(s.as(other.Account, tenants.Admin), "PUT", "/slipway/functions/gate", body)
		wantRefusal(t, err, "AccessDeniedException", what)
	}
	_, err := call(s.as(other.Account, tenants.Admin), "PUT", "/slipway/functions/gate", `{"kind":"allowlist","csv":"SerialNumber\nA1\n"}`)
	must(t, err)
}

func TestRolesOfOurOperations(t *testing.T) {
	s := start(t, t.TempDir())
	s.furnish()
	all := []tenants.Role{tenants.Operator, tenants.Installer, tenants.Auditor, tenants.Function}
	clients := map[tenants.Role]*api.Client{}
	for _, r := range all {
		clients[r] = s.as(arn.Default.Account, r)
	}
	for _, op := range []struct {
		method, path, body string
		may                []tenants.Role
	}{
		{"POST", "/slipway/claims", `{"templateName":"fleet"}`, []tenants.Role{tenants.Operator}},
		{"GET", "/slipway/claims", "", []tenants.Role{tenants.Operator, tenants.Auditor}},
		{"POST", "/slipway/trusted-claims/fleet", `{}`, []tenants.Role{tenants.Operator, tenants.Installer}},
		{"POST", "/slipway/trusted-claims/other", `{}`, []tenants.Role{tenants.Operator}},
		{"GET", "/slipway/device-codes", "", []tenants.Role{tenants.Operator, tenants.Auditor, tenants.Installer}},
		{"POST", "/slipway/device-codes/BBBB-BBBB/approve", `{"templateName":"fleet"}`, []tenants.Role{tenants.Operator, tenants.Installer}},
		{"POST", "/slipway/device-codes/BBBB-BBBB/deny", `{}`, []tenants.Role{tenants.Operator, tenants.Installer}},
		{"POST", "/slipway/devices", `{}`, []tenants.Role{tenants.Operator}},
		{"GET", "/slipway/endpoints", "", []tenants.Role{tenants.Operator, tenants.Auditor, tenants.Installer}},
		{"GET", "/slipway/attempts", "", []tenants.Role{tenants.Operator, tenants.Auditor, tenants.Installer}},
		{"GET", "/slipway/functions", "", []tenants.Role{tenants.Operator, tenants.Auditor}},
		{"PUT", "/slipway/functions/f", `{"kind":"allowlist","csv":"SerialNumber\nA1\n"}`, nil},
		{"DELETE", "/slipway/functions/f", "", nil},
		{"POST", "/slipway/templates/fleet/preview", `{"parameters":{"SerialNumber":"1"}}`, []tenants.Role{tenants.Operator, tenants.Auditor}},
		{"POST", "/slipway/policy/explain", `{}`, []tenants.Role{tenants.Operator, tenants.Auditor}},
	} {
		for _, r := range all {
			_, err := call(clients[r], op.method, op.path, op.body)
			denied := err != nil && isStatus(err, 403)
			if denied == slices.Contains(op.may, r) {
				t.Errorf("%s %s as %s: %v", op.method, op.path, r, err)
			}
		}
		unsigned, err := http.NewRequest(op.method, s.Endpoints().Control+op.path, strings.NewReader(op.body))
		must(t, err)
		answer, err := http.DefaultClient.Do(unsigned)
		must(t, err)
		answer.Body.Close()
		if answer.StatusCode != 403 {
			t.Errorf("%s %s without signature: %d", op.method, op.path, answer.StatusCode)
		}
	}
}

func TestPreviewByTheControlPlane(t *testing.T) {
	s := start(t, t.TempDir())
	s.furnish()
	admin := s.admin()
	type preview struct {
		Changes []string
		Refusal string
	}
	answer, err := call(admin, "POST", "/slipway/templates/fleet/preview", `{"parameters":{"SerialNumber":"1"}}`)
	must(t, err)
	if got := read[preview](t, answer); got.Refusal != "" || !slices.Contains(got.Changes, "Thing lamp-1 is created.") {
		t.Errorf("got %s", answer)
	}
	answer, err = call(admin, "POST", "/slipway/templates/fleet/preview", `{"parameters":{"SerialNumber":"1"},"templateBody":`+quote(strings.Replace(fleet, `"device"`, `"nobody"`, 1))+`}`)
	must(t, err)
	if got := read[preview](t, answer); !strings.Contains(got.Refusal, "Policy nobody") {
		t.Errorf("got %s", answer)
	}
	for body, want := range map[string]string{
		`{}`:                                   "SerialNumber",
		`{"parameters":{"SerialNumber":5}}`:    "a text is expected",
		`{"parameters":["SerialNumber"]}`:      "parameters is a JSON array; an object is expected",
		`{"params":{}}`:                        `no member "params"`,
		`{"parameters":{},"templateBody":"{"}`: "not well-formed",
	} {
		_, err := call(admin, "POST", "/slipway/templates/fleet/preview", body)
		if !isStatus(err, 400) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gave %v, want 400: … %s …", body, err, want)
		}
	}
	_, err = call(admin, "POST", "/slipway/templates/nobody/preview", `{}`)
	wantRefusal(t, err, "ResourceNotFoundException", "nobody does not exist")
}

func quote(s string) string {
	b, _ := json.Marshal(s) // a string: it cannot fail
	return string(b)
}

func TestExplainByTheControlPlane(t *testing.T) {
	s := start(t, t.TempDir())
	s.furnish()
	r, conn, err := s.device("1").Provision(context.Background())
	must(t, err)
	defer conn.Close()
	id := string(arn.IDOf(r.Cert.Certificate[0]))
	answer, err := call(s.admin(), "POST", "/slipway/policy/explain", `{"action":"iot:Publish","resource":"dt/x","certificateId":"`+id+`","clientId":"lamp-1"}`)
	must(t, err)
	if got := read[struct {
		Allowed   bool
		ThingName string
	}](t, answer); !got.Allowed || got.ThingName != "lamp-1" {
		t.Errorf("got %s", answer)
	}
	for _, body := range []string{`{}`, `{"action":"iot:Publish","resource":"x","certificateId":"x"}`, `{"principal":"x"}`,
		`{"action":"iot:Publish","certificateId":"` + id + `","clientId":"lamp-1"}`, `{"action":"iot:Connect","certificateId":"` + id + `"}`} {
		if _, err := call(s.admin(), "POST", "/slipway/policy/explain", body); !isStatus(err, 400) {
			t.Errorf("%s gave %v", body, err)
		}
	}
	if strings.Contains(answer, "cannotConnect") {
		t.Errorf("got %s", answer)
	}
	must(t, s.admin().Do(t.Context(), "PUT", "/certificates/"+id, map[string][]string{"newStatus": {"REVOKED"}}, nil, nil, nil))
	answer, err = call(s.admin(), "POST", "/slipway/policy/explain", `{"action":"iot:Connect","certificateId":"`+id+`","clientId":"lamp-1"}`)
	must(t, err)
	if got := read[struct{ CannotConnect string }](t, answer); !strings.Contains(got.CannotConnect, "is REVOKED") {
		t.Errorf("got %s", answer)
	}
}

// A device that was refused is found by its serial a moment later.
func TestAttemptsByTheControlPlane(t *testing.T) {
	s := start(t, t.TempDir())
	s.furnish()
	_, err := call(s.admin(), "PUT", "/slipway/functions/gate", `{"kind":"allowlist","csv":"SerialNumber\nA1\n"}`)
	must(t, err)
	s.update(func(ctx context.Context, tx store.Tx) error {
		return templates.Update(ctx, tx, arn.Default, "fleet", templates.Change{Hook: &templates.HookRecord{TargetARN: functions.ARN(arn.Default, "gate")}}, time.Now())
	})
	_, _, err = s.device("B1").Provision(context.Background())
	if err == nil {
		t.Fatal("B1 is not on the list")
	}
	var got struct {
		Attempts []struct{ Outcome, Reason string }
	}
	must(t, s.admin().Do(context.Background(), "GET", "/slipway/attempts", url.Values{"what": {"B1"}}, nil, nil, &got))
	if len(got.Attempts) != 1 || got.Attempts[0].Outcome != "refused" || !strings.Contains(got.Attempts[0].Reason, "not on the list") {
		t.Errorf("got %+v", got)
	}
	must(t, s.as(other.Account, tenants.Admin).Do(context.Background(), "GET", "/slipway/attempts", url.Values{"what": {"B1"}}, nil, nil, &got))
	if len(got.Attempts) != 0 {
		t.Errorf("another account sees %+v", got)
	}
}

// A function may not lead back to the server.
func TestAFunctionThatLeadsToTheServer(t *testing.T) {
	s := start(t, t.TempDir())
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"allowProvisioning":true}`)) }))
	defer elsewhere.Close()
	put := func(name, to string) {
		_, err := call(s.admin(), "PUT", "/slipway/functions/"+name, `{"kind":"http","url":"`+to+`","allowPrivate":true}`)
		must(t, err)
	}
	put("fine", elsewhere.URL+"/f")
	put("loop", s.Endpoints().Control+"/healthz")
	answer, err := call(s.admin(), "POST", "/slipway/functions/fine/test", `{}`)
	must(t, err)
	if answer != `{"allowProvisioning":true}` {
		t.Errorf("got %s", answer)
	}
	if _, err := call(s.admin(), "POST", "/slipway/functions/loop/test", `{}`); !isStatus(err, 400) {
		t.Errorf("got %v", err)
	}
}
