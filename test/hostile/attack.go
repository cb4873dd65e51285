package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-iot/slipway/mqtt"
)

// An attacker does one kind of harm, from one address.
type attacker struct {
	*place
	name  string
	count int
	cert  tls.Certificate // one that nobody knows
	did   atomic.Int64
}

// attack runs until its standard input ends, and says how often it did what it
// does.
func attack(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("attack", flag.ExitOnError)
	work := f.String("work", "", "folder of the run")
	address := f.String("address", "", "of the server")
	kind := f.String("kind", "", "of attack")
	name := f.String("name", "", "of the attacker")
	count := f.Int("count", 1, "connections")
	_ = f.Parse(args)
	p, err := findPlace(*work, *address)
	if err != nil {
		return err
	}
	a := &attacker{place: p, name: *name, count: *count}
	if a.cert, err = selfSigned(); err != nil {
		return err
	}
	harm, known := map[string]func(context.Context, int){
		"half-open": a.halfOpen, "slow": a.slowConnect, "wrong": a.wrongCertificate, "publish": a.publish, "deaf": a.deaf,
	}[*kind]
	if !known {
		return fmt.Errorf("%q is no kind of attack", *kind)
	}
	ctx, stop := context.WithCancel(ctx)
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); stop() }()
	var all sync.WaitGroup
	for i := range *count {
		all.Go(func() {
			for ctx.Err() == nil {
				harm(ctx, i)
			}
		})
	}
	<-ctx.Done()
	fmt.Println(a.did.Load())
	return nil // whatever is open goes with the process
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "nobody"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// again is how long an attacker waits before it takes the place of a
// connection that was ended.
const again = 50 * time.Millisecond

// hold keeps a connection until the server ends it.
func hold(ctx context.Context, c net.Conn) {
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	_, _ = io.Copy(io.Discard, c)
	_ = c.Close()
	time.Sleep(again)
}

// halfOpen sends the beginning of a TLS ClientHello, and nothing more.
func (a *attacker) halfOpen(ctx context.Context, _ int) {
	c, err := net.DialTimeout("tcp", a.address, 10*time.Second)
	if err != nil {
		time.Sleep(again)
		return
	}
	a.did.Add(1)
	_, _ = c.Write([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 1, 2, 3})
	hold(ctx, c)
}

func (a *attacker) dial(cert tls.Certificate) (*tls.Conn, error) {
	return tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", a.address, &tls.Config{
		ServerName: "localhost", RootCAs: a.roots, Certificates: []tls.Certificate{cert}, CurvePreferences: []tls.CurveID{tls.X25519},
	})
}

// connectPacket is a CONNECT of the client.
func connectPacket(id string) []byte {
	b, err := mqtt.Append(nil, &mqtt.Connect{Version: mqtt.V311, ClientID: id, CleanStart: true, KeepAlive: 600}, mqtt.V311)
	if err != nil {
		panic(err) // it is always the same packet
	}
	return b
}

// slowConnect sends CONNECT a byte a second.
func (a *attacker) slowConnect(ctx context.Context, i int) {
	c, err := a.dial(a.cert)
	if err != nil {
		time.Sleep(again)
		return
	}
	a.did.Add(1)
	go hold(ctx, c.NetConn())
	for _, b := range connectPacket(fmt.Sprintf("%s-%d-slow-and-steady", a.name, i)) {
		if _, err := c.Write([]byte{b}); err != nil {
			break
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
	_ = c.Close()
	time.Sleep(again)
}

// wrongCertificate connects with a certificate that nobody knows, as often as
// it can.
func (a *attacker) wrongCertificate(_ context.Context, i int) {
	c, err := a.dial(a.cert)
	if err != nil {
		return
	}
	a.did.Add(1)
	_, _ = c.Write(connectPacket(fmt.Sprintf("%s-%d", a.name, i)))
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.Copy(io.Discard, c)
	_ = c.Close()
}

// enrol makes a device of its own, and connects as it.
func (a *attacker) enrol(ctx context.Context, serial string) (*tls.Conn, error) {
	d := a.device(serial)
	_, conn, err := d.Provision(ctx)
	if err != nil {
		return nil, err
	}
	conn.Close()
	return a.admitted(d.Progress.Cert, d.Progress.Thing)
}

func (a *attacker) admitted(cert tls.Certificate, id string) (*tls.Conn, error) {
	c, err := a.dial(cert)
	if err != nil {
		return nil, err
	}
	if _, err = c.Write(connectPacket(id)); err == nil {
		_, err = io.ReadFull(c, make([]byte, 4)) // CONNACK
	}
	return c, err
}

// publish is a registered device that publishes as fast as it can.
func (a *attacker) publish(ctx context.Context, i int) {
	c, err := a.enrol(ctx, fmt.Sprintf("%s-publish-%d-%d", a.name, i, time.Now().UnixNano()))
	if err != nil {
		time.Sleep(again)
		return
	}
	defer c.Close()
	var batch []byte
	const several = 64
	for range several {
		if batch, err = mqtt.Append(batch, &mqtt.Publish{Topic: "flood/x", Payload: make([]byte, 128)}, mqtt.V311); err != nil {
			return
		}
	}
	for ctx.Err() == nil {
		if _, err := c.Write(batch); err != nil {
			return
		}
		a.did.Add(several)
	}
}

// deaf is a registered device that subscribes to all of that and never reads.
func (a *attacker) deaf(ctx context.Context, i int) {
	c, err := a.enrol(ctx, fmt.Sprintf("%s-deaf-%d-%d", a.name, i, time.Now().UnixNano()))
	if err != nil {
		time.Sleep(again)
		return
	}
	defer c.Close()
	b, err := mqtt.Append(nil, &mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "flood/#"}}}, mqtt.V311)
	if err != nil {
		return
	}
	if _, err := c.Write(b); err != nil {
		return
	}
	a.did.Add(1)
	// It says something now and then, and notices so that it was cut.
	ping, _ := mqtt.Append(nil, &mqtt.Pingreq{}, mqtt.V311)
	for ctx.Err() == nil {
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
		if _, err := c.Write(ping); err != nil {
			return
		}
	}
}
