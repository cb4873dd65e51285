package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
)

// Progress is what a device keeps of its flow, as firmware does in flash: each
// part is written as soon as it has arrived, and Provision goes on from what is
// there. The key of a CSR is the Device's, since it outlives every certificate.
type Progress struct {
	CertificateID string
	Cert          tls.Certificate // its own, to connect with once it is registered
	Token         string          // buys the certificate; empty: the device has none
	Registered    bool            // RegisterThing was answered
	Thing         string
	Configuration map[string]string
}

// A Backoff is how long a device waits before it tries again: First, then
// twice as long each time, up to Most, with jitter of up to half.
type Backoff struct{ First, Most time.Duration }

// Persist calls Provision until the device is done, as firmware does that
// meets a server which comes and goes. It gives up when ctx ends, and when the
// server has said no to this device (Hopeless). failed, if set, learns of every
// try that came to nothing.
func (d *Device) Persist(ctx context.Context, b Backoff, failed func(error)) (*Result, *client.Device, error) {
	for wait := b.First; ; wait = min(2*wait, b.Most) {
		before := d.Progress.stage()
		r, conn, err := d.Provision(ctx)
		if err == nil {
			return r, conn, nil
		}
		if failed != nil {
			failed(err)
		}
		if d.Progress.stage() > before {
			wait = b.First
		}
		if Hopeless(err) || !rest(ctx, wait) {
			return r, nil, err
		}
	}
}

// stage counts what the device has won so far.
func (p *Progress) stage() int {
	switch {
	case p.Registered:
		return 2
	case p.Token != "":
		return 1
	}
	return 0
}

// rest waits with jitter, so that a fleet does not come back in step; it is
// false when ctx ended first.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d/2 + rand.N(d/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Hopeless says whether err is a server's no to this device, which the same
// request would meet again. A connection that was lost or refused is none, nor
// is a failure or throttling of the server (5xx, 429), nor a token that buys
// nothing: the device then begins again with a new certificate.
func Hopeless(err error) bool {
	var rejected *client.Rejected
	if errors.As(err, &rejected) {
		return rejected.StatusCode < 500 && rejected.StatusCode != 429 && !badToken(err)
	}
	var refused *client.Refused
	return errors.As(err, &refused) && (refused.Code == mqtt.NotAuthorized || refused.Code == mqtt.ClientIDNotValid)
}

// badToken says whether a registration was rejected because of its token.
func badToken(err error) bool {
	var rejected *client.Rejected
	return errors.As(err, &rejected) && rejected.ErrorCode == fault.BadToken.Face().Code
}
