package ca

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"strings"
	"sync/atomic"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// maxCSR is the longest request read, as PEM or DER (provisioning-mqtt-api.md,
// section 6.1).
const maxCSR = 4096

// Rules are what a request is held against beyond the fixed checks.
type Rules struct {
	// ForbiddenNames says whether a name is one of our own hosts. It is asked
	// for every common name, DNS name, IP address and URI host in the request,
	// in lower case and without a final dot; IP addresses in their shortest
	// form. Nil forbids nothing.
	ForbiddenNames func(name string) bool
}

// A Linted is a request that may be signed, once. Only LintCSR and LintKey
// make one, and Prepare consumes it.
type Linted struct {
	used       atomic.Bool
	key        crypto.PublicKey
	keyID      []byte
	digest     [32]byte
	rawSubject []byte // nil: the request names nobody
	subject    pkix.Name
}

// LintCSR examines a signing request, PEM or DER, and says in one sentence
// what to change if it cannot be signed. Every error is of kind
// fault.InvalidCSR.
//
// Cheap checks come first, so that the signature is only computed for a key of
// bounded size. Nothing of the extensions that a request asks for is ever
// copied; they are read to refuse what would be dangerous or misleading.
func (c *CA) LintCSR(csr []byte, rules Rules) (*Linted, error) {
	der, err := decodeCSR(csr)
	if err != nil {
		return nil, err
	}
	req, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, unreadable(der, err)
	}
	if err := checkKey("The CSR's key", req.PublicKey, req.RawSubjectPublicKeyInfo); err != nil {
		return nil, err
	}
	if err := checkSignature(req); err != nil {
		return nil, err
	}
	if err := checkExtensions(req); err != nil {
		return nil, err
	}
	if err := checkNames(req, rules); err != nil {
		return nil, err
	}
	l, err := newLinted(req.PublicKey)
	if err != nil {
		return nil, err
	}
	if !emptyName(req.Subject) {
		l.rawSubject, l.subject = req.RawSubject, req.Subject
	}
	return l, nil
}

// KeyDigest is the SHA-256 of the public key (its SubjectPublicKeyInfo).
func (l *Linted) KeyDigest() [32]byte { return l.digest }

// LintKey examines a public key whose private key was made here. Its
// certificate names nobody: the subject is CN=AWS IoT Certificate.
func (c *CA) LintKey(pub crypto.PublicKey) (*Linted, error) {
	if err := checkKey("The key", pub, nil); err != nil {
		return nil, err
	}
	return newLinted(pub)
}

func newLinted(pub crypto.PublicKey) (*Linted, error) {
	spki, id, err := describeKey(pub)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidCSR, err, "The public key cannot be encoded.")
	}
	return &Linted{key: pub, keyID: id, digest: sha256.Sum256(spki)}, nil
}

// decodeCSR gives the DER of a request that is DER or exactly one PEM block.
// Text ahead of the block, as openssl req -text writes, is passed over.
func decodeCSR(csr []byte) ([]byte, error) {
	if len(csr) == 0 {
		return nil, fault.New(fault.InvalidCSR, "The CSR is empty; send a certificate signing request as PEM text.")
	}
	if len(csr) > maxCSR {
		return nil, fault.New(fault.InvalidCSR, "The CSR has %d characters; at most %d are accepted.", len(csr), maxCSR)
	}
	if len(csr) > 1 && csr[0] == 0x30 && csr[1] >= 0x80 { // a SEQUENCE of more than 127 bytes
		return bytes.Clone(csr), nil // the caller may use its buffer again before Sign
	}
	block, rest := pem.Decode(csr)
	if block == nil {
		if ranTogether(csr) {
			return nil, fault.New(fault.InvalidCSR, "The CSR is not PEM: its lines ran together. A line break belongs behind the BEGIN line, within the Base64 every 64 characters, and before the END line; in JSON each is written \\n, with one backslash.")
		}
		return nil, fault.New(fault.InvalidCSR, "The CSR is not PEM; it must begin with -----BEGIN CERTIFICATE REQUEST----- and end with the matching END line.")
	}
	if block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
		return nil, fault.New(fault.InvalidCSR, "The CSR is a PEM block of type %s; send one of type CERTIFICATE REQUEST.", printable(block.Type))
	}
	if bytes.Count(csr, []byte("-----BEGIN ")) != 1 {
		return nil, fault.New(fault.InvalidCSR, "The CSR has several PEM blocks; send exactly one.")
	}
	if len(bytes.TrimSpace(rest)) != 0 {
		return nil, fault.New(fault.InvalidCSR, "The CSR is followed by other text; send nothing behind the END line.")
	}
	return block.Bytes, nil
}

// ranTogether says whether a request has its BEGIN line, and more in that line.
func ranTogether(csr []byte) bool {
	begin, rest, found := bytes.Cut(csr, []byte("REQUEST-----"))
	return found && bytes.Contains(begin, []byte("-----BEGIN ")) && !bytes.HasPrefix(rest, []byte("\n")) && !bytes.HasPrefix(rest, []byte("\r"))
}

// checkSignature asks for proof of possession of the private key, with a hash
// that still proves something.
func checkSignature(req *x509.CertificateRequest) error {
	switch req.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
	default:
		return fault.New(fault.InvalidCSR, "The CSR is signed with %s; sign it with SHA-256, SHA-384 or SHA-512.", algorithmName(req.SignatureAlgorithm))
	}
	if err := req.CheckSignature(); err != nil {
		return fault.Wrap(fault.InvalidCSR, err, "The CSR's signature does not verify; sign it with the private key that belongs to its public key.")
	}
	return nil
}

func algorithmName(a x509.SignatureAlgorithm) string {
	if a == x509.UnknownSignatureAlgorithm {
		return "an unknown algorithm"
	}
	return a.String()
}

var (
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
)

// checkExtensions refuses a request for a certificate authority, and one that
// asks for a single thing twice.
func checkExtensions(req *x509.CertificateRequest) error {
	seen := map[string]bool{}
	for _, e := range req.Extensions {
		id := e.Id.String()
		if seen[id] {
			return fault.New(fault.InvalidCSR, "The CSR asks for the extension %s twice; ask once.", id)
		}
		seen[id] = true
		if !e.Id.Equal(oidBasicConstraints) {
			continue
		}
		var bc struct {
			IsCA    bool `asn1:"optional"`
			PathLen int  `asn1:"optional,default:-1"`
		}
		if rest, err := asn1.Unmarshal(e.Value, &bc); err != nil || len(rest) != 0 {
			return fault.Wrap(fault.InvalidCSR, err, "The CSR's basicConstraints cannot be read; leave them out or ask for CA:FALSE.")
		}
		if bc.IsCA {
			return fault.New(fault.InvalidCSR, "The CSR asks for the certificate of a certificate authority (basicConstraints CA:TRUE); leave that out.")
		}
	}
	return nil
}

// printable makes foreign text fit for a sentence: short, and without anything
// that a terminal would obey.
func printable(s string) string {
	return arn.Clip(strings.Map(func(r rune) rune {
		if hidden(r) {
			return '?'
		}
		return r
	}, s), 80)
}
