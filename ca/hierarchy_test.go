package ca

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestTheHierarchiesAreShapedForTheirUse(t *testing.T) {
	c := openCA(t, t.TempDir())
	for name, tt := range map[string]struct {
		cert    *x509.Certificate
		pathLen int
		use     x509.ExtKeyUsage
		end     time.Time
	}{
		"server root": {c.ServerRoot(), 0, x509.ExtKeyUsageServerAuth, endOfDevices},
		"device root": {c.DeviceRoot(), 1, x509.ExtKeyUsageClientAuth, endOfIssuers},
		"issuing CA":  {c.IssuingCA(), 0, x509.ExtKeyUsageClientAuth, endOfIssuers},
	} {
		cert := tt.cert
		if !cert.IsCA || cert.MaxPathLen != tt.pathLen || !cert.NotAfter.Equal(tt.end) || cert.NotBefore.After(today) {
			t.Errorf("%s: CA %v, path length %d, from %v to %v", name, cert.IsCA, cert.MaxPathLen, cert.NotBefore, cert.NotAfter)
		}
		if len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != tt.use || cert.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
			t.Errorf("%s: usages %v, %v", name, cert.KeyUsage, cert.ExtKeyUsage)
		}
		if cert.SignatureAlgorithm != x509.ECDSAWithSHA256 {
			t.Errorf("%s: signed with %v; small clients know SHA-256 only", name, cert.SignatureAlgorithm)
		}
	}
	if !c.ExpiresAt().Equal(endOfDevices) {
		t.Errorf("ExpiresAt is %v", c.ExpiresAt())
	}
	if other := openCA(t, t.TempDir()); other.ServerRoot().Subject.String() == c.ServerRoot().Subject.String() {
		t.Error("two installations have roots of the same name")
	}
}

func TestADeviceLeafVerifiesAsAClientOnly(t *testing.T) {
	c := openCA(t, t.TempDir())
	leaf := issue(t, c, csrFile(t, "p256.pem")).Cert
	for name, tt := range map[string]struct {
		root *x509.Certificate
		use  x509.ExtKeyUsage
		ok   bool
	}{
		"a client under the device root":  {c.DeviceRoot(), x509.ExtKeyUsageClientAuth, true},
		"a server under the device root":  {c.DeviceRoot(), x509.ExtKeyUsageServerAuth, false},
		"a client under the server root":  {c.ServerRoot(), x509.ExtKeyUsageClientAuth, false},
		"a server under the server root":  {c.ServerRoot(), x509.ExtKeyUsageServerAuth, false},
		"anything under the server root":  {c.ServerRoot(), x509.ExtKeyUsageAny, false},
		"a server, the issuing CA pinned": {c.IssuingCA(), x509.ExtKeyUsageServerAuth, false},
	} {
		if err := verify(c, leaf, tt.root, tt.use); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := verify(c, c.IssuingCA(), c.ServerRoot(), x509.ExtKeyUsageAny); err == nil {
		t.Error("the issuing CA verifies under the server root")
	}
}

func verify(c *CA, cert, root *x509.Certificate, use x509.ExtKeyUsage) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	between.AddCert(c.IssuingCA())
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: today, KeyUsages: []x509.ExtKeyUsage{use}})
	return err
}

// forgedServer is the worst that a fault in our own checks could sign: a
// server certificate for localhost, made with the issuing CA's own key.
func forgedServer(t *testing.T, c *CA) tls.Certificate {
	t.Helper()
	key := newKey(t)
	der, err := x509.CreateCertificate(nil, &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: today.Add(-time.Hour), NotAfter: today.Add(time.Hour),
		DNSNames: []string{"localhost"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageAny},
	}, c.IssuingCA(), key.Public(), c.issuing.signer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, c.IssuingCA().Raw, c.DeviceRoot().Raw}, PrivateKey: key}
}

func TestNothingOfTheDeviceHierarchyPassesForTheServer(t *testing.T) {
	c := openCA(t, t.TempDir())
	forged := forgedServer(t, c)
	for name, root := range map[string]*x509.Certificate{"server root": c.ServerRoot(), "device root": c.DeviceRoot()} {
		err := handshake(t, forged, root)
		var unknown x509.UnknownAuthorityError
		var invalid x509.CertificateInvalidError
		switch {
		case errors.As(err, &unknown) && root == c.ServerRoot():
		case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage && root == c.DeviceRoot():
		default:
			t.Errorf("a client that trusts the %s got %v", name, err)
		}
	}
}

func TestAPinnedRootAcceptsTheServer(t *testing.T) {
	c := openCA(t, t.TempDir())
	cert, err := c.ServerCertificate([]string{"localhost"})
	if err != nil {
		t.Fatal(err)
	}
	if len(cert.Certificate) != 1 {
		t.Errorf("the server sends %d certificates, want the leaf alone", len(cert.Certificate))
	}
	if err := handshake(t, *cert, c.ServerRoot()); err != nil {
		t.Error(err)
	}
}

// handshake gives the error of a TLS client that trusts root and looks for
// localhost.
func handshake(t *testing.T, server tls.Certificate, root *x509.Certificate) error {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer far.Close()
		_ = tls.Server(far, &tls.Config{Certificates: []tls.Certificate{server}}).Handshake()
	}()
	defer func() { near.Close(); <-done }()
	roots := x509.NewCertPool()
	roots.AddCert(root)
	return tls.Client(near, &tls.Config{RootCAs: roots, ServerName: "localhost", Time: func() time.Time { return today }}).Handshake()
}

// OpenSSL is the foreign judge: it must accept what Go accepts, strictly, and
// refuse what must not pass.
func TestOpenSSLAgrees(t *testing.T) {
	c, dir := openCA(t, t.TempDir()), t.TempDir()
	file := func(name string, pem []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	server, err := c.ServerCertificate([]string{"localhost", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	var (
		pinned  = file("root-ca.pem", c.ServerRootPEM())
		devices = file("device-root.pem", encodeCert(c.DeviceRoot().Raw))
		chain   = file("chain.pem", c.DeviceChainPEM())
		p256    = file("p256.pem", issue(t, c, csrFile(t, "p256.pem")).PEM)
		rsa     = file("rsa.pem", issue(t, c, csrFile(t, "rsa-2048.pem")).PEM)
		dotted  = file("dotted.pem", issue(t, c, makeCSR(t, "sensor-1.plant.example.com")).PEM)
		forged  = file("forged.pem", encodeCert(forgedServer(t, c).Certificate[0]))
		ours    = file("server.pem", encodeCert(server.Leaf.Raw))
	)
	for _, tt := range []struct {
		name string
		args string
		want string // part of the output
	}{
		{"a P-256 device is a client", "-x509_strict -purpose sslclient -CAfile " + devices + " -untrusted " + chain + " " + p256, "OK"},
		{"an RSA device is a client", "-x509_strict -purpose sslclient -CAfile " + devices + " -untrusted " + chain + " " + rsa, "OK"},
		{"a device with a dotted name is a client", "-x509_strict -purpose sslclient -CAfile " + devices + " -untrusted " + chain + " " + dotted, "OK"},
		{"a device is no server", "-purpose sslserver -CAfile " + devices + " -untrusted " + chain + " " + p256, "unsuitable certificate purpose"},
		{"a forged server is no server", "-purpose sslserver -CAfile " + devices + " -untrusted " + chain + " " + forged, "unsuitable certificate purpose"},
		{"a device does not chain to the pinned root", "-CAfile " + pinned + " -untrusted " + chain + " " + p256, "self-signed certificate in certificate chain"},
		{"the server is the server by name", "-x509_strict -purpose sslserver -verify_hostname localhost -CAfile " + pinned + " " + ours, "OK"},
		{"the server is the server by address", "-x509_strict -purpose sslserver -verify_ip 127.0.0.1 -CAfile " + pinned + " " + ours, "OK"},
		{"the server is nobody else", "-purpose sslserver -verify_hostname other -CAfile " + pinned + " " + ours, "hostname mismatch"},
		{"the server is no client", "-purpose sslclient -CAfile " + pinned + " " + ours, "unsuitable certificate purpose"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"verify", "-no-CApath", "-no-CAstore", "-attime", strconv.FormatInt(today.Unix(), 10)}, strings.Fields(tt.args)...)
			out, err := exec.Command("openssl", args...).CombinedOutput()
			var failed *exec.ExitError
			if err != nil && !errors.As(err, &failed) {
				t.Fatalf("this test needs the openssl command: %v", err)
			}
			if (err == nil) != (tt.want == "OK") || !strings.Contains(string(out), tt.want) {
				t.Errorf("openssl says %s, want %s", out, tt.want)
			}
		})
	}
}

func TestServerNamesAreExact(t *testing.T) {
	c := openCA(t, t.TempDir())
	long := strings.Repeat("a.", 100) + "example"
	cert, err := c.ServerCertificate([]string{long, "IoT.Example.com", "slipway_server", "127.0.0.1", "::ffff:192.0.2.1", "2001:db8::1"})
	if err != nil {
		t.Fatal(err)
	}
	leaf := cert.Leaf
	if got := strings.Join(leaf.DNSNames, " "); got != long+" iot.example.com slipway_server" {
		t.Errorf("DNS names %s", got)
	}
	for _, ip := range []string{"127.0.0.1", "192.0.2.1", "2001:db8::1"} {
		if err := leaf.VerifyHostname(ip); err != nil {
			t.Error(err)
		}
	}
	if leaf.Subject.CommonName != "Slipway" {
		t.Errorf("a name of %d bytes became a common name", len(long))
	}
	if end := today.Add(397 * 24 * time.Hour); !leaf.NotAfter.Equal(end) {
		t.Errorf("ends at %v, want %v", leaf.NotAfter, end)
	}
	for _, bad := range []string{"", "*.example.com", "*", "a..b", ".a", "a.", "-a", "a-", "a b", "münchen", "a/b", "fe80::1%eth0", "127.0.0.1:8883", strings.Repeat("a", 64)} {
		if cert, err := c.ServerCertificate([]string{"localhost", bad}); err == nil || cert != nil {
			t.Errorf("a certificate was made for %q", bad)
		}
	}
	if _, err := c.ServerCertificate(nil); err == nil {
		t.Error("a certificate was made for nobody")
	}
}

func TestAServerCertificateNeverOutlivesTheRoot(t *testing.T) {
	c := openCA(t, t.TempDir())
	c.now = func() time.Time { return endOfDevices.Add(-time.Hour) }
	cert, err := c.ServerCertificate([]string{"localhost"})
	if err != nil || !cert.Leaf.NotAfter.Equal(endOfDevices) {
		t.Errorf("got %v, %v", cert, err)
	}
}
