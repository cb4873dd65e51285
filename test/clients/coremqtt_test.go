package clients

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// patience is how long the Embedded C demos wait for any answer: for CONNACK,
// SUBACK, UNSUBACK, and for what they asked for. A machine that is busy with
// other things may keep any answer longer: the limit holds in long runs, in
// others the slowest answer is logged.
func patience() time.Duration {
	if longRun() {
		return time.Second
	}
	return hang
}

// metrics is the user name that the Embedded C SDK sends, without a password.
const metrics = "?SDK=CSDK&Version=202211.00&Platform=Ubuntu&MQTTLib=core-mqtt@v2.1.1"

// A coreMQTT is a connection of the Embedded C SDK: MQTT 3.1.1 as bytes, one
// fixed buffer for what comes in, and no patience. It shares no code with the
// codec under test.
type coreMQTT struct {
	conn    *tls.Conn
	in      *bufio.Reader
	room    int // of the network buffer; a larger packet is read and forgotten
	dropped []int
	inbox   []*message // what came while something else was awaited
	lastID  uint16
	began   time.Time     // of the wait that runs
	slowest time.Duration // of all waits
}

// A message is an incoming PUBLISH.
type message struct {
	topic   string
	payload []byte
	qos     byte
	bytes   int // of the whole packet
}

// mbedTLS is what the demos' TLS can do: 1.2, P-256, and SHA-256.
func mbedTLS(s *site, identity tls.Certificate) *tls.Config {
	return &tls.Config{
		RootCAs: s.roots, ServerName: s.e.Host, Certificates: []tls.Certificate{identity},
		MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12,
		CurvePreferences: []tls.CurveID{tls.CurveP256},
		CipherSuites:     []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
		VerifyConnection: onlySHA256,
	}
}

// onlySHA256 refuses a chain that mbedTLS as the SDK configures it refuses.
func onlySHA256(state tls.ConnectionState) error {
	for _, chain := range state.VerifiedChains {
		for _, c := range append(chain, state.PeerCertificates...) {
			if c.SignatureAlgorithm != x509.ECDSAWithSHA256 && c.SignatureAlgorithm != x509.SHA256WithRSA {
				return fmt.Errorf("%s is signed with %s", c.Subject, c.SignatureAlgorithm)
			}
			if err := fitsMbedTLS(c.PublicKey); err != nil {
				return fmt.Errorf("%s: %w", c.Subject, err)
			}
		}
	}
	if len(state.VerifiedChains) == 0 {
		return errors.New("the server's certificate was not verified")
	}
	return nil
}

// dialCore opens TLS; coreMQTT has not said anything yet.
func dialCore(t *testing.T, s *site, config *tls.Config, room int) *coreMQTT {
	t.Helper()
	conn := must(tls.Dial("tcp", s.e.MQTT, config))(t)
	t.Cleanup(func() { conn.Close() })
	if state := conn.ConnectionState(); state.Version != tls.VersionTLS12 || state.CurveID != tls.CurveP256 {
		t.Fatalf("version 0x%x, curve %s", state.Version, state.CurveID)
	}
	return &coreMQTT{conn: conn, in: bufio.NewReader(conn), room: room}
}

// connect asks for a session that outlives the connection, with a keep-alive of
// 60 s and a user name, and gives the code of CONNACK.
func (c *coreMQTT) connect(clientID string) (byte, error) {
	body := append(text(nil, "MQTT"), 4, 0x80, 0, 60)
	body = text(text(body, clientID), metrics)
	if err := c.send(0x10, body); err != nil {
		return 0, err
	}
	ack, err := c.await(0x20)
	if err != nil {
		return 0, fmt.Errorf("CONNACK: %w", err)
	}
	if len(ack) != 2 || ack[0] != 0 {
		return 0, fmt.Errorf("CONNACK is % x", ack)
	}
	return ack[1], nil
}

// subscribe sends one filter in a SUBSCRIBE.
func (c *coreMQTT) subscribe(filter string, qos byte) error {
	id := c.id()
	if err := c.send(0x82, append(text(id, filter), qos)); err != nil {
		return err
	}
	ack, err := c.await(0x90)
	if err == nil && !bytes.Equal(ack, append(id, qos)) {
		err = fmt.Errorf("% x", ack)
	}
	if err != nil {
		return fmt.Errorf("SUBACK for %s: %w", filter, err)
	}
	return nil
}

func (c *coreMQTT) unsubscribe(filter string) error {
	id := c.id()
	if err := c.send(0xA2, text(id, filter)); err != nil {
		return err
	}
	ack, err := c.await(0xB0)
	if err == nil && !bytes.Equal(ack, id) {
		err = fmt.Errorf("% x", ack)
	}
	if err != nil {
		return fmt.Errorf("UNSUBACK for %s: %w", filter, err)
	}
	return nil
}

// publish sends at QoS 1 and waits for PUBACK.
func (c *coreMQTT) publish(topic string, payload []byte) error {
	id := c.id()
	if err := c.send(0x32, append(append(text(nil, topic), id...), payload...)); err != nil {
		return err
	}
	ack, err := c.await(0x40)
	if err == nil && !bytes.Equal(ack, id) {
		err = fmt.Errorf("% x", ack)
	}
	if err != nil {
		return fmt.Errorf("PUBACK on %s: %w", topic, err)
	}
	return nil
}

// receive gives the next message. The wait began with the last packet that was
// sent, so that PUBACK and what was asked for share one second.
func (c *coreMQTT) receive() (*message, error) {
	for len(c.inbox) == 0 {
		kind, _, err := c.next()
		if err != nil {
			return nil, fmt.Errorf("no message: %w", err)
		}
		if kind>>4 != 3 {
			return nil, fmt.Errorf("packet 0x%02x came in place of a message", kind)
		}
	}
	m := c.inbox[0]
	c.inbox = c.inbox[1:]
	return m, nil
}

// take keeps a message and acknowledges it.
func (c *coreMQTT) take(kind byte, body []byte, size int) error {
	m, id, err := parsePublish(kind, body)
	if err != nil {
		return err
	}
	m.bytes = size
	c.inbox = append(c.inbox, m)
	if m.qos == 1 {
		_, err = c.conn.Write(append([]byte{0x40, 2}, id...))
	}
	return err
}

// parsePublish gives a message, and its packet id if it is to be acknowledged.
func parsePublish(kind byte, body []byte) (m *message, id []byte, err error) {
	m = &message{qos: kind >> 1 & 3}
	if kind&0x09 != 0 || m.qos > 1 { // no duplicate, not retained
		return nil, nil, fmt.Errorf("PUBLISH has flags 0x%x", kind&0x0F)
	}
	if len(body) < 2 || len(body) < 2+int(binary.BigEndian.Uint16(body))+2*int(m.qos) {
		return nil, nil, fmt.Errorf("PUBLISH is cut off: % x", body)
	}
	n := 2 + int(binary.BigEndian.Uint16(body))
	m.topic, m.payload = string(body[2:n]), body[n:]
	if m.qos == 1 {
		id, m.payload = m.payload[:2], m.payload[2:]
	}
	return m, id, nil
}

func (c *coreMQTT) disconnect() {
	_ = c.send(0xE0, nil)
	_ = c.conn.Close()
}

func (c *coreMQTT) id() []byte {
	c.lastID++
	return binary.BigEndian.AppendUint16(nil, c.lastID)
}

// send writes one packet, and begins a wait.
func (c *coreMQTT) send(kind byte, body []byte) error {
	p := []byte{kind}
	for n := len(body); ; {
		digit := byte(n % 128)
		if n /= 128; n > 0 {
			digit |= 0x80
		}
		if p = append(p, digit); n == 0 {
			break
		}
	}
	c.began = time.Now()
	_, err := c.conn.Write(append(p, body...))
	return err
}

// await gives the body of the next packet that is no message. It has to be of
// this kind.
func (c *coreMQTT) await(kind byte) ([]byte, error) {
	for {
		got, body, err := c.next()
		switch {
		case err != nil:
			return nil, err
		case got == kind:
			return body, nil
		case got>>4 != 3:
			return nil, fmt.Errorf("packet 0x%02x came in place of 0x%02x", got, kind)
		}
	}
}

// next reads a packet that fits the buffer, within its time since the wait
// began, and takes it if it is a message.
func (c *coreMQTT) next() (kind byte, body []byte, err error) {
	_ = c.conn.SetReadDeadline(c.began.Add(patience()))
	for {
		kind, body, size, err := c.read()
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			err = fmt.Errorf("nothing within %v (packets too large for the buffer of %d bytes: %v)", patience(), c.room, c.dropped)
		}
		if err != nil {
			return 0, nil, err
		}
		if size > c.room {
			c.dropped = append(c.dropped, size)
			continue
		}
		c.slowest = max(c.slowest, time.Since(c.began))
		if kind>>4 == 3 {
			err = c.take(kind, body, size)
		}
		return kind, body, err
	}
}

func (c *coreMQTT) read() (kind byte, body []byte, size int, err error) {
	if kind, err = c.in.ReadByte(); err != nil {
		return 0, nil, 0, err
	}
	length, header := 0, 1
	for shift := 0; ; shift += 7 {
		b, err := c.in.ReadByte()
		if err != nil {
			return 0, nil, 0, err
		}
		header++
		length |= int(b&0x7F) << shift
		if b < 0x80 {
			break
		}
	}
	body = make([]byte, length)
	_, err = io.ReadFull(c.in, body)
	return kind, body, header + length, err
}

// text appends a string as MQTT has it.
func text(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst[:len(dst):len(dst)], uint16(len(s))), s...)
}
