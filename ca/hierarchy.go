package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"time"
)

// Everything here is P-256 with SHA-256: the common device stack knows no
// other curve and no other hash (real-clients.md, "Device side").
const signatureAlgorithm = x509.ECDSAWithSHA256

var (
	// endOfDevices is the notAfter of AWS's device certificates
	// (provisioning-mqtt-api.md, section 6.2), the latest moment that UTCTime
	// can say. The server root ends with it, so that no device needs to read
	// the other form of time.
	endOfDevices = time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC)

	// endOfIssuers lies after it, so that a leaf never outlives its issuer.
	endOfIssuers = time.Date(2059, 12, 31, 23, 59, 59, 0, time.UTC)
)

// backdateCA lets devices whose clock is behind accept a root made today.
const backdateCA = 24 * time.Hour

// made is a CA certificate that is about to be stored, with its key.
type made struct {
	name string // of its files: NAME.pem, NAME.key
	der  []byte
	key  *ecdsa.PrivateKey
}

// makeServer makes the server hierarchy: one self-signed root. It signs
// server certificates itself, because devices pin it and clients are sent no
// chain.
func (c *CA) makeServer() ([]made, error) {
	root, _, err := c.makeAuthority("root", "Slipway server root", nil, func(t *x509.Certificate) {
		t.NotAfter = endOfDevices
		t.MaxPathLenZero = true
		t.ExtKeyUsage = []x509.ExtKeyUsage{purpose(serverFolder)}
	})
	return []made{root}, err
}

// makeDevice makes the device hierarchy: a root, and the issuing CA that signs
// leaves only.
//
// All of it is limited to clientAuth; a verifier that looks for a server finds
// none in any chain through it. Name constraints are left out on purpose:
// OpenSSL would apply an excluded DNS tree to the common names of devices too
// and refuse those that contain a dot.
func (c *CA) makeDevice() ([]made, error) {
	root, rootAuth, err := c.makeAuthority("root", "Slipway device root", nil, func(t *x509.Certificate) {
		t.MaxPathLen = 1
		t.ExtKeyUsage = []x509.ExtKeyUsage{purpose(deviceFolder)}
	})
	if err != nil {
		return nil, err
	}
	issuing, _, err := c.makeAuthority("issuing", "Slipway device CA", rootAuth, func(t *x509.Certificate) {
		t.MaxPathLenZero = true
		t.ExtKeyUsage = []x509.ExtKeyUsage{purpose(deviceFolder)}
	})
	return []made{root, issuing}, err
}

// purpose is the only extended key usage found in a hierarchy, from its root
// to its leaves.
func purpose(hierarchy string) x509.ExtKeyUsage {
	if hierarchy == serverFolder {
		return x509.ExtKeyUsageServerAuth
	}
	return x509.ExtKeyUsageClientAuth
}

// makeAuthority makes one CA certificate, self-signed if parent is nil. Its
// common name ends in eight digits of its key's digest, so that the roots of
// two installations never share a name.
func (c *CA) makeAuthority(name, title string, parent *authority, shape func(*x509.Certificate)) (made, *authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), c.rand)
	if err != nil {
		return made{}, nil, err
	}
	_, id, err := describeKey(key.Public())
	if err != nil {
		return made{}, nil, err
	}
	serial, err := newSerial(c.rand)
	if err != nil {
		return made{}, nil, err
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: title + " " + hex.EncodeToString(id[:4])},
		NotBefore:             c.now().Add(-backdateCA).UTC().Truncate(time.Second),
		NotAfter:              endOfIssuers,
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId:          id,
		SignatureAlgorithm:    signatureAlgorithm,
	}
	shape(t)
	if parent == nil {
		parent = &authority{cert: t, signer: key}
	}
	der, err := x509.CreateCertificate(c.rand, t, parent.cert, key.Public(), parent.signer)
	if err != nil {
		return made{}, nil, err
	}
	return made{name, der, key}, &authority{cert: t, signer: key}, nil
}

// newSerial draws 128 random bits (RFC 5280, section 4.1.2.2, asks for a
// positive number of at most 20 octets).
func newSerial(random io.Reader) (*big.Int, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return nil, err
	}
	serial := new(big.Int).SetBytes(b[:])
	if serial.Sign() == 0 {
		return nil, errors.New("the source of randomness gives zeros only")
	}
	return serial, nil
}

// describeKey gives the subject public key info of pub as certificates carry
// it, and its key identifier (RFC 7093, section 2, method 1).
func describeKey(pub crypto.PublicKey) (spki, id []byte, err error) {
	if spki, err = x509.MarshalPKIXPublicKey(pub); err != nil {
		return nil, nil, err
	}
	var info struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(spki, &info); err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256(info.Key.Bytes)
	return spki, sum[:20], nil
}
