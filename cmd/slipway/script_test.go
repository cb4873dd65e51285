package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite" // for tamper

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/server"
	"github.com/slipway-iot/slipway/sim"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"slipway": main})
}

// The scripts run the real command line as a process of its own against a
// real server in this one.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("SLIPWAY_DATA", filepath.Join(e.WorkDir, "data"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": startServer, "foreign": startForeign, "call": call, "device": provisionDevice, "await": await, "claim-of": claimOf, "certificate": makeCertificate, "sql": tamper, "keep-head": keepHead, "connects": connects, "recipient": newRecipient, "unseal": unseal, "made": madeCertificate,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// startServer starts a server on the script's data folder and free ports.
func startServer(ts *testscript.TestScript, _ bool, _ []string) {
	srv, err := server.New(context.Background(), server.Config{
		Data: ts.Getenv("SLIPWAY_DATA"), MQTT: "127.0.0.1:0", Control: "127.0.0.1:0", Pool: 1,
	})
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	ts.Defer(func() { stop(); ts.Check(<-done) })
	select {
	case <-srv.Ready():
	case err := <-done:
		done <- nil
		ts.Fatalf("the server ended: %v", err)
	}
}

// running gives a client of the script's server, and where it is.
func running(ts *testscript.TestScript) (*api.Client, *server.Endpoints) {
	e, admin, err := readRunning(ts.Getenv("SLIPWAY_DATA"), "")
	ts.Check(err)
	return &api.Client{Endpoint: e.Control, Region: arn.Default.Region, AccessKeyID: admin.ID, Secret: admin.Secret}, e
}

// startForeign stands for another control plane that speaks AWS's API: the
// script's server without Slipway's own operations. The AWS environment of the
// script names it.
func startForeign(ts *testscript.TestScript, _ bool, _ []string) {
	c, _ := running(ts)
	target, err := url.Parse(c.Endpoint)
	ts.Check(err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/slipway/") {
			w.Header().Set("X-Amzn-Errortype", "UnknownOperationException")
			w.WriteHeader(http.StatusNotFound)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	ts.Defer(s.Close)
	for name, value := range map[string]string{"AWS_ENDPOINT_URL_IOT": s.URL, "AWS_ACCESS_KEY_ID": c.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY": c.Secret, "AWS_REGION": c.Region} {
		ts.Setenv(name, value)
	}
}

// call METHOD PATH [BODY] calls the control API. In the body $CERT is
// replaced, and a name of a file stands for a JSON text of what it holds.
func call(ts *testscript.TestScript, neg bool, args []string) {
	c, _ := running(ts)
	method, path, query := args[0], args[1], url.Values(nil)
	if at := strings.IndexByte(path, '?'); at >= 0 {
		parsed, err := url.ParseQuery(path[at+1:])
		ts.Check(err)
		path, query = path[:at], parsed
	}
	var body any
	if len(args) == 4 { // MEMBER FILE
		body = map[string]string{args[2]: ts.ReadFile(args[3])}
	} else if len(args) == 3 {
		body = json.RawMessage(args[2])
	}
	err := c.Do(context.Background(), method, path, query, nil, body, nil)
	if (err != nil) != neg {
		ts.Fatalf("%s %s: %v", method, path, err)
	}
}

// provisionDevice is device CLAIMDIR TEMPLATE CLIENTID [NAME=VALUE…]: a
// virtual device goes through the claim flow. The script then has THING and
// CERT, or REASON if the device was refused, which a "!" expects.
func provisionDevice(ts *testscript.TestScript, neg bool, args []string) {
	_, e := running(ts)
	claim, err := tls.LoadX509KeyPair(ts.MkAbs(filepath.Join(args[0], claimCertFile)), ts.MkAbs(filepath.Join(args[0], claimKeyFile)))
	ts.Check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ts.ReadFile(filepath.Join(args[0], rootCAFile))))
	parameters := map[string]string{}
	for _, pair := range args[3:] {
		name, value, _ := strings.Cut(pair, "=")
		parameters[name] = value
	}
	d := &sim.Device{
		Connect:  client.Options{Address: e.MQTT, ServerName: e.Host, Roots: roots, Cert: claim, ClientID: args[2]},
		Template: args[1], Parameters: parameters,
	}
	result, conn, err := d.Provision(context.Background())
	if conn != nil {
		conn.Close()
	}
	if (err != nil) != neg {
		ts.Fatalf("the device: %v", err)
	}
	if err != nil {
		var rejected *client.Rejected
		if !errors.As(err, &rejected) {
			rejected = &client.Rejected{}
			rejected.ErrorMessage = err.Error()
		}
		ts.Setenv("REASON", rejected.ErrorMessage)
		return
	}
	ts.Setenv("THING", result.Thing)
	ts.Setenv("CERT", string(result.CertificateID))
}

// makeCertificate is certificate DIR POLICY: a claim as it is made on AWS, with
// the policy attached.
func makeCertificate(ts *testscript.TestScript, _ bool, args []string) {
	c, e := running(ts)
	ctx, dir := context.Background(), ts.MkAbs(args[0])
	var made struct {
		ARN  string                      `json:"certificateArn"`
		PEM  string                      `json:"certificatePem"`
		Keys struct{ PrivateKey string } `json:"keyPair"`
	}
	ts.Check(c.Do(ctx, http.MethodPost, "/keys-and-certificate", url.Values{"setAsActive": {"true"}}, nil, nil, &made))
	ts.Check(c.Do(ctx, http.MethodPut, api.Path("target-policies", args[1]), nil, nil, map[string]string{"target": made.ARN}, nil))
	root, err := os.ReadFile(e.RootCA)
	ts.Check(err)
	ts.Check(os.Mkdir(dir, 0o700))
	for name, text := range map[string]string{claimCertFile: made.PEM, claimKeyFile: made.Keys.PrivateKey, rootCAFile: string(root)} {
		ts.Check(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
}

// claimOf puts the certificate id of a claim's folder into CLAIM.
func claimOf(ts *testscript.TestScript, _ bool, args []string) {
	pair, err := tls.LoadX509KeyPair(ts.MkAbs(filepath.Join(args[0], claimCertFile)), ts.MkAbs(filepath.Join(args[0], claimKeyFile)))
	ts.Check(err)
	ts.Setenv("CLAIM", string(arn.IDOf(pair.Certificate[0])))
}

// madeCertificate puts the certificate id of a file into CERT.
func madeCertificate(ts *testscript.TestScript, _ bool, args []string) {
	block, _ := pem.Decode([]byte(ts.ReadFile(args[0])))
	ts.Setenv("CERT", string(arn.IDOf(block.Bytes)))
}

// await FILE waits until a file is there, or with "!" until it is gone: the
// sign that a server in the background serves, or has ended.
func await(ts *testscript.TestScript, neg bool, args []string) {
	path := ts.MkAbs(args[0])
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-tick.C {
		if _, err := os.Stat(path); (err != nil) == neg {
			return
		}
	}
	ts.Fatalf("%s: waited in vain", args[0])
}

// tamper is sql STATEMENT…: somebody writes into the server's database.
func tamper(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sql.Open("sqlite", filepath.Join(ts.Getenv("SLIPWAY_DATA"), "slipway.db")+"?_pragma=busy_timeout(60000)")
	ts.Check(err)
	defer db.Close()
	result, err := db.Exec(strings.Join(args, " "))
	ts.Check(err)
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		ts.Fatalf("no row was written: %v", err)
	}
}

// keepHead puts the head of the audit trail into the variable.
func keepHead(ts *testscript.TestScript, _ bool, args []string) {
	c, _ := running(ts)
	var v struct{ Head string }
	ts.Check(c.Do(context.Background(), http.MethodGet, "/slipway/audit/verify", nil, nil, nil, &v))
	ts.Setenv(args[0], v.Head)
}
