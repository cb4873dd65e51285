package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/sim"
	"github.com/slipway-iot/slipway/wire"
)

func TestSentencesBreakBetweenWords(t *testing.T) {
	const text = "The device needs a new certificate; this one has expired."
	for name, tt := range map[string]struct {
		width, indent int
		want          string
	}{
		"a pipe has lines of any length":    {0, 8, text},
		"a terminal has not":                {40, 8, "The device needs a new\n        certificate; this one has\n        expired."},
		"too little room is none":           {20, 8, text},
		"what fits exactly is not broken":   {len(text), 0, text},
		"one column less, and a word moves": {len(text) - 1, 0, "The device needs a new certificate; this one has\nexpired."},
	} {
		t.Run(name, func(t *testing.T) {
			if got := wrap(text, tt.width, tt.indent); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
	long := strings.Repeat("x", 64)
	if got := wrap("Certificate "+long+" expired.", 40, 2); got != "Certificate\n  "+long+"\n  expired." {
		t.Errorf("a word longer than the room does not stand alone:\n%s", got)
	}
}

// The demo's table keeps inside the terminal, and certificate ids whole.
func TestTheDemosTableFitsTheTerminal(t *testing.T) {
	id := strings.Repeat("ab", 32)
	for _, width := range []int{80, 120, 200} {
		var out bytes.Buffer
		d := &demo{cmd: &demoCmd{}, s: streams{out: &out}, width: width}
		result := &sim.Result{Progress: sim.Progress{CertificateID: id, Thing: "SmartLock-SL-100002"}}
		for _, stage := range sim.Stages {
			result.Stages = append(result.Stages, sim.Stage{Name: stage, Took: 12345678901})
		}
		d.rows = []row{
			{Serial: "SL-100001", Format: wire.JSON, Version: mqtt.V311, ServerKeys: true, Reason: "403 AccessDenied: Serial SL-100001 is not on the list factory-list."},
			{Serial: "SL-100002", Format: wire.CBOR, Version: mqtt.V5, Result: result},
			{Serial: "SL-100003", Version: mqtt.V5, note: "sent although its claim has expired", Reason: "CONNACK 0x87: Certificate " + id + " expired at 2026-11-22T03:53:41Z; the device needs a new one."},
		}
		for i := range d.rows {
			d.line(&d.rows[i])
		}
		if err := d.table(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > width && !strings.HasPrefix(line, "To keep one") {
				t.Errorf("%d columns, in a terminal of %d: %s", n, width, line)
			}
		}
		if got := strings.Count(out.String(), id); got != 3 {
			t.Errorf("in a terminal of %d columns the certificate id stands %d times whole, want 3:\n%s", width, got, out.String())
		}
	}
}
