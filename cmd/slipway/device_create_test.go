package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/server"
)

// A flaky stands before a real server and spoils one call that would change
// something, the one that countdown says.
type flaky struct {
	*httputil.ReverseProxy
	countdown int  // to the call that is spoilt; below 0 none is
	lose      bool // only the answer is lost; else the call never arrives
	spoilt    string
	foreign   bool // it has no operation of Slipway's own
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.foreign && strings.HasPrefix(r.URL.Path, "/slipway/") {
		w.Header().Set("X-Amzn-Errortype", "UnknownOperationException")
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if r.Method == http.MethodGet || strings.HasPrefix(r.URL.Path, "/attached-policies/") {
		f.ReverseProxy.ServeHTTP(w, r)
		return
	}
	f.countdown--
	if f.countdown != 0 {
		f.ReverseProxy.ServeHTTP(w, r)
		return
	}
	f.spoilt = operation(r.Method, r.URL.EscapedPath())
	if f.lose {
		f.ReverseProxy.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("X-Amzn-Errortype", "LimitExceededException")
	w.WriteHeader(http.StatusBadRequest)
}

// serveFlaky runs a server until the test ends, and points the AWS environment
// at what stands before it.
func serveFlaky(t *testing.T) (*flaky, *api.Client) {
	t.Helper()
	srv, err := server.New(context.Background(), server.Config{Data: t.TempDir(), MQTT: "127.0.0.1:0", Control: "127.0.0.1:0", Pool: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	<-srv.Ready()
	admin, err := srv.Admin()
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(srv.Endpoints().Control)
	if err != nil {
		t.Fatal(err)
	}
	f := &flaky{ReverseProxy: httputil.NewSingleHostReverseProxy(target)}
	before := httptest.NewServer(f)
	t.Cleanup(before.Close)
	elsewhere(t)
	t.Setenv("AWS_ENDPOINT_URL_IOT", before.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", admin.ID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", admin.Secret)
	return f, &api.Client{Endpoint: srv.Endpoints().Control, Region: arn.Default.Region, AccessKeyID: admin.ID, Secret: admin.Secret}
}

// Whichever of its steps fails, and whether the step had its effect or not, a
// device that could not be made leaves no thing, no file and no certificate
// that anybody could use.
func TestADeviceIsMadeWholeOrNotAtAll(t *testing.T) {
	f, c := serveFlaky(t)
	f.foreign = true
	for path, body := range map[string]string{
		"/thing-groups/hall": `{}`,
		"/policies/speak":    `{"policyDocument": "{\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\", \"Action\": \"iot:Connect\", \"Resource\": \"*\"}]}"}`,
	} {
		if err := c.Do(t.Context(), http.MethodPost, path, nil, nil, []byte(body), nil); err != nil {
			t.Fatal(err)
		}
	}
	create := []string{"device", "create", "A1", "--group", "hall", "--policy", "speak", "--out", "out"}
	for _, lose := range []bool{false, true} {
		seen := map[string]bool{}
		for step := 1; ; step++ {
			f.countdown, f.lose, f.spoilt = step, lose, ""
			code, out, stderr := command(create...)
			if f.spoilt == "" {
				if code != exitDone {
					t.Fatalf("nothing was spoilt, and it ended with %d:\n%s", code, stderr)
				}
				break
			}
			seen[f.spoilt] = true
			if code == exitDone {
				t.Errorf("%s was spoilt, and it says:\n%s", f.spoilt, out)
			}
			orphans := 0
			if lose && f.spoilt == "CreateCertificateFromCsr" {
				orphans = 1 // whose id nobody knows
				if !strings.Contains(stderr, "INACTIVE and attached to nothing") {
					t.Errorf("of a certificate that may be left it says:\n%s", stderr)
				}
			}
			nothingIsLeft(t, c, f.spoilt, orphans)
		}
		for _, name := range []string{"CreateThing", "AddThingToThingGroup", "CreateCertificateFromCsr", "AttachThingPrincipal", "AttachPolicy", "UpdateCertificate"} {
			if !seen[name] {
				t.Errorf("%s was never spoilt", name)
			}
		}
		f.countdown = -1
		takeAway(t, c)
	}
}

// nothingIsLeft asserts that a failed run left no trace but orphans,
// certificates that are INACTIVE, which it deletes.
func nothingIsLeft(t *testing.T, c *api.Client, spoilt string, orphans int) {
	t.Helper()
	for item, err := range api.List[json.RawMessage](t.Context(), c, http.MethodGet, "/things", nil, nil, "things") {
		t.Errorf("%s was spoilt, and there is the thing %s, %v", spoilt, item, err)
	}
	for item, err := range api.List[struct{ CertificateID, Status string }](t.Context(), c, http.MethodGet, "/certificates", nil, nil, "certificates") {
		if orphans--; err != nil || orphans < 0 || item.Status != "INACTIVE" {
			t.Errorf("%s was spoilt, and there is the certificate %v, %v", spoilt, item, err)
		}
		_ = c.Do(t.Context(), http.MethodDelete, api.Path("certificates", item.CertificateID), nil, nil, nil, nil)
	}
	if files, _ := filepath.Glob(filepath.Join("out", "A1", "*")); len(files) > 0 {
		t.Errorf("%s was spoilt, and there are the files %v", spoilt, files)
	}
}

// takeAway removes the device that was made in the end.
func takeAway(t *testing.T, c *api.Client) {
	t.Helper()
	p := &plane{client: c}
	principals, err := p.credentials(t.Context(), "A1")
	if err != nil || len(principals) != 1 || principals[0].Status != "ACTIVE" {
		t.Fatalf("the device that was made has %+v, %v", principals, err)
	}
	for _, step := range []struct {
		method, path string
		query        url.Values
		header       http.Header
		body         any
	}{
		{http.MethodPost, "/target-policies/speak", nil, nil, map[string]string{"target": principals[0].Principal}},
		{http.MethodDelete, "/things/A1/principals", nil, http.Header{"X-Amzn-Principal": {principals[0].Principal}}, nil},
		{http.MethodPut, api.Path("certificates", principals[0].ID), url.Values{"newStatus": {"INACTIVE"}}, nil, nil},
		{http.MethodDelete, api.Path("certificates", principals[0].ID), nil, nil, nil},
		{http.MethodDelete, "/things/A1", nil, nil, nil},
	} {
		if err := c.Do(t.Context(), step.method, step.path, step.query, step.header, step.body, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll("out"); err != nil {
		t.Fatal(err)
	}
}

// On a Slipway server a device is one call. One whose answer is lost is brought
// to its end by the same command again, with the same key and certificate.
func TestADeviceWhoseAnswerIsLostIsMadeOnce(t *testing.T) {
	f, c := serveFlaky(t)
	if err := c.Do(t.Context(), http.MethodPost, "/policies/speak", nil, nil, []byte(`{"policyDocument": "{\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\", \"Action\": \"iot:Connect\", \"Resource\": \"*\"}]}"}`), nil); err != nil {
		t.Fatal(err)
	}
	create := []string{"device", "create", "A1", "--policy", "speak", "--out", "out"}
	f.countdown, f.lose = 1, true
	if code, _, stderr := command(create...); code != exitUnreachable || !strings.Contains(stderr, "Its key is kept") {
		t.Fatalf("the answer was lost, and it ended with %d:\n%s", code, stderr)
	}
	f.countdown = -1
	if code, _, stderr := command(create...); code != exitDone {
		t.Fatalf("the second run ended with %d:\n%s", code, stderr)
	}
	p := &plane{client: c}
	held, err := p.credentials(t.Context(), "A1")
	if err != nil || len(held) != 1 || held[0].Status != "ACTIVE" {
		t.Errorf("the device has %+v, %v", held, err)
	}
	f.countdown, f.lose = 1, false
	if code, _, stderr := command("device", "create", "A2", "--out", "out"); code == exitDone || strings.Contains(stderr, "Its key is kept") {
		t.Errorf("a refusal ended with %d:\n%s", code, stderr)
	}
	if _, err := os.Stat(filepath.Join("out", "A2")); err == nil {
		t.Error("it was refused and left a folder")
	}
}
