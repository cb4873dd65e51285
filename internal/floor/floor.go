// Package floor measures the cryptography that one device's claim flow cannot
// avoid on the server: two mutual TLS handshakes, the check of one CSR and one
// signature. `slipway bench` holds the whole product against it in the same
// run (DESIGN.md, section 8).
package floor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"
)

// A Floor is server CPU time, the median of several rounds.
type Floor struct {
	// Handshake is one mutual TLS 1.3 handshake as Go's library makes it, from the
	// first byte to the first of the application. It checks the chain of the
	// device's certificate, a chain of one.
	Handshake time.Duration
	Chain     time.Duration // that check alone; a server that looks certificates up does without
	CSR       time.Duration // parse and check one signing request
	Sign      time.Duration // make one certificate, with Go's self-check
}

// Device is the floor of one device's flow.
func (f Floor) Device() time.Duration { return 2*f.Handshake + f.CSR + f.Sign }

// identity is a key with its certificate.
type identity struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	tls  tls.Certificate
}

// Measure takes the floor with the given key exchange; none means Go's
// default. Each round makes that many operations of each kind.
//
// All cores are kept busy with the same work meanwhile, as they are in the run
// that is held against it: cores that share caches and execution units are
// slower together than alone, and CPU time counts that.
func Measure(curves []tls.CurveID, rounds, operations int) (Floor, error) {
	n := max(1, runtime.NumCPU()/2)
	floors := make([]Floor, n)
	errs := make([]error, n)
	var all sync.WaitGroup
	stop := keepBusy()
	defer stop()
	for i := range n {
		all.Go(func() { floors[i], errs[i] = measure(curves, rounds, operations) })
	}
	all.Wait()
	var sum Floor
	for _, f := range floors {
		sum.Handshake += f.Handshake / time.Duration(n)
		sum.Chain += f.Chain / time.Duration(n)
		sum.CSR += f.CSR / time.Duration(n)
		sum.Sign += f.Sign / time.Duration(n)
	}
	return sum, errors.Join(errs...)
}

func measure(curves []tls.CurveID, rounds, operations int) (Floor, error) {
	ca, err := issue(nil, "bench CA")
	if err != nil {
		return Floor{}, err
	}
	server, err := issue(ca, "localhost")
	if err != nil {
		return Floor{}, err
	}
	device, err := issue(ca, "device")
	if err != nil {
		return Floor{}, err
	}
	var shakes, chains, csrs, signs []time.Duration
	for range rounds {
		for _, part := range []struct {
			to      *[]time.Duration
			measure func() (time.Duration, error)
		}{
			{&shakes, func() (time.Duration, error) { return handshakes(server, device, ca, curves, operations) }},
			{&chains, func() (time.Duration, error) { return verifications(device, ca, operations) }},
			{&csrs, func() (time.Duration, error) { return requests(device, operations) }},
			{&signs, func() (time.Duration, error) { return signatures(ca, device, operations) }},
		} {
			took, err := part.measure()
			if err != nil {
				return Floor{}, err
			}
			*part.to = append(*part.to, took)
		}
	}
	return Floor{median(shakes), median(chains), median(csrs), median(signs)}, nil
}

// keepBusy signs on half of the cores until stop.
func keepBusy() (stop func()) {
	over := make(chan struct{})
	var all sync.WaitGroup
	for range max(1, runtime.NumCPU()/2) {
		all.Go(func() {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			for err == nil {
				select {
				case <-over:
					return
				default:
					_, err = ecdsa.SignASN1(rand.Reader, key, make([]byte, 32))
				}
			}
		})
	}
	return func() { close(over); all.Wait() }
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func issue(by *identity, name string) (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := template(name, by == nil)
	parent, signer := t, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &identity{key, cert, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: cert}}, err
}

func template(name string, ca bool) *x509.Certificate {
	t := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, IsCA: ca,
	}
	if ca {
		t.KeyUsage |= x509.KeyUsageCertSign
	}
	return t
}

// onThread runs f n times on a thread of its own and gives its CPU time for
// one run.
func onThread(n int, f func() error) (time.Duration, error) {
	return inParts(n, func() (time.Duration, error) {
		start := threadTime()
		err := f()
		return threadTime() - start, err
	})
}

// inParts runs f n times on a thread of its own and gives the mean of the CPU
// times that f took of itself.
func inParts(n int, f func() (time.Duration, error)) (time.Duration, error) {
	var took time.Duration
	errs := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its goroutine
		for range n {
			part, err := f()
			if err != nil {
				errs <- err
				return
			}
			took += part
		}
		errs <- nil
	}()
	err := <-errs
	return took / time.Duration(n), err
}

func verifications(device, ca *identity, n int) (time.Duration, error) {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return onThread(n, func() error {
		_, err := device.cert.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		return err
	})
}

func requests(device *identity, n int) (time.Duration, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "device"}}, device.key)
	if err != nil {
		return 0, err
	}
	return onThread(n, func() error {
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil {
			return err
		}
		return csr.CheckSignature()
	})
}

func signatures(ca, device *identity, n int) (time.Duration, error) {
	t := template("device", false)
	return onThread(n, func() error {
		_, err := x509.CreateCertificate(rand.Reader, t, ca.cert, &device.key.PublicKey, ca.key)
		return err
	})
}

// handshakes measures the server's thread from the first byte of a connection
// to the first one of the application.
func handshakes(server, device, ca *identity, curves []tls.CurveID, n int) (time.Duration, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	config := &tls.Config{Certificates: []tls.Certificate{server.tls}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
		SessionTicketsDisabled: true, MinVersion: tls.VersionTLS13, CurvePreferences: curves}
	dial := &tls.Config{ServerName: "localhost", RootCAs: pool, Certificates: []tls.Certificate{device.tls},
		MinVersion: tls.VersionTLS13, CurvePreferences: curves}
	failed := make(chan error, 1)
	go func() { failed <- dialMany(ln.Addr().String(), dial, n) }()
	took, err := inParts(n, func() (time.Duration, error) { return serveOne(ln, config) })
	if dialled := <-failed; err == nil {
		err = dialled
	}
	return took, err
}

func dialMany(address string, config *tls.Config, n int) error {
	runtime.LockOSThread()
	for range n {
		c, err := tls.Dial("tcp", address, config)
		if err != nil {
			return fmt.Errorf("floor: %w", err)
		}
		_, err = c.Write([]byte{1})
		if err == nil { // wait until the server has read it
			_, _ = c.Read(make([]byte, 1))
		}
		_ = c.Close()
	}
	return nil
}

func serveOne(ln net.Listener, config *tls.Config) (time.Duration, error) {
	c, err := ln.Accept()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	start := threadTime()
	_, err = tls.Server(c, config).Read(make([]byte, 1))
	return threadTime() - start, err
}
