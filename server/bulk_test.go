package server

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/sim"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tasks"
	"github.com/slipway-iot/slipway/tenants"
)

// bulkTemplate lets a thing that exists keep its attributes, and its
// certificates beside the new one: what rotation needs.
const bulkTemplate = `{"Parameters":{"ThingName":{"Type":"String"},"CSR":{"Type":"String"}},"Resources":{
 "thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"ThingName"},"AttributePayload":{"made":"bulk"}},
  "OverrideSettings":{"AttributePayload":"MERGE","ThingTypeName":"DO_NOTHING","ThingGroups":"DO_NOTHING"}},
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateSigningRequest":{"Ref":"CSR"},"Status":"ACTIVE"}},
 "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}}}}}`

// newCSR is that of a new key, which is not kept.
func newCSR(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	csr, err := sim.CSR(key, "device")
	must(t, err)
	return string(csr)
}

func bulkLine(t testing.TB, name, csr string) string {
	t.Helper()
	b, err := json.Marshal(map[string]string{"ThingName": name, "CSR": csr})
	must(t, err)
	return string(b) + "\n"
}

// upload puts a file into a bucket, as `slipway bulk start` does.
func (s *site) upload(c *api.Client, bucket, key, text string) {
	s.t.Helper()
	var link struct{ URL string }
	must(s.t, c.Do(context.Background(), http.MethodPost, "/slipway/buckets/"+bucket+"/links", nil, nil, map[string]string{"key": key, "method": "PUT"}, &link))
	if status, said := s.follow(http.MethodPut, link.URL, text); status != http.StatusOK {
		s.t.Fatalf("%d %s", status, said)
	}
}

// follow uses a link.
func (s *site) follow(method, url, body string) (int, string) {
	s.t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	must(s.t, err)
	answer, err := http.DefaultClient.Do(r)
	must(s.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(s.t, err)
	return answer.StatusCode, string(text)
}

type taskShown struct {
	Status, Message                                string
	SuccessCount, FailureCount, PercentageProgress int
}

func startTask(c *api.Client, bucket, key string, header http.Header) (string, error) {
	var out struct{ TaskID string }
	err := c.Do(context.Background(), http.MethodPost, "/thing-registration-tasks", nil, header, map[string]string{
		"templateBody": bulkTemplate, "inputFileBucket": bucket, "inputFileKey": key, "roleArn": "arn:aws:iam::000000000000:role/bulk"}, &out)
	return out.TaskID, err
}

// ended waits for the end of a task.
func (s *site) ended(c *api.Client, id string) (k taskShown) {
	s.t.Helper()
	giveUp := time.After(hang)
	for {
		must(s.t, c.Do(context.Background(), http.MethodGet, "/thing-registration-tasks/"+id, nil, nil, nil, &k))
		if k.Status != "InProgress" && k.Status != "Cancelling" {
			return k
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-giveUp:
			s.t.Fatalf("the task does not end: %+v", k)
		}
	}
}

// reportOf follows the link to a report and gives its lines.
func (s *site) reportOf(c *api.Client, id, kind string) (lines []map[string]any) {
	s.t.Helper()
	var out struct{ ResourceLinks []string }
	must(s.t, c.Do(context.Background(), http.MethodGet, "/thing-registration-tasks/"+id+"/reports", map[string][]string{"reportType": {kind}}, nil, nil, &out))
	for _, link := range out.ResourceLinks {
		status, text := s.follow(http.MethodGet, link, "")
		if status != http.StatusOK {
			s.t.Fatalf("%d %s", status, text)
		}
		for scan := bufio.NewScanner(strings.NewReader(text)); scan.Scan(); {
			var l map[string]any
			must(s.t, json.Unmarshal(scan.Bytes(), &l))
			lines = append(lines, l)
		}
	}
	return lines
}

// holders gives the certificates of a thing.
func (s *site) holders(t arn.Tenant, thing string) (found []*certs.Certificate) {
	s.t.Helper()
	must(s.t, s.db.View(context.Background(), func(ctx context.Context, tx store.Tx) error {
		found = nil
		links, _, err := tx.Rights(ctx, t, ref.ThingPrincipal, thing, ref.All)
		for _, l := range links {
			c, err := tx.Certificate(ctx, t, arn.CertID(l.Right[strings.LastIndex(l.Right, "/")+1:]))
			if err != nil {
				return err
			}
			found = append(found, c)
		}
		return err
	}))
	return found
}

func TestAFileBecomesThings(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.admin()
	var file strings.Builder
	for i := range 40 {
		file.WriteString(bulkLine(t, fmt.Sprint("meter-", i), newCSR(t)))
	}
	before := file.Len()
	file.WriteString("{\"ThingName\":7}\n\n" + bulkLine(t, "meter 40", newCSR(t)) + bulkLine(t, "meter-41", "no request") + "not JSON\n")
	last := bulkLine(t, "meter-42", newCSR(t))
	file.WriteString(strings.TrimSuffix(last, "\n")) // a last line without an end is one
	s.upload(c, "factory", "batch/1.jsonl", file.String())

	id, err := startTask(c, "factory", "batch/1.jsonl", nil)
	must(t, err)
	if k := s.ended(c, id); k.Status != "Completed" || k.SuccessCount != 41 || k.FailureCount != 4 || k.PercentageProgress != 100 {
		t.Fatalf("got %+v", k)
	}
	t.Run("each line's answer is in the results", func(t *testing.T) {
		lines := s.reportOf(c, id, "RESULTS")
		if len(lines) != 41 || lines[0]["lineNumber"] != 1.0 || lines[0]["offset"] != 0.0 || lines[40]["lineNumber"] != 46.0 {
			t.Fatalf("%d lines, the first %v", len(lines), lines[0])
		}
		for i, l := range lines[:40] {
			response := l["response"].(map[string]any)
			arns := response["ResourceArns"].(map[string]any)
			held := s.holders(arn.Default, fmt.Sprint("meter-", i))
			if arns["thing"] != arn.Default.Thing(fmt.Sprint("meter-", i)) || len(held) != 1 || held[0].PEM != response["CertificatePem"] ||
				held[0].Status != certs.Active || arns["certificate"] != arn.Default.Cert(held[0].ID) {
				t.Errorf("line %v: %v", l["lineNumber"], arns)
			}
		}
	})
	t.Run("each line that failed is in the errors, with a sentence", func(t *testing.T) {
		lines := s.reportOf(c, id, "ERRORS")
		if len(lines) != 4 || lines[0]["lineNumber"] != 41.0 || lines[0]["offset"] != float64(before) || lines[1]["lineNumber"] != 43.0 {
			t.Fatalf("got %v", lines)
		}
		for i, want := range []string{"Parameter ThingName is a number; a string is expected", "ThingName", "CSR is not PEM", "not well-formed JSON"} {
			response := lines[i]["response"].(map[string]any)
			if !strings.Contains(fmt.Sprint(response["errorMessage"]), want) || !strings.HasSuffix(fmt.Sprint(response["errorCode"]), "Exception") {
				t.Errorf("%v, want %s", response, want)
			}
		}
		if len(s.holders(arn.Default, "meter-41")) != 0 {
			t.Error("a line that failed left something")
		}
	})
	t.Run("nothing is remembered of its lines any more", func(t *testing.T) {
		giveUp := time.After(hang)
		for {
			var left []string
			must(t, s.db.View(context.Background(), func(ctx context.Context, tx store.Tx) (err error) {
				left, _, _, err = tx.ListDocuments(ctx, arn.Default, "registration-task-line/"+id, ref.All)
				return err
			}))
			if len(left) == 0 {
				return
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-giveUp:
				t.Fatalf("%d lines are remembered", len(left))
			}
		}
	})
	t.Run("an attempt explains each line", func(t *testing.T) {
		s.journal.Flush(context.Background())
		for key, want := range map[string]string{"meter-7": "provisioned", "meter-41": "refused"} {
			var out struct {
				Attempts []struct{ Door, Outcome, Reason string }
			}
			must(t, c.Do(context.Background(), http.MethodGet, "/slipway/attempts", map[string][]string{"key": {key}, "what": {key}}, nil, nil, &out))
			if len(out.Attempts) == 0 || out.Attempts[0].Door != "bulk" || out.Attempts[0].Outcome != want {
				t.Errorf("%s: %+v", key, out)
			}
		}
	})
}

// Rotation in bulk: the same names, new keys (methods.md, section 11).
func TestCertificatesAreRotatedInBulk(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.admin()
	names := []string{"lamp-1", "lamp-2", "lamp-3"}
	for round := range 2 {
		var file strings.Builder
		for _, name := range names {
			file.WriteString(bulkLine(t, name, newCSR(t)))
		}
		s.upload(c, "factory", "rotation", file.String())
		id, err := startTask(c, "factory", "rotation", nil)
		must(t, err)
		if k := s.ended(c, id); k.Status != "Completed" || k.SuccessCount != len(names) {
			t.Fatalf("round %d: %+v, %v", round, k, s.reportOf(c, id, "ERRORS"))
		}
	}
	for _, name := range names {
		held := s.holders(arn.Default, name)
		if len(held) != 2 || held[0].ID == held[1].ID || held[0].Status != certs.Active || held[1].Status != certs.Active {
			t.Errorf("%s has %d certificates; the old and the new one are expected, both ACTIVE until the device has changed", name, len(held))
		}
		for _, h := range held {
			must(t, s.db.View(context.Background(), func(ctx context.Context, tx store.Tx) error {
				if p, _, err := tx.Lefts(ctx, arn.Default, ref.PolicyTarget, arn.Default.Cert(h.ID), ref.All); len(p) != 1 || err != nil {
					t.Errorf("a certificate of %s carries %v (%v)", name, p, err)
				}
				return nil
			}))
		}
	}
}

func TestTasksOfAnAccount(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.admin()
	var file strings.Builder
	csr := newCSR(t)
	for i := range 10_000 { // more than are done before the calls below
		file.WriteString(bulkLine(t, fmt.Sprint("a-", i), csr))
	}
	s.upload(c, "factory", "large", file.String())
	s.upload(c, "factory", "small", bulkLine(t, "b-1", csr))

	_, err := startTask(c, "factory", "none", nil)
	wantRefusal(t, err, "InvalidRequestException", "bucket factory has no object none")
	large, err := startTask(c, "factory", "large", nil)
	must(t, err)
	_, err = startTask(c, "factory", "small", nil)
	wantRefusal(t, err, "InvalidRequestException", "one at a time")
	small, err := startTask(c, "factory", "small", http.Header{"X-Slipway-Queue": {"1"}})
	must(t, err)
	var k taskShown
	must(t, c.Do(context.Background(), http.MethodGet, "/thing-registration-tasks/"+small, nil, nil, nil, &k))
	if k.Status != "InProgress" || !strings.Contains(k.Message, large) {
		t.Errorf("the one that waits says %+v", k)
	}
	must(t, c.Do(context.Background(), http.MethodPut, "/thing-registration-tasks/"+large+"/cancel", nil, nil, nil, nil))
	if k = s.ended(c, large); k.Status != "Cancelled" {
		t.Errorf("got %+v", k)
	}
	if done := len(s.reportOf(c, large, "RESULTS")); done != k.SuccessCount {
		t.Errorf("%d lines were done, %d are reported", k.SuccessCount, done)
	}
	if k := s.ended(c, small); k.Status != "Completed" || k.SuccessCount != 1 {
		t.Errorf("the one that waited: %+v", k)
	}
}

func TestATaskGoesOnAfterARestart(t *testing.T) {
	data := t.TempDir()
	s := start(t, data)
	c := s.admin()
	var file strings.Builder
	csr := newCSR(t)
	const lines = 600
	for i := range lines {
		file.WriteString(bulkLine(t, fmt.Sprint("a-", i), csr))
	}
	s.upload(c, "factory", "k", file.String())
	id, err := startTask(c, "factory", "k", nil)
	must(t, err)
	must(t, s.stop())
	s = start(t, data)
	c = s.admin()
	if k := s.ended(c, id); k.Status != "Completed" || k.SuccessCount != lines || k.FailureCount != 0 {
		t.Errorf("got %+v", k)
	}
	for i := range lines {
		if held := s.holders(arn.Default, fmt.Sprint("a-", i)); len(held) != 1 {
			t.Errorf("a-%d has %d certificates", i, len(held))
		}
	}
}

func TestLinks(t *testing.T) {
	s := start(t, t.TempDir())
	c := s.admin()
	s.upload(c, "factory", "a b/c+d", "text")
	link := func(c *api.Client, method string) string {
		var out struct{ URL string }
		must(t, c.Do(context.Background(), http.MethodPost, "/slipway/buckets/factory/links", nil, nil, map[string]string{"key": "a b/c+d", "method": method}, &out))
		return out.URL
	}
	get := link(c, "GET")
	if status, text := s.follow(http.MethodGet, get, ""); status != 200 || text != "text" {
		t.Errorf("%d %s", status, text)
	}
	for says, changed := range map[string]string{
		"another object":    strings.Replace(get, "c+d", "e", 1),
		"another account":   strings.Replace(get, "000000000000", "111122223333", 1),
		"a later end":       strings.Replace(get, "expires=1", "expires=9", 1),
		"no signature":      get[:strings.Index(get, "signature=")+len("signature=")],
		"another signature": get[:len(get)-4] + "0000",
	} {
		if status, text := s.follow(http.MethodGet, changed, ""); status != 403 {
			t.Errorf("%s: %d %s", says, status, text)
		}
	}
	if status, _ := s.follow(http.MethodPut, get, "overwritten"); status != 403 {
		t.Errorf("a link to read was good to write: %d", status)
	}
	if status, text := s.follow(http.MethodGet, get, ""); status != 200 || text != "text" {
		t.Errorf("%d %s", status, text)
	}
	s.update(func(ctx context.Context, tx store.Tx) error {
		_, err := tenants.Ensure(ctx, tx, other, s.cfg.Now())
		return err
	})
	stranger := s.as(other.Account, tenants.Operator)
	if status, text := s.follow(http.MethodGet, link(stranger, "GET"), ""); status != 404 {
		t.Errorf("another account's bucket of the same name: %d %s", status, text)
	}
	err := stranger.Do(context.Background(), http.MethodPut, "/slipway/buckets/factory", nil, nil, map[string]string{"kind": "folder", "folder": "/etc"}, nil)
	wantRefusal(t, err, "AccessDeniedException", "admin key of account 000000000000")
	err = s.as(other.Account, tenants.Auditor).Do(context.Background(), http.MethodPost, "/slipway/buckets/factory/links", nil, nil, map[string]string{"key": "k", "method": "GET"}, nil)
	wantRefusal(t, err, "AccessDeniedException", "role auditor")
}

func TestALinkEnds(t *testing.T) {
	now := make(chan time.Duration, 1)
	now <- 0
	s := start(t, t.TempDir(), func(c *Config) {
		c.Now = func() time.Time { d := <-now; now <- d; return time.Now().Add(d) }
	})
	var out struct{ URL string }
	c := s.admin()
	s.upload(c, "factory", "k", "text")
	must(t, c.Do(context.Background(), http.MethodPost, "/slipway/buckets/factory/links", nil, nil, map[string]string{"key": "k", "method": "GET"}, &out))
	<-now
	now <- linkLife + 2*time.Second
	if status, text := s.follow(http.MethodGet, out.URL, ""); status != 403 || !strings.Contains(text, "expired") {
		t.Errorf("%d %s", status, text)
	}
}

func TestABucketMayBeAnyFolder(t *testing.T) {
	data := t.TempDir()
	s := start(t, data)
	c, folder := s.admin(), t.TempDir()
	must(t, c.Do(context.Background(), http.MethodPut, "/slipway/buckets/factory", nil, nil, map[string]string{"kind": "folder", "folder": folder}, nil))
	err := c.Do(context.Background(), http.MethodPut, "/slipway/buckets/cloud", nil, nil, map[string]string{
		"kind": "s3", "url": "https://s3.example.com", "bucket": "b", "accessKeyId": "AKIAEXAMPLE", "secret": "do not show"}, nil)
	must(t, err)
	var text []byte
	must(t, c.Do(context.Background(), http.MethodGet, "/slipway/buckets", nil, nil, nil, &text))
	if !strings.Contains(string(text), folder) || !strings.Contains(string(text), "s3.example.com") || strings.Contains(string(text), "do not show") {
		t.Errorf("got %s", text)
	}
	s.upload(c, "factory", "k", bulkLine(t, "lamp", newCSR(t)))
	id, err := startTask(c, "factory", "k", nil)
	must(t, err)
	if k := s.ended(c, id); k.SuccessCount != 1 {
		t.Errorf("got %+v", k)
	}
}

// A file that was brought for a task goes with it, and one that a later task
// reads stays.
func TestUploadsGoWithTheirTasks(t *testing.T) {
	var ahead atomic.Int64
	data := t.TempDir()
	s := start(t, data, func(c *Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	c := s.admin()
	csr := newCSR(t)
	path := func(bucket, key string) string { return filepath.Join(data, "buckets", bucket, key) }
	for _, bucket := range []string{tasks.Uploads, "factory"} {
		s.upload(c, bucket, "gone", bulkLine(t, "a-"+bucket, csr))
		id, err := startTask(c, bucket, "gone", nil)
		must(t, err)
		s.ended(c, id)
	}
	if _, err := os.Stat(path(tasks.Uploads, "gone")); err != nil {
		t.Fatal(err)
	}
	ahead.Store(int64(31 * 24 * time.Hour))
	for giveUp := time.After(hang); ; {
		s.bulk.Wake() // the task may be swept still, and nobody looks then
		_, err := os.Stat(path(tasks.Uploads, "gone"))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-giveUp:
			t.Fatalf("the upload is still there: %v", err)
		}
	}
	if _, err := os.Stat(path("factory", "gone")); err != nil {
		t.Errorf("a file of somebody else's bucket: %v", err)
	}
}
