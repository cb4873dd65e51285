package gateway

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// A parted refusal is one section of refusals.golden.
type parted struct {
	group, name string
	lines       []string // "- device: …", "- trace: …"
}

// refusals takes refusals.golden apart.
func refusals(golden []byte) (all []parted) {
	group := ""
	for line := range strings.Lines(string(golden)) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "## "); ok {
			group = name
		}
		if name, ok := strings.CutPrefix(line, "### "); ok {
			all = append(all, parted{group: group, name: name})
		}
		if strings.HasPrefix(line, "- ") {
			last := &all[len(all)-1]
			last.lines = append(last.lines, strings.TrimPrefix(line, "- "))
		}
	}
	return all
}

// manual makes docs/refusals.md of the golden file, and of what helps.
func manual(t *testing.T, golden []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString(manualHead)
	group, known := "", map[string]bool{}
	for _, r := range refusals(golden) {
		if r.group != group {
			group = r.group
			fmt.Fprintf(&b, "\n## %s\n\n%s\n", group, groupRemedies[group])
			if groupRemedies[group] == "" {
				t.Errorf("groupRemedies says nothing of %q", group)
			}
		}
		fmt.Fprintf(&b, "\n### %s\n\n", r.name)
		for _, line := range r.lines {
			what, said, _ := strings.Cut(line, ": ")
			fmt.Fprintf(&b, "- %s: `%s`\n", what, said)
		}
		if help := remedies[r.name]; help != "" {
			fmt.Fprintf(&b, "- what to do: %s\n", help)
		}
		known[r.name] = true
	}
	for name := range remedies {
		if !known[name] {
			t.Errorf("a remedy is for %q, which is no refusal", name)
		}
	}
	return b.Bytes()
}

const manualHead = `# Refusals

Every way in which the device gateway says no, what the device sees of it, the
sentence that ` + "`slipway trace`" + ` shows, and what to do. Ask it about the certificate's id,
the thing, the client id, the device's address or its serial number:

` + "```sh" + `
slipway trace 192.0.2.17
slipway trace lock-4711
` + "```" + `

Before a device has proved who it is, attempts are kept by address, one row a minute
for those that are alike, with a count; afterwards by everything that is known of it.
A 3.1.1 device mostly sees its socket close, as on AWS: MQTT 3.1.1 has no way to say
why. On MQTT 5 the reason string is the same sentence, written "…" below, unless the
device asked for none (Request Problem Information 0).

What a device's TLS library reports, and where to look:

| alert | sent by | see |
|---|---|---|
| 40 ` + "`handshake_failure`" + ` | server | [no client certificate, TLS 1.2](#no-client-certificate-tls-12), [no cipher suite in common](#no-cipher-suite-in-common) |
| 42 ` + "`bad_certificate`" + ` | device | [the device refuses the server's certificate](#the-device-refuses-the-servers-certificate-bad_certificate) |
| 45 ` + "`certificate_expired`" + ` | device | [the device's clock is wrong](#the-devices-clock-is-wrong-certificate_expired) |
| 48 ` + "`unknown_ca`" + ` | device | [the device does not trust the server](#the-device-does-not-trust-the-server-unknown_ca) |
| 51 ` + "`decrypt_error`" + ` | server | [another key than the certificate's](#another-key-than-the-certificates) |
| 70 ` + "`protocol_version`" + ` | server | [TLS 1.1](#tls-11) |
| 112 ` + "`unrecognized_name`" + ` | server | [a server name that is no endpoint](#a-server-name-that-is-no-endpoint) |
| 116 ` + "`certificate_required`" + ` | server | [no client certificate](#no-client-certificate) |
| 120 ` + "`no_application_protocol`" + ` | server | [another ALPN on the ALPN port](#another-alpn-on-the-alpn-port) |

CERTIFICATE, DEVICE, ADDRESS, POLICY and TIME stand for what differs from device to
device. Where nothing is said of what to do, the sentence says it. This page is written by ` + "`go test ./gateway -run EveryRefusal -update`" + `, from
what a test saw when it provoked each.
`
