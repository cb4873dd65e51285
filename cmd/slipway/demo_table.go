package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/sim"
	"github.com/slipway-iot/slipway/wire"
)

// A row is what became of one device.
type row struct {
	Serial     string
	Format     wire.Format
	Version    mqtt.Version
	ServerKeys bool
	Took       time.Duration
	Result     *sim.Result
	Reason     string // empty: provisioned
	note       string
}

func (r *row) how() string {
	key := "CSR"
	if r.ServerKeys {
		key = "server key"
	}
	version := "5"
	if r.Version == mqtt.V311 {
		version = "3.1.1"
	}
	return fmt.Sprintf("%s, %s, MQTT %s", strings.ToUpper(r.Format.String()), key, version)
}

// line says at once what became of a device.
func (d *demo) line(r *row) {
	if r.Reason != "" {
		why := r.Reason
		if r.note != "" {
			why = r.note + ": " + why
		}
		d.say("refused     %s  %-28s %s", r.Serial, r.how(), why)
		return
	}
	d.say("provisioned %s  %-28s %s in %d ms", r.Serial, r.how(), r.Result.Thing, r.Took.Milliseconds())
}

// columns are the stages as the table heads them.
var columns = map[string]string{
	"tls": "tls", "connect": "connect", "subscribe": "subscr", "create": "create",
	"register": "register", "tls again": "tls'", "connect again": "connect'",
}

// table prints every device, and fails unless exactly the two wrong ones were
// refused.
func (d *demo) table() error {
	if d.cmd.JSON {
		if err := d.jsonTable(); err != nil {
			return err
		}
		return d.verdict()
	}
	w := d.s.out
	fmt.Fprintf(w, "\n%-20s %-64s", "thing", "certificate id")
	for _, s := range sim.Stages {
		fmt.Fprintf(w, " %8s", columns[s])
	}
	fmt.Fprintf(w, "   ms\n")
	for i := range d.rows {
		r := &d.rows[i]
		if r.Reason != "" {
			continue
		}
		fmt.Fprintf(w, "%-20s %-64s", r.Result.Thing, r.Result.CertificateID)
		for _, s := range r.Result.Stages {
			fmt.Fprintf(w, " %8.1f", float64(s.Took.Microseconds())/1000)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "\nRefused, and why:\n")
	for i := range d.rows {
		if r := &d.rows[i]; r.Reason != "" {
			fmt.Fprintf(w, "%-20s %s\n", r.Serial, r.Reason)
		}
	}
	fmt.Fprintf(w, "\n%d devices, %d provisioned, in %.1f s. To keep a server: slipway serve\n",
		len(d.rows), d.provisioned(), time.Since(d.start).Seconds())
	return d.verdict()
}

func (d *demo) jsonTable() error {
	enc := json.NewEncoder(d.s.out)
	for i := range d.rows {
		r := &d.rows[i]
		if err := enc.Encode(map[string]any{
			"serial": r.Serial, "format": r.Format.String(), "serverKeys": r.ServerKeys, "mqtt": byte(r.Version),
			"thing": r.Result.Thing, "certificateId": r.Result.CertificateID, "stages": r.Result.Stages, "reason": r.Reason,
		}); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) provisioned() (n int) {
	for i := range d.rows {
		if d.rows[i].Reason == "" {
			n++
		}
	}
	return n
}

// verdict checks that the demo showed what it promises.
func (d *demo) verdict() error {
	first, last := &d.rows[0], &d.rows[len(d.rows)-1]
	if d.provisioned() != len(d.rows)-2 || !strings.Contains(first.Reason, "is not on the list") || !strings.Contains(last.Reason, "expired") {
		return errors.New("the demo did not end as it should: exactly the first device (not on the list) and the last (expired claim) are to be refused")
	}
	return nil
}
