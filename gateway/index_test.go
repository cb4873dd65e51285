package gateway

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// specified are the rows of device-gateway.md, sections 1 to 3 and 5, each of
// which docs/gateway.md has to answer.
var specified = []struct {
	section string
	rows    []string
}{
	{"1 Ports, ALPN, authentication", []string{
		"MQTT, X.509, 8883, no ALPN",
		"MQTT, X.509, 443, ALPN x-amzn-mqtt-ca",
		"MQTT, custom authorizer, 443, ALPN mqtt",
		"WebSocket, SigV4, 443",
		"WebSocket, custom authorizer, 443",
		"HTTPS, X.509, 8443",
		"HTTPS, X.509, 443, ALPN x-amzn-http-ca",
		"HTTPS, SigV4, 443",
		"HTTPS, custom authorizer, 443",
		"ordinary HTTP clients offer http/1.1 or h2 too",
		"x-amzn-mqtt-ca with a custom authorizer",
		"URL shapes",
		"IPv4 and IPv6",
		"DescribeEndpoint",
		"1.1 authentication type and protocol of a domain configuration",
		"1.1 a domain configuration that is DISABLED",
		"1.1 names of domain configurations",
		"1.2 lifetime of an X.509 connection",
		"1.2 lifetime of a signed WebSocket",
		"1.2 lifetime of a custom authorizer's connection",
	}},
	{"2 TLS", []string{
		"2.1 security policies",
		"2.1 TLS 1.3 suites",
		"2.1 TLS 1.2 suites",
		"2.1 TLS 1.0 and 1.1",
		"2.1 session tickets",
		"2.2 the server's certificate",
		"2.2 SNI picks the account",
		"2.2 no SNI, certificate in DEFAULT mode",
		"2.2 no SNI, SNI_ONLY or unknown certificate",
		"2.2 an SNI that names no endpoint",
		"2.3 certificates of any issuer are asked for",
		"2.3 proof of possession",
		"2.3 identity is the leaf's SHA-256; the chain is not verified",
		"2.4 no certificate",
		"2.4 unknown certificate, no CA of it",
		"2.4 unknown certificate of a CA that registers automatically",
		"2.4 PENDING_ACTIVATION again",
		"2.4 INACTIVE",
		"2.4 REVOKED, expired",
		"2.4 ACTIVE without a policy, or denied",
		"2.4 HTTPS with an unacceptable certificate",
		"2.4 a certificate that leaves ACTIVE",
		"2.4 a certificate that is deleted, detached from its only thing, of an account that is switched off",
		"2.4 a policy that changes",
	}},
	{"3 MQTT", []string{
		"3.1 level 3",
		"3.1 QoS 0 and 1, both directions",
		"3.1 QoS 2",
		"3.1 DUP",
		"3.1 packet ids on redelivery",
		"3.1 packets before CONNACK",
		"3.1 `a/#` does not match `a`",
		"3.1 `#` and `+` match no `$` topic",
		"3.1 retained messages for filters without wildcards alone",
		"3.1 AUTH",
		"3.1 between versions",
		"3.1 a session resumed by another version",
		"3.2 client ids of 1 to 128 bytes, not beginning with `$`",
		"3.2 an empty client id",
		"3.2 an empty client id with clean session 0",
		"3.2 client ids with `#` or `+`",
		"3.2 takeover",
		"3.3 CONNECT denied by policy",
		"3.3 CONNECT denied because of the will's topic",
		"3.3 PUBLISH denied",
		"3.3 SUBSCRIBE denied",
		"3.3 more than 50 subscriptions",
		"3.3 more than 8 filters",
		"3.3 a subscription identifier",
		"3.3 topic too long or too deep",
		"3.3 filter too long or too deep",
		"3.3 an unsupported `$` topic",
		"3.3 more than 100 unacknowledged PUBLISHes",
		"3.3 payload over 128 KB",
		"3.3 CONNECT over a rate",
		"3.3 bad client id",
		"3.3 second CONNECT",
		"3.3 malformed packet",
		"3.3 missed keep-alive",
		"3.3 topic alias 0 or above 8",
		"3.3 codes that AWS sends",
		"3.4 CONNACK: Receive Maximum, Maximum QoS, Maximum Packet Size, Topic Alias Maximum, what is available",
		"3.4 CONNACK: Session Expiry Interval",
		"3.4 CONNACK: Assigned Client Identifier",
		"3.4 CONNACK: Server Keep Alive",
		"3.4 Session Expiry Interval of CONNECT and DISCONNECT",
		"3.4 Message Expiry Interval",
		"3.4 Receive Maximum of the device",
		"3.4 Maximum Packet Size of the device",
		"3.4 Topic Alias of the device",
		"3.4 Topic Alias to the device",
		"3.4 user properties",
		"3.4 content type, response topic, correlation data, payload format",
		"3.4 Request Problem Information",
		"3.4 No Local",
		"3.4 Retain As Published, Retain Handling",
		"3.5 packet sizes",
		"3.6 CONNECT rate",
		"3.6 concurrent connections",
		"3.6 keep-alive",
		"3.6 topic and filter length, slashes",
		"3.6 publish rate",
		"3.6 throughput",
		"3.6 outbound unacknowledged",
		"3.6 filters of a packet, subscriptions of a connection",
		"3.6 subscriptions of an account",
		"3.6 outbound QoS 1 retry window",
		"3.6 persistent session",
		"3.6 queue",
		"3.6 queue drain on reconnect",
		"3.6 queued-message ingest",
		"3.6 retained messages",
		"3.6 share names",
		"3.6 disconnect reason `THROTTLED`",
		"3.7 clean session 0: session present, subscriptions, queued QoS 1",
		"3.7 only QoS 1 is queued, and only what was published afterwards",
		"3.7 MQTT 5: Clean Start and Session Expiry",
		"3.7 clean session 1 destroys the session",
		"3.8 shared subscriptions: each message once",
		"3.8 the policy's resource is the whole filter; `iot:Receive` on the topic",
		"3.8 `$share/g/#` sees no `$` topic",
		"3.8 no retained messages",
		"3.9 RETAIN takes iot:RetainPublish and iot:Publish",
		"3.9 an empty payload deletes, and is delivered",
		"3.9 reserved topics retain nothing",
		"3.9 the RETAIN flag",
		"3.10 when a will goes out",
		"3.10 a will's policy",
		"3.10 a will on a `$` topic",
		"3.10 a will carries its properties, QoS and RETAIN",
	}},
	{"5 Lifecycle events", []string{
		"connected",
		"connect_failed",
		"disconnected",
		"subscribed, unsubscribed",
		"members of the payloads",
		"thingName",
		"versionNumber",
		"CLIENT_INITIATED_DISCONNECT, CONNECTION_LOST, AUTH_ERROR, CLIENT_ERROR, SERVER_INITIATED_DISCONNECT",
		"DUPLICATE_CLIENTID",
		"MQTT_KEEP_ALIVE_TIMEOUT",
		"SERVER_INITIATED_DISCONNECT at the server's stop",
		"THROTTLED",
		"CUSTOMAUTH_TTL_EXPIRATION",
		"events are heard by name, never by a wildcard at the root",
		"the registered event of certificates",
	}},
}

var (
	quotedWord = regexp.MustCompile("`([^`]+)`")
	italics    = regexp.MustCompile(`\*([^*]+)\*`)
)

// TestEveryRowOfTheSpecificationIsAnswered holds docs/gateway.md to the rows,
// and its tests and refusals to what there is.
func TestEveryRowOfTheSpecificationIsAnswered(t *testing.T) {
	answered := indexRows(t)
	for _, s := range specified {
		if got, want := answered.names[s.section], s.rows; !slices.Equal(got, want) {
			for i := range max(len(got), len(want)) {
				if i >= len(got) || i >= len(want) || got[i] != want[i] {
					t.Errorf("section %s, row %d: docs/gateway.md has %q, expected %q", s.section, i+1, get(got, i), get(want, i))
					break
				}
			}
		}
	}
	golden, err := os.ReadFile("testdata/refusals.golden")
	must(t, err)
	kinds := map[string]bool{}
	for _, r := range refusals(golden) {
		kinds[r.name] = true
	}
	for row, cells := range answered.rows {
		proof := indexTests(t, row, cells[1]) + indexRefusals(t, row, cells[1], kinds)
		if proof == 0 && !strings.Contains(cells[1], "divergences.md") {
			t.Errorf("%s: nothing proves it", row)
		}
	}
}

// An index is docs/gateway.md, taken apart.
type index struct {
	names map[string][]string  // rows by section, in their order
	rows  map[string][2]string // what Slipway does, and the proof, by row
}

func indexRows(t *testing.T) index {
	t.Helper()
	b, err := os.ReadFile("../docs/gateway.md")
	must(t, err)
	all, section := index{map[string][]string{}, map[string][2]string{}}, ""
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.TrimSpace(name)
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 3 || strings.HasPrefix(cells[0], "-") || strings.TrimSpace(cells[0]) == "row" {
			continue
		}
		name := strings.TrimSpace(cells[0])
		all.names[section] = append(all.names[section], name)
		all.rows[section+": "+name] = [2]string{cells[1], cells[2]}
	}
	return all
}

// indexTests counts the tests that a cell names; each must exist, in this
// package unless another stands before it.
func indexTests(t *testing.T, row, cell string) (n int) {
	t.Helper()
	for part := range strings.SplitSeq(cell, ";") {
		dir := "gateway"
		for _, m := range quotedWord.FindAllStringSubmatch(part, -1) {
			if !strings.HasPrefix(m[1], "Test") {
				dir = m[1]
				continue
			}
			if n++; !declares(t, dir, m[1]) {
				t.Errorf("%s: %s has no %s", row, dir, m[1])
			}
		}
	}
	return n
}

func indexRefusals(t *testing.T, row, cell string, kinds map[string]bool) (n int) {
	t.Helper()
	for _, m := range italics.FindAllStringSubmatch(cell, -1) {
		if n++; !kinds[m[1]] {
			t.Errorf("%s: testdata/refusals.golden has no %q", row, m[1])
		}
	}
	return n
}

// declares says whether a package's tests include one.
func declares(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", dir, "*_test.go"))
	must(t, err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		must(t, err)
		if strings.Contains(string(b), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}

func get(all []string, i int) string {
	if i < len(all) {
		return all[i]
	}
	return "nothing"
}
