package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/client/api"
)

// demoLine makes a lock of a line: its certificate is signed for the line's
// request.
const demoLine = `{
  "Parameters": {"SerialNumber": {"Type": "String"}, "Type": {"Type": "String"}, "CSR": {"Type": "String"}},
  "Resources": {
    "thing": {"Type": "AWS::IoT::Thing", "Properties": {
      "ThingName": {"Fn::Join": ["-", ["SmartLock", {"Ref": "SerialNumber"}]]},
      "ThingTypeName": {"Ref": "Type"}}},
    "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
      "CertificateSigningRequest": {"Ref": "CSR"}, "Status": "ACTIVE"}},
    "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "SmartLockPolicy"}}
  }
}`

// A batchLine is one line of the file, and what the task's reports say of it.
type batchLine struct {
	key    *deviceKey
	refuse string // errorMessage; empty: it was registered
	pem    string
}

// byFile shows bulk registration: a file with a line for each device, a task,
// and its two reports. The first line's signing request is none; the last one
// names a thing type that does not exist.
func (d *demo) byFile(ctx context.Context) error {
	lines, file, err := d.batch()
	if err != nil {
		return err
	}
	p := &plane{client: d.api}
	link, key := struct{ URL string }{}, "demo/batch.jsonl"
	if err := d.api.Do(ctx, http.MethodPost, api.Path("slipway", "buckets", uploads, "links"), nil, nil,
		map[string]string{"key": key, "method": http.MethodPut}, &link); err != nil {
		return err
	}
	if err := p.put(ctx, link.URL, bytes.NewReader(file), int64(len(file))); err != nil {
		return err
	}
	d.say("file        %d lines, %d bytes, lies in bucket %s; a task works through it", len(lines), len(file), uploads)
	k, err := d.task(ctx, p, map[string]string{"templateBody": demoLine, "inputFileBucket": uploads, "inputFileKey": key,
		"roleArn": "arn:aws:iam::000000000000:role/registration"})
	if err != nil {
		return err
	}
	d.say("task        %s: %d lines registered, %d failed; two reports", k.Status, k.Done, k.Refused)
	if err := errors.Join(d.reported(ctx, k.Results, lines), d.reported(ctx, k.Errors, lines)); err != nil {
		return err
	}
	return d.hand(ctx, "bulk", func(ctx context.Context, i int, h *handed) error { return d.unpack(ctx, lines[i], h) },
		"CSR", "NoSuchType")
}

// batch makes the file, with a key for each line that stays with the device.
func (d *demo) batch() (lines []*batchLine, file []byte, err error) {
	for i := range d.cmd.Devices {
		l := &batchLine{}
		if l.key, err = newDeviceKey("p256"); err != nil {
			return nil, nil, err
		}
		params := map[string]string{"SerialNumber": doorSerial("bulk", i), "Type": demoType, "CSR": l.key.request}
		switch i {
		case 0:
			params["CSR"] = "none"
		case d.cmd.Devices - 1:
			params["Type"] = "NoSuchType"
		}
		text, err := json.Marshal(params)
		if err != nil {
			return nil, nil, err
		}
		lines, file = append(lines, l), append(append(file, text...), '\n')
	}
	return lines, file, nil
}

// task starts a task and waits for its end.
func (d *demo) task(ctx context.Context, p *plane, request map[string]string) (*bulkTask, error) {
	var made struct{ TaskID string }
	if err := d.api.Do(ctx, http.MethodPost, tasksPath, nil, nil, request, &made); err != nil {
		return nil, err
	}
	for {
		k, err := p.task(ctx, made.TaskID)
		if err != nil || k.ended() {
			return k, err
		}
		if !pausing(ctx, 50*time.Millisecond) {
			return nil, ctx.Err()
		}
	}
}

// reported reads a report by its links.
func (d *demo) reported(ctx context.Context, links []string, lines []*batchLine) error {
	for _, link := range links {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("the report was not given: %s", answer.Status)
		}
		for in := json.NewDecoder(answer.Body); in.More(); {
			var l struct {
				LineNumber int
				Response   struct{ CertificatePem, ErrorMessage string }
			}
			if err := in.Decode(&l); err != nil {
				return err
			}
			if l.LineNumber < 1 || l.LineNumber > len(lines) {
				return fmt.Errorf("the report has a line %d, the file has %d", l.LineNumber, len(lines))
			}
			at := lines[l.LineNumber-1]
			at.pem, at.refuse = l.Response.CertificatePem, l.Response.ErrorMessage
		}
	}
	return nil
}

// unpack is a device that comes out of its box with the certificate of the
// report.
func (d *demo) unpack(ctx context.Context, l *batchLine, h *handed) error {
	if l.refuse != "" {
		return errors.New(l.refuse)
	}
	cert, err := tls.X509KeyPair([]byte(l.pem), []byte(l.key.pem))
	if err != nil {
		return err
	}
	name := "SmartLock-" + h.Serial
	conn, err := client.Dial(ctx, d.options(cert, name))
	if err != nil {
		return err
	}
	defer conn.Close()
	h.Thing, h.CertificateID = name, string(arn.IDOf(cert.Certificate[0]))
	return conn.Publish("locks/"+name+"/hello", []byte("hello"))
}
