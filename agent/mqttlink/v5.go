package mqttlink

import (
	"context"
	"errors"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/slipway-iot/slipway/mqtt"
)

// A link5 speaks MQTT 5. Every refusal has a reason code, and a server that
// wants to help adds a reason string.
type link5 struct {
	session
	client *paho.Client
}

const (
	receiveMaximum = inbox   // MQTT 5.0, section 3.1.2.11.3
	packetMaximum  = 1 << 18 // answers have a few KB; AWS's limit is 128 KB
)

func connect5(ctx context.Context, conn *witness, o Options) (Link, error) {
	l := &link5{session: newSession(conn, V5)}
	l.client = paho.NewClient(paho.ClientConfig{
		Conn:               packets.NewThreadSafeConn(conn),
		PacketTimeout:      24 * time.Hour, // the caller's context decides
		OnPublishReceived:  []func(paho.PublishReceived) (bool, error){l.received},
		OnServerDisconnect: l.disconnected,
		OnClientError:      l.lost,
	})
	ack, err := l.client.Connect(ctx, &paho.Connect{
		ClientID:   o.ClientID,
		KeepAlive:  uint16(keepAlive / time.Second),
		CleanStart: true,
		Properties: &paho.ConnectProperties{
			ReceiveMaximum:     ptr(uint16(receiveMaximum)),
			MaximumPacketSize:  ptr(uint32(packetMaximum)),
			RequestProblemInfo: true, // reason strings
		},
	})
	if err == nil {
		return l, nil
	}
	if ack != nil && mqtt.ReasonCode(ack.ReasonCode).Failed() {
		reason := ""
		if ack.Properties != nil {
			reason = ack.Properties.ReasonString
		}
		return nil, l.refused("CONNECT", ack.ReasonCode, reason)
	}
	if seen := conn.ended(); seen != nil {
		err = seen
	}
	return nil, fromTLS(ctx, "CONNECT", V5, err)
}

func ptr[T any](v T) *T { return &v }

func (l *link5) received(p paho.PublishReceived) (bool, error) {
	l.deliver(p.Packet.Topic, p.Packet.Payload)
	return true, nil
}

func (l *link5) disconnected(d *paho.Disconnect) {
	reason := ""
	if d.Properties != nil {
		reason = d.Properties.ReasonString
	}
	l.end(l.refused("the session", d.ReasonCode, reason))
}

func (l *link5) refused(op string, code byte, reason string) *Error {
	return &Error{Cause: Refused, Op: op, Version: V5, Code: mqtt.ReasonCode(code), Reason: reason}
}

func (l *link5) Subscribe(ctx context.Context, topics ...string) error {
	request := &paho.Subscribe{}
	for _, topic := range topics {
		request.Subscriptions = append(request.Subscriptions, paho.SubscribeOptions{Topic: topic, QoS: 1})
	}
	during, cancel := l.during(ctx)
	defer cancel()
	ack, err := l.client.Subscribe(during, request)
	if ack != nil {
		reason := ""
		if ack.Properties != nil {
			reason = ack.Properties.ReasonString
		}
		for i, code := range ack.Reasons {
			if mqtt.ReasonCode(code).Failed() && i < len(topics) {
				return l.refused("SUBSCRIBE to "+topics[i], code, reason)
			}
		}
	}
	if err != nil {
		return l.because(ctx, "SUBSCRIBE", errors.Is(err, paho.ErrConnectionLost), err)
	}
	return nil
}

func (l *link5) Publish(ctx context.Context, topic string, payload []byte) error {
	during, cancel := l.during(ctx)
	defer cancel()
	ack, err := l.client.Publish(during, &paho.Publish{Topic: topic, QoS: 1, Payload: payload})
	if err == nil {
		return nil
	}
	if ack != nil {
		reason := ""
		if ack.Properties != nil {
			reason = ack.Properties.ReasonString
		}
		return l.refused("PUBLISH to "+topic, ack.ReasonCode, reason)
	}
	// What is left is a lost connection, or the caller's patience.
	return l.because(ctx, "PUBLISH to "+topic, ctx.Err() == nil, err)
}

func (l *link5) Close() {
	_ = l.client.Disconnect(&paho.Disconnect{})
	l.end(&Error{Cause: Closed, Op: "the session", Version: V5, Err: context.Canceled})
}
