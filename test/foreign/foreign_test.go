// Package foreign runs slipway's verbs against a control plane that is not
// Slipway: moto_server, an emulator of AWS (DESIGN.md, decision 16). Where it
// has the operations the verbs work; where it has not they name the operation.
//
// The program and moto_server are both real. test/deps, which `make test` runs
// first, installs the latter.
package foreign

import (
	"crypto/tls"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Exit codes (DESIGN.md, section 6).
const (
	done    = 0
	failed  = 1
	refused = 3
)

const speak = `{"Version": "2012-10-17", "Statement": [
	{"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}"},
	{"Sid": "state", "Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/locks/${iot:Connection.Thing.ThingName}/*"}]}`

const silence = `{"Version": "2012-10-17", "Statement": [{"Sid": "hush", "Effect": "Deny", "Action": "iot:Publish", "Resource": "*"}]}`

const fleet = `{
	"Parameters": {"SerialNumber": {"Type": "String"}},
	"Resources": {"thing": {"Type": "AWS::IoT::Thing", "Properties": {
		"ThingName": {"Ref": "SerialNumber"}, "ThingTypeName": "Lock", "AttributePayload": {"site": "berlin"}}}}}`

func TestDevicesAreMadeAndShown(t *testing.T) {
	t.Parallel()
	m := in(t, "eu-central-1")
	m.call(t, "POST", "/thing-types/Lock", nil)
	m.call(t, "POST", "/thing-groups/hall", nil)
	m.call(t, "POST", "/policies/speak", map[string]string{"policyDocument": speak})

	m.run(t, "device", "create", "A1", "--type", "Lock", "--group", "hall", "--policy", "speak", "--attribute", "site=berlin", "--out", "out").
		is(t, done, `thing: +A1\n`, `, ACTIVE\n`, `policies: +speak\n`, `out/A1/A1.private.key\n`)
	cert, key := filepath.Join(m.dir, "out", "A1", "A1.cert.pem"), filepath.Join(m.dir, "out", "A1", "A1.private.key")
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		t.Errorf("certificate and key: %v", err)
	}
	if info, err := os.Stat(key); err != nil || info.Mode() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}
	m.run(t, "device", "show", "A1").is(t, done, `type: +Lock\n`, `attributes: +site = berlin\n`, `groups: +hall\n`, `ACTIVE, good until`, `policies: +speak\n`)
	var shown struct {
		Principals []struct{ Status string }
	}
	m.run(t, "device", "show", "A1", "--json").is(t, done).into(t, &shown)
	if len(shown.Principals) != 1 || shown.Principals[0].Status != "ACTIVE" {
		t.Errorf("got %+v", shown)
	}
	m.run(t, "device", "show", "nosuch").is(t, refused, `class: ResourceNotFoundException\n$`)

	// More than its pages hold.
	for _, name := range names(260) {
		m.call(t, "POST", "/things/"+name, nil)
	}
	var list []struct{ ThingName string }
	m.run(t, "device", "list", "--json").is(t, done).into(t, &list)
	if len(list) != 261 {
		t.Errorf("the list has %d things", len(list))
	}
	m.run(t, "device", "list", "--type", "Lock").is(t, done, `A1 +Lock +site=berlin\n$`)
	m.run(t, "device", "list", "--attribute", "site=berlin").is(t, done, `\nA1 +Lock +site=berlin\n$`)
}

func TestADeviceThatCannotBeMadeWholeIsNotMade(t *testing.T) {
	t.Parallel()
	m := in(t, "eu-west-1")
	m.run(t, "device", "create", "A1", "--policy", "nosuch", "--out", "out").
		is(t, refused, `slipway: policy nosuch: `, `What was made is taken back\.?\n`, `class: ResourceNotFoundException\n$`)
	m.run(t, "device", "create", "A1", "--type", "Nosuch", "--out", "out").is(t, refused, `thing A1 of type Nosuch: `)
	if files, err := fs.ReadDir(os.DirFS(m.dir), "out"); err != nil || len(files) > 0 {
		t.Errorf("there are the files %v, %v", files, err)
	}
	for path, member := range map[string]string{"/things": "things", "/certificates": "certificates"} {
		if got := m.call(t, "GET", path, nil)[member]; string(got) != "[]" {
			t.Errorf("%s are left: %s", member, got)
		}
	}
	m.run(t, "device", "create", "A1", "--out", "out").is(t, done)
	m.run(t, "device", "create", "A1", "--out", "again").is(t, refused, `thing A1 exists already`, `class: ResourceAlreadyExistsException\n$`)
}

func TestAPolicyIsJudged(t *testing.T) {
	t.Parallel()
	m := in(t, "eu-west-2")
	m.write(t, "speak.json", speak)
	m.write(t, "typo.json", `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:topic/a"}]}`)
	m.run(t, "policy", "check", "speak.json").is(t, done)
	m.run(t, "policy", "check", "typo.json").is(t, failed, `1 error`)

	m.call(t, "POST", "/policies/speak", map[string]string{"policyDocument": speak})
	m.call(t, "POST", "/policies/silence", map[string]string{"policyDocument": silence})
	m.call(t, "POST", "/thing-groups/house", nil)
	m.call(t, "POST", "/thing-groups/hall", map[string]string{"parentGroupName": "house"})
	m.run(t, "device", "create", "A1", "--group", "hall", "--policy", "speak").is(t, done)
	var device struct {
		Principals []struct{ CertificateID string }
	}
	m.run(t, "device", "show", "A1", "--json").into(t, &device)
	explain := func(more ...string) outcome {
		return m.run(t, append([]string{"policy", "explain", "--certificate", device.Principals[0].CertificateID, "--client-id", "A1"}, more...)...)
	}
	explain("--action", "Publish", "--resource", "locks/A1/state").
		is(t, done, `^ALLOWED: iot:Publish`, `decided by: +statement 1 \(state\) of policy speak, version 1\n`, `judged by: +the engine of this program, from the policies stored at http`)
	explain("--action", "Publish", "--resource", "locks/A2/state").is(t, done, `^DENIED: `, `decided by: +no statement`)
	explain("--action", "Connect").is(t, done, `^ALLOWED: iot:Connect`)

	house := m.call(t, "GET", "/thing-groups/house", nil)["thingGroupArn"]
	m.call(t, "PUT", "/target-policies/silence", map[string]json.RawMessage{"target": house})
	explain("--action", "Publish", "--resource", "locks/A1/state").is(t, done, `^DENIED: `, `\(hush\) of policy silence`)
}

func TestATemplateInAFileIsTried(t *testing.T) {
	t.Parallel()
	m := in(t, "eu-west-3")
	m.write(t, "fleet.json", fleet)
	try := []string{"template", "test", "fleet", "--body", "fleet.json", "--param", "SerialNumber=A1"}
	m.run(t, try...).is(t, refused, `would refuse this device: thing type Lock does not exist`)
	m.call(t, "POST", "/thing-types/Lock", nil)
	m.run(t, try...).is(t, done, `thing: +A1\n`, `would change: +Thing A1 is created\.\n`)
	m.call(t, "POST", "/things/A1", map[string]any{"thingTypeName": "Lock", "attributePayload": map[string]any{"attributes": map[string]string{"site": "hamburg"}}})
	m.run(t, try...).is(t, refused, `would refuse this device: .*site`)
	m.run(t, "template", "test", "fleet", "--body", "fleet.json").is(t, refused, `SerialNumber`)
}

// moto has no provisioning templates, and nobody else has claims, functions
// and traces.
func TestWhatIsNotThereIsNamed(t *testing.T) {
	t.Parallel()
	m := in(t, "eu-north-1")
	m.write(t, "fleet.json", fleet)
	for _, c := range []struct {
		operation string
		args      string
	}{
		{"ListProvisioningTemplates", "template list"},
		{"DescribeProvisioningTemplate", "template show fleet"},
		{"DescribeProvisioningTemplate", "template test fleet"},
		{"DescribeProvisioningTemplate", "template apply fleet.json"},
		{"DescribeProvisioningTemplate", "template diff fleet fleet.json"},
	} {
		t.Run("slipway "+c.args, func(t *testing.T) {
			m.run(t, strings.Fields(c.args)...).is(t, refused, `^slipway: http://\S+ does not have AWS IoT's operation `+c.operation+`, which this verb needs `, `class: HTTP 500\n$`)
		})
	}
	m.run(t, "template", "test", "fleet").is(t, refused, `give --body FILE\n`)
	for _, args := range []string{"claim list", "claim new --template fleet", "function list", "trace A1"} {
		t.Run("slipway "+args, func(t *testing.T) {
			m.run(t, strings.Fields(args)...).is(t, refused, `^slipway: http://\S+ does not have this operation of Slipway's own: the verb needs a Slipway server `)
		})
	}
}

// is asserts how a run ended, and what it printed.
func (o outcome) is(t *testing.T, code int, patterns ...string) outcome {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code %d, expected %d:\n%s", o.code, code, o.out)
	}
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(o.out) {
			t.Errorf("%q is not in what it printed:\n%s", p, o.out)
		}
	}
	return o
}

func (o outcome) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(o.out), v); err != nil {
		t.Fatalf("%v:\n%s", err, o.out)
	}
}
