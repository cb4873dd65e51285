// Package s3 tries buckets against a real S3 service: the Versity gateway, which
// keeps objects in a folder. `make test-long` fetches the program; where it
// cannot be had, the tests say so, and the driver is tried against moto alone.
package s3

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/buckets"
	"github.com/slipway-iot/slipway/buckets/bucketstest"
	"github.com/slipway-iot/slipway/buckets/s3"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/server"
	"github.com/slipway-iot/slipway/sim"
)

const hang = 2 * time.Minute

// The service's one account.
const (
	keyID  = "AKIAEXAMPLE"
	secret = "a secret of the service"
)

// A service is a running gateway over a folder: each folder in it is a bucket.
type service struct{ url, root string }

// start gives none where the program is not there.
func start(t *testing.T) *service {
	t.Helper()
	program := filepath.Join("..", "..", ".cache", "s3", "versitygw")
	if _, err := os.Stat(program); err != nil {
		if program, err = exec.LookPath("versitygw"); err != nil {
			t.Log("NOT TRIED against a real S3 service: there is no versitygw, neither in .cache/s3, where `make test-long` puts it, nor in PATH.")
			return nil
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close()
	s := &service{"http://" + address, t.TempDir()}
	cmd := exec.Command(program, "--port", address, "posix", "--sidecar", t.TempDir(), s.root)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+keyID, "ROOT_SECRET_KEY="+secret)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	for giveUp := time.After(hang); ; {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return s
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ended:
			t.Fatal("the service ended")
		case <-giveUp:
			t.Fatal("the service does not start")
		}
	}
}

// spec is a bucket of the service, new and empty.
func (s *service) spec(t *testing.T, name string) buckets.Spec {
	t.Helper()
	if err := os.Mkdir(filepath.Join(s.root, name), 0o700); err != nil {
		t.Fatal(err)
	}
	return buckets.Spec{Name: name, Kind: buckets.S3, URL: s.url, Bucket: name, AccessKeyID: keyID, Secret: secret}
}

func TestBucketsOfARealService(t *testing.T) {
	s := start(t)
	if s == nil {
		return
	}
	made := 0
	bucketstest.Run(t, func(t *testing.T) buckets.Bucket {
		made++
		return s3.Open(s.spec(t, fmt.Sprint("bucket-", made)), t.TempDir())
	})
	t.Run("a wrong secret is refused", func(t *testing.T) {
		spec := s.spec(t, "guarded")
		spec.Secret = "another secret"
		if _, err := s3.Open(spec, t.TempDir()).List(t.Context(), "", "", 1); err == nil {
			t.Error("it was not")
		}
	})
}

// A task reads its file from the service, writes its reports there, and the
// links to them are the service's own.
func TestATaskOverARealService(t *testing.T) {
	s := start(t)
	if s == nil {
		return
	}
	c := serve(t)
	for _, name := range []string{"factory", "slipway-registration-reports"} {
		if err := c.Do(t.Context(), http.MethodPut, "/slipway/buckets/"+name, nil, nil, s.spec(t, name), nil); err != nil {
			t.Fatal(err)
		}
	}
	const lines = 150
	var link, task struct{ URL, TaskID string }
	if err := c.Do(t.Context(), http.MethodPost, "/slipway/buckets/factory/links", nil, nil, map[string]string{"key": "batch/1.jsonl", "method": "PUT"}, &link); err != nil {
		t.Fatal(err)
	}
	put(t, link.URL, file(t, lines))
	if err := c.Do(t.Context(), http.MethodPost, "/thing-registration-tasks", nil, nil, map[string]string{
		"templateBody": template, "inputFileBucket": "factory", "inputFileKey": "batch/1.jsonl", "roleArn": "arn:aws:iam::000000000000:role/bulk"}, &task); err != nil {
		t.Fatal(err)
	}
	await(t, c, task.TaskID, lines)
	for kind, want := range map[string]int{"RESULTS": lines - 1, "ERRORS": 1} {
		var out struct{ ResourceLinks []string }
		if err := c.Do(t.Context(), http.MethodGet, "/thing-registration-tasks/"+task.TaskID+"/reports", map[string][]string{"reportType": {kind}}, nil, nil, &out); err != nil {
			t.Fatal(err)
		}
		if got := count(t, out.ResourceLinks); got != want {
			t.Errorf("the report of %s has %d lines, want %d", kind, got, want)
		}
	}
}

// serve runs a server, and gives its admin's client.
func serve(t *testing.T) *api.Client {
	t.Helper()
	srv, err := server.New(t.Context(), server.Config{Data: t.TempDir(), MQTT: "127.0.0.1:0", HTTPS: "127.0.0.1:0", Control: "127.0.0.1:0", Pool: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-srv.Ready()
	admin, err := srv.Admin()
	if err != nil {
		t.Fatal(err)
	}
	return &api.Client{Endpoint: srv.Endpoints().Control, Region: arn.Default.Region, AccessKeyID: admin.ID, Secret: admin.Secret}
}

const template = `{"Parameters":{"Serial":{"Type":"String"},"CSR":{"Type":"String"}},"Resources":{
 "thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"Serial"}}},
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateSigningRequest":{"Ref":"CSR"},"Status":"ACTIVE"}},
 "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}}}}}`

// file has so many lines, the last of them bad.
func file(t *testing.T, lines int) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := sim.CSR(key, "device")
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for i := 1; i <= lines; i++ {
		params := map[string]string{"Serial": fmt.Sprint("s-", i), "CSR": string(csr)}
		if i == lines {
			params["CSR"] = "none"
		}
		line, err := json.Marshal(params)
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, line...), '\n')
	}
	return out
}

func put(t *testing.T, url string, body []byte) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status)
	}
}

func await(t *testing.T, c *api.Client, id string, lines int) {
	t.Helper()
	for giveUp := time.After(hang); ; {
		var k struct {
			Status, Message            string
			SuccessCount, FailureCount int
		}
		if err := c.Do(t.Context(), http.MethodGet, "/thing-registration-tasks/"+id, nil, nil, nil, &k); err != nil {
			t.Fatal(err)
		}
		if k.Status != "InProgress" {
			if k.Status != "Completed" || k.SuccessCount != lines-1 || k.FailureCount != 1 {
				t.Errorf("the task ended as %+v", k)
			}
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-giveUp:
			t.Fatalf("the task does not end: %+v", k)
		}
	}
}

// count follows links and counts the lines behind them.
func count(t *testing.T, links []string) (n int) {
	t.Helper()
	for _, link := range links {
		answer, err := http.Get(link)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatal(answer.Status)
		}
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); n++ {
		}
	}
	return n
}
