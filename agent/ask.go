package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-iot/slipway/agent/mqttlink"
	"github.com/slipway-iot/slipway/wire"
)

// dial opens a link as whoever holds the certificate.
func (r *run) dial(ctx context.Context, cert tls.Certificate, clientID string) (mqttlink.Link, error) {
	host, port, err := r.Config.address()
	if err != nil {
		return nil, err
	}
	roots, err := r.roots()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.Config.ConnectTimeout)
	defer cancel()
	return r.Connect(ctx, mqttlink.Options{
		Host: host, Port: port,
		TLS:      &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}, Time: r.Now},
		ClientID: clientID,
		Version:  r.Config.Version,
	})
}

// asClaim gives the claim's link, opening it if it is not open. Both requests
// of a run that goes well share one.
func (r *run) asClaim(ctx context.Context) (mqttlink.Link, error) {
	if r.link != nil {
		return r.link, nil
	}
	claim, err := r.claim()
	if err != nil {
		return nil, err
	}
	err = r.timed("connect as claim", func() error {
		r.link, err = r.dial(ctx, claim, r.clientID())
		return err
	})
	return r.link, err
}

// hangUp ends the claim's link. After any failure a new one is opened, so that
// a late answer to an old question is never taken for a new one's.
func (r *run) hangUp() {
	if r.link != nil {
		r.link.Close()
		r.link = nil
	}
}

// A question is one request of the provisioning API.
type question struct {
	op      wire.Operation
	topic   string
	payload []byte
	wait    time.Duration
}

// ask subscribes to both answers, publishes, and waits for one of them
// (provisioning-mqtt-api.md, section 1, rule 3). The answer may overtake the
// PUBACK.
func (r *run) ask(ctx context.Context, q question) ([]byte, error) {
	link, err := r.asClaim(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, q.wait)
	defer cancel()
	if err := link.Subscribe(ctx, wire.Accepted(q.topic), wire.Rejected(q.topic)); err != nil {
		return nil, err
	}
	published, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		published <- link.Publish(ctx, q.topic, q.payload)
	}()
	defer func() { cancel(); <-ended }()
	return r.answer(ctx, link, q, published)
}

// answer waits for one of the two. An answer that arrived before the connection
// ended still counts.
func (r *run) answer(ctx context.Context, link mqttlink.Link, q question, published <-chan error) ([]byte, error) {
	for {
		select {
		case m := <-link.Messages():
			if payload, err := r.sort(q, m); payload != nil || err != nil {
				return payload, err
			}
		case err := <-published:
			if err != nil {
				return nil, err
			}
			published = nil
		case <-link.Done():
			return r.lastWords(link, q)
		case <-ctx.Done():
			return nil, r.silence(ctx, q)
		}
	}
}

// sort takes a message for an answer, a rejection, or nothing of ours.
func (r *run) sort(q question, m mqttlink.Message) ([]byte, error) {
	switch m.Topic {
	case wire.Accepted(q.topic):
		return append([]byte{}, m.Payload...), nil
	case wire.Rejected(q.topic):
		return nil, r.rejection(q.op, m.Payload)
	}
	return nil, nil
}

// lastWords looks for the answer among what a connection left when it ended.
func (r *run) lastWords(link mqttlink.Link, q question) ([]byte, error) {
	for {
		select {
		case m := <-link.Messages():
			if payload, err := r.sort(q, m); payload != nil || err != nil {
				return payload, err
			}
		default:
			return nil, link.Err()
		}
	}
}

// silence is what it means that the wait for an answer is over.
func (r *run) silence(ctx context.Context, q question) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	return &mqttlink.Error{Cause: mqttlink.TimedOut, Op: fmt.Sprintf("%s within %s", q.op, q.wait), Version: r.Config.Version, Err: ctx.Err()}
}

func (r *run) rejection(op wire.Operation, payload []byte) error {
	said, err := wire.DecodeRejection(r.Config.Format, payload)
	if err != nil {
		return unusable("The server rejected %s, but its answer cannot be read: %v", op, err)
	}
	return &rejected{op, said}
}
