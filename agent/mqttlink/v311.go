package mqttlink

import (
	"context"
	"net"
	"net/url"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// A link311 speaks MQTT 3.1.1. A server refuses a publish by closing the
// connection, and a CONNECT by one of five codes or by closing too.
type link311 struct {
	session
	client mqtt.Client
}

func connect311(ctx context.Context, conn *witness, o Options) (Link, error) {
	l := &link311{session: newSession(conn, V311)}
	options := mqtt.NewClientOptions().
		AddBroker("tcp://" + net.JoinHostPort(o.Host, o.Port)). // a name only: conn is open already
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return conn, nil }).
		SetClientID(o.ClientID).
		SetProtocolVersion(4).
		SetCleanSession(true).
		SetKeepAlive(keepAlive).
		SetConnectTimeout(24 * time.Hour). // the caller's context decides
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetDefaultPublishHandler(l.received).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { l.lost(err) })
	l.client = mqtt.NewClient(options)
	token := l.client.Connect()
	if err := l.wait(ctx, token); err != nil {
		_ = conn.Close() // ends the library's goroutine too
		return nil, l.connectFailed(ctx, token.(*mqtt.ConnectToken), err)
	}
	return l, nil
}

// connectFailed translates the return codes of MQTT 3.1.1, section 3.2.2.3, to
// the reason codes that stand for the same in MQTT 5.
func (l *link311) connectFailed(ctx context.Context, token *mqtt.ConnectToken, err error) error {
	codes := map[byte]byte{
		packets.ErrRefusedBadProtocolVersion:    CodeProtocol,
		packets.ErrRefusedIDRejected:            CodeClientID,
		packets.ErrRefusedServerUnavailable:     CodeUnavailable,
		packets.ErrRefusedBadUsernameOrPassword: CodeBadUser,
		packets.ErrRefusedNotAuthorised:         CodeNotAuthorized,
	}
	if ctx.Err() == nil {
		if code, ok := codes[token.ReturnCode()]; ok {
			return l.refused("CONNECT", code)
		}
	}
	if seen := l.conn.ended(); seen != nil && ctx.Err() == nil {
		err = seen
	}
	return fromTLS(ctx, "CONNECT", V311, err)
}

func (l *link311) refused(op string, code byte) *Error {
	return &Error{Cause: Refused, Op: op, Version: V311, Code: code}
}

// wait waits for what a token promises, or for the caller's patience to end.
func (l *link311) wait(ctx context.Context, token mqtt.Token) error {
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *link311) received(_ mqtt.Client, m mqtt.Message) { l.deliver(m.Topic(), m.Payload()) }

func (l *link311) Subscribe(ctx context.Context, topics ...string) error {
	filters := map[string]byte{}
	for _, topic := range topics {
		filters[topic] = 1
	}
	token := l.client.SubscribeMultiple(filters, l.received)
	if err := l.wait(ctx, token); err != nil {
		return l.because(ctx, "SUBSCRIBE", ctx.Err() == nil, err)
	}
	for topic, code := range token.(*mqtt.SubscribeToken).Result() {
		if code >= CodeUnspecified {
			return l.refused("SUBSCRIBE to "+topic, CodeNotAuthorized)
		}
	}
	return nil
}

func (l *link311) Publish(ctx context.Context, topic string, payload []byte) error {
	token := l.client.Publish(topic, 1, false, payload)
	if err := l.wait(ctx, token); err != nil {
		return l.because(ctx, "PUBLISH to "+topic, ctx.Err() == nil, err)
	}
	return nil
}

// grace is how long the library may take to send DISCONNECT, in milliseconds.
const grace = 250

func (l *link311) Close() {
	l.client.Disconnect(grace)
	_ = l.conn.Close()
	l.finish(&Error{Cause: Closed, Op: "the session", Version: V311, Err: context.Canceled})
}
