package server

import (
	"bufio"
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/provision"
)

func TestMetrics(t *testing.T) {
	s := start(t, t.TempDir())
	s.furnish()
	d := s.device("1")
	_, conn, err := d.Provision(context.Background())
	must(t, err)
	defer conn.Close()
	d = s.device("2")
	d.Template = "nobody"
	if _, _, err := d.Provision(context.Background()); err == nil {
		t.Fatal("a template that does not exist provisioned")
	}
	_, _, _, err = s.provision.Claim(context.Background(), arn.Default, provision.NewClaim{Template: "fleet", ValidFor: 36 * time.Hour})
	must(t, err)
	_, err = call(s.admin(), "GET", "/things/lamp-1", "")
	must(t, err)
	var got map[string]string
	for series, want := range map[string]string{
		`slipway_attempts_total{door="claim",outcome="provisioned"}`:                 "1",
		`slipway_attempts_total{door="claim",outcome="refused"}`:                     "1",
		`slipway_stage_seconds_count{stage="connect"}`:                               "3",
		`slipway_stage_seconds_count{stage="create-from-csr"}`:                       "2",
		`slipway_stage_seconds_count{stage="register"}`:                              "2",
		`slipway_control_requests_total{operation="iot:DescribeThing",status="200"}`: "1",
		`slipway_connections`:                      "1",
		`slipway_key_pool_misses_total`:            "0",
		`slipway_certificates_expiring{days="0"}`:  "0",
		`slipway_certificates_expiring{days="1"}`:  "0",
		`slipway_certificates_expiring{days="7"}`:  "1",
		`slipway_certificates_expiring{days="90"}`: "1",
	} {
		got = s.await(series, want)
	}
	for _, series := range []string{"slipway_key_pool_depth", "slipway_store_commits_total", "slipway_store_updates_total",
		"slipway_store_retries_total", "slipway_ca_expiry_seconds", "slipway_follow_lag_seconds", "go_goroutines", "process_resident_memory_bytes"} {
		if _, there := got[series]; !there {
			t.Errorf("%s is not there", series)
		}
	}
}

// await reads the metrics until one has a value; what counts it may come a
// moment after the device's answer.
func (s *site) await(series, value string) (all map[string]string) {
	s.t.Helper()
	for end := time.Now().Add(hang); time.Now().Before(end); {
		all = s.series()
		if all[series] == value {
			return all
		}
	}
	s.t.Fatalf("%s is %q, never %s", series, all[series], value)
	return nil
}

func (s *site) series() map[string]string {
	s.t.Helper()
	status, page := s.get("/metrics")
	if status != http.StatusOK {
		s.t.Fatalf("metrics: %d %s", status, page)
	}
	all := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(page)); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok && name != "#" {
			all[name] = value
		}
	}
	return all
}

func TestReadyTellsOfTheStore(t *testing.T) {
	s := start(t, t.TempDir())
	must(t, s.db.Close()) // as a database that died
	if status, body := s.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "the store cannot be reached") {
		t.Errorf("readyz: %d %s", status, body)
	}
	if status, _ := s.get("/healthz"); status != http.StatusOK {
		t.Errorf("healthz: %d", status)
	}
	if got := s.series(); got[`slipway_certificates_expiring{days="0"}`] != "" {
		t.Errorf("a number out of nothing: %v", got)
	}
}

// The gateway's and the control plane's view of a certificate agree the moment
// the control plane has answered.
func TestAnAnswerOfTheControlPlaneCounts(t *testing.T) {
	s := start(t, t.TempDir())
	s.furnish()
	r, conn, err := s.device("1").Provision(context.Background())
	must(t, err)
	id := arn.IDOf(r.Cert.Certificate[0])
	must(t, s.admin().Do(context.Background(), "PUT", "/certificates/"+string(id), url.Values{"newStatus": {string(certs.Inactive)}}, nil, nil, nil))
	if _, err := client.Dial(context.Background(), s.options(r.Cert, "lamp-1")); err == nil || !strings.Contains(err.Error(), "INACTIVE") {
		t.Errorf("CONNECT gave %v", err)
	}
	_ = conn.Wait() // the connection that lived is cut
}

// A stranger's name that leads to this machine does not open its pages.
func TestMetricsAreNoStrangers(t *testing.T) {
	s := start(t, t.TempDir(), func(c *Config) { c.Hosts = []string{"devices.example.org", "192.0.2.7"} })
	for host, want := range map[string]int{
		"devices.example.org": 200, "DEVICES.example.org:8080": 200, "192.0.2.7:8080": 200, "localhost": 200, "127.0.0.1:1": 200, "[::1]:8080": 200,
		"evil.example.org": 403, "localhost.evil.org": 403, "192.0.2.8": 403, "devices.example.org.evil": 403,
	} {
		request, err := http.NewRequest("GET", s.Endpoints().Control+"/metrics", nil)
		must(t, err)
		request.Host = host
		answer, err := http.DefaultClient.Do(request)
		must(t, err)
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %d", host, answer.StatusCode)
		}
	}
}
