// Package retained holds what is retained: the last message that was published
// with RETAIN on a topic, for those who subscribe to it later
// (device-gateway.md, section 3.9).
package retained

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/ref"
)

// A Message is what a topic retains. Of Publish the topic, the payload, the QoS
// and the properties that belong to the message are kept.
type Message struct {
	Tenant   arn.Tenant
	Publish  *mqtt.Publish
	Modified time.Time
	Expires  time.Time // zero: never
}

// A Summary is a Message without what may be large.
type Summary struct {
	Topic    string
	Size     int // of the payload, in bytes
	QoS      byte
	Modified time.Time
	Expires  time.Time
}

// Store is what this package asks of a database.
type Store interface {
	// Retained answers fault.Missing when the topic retains nothing. What has
	// expired is there until it is pruned.
	Retained(ctx context.Context, t arn.Tenant, topic string) (*Message, error)
	// PutRetained puts the message in place of the one that its topic had, and
	// says whether it had none.
	PutRetained(ctx context.Context, m *Message) (added bool, err error)
	// DropRetained says whether there was one.
	DropRetained(ctx context.Context, t arn.Tenant, topic string) (bool, error)
	// ListRetained is ordered by topic.
	ListRetained(ctx context.Context, t arn.Tenant, p ref.Page) ([]Summary, string, error)
	// CountRetained counts the topics of a tenant that retain a message.
	CountRetained(ctx context.Context, t arn.Tenant) (int, error)
	// PruneRetained deletes up to limit messages, of any tenant, that expired
	// before the moment, and says how many went.
	PruneRetained(ctx context.Context, before time.Time, limit int) (int, error)

	Limit(ctx context.Context, t arn.Tenant, name ref.Limit) (int, error)
}

// Keep retains the message on its topic. One without payload deletes what is
// there (MQTT 5.0, 3.3.1.3).
func Keep(ctx context.Context, s Store, t arn.Tenant, p *mqtt.Publish, now time.Time) error {
	if len(p.Payload) == 0 {
		_, err := s.DropRetained(ctx, t, p.Topic)
		return err
	}
	m := &Message{Tenant: t, Publish: p, Modified: now}
	if seconds, ok := p.Properties.MessageExpiry.Get(); ok {
		m.Expires = now.Add(time.Duration(seconds) * time.Second)
	}
	added, err := s.PutRetained(ctx, m)
	if err != nil || !added {
		return err
	}
	most, err := s.Limit(ctx, t, ref.RetainedMessages)
	if err != nil {
		return err
	}
	n, err := s.CountRetained(ctx, t)
	if err == nil && n > most {
		return fault.New(fault.LimitExceeded, "The account retains messages on %d topics, which is the limit; publish an empty message with RETAIN on a topic that needs none any more.", most)
	}
	return err
}

// At gives what the topic retains at a moment, with the rest of its expiry;
// fault.Missing when that is nothing.
func At(ctx context.Context, s Store, t arn.Tenant, topic string, now time.Time) (*Message, error) {
	m, err := s.Retained(ctx, t, topic)
	if err != nil || m.Expires.IsZero() {
		return m, err
	}
	left := m.Expires.Sub(now)
	if left <= 0 {
		return nil, fault.New(fault.Missing, "Topic %q retains no message.", arn.Clip(topic, 120))
	}
	m.Publish.Properties.MessageExpiry = mqtt.Some(uint32(left / time.Second)) // it may reach 0
	return m, nil
}

// List gives a page of what is retained at a moment. A page may be short of its
// limit by those that expired.
func List(ctx context.Context, s Store, t arn.Tenant, p ref.Page, now time.Time) ([]Summary, string, error) {
	all, next, err := s.ListRetained(ctx, t, p)
	var live []Summary
	for _, m := range all {
		if m.Expires.IsZero() || m.Expires.After(now) {
			live = append(live, m)
		}
	}
	return live, next, err
}
