package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// The bounds of a certificate that is read (certificates-lifecycle.md,
// sections 1 and 1.1). The longest RSA key is the longest that Go's TLS takes
// from a peer.
const (
	maxPEM = 65_536
	minRSA = 2048
	maxRSA = 8192
)

// A Foreign is a certificate that was made elsewhere: its text as it came, and
// what the text says. Read makes one.
type Foreign struct {
	*x509.Certificate
	PEM string
}

// ID is the certificate's id.
func (f *Foreign) ID() arn.CertID { return arn.IDOf(f.Raw) }

// Read reads one certificate and holds its key and its signature's algorithm
// against the rules; it says nothing about who signed it, or when it ends.
// Every error is of kind fault.CertificateInvalid; its sentence begins with
// what, such as "The CA certificate".
func Read(what, text string) (*Foreign, error) {
	der, err := decode(what, []byte(text))
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fault.Wrap(fault.CertificateInvalid, err, "%s cannot be read: %s.", what, arn.Clip(err.Error(), 200))
	}
	if err := checkKey(what, cert); err != nil {
		return nil, err
	}
	if err := checkAlgorithm(what, cert.SignatureAlgorithm); err != nil {
		return nil, err
	}
	return &Foreign{cert, text}, nil
}

// decode gives the DER of exactly one PEM block. Text ahead of it, as openssl
// x509 -text writes, is passed over. A second block is refused: the text is
// kept and shown as it came, and the block might be the private key.
func decode(what string, text []byte) ([]byte, error) {
	if len(text) > maxPEM {
		return nil, fault.New(fault.CertificateInvalid, "%s has %d characters; at most %d are accepted.", what, len(text), maxPEM)
	}
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, fault.New(fault.CertificateInvalid, "%s is not PEM: expected -----BEGIN CERTIFICATE-----, base64, and the matching END line.", what)
	}
	if block.Type != "CERTIFICATE" {
		return nil, fault.New(fault.CertificateInvalid, "%s is a PEM block of type %q; expected CERTIFICATE.", what, arn.Clip(block.Type, 40))
	}
	if bytes.Count(text, []byte("-----BEGIN ")) != 1 || len(bytes.TrimSpace(rest)) != 0 {
		return nil, fault.New(fault.CertificateInvalid, "%s is not alone: expected exactly one PEM block, and nothing behind it.", what)
	}
	return block.Bytes, nil
}

func checkKey(what string, cert *x509.Certificate) error {
	switch k := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSA || bits > maxRSA {
			return fault.New(fault.CertificateInvalid, "%s has an RSA key of %d bits; expected %d to %d.", what, bits, minRSA, maxRSA)
		}
		return nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		return fault.New(fault.CertificateInvalid, "%s has a key on the curve %s; expected P-256, P-384 or P-521.", what, k.Curve.Params().Name)
	}
	return fault.New(fault.CertificateInvalid, "%s has a key that is neither RSA nor EC on P-256, P-384 or P-521; devices cannot use it here.", what)
}

func checkAlgorithm(what string, a x509.SignatureAlgorithm) error {
	switch a {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.DSAWithSHA256:
		return nil
	}
	name := a.String()
	if a == x509.UnknownSignatureAlgorithm {
		name = "an unknown algorithm"
	}
	return fault.New(fault.CertificateInvalid, "%s is signed with %s; expected RSA or ECDSA with SHA-256, SHA-384 or SHA-512.", what, name)
}

// signedBy says why ca did not sign cert, if it did not. Names are compared
// byte for byte, as every verifier does.
func signedBy(cert, ca *x509.Certificate) (why string, cause error) {
	if !bytes.Equal(cert.RawIssuer, ca.RawSubject) {
		return "its issuer is " + name(cert.Issuer.String()) + ", the CA certificate's subject is " + name(ca.Subject.String()), nil
	}
	if err := cert.CheckSignatureFrom(ca); err != nil {
		return "the signature does not verify with the CA certificate's key", err
	}
	return "", nil
}

// name makes a distinguished name fit for a sentence.
func name(s string) string {
	if s == "" {
		return "empty"
	}
	return `"` + arn.Clip(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s), 200) + `"`
}
