package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/fault"
)

const (
	serverValidity = 397 * 24 * time.Hour
	backdateServer = time.Hour // devices' clocks are behind more often than ahead
)

// ServerCertificate makes a key and certificate for a host that goes by these
// exact DNS names and IP addresses. It is signed by the root that devices pin,
// so it is sent alone.
//
// The certificate ends after 397 days; the caller asks for a new one in time.
func (c *CA) ServerCertificate(names []string) (*tls.Certificate, error) {
	t := &x509.Certificate{
		NotBefore:             c.now().Add(-backdateServer).UTC().Truncate(time.Second),
		NotAfter:              c.now().Add(serverValidity).UTC().Truncate(time.Second),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{purpose(serverFolder)},
		SignatureAlgorithm:    signatureAlgorithm,
	}
	if err := addHosts(t, names); err != nil {
		return nil, err
	}
	if end := c.serverRoot.cert.NotAfter; t.NotAfter.After(end) {
		t.NotAfter = end
	}
	cert, err := c.signServer(t)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "The server certificate cannot be made.")
	}
	return cert, nil
}

func (c *CA) signServer(t *x509.Certificate) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), c.rand)
	if err != nil {
		return nil, err
	}
	if _, t.SubjectKeyId, err = describeKey(key.Public()); err != nil {
		return nil, err
	}
	if t.SerialNumber, err = newSerial(c.rand); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(c.rand, t, c.serverRoot.cert, key.Public(), c.serverRoot.signer)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// addHosts puts names into the template. The first one that fits is the common
// name too, for people and for old clients.
func addHosts(t *x509.Certificate, names []string) error {
	if len(names) == 0 {
		return fault.New(fault.InvalidRequest, "A server certificate needs at least one host name.")
	}
	t.Subject = pkix.Name{CommonName: "Slipway"}
	if len(names[0]) <= 64 { // RFC 5280, appendix A, ub-common-name
		t.Subject.CommonName = names[0]
	}
	for _, name := range names {
		if ip, err := netip.ParseAddr(name); err == nil && ip.Zone() == "" {
			t.IPAddresses = append(t.IPAddresses, net.IP(ip.Unmap().AsSlice()))
			continue
		}
		if !hostName(name) {
			return fault.New(fault.InvalidRequest, "%q is not a host name: expected an IP address or a DNS name without wildcard.", printable(name))
		}
		t.DNSNames = append(t.DNSNames, strings.ToLower(name))
	}
	return nil
}

// hostName says whether s is an exact DNS name: labels of letters, digits and
// inner hyphens (RFC 1123, section 2.1), 253 octets at most. Underscores pass
// too, because container networks use them.
func hostName(s string) bool {
	if len(s) > maxName {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
		if strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}
