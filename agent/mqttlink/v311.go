package mqttlink

import (
	"context"
	"net"
	"net/url"
	"time"

	paho3 "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/slipway-iot/slipway/mqtt"
)

// A link311 speaks MQTT 3.1.1. A server refuses a publish by closing the
// connection, and a CONNECT by one of five codes or by closing too.
type link311 struct {
	session
	client paho3.Client
}

func connect311(ctx context.Context, conn *witness, o Options) (Link, error) {
	l := &link311{session: newSession(conn, V311)}
	options := paho3.NewClientOptions().
		AddBroker("tcp://" + net.JoinHostPort(o.Host, o.Port)). // a name only: conn is open already
		SetCustomOpenConnectionFn(func(*url.URL, paho3.ClientOptions) (net.Conn, error) { return conn, nil }).
		SetClientID(o.ClientID).
		SetProtocolVersion(4).
		SetCleanSession(true).
		SetKeepAlive(keepAlive).
		SetConnectTimeout(24 * time.Hour). // the caller's context decides
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetDefaultPublishHandler(l.received).
		SetConnectionLostHandler(func(_ paho3.Client, err error) { l.lost(err) })
	l.client = paho3.NewClient(options)
	token := l.client.Connect()
	if err := l.wait(ctx, token); err != nil {
		_ = conn.Close() // ends the library's goroutine too
		return nil, l.connectFailed(ctx, token.(*paho3.ConnectToken), err)
	}
	return l, nil
}

// connectFailed translates the return codes of MQTT 3.1.1, section 3.2.2.3, to
// the reason codes that stand for the same in MQTT 5.
func (l *link311) connectFailed(ctx context.Context, token *paho3.ConnectToken, err error) error {
	codes := map[byte]mqtt.ReasonCode{
		packets.ErrRefusedBadProtocolVersion:    mqtt.UnsupportedProtocolVersion,
		packets.ErrRefusedIDRejected:            mqtt.ClientIDNotValid,
		packets.ErrRefusedServerUnavailable:     mqtt.ServerUnavailable,
		packets.ErrRefusedBadUsernameOrPassword: mqtt.BadUserNameOrPassword,
		packets.ErrRefusedNotAuthorised:         mqtt.NotAuthorized,
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

func (l *link311) refused(op string, code mqtt.ReasonCode) *Error {
	return &Error{Cause: Refused, Op: op, Version: V311, Code: code}
}

// wait waits for what a token promises, or for the caller's patience to end.
func (l *link311) wait(ctx context.Context, token paho3.Token) error {
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *link311) received(_ paho3.Client, m paho3.Message) { l.deliver(m.Topic(), m.Payload()) }

func (l *link311) Subscribe(ctx context.Context, topics ...string) error {
	filters := map[string]byte{}
	for _, topic := range topics {
		filters[topic] = 1
	}
	token := l.client.SubscribeMultiple(filters, l.received)
	if err := l.wait(ctx, token); err != nil {
		return l.because(ctx, "SUBSCRIBE", ctx.Err() == nil, err)
	}
	for topic, code := range token.(*paho3.SubscribeToken).Result() {
		if code >= byte(mqtt.SubscribeFailure) {
			return l.refused("SUBSCRIBE to "+topic, mqtt.NotAuthorized)
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
	l.end(&Error{Cause: Closed, Op: "the session", Version: V311, Err: context.Canceled})
}
