package crash

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/internal/crash"
	"github.com/slipway-iot/slipway/sim"
)

// bulkTemplate is templateBody for a line with a signing request. A thing that
// exists conflicts, so that a line done twice would show as one that failed.
var bulkTemplate = strings.NewReplacer(
	`"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"},"Status":"Active"`, `"CertificateSigningRequest":{"Ref":"CSR"},"Status":"ACTIVE"`,
	`"SerialNumber":{"Type":"String"}`, `"SerialNumber":{"Type":"String"},"CSR":{"Type":"String"}`,
	`"AttributePayload":{"serial":{"Ref":"SerialNumber"}}}}`, `"AttributePayload":{"serial":{"Ref":"SerialNumber"}}},"OverrideSettings":{"ThingTypeName":"FAIL"}}`,
	`,
 "DeviceConfiguration":{"site":"lab"}`, ``,
).Replace(templateBody)

// badEvery is which lines fail, as they must once and no more.
const badEvery = 10

func TestTheServerIsKilledAmidBulkRegistration(t *testing.T) {
	size, binary, result := sizeOfRun(), build(t), &report{section: bulkSection, seed: *seed}
	if result.seed == 0 {
		result.seed = rand.Uint64()
	}
	t.Logf("-seed %d repeats these choices", result.seed)
	for _, s := range backends(t) {
		k := &killer{size: size, binary: binary, backend: s, report: result, random: rand.New(rand.NewPCG(result.seed, 1))}
		for _, point := range append([]string{"random moments"}, crash.Bulk...) {
			t.Run(s.name+" at "+point, func(t *testing.T) { k.bulk(t, point) })
		}
	}
	result.publish(t)
}

// bulk starts a task, kills the server again and again while it works on it,
// and counts what came of each line.
func (k *killer) bulk(t *testing.T, point string) {
	lines := 60 * k.size.devices
	f := k.newFleet(t, 1)
	writeInput(t, f.node, lines)
	life := f.node.start(t)
	life.awaitReady(t)
	task := startTask(t, f.node.admin(t))
	kills := 0
	if point == "random moments" {
		for ; kills < k.size.randomKills; kills++ {
			life.killAfter(t, time.Duration(k.random.Int64N(int64(k.size.window))))
			life = f.node.start(t)
		}
	} else {
		life.kill()
		kills++
		for range k.size.pointKills {
			skip := k.random.IntN(lines / 4)
			if point == "bulk.reported" || point == "bulk.ended" { // passed once
				skip = 0
			}
			if point == "bulk.ended" && kills > 1 { // the task has ended for good
				break
			}
			life = f.node.start(t, "SLIPWAY_CRASH_AT="+point, fmt.Sprint("SLIPWAY_CRASH_SKIP=", skip))
			life.awaitCrash(t, point)
			kills++
		}
		life = f.node.start(t)
	}
	life.awaitReady(t)
	awaitTask(t, f.node.admin(t), task, lines)
	results := reportLines(t, f.node.admin(t), task, "RESULTS")
	life.stop(t)
	k.auditBulk(t, f.node, lines, results)
	k.report.add(row{Store: k.backend.name, Point: "bulk: " + point, Kills: kills, Devices: lines - lines/badEvery, Things: len(results), Active: len(results)})
}

func bad(line int) bool { return line%badEvery == 0 }

// writeInput writes the file into a bucket of the server's own.
func writeInput(t *testing.T, n *node, lines int) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := sim.CSR(key, "device")
	if err != nil {
		t.Fatal(err)
	}
	var file strings.Builder
	for i := 1; i <= lines; i++ {
		params := map[string]string{"SerialNumber": serial(i), "CSR": string(csr)}
		if bad(i) {
			params["CSR"] = "none"
		}
		b, err := json.Marshal(params)
		if err != nil {
			t.Fatal(err)
		}
		file.Write(append(b, '\n'))
	}
	folder := filepath.Join(n.data, "buckets", "factory")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "batch"), []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func startTask(t *testing.T, c *api.Client) string {
	t.Helper()
	var made struct{ TaskID string }
	if err := c.Do(t.Context(), http.MethodPost, "/thing-registration-tasks", nil, nil, map[string]string{
		"templateBody": bulkTemplate, "inputFileBucket": "factory", "inputFileKey": "batch", "roleArn": "arn:aws:iam::000000000000:role/bulk",
	}, &made); err != nil {
		t.Fatal(err)
	}
	return made.TaskID
}

func awaitTask(t *testing.T, c *api.Client, id string, lines int) {
	t.Helper()
	giveUp := time.After(hang)
	for {
		var k struct {
			Status, Message            string
			SuccessCount, FailureCount int
		}
		if err := c.Do(t.Context(), http.MethodGet, "/thing-registration-tasks/"+id, nil, nil, nil, &k); err != nil {
			t.Fatal(err)
		}
		if k.Status == "Completed" {
			if k.FailureCount != lines/badEvery || k.SuccessCount != lines-lines/badEvery {
				t.Errorf("of %d lines, %d of them bad, %d were registered and %d failed", lines, lines/badEvery, k.SuccessCount, k.FailureCount)
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

// A reported is one line of a report.
type reported struct {
	LineNumber int
	Response   struct {
		CertificatePem string
		ResourceArns   map[string]string
	}
}

func reportLines(t *testing.T, c *api.Client, id, kind string) (out []reported) {
	t.Helper()
	var links struct{ ResourceLinks []string }
	if err := c.Do(t.Context(), http.MethodGet, "/thing-registration-tasks/"+id+"/reports", map[string][]string{"reportType": {kind}}, nil, nil, &links); err != nil {
		t.Fatal(err)
	}
	for _, link := range links.ResourceLinks {
		answer, err := http.Get(link)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatal(answer, err)
		}
		defer answer.Body.Close()
		for d := json.NewDecoder(answer.Body); d.More(); {
			var l reported
			if err := d.Decode(&l); err != nil {
				t.Fatal(err)
			}
			out = append(out, l)
		}
	}
	return out
}

// auditBulk asserts that each good line became one thing with the one ACTIVE
// certificate that the report names, each bad one nothing, and that nothing
// else is there.
func (k *killer) auditBulk(t *testing.T, n *node, lines int, results []reported) {
	db, err := k.backend.open(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r, told := read(t, db), map[int]reported{}
	for _, l := range results {
		if _, twice := told[l.LineNumber]; twice {
			t.Errorf("line %d is reported twice", l.LineNumber)
		}
		told[l.LineNumber] = l
	}
	good := lines - lines/badEvery
	if len(r.things) != good || len(r.certs) != good || len(told) != good || len(r.members) != good {
		t.Errorf("%d good lines became %d things with %d certificates, %d members of the group, and %d lines of the report",
			good, len(r.things), len(r.certs), len(r.members), len(told))
	}
	for i := 1; i <= lines; i++ {
		name, l := thingName(i), told[i]
		held := r.principals[name]
		if bad(i) {
			if r.things[name] != nil {
				t.Errorf("the bad line %d became a thing", i)
			}
			continue
		}
		if len(held) != 1 || held[0].Right != l.Response.ResourceArns["certificate"] {
			t.Errorf("%s is held by %v, the report says %v", name, held, l.Response.ResourceArns)
			continue
		}
		c := r.certs[arn.CertID(held[0].Right[strings.LastIndex(held[0].Right, "/")+1:])]
		if c == nil || c.Status != certs.Active || c.PEM != l.Response.CertificatePem || len(r.policies[held[0].Right]) != 1 {
			t.Errorf("the certificate of %s is %+v with policies %v", name, c, r.policies[held[0].Right])
		}
	}
	reap(t, db, 25*time.Hour)
	if left := read(t, db).intents; len(left) > 0 {
		t.Errorf("%d intents are never removed", len(left))
	}
	k.backend.drains(t, n, db)
}
