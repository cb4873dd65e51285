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
	if r.Reason == "" {
		d.say("provisioned %s  %-28s in %d ms", r.Serial, r.how(), r.Took.Milliseconds())
		return
	}
	why := r.Reason
	if r.note != "" {
		why = r.note + ": " + why
	}
	head := fmt.Sprintf("refused     %s  %s", r.Serial, r.how())
	if d.width == 0 {
		d.say("%-51s %s", head, why)
		return
	}
	d.say("%s\n%*s%s", head, afterClock, "", wrap(why, d.width, afterClock))
}

// afterClock is the column at which live lines begin.
const afterClock = len("  1234 ms  ")

// headings are the stages as the table heads them.
var headings = map[string]string{
	"tls": "tls", "connect": "connect", "subscribe": "subscr", "create": "create",
	"register": "register", "tls again": "tls'", "connect again": "connect'",
}

// The columns of the table: thing, certificate id, and the stages, each as
// wide as its heading, or as seconds need.
const thingWidth, idWidth = 20, 64

func stageWidth(stage string) int { return max(7, len(headings[stage])+2) }

// wide says whether the terminal has room for a device in one line. Else the
// certificate id stands in a second one.
func (d *demo) wide() bool {
	need := thingWidth + idWidth
	for _, stage := range sim.Stages {
		need += stageWidth(stage)
	}
	return d.width == 0 || d.width >= need
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
	d.head()
	for i := range d.rows {
		if r := &d.rows[i]; r.Reason == "" {
			d.entry(r.Result)
		}
	}
	fmt.Fprint(d.s.out, "\nRefused, and why:\n")
	for i := range d.rows {
		if r := &d.rows[i]; r.Reason != "" {
			fmt.Fprintln(d.s.out, d.under(r.Serial, r.Reason))
		}
	}
	fmt.Fprintf(d.s.out, "\n%d devices, %d provisioned, in %.1f s.\n",
		len(d.rows), d.provisioned(), time.Since(d.start).Seconds())
	return d.verdict()
}

// under gives a serial and what it was told, in two columns if a certificate
// id has room in the second, else below each other.
func (d *demo) under(serial, told string) string {
	if d.width == 0 || d.width >= thingWidth+idWidth {
		return fmt.Sprintf("%-*s%s", thingWidth, serial, wrap(told, d.width, thingWidth))
	}
	return serial + "\n  " + wrap(told, d.width, 2)
}

func (d *demo) head() {
	fmt.Fprintf(d.s.out, "\n%s\n\n", wrap("Milliseconds for each stage; tls' and connect' are the second connection, which the device makes with the certificate that it was given.", d.width, 0))
	d.cells("thing", "certificate id", func(i int) string { return headings[sim.Stages[i]] })
}

func (d *demo) entry(r *sim.Result) {
	d.cells(r.Thing, r.CertificateID, func(i int) string {
		return fmt.Sprintf("%.1f", float64(r.Stages[i].Took.Microseconds())/1000)
	})
}

// cells prints a line of the table.
func (d *demo) cells(thing, id string, stage func(int) string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s", thingWidth, thing)
	if d.wide() {
		fmt.Fprintf(&b, "%-*s", idWidth, id)
	}
	for i, name := range sim.Stages {
		fmt.Fprintf(&b, "%*s", stageWidth(name), stage(i))
	}
	if !d.wide() {
		b.WriteString("\n  " + id)
	}
	fmt.Fprintln(d.s.out, b.String())
}

// A doorRow is a device in the table of a door without stages.
type doorRow struct{ serial, thing, id, figure, reason string }

// doorTable prints the devices that came in, each with one figure, and then
// those that did not.
func (d *demo) doorTable(figure string, rows []doorRow) {
	line := func(thing, id, figure string) {
		if d.width == 0 || d.width >= thingWidth+idWidth+8 {
			fmt.Fprintf(d.s.out, "%-*s%-*s%8s\n", thingWidth, thing, idWidth, id, figure)
			return
		}
		fmt.Fprintf(d.s.out, "%-*s%8s\n  %s\n", thingWidth, thing, figure, id)
	}
	fmt.Fprintln(d.s.out)
	line("thing", "certificate id", figure)
	for _, r := range rows {
		if r.reason == "" {
			line(r.thing, r.id, r.figure)
		}
	}
	fmt.Fprint(d.s.out, "\nRefused, and why:\n")
	for _, r := range rows {
		if r.reason != "" {
			fmt.Fprintln(d.s.out, d.under(r.serial, r.reason))
		}
	}
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
